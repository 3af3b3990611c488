"""What was told with a lease, so that later answers about it need to say only what has changed since.

Nobody but its holder changes what a job's record says while its lease is good, except that a cancel may be asked for and
that the lease is renewed: a verb that meets the former takes the full way, which answers whole records, and the latter is
answered. Whoever shows a lease without its record takes the full way as well.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

from steward.action import Effect, RetryMode
from steward.job import Completed, Job
from steward.work_store import Granted, LeaseRef, Settlement
from steward.work_stores.redis.job_records import Record, job_of, modes
from steward.work_stores.redis.submissions import result_arguments

_DISPATCHED: Final = (b"dispatched_at", b"lease_until", b"first_dispatched_at")
_COMPLETED: Final = (b"first_dispatched_at", b"finished_at", b"history")
_OVER: Final = dict.fromkeys((b"worker_id", b"lease_until", b"dispatched_at", b"error", b"not_before"))
"""What an end takes from a record."""


def claims_of(refs: Sequence[LeaseRef]) -> list[Record] | None:
    """Return what was told with each lease; None if somebody shows one without that."""
    records = [ref.record for ref in refs if ref.record is not None]
    return records if len(records) == len(refs) else None


def must_not_be_forgotten(record: Record) -> bool:
    """Say whether the record of this job's effect has to be safe before the effect."""
    effect, retry = modes(record)
    return effect is Effect.WRITE and retry is not RetryMode.KEYED


def dispatched(record: Record, told: bytes) -> Granted:
    """Return the answer to a dispatch, of which a script has told three times."""
    return Granted(partial(_dispatched, record, told))


def _dispatched(record: Record, told: bytes) -> Job:
    return job_of({**record, **dict(zip(_DISPATCHED, told.split(b" "), strict=True))})


def completed(record: Record, settlement: Settlement, told: bytes) -> Granted:
    """Return the answer to a settlement, of which a script has told two times and the history."""
    return Granted(partial(_completed, record, settlement, told))


def _completed(record: Record, settlement: Settlement, told: bytes) -> Job:
    assert isinstance(settlement.outcome, Completed)
    result, _, labels = result_arguments(settlement.outcome)
    changes = dict(zip(_COMPLETED, told.split(b" ", 2), strict=True))
    changes |= {b"status": b"completed", b"result": result.encode(), b"result_labels": labels.encode()}
    return job_of({**record, **_OVER, **changes})
