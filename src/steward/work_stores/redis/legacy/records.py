"""A job's record as the older software wrote it: read, compared with ours, and turned into one of ours.

Only what both records have is compared. What is read of an old record is redacted, as everything is that we keep to show.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from pydantic_core import from_json

from steward.action import Effect, RetryMode
from steward.clock import from_milliseconds, milliseconds
from steward.job import HeldFor, Job, JobError, JobStatus
from steward.plan import PlanStatus
from steward.redaction import redact, redact_text
from steward.work_stores.redis.legacy.words import FROM_OLD, TO_OLD
from steward.work_stores.redis.records import Fields, encode
from steward.workspace import canonical_workspace_id

_INTERRUPTED: Final = JobError(
    "outcome_unknown", "It was running when the software before this one stopped, and nobody knows how far it came."
)
_UNREADABLE: Final = JobError("unreadable_record", "Part of this job's record cannot be read; the rest is shown.")
_NEVER_QUEUED: Final = "The software before this one kept it as pending, but not in its queue, so it is not run by itself: cancel it, and ask anew."
_NO_WORDS: Final = "It failed in the software before this one, which kept no reason."


class Unreadable(ValueError):
    """The record is none that can be taken over; the text says why, in a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OldRecord:
    """An old record, read."""

    job_id: str
    workspace_id: str
    actor_id: str
    action_id: str
    word: str
    """Its status, in the words of the older software: one of four."""
    result: Any
    enqueued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    params: Mapping[str, Any] = field(repr=False)
    broken: bool = False
    """Whether part of it could not be read."""

    @property
    def status(self) -> JobStatus:
        """Ours for its own."""
        return JobStatus.UNKNOWN if self.broken else JobStatus(FROM_OLD[self.word])


def flat_of(answer: Any) -> Sequence[bytes]:
    """Return a hash as names and values in turn, whichever way the client has answered."""
    return [part for pair in answer.items() for part in pair] if isinstance(answer, Mapping) else answer


def fields_of(answer: Any) -> dict[str, str]:
    """Return a hash, as a script or a command answered it, as text."""
    flat = flat_of(answer)
    return {
        name.decode("utf-8", "replace"): value.decode("utf-8", "replace")
        for name, value in zip(flat[::2], flat[1::2], strict=True)
    }


def _time(text: str) -> datetime | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return from_milliseconds(milliseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC)))


def _json(text: str) -> Any:
    return from_json(text, allow_inf_nan=False) if text else None


def owner_of(fields: Mapping[str, str], job_id: str | None) -> str:
    """Return the workspace of an old record; raise ``Unreadable`` if it names none, or another job."""
    workspace_id = canonical_workspace_id(fields.get("workspace_id"))
    if workspace_id is None:
        raise Unreadable("workspace")
    if job_id is None or fields.get("job_id", job_id) != job_id:
        raise Unreadable("job_id")
    return workspace_id


def read_old(fields: Mapping[str, str], job_id: str) -> OldRecord:
    """Return an old record; raise ``Unreadable`` if any of it cannot be read."""
    workspace_id = owner_of(fields, job_id)
    provider, name = fields.get("action_provider", ""), fields.get("action_name", "")
    try:
        status = FROM_OLD[fields.get("status", "")]
        params = _json(fields.get("params", ""))
        return OldRecord(
            job_id=job_id,
            workspace_id=workspace_id,
            actor_id=fields.get("actor_id", ""),
            action_id=".".join(part for part in (provider, name) if part),
            word=TO_OLD[status],
            result=redact(_json(fields.get("result", ""))),
            enqueued_at=_time(fields.get("enqueued_at", "")) or from_milliseconds(0),
            started_at=_time(fields.get("started_at", "")),
            finished_at=_time(fields.get("finished_at", "")),
            params=params if isinstance(params, dict) else {},
        )
    except (ValueError, KeyError, OverflowError, OSError) as error:
        raise Unreadable("fields") from error


def shown_old(fields: Mapping[str, str], job_id: str) -> OldRecord:
    """Return an old record for a reader: what cannot be read is left out, and the record says so."""
    try:
        return read_old(fields, job_id)
    except Unreadable:
        pass
    readable = {"job_id": job_id, "workspace_id": owner_of(fields, job_id), "status": "running"}
    for name in ("actor_id", "action_provider", "action_name", "enqueued_at", "started_at", "finished_at"):
        try:
            read_old({**readable, name: fields.get(name, "")}, job_id)
        except Unreadable:
            continue
        readable[name] = fields.get(name, "")
    return replace(read_old(readable, job_id), broken=True)


def _error(old: OldRecord) -> JobError | None:
    if old.broken:
        return _UNREADABLE
    if old.status is JobStatus.UNKNOWN:
        return _INTERRUPTED
    if old.status is not JobStatus.FAILED:
        return None
    said = old.result.get("error") if isinstance(old.result, dict) else old.result
    return JobError("legacy_error", redact_text(said)[:500] if isinstance(said, str) and said else _NO_WORDS)


def as_job(old: OldRecord) -> Job:
    """Return an old record without a current one as a job."""
    return Job(
        job_id=old.job_id,
        workspace_id=old.workspace_id,
        plan_id="",
        step_id="s1",
        action_id=old.action_id,
        actor_id=old.actor_id,
        status=old.status,
        held_for=None,
        definition_hash="",
        digest="",
        depends_on=(),
        effect=Effect.WRITE,
        retry=RetryMode.NONE,
        effect_key=old.job_id,
        fence=0,
        attempts=int(old.started_at is not None),
        max_attempts=1,
        key_valid_s=0.0,
        worker_id=None,
        lease_until=None,
        first_dispatched_at=old.started_at,
        dispatched_at=None,
        cancel_requested=False,
        not_before=None,
        enqueued_at=old.enqueued_at,
        started_at=old.started_at,
        finished_at=old.finished_at,
        result=old.result,
        error=_error(old),
        reason=None,
        labels={},
        result_labels={},
        authored_after=(),
        parent_step_id=None,
        expanded=False,
        history=(),
        request_id="",
    )


def differences(job: Job, old: OldRecord) -> Fields:
    """Return what the old record says otherwise than ours does, by the names of ours."""
    said: Fields = {
        name: getattr(old, name)
        for name in ("action_id", "actor_id", "result", "enqueued_at", "started_at", "finished_at")
        if getattr(old, name) != getattr(job, name)
    }
    if old.word != TO_OLD[job.status]:
        said["status"] = old.status
    return said


def seen_through(job: Job, old: OldRecord) -> Job:
    """Return a job as its old record has it: what both know is read from that one, the rest from ours."""
    return job if old.broken else replace(job, **differences(job, old))


# What becomes of an old record.


def migrated_fields(old: OldRecord, plan_id: str) -> Fields:
    """Return the fields of the current job that an old record becomes. It is never run: a pending one is held."""
    error, status = _error(old), old.status
    held = status is JobStatus.PENDING
    dispatched = old.started_at or old.enqueued_at
    fields: Fields = {
        **_where(old, plan_id),
        "status": JobStatus.HELD.value if held else status.value,
        "held_for": HeldFor.DRIFT.value if held else None,
        "reason": _NEVER_QUEUED if held else None,
        "effect": Effect.WRITE.value,
        "retry": RetryMode.NONE.value,
        "attempt_budget": 1,
        "attempts": int(old.started_at is not None) or None,
        "first_dispatched_at": milliseconds(dispatched) if status is JobStatus.UNKNOWN else None,
        "started_at": None if old.started_at is None else milliseconds(old.started_at),
        "finished_at": None if old.finished_at is None else milliseconds(old.finished_at),
        "result": None if old.result is None else encode(old.result),
        "error": None if error is None else encode(error.as_dict()),
    }
    return {name: value for name, value in fields.items() if value is not None}


def refused_fields(old: OldRecord, plan_id: str, error: JobError, now: int) -> Fields:
    """Return the fields of the current job of one in the queue that cannot be run."""
    failed = {"status": JobStatus.FAILED.value, "finished_at": now, "error": encode(error.as_dict())}
    kept = migrated_fields(old, plan_id)
    return {name: kept[name] for name in kept.keys() - {"held_for", "reason", "result"}} | failed


def _where(old: OldRecord, plan_id: str) -> Fields:
    return {
        "job_id": old.job_id,
        "workspace_id": old.workspace_id,
        "plan_id": plan_id,
        "step_id": "s1",
        "action_id": old.action_id,
        "actor_id": old.actor_id or None,
        "enqueued_at": milliseconds(old.enqueued_at),
        "position": "0",
        "request_id": f"legacy-{old.job_id}"[:64],
    }


def runnable_fields(old: OldRecord, plan_id: str, made: Fields) -> Fields:
    """Return the fields of the current job of one in the queue that can be run: ``made`` for it, in its own place."""
    return {name: value for name, value in (made | _where(old, plan_id)).items() if value is not None}


_PLAN_OF: Final = {
    JobStatus.COMPLETED: PlanStatus.COMPLETED,
    JobStatus.FAILED: PlanStatus.FAILED,
}


def plan_of(old: OldRecord, plan_id: str, status: JobStatus, now: int) -> Fields:
    """Return the fields of the plan of one step that an old record gets; its retention counts from now."""
    ends = _PLAN_OF.get(status, PlanStatus.RUNNING)
    words = redact_text(f"Run {old.action_id[:100]}.")
    step = {
        "id": "s1",
        "action_id": old.action_id,
        "description": words,
        "params": {},
        "depends_on": [],
        "decision": {"effect": "allow", "reason": "The software before this one took it.", "rule": "legacy"},
        "inputs": {},
        "effect": Effect.WRITE.value,
        "retry": RetryMode.NONE.value,
        "reversibility": "irreversible",
        "acting_as": None,
    }
    document = {
        "prompt": words,
        "intent": words,
        "steps": [step],
        "confidence": 1.0,
        "explanation": "Taken over from the software before this one.",
        "meta": {"planner": "none", "model": None, "duration_ms": 0, "tokens_in": 0, "tokens_out": 0, "denied": []},
        "questions": [],
    }
    fields: Fields = {
        "plan_id": plan_id,
        "workspace_id": old.workspace_id,
        "actor_id": old.actor_id or None,
        "status": ends.value,
        "document": encode(document),
        "created_at": now,
        "finished_at": None if ends is PlanStatus.RUNNING else now,
        "job_ids": old.job_id,
        "open_jobs": int(ends is PlanStatus.RUNNING),
        "request_id": f"legacy-{old.job_id}"[:64],
    }
    return {name: value for name, value in fields.items() if value is not None}
