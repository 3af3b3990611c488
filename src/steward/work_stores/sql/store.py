"""The SQL engine's two faces. Each verb is a plain function over one transaction; here they meet threads and time."""

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection

from steward.approval import Approval, ApprovalStatus, Verdict
from steward.caps import NO_BUDGETS, NO_CAPS, Activity, Budgets, Caps
from steward.clock import Clock
from steward.database import Bell, Database, bell_for
from steward.database.glance import WouldWait
from steward.database.migrate import upgrade
from steward.database.sql import Sql
from steward.database.under_way import ALL, settled_position
from steward.digest import CanonicalJson
from steward.event import Event, EventSink, LogEnds
from steward.identity import Principal
from steward.ids import IdFactory
from steward.job import Difference, HeldFor, Job, JobStatus
from steward.plan import PlanRecord, PlanStatus
from steward.spending import NO_SPENDING, Spending
from steward.work_store import (
    Answer,
    ApprovalPage,
    Claimed,
    EventPage,
    IdempotencyClaim,
    JobPage,
    LeaseRef,
    Listener,
    PlanPage,
    Settlement,
    Submission,
    Submitted,
    Swept,
)
from steward.work_stores.sql import capped, claim, control, housekeeping, moving, reading, statements, submit
from steward.work_stores.sql.rows import JobRow
from steward.work_stores.sql.shared import EVENTS, WORK, Shared, request_id
from steward.work_stores.sql.submit import Asked

T = TypeVar("T")


class SqlWorkStore:
    """``WorkStore`` over SQL; see the contract for what each verb promises."""

    def __init__(self, engine: Shared, principal: Principal) -> None:
        """Open for ``principal``."""
        self._engine = engine
        self._principal = principal

    @property
    def principal(self) -> Principal:
        """Whom it was opened for."""
        return self._principal

    @property
    def _workspace(self) -> str:
        return self._principal.workspace_id

    async def _change(self, verb: Callable[..., T], *args: Any, **more: Any) -> T:
        return await self._engine.change(
            lambda work: verb(work, self._principal, *args, **more), tenant=self._workspace
        )

    async def _read(self, query: Callable[..., T], *args: Any, **more: Any) -> T:
        def run(connection: Connection) -> T:
            return query(Sql(connection), self._workspace, *args, **more)

        return await self._piped(run)

    async def _piped(self, run: Callable[[Connection], T]) -> T:
        return await self._engine.database.read(run, tenant=self._workspace, piped=True)

    async def draft(self, plan: PlanRecord) -> None:
        """Keep a plan that nobody has executed."""
        await self._change(submit.draft, plan)

    async def submit(self, submission: Submission) -> Submitted:
        """Put a submission in place, or return the original."""
        return await self._engine.submit(Asked(self._principal, submission, request_id()))

    async def find(self, claims: Sequence[IdempotencyClaim]) -> Submitted | None:
        """Return the original of a request by its claims alone."""
        return await self._change(submit.find, claims)

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
        return await self._change(
            control.decide_approval, approval_id, digest, verdict, comment, same_person=same_person
        )

    async def cancel_job(self, job_id: str) -> Job:
        """Cancel a job."""
        return await self._change(control.cancel_job, job_id)

    async def cancel_plan(self, plan_id: str) -> PlanRecord:
        """Cancel a plan."""
        return await self._change(control.cancel_plan, plan_id)

    async def retry_job(self, job_id: str) -> Job:
        """Try a failed job again."""
        return await self._change(control.retry_job, job_id)

    async def resolve_job(self, job_id: str, outcome: Literal["completed", "failed"], note: str) -> Job:
        """Settle an unknown outcome by hand."""
        return await self._change(control.resolve_job, job_id, completed=outcome == "completed", note=note)

    async def get_plan(self, plan_id: str) -> PlanRecord | None:
        """Return one plan."""
        return await self._read(reading.get_plan, plan_id, self._engine.now)

    async def get_job(self, job_id: str) -> Job | None:
        """Return one job."""
        return await self._read(reading.get_job, job_id)

    async def get_approval(self, approval_id: str) -> Approval | None:
        """Return one approval."""
        return await self._read(reading.get_approval, approval_id)

    async def plan_jobs(self, plan_id: str) -> tuple[Job, ...]:
        """Return a plan's jobs in step order."""
        return await self._read(reading.plan_jobs, plan_id)

    async def list_jobs(
        self, *, limit: int, after: str | None = None, status: JobStatus | None = None, plan_id: str | None = None
    ) -> JobPage:
        """Return a page of jobs, newest first."""
        asked = reading.JobsAsked(
            workspace_id=self._workspace, limit=limit, after=after, status=status, plan_id=plan_id
        )
        page = await self._page(asked)
        return await self._piped(asked.one_by_one) if page is None else page

    async def _page(self, asked: reading.JobsAsked) -> JobPage | None:
        if asked.is_short:
            with suppress(WouldWait):
                return self._engine.database.at_once(asked)
        return await self._piped(asked)

    async def list_plans(self, *, limit: int, after: str | None = None, status: PlanStatus | None = None) -> PlanPage:
        """Return a page of plans, newest first."""
        return await self._read(reading.list_plans, self._engine.now, limit=limit, after=after, status=status)

    async def list_approvals(
        self, *, limit: int, after: str | None = None, status: ApprovalStatus = ApprovalStatus.PENDING
    ) -> ApprovalPage:
        """Return a page of approvals, newest first."""
        return await self._read(reading.list_approvals, limit=limit, after=after, status=status)

    async def plan_approvals(self, plan_id: str) -> tuple[Approval, ...]:
        """Return the approvals of a plan and of its steps."""
        return await self._read(reading.plan_approvals, plan_id)

    async def queue_depth(self) -> int:
        """Return how many jobs are ready."""
        return await self._read(reading.queue_depth)

    async def events_after(self, event_id: str | None, *, limit: int, plan_id: str | None = None) -> EventPage:
        """Return events after one of them."""
        return await self._read(reading.events_after, event_id, self._engine.now, limit=limit, plan_id=plan_id)

    async def activity(self, budgets: Budgets = NO_BUDGETS) -> Activity:
        """Return what caps and these budgets count now."""
        return await self._read(capped.activity, self._engine.now, budgets)

    def listen(self) -> AbstractContextManager[Listener]:
        """Return a listener for new events."""
        return self._engine.bell.listen(EVENTS, self._workspace)


class SqlDispatcher:
    """``Dispatcher`` over SQL; see the contract for what each verb promises."""

    piece = 250

    def __init__(self, engine: Shared) -> None:
        """Serve the whole installation."""
        self._engine = engine

    @property
    def parts(self) -> int:
        """One: each claim is a flush to the disk, and costs the same however many jobs it takes."""
        return 1

    def _open_for(self, row: JobRow) -> SqlWorkStore:
        actor = Principal(row.actor_id, row.workspace_id, frozenset(), frozenset())
        return SqlWorkStore(self._engine, actor)

    async def claim(self, worker_id: str, *, limit: int, caps: Mapping[str, Caps] = NO_CAPS) -> Claimed:
        """Take ready jobs, fairly between workspaces and within their caps."""
        return await self._engine.change(lambda work: claim.claim(work, worker_id, limit, self._open_for, caps))

    async def dispatch(
        self, refs: Sequence[LeaseRef], spends: Mapping[LeaseRef, Spending] = NO_SPENDING
    ) -> tuple[Answer, ...]:
        """Record that effects may now happen, and reserve what they take."""
        return await self._engine.change(lambda work: claim.dispatch(work, refs, spends))

    async def renew(self, refs: Sequence[LeaseRef]) -> tuple[Answer, ...]:
        """Extend leases."""
        return await self._engine.change(lambda work: claim.renew(work, refs))

    async def settle(self, settlements: Sequence[Settlement]) -> tuple[Answer, ...]:
        """End attempts."""
        return await self._engine.change(lambda work: claim.settle(work, settlements))

    async def hold(
        self,
        ref: LeaseRef,
        held_for: HeldFor,
        reason: str,
        approval: Approval | None,
        differences: Sequence[Difference] = (),
    ) -> Answer:
        """Put a claimed job aside."""
        return await self._engine.change(
            lambda work: claim.hold(work, ref, held_for, reason, approval=approval, differences=differences)
        )

    async def sweep(self) -> Swept:
        """Recover lost leases; expire approvals and drafts."""
        return await self._engine.change(housekeeping.sweep)

    async def purge(self, retention_s: int, *, archived: int | None = None) -> int:
        """Delete plans that ended long ago."""
        gone = 0
        while batch := await self._engine.change(lambda work: housekeeping.purge(work, retention_s * 1000, archived)):
            gone += batch
        return gone

    async def depth(self) -> Mapping[str, int]:
        """Return ready jobs by workspace."""
        found = await self._engine.database.read(lambda connection: Sql(connection).all(statements.DEPTHS))
        return {row.workspace_id: row.depth for row in found}

    async def events_after(self, position: int, *, limit: int) -> tuple[Event, ...]:
        """Return every workspace's events after a position."""
        found = self._engine.recent.after(position, limit)
        if found is not None:
            return found
        database = self._engine.database
        settled = (
            ALL  # unless several write at once: then it is asked for in a snapshot of its own, before the one below
        )
        if database.kind.writers > 1:
            settled = await database.read(settled_position)
        values, now = {"after": position, "settled": settled, "limit": limit}, self._engine.now

        return await database.read(lambda connection: reading.told_events(Sql(connection), values, now), piped=True)

    @contextmanager
    def hear_events(self) -> Iterator[Listener]:
        """Yield a listener for events; meanwhile this process keeps those that it makes itself at hand."""
        with self._engine.recent.kept(), self._engine.bell.listen(EVENTS) as listener:
            yield listener

    async def shown_plans(self, named: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], CanonicalJson]:
        """Return what was shown of some plans."""
        at_hand = self._engine.recent.plans.shown(named)
        missing = set(named) - at_hand.keys()
        if not missing:
            return at_hand
        read = await self._engine.database.read(
            lambda connection: reading.shown_plans(Sql(connection), missing), piped=True
        )
        return {**at_hand, **read}

    def listen(self) -> AbstractContextManager[Listener]:
        """Return a listener for ready jobs."""
        return self._engine.bell.listen(WORK)


class SqlWorkEngine:
    """``WorkEngine`` over SQL."""

    def __init__(self, database: Database, bell: Bell, clock: Clock, sinks: Sequence[EventSink] = ()) -> None:
        """Use an open, migrated database."""
        self._engine = Shared(database, bell, clock, tuple(sinks))
        self._dispatcher = SqlDispatcher(self._engine)

    def open(self, principal: Principal) -> SqlWorkStore:
        """Return the work of the principal's workspace."""
        return SqlWorkStore(self._engine, principal)

    @property
    def dispatcher(self) -> SqlDispatcher:
        """The installation's face."""
        return self._dispatcher

    async def ping(self) -> None:
        """Return if the database answers and has the store's tables."""
        await self._engine.database.ping()
        await self._engine.database.read(lambda connection: reading.queue_depth(Sql(connection), ""))

    async def holds_work(self) -> bool:
        """Say whether anything is under way here, or a request would be known again."""
        return await self._engine.database.read(lambda connection: moving.holds_work(Sql(connection)))

    async def log_ends(self) -> LogEnds:
        """Return where the log stands."""
        return await self._engine.database.read(lambda connection: moving.log_ends(Sql(connection)))

    async def continue_after(self, ends: LogEnds) -> None:
        """Let the log go on after another one; where it does already, nothing is written and no other writer waited for."""
        here = await self.log_ends()
        if here.position < ends.position or ends.sequences:
            await self._engine.database.write(lambda connection: moving.continue_after(connection, ends))


@asynccontextmanager
async def open_sql_engine(
    database_url: str, *, clock: Clock, ids: IdFactory, home: Path | None, sinks: Sequence[EventSink] = ()
) -> AsyncIterator[SqlWorkEngine]:
    """Open, migrate and finally close a database of its own for an engine: for tests and tools."""
    del ids  # the engine makes no ids of its own; other engines may
    database = Database(database_url)
    bell = bell_for(database, home)
    try:
        upgrade(database)
        yield SqlWorkEngine(database, bell, clock, sinks)
    finally:
        await database.aclose()
        bell.close()
