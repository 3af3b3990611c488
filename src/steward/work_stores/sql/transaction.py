"""One transaction's view of the work: rows are loaded once, changed in Python, and what changed is written back together.

Every change of state goes through ``move``, which checks the edge, keeps the counts (ready jobs by workspace, open jobs
by plan) and leaves the events to be appended; ``flush`` writes it all. So no verb can forget one of them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import compress
from operator import ne
from typing import Any, Final

from pydantic_core import from_json
from sqlalchemy import Connection

from steward.database.sql import Sql
from steward.event import EventType
from steward.job import MAX_HISTORY, Difference, JobError, JobStatus, differences_as_text
from steward.plan import PlanRecord, PlanStatus
from steward.work_stores.sql import statements, turn_statements
from steward.work_stores.sql.edges import edge_between
from steward.work_stores.sql.event_rows import EventRow
from steward.work_stores.sql.rows import (
    CHANGING,
    NO_TEXTS,
    JobRow,
    PlanRow,
    changing_values,
    encode,
    load,
    unchanged_values,
    values_as_found,
)
from steward.work_stores.sql.turns import OpenPlan, Turns

_ENDED: Final = {
    PlanStatus.COMPLETED: EventType.PLAN_COMPLETED,
    PlanStatus.FAILED: EventType.PLAN_FAILED,
    PlanStatus.CANCELLED: EventType.PLAN_CANCELLED,
    PlanStatus.REJECTED: EventType.PLAN_REJECTED,
    PlanStatus.EXPIRED: EventType.PLAN_EXPIRED,
}
_LIVE: Final = {PlanStatus.RUNNING, PlanStatus.AWAITING_APPROVAL}


def _how_it_ended(statuses: set[str]) -> PlanStatus:
    """Return the state of a plan whose jobs have all ended in these states."""
    if JobStatus.FAILED in statuses:
        return PlanStatus.FAILED
    return PlanStatus.CANCELLED if JobStatus.CANCELLED in statuses else PlanStatus.COMPLETED


class Work(Turns):
    """The rows, counts and events of one transaction."""

    def __init__(self, connection: Connection, now: int, request_id: str | None = None) -> None:
        """Begin on an open connection, at ``now`` milliseconds by the store's clock, for a request if there is one."""
        super().__init__(Sql(connection))
        self.now = now
        self.request_id = request_id
        self.became_ready = False
        self.committed: list[EventRow] = []
        self.last_position: int | None = None
        """Of the last of these, where they follow each other."""
        self.put_plans: list[tuple[str, PlanRecord]] = []
        """What was put in place, each in its workspace."""
        self.depths: dict[str, int] = {}
        self._jobs: dict[str, JobRow] = {}
        self._saved: dict[str, tuple[Any, ...]] = {}
        self._new: list[JobRow] = []
        self._new_plans: list[PlanRow] = []
        self._begun_plans: list[dict[str, Any]] = []
        self._names: list[dict[str, Any]] = []
        self._dirty: dict[str, JobRow] = {}
        self._depth: defaultdict[str, int] = defaultdict(int)
        self._made_room: set[str] = set()
        self._open: defaultdict[str, int] = defaultdict(int)
        self._plan_workspace: dict[str, str] = {}
        self._ends_as: dict[str, PlanStatus] = {}
        self._closed: list[str] = []
        self._events: list[EventRow] = []
        self._plans: dict[str, OpenPlan] = {}

    # -- loading -----------------------------------------------------------------------------------------------------

    def adopt(self, found: Iterable[Any]) -> list[JobRow]:
        """Return job rows for selected rows, the ones this transaction already holds where it does."""
        rows = []
        for item in found:
            row = self._jobs.get(item.job_id)
            if row is None:
                row = self._jobs[item.job_id] = load(JobRow, item)
                self._saved[item.job_id] = values_as_found(item)
            rows.append(row)
        return rows

    def job(self, workspace_id: str, job_id: str) -> JobRow | None:
        """Return one job of a workspace."""
        row = self._jobs.get(job_id)
        if row is not None:
            return row if row.workspace_id == workspace_id else None
        found = self.sql.all(statements.JOB, {"w": workspace_id, "job_id": job_id})
        return next(iter(self.adopt(found)), None)

    def expect(self, job_ids: Iterable[str], *, ends: bool = False) -> None:
        """Load jobs that are going to change. ``ends``: perhaps for good, so what their plans count is asked for as well."""
        ids = {"ids": encode(list(job_ids))}
        found = self.sql.ask(statements.JOBS_BY_ID, ids)
        if ends and not self.sql.one_writer:
            plans = self.sql.all(statements.OPEN_JOBS, ids)
            self._plans.update({row.plan_id: OpenPlan(*row) for row in plans})
        self.adopt(found())

    def job_by_id(self, job_id: str) -> JobRow | None:
        """Return the job with this id, usually one that is here already; the caller checks the workspace."""
        return self._jobs.get(job_id) or self.jobs_by_id([job_id]).get(job_id)

    def jobs_by_id(self, job_ids: Iterable[str]) -> dict[str, JobRow]:
        """Return the jobs with these ids; the caller checks the workspace."""
        wanted = list(job_ids)
        missing = [job_id for job_id in wanted if job_id not in self._jobs]
        if missing:
            self.adopt(self.sql.all(statements.JOBS_BY_ID, {"ids": encode(missing)}))
        return {job_id: self._jobs[job_id] for job_id in wanted if job_id in self._jobs}

    def dependents(self, row: JobRow) -> list[JobRow]:
        """Return the jobs that need this one."""
        return [] if row.dependents == NO_TEXTS else list(self.jobs_by_id(from_json(row.dependents)).values())

    def plan_jobs(self, workspace_id: str, plan_id: str) -> list[JobRow]:
        """Return all jobs of a plan, in step order."""
        return self.adopt(self.sql.all(statements.JOBS_OF_PLAN, {"w": workspace_id, "plan_id": plan_id}))

    # -- changing ----------------------------------------------------------------------------------------------------

    def add(self, row: JobRow) -> None:
        """Put a new job in place."""
        self._jobs[row.job_id] = row
        self._new.append(row)
        self._plan_workspace[row.plan_id] = row.workspace_id
        if row.status == JobStatus.PENDING:
            self._depth[row.workspace_id] += 1

    def add_plan(self, row: PlanRow, plan: PlanRecord) -> None:
        """Put a new plan in place."""
        self._new_plans.append(row)
        self.put_plans.append((row.workspace_id, plan))

    def begin_plan(self, values: dict[str, Any]) -> None:
        """Take a draft over."""
        self._begun_plans.append(values)

    def remember(self, name: dict[str, Any]) -> None:
        """Remember a name that a request has of its own."""
        self._names.append(name)

    def touch(self, row: JobRow) -> None:
        """Remember that a row changed."""
        self._dirty[row.job_id] = row

    def move(self, row: JobRow, status: JobStatus, event: EventType, *, actor: str | None = None, **facts: Any) -> None:
        """Bring a job to another state and note the event; refuse an edge that is not drawn."""
        edge = edge_between(row.status, status)
        row.status = edge.word
        if edge.leaves_running:
            row.worker_id = row.lease_until = row.claimed_at = row.dispatched_at = None
            row.cancel_requested = False
            self._made_room.add(row.workspace_id)
        if status is not JobStatus.HELD:
            row.held_for = None
        ends = edge.ends
        if edge.ready:
            self._depth[row.workspace_id] += edge.ready
        if edge.open:
            self._open[row.plan_id] += edge.open
            self._plan_workspace[row.plan_id] = row.workspace_id
        row.finished_at = self.now if ends else None
        self._dirty[row.job_id] = row
        if ends:
            if row.started_at is not None:
                facts["duration_ms"] = self.now - row.started_at
            facts["latency_ms"] = self.now - row.enqueued_at
        self.note_job(event, row, actor=actor, **facts)

    def open_more(self, plan_id: str, number: int) -> None:
        """Count jobs that a plan has got."""
        self._open[plan_id] += number

    def end_attempt(
        self, row: JobRow, outcome: str, error: JobError | None = None, differences: Sequence[Difference] = ()
    ) -> None:
        """Write the attempt under way into the job's history."""
        history = [] if row.history == NO_TEXTS else from_json(row.history)
        history.append(
            {
                "number": row.attempts,
                "fence": row.fence,
                "worker_id": row.worker_id or "",
                "started_at": row.claimed_at or self.now,
                "dispatched_at": row.dispatched_at,
                "finished_at": self.now,
                "outcome": outcome,
                "error": None if error is None else error.as_dict(),
                **({"differences": differences_as_text(differences)} if differences else {}),
            }
        )
        row.history = encode(history[-MAX_HISTORY:])

    def note_job(self, event: EventType, row: JobRow, *, actor: str | None = None, **facts: Any) -> None:
        """Leave an event about a job."""
        data = {
            "step_id": row.step_id,
            "action_id": row.action_id,
            "status": row.status,
            "attempt": row.attempts,
            **facts,
        }
        self.note(event, row.workspace_id, row.plan_id, row.job_id, actor, data)

    def note(  # noqa: PLR0917 - an event is as wide as this
        self,
        event: EventType,
        workspace_id: str,
        plan_id: str | None,
        job_id: str | None,
        actor: str | None,
        data: Mapping[str, Any],
    ) -> None:
        """Leave an event to be appended."""
        if actor is not None and self.request_id is not None:
            data = {"request_id": self.request_id, **data}
        self._events.append(EventRow(workspace_id, 0, str(event), self.now, actor, plan_id, job_id, encode(data), data))

    def plan_ends_as(self, plan_id: str, status: PlanStatus) -> None:
        """Say how a plan will have ended if this transaction closes its last job (else its jobs tell)."""
        self._ends_as[plan_id] = status

    # -- writing -----------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write everything back. May be called more than once."""
        with self.sql.as_one():
            self._put_plans()
            self._count_open()
            self._add_jobs()
            self._save_jobs()
            for plan_id in self._closed:
                self._end_plan(plan_id)
            self._closed = []
            self._append_events()

    def put_new(self, workspace_id: str) -> Callable[[], bool]:
        """Write what was added to a workspace in one statement; return what says, once that is committed, whether it was.

        Nothing is written if a plan or a name is known already, or the workspace has no row yet.
        """
        delta = self._depth.pop(workspace_id, 0)
        written = self.insert_in_turn(
            workspace_id, delta, plans=self._new_plans, names=self._names, jobs=self._new, events=self._events
        )
        events, self._events, self._new_plans, self._names, self._new = self._events, [], [], [], []

        def done() -> bool:
            after = written()
            if after is None:
                return False
            for event in events:
                event.sequence += after.event_sequence
            self.committed, self.depths[workspace_id] = events, after.depth
            self.became_ready = delta > 0
            return True

        return done

    def _put_plans(self) -> None:
        self.sql.run_for_each(statements.ADD_PLAN, self._new_plans)
        self.sql.run_many(statements.START_PLAN, self._begun_plans)
        self.sql.run_many(statements.ADD_CLAIM, self._names)
        self._new_plans, self._begun_plans, self._names = [], [], []

    def _add_jobs(self) -> None:
        if self._new:
            self.sql.run_for_each(statements.ADD_JOBS, self._new)
            self._saved.update((row.job_id, changing_values(row)) for row in self._new)
            self._new = []

    def _save_jobs(self) -> None:
        if not self._dirty:
            return
        alike: dict[tuple[str, ...], list[JobRow]] = {}
        same, rows = None, []
        for job_id, row in self._dirty.items():
            before, values = self._saved[job_id], changing_values(row)
            if same is None or same(before) != same(values):  # else: no more has changed than of the one before
                changed = tuple(compress(CHANGING, map(ne, values, before)))
                same, rows = unchanged_values(changed), alike.setdefault(changed, [])
            rows.append(row)
            self._saved[job_id] = values
        for changed, rows in alike.items():
            if changed:
                self.sql.run_for_each(statements.save_job(changed), rows)
        self._dirty = {}

    def _count_open(self) -> None:
        """Count jobs that ended or came back."""
        changes = [{"key": plan_id, "delta": delta} for plan_id, delta in self._open.items() if delta]
        self._open.clear()
        if not changes:
            return
        known = all(each["key"] in self._plans for each in changes)
        left = self._change_known(changes) if known else self.sql.all_many(statements.CHANGE_OPEN_JOBS, changes)
        ended = [each for each in left if not each.open_jobs and each.status in _LIVE]
        self._move_plans([found for each in ended if (found := self._ended_alone(each))])

    def _change_known(self, changes: Sequence[dict[str, Any]]) -> list["OpenPlan"]:
        """Count as ``_count_open``, of plans whose counts are known, without waiting for an answer."""
        self.sql.ask_many(statements.CHANGE_OPEN_JOBS, changes)
        for each in changes:
            self._plans[each["key"]].open_jobs += each["delta"]
        return [self._plans[each["key"]] for each in changes]

    def _ended_alone(self, plan: Any) -> tuple[str, str, PlanStatus] | None:
        """Return how a plan of one job has ended, the usual case; others are looked at once their jobs are written."""
        job_ids = from_json(plan.job_ids)
        only = self._jobs.get(job_ids[0]) if len(job_ids) == 1 else None
        if only is None or only.expanded:
            self._closed.append(plan.plan_id)
            return None
        status = self._ends_as.get(plan.plan_id) or _how_it_ended({only.status})
        if status is not PlanStatus.FAILED:
            only.result_sealed = None
            self.touch(only)
        return plan.plan_id, only.workspace_id, status

    def _end_plan(self, plan_id: str) -> None:
        found = self.sql.scalars(statements.STATUSES_OF_PLAN, {"plan_id": plan_id})
        status = self._ends_as.get(plan_id) or _how_it_ended(set(found))
        self.set_plan_status(plan_id, self._plan_workspace[plan_id], status)

    def set_plan_status(self, plan_id: str, workspace_id: str, status: PlanStatus, *, actor: str | None = None) -> None:
        """Move a plan and note the event; what nobody can need again is dropped when it ends other than by failing."""
        if status in _ENDED and status is not PlanStatus.FAILED:
            self.sql.run(statements.DROP_SEALED_RESULTS, {"key": plan_id})
        self._move_plans([(plan_id, workspace_id, status)], actor=actor)

    def _move_plans(self, moves: Sequence[tuple[str, str, PlanStatus]], *, actor: str | None = None) -> None:
        self.sql.run_many(
            statements.SET_PLAN_STATUS,
            [
                {
                    "key": plan_id,
                    "new_status": str(status),
                    "finished": self.now if status in _ENDED else None,
                    "keep_body": status not in _ENDED or status is PlanStatus.FAILED,
                }
                for plan_id, _, status in moves
            ],
        )
        for plan_id, workspace_id, status in moves:
            if plan_id in self._plans:
                self._plans[plan_id].status = status
            self.note(
                _ENDED.get(status, EventType.PLAN_RESUMED), workspace_id, plan_id, None, actor, {"status": status}
            )

    def _append_events(self) -> None:
        if not self._events and not self._depth:
            return
        counts: defaultdict[str, int] = defaultdict(int)
        for event in self._events:
            counts[event.workspace_id] += 1
        following: dict[str, int] = {}
        mine = self.mine()
        for workspace_id in counts.keys() | self._depth.keys():
            count, delta = counts[workspace_id], self._depth[workspace_id]
            if not count and not delta:
                continue
            change = {"w": workspace_id, "depth": delta, "events": count}
            after: Any = mine.get(workspace_id)
            if after is None:
                after = self.sql.one(statements.BUMP_QUEUE, change)
            else:
                self.sql.run(turn_statements.COUNT, change)
                after.depth += delta
                after.event_sequence += count
            following[workspace_id] = after.event_sequence - count
            self.depths[workspace_id] = after.depth
            may_start = delta > 0 or (after.capped and workspace_id in self._made_room)
            self.became_ready = self.became_ready or (may_start and after.depth > 0)
        self._depth.clear()
        for event in self._events:
            following[event.workspace_id] += 1
            event.sequence = following[event.workspace_id]
        if self._events:
            self.sql.run_for_each(statements.ADD_EVENTS, self._events)
            self.last_position = self.sql.last_row() if self.sql.one_writer else None
        self.committed += self._events
        self._events = []
