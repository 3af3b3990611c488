"""The story of a request: plan, check, preview, execute. Everything that happens to a plan before a worker takes over.

Nothing here runs an action, and nothing here knows which store, planner or policy it talks to.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from steward.action import Catalogue
from steward.clock import Clock
from steward.errors import (
    ApprovalMismatch,
    FieldProblem,
    IllegalTransition,
    Invalid,
    NotFound,
    StewardError,
)
from steward.identity import Principal
from steward.ids import IdFactory, is_id
from steward.job import FINAL, Job, JobStatus
from steward.plan import PlannedAction, PlanRecord, PlanResult, PlanStatus
from steward.plan_check import CheckedPlan, PlanCheck
from steward.plan_document import NO_PLANNER, plan_document, step_document, with_planned
from steward.planner import Phase, Planner, PlanningRequest, Progress, Proposal, Tell, actions_for, untold
from steward.policy import Policies, decision_document
from steward.recorded import plan_decided
from steward.recorder import Recorder
from steward.redaction import mask_text, redact_text
from steward.submission import Claims, RequestedAction, build_submission, require_draft
from steward.vault import Vault
from steward.views import approval_view, job_in_plan, time_view
from steward.work_store import DRAFT_S, IdempotencyClaim, PlanPage, Submission, Submitted, WorkEngine

__all__ = ["Orchestrator", "RequestedAction"]
_AT_REST: Final = FINAL | {JobStatus.UNKNOWN, JobStatus.HELD}
"""Nothing moves here by itself."""


def proposed(**fields: Any) -> PlanResult:
    """Return a ``PlanResult``; raise ``Invalid`` with the field's place for one that is not well formed."""
    try:
        return PlanResult(**fields)
    except ValidationError as error:
        problems = [
            FieldProblem("".join(f"/{part}" for part in item["loc"]), item["msg"].removeprefix("Value error, "))
            for item in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise Invalid("The plan is not well formed.", errors=problems) from None


class Orchestrator:
    """Makes plans, checks them, shows them and hands them to the store."""

    def __init__(
        self,
        *,
        engine: WorkEngine,
        catalogue: Catalogue,
        planner: Planner,
        policies: Policies,
        vault: Vault,
        clock: Clock,
        ids: IdFactory,
        recorder: Recorder,
    ) -> None:
        """Use these."""
        self._engine = engine
        self._catalogue = catalogue
        self._planner = planner
        self._policies = policies
        self._vault = vault
        self._clock = clock
        self._ids = ids
        self._recorder = recorder
        self._check = PlanCheck(catalogue, vault)

    # -- making plans ------------------------------------------------------------------------------------------------

    async def plan(
        self,
        principal: Principal,
        prompt: str,
        context: Mapping[str, Any] | None,
        request_id: str,
        tell: Tell = untold,
    ) -> dict[str, Any]:
        """Return the plan document for a sentence, kept as a draft. Nothing runs. ``tell`` hears how far it is."""
        tell(Progress(phase=Phase.READING))
        policy = await self._policies.of(principal.workspace_id)
        actions, refused = actions_for(self._catalogue.definitions(), principal, policy)
        started = self._clock.now()
        proposal = await self._planner.propose(
            PlanningRequest(
                prompt=prompt,
                actions=actions,
                refused=refused,
                now=started,
                context=context or {},
                workspace_id=principal.workspace_id,
                check=lambda steps: self._check.check(policy, principal, steps),
                tell=tell,
            )
        )
        if proposal.model is None:  # a model's answers are checked as they come
            tell(Progress(phase=Phase.CHECKING))
        meta = {
            "planner": self._planner.name,
            "model": proposal.model,
            "duration_ms": round((self._clock.now() - started).total_seconds() * 1000),
            "tokens_in": proposal.tokens_in,
            "tokens_out": proposal.tokens_out,
            "denied": [
                {"action_id": refused.definition.id, **decision_document(refused.decision)}
                for refused in proposal.denied
            ],
        }
        return await self._keep(principal, proposal, meta=meta, context=context or {}, request_id=request_id)

    async def preview(
        self, principal: Principal, action_id: str, params: dict[str, Any], request_id: str
    ) -> dict[str, Any]:
        """Return the document of a one-step plan, kept as a draft; its plan id is the preview id."""
        plan = proposed(
            prompt=f"Run {action_id[:100]}.",
            intent=f"Run {action_id[:100]}.",
            steps=[{"action_id": action_id, "params": params}],
            explanation="Asked for as one action.",
        )
        return await self._keep(
            principal,
            Proposal(plan=plan),
            meta=NO_PLANNER,
            context={},
            request_id=request_id,
            at=lambda _: "",  # the body is the one step
        )

    async def revise(
        self,
        principal: Principal,
        plan_id: str,
        *,
        answers: Mapping[str, str] | None,
        steps: Sequence[PlannedAction] | None,
        request_id: str,
        tell: Tell = untold,
    ) -> dict[str, Any]:
        """Return a new plan made from an old one: with questions answered, or with other steps."""
        old = await self._get(principal, plan_id)
        if old.body_sealed is None:
            raise IllegalTransition("That plan has ended and its steps are no longer kept; make a new one.")
        body = self._body(old)
        asked = {question["param"] for question in old.document["questions"]}
        unasked = sorted(set(answers or ()) - asked)
        if unasked:
            problems = [FieldProblem(f"/answers/{name[:100]}", "nothing was asked under this name") for name in unasked]
            raise Invalid("An answer is to none of the plan's questions.", errors=problems)
        if steps is None:
            context = {**body["context"], "answers": {**body["context"].get("answers", {}), **(answers or {})}}
            return await self.plan(principal, body["prompt"], context, request_id, tell)
        plan = proposed(
            prompt=body["prompt"],
            intent=old.document["intent"],
            steps=[step.model_dump() for step in steps],
            explanation="Revised by hand.",
        )
        meta = {**NO_PLANNER, "revises": plan_id}
        return await self._keep(
            principal, Proposal(plan=plan), meta=meta, context=body["context"], request_id=request_id
        )

    async def _keep(
        self,
        principal: Principal,
        proposal: Proposal,
        *,
        meta: Mapping[str, Any],
        context: Mapping[str, Any],
        request_id: str,
        at: Callable[[int], str] = "/steps/{}".format,
    ) -> dict[str, Any]:
        """Check a proposal, keep it as a draft and return its document."""
        steps = [] if proposal.questions else proposal.plan.steps
        checked = await self._checked(principal, steps, at)
        record = self._record(principal, proposal, checked, meta, context, request_id)
        self._recorder.note(
            *plan_decided(principal, checked, record, "draft", at=self._clock.now(), denied=proposal.denied)
        )
        await self._engine.open(principal).draft(record)
        return plan_document(record)

    async def _checked(
        self,
        principal: Principal,
        steps: Sequence[PlannedAction],
        at: Callable[[int], str] = "/steps/{}".format,
        authored_after: tuple[str, ...] = (),
    ) -> CheckedPlan:
        """Return the steps as checked and decided by the workspace's policy as it stands."""
        policy = await self._policies.of(principal.workspace_id)
        return self._check.check(policy, principal, steps, at=at, authored_after=authored_after)

    def _record(  # noqa: PLR0917 - it gathers all that a plan is
        self,
        principal: Principal,
        proposal: Proposal,
        checked: CheckedPlan,
        meta: Mapping[str, Any],
        context: Mapping[str, Any],
        request_id: str,
    ) -> PlanRecord:
        plan, now, plan_id = proposal.plan, self._clock.now(), self._ids.new("plan")

        def shown(text: str) -> str:
            return redact_text(mask_text(checked.without_secrets(text), proposal.secrets))

        runnable = bool(checked.steps)
        body = {
            "prompt": plan.prompt,
            "context": dict(context),
            "steps": list(map(vars, plan.steps)) if runnable else [],  # their fields as they are, to be written as JSON
        }
        return PlanRecord(
            plan_id=plan_id,
            workspace_id=principal.workspace_id,
            actor_id=principal.actor_id,
            status=PlanStatus.DRAFT if runnable else PlanStatus.NEEDS_INPUT,
            digest=checked.digest if runnable else "",
            document={
                "prompt": shown(plan.prompt),
                "intent": shown(plan.intent),
                "steps": [step_document(step) for step in checked.steps],
                "confidence": plan.confidence,
                "explanation": shown(plan.explanation),
                "meta": dict(meta),
                "questions": [
                    {"param": question.param, "text": shown(question.text)} for question in proposal.questions
                ],
            },
            body_sealed=self._vault.seal(body, workspace_id=principal.workspace_id, purpose=f"plan/{plan_id}"),
            created_at=now,
            expires_at=now + timedelta(seconds=DRAFT_S),
            request_id=request_id,
        )

    # -- executing ---------------------------------------------------------------------------------------------------

    async def execute_plan(
        self,
        principal: Principal,
        plan_id: str,
        *,
        run_at: datetime | None,
        idempotency_key: str | None,
        request_id: str,
    ) -> Submitted:
        """Submit a kept plan as it was shown, decided anew for whoever executes it."""
        claims = Claims(self._vault, principal.workspace_id).of_request(
            idempotency_key, lambda: {"plan_id": plan_id, "run_at": time_view(run_at)}
        )
        record = await self._get(principal, plan_id)
        store = self._engine.open(principal)
        if record.job_ids:  # executed before: the store knows the answer, and whether the key fits
            return await store.submit(Submission(plan=record, jobs=(), idempotency=claims))
        require_draft(record)
        plan = proposed(
            prompt=self._body(record)["prompt"],
            intent=record.document["intent"],
            steps=self._body(record)["steps"],
            explanation=record.document["explanation"],
        )
        checked = await self._checked(principal, plan.steps)
        if record.digest not in checked.digests:
            raise ApprovalMismatch("An action has changed since this plan was shown; make the plan again.")
        record = replace(record, request_id=request_id)
        return await store.submit(await self._submission(principal, record, checked, run_at, claims))

    async def execute_actions(
        self,
        principal: Principal,
        actions: Sequence[RequestedAction],
        *,
        run_at: datetime | None,
        idempotency_key: str | None,
        request_id: str,
        authored_after: tuple[str, ...] = (),
    ) -> Submitted:
        """Submit actions that the caller brings, as one plan: all of them or none.

        ``authored_after`` names what whoever wrote them had read: then nothing that is written out in them is trusted.
        """
        if not actions:
            raise Invalid("There is no action to run.", errors=[FieldProblem("/actions", "at least one action")])
        plan = proposed(
            prompt="Run the actions given.",
            intent=f"Run {len(actions)} action{'s' if len(actions) != 1 else ''}.",
            steps=[requested.action for requested in actions],
            explanation="Asked for as actions.",
        )

        def payload() -> dict[str, Any]:
            named = zip(plan.steps, actions, strict=True)  # with ids and dependencies as they were meant
            return {
                "actions": [{**step.model_dump(), "name": requested.client_request_id} for step, requested in named],
                "run_at": time_view(run_at),
            }

        claim = Claims(self._vault, principal.workspace_id)
        claims = (*claim.of_request(idempotency_key, payload), *claim.of_actions(actions, run_at))
        store = self._engine.open(principal)
        try:
            checked = await self._checked(principal, plan.steps, "/actions/{}".format, authored_after)
            record = self._record(principal, Proposal(plan=plan), checked, NO_PLANNER, {}, request_id)
            submission = await self._submission(principal, record, checked, run_at, claims, new=True)
        except StewardError:
            earlier = await store.find(claims) if claims else None
            if earlier is None:
                raise
            return earlier  # done before policy or the catalogue changed: a retry gets the first answer
        return await store.submit(submission)

    async def execute_preview(self, principal: Principal, preview_id: str, *, wait_ms: int, request_id: str) -> Job:
        """Submit a one-step plan once and return its job when it has ended, or as it stands after ``wait_ms``.

        A job that waits for a person is returned as it stands, at once.
        """
        record = await self._get(principal, preview_id)
        if len(record.document["steps"]) != 1:
            raise Invalid("preview_id is not the id of a one-step plan.")
        store = self._engine.open(principal)
        with store.listen() as listener:
            done = await self.execute_plan(
                principal, preview_id, run_at=None, idempotency_key=None, request_id=request_id
            )
            deadline = asyncio.get_running_loop().time() + wait_ms / 1000
            while True:
                job = await store.get_job(done.job_ids[0])
                if job is None:
                    raise NotFound
                left = deadline - asyncio.get_running_loop().time()
                if job.status in _AT_REST or left <= 0:
                    return job
                await listener.wait(left)

    async def _submission(
        self,
        principal: Principal,
        record: PlanRecord,
        checked: CheckedPlan,
        run_at: datetime | None,
        claims: tuple[IdempotencyClaim, ...],
        *,
        new: bool = False,
    ) -> Submission:
        """Return what to submit, once it is recorded what was decided about it; ``new``: nobody has seen the plan before."""
        await self._recorder.insist(*plan_decided(principal, checked, record, "submit", at=self._clock.now()))
        return build_submission(
            *(record, checked, claims), new=new, run_at=run_at, vault=self._vault, ids=self._ids, now=self._clock.now()
        )

    # -- showing -----------------------------------------------------------------------------------------------------

    async def show_plan(self, principal: Principal, plan_id: str) -> dict[str, Any]:
        """Return the plan document as it stands now, with its jobs, its own approval, and those of its steps too."""
        record = await self._get(principal, plan_id)
        store = self._engine.open(principal)
        jobs = await store.plan_jobs(plan_id)
        approvals = [approval_view(approval) for approval in await store.plan_approvals(plan_id)]
        return {
            **with_planned(plan_document(record), jobs),
            "jobs": [job_in_plan(job) for job in jobs],
            "approval": next((one for one in approvals if one["approval_id"] == record.approval_id), None),
            "approvals": approvals,
        }

    async def list_plans(
        self, principal: Principal, *, limit: int, after: str | None, status: PlanStatus | None
    ) -> PlanPage:
        """Return a page of the workspace's plans, newest first."""
        return await self._engine.open(principal).list_plans(limit=limit, after=after, status=status)

    async def _get(self, principal: Principal, plan_id: str) -> PlanRecord:
        record = await self._engine.open(principal).get_plan(plan_id) if is_id(plan_id, "plan") else None
        if record is None:
            raise NotFound
        return record

    def _body(self, record: PlanRecord) -> dict[str, Any]:
        assert record.body_sealed is not None
        return self._vault.unseal(
            record.body_sealed, workspace_id=record.workspace_id, purpose=f"plan/{record.plan_id}"
        )
