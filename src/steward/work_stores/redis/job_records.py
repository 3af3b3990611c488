"""A job as a hash: what is written of a new one, and how what a script answers of one is read.

What a job is from its beginning stays together in one field, ``spec``: a hash of a few fields is smaller, and sooner read, than
one of many. A job that was written before there was one, or whose words do not allow it, has a field for each; a field
of its own outweighs what the spec says.
"""

from base64 import b64decode
from binascii import b2a_base64
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import structlog
from pydantic_core import from_json, to_json

from steward.action import Effect, RetryMode
from steward.clock import from_milliseconds, milliseconds
from steward.digest import HEX_DIGEST
from steward.job import Attempt, HeldFor, Job, JobError, JobStatus, ListedJob, NewJob, differences_in, make_job
from steward.work_stores.redis.records import Fields, Values, armoured, encode, present

Record = dict[bytes, bytes | None]
"""A job's fields by name; one that is not there is None, empty or missing."""
JOB_FIELDS: Final = (
    *("job_id", "workspace_id", "plan_id", "step_id", "action_id", "actor_id", "status", "held_for"),
    *("definition_hash", "digest", "depends_on", "effect", "retry", "fence", "attempts", "max_attempts"),
    *("attempt_budget", "key_valid_ms", "worker_id", "lease_until", "first_dispatched_at", "dispatched_at"),
    *("cancel_requested", "not_before", "enqueued_at", "started_at", "finished_at", "result", "error", "reason"),
    *("labels", "result_labels", "authored_after", "parent_step_id", "expanded", "history", "request_id", "spec"),
)
"""What is answered of a job, in this order. Parameters and sealed results travel in a lease only."""
SPEC_FIELDS: Final = (
    *("plan_id", "step_id", "action_id", "actor_id", "effect", "retry", "attempt_budget", "key_valid_ms"),
    *("enqueued_at", "position", "request_id", "definition_hash", "digest"),
)
"""What a spec says, in this order, behind the number of its form: words, the last two of which are SHA-256 in base64.

The first is ``-`` where the job has the name of its plan.
"""
LISTED_FIELDS: Final = (
    *("status", "spec", "job_id", "workspace_id", "held_for", "attempts", "not_before", "started_at", "finished_at"),
    *("result", "error", "reason"),
)
"""What is answered of a job that has a spec where it is only listed: a few, since each is looked for among all that there are."""
LINE_FIELDS: Final = tuple(name for name in LISTED_FIELDS if name not in {"job_id", "workspace_id"})
"""What is answered of such a job where whoever asks knows whose it is."""
_UNREADABLE: Final = JobError("unreadable_record", "Part of this job's record cannot be read; the rest is shown.")
_JOB_NAMES: Final = tuple(name.encode() for name in JOB_FIELDS)
_LISTED_NAMES: Final = tuple(name.encode() for name in LISTED_FIELDS)
_SPEC_NAMES: Final = tuple(name.encode() for name in SPEC_FIELDS)
_JOB_TEXTS: Final = (
    *(b"job_id", b"workspace_id", b"plan_id", b"step_id", b"action_id", b"actor_id", b"worker_id", b"reason"),
    *(b"parent_step_id", b"request_id", b"definition_hash", b"digest"),
)
_JOB_JSON: Final = (b"error", b"history", b"labels", b"result", b"result_labels")
_STATUSES: Final[Mapping[bytes | None, JobStatus]] = {one.value.encode(): one for one in JobStatus}
_EFFECTS: Final[Mapping[bytes | None, Effect]] = {one.value.encode(): one for one in Effect}
_RETRY_MODES: Final[Mapping[bytes | None, RetryMode]] = {one.value.encode(): one for one in RetryMode}
SPEC_FORM: Final = "2"
NAMESAKE: Final = "-"
"""What a spec says for the plan whose name the job has."""
_NAMESAKE, _PLAN, _JOB = NAMESAKE.encode(), b"plan_", b"job_"
_IN_TURN: Final = 2
"""How long an answer is that has names and values in turn: they are one list, behind an empty value."""
DAMAGE: Final = (ValueError, TypeError, KeyError, OverflowError, AttributeError)
"""What is raised when a record is read that holds what does not belong there, or lacks what does."""
_log = structlog.get_logger("steward.store")


class Place(NamedTuple):
    """Where a new job belongs."""

    workspace_id: str
    plan_id: str
    actor_id: str
    position: int
    request_id: str


def packed(digest: str) -> str:
    """Return a SHA-256 in base64, which is two thirds of its digits; empty for anything else."""
    return b2a_base64(bytes.fromhex(digest), newline=False).decode() if HEX_DIGEST.fullmatch(digest) else ""


_packed_definition: Final = lru_cache(maxsize=512)(packed)
"""The same of what most jobs of a plan have in common."""


def job_fields(job: NewJob, *, status: JobStatus, now: int) -> Fields:
    """Return the fields of a new job that it brings itself; whoever puts it in place adds where it belongs."""
    return present(
        {
            "job_id": job.job_id,
            "action_id": job.action_id,
            "status": status.value,
            "step_id": job.step_id,
            "definition_hash": job.definition_hash,
            "digest": job.digest,
            "effect": job.effect.value,
            "retry": job.retry.value,
            "attempt_budget": job.max_attempts,
            "key_valid_ms": round(job.key_valid_s * 1000),
            "enqueued_at": now,
        }
    ) | beside_spec(job)


def spec_of(job: NewJob, where: Place, now: int) -> str | None:
    """Return the spec of a new job in its place; None: one of its words is empty, or has blanks in it."""
    spec = (
        f"{SPEC_FORM} {where.plan_id} {job.step_id} {job.action_id} {where.actor_id} {job.effect.value} {job.retry.value} "
        f"{job.max_attempts} {round(job.key_valid_s * 1000)} {now} {where.position} {where.request_id} "
        f"{_packed_definition(job.definition_hash)} {packed(job.digest)}"
    )
    return spec if len(spec.split()) == 1 + len(SPEC_FIELDS) else None


def placed_fields(job: NewJob, where: Place, *, status: JobStatus, now: int) -> Fields:
    """Return the fields of a new job in its place: most of them in one, if its words allow it."""
    spec = spec_of(job, where, now)
    if spec is None:
        return job_fields(job, status=status, now=now) | where._asdict()
    return {
        "job_id": job.job_id,  # a script finds these three by their places
        "status": status.value,
        "spec": spec,
        "workspace_id": where.workspace_id,
        **beside_spec(job),
    }


def beside_spec(job: NewJob) -> Fields:
    """Return what a new job brings that no spec says."""
    fields: Fields = {"params_sealed": armoured(job.params_sealed)}
    if job.depends_on:
        fields |= {"depends_on": " ".join(job.depends_on), "waiting_on": len(job.depends_on)}
    if job.not_before is not None:
        fields["not_before"] = milliseconds(job.not_before)
    if job.labels:
        fields["labels"] = encode(job.labels)
    if job.authored_after:
        fields["authored_after"] = " ".join(job.authored_after)
    if job.parent_step_id:
        fields["parent_step_id"] = job.parent_step_id
    return fields


def unpacked(digest: bytes) -> bytes:
    """Return a SHA-256 in digits again."""
    return b64decode(digest, validate=True).hex().encode()


def _attempt(item: Mapping[str, Any]) -> Attempt:
    return Attempt(
        number=item["number"],
        fence=item["fence"],
        worker_id=item["worker_id"],
        started_at=from_milliseconds(item["started_at"]),
        dispatched_at=None if item["dispatched_at"] is None else from_milliseconds(item["dispatched_at"]),
        finished_at=from_milliseconds(item["finished_at"]),
        outcome=item["outcome"],
        error=None if item["error"] is None else JobError(**item["error"]),
        differences=differences_in(item.get("differences")),
    )


def attempts_in(history: bytes) -> tuple[Attempt, ...]:
    """Return finished attempts as a record keeps them."""
    return tuple(map(_attempt, from_json(history)))


def record_of(values: Values) -> Record:
    """Return a job's fields by name, whichever way a script answered them: as names and values in turn, or as values alone."""
    record = _own_fields_of(values)
    if spec := record.get(b"spec"):
        own, record = record, specified(spec, record[b"job_id"])
        record.update(own if len(values) == _IN_TURN else {name: value for name, value in own.items() if value})
    return record


def _own_fields_of(values: Values) -> Record:
    if len(values) == _IN_TURN:
        _, pairs = values
        return dict(zip(pairs[::2], pairs[1::2], strict=True))
    return dict(zip(_JOB_NAMES, values, strict=True))


def specified(spec: bytes, job_id: bytes | None) -> Record:
    """Return the fields that the spec of a job stands for."""
    form, *words = spec.split(b" ")
    if form != SPEC_FORM.encode() or len(words) != len(SPEC_FIELDS):
        raise ValueError("This is no spec of a job.")
    words[-2:] = map(unpacked, words[-2:])
    if words[0] == _NAMESAKE and job_id:
        words[0] = _PLAN + job_id.removeprefix(_JOB)
    return dict(zip(_SPEC_NAMES, words, strict=True))


def to_job(values: Values) -> Job:
    """Return the job that a script answered."""
    return job_of(record_of(values))


def job_of(record: Record) -> Job:
    """Return the job that a record is. A busy worker reads one for each, so it takes short ways."""
    get = record.get
    text = {name: (get(name) or b"").decode() for name in _JOB_TEXTS}
    error, history, labels, result, result_labels = map(get, _JOB_JSON)
    job_id = text[b"job_id"]
    return make_job(
        job_id=job_id,
        workspace_id=text[b"workspace_id"],
        plan_id=text[b"plan_id"],
        step_id=text[b"step_id"],
        action_id=text[b"action_id"],
        actor_id=text[b"actor_id"],
        status=_STATUSES[get(b"status")],
        held_for=HeldFor(held_for.decode()) if (held_for := get(b"held_for")) else None,
        definition_hash=text[b"definition_hash"],
        digest=text[b"digest"],
        depends_on=_words(get(b"depends_on")),
        effect=_EFFECTS[get(b"effect")],
        retry=_RETRY_MODES[get(b"retry")],
        effect_key=job_id,
        fence=int(get(b"fence") or 0),
        attempts=int(get(b"attempts") or 0),
        max_attempts=int(get(b"max_attempts") or 0) or int(get(b"attempt_budget") or 0),
        key_valid_s=int(get(b"key_valid_ms") or 0) / 1000,
        worker_id=text[b"worker_id"] or None,
        lease_until=_time(get(b"lease_until")),
        first_dispatched_at=_time(get(b"first_dispatched_at")),
        dispatched_at=_time(get(b"dispatched_at")),
        cancel_requested=bool(get(b"cancel_requested")),
        not_before=_time(get(b"not_before")),
        enqueued_at=_time(get(b"enqueued_at")) or from_milliseconds(0),
        started_at=_time(get(b"started_at")),
        finished_at=_time(get(b"finished_at")),
        result=from_json(result) if result else None,
        error=JobError(**from_json(error)) if error else None,
        reason=text[b"reason"] or None,
        labels=from_json(labels) if labels else {},
        result_labels=from_json(result_labels) if result_labels else {},
        authored_after=_words(get(b"authored_after")),
        parent_step_id=text[b"parent_step_id"] or None,
        expanded=bool(get(b"expanded")),
        history=attempts_in(history) if history else (),
        request_id=text[b"request_id"],
    )


def _listed(values: Values) -> ListedJob:
    field = dict(zip(_LISTED_NAMES, values, strict=True))
    field |= specified(field[b"spec"], field[b"job_id"])
    held_for, result, error, reason = field[b"held_for"], field[b"result"], field[b"error"], field[b"reason"]
    return ListedJob(
        job_id=field[b"job_id"].decode(),
        workspace_id=field[b"workspace_id"].decode(),
        plan_id=field[b"plan_id"].decode(),
        step_id=field[b"step_id"].decode(),
        action_id=field[b"action_id"].decode(),
        status=_STATUSES[field[b"status"]],
        held_for=HeldFor(held_for.decode()) if held_for else None,
        attempts=int(field[b"attempts"] or 0),
        not_before=_time(field[b"not_before"]),
        enqueued_at=from_milliseconds(int(field[b"enqueued_at"])),
        started_at=_time(field[b"started_at"]),
        finished_at=_time(field[b"finished_at"]),
        result=from_json(result) if result else None,
        error=JobError(**from_json(error)) if error else None,
        reason=reason.decode() if reason else None,
    )


def listed_job(values: Values) -> ListedJob:
    """Return what a list shows of a job, of ``LISTED_FIELDS`` or all fields as a script answered them; degraded if it is damaged."""
    if len(values) != len(LISTED_FIELDS):
        return shown_job(values)
    try:
        return _listed(values)
    except DAMAGE:
        field = dict(zip(_LISTED_NAMES, values, strict=True))
        return shown_job([field.get(name) for name in _JOB_NAMES])


def _time(value: bytes | None) -> Any:
    return from_milliseconds(int(value)) if value else None


def _words(value: bytes | None) -> tuple[str, ...]:
    return tuple(value.decode().split()) if value else ()


def shown_job(values: Values) -> Job:
    """Return the record of a job for a reader; one that is damaged is shown degraded and never hides the others."""
    try:
        return to_job(values)
    except DAMAGE:
        whole = _readable_fields(values)
        _log.warning("A job's record is damaged.", action="unreadable_record", job_id=str(whole.get(b"job_id")))
        kept = (b"job_id", b"workspace_id", b"plan_id", b"step_id", b"action_id", b"actor_id", b"request_id")
        safe: Record = {name: _readable(whole.get(name)) for name in kept}
        safe[b"status"] = status if (status := whole.get(b"status")) in _STATUSES else JobStatus.UNKNOWN.value.encode()
        safe[b"effect"], safe[b"retry"] = Effect.WRITE.value.encode(), RetryMode.NONE.value.encode()
        enqueued_at = whole.get(b"enqueued_at") or b""
        safe[b"enqueued_at"] = enqueued_at if enqueued_at.isdigit() else None
        safe[b"error"] = to_json(_UNREADABLE.as_dict())
        return job_of(safe)


def _readable_fields(values: Values) -> Record:
    """Return the fields of a damaged record, without those of its spec if that is what is damaged."""
    try:
        return record_of(values)
    except ValueError:
        return _own_fields_of(values)


def _readable(value: bytes | None) -> bytes:
    return (value or b"").decode("utf-8", "replace").encode()
