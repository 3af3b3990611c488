"""What a list shows of a job, made of a line and remembered by it: lists are looked at again and again while few jobs change."""

from dataclasses import fields
from functools import lru_cache
from typing import Final

from pydantic_core import from_json

from steward.clock import from_milliseconds
from steward.job import HeldFor, ListedJob
from steward.work_stores.sql.rows import JOB_STATUSES, as_time, job_error

LISTED_COLUMNS: Final = tuple(f.name for f in fields(ListedJob))
"""What is read of a job for a list, its id first."""


@lru_cache(maxsize=1_000)
def listed_job(line: str) -> ListedJob:
    """Return what a list shows of a job, given its ``LISTED_COLUMNS`` as JSON; the same object as before if they are as before.

    Raises one of ``DAMAGE`` if anything of it cannot be read.
    """
    row = dict(zip(LISTED_COLUMNS, from_json(line), strict=True))
    result, held_for = row["result"], row["held_for"]
    return ListedJob(
        **row
        | {
            "status": JOB_STATUSES[row["status"]],
            "held_for": None if held_for is None else HeldFor(held_for),
            "not_before": as_time(row["not_before"]),
            "enqueued_at": from_milliseconds(row["enqueued_at"]),
            "started_at": as_time(row["started_at"]),
            "finished_at": as_time(row["finished_at"]),
            "result": None if result is None else from_json(result),
            "error": job_error(row["error"]),
        }
    )
