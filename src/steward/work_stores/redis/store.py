"""``WorkStore`` over Redis: work of one workspace, for one principal. What each verb does stands in its script."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, Literal

from steward.approval import Approval, ApprovalStatus, Verdict, role_suffices
from steward.caps import NO_BUDGETS, Activity, Budgets, Start
from steward.clock import from_milliseconds
from steward.errors import NotFound
from steward.event import event_id as id_of_event
from steward.event import event_sequence
from steward.identity import Principal, Role
from steward.ids import IdFactory
from steward.job import Job, JobError, JobStatus
from steward.plan import PlanRecord, PlanStatus
from steward.redaction import redact_text
from steward.work_pages import ApprovalPage, EventPage, JobPage, PlanPage
from steward.work_store import IdempotencyClaim, Listener, Submission, Submitted
from steward.work_stores.redis.company import Company
from steward.work_stores.redis.job_records import shown_job
from steward.work_stores.redis.keys import key
from steward.work_stores.redis.legacy.migrating import Migrator
from steward.work_stores.redis.legacy.routes import Routes
from steward.work_stores.redis.plan_records import listed_plan, to_plan
from steward.work_stores.redis.records import (
    APPROVAL_FIELDS,
    encode,
    listed_approval,
    number_of,
    streamed_event,
    to_approval,
)
from steward.work_stores.redis.server import Server
from steward.work_stores.redis.submissions import (
    draft_arguments,
    lone_arguments,
    lone_submitted,
    name_arguments,
    submit_arguments,
    submitted,
)

_SAID: Final = {Verdict.APPROVE: ApprovalStatus.APPROVED, Verdict.REJECT: ApprovalStatus.REJECTED}


@dataclass(frozen=True, slots=True)
class Shared:
    """What both faces share."""

    server: Server
    ids: IdFactory
    company: Company


class RedisWorkStore:
    """``WorkStore`` over Redis; see the contract for what each verb promises."""

    def __init__(self, shared: Shared, principal: Principal) -> None:
        """Open for ``principal``."""
        self._server = shared.server
        self._ids = shared.ids
        self._company = shared.company
        self._routes = Routes(shared.server)
        self._principal = principal

    @property
    def principal(self) -> Principal:
        """Whom it was opened for."""
        return self._principal

    @property
    def _workspace(self) -> str:
        return self._principal.workspace_id

    async def _meddle(self, verb: str, subject: str, *arguments: Any) -> Any:
        """Run what a person asked for; the call has a name of its own, so that it can be sent twice."""
        call = self._ids.new("call")
        return await self._server.run(verb, self._workspace, subject, self._principal.actor_id, call, *arguments)

    async def _meddle_with_job(self, verb: str, job_id: str, *arguments: Any) -> Job:
        """Run what a person asked for on a job; one of the older software gets its current record first."""
        try:
            return shown_job(await self._meddle(verb, job_id, *arguments))
        except NotFound:
            if not await self._routes.take_over(Migrator(self._server, self._ids), self._workspace, job_id):
                raise
        return shown_job(await self._meddle(verb, job_id, *arguments))

    async def draft(self, plan: PlanRecord) -> None:
        """Keep a plan that nobody has executed."""
        await self._server.run("draft", *draft_arguments(self._principal, plan))

    async def submit(self, submission: Submission) -> Submitted:
        """Put a submission in place, or return the original."""
        now = self._server.now
        one = lone_arguments(self._principal, submission, now)
        if one is not None:
            depth = await self._company.submit(one)
            if depth is not None:
                return lone_submitted(submission, depth)
        arguments = submit_arguments(self._principal, submission, now)
        if one is None and submission.approval is None:
            answer = await self._server.run("submit", *arguments)
            if len(answer) > 1:
                return submitted(answer)
        return submitted(await self._server.run("submit_known", *arguments))

    async def find(self, claims: Sequence[IdempotencyClaim]) -> Submitted | None:
        """Return the original of a request by its claims alone."""
        found = await self._server.run("find", self._workspace, *name_arguments(claims))
        return submitted(found) if found else None

    async def decide_approval(
        self,
        approval_id: str,
        digest: str,
        verdict: Verdict,
        comment: str | None,
        *,
        same_person: frozenset[str] = frozenset(),
    ) -> Approval:
        """Record a decision once and act on it."""
        roles = " ".join(role for role in Role if role_suffices(self._principal.roles, role))
        said = "" if comment is None else redact_text(comment)
        answer = await self._server.run(
            "decide_approval",
            *(self._workspace, approval_id, self._principal.actor_id, digest, _SAID[verdict].value),
            *(said, int(comment is not None), roles, " ".join({self._principal.actor_id, *same_person})),
        )
        return to_approval(answer)

    async def cancel_job(self, job_id: str) -> Job:
        """Cancel a job."""
        return await self._meddle_with_job("cancel_job", job_id)

    async def cancel_plan(self, plan_id: str) -> PlanRecord:
        """Cancel a plan."""
        return to_plan(await self._meddle("cancel_plan", plan_id), self._server.now)

    async def retry_job(self, job_id: str) -> Job:
        """Try a failed job again."""
        return await self._meddle_with_job("retry_job", job_id)

    async def resolve_job(self, job_id: str, outcome: Literal["completed", "failed"], note: str) -> Job:
        """Settle an unknown outcome by hand."""
        note = redact_text(note)
        result = encode({"resolved": "completed", "note": note})
        error = encode(JobError("resolved_failed", note).as_dict())
        return await self._meddle_with_job("resolve_job", job_id, int(outcome == "completed"), result, error)

    async def get_plan(self, plan_id: str) -> PlanRecord | None:
        """Return one plan."""
        found = await self._server.run("read_plan", self._workspace, plan_id)
        return to_plan(found, self._server.now) if found else None

    async def get_job(self, job_id: str) -> Job | None:
        """Return one job."""
        return await self._routes.one(self._workspace, job_id)

    async def get_approval(self, approval_id: str) -> Approval | None:
        """Return one approval."""
        found = await self._server.look("HMGET", key("approval", self._workspace, approval_id), *APPROVAL_FIELDS)
        return None if found[0] is None else to_approval(found)

    async def plan_jobs(self, plan_id: str) -> tuple[Job, ...]:
        """Return a plan's jobs in step order."""
        phase, *found = await self._server.run("plan_members", self._workspace, plan_id, "jobs") or (None,)
        return self._routes.shown(phase, found)

    async def plan_approvals(self, plan_id: str) -> tuple[Approval, ...]:
        """Return the approvals of a plan and of its steps."""
        found = await self._server.run("plan_members", self._workspace, plan_id, "approvals")
        return tuple(map(to_approval, found))

    async def list_jobs(
        self, *, limit: int, after: str | None = None, status: JobStatus | None = None, plan_id: str | None = None
    ) -> JobPage:
        """Return a page of jobs, newest first."""
        page = (self._workspace, after or "", limit + 1, status or "")
        plain = await self._plain_page(page) if plan_id is None else None
        if plain is not None:
            return plain
        depth, phase, place, *records = await self._server.run("list_jobs_fully", *page, plan_id or "")
        jobs = self._routes.listed(phase, records)
        next_after = place.decode() if len(jobs) > limit else None
        return JobPage(jobs=jobs[:limit], next_after=next_after, queue_depth=int(depth))

    async def _plain_page(self, page: tuple[Any, ...]) -> JobPage | None:
        """Return a page; None: it is not plain."""
        answer = await self._server.run("list_jobs", *page)
        if not answer:
            return None
        depth, place, lines = answer
        jobs = self._routes.listed_in(lines, self._workspace)
        return None if jobs is None else JobPage(jobs=jobs, next_after=place.decode() or None, queue_depth=depth)

    async def list_plans(self, *, limit: int, after: str | None = None, status: PlanStatus | None = None) -> PlanPage:
        """Return a page of plans, newest first."""
        found = await self._server.run("list_plans", self._workspace, after or "", limit + 1, status or "")
        plans = tuple(listed_plan(values, self._server.now) for values in found[:limit] if values)
        return PlanPage(plans=plans, next_after=plans[-1].plan_id if plans and len(found) > limit else None)

    async def list_approvals(
        self, *, limit: int, after: str | None = None, status: ApprovalStatus = ApprovalStatus.PENDING
    ) -> ApprovalPage:
        """Return a page of approvals, newest first."""
        found = await self._server.run("list_approvals", self._workspace, after or "", limit + 1, status.value)
        approvals = tuple(map(listed_approval, found[:limit]))
        return ApprovalPage(approvals=approvals, next_after=approvals[-1].approval_id if len(found) > limit else None)

    async def queue_depth(self) -> int:
        """Return how many jobs are ready."""
        return await self._server.look("ZCARD", key("jobs_in", self._workspace, JobStatus.PENDING.value))

    async def events_after(self, event_id: str | None, *, limit: int, plan_id: str | None = None) -> EventPage:
        """Return events after one of them."""
        start = event_sequence(event_id)
        page = (self._workspace, "" if start is None else start, limit, plan_id or "")
        newest, floor, *found = await self._server.run("events_after", *page)
        if start is None:
            return EventPage(events=(), gap=False, last_event_id=id_of_event(int(newest)))
        workspace, now = self._workspace, self._server.now
        events = tuple(streamed_event(workspace, number_of(entry), pairs, now) for entry, pairs in found[0])
        full = len(events) == limit
        last = events[-1].event_id if full else id_of_event(max(int(newest), start))
        return EventPage(events=events, gap=start < int(floor) or start > int(newest), last_event_id=last)

    async def activity(self, budgets: Budgets = NO_BUDGETS) -> Activity:
        """Return what caps and these budgets count now."""
        now = self._server.now
        asked = [part for name, budget in budgets.items() for part in (name, now - budget.window_s * 1000)]
        running, started, used = await self._server.run("activity", self._workspace, len(budgets), *asked)
        return Activity(
            running={action.decode(): int(number) for action, number in zip(running[::2], running[1::2], strict=True)},
            started=tuple(
                Start(action.decode(), from_milliseconds(int(until)), number) for action, until, number in started
            ),
            used=dict(zip(budgets, used, strict=True)),
        )

    def listen(self) -> AbstractContextManager[Listener]:
        """Return a listener for new events."""
        return self._server.bells.listen(key("events_bell", self._workspace))
