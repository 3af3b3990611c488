"""What this process was told of the jobs that it has claimed, so that later answers need to say only what has changed since.

A record is what a worker was given with its lease. Nobody else may change what it says while the lease is good, but for a
cancel that is asked for and the lease's end: a verb that meets the former takes the full way, which answers whole records,
and the latter is answered. Whoever shows a lease that is not known here takes the full way as well.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

from cachetools import LRUCache

from steward.action import Effect, RetryMode
from steward.job import Completed, Job
from steward.work_store import Granted, LeaseRef, Settlement
from steward.work_stores.redis.job_records import Record, job_of, modes
from steward.work_stores.redis.submissions import result_arguments

_MOST: Final = 4_096
"""More than any worker has under way; those of leases that were lost are pushed out."""
_DISPATCHED: Final = (b"dispatched_at", b"lease_until", b"first_dispatched_at")
_COMPLETED: Final = (b"first_dispatched_at", b"finished_at", b"history")
_OVER: Final = dict.fromkeys((b"worker_id", b"lease_until", b"dispatched_at", b"error", b"not_before"))
"""What an end takes from a record."""


class Claims:
    """The records of leases."""

    def __init__(self) -> None:
        """Know of none."""
        self._records: LRUCache[LeaseRef, Record] = LRUCache(_MOST)

    def keep(self, ref: LeaseRef, record: Record) -> None:
        """Remember what was claimed."""
        self._records[ref] = record

    def of(self, refs: Sequence[LeaseRef]) -> list[Record] | None:
        """Return what was claimed under each lease; None if that is not known of all."""
        records = [record for ref in refs if (record := self._records.get(ref)) is not None]
        return records if len(records) == len(refs) else None

    def forget(self, refs: Sequence[LeaseRef]) -> None:
        """Forget leases that are over."""
        for ref in refs:
            self._records.pop(ref, None)


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
