"""The tools that one caller has, and what they do. A refusal is a tool's error with the same codes as over HTTP."""

import importlib.metadata
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Final

import mcp_types as types
import structlog
from fastapi import Request
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json

from steward import explain
from steward.action import ActionDefinition
from steward.bootstrap import Application
from steward.errors import Forbidden, Invalid, MissingScope, NotFound, RateLimited, StewardError
from steward.identity import Principal
from steward.identity import Scope as Permission
from steward.job import JobStatus
from steward.policy import Deny
from steward.rate_limit import RateRule
from steward.usage import room_of
from steward.views import job_detail, job_view
from steward.web.bodies import PlanningContext, Prompt
from steward.web.dependencies import count_request, known_shape, request_id_of, work_of
from steward.web.planning import PlanningCount
from steward.web.problems import field_problems, refused
from steward.web.request_facts import facts_of
from steward.work_store import MAX_PAGE

WAIT_MS: Final = 20_000
"""How long the tool of an action waits for its end; after that the job is followed with ``show_job``."""
_FAILED: Final = frozenset({JobStatus.FAILED, JobStatus.UNKNOWN, JobStatus.CANCELLED})
_INSTRUCTIONS: Final = (
    "Tools with a dot in their name run one action under this installation's policy. 'waiting_for_approval' means that a"
    " person decides; no tool can. What has an unknown outcome may have happened: do not run it again."
)
_log = structlog.get_logger("steward.web")


class _Arguments(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _Plan(_Arguments):
    prompt: Prompt
    context: PlanningContext | None = None


class _OfPlan(_Arguments):
    plan_id: str


class _OfJob(_Arguments):
    job_id: str


class _Jobs(_Arguments):
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 20
    plan_id: str | None = None


@dataclass(frozen=True, slots=True)
class _Verb:
    """One tool that is no action."""

    about: str
    arguments: type[_Arguments]
    run: Callable[["Tools", Any], Awaitable[dict[str, Any]]]
    scope: Permission = Permission.PREVIEW
    rule: RateRule | None = None


@dataclass(frozen=True, slots=True)
class Tools:
    """What one request may call, as whom."""

    request: Request
    principal: Principal
    services: Application

    def server(self) -> Server[dict[str, Any]]:
        """Return the protocol's server for this one exchange."""
        return Server(
            "steward",
            version=importlib.metadata.version("steward"),
            instructions=_INSTRUCTIONS,
            get_tool_input_schema=self._schema,
            on_list_tools=self._list,
            on_call_tool=self._call,
        )

    async def _list(
        self, _context: ServerRequestContext[dict[str, Any]], _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        verbs = [
            types.Tool(name=name, description=verb.about, input_schema=verb.arguments.model_json_schema())
            for name, verb in VERBS.items()
            if self.principal.may(verb.scope)
        ]
        return types.ListToolsResult(tools=[*verbs, *map(_tool, await self._actions())])

    def _schema(self, name: str) -> Mapping[str, Any] | None:
        """Return the schema of one tool, which the library looks at before each call, without making the whole list."""
        if (verb := VERBS.get(name)) is not None:
            return verb.arguments.model_json_schema()
        definitions = self.services.catalogue.definitions()
        return next((definition.input_schema for definition in definitions if definition.id == name), None)

    async def _actions(self) -> list[ActionDefinition]:
        """Return the actions that the caller may run, whether at once or after somebody's yes."""
        if not self.principal.may(Permission.EXECUTE):
            return []
        policy = await self.services.policies.of(self.principal.workspace_id)
        return [
            definition
            for definition in self.services.catalogue.definitions()
            if definition.enabled and not isinstance(policy.decide(self.principal, definition.id, {}, {}), Deny)
        ]

    async def _call(
        self, _context: ServerRequestContext[dict[str, Any]], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        try:
            document = await self._answer(params.name, params.arguments or {})
        except StewardError as error:
            return _result(self._refusal(error), failed=True)
        except Exception:  # noqa: BLE001 - whatever it is, the caller gets plain words
            _log.exception("A tool failed.", action="tool_failed")
            return _result(self._refusal(StewardError()), failed=True)
        return _result(document, failed=document.get("status") in _FAILED and "job_id" in document)

    def _refusal(self, error: StewardError) -> dict[str, Any]:
        if error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            error = StewardError("Something went wrong here; the request id finds it in the log.")
        if isinstance(error, NotFound):
            error = NotFound()
        if isinstance(error, Forbidden):
            facts_of(self.request.scope).decision = "denied"
            self.services.doors.refused(refused(self.request, error))
        if isinstance(error, RateLimited):
            self.services.telemetry.rate_limited(str(error.facts.get("rule")))
        document = {**error.facts, "code": error.stable_code, "status": int(error.status), "detail": error.detail}
        if error.errors:
            document["errors"] = [item.as_dict() for item in error.errors]
        if error.retry_after_s is not None:
            document["retry_after_s"] = error.retry_after_s
        return {**document, "request_id": request_id_of(self.request)}

    async def _answer(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if (verb := VERBS.get(name)) is None:
            return await self._run_action(name, arguments)
        self._admit(verb.scope, verb.rule)
        try:
            return await verb.run(self, verb.arguments.model_validate(arguments))
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False, include_input=False)
            raise Invalid(errors=field_problems(problems)) from None

    def _admit(self, scope: Permission, rule: RateRule | None) -> None:
        if rule is not None:
            count_request(self.request, rule, self.principal)
        if not self.principal.may(scope):
            raise MissingScope(f"The credential lacks the scope '{scope}'.", facts={"scope": scope.value})

    async def _run_action(self, action_id: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Run one action as a plan of one step, and return its job, or who has to decide first."""
        self._admit(Permission.EXECUTE, RateRule.EXECUTE)
        orchestrator, request_id = self.services.orchestrator, request_id_of(self.request)
        plan = await orchestrator.preview(self.principal, action_id, dict(params), request_id)
        job = await orchestrator.execute_preview(
            self.principal, plan["plan_id"], wait_ms=WAIT_MS, request_id=request_id
        )
        view = job_detail(job)
        return view if job.status is not JobStatus.HELD else {**view, **await self._waiting(job.plan_id)}

    async def _waiting(self, plan_id: str) -> dict[str, Any]:
        approvals = await work_of(self.services, self.principal).plan_approvals(plan_id)
        return {
            "status": "waiting_for_approval",
            "approval_id": next((one.approval_id for one in approvals if one.status == "pending"), None),
            "detail": "A person has to approve this first; no tool can. Follow it with show_job.",
        }

    # -- verbs -------------------------------------------------------------------------------------------------------

    async def plan(self, wanted: _Plan) -> dict[str, Any]:
        """Return a sentence as a checked plan."""
        context = wanted.context.model_dump(exclude_none=True) if wanted.context else None
        with PlanningCount(self.services.telemetry):
            return await self.services.orchestrator.plan(
                self.principal, wanted.prompt, context, request_id_of(self.request)
            )

    async def show_plan(self, wanted: _OfPlan) -> dict[str, Any]:
        """Return a plan with its decisions, approvals and jobs."""
        return await self.services.orchestrator.show_plan(self.principal, known_shape(wanted.plan_id, "plan"))

    async def execute(self, wanted: _OfPlan) -> dict[str, Any]:
        """Put a plan that the caller made to work; another's is unknown here."""
        plan = await work_of(self.services, self.principal).get_plan(known_shape(wanted.plan_id, "plan"))
        if plan is None or plan.actor_id != self.principal.actor_id:
            raise NotFound
        done = await self.services.orchestrator.execute_plan(
            self.principal,
            plan.plan_id,
            run_at=None,
            idempotency_key=None,
            request_id=request_id_of(self.request),
        )
        waits = done.approval_id is not None
        return {
            "plan_id": done.plan_id,
            "status": "waiting_for_approval" if waits else done.status,
            "job_ids": done.job_ids,
            "duplicate": done.duplicate,
            "approval_id": done.approval_id,
        }

    async def list_jobs(self, wanted: _Jobs) -> dict[str, Any]:
        """Return the newest jobs."""
        began = time.perf_counter()
        plan_id = None if wanted.plan_id is None else known_shape(wanted.plan_id, "plan")
        page = await work_of(self.services, self.principal).list_jobs(
            limit=wanted.limit, after=None, status=None, plan_id=plan_id
        )
        self.services.telemetry.job_list_query(self.principal.workspace_id, len(page.jobs), time.perf_counter() - began)
        return {"jobs": [job_view(job) for job in page.jobs]}

    async def show_job(self, wanted: _OfJob) -> dict[str, Any]:
        """Return a job with its attempts."""
        job = await work_of(self.services, self.principal).get_job(known_shape(wanted.job_id, "job"))
        if job is None:
            raise NotFound
        return {"job": job_detail(job)}

    async def explain(self, wanted: _OfJob) -> dict[str, Any]:
        """Return why a job is where it is."""
        store, now = work_of(self.services, self.principal), self.services.clock.now()
        job = await store.get_job(known_shape(wanted.job_id, "job"))
        if job is None:
            raise NotFound
        jobs, approvals = await store.plan_jobs(job.plan_id), await store.plan_approvals(job.plan_id)
        room = await room_of(self.services.directory, store, now)
        return explain.explain_job(job, jobs, now, approvals, room=room)


VERBS: Final[Mapping[str, _Verb]] = {
    "plan": _Verb("Turn a sentence into a checked plan. Nothing runs.", _Plan, Tools.plan, rule=RateRule.PLAN),
    "show_plan": _Verb("Show a plan: steps, decisions, approvals, jobs.", _OfPlan, Tools.show_plan),
    "execute": _Verb(
        "Put a plan that you made to work, as it was shown.",
        _OfPlan,
        Tools.execute,
        Permission.EXECUTE,
        RateRule.EXECUTE,
    ),
    "list_jobs": _Verb("List the newest jobs.", _Jobs, Tools.list_jobs),
    "show_job": _Verb("Show a job with its attempts.", _OfJob, Tools.show_job),
    "explain": _Verb("Say why a job is where it is, and what would change that.", _OfJob, Tools.explain),
}
"""Every tool that is no action. None of them decides about an approval."""


def _tool(definition: ActionDefinition) -> types.Tool:
    return types.Tool(
        name=definition.id,
        title=definition.title,
        description=definition.description,
        input_schema=dict(definition.input_schema),
        annotations=types.ToolAnnotations(
            read_only_hint=definition.effect == "read", idempotent_hint=definition.effect == "read"
        ),
    )


def _result(document: Mapping[str, Any], *, failed: bool) -> types.CallToolResult:
    text = to_json(document).decode()
    plain = {"structured_content": dict(document)}
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=failed, **plain)
