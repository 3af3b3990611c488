"""Reads: one thing by id, pages walked down an index, and the event log. All inside one workspace."""

import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from sqlite3 import OperationalError
from typing import Any, Final

import structlog
from pydantic_core import from_json
from sqlalchemy import Connection, Select

from steward.approval import Approval, ApprovalStatus
from steward.clock import from_milliseconds
from steward.database.lines import lines_of
from steward.database.sql import DAMAGE, Sql
from steward.database.tables import events
from steward.digest import CanonicalJson
from steward.event import Event, event_id, event_sequence, unreadable_event
from steward.job import Job, JobStatus, ListedJob
from steward.plan import UNREADABLE_DOCUMENT, PlanRecord, PlanStatus, shown_of_plan
from steward.work_store import ApprovalPage, EventPage, JobPage, PlanPage
from steward.work_stores.sql import statements
from steward.work_stores.sql.event_rows import read_event
from steward.work_stores.sql.listed import listed, listed_one_by_one
from steward.work_stores.sql.rows import (
    ApprovalRow,
    JobRow,
    PlanRow,
    encode,
    load,
    shown_job,
    to_approval,
    to_plan,
)
from steward.work_stores.sql.told_statements import ALL_EVENTS_AFTER

_NEWEST: Final = "~"
"""Sorts after every id."""
_SHORT: Final = 50
"""Jobs of a page that is read at once, where that can be."""
_EVENT: Final = tuple(column.name for column in events.c)
_log = structlog.get_logger("steward.store")


def get_plan(sql: Sql, workspace_id: str, plan_id: str, now: int) -> PlanRecord | None:
    """Return one plan."""
    found = sql.first(statements.PLANS, {"w": workspace_id, "ids": encode([plan_id])})
    return None if found is None else to_plan(load(PlanRow, found), now)


def shown_plans(sql: Sql, named: Collection[tuple[str, str]]) -> dict[tuple[str, str], CanonicalJson]:
    """Return what was shown of some plans, each of a workspace."""
    found = sql.all(statements.PLANS_SHOWN, {"ids": encode([plan_id for _, plan_id in named])})
    return {
        (workspace_id, plan_id): shown_of_plan(digest, _document(plan_id, document))
        for workspace_id, plan_id, digest, document in found
        if (workspace_id, plan_id) in named
    }


def _document(plan_id: str, text: str) -> Mapping[str, Any]:
    """Return a plan's document, or what stands for one that is damaged."""
    try:
        return {**from_json(text)}  # which refuses what is no object
    except DAMAGE:
        _log.warning("A plan's record is damaged.", action="unreadable_record", plan_id=plan_id)
        return UNREADABLE_DOCUMENT


def get_job(sql: Sql, workspace_id: str, job_id: str) -> Job | None:
    """Return one job."""
    found = sql.first(statements.JOB, {"w": workspace_id, "job_id": job_id})
    return None if found is None else shown_job(load(JobRow, found))


def get_approval(sql: Sql, workspace_id: str, approval_id: str) -> Approval | None:
    """Return one approval."""
    key = {"w": workspace_id, "approval_id": approval_id}
    found = sql.first(statements.APPROVAL, key)
    return None if found is None else to_approval(load(ApprovalRow, found))


def plan_jobs(sql: Sql, workspace_id: str, plan_id: str) -> tuple[Job, ...]:
    """Return a plan's jobs in step order."""
    found = sql.all(statements.JOBS_OF_PLAN, {"w": workspace_id, "plan_id": plan_id})
    return tuple(shown_job(load(JobRow, item)) for item in found)


def queue_depth(sql: Sql, workspace_id: str) -> int:
    """Return how many jobs are ready."""
    found = sql.first(statements.QUEUE, {"w": workspace_id})
    return 0 if found is None else found.depth


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsAsked:
    """A page of jobs that is asked for."""

    workspace_id: str
    limit: int
    after: str | None
    status: JobStatus | None
    plan_id: str | None

    @property
    def is_short(self) -> bool:
        """Whether it is a few steps down an index: read in the time in which another thread would hear of it."""
        return self.limit <= _SHORT and self.plan_id is None

    def __call__(self, connection: Connection) -> JobPage | None:
        """Return the page, read with one statement; None: something in it is damaged."""
        found = listed(Sql(connection), *self._statement())
        return None if found is None else self._page(*found)

    def one_by_one(self, connection: Connection) -> JobPage:
        """Return the page, each job in it read on its own."""
        return self._page(*listed_one_by_one(Sql(connection), *self._statement()))

    def _statement(self) -> tuple[Select[Any], dict[str, Any]]:
        values: dict[str, Any] = {"w": self.workspace_id, "after": self.after or _NEWEST, "limit": self.limit + 1}
        if self.plan_id is not None:
            return statements.LIST_JOBS_OF_PLAN, {**values, "plan_id": self.plan_id, "status": self.status}
        if self.status is not None:
            return statements.LIST_JOBS_BY_STATUS, {**values, "status": self.status}
        return statements.LIST_JOBS, values

    def _page(self, jobs: Sequence[ListedJob], depth: int) -> JobPage:
        """Return what was found as a page: one more was looked for than was asked, to know whether it is the last."""
        page, more = jobs[: self.limit], len(jobs) > self.limit
        return JobPage(jobs=tuple(page), next_after=page[-1].job_id if more else None, queue_depth=depth)


def list_plans(
    sql: Sql,
    workspace_id: str,
    now: int,
    *,
    limit: int,
    after: str | None,
    status: PlanStatus | None,
) -> PlanPage:
    """Return a page of plans."""
    values: dict[str, Any] = {"w": workspace_id, "after": after or _NEWEST, "limit": limit + 1}
    if status is None:
        found = sql.all(statements.LIST_PLANS, values)
    elif status is PlanStatus.EXPIRED:
        found = sql.all(statements.LIST_EXPIRED_PLANS, {**values, "now": now})
    elif status in {PlanStatus.DRAFT, PlanStatus.NEEDS_INPUT}:
        found = sql.all(statements.LIST_LIVE_DRAFTS, {**values, "status": status, "now": now})
    else:
        found = sql.all(statements.LIST_PLANS_BY_STATUS, {**values, "status": status})
    plans = [_listed_plan(load(PlanRow, item), now) for item in found]
    page, more = plans[:limit], len(plans) > limit
    return PlanPage(plans=tuple(page), next_after=page[-1].plan_id if more else None)


def _listed_plan(row: PlanRow, now: int) -> PlanRecord:
    """Return what a list shows of a plan; one that is damaged is shown degraded and never hides the others."""
    try:
        return to_plan(row, now)
    except DAMAGE:
        _log.warning("A plan's record is damaged.", action="unreadable_record", plan_id=row.plan_id)
        status = row.status if row.status in list(PlanStatus) else PlanStatus.RUNNING
        whole = replace(row, status=status, document=encode(UNREADABLE_DOCUMENT), job_ids="[]")
        whole.created_at, whole.expires_at = _number(row.created_at) or 0, _number(row.expires_at)
        whole.finished_at = _number(row.finished_at)
        return to_plan(whole, now)


def _listed_approval(row: ApprovalRow) -> Approval:
    """Return what a list shows of an approval; one that is damaged is shown degraded and never hides the others."""
    try:
        return to_approval(row)
    except DAMAGE:
        _log.warning("An approval's record is damaged.", action="unreadable_record", approval_id=row.approval_id)
        whole = replace(row, detail="{}", approver_role=None, decided_at=_number(row.decided_at))
        whole.created_at, whole.expires_at = _number(row.created_at) or 0, _number(row.expires_at) or 0
        return to_approval(whole)


def shown_event(row: Any, now: int) -> Event:
    """Return the event of a row as selected; of one that is damaged, that it is there: it never hides the others."""
    try:
        return read_event(row)
    except DAMAGE:
        position, workspace_id, sequence, _, _, _, plan_id, *_ = row
        event = unreadable_event(workspace_id, sequence, from_milliseconds(now), plan_id, position)
        _log.warning("An event's record is damaged.", action="unreadable_record", event_id=event.event_id)
        return event


def told_events(sql: Sql, values: Mapping[str, Any], now: int) -> tuple[Event, ...]:
    """Return every workspace's events after a position, those by the way left out: from a file as one text.

    If one of them is damaged so that it cannot be a part of that, each is read on its own.
    """
    rows: list[Any] | None = None
    if sql.one_writer:
        with contextlib.suppress(*DAMAGE, OperationalError):
            lines = sql.scalar(lines_of(ALL_EVENTS_AFTER, _EVENT), values)
            rows = sorted(from_json(f"[{lines.replace(chr(10), ',')}]")) if lines else []
    if rows is None:
        rows = sql.all(ALL_EVENTS_AFTER, values)
    return tuple(shown_event(row, now) for row in rows)


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def list_approvals(
    sql: Sql, workspace_id: str, *, limit: int, after: str | None, status: ApprovalStatus
) -> ApprovalPage:
    """Return a page of approvals."""
    values = {"w": workspace_id, "after": after or _NEWEST, "limit": limit + 1, "status": status}
    approvals = [_listed_approval(load(ApprovalRow, item)) for item in sql.all(statements.LIST_APPROVALS, values)]
    page, more = approvals[:limit], len(approvals) > limit
    return ApprovalPage(approvals=tuple(page), next_after=page[-1].approval_id if more else None)


def plan_approvals(sql: Sql, workspace_id: str, plan_id: str) -> tuple[Approval, ...]:
    """Return what was asked about a plan and its steps."""
    found = sql.all(statements.APPROVALS_OF_PLAN, {"w": workspace_id, "plan_id": plan_id})
    return tuple(to_approval(load(ApprovalRow, item)) for item in found)


def events_after(
    sql: Sql, workspace_id: str, after: str | None, now: int, *, limit: int, plan_id: str | None
) -> EventPage:
    """Return events after one of them, or only where the log ends."""
    queue = sql.first(statements.QUEUE, {"w": workspace_id})
    newest, floor = (0, 0) if queue is None else (queue.event_sequence, queue.event_floor)
    start = event_sequence(after)
    if start is None:
        return EventPage(events=(), gap=False, last_event_id=event_id(newest))
    values: dict[str, Any] = {"w": workspace_id, "after": start, "limit": limit}
    if plan_id is None:
        found = sql.all(statements.EVENTS_AFTER, values)
    else:
        found = sql.all(statements.EVENTS_OF_PLAN_AFTER, {**values, "plan_id": plan_id})
    events = tuple(shown_event(item, now) for item in found)
    full = len(events) == limit
    last = events[-1].event_id if full else event_id(max(newest, start))
    return EventPage(events=events, gap=start < floor or start > newest, last_event_id=last)
