"""What each outcome and each person's decision does to a job and to the steps that hang on it."""

from typing import Any, Final

import structlog
from pydantic_core import from_json

from steward.clock import milliseconds
from steward.errors import Conflict, IllegalTransition
from steward.event import EventType
from steward.job import (
    Cancelled,
    Completed,
    Deferred,
    Expanded,
    Failed,
    HandedBack,
    JobError,
    JobStatus,
    Outcome,
    Skipped,
    TryAgain,
    Unknown,
    dependents_among,
    may_have_happened,
)
from steward.plan import MAX_JOBS_PER_PLAN, PlanStatus
from steward.redaction import redact_text
from steward.work_stores.sql.budgets import give_back
from steward.work_stores.sql.rows import UNREADABLE, JobRow, PlanRow, encode, encode_object, to_job
from steward.work_stores.sql.submit import first_status, new_job_row
from steward.work_stores.sql.transaction import Work

_log = structlog.get_logger("steward.store")
_UNMET: Final = {JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.SKIPPED}
OUTCOME_WORDS: Final[dict[type[Any], str]] = {
    Completed: "completed",
    Failed: "failed",
    TryAgain: "retry",
    Unknown: "unknown",
    Skipped: "skipped",
    Cancelled: "cancelled",
    HandedBack: "handed_back",
    Deferred: "deferred",
    Expanded: "expanded",
}


def apply(work: Work, row: JobRow, outcome: Outcome, *, word: str | None = None) -> None:
    """End the attempt under way with ``outcome``; ``word`` is what the history calls it."""
    outcome = _heed_cancel(row, outcome)
    error = getattr(outcome, "error", None)
    work.end_attempt(row, word or OUTCOME_WORDS[type(outcome)], error)
    _settle_doubt(work, row, outcome)
    facts = {} if error is None else {"error_code": error.code}
    match outcome:
        case Completed():
            row.result, row.result_sealed = encode(outcome.result), outcome.result_sealed
            row.result_labels, row.error, row.params_sealed = encode_object(outcome.result_labels), None, None
            work.move(row, JobStatus.COMPLETED, EventType.JOB_COMPLETED)
            release_dependents(work, row)
        case Failed():
            fail(work, row, outcome.error)
        case TryAgain() | Deferred():
            row.attempts -= isinstance(outcome, Deferred)
            _try_again(work, row, outcome, facts)
        case Unknown():
            row.error = encode(outcome.error.as_dict())
            work.move(row, JobStatus.UNKNOWN, EventType.JOB_UNKNOWN, **facts)
        case Skipped():
            row.reason, row.params_sealed = outcome.reason, None
            work.move(row, JobStatus.SKIPPED, EventType.JOB_SKIPPED)
            drop_dependents(work, row, JobStatus.SKIPPED)
        case Cancelled():
            row.reason, row.params_sealed = outcome.reason, None
            work.move(row, JobStatus.CANCELLED, EventType.JOB_CANCELLED)
            drop_dependents(work, row, JobStatus.CANCELLED)
        case HandedBack():
            row.attempts -= 1
            work.move(row, JobStatus.PENDING, EventType.JOB_RELEASED)
        case Expanded():
            _expand(work, row, outcome)


def set_aside(work: Work, row: JobRow) -> None:
    """Leave a job whose record cannot be read to a person, so that it stops nobody else's."""
    _log.warning("A job's record is damaged.", action="unreadable_record", job_id=row.job_id)
    row.error = encode(UNREADABLE.as_dict())
    work.move(row, JobStatus.UNKNOWN, EventType.JOB_UNKNOWN, error_code=UNREADABLE.code)


def _heed_cancel(row: JobRow, outcome: Outcome) -> Outcome:
    """Return what a cancel that was asked for makes of an outcome that would have gone on."""
    if not row.cancel_requested or not isinstance(outcome, (TryAgain, HandedBack, Deferred, Expanded)):
        return outcome
    doubtful = (
        outcome.doubtful if isinstance(outcome, TryAgain) else may_have_happened(to_job(row), provably_not_done=True)
    )
    if not doubtful:
        return Cancelled("It was cancelled.")
    doubt = JobError("cancelled_in_doubt", "It was cancelled. An earlier attempt may have had its effect.")
    return Unknown(outcome.error if isinstance(outcome, TryAgain) else doubt)


def _settle_doubt(work: Work, row: JobRow, outcome: Outcome) -> None:
    """Forget a dispatch that turned out to have had no effect, and what it spent, unless an earlier one is in doubt."""
    certain = isinstance(outcome, (Failed, HandedBack)) or (isinstance(outcome, TryAgain) and not outcome.doubtful)
    if certain and row.first_dispatched_at == row.dispatched_at:
        row.first_dispatched_at = None
        if row.dispatched_at is not None:
            give_back(work, row)


def _try_again(work: Work, row: JobRow, outcome: TryAgain | Deferred, facts: dict[str, Any]) -> None:
    row.error = encode(outcome.error.as_dict())
    row.not_before = milliseconds(outcome.not_before)
    if row.not_before <= work.now:
        work.move(row, JobStatus.PENDING, EventType.JOB_RELEASED, **facts)
    else:
        work.move(row, JobStatus.SCHEDULED, EventType.JOB_RETRY_SCHEDULED, not_before=row.not_before, **facts)


def _expand(work: Work, row: JobRow, outcome: Expanded) -> None:
    siblings = work.plan_jobs(row.workspace_id, row.plan_id)
    steps = [child.step_id for child in outcome.children]
    if len(siblings) + len(steps) > MAX_JOBS_PER_PLAN:
        raise Conflict(f"A plan has at most {MAX_JOBS_PER_PLAN} jobs.", code="too_many_jobs")
    if len({*steps, *(sibling.step_id for sibling in siblings)}) != len(steps) + len(siblings):
        raise Conflict("A child of an expanded step has the id of a step that exists.", code="step_exists")
    needed_by = dependents_among(outcome.children)
    for offset, child in enumerate(outcome.children):
        child_row = new_job_row(
            child,
            workspace_id=row.workspace_id,
            plan_id=row.plan_id,
            actor_id=row.actor_id,
            position=row.position + 1 + offset,
            status=first_status(child, work.now),
            now=work.now,
            request_id=row.request_id,
        )
        child_row.parent_step_id, child_row.dependents = row.step_id, encode([*needed_by[child.step_id], row.job_id])
        work.add(child_row)
    row.expanded, row.depends_on, row.waiting_on = True, encode(steps), len(steps)
    row.attempts -= 1
    status = JobStatus.WAITING if steps else JobStatus.PENDING
    work.move(row, status, EventType.JOB_EXPANDED, children=len(steps))
    work.open_more(row.plan_id, len(steps))


def fail(work: Work, row: JobRow, error: JobError, *, actor: str | None = None) -> None:
    """Fail a job for good and cancel what needs it; its parameters stay sealed for a retry."""
    row.error = encode(error.as_dict())
    event = EventType.JOB_RESOLVED if row.status == JobStatus.UNKNOWN else EventType.JOB_FAILED
    work.move(row, JobStatus.FAILED, event, actor=actor, error_code=error.code)
    drop_dependents(work, row, JobStatus.CANCELLED)


def release_dependents(work: Work, row: JobRow) -> None:
    """Count a completed step for those that need it, and make ready whose needs are all met."""
    for dependent in work.dependents(row):
        dependent.waiting_on -= 1
        work.touch(dependent)
        if dependent.waiting_on == 0 and dependent.status == JobStatus.WAITING:
            work.move(dependent, JobStatus.PENDING, EventType.JOB_RELEASED)


def drop_dependents(work: Work, row: JobRow, status: JobStatus) -> None:
    """Cancel or skip, with the reason, everything that needs a step that will not be completed."""
    event = EventType.JOB_SKIPPED if status is JobStatus.SKIPPED else EventType.JOB_CANCELLED
    revivable = row.status == JobStatus.FAILED
    pending = [(row, dependent) for dependent in work.dependents(row)]
    while pending:
        needed, dependent = pending.pop(0)
        if dependent.status not in {JobStatus.WAITING, JobStatus.HELD}:
            continue
        dependent.reason = f"It needs step {needed.step_id}, which ended as {needed.status}."
        dependent.cause = needed.step_id
        if not revivable:
            dependent.params_sealed = None
        work.move(dependent, status, event, cause=needed.step_id)
        pending += [(dependent, further) for further in work.dependents(dependent)]


def start(work: Work, row: JobRow, *, actor: str | None = None) -> None:
    """Let a job that was held begin: wait, be scheduled, or be ready, as after a submit."""
    row.reason = None
    if row.waiting_on:
        work.move(row, JobStatus.WAITING, EventType.JOB_RELEASED, actor=actor)
    elif row.not_before is not None and row.not_before > work.now:
        work.move(row, JobStatus.SCHEDULED, EventType.JOB_RELEASED, actor=actor)
    else:
        work.move(row, JobStatus.PENDING, EventType.JOB_RELEASED, actor=actor)


def cancel(work: Work, row: JobRow, actor: str, reason: str) -> None:
    """Cancel a job that has not ended, or ask the worker that runs it to stop."""
    status = JobStatus(row.status)
    if status is JobStatus.RUNNING:
        if not row.cancel_requested:
            row.cancel_requested = True
            work.touch(row)
            work.note_job(EventType.JOB_CANCEL_REQUESTED, row, actor=actor)
        return
    if status not in {JobStatus.WAITING, JobStatus.HELD, JobStatus.SCHEDULED, JobStatus.PENDING}:
        raise IllegalTransition(f"A job that is {status} cannot be cancelled.")
    if status in {JobStatus.SCHEDULED, JobStatus.PENDING} and may_have_happened(to_job(row)):
        doubt = JobError("cancelled_in_doubt", f"{reason} An earlier attempt may have had its effect.")
        row.error = encode(doubt.as_dict())
        work.move(row, JobStatus.UNKNOWN, EventType.JOB_UNKNOWN, actor=actor, error_code=doubt.code)
        return
    row.reason, row.params_sealed, row.cause = reason, None, None
    work.move(row, JobStatus.CANCELLED, EventType.JOB_CANCELLED, actor=actor)
    drop_dependents(work, row, JobStatus.CANCELLED)
    if row.expanded:
        for child in work.plan_jobs(row.workspace_id, row.plan_id):
            if child.parent_step_id == row.step_id and open_to_cancel(child):
                cancel(work, child, actor, reason)


def open_to_cancel(row: JobRow) -> bool:
    """Say whether ``cancel`` would do something."""
    return row.status in {
        *(JobStatus.WAITING, JobStatus.HELD, JobStatus.SCHEDULED, JobStatus.PENDING, JobStatus.RUNNING),
    }


def retry(work: Work, row: JobRow, plan: PlanRow, actor: str) -> None:
    """Give a failed job a fresh budget, and revive the steps that its failure cancelled."""
    if row.status != JobStatus.FAILED or row.params_sealed is None:
        raise IllegalTransition(f"Only a failed job can be retried; this one is {row.status}.")
    row.max_attempts = row.attempts + row.attempt_budget
    row.error = row.not_before = None
    work.move(row, JobStatus.PENDING, EventType.JOB_RETRIED, actor=actor)
    by_step = {sibling.step_id: sibling for sibling in work.plan_jobs(row.workspace_id, row.plan_id)}
    candidates = work.dependents(row)
    while candidates:
        dependent = candidates.pop(0)
        needs = [by_step[step] for step in from_json(dependent.depends_on)]
        revivable = dependent.status == JobStatus.CANCELLED and dependent.cause and dependent.params_sealed is not None
        if revivable and not any(need.status in _UNMET for need in needs):
            dependent.reason = dependent.cause = None
            work.move(dependent, JobStatus.WAITING, EventType.JOB_RETRIED, actor=actor)
            candidates += work.dependents(dependent)
    if plan.status == PlanStatus.FAILED:
        work.set_plan_status(plan.plan_id, plan.workspace_id, PlanStatus.RUNNING, actor=actor)


def resolve(work: Work, row: JobRow, *, completed: bool, note: str, actor: str) -> None:
    """Settle an unknown outcome by a person's word."""
    if row.status != JobStatus.UNKNOWN:
        raise IllegalTransition(f"Only an unknown outcome can be resolved; this job is {row.status}.")
    note = redact_text(note)
    if not completed:
        row.first_dispatched_at = None
        fail(work, row, JobError("resolved_failed", note), actor=actor)
        return
    row.result, row.error, row.params_sealed = encode({"resolved": "completed", "note": note}), None, None
    work.move(row, JobStatus.COMPLETED, EventType.JOB_RESOLVED, actor=actor)
    release_dependents(work, row)
