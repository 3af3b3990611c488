"""Rows as mutable Python values inside one transaction, and their translation to the frozen records outside it."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, fields
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Any, Final, TypeVar

import structlog
from pydantic_core import from_json, to_json

from steward.action import Effect, RetryMode
from steward.approval import Approval, ApprovalStatus
from steward.clock import from_milliseconds, milliseconds, rfc3339
from steward.database.sql import DAMAGE
from steward.identity import Role
from steward.job import Attempt, HeldFor, Job, JobError, JobStatus, differences_in, make_job
from steward.plan import PlanRecord, PlanStatus

Row = TypeVar("Row", "JobRow", "PlanRow", "ApprovalRow")

_log = structlog.get_logger("steward.store")
JOB_STATUSES: Final = {status.value: status for status in JobStatus}
_EFFECTS: Final = {effect.value: effect for effect in Effect}
_RETRY_MODES: Final = {mode.value: mode for mode in RetryMode}
NO_TEXTS: Final = "[]"
"""An empty list, as it is kept."""
_NOTHING: Final = "{}"
"""An empty object."""


def encode(value: Any) -> str:
    """Return ``value`` as JSON text."""
    return to_json(value).decode()


def encode_object(value: Mapping[str, Any]) -> str:
    """Return an object as JSON text; most are empty."""
    return encode(value) if value else _NOTHING


def encode_texts(value: Sequence[str]) -> str:
    """Return a list of texts as JSON text; most are empty."""
    return encode(value) if value else NO_TEXTS


@dataclass(slots=True)
class JobRow:
    """A row of ``jobs``: same names in the same order, JSON still as text."""

    job_id: str
    workspace_id: str
    plan_id: str
    step_id: str
    position: int
    action_id: str
    actor_id: str
    status: str
    held_for: str | None
    definition_hash: str
    digest: str
    params_sealed: bytes | None
    depends_on: str
    dependents: str
    waiting_on: int
    effect: str
    retry: str
    effect_key: str
    fence: int
    attempts: int
    max_attempts: int
    attempt_budget: int
    key_valid_ms: int
    worker_id: str | None
    claimed_at: int | None
    lease_until: int | None
    first_dispatched_at: int | None
    dispatched_at: int | None
    cancel_requested: bool
    not_before: int | None
    enqueued_at: int
    started_at: int | None
    finished_at: int | None
    result: str | None
    result_sealed: bytes | None
    error: str | None
    reason: str | None
    cause: str | None
    labels: str
    result_labels: str
    authored_after: str
    parent_step_id: str | None
    expanded: bool
    history: str
    request_id: str


AS_NEW: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("worker_id", "claimed_at", "lease_until", "first_dispatched_at", "dispatched_at")),
    **dict.fromkeys(("started_at", "finished_at", "result", "result_sealed", "error", "cause")),
    "fence": 0,
    "attempts": 0,
    "cancel_requested": False,
    "expanded": False,
    "result_labels": "{}",
    "history": NO_TEXTS,
}
"""What every new job has alike: nothing has happened to it."""

JOB_COLUMNS: Final = tuple(f.name for f in fields(JobRow))
_FIXED: Final = frozenset(
    {
        *("job_id", "workspace_id", "plan_id", "step_id", "position", "action_id", "actor_id", "request_id"),
        *("definition_hash", "digest", "effect", "retry", "effect_key", "attempt_budget", "key_valid_ms"),
        *("enqueued_at", "labels", "authored_after", "parent_step_id"),
    }
)
"""What a job is from its beginning: nothing that happens to it changes these."""
CHANGING: Final = tuple(name for name in JOB_COLUMNS if name not in _FIXED)
"""Every other column of a job. Half of the columns, so half of the cost to see what has changed."""
changing_values: Final = attrgetter(*CHANGING)
"""Returns the values of a job row in these columns."""
values_as_found: Final = itemgetter(*map(JOB_COLUMNS.index, CHANGING))
"""Returns the same of a selected row."""


@lru_cache(maxsize=256)
def unchanged_values(changed: tuple[str, ...]) -> Callable[[tuple[Any, ...]], Any]:
    """Return what returns, of the values of a job row, those in all columns but these."""
    return itemgetter(*(place for place, name in enumerate(CHANGING) if name not in changed))


def load(kind: type[Row], found: Any) -> Row:
    """Return a selected row as a mutable value of ``kind``, whose fields are the table's columns in their order."""
    return kind(*found)


def as_time(value: int | None) -> Any:
    """Return stored milliseconds as a time, or None."""
    return None if value is None else from_milliseconds(value)


def job_error(text: str | None) -> JobError | None:
    """Return the error stored as JSON text."""
    return None if text is None else JobError(**from_json(text))


def texts(text: str) -> tuple[str, ...]:
    """Return a list kept as JSON text; most are empty."""
    return () if text == NO_TEXTS else tuple(from_json(text))


def _object(text: str) -> Any:
    """Return an object kept as JSON text; most are empty."""
    return {} if text == _NOTHING else from_json(text)


def _attempt(item: Mapping[str, Any]) -> Attempt:
    return Attempt(
        number=item["number"],
        fence=item["fence"],
        worker_id=item["worker_id"],
        started_at=from_milliseconds(item["started_at"]),
        dispatched_at=as_time(item["dispatched_at"]),
        finished_at=from_milliseconds(item["finished_at"]),
        outcome=item["outcome"],
        error=None if item["error"] is None else JobError(**item["error"]),
        differences=differences_in(item.get("differences")),
    )


def to_job(row: JobRow) -> Job:
    """Return the frozen record of a row."""
    return make_job(
        job_id=row.job_id,
        workspace_id=row.workspace_id,
        plan_id=row.plan_id,
        step_id=row.step_id,
        action_id=row.action_id,
        actor_id=row.actor_id,
        status=JOB_STATUSES[row.status],
        held_for=None if row.held_for is None else HeldFor(row.held_for),
        definition_hash=row.definition_hash,
        digest=row.digest,
        depends_on=texts(row.depends_on),
        effect=_EFFECTS[row.effect],
        retry=_RETRY_MODES[row.retry],
        effect_key=row.effect_key,
        fence=row.fence,
        attempts=row.attempts,
        max_attempts=row.max_attempts,
        key_valid_s=row.key_valid_ms / 1000,
        worker_id=row.worker_id,
        lease_until=as_time(row.lease_until),
        first_dispatched_at=as_time(row.first_dispatched_at),
        dispatched_at=as_time(row.dispatched_at),
        cancel_requested=bool(row.cancel_requested),
        not_before=as_time(row.not_before),
        enqueued_at=from_milliseconds(row.enqueued_at),
        started_at=as_time(row.started_at),
        finished_at=as_time(row.finished_at),
        result=None if row.result is None else from_json(row.result),
        error=job_error(row.error),
        reason=row.reason,
        labels=_object(row.labels),
        result_labels=_object(row.result_labels),
        authored_after=texts(row.authored_after),
        parent_step_id=row.parent_step_id,
        expanded=bool(row.expanded),
        history=() if row.history == NO_TEXTS else tuple(_attempt(item) for item in from_json(row.history)),
        request_id=row.request_id,
    )


_TIMES: Final = tuple(f.name for f in fields(JobRow) if f.name.endswith(("_at", "_until", "_before")))
UNREADABLE: Final = JobError("unreadable_record", "Part of this job's record cannot be read; the rest is shown.")


def shown_job(row: JobRow) -> Job:
    """Return the record of a row for a reader; one that is damaged is shown degraded and never hides the others."""
    try:
        return to_job(row)
    except DAMAGE:
        _log.warning("A job's record is damaged.", action="unreadable_record", job_id=row.job_id)
        whole = copy(row)
        for name in _TIMES:
            if not isinstance(getattr(row, name), int):
                setattr(whole, name, None)
        whole.enqueued_at = whole.enqueued_at or 0
        whole.status = row.status if row.status in list(JobStatus) else JobStatus.UNKNOWN
        whole.effect, whole.retry, whole.held_for, whole.result = Effect.WRITE, RetryMode.NONE, None, None
        whole.depends_on = whole.authored_after = whole.history = "[]"
        whole.labels = whole.result_labels = "{}"
        whole.error = encode(UNREADABLE.as_dict())
        return to_job(whole)


@dataclass(slots=True)
class PlanRow:
    """A row of ``plans``, in its order."""

    plan_id: str
    workspace_id: str
    actor_id: str
    status: str
    digest: str
    document: str
    body_sealed: bytes | None
    created_at: int
    expires_at: int | None
    finished_at: int | None
    request_id: str
    approval_id: str | None
    job_ids: str
    open_jobs: int


def plan_row(plan: PlanRecord, *, status: PlanStatus) -> PlanRow:
    """Return the row for a new plan."""
    return PlanRow(
        plan_id=plan.plan_id,
        workspace_id=plan.workspace_id,
        actor_id=plan.actor_id,
        status=status,
        digest=plan.digest,
        document=encode(plan.document),
        body_sealed=plan.body_sealed,
        created_at=milliseconds(plan.created_at),
        expires_at=None if plan.expires_at is None else milliseconds(plan.expires_at),
        finished_at=None,
        request_id=plan.request_id,
        approval_id=None,
        job_ids="[]",
        open_jobs=0,
    )


def to_plan(row: PlanRow, now_ms: int) -> PlanRecord:
    """Return the frozen record of a row; a draft past its time reads as expired."""
    status = PlanStatus(row.status)
    unused = status in {PlanStatus.DRAFT, PlanStatus.NEEDS_INPUT}
    if unused and row.expires_at is not None and row.expires_at <= now_ms:
        status = PlanStatus.EXPIRED
    return PlanRecord(
        plan_id=row.plan_id,
        workspace_id=row.workspace_id,
        actor_id=row.actor_id,
        status=status,
        digest=row.digest,
        document={**from_json(row.document)},  # which refuses what is no object
        body_sealed=row.body_sealed,
        created_at=from_milliseconds(row.created_at),
        expires_at=as_time(row.expires_at),
        request_id=row.request_id,
        finished_at=as_time(row.finished_at),
        approval_id=row.approval_id,
        job_ids=tuple(from_json(row.job_ids)),
    )


@dataclass(slots=True)
class ApprovalRow:
    """A row of ``approvals``, in its order."""

    approval_id: str
    workspace_id: str
    plan_id: str
    job_id: str | None
    digest: str
    status: str
    reason: str
    rule: str
    detail: str
    requested_by: str
    created_at: int
    expires_at: int
    decided_by: str | None = None
    decided_at: int | None = None
    comment: str | None = None
    another_person: bool = False
    approver_role: str | None = None

    def facts(self) -> dict[str, Any]:
        """Return what an event about it says: enough to tell what was decided, by which rule."""
        names = ("approval_id", "rule", "digest", "requested_by", "another_person", "approver_role")
        return {name: getattr(self, name) for name in names}


def approval_row(approval: Approval) -> ApprovalRow:
    """Return the row for a new approval."""
    return ApprovalRow(
        approval_id=approval.approval_id,
        workspace_id=approval.workspace_id,
        plan_id=approval.plan_id,
        job_id=approval.job_id,
        digest=approval.digest,
        status=ApprovalStatus.PENDING,
        reason=approval.reason,
        rule=approval.rule,
        detail=encode(approval.detail),
        requested_by=approval.requested_by,
        created_at=milliseconds(approval.created_at),
        expires_at=milliseconds(approval.expires_at),
        another_person=approval.another_person,
        approver_role=approval.approver_role,
    )


def to_approval(row: ApprovalRow) -> Approval:
    """Return the frozen record of a row."""
    return Approval(
        approval_id=row.approval_id,
        workspace_id=row.workspace_id,
        plan_id=row.plan_id,
        job_id=row.job_id,
        digest=row.digest,
        status=ApprovalStatus(row.status),
        reason=row.reason,
        rule=row.rule,
        detail=from_json(row.detail),
        requested_by=row.requested_by,
        created_at=from_milliseconds(row.created_at),
        expires_at=from_milliseconds(row.expires_at),
        another_person=bool(row.another_person),
        approver_role=None if row.approver_role is None else Role(row.approver_role),
        decided_by=row.decided_by,
        decided_at=as_time(row.decided_at),
        comment=row.comment,
    )


def when(ms: int) -> str:
    """Return milliseconds as RFC 3339, for sentences."""
    return rfc3339(from_milliseconds(ms))
