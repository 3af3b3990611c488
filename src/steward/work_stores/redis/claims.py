"""What was told with a lease, so that later answers about it need to say only what has changed since.

Nobody but its holder changes what a job's record says while its lease is good, except that a cancel may be asked for and
that the lease is renewed: a verb that meets the former takes the full way, which answers whole records, and the latter is
answered. Whoever shows a lease without its record takes the full way as well.
"""

from binascii import a2b_base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, NamedTuple

from pydantic_core import from_json, to_json

from steward.action import Effect, RetryMode
from steward.clock import from_milliseconds
from steward.ids import namesake
from steward.job import Completed, Job, JobStatus, make_job
from steward.work_store import Granted, LeaseRef, Settlement
from steward.work_stores.redis.job_records import (
    NAMESAKE,
    SPEC_FORM,
    Record,
    attempts_in,
    job_of,
    specified,
)

_EFFECTS: Final[Mapping[str, Effect]] = {one.value: one for one in Effect}
_RETRY_MODES: Final[Mapping[str, RetryMode]] = {one.value: one for one in RetryMode}


class Claiming(NamedTuple):
    """What one claim says of all that it takes."""

    worker_id: str
    lease_until: int
    now: int


class Told(NamedTuple):
    """What a claim tells of a job."""

    job: Job
    params_sealed: bytes | None
    inputs: Sequence[bytes] = ()
    """Step, sealed result and labels of each step that it needs, in turn."""


def claimed(told: Any, claiming: Claiming) -> Told:
    """Return a job as a claim left it.

    ``told``: three lines of a job that says no more than how it began, which is what a busy worker reads; of another its fields
    as they were, name and value in turn, then the fence and attempts that it has now, and what it needs.
    """
    if isinstance(told, bytes):
        head, spec, params = told.split(b"\n", 2)
        return Told(_fresh(head.decode().split(), spec.decode().split(), claiming), params)
    pairs, own, inputs = told
    record = dict(zip(pairs[::2], pairs[1::2], strict=True))
    params = record.pop(b"params_sealed", None)
    changes: Record = dict(zip((b"fence", b"attempts"), own.split(b" "), strict=True))
    changes |= {b"status": b"running", b"worker_id": claiming.worker_id.encode(), b"not_before": None}
    changes[b"lease_until"] = b"%d" % claiming.lease_until
    changes[b"started_at"] = record.get(b"started_at") or b"%d" % claiming.now
    return Told(job_of(specified(record[b"spec"], record[b"job_id"]) | record | changes), params, inputs)


def named_in_claim(told: Any) -> tuple[Any, Any]:
    """Return the workspace and the id of a job of which a claim has told, readable or not."""
    if isinstance(told, bytes):
        workspace_id, job_id, *_ = told.split(b" ", 2)
        return workspace_id, job_id
    record = dict(zip(told[0][::2], told[0][1::2], strict=True))
    return record.get(b"workspace_id", b""), record[b"job_id"]


def _fresh(head: Sequence[str], spec: Sequence[str], claiming: Claiming) -> Job:
    """Return a job of which there is nothing to say but how it began, and that it runs now."""
    workspace_id, own_id, fence, attempts = head
    form, plan_id, step_id, action_id, actor_id, effect, retry, budget, valid_ms, at, _, request_id, *digests = spec
    definition, digest = digests
    if form != SPEC_FORM:
        raise ValueError("This is no spec of a job.")
    return make_job(
        job_id=own_id,
        workspace_id=workspace_id,
        plan_id=namesake(own_id, "plan") if plan_id == NAMESAKE else plan_id,
        step_id=step_id,
        action_id=action_id,
        actor_id=actor_id,
        status=JobStatus.RUNNING,
        held_for=None,
        definition_hash=a2b_base64(definition, strict_mode=True).hex(),
        digest=a2b_base64(digest, strict_mode=True).hex(),
        depends_on=(),
        effect=_EFFECTS[effect],
        retry=_RETRY_MODES[retry],
        effect_key=own_id,
        fence=int(fence),
        attempts=int(attempts),
        max_attempts=int(budget),
        key_valid_s=int(valid_ms) / 1000,
        worker_id=claiming.worker_id,
        lease_until=from_milliseconds(claiming.lease_until),
        first_dispatched_at=None,
        dispatched_at=None,
        cancel_requested=False,
        not_before=None,
        enqueued_at=from_milliseconds(int(at)),
        started_at=from_milliseconds(claiming.now),
        finished_at=None,
        result=None,
        error=None,
        reason=None,
        labels={},
        result_labels={},
        authored_after=(),
        parent_step_id=None,
        expanded=False,
        history=(),
        request_id=request_id,
    )


def claims_of(refs: Sequence[LeaseRef]) -> list[Job] | None:
    """Return what was told with each lease; None if somebody shows one without that."""
    records = [ref.record for ref in refs if ref.record is not None]
    return records if len(records) == len(refs) else None


def ends_plainly(job: Job, settlement: Settlement) -> bool:
    """Say whether this is the end of a first attempt that completed, of which the job's record has no more to say."""
    earlier = job.history or job.expanded or job.error
    return isinstance(settlement.outcome, Completed) and not earlier


def must_not_be_forgotten(job: Job) -> bool:
    """Say whether the record of this job's effect has to be safe before the effect."""
    return job.effect is Effect.WRITE and job.retry is not RetryMode.KEYED


def dispatched(job: Job, told: bytes) -> Granted:
    """Return the answer to a dispatch, of which a script has told three times."""
    return Granted(partial(_dispatched, job, told))


def _dispatched(job: Job, told: bytes) -> Job:
    at, lease_until, first = (from_milliseconds(int(time)) for time in told.split(b" "))
    return replace(job, dispatched_at=at, lease_until=lease_until, first_dispatched_at=first)


def completed(job: Job, settlement: Settlement, told: bytes) -> Granted:
    """Return the answer to a settlement, of which a script has told two times and the history."""
    return Granted(partial(_completed, job, settlement, told))


def _completed(job: Job, settlement: Settlement, told: bytes) -> Job:
    assert isinstance(settlement.outcome, Completed)
    first, finished_at, history = told.split(b" ", 2)
    return replace(
        job,
        status=JobStatus.COMPLETED,
        worker_id=None,
        lease_until=None,
        dispatched_at=None,
        first_dispatched_at=from_milliseconds(int(first)) if first else None,
        finished_at=from_milliseconds(int(finished_at)),
        history=attempts_in(history),
        result=from_json(to_json(settlement.outcome.result)),
        result_labels=from_json(to_json(settlement.outcome.result_labels)),
    )
