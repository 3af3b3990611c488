"""Makes what the contract's verbs take, and carries the few moves that most tests share.

Sealed bytes are arbitrary here: a store never looks inside. Ids are minted with the test's own clock.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from steward.action import Effect, RetryMode
from steward.approval import Approval, ApprovalStatus
from steward.caps import NO_CAPS, Caps
from steward.event import Event, EventType, event_id
from steward.identity import Principal, Role, Scope
from steward.ids import IdFactory, namesake
from steward.job import Completed, Failed, HeldFor, Job, JobError, JobStatus, NewJob, Outcome, TryAgain, Unknown
from steward.plan import PlanRecord, PlanStatus
from steward.work_store import (
    APPROVAL_S,
    DRAFT_S,
    Answer,
    Dispatcher,
    Granted,
    IdempotencyClaim,
    Lease,
    LeaseRef,
    Settlement,
    Submission,
    Submitted,
    WorkEngine,
    WorkStore,
)
from steward.work_stores.sql import open_sql_engine
from tests.conftest import FakeClock


def principal(workspace_id: str, actor_id: str) -> Principal:
    """Return somebody who may do everything in one workspace."""
    return Principal(actor_id, workspace_id, frozenset({Role.ADMIN}), frozenset(Scope))


ALPHA = principal("alpha", "key_0000000000000000000alpha")
COLLEAGUE = principal("alpha", "key_00000000000000colleague0")
BETA = principal("beta", "key_00000000000000000000beta")


def done(
    result: Any = None, sealed: bytes | None = b"sealed result", labels: Mapping[str, Any] | None = None
) -> Completed:
    """Return the outcome of an action that did what was asked."""
    return Completed({"ok": True} if result is None else result, sealed, labels or {})


def failure(code: str = "far_end_refused") -> Failed:
    """Return the outcome of an action that was certainly not done."""
    return Failed(JobError(code, "The far end said no."))


def doubt(code: str = "timed_out") -> Unknown:
    """Return the outcome of an action that may have been done."""
    return Unknown(JobError(code, "No answer after the data was sent."))


def again(at: datetime, *, doubtful: bool = False) -> TryAgain:
    """Return the outcome of an attempt that another one follows; ``doubtful``: it may have had its effect."""
    return TryAgain(JobError("busy", "The far end is busy.", retryable=True), at, doubtful)


def request_claim(key: str, payload: str = "a") -> IdempotencyClaim:
    """Return a client's name for a whole request; ``payload`` stands for what was asked."""
    return IdempotencyClaim("request", key, (payload.ljust(64, "0"),))


def action_claim(key: str, step_index: int = 0, payload: str = "a") -> IdempotencyClaim:
    """Return a client's name for one action of a request."""
    return IdempotencyClaim("action", key, (payload.ljust(64, "0"),), step_index)


class Ear:
    """A sink that remembers what it was told."""

    def __init__(self) -> None:
        """Start with nothing heard."""
        self.heard: list[Event] = []

    def __call__(self, event: Event) -> None:
        """Remember ``event``."""
        self.heard.append(event)


class World:
    """An opened engine, its clock, and short ways to move work along. Claimed leases are remembered by job id."""

    def __init__(self, engine: WorkEngine, clock: FakeClock) -> None:
        """Look at ``engine``, whose clock is ``clock``."""
        self.engine = engine
        self.clock = clock
        self.ids = IdFactory(clock)
        self.leases: dict[str, Lease] = {}

    @property
    def dispatcher(self) -> Dispatcher:
        """The installation's face."""
        return self.engine.dispatcher

    @property
    def alpha(self) -> WorkStore:
        """The first workspace."""
        return self.engine.open(ALPHA)

    @property
    def beta(self) -> WorkStore:
        """The second workspace."""
        return self.engine.open(BETA)

    def at(self, seconds: float) -> datetime:
        """Return the time ``seconds`` from now."""
        return self.clock.now() + timedelta(seconds=seconds)

    # What the verbs take.

    def plan(self, *, who: Principal = ALPHA, **changes: Any) -> PlanRecord:
        """Return a draft with a fresh id, an hour to live and a sealed body."""
        plan_id = self.ids.new("plan")
        fields: dict[str, Any] = {
            "plan_id": plan_id,
            "workspace_id": who.workspace_id,
            "actor_id": who.actor_id,
            "status": PlanStatus.DRAFT,
            "digest": "d" * 64,
            "document": {"prompt": "Tell the office", "steps": [{"id": "s1"}], "meta": {"planner": "test"}},
            "body_sealed": f"body of {plan_id}".encode(),
            "created_at": self.clock.now(),
            "expires_at": self.at(DRAFT_S),
            "request_id": f"req-{plan_id}",
        }
        return PlanRecord(**(fields | changes))

    def job(self, step_id: str = "s1", *depends_on: str, **changes: Any) -> NewJob:
        """Return a job for one step with a fresh id: a write that nobody can repeat safely, unless told otherwise."""
        job_id = self.ids.new("job")
        fields: dict[str, Any] = {
            "job_id": job_id,
            "step_id": step_id,
            "action_id": "email.send",
            "definition_hash": "a" * 64,
            "digest": "b" * 64,
            "params_sealed": f"params of {job_id}".encode(),
            "depends_on": depends_on,
            "effect": Effect.WRITE,
            "retry": RetryMode.NONE,
            "max_attempts": 5,
            "key_valid_s": 3600.0,
        }
        return NewJob(**(fields | changes))

    def approval(self, plan_id: str, job_id: str | None = None, *, who: Principal = ALPHA, **changes: Any) -> Approval:
        """Return a pending approval of a plan, or of one step of it, with a fresh id."""
        fields: dict[str, Any] = {
            "approval_id": self.ids.new("apr"),
            "workspace_id": who.workspace_id,
            "plan_id": plan_id,
            "job_id": job_id,
            "digest": "c" * 64,
            "status": ApprovalStatus.PENDING,
            "reason": "It goes to somebody outside.",
            "rule": "external-mail",
            "detail": {"to": "office@example.com"},
            "requested_by": who.actor_id,
            "created_at": self.clock.now(),
            "expires_at": self.at(APPROVAL_S),
        }
        return Approval(**(fields | changes))

    def submission(
        self,
        *jobs: NewJob,
        who: Principal = ALPHA,
        plan: PlanRecord | None = None,
        claims: Sequence[IdempotencyClaim] = (),
        approved: bool = True,
    ) -> Submission:
        """Return a submission of ``jobs`` (one independent job if none are given); not ``approved``: it asks first."""
        plan = plan or self.plan(who=who)
        return Submission(
            plan=plan,
            jobs=jobs or (self.job(job_id=namesake(plan.plan_id, "job")),),
            idempotency=tuple(claims),
            approval=None if approved else self.approval(plan.plan_id, who=who),
        )

    # Moves.

    async def submit(self, *jobs: NewJob, who: Principal = ALPHA, **options: Any) -> Submitted:
        """Submit jobs as a plan of their own and return what became of it."""
        return await self.engine.open(who).submit(self.submission(*jobs, who=who, **options))

    async def claim(
        self, limit: int = 1000, worker_id: str = "worker-1", caps: Mapping[str, Caps] = NO_CAPS
    ) -> tuple[Lease, ...]:
        """Claim, remember the leases, and return the new ones."""
        claimed = await self.dispatcher.claim(worker_id, limit=limit, caps=caps)
        self.leases |= {lease.job.job_id: lease for lease in claimed.leases}
        return claimed.leases

    async def start(self, job_id: str) -> Lease:
        """Claim everything that is ready and return the lease of this job, which must be among it."""
        taken = {lease.job.job_id: lease for lease in await self.claim()}
        assert job_id in taken, f"{job_id} was not ready"
        return taken[job_id]

    async def dispatch(self, lease: Lease) -> Answer:
        """Record that the effect may now happen."""
        (answer,) = await self.dispatcher.dispatch([lease.ref])
        return answer

    async def settle(self, lease: Lease | LeaseRef, outcome: Outcome) -> Answer:
        """End one attempt."""
        ref = lease.ref if isinstance(lease, Lease) else lease
        known = self.leases.get(ref.job_id)
        if known is not None and known.ref == ref:
            del self.leases[ref.job_id]
        (answer,) = await self.dispatcher.settle([Settlement(ref, outcome)])
        return answer

    async def run(self, job_id: str, outcome: Outcome | None = None) -> Job:
        """Take a ready or already claimed job through dispatch to its end and return its record."""
        lease = self.leases.get(job_id) or await self.start(job_id)
        granted = await self.dispatch(lease)
        assert isinstance(granted, Granted), granted
        answer = await self.settle(lease, outcome or done())
        assert isinstance(answer, Granted), answer
        return answer.job

    # Looks.

    async def job_of(self, job_id: str, who: Principal = ALPHA) -> Job:
        """Return a job that must exist."""
        job = await self.engine.open(who).get_job(job_id)
        assert job is not None
        return job

    async def plan_of(self, plan_id: str, who: Principal = ALPHA) -> PlanRecord:
        """Return a plan that must exist."""
        plan = await self.engine.open(who).get_plan(plan_id)
        assert plan is not None
        return plan

    async def approval_of(self, approval_id: str | None, who: Principal = ALPHA) -> Approval:
        """Return an approval that must exist."""
        assert approval_id is not None
        approval = await self.engine.open(who).get_approval(approval_id)
        assert approval is not None
        return approval

    async def statuses(self, submitted: Submitted, who: Principal = ALPHA) -> list[JobStatus]:
        """Return the statuses of a plan's jobs, in step order."""
        return [job.status for job in await self.engine.open(who).plan_jobs(submitted.plan_id)]

    async def log(self, who: Principal = ALPHA) -> tuple[Event, ...]:
        """Return every event of a workspace that nothing was purged from."""
        page = await self.engine.open(who).events_after(event_id(0), limit=100_000)
        assert not page.gap
        return page.events

    async def kinds(self, subject: str, who: Principal = ALPHA) -> list[EventType]:
        """Return what happened to one job, or (for a plan id) to the plan itself, in order."""
        events = await self.log(who)
        if subject.startswith("job_"):
            return [event.type for event in events if event.job_id == subject]
        return [event.type for event in events if event.plan_id == subject and event.type.startswith("plan.")]

    async def visible(self, who: Principal = ALPHA) -> dict[str, Any]:
        """Return everything one workspace can see, to compare before and after."""
        store = self.engine.open(who)
        jobs = await store.list_jobs(limit=100)
        plans = await store.list_plans(limit=100)
        assert jobs.next_after is None, "too much for one look"
        return {
            "jobs": jobs,
            "plans": plans,
            "approvals": [await store.get_approval(plan.approval_id) for plan in plans.plans if plan.approval_id],
            "inbox": await store.list_approvals(limit=100),
            "depth": await store.queue_depth(),
            "events": await self.log(who),
        }


async def held(world: World, submitted: Submitted, index: int = 0) -> tuple[Lease, str]:
    """Claim a step and hold it for a person."""
    lease = await world.start(submitted.job_ids[index])
    approval = world.approval(submitted.plan_id, lease.job.job_id)
    answer = await world.dispatcher.hold(lease.ref, HeldFor.APPROVAL, "The address came from a page.", approval)
    assert isinstance(answer, Granted)
    return lease, approval.approval_id


async def asking(world: World) -> tuple[Submitted, str]:
    """Submit a plan of three steps that needs a yes: ready, dependent, scheduled."""
    submitted = await world.submit(
        world.job("s1"), world.job("s2", "s1"), world.job("s3", not_before=world.at(60)), approved=False
    )
    assert submitted.approval_id
    return submitted, submitted.approval_id


@asynccontextmanager
async def opened(tmp_path: Path, clock: FakeClock) -> AsyncIterator[World]:
    """Open the work of a file, as a process does."""
    url = f"sqlite+pysqlite:///{tmp_path / 'steward.db'}"
    async with open_sql_engine(url, clock=clock, ids=IdFactory(clock), home=tmp_path) as engine:
        yield World(engine, clock)
