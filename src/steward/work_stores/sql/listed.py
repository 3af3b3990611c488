"""Pages of jobs as lists show them: only what is shown is read, in one row, and what was seen before is not made again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from sqlite3 import OperationalError
from typing import Any, Final

from pydantic_core import from_json
from sqlalchemy import Select

from steward.clock import from_milliseconds
from steward.database.lines import lines_of
from steward.database.sql import DAMAGE, Sql
from steward.job import HeldFor, ListedJob
from steward.work_stores.sql.rows import JOB_STATUSES, JobRow, as_time, job_error, load, shown_job
from steward.work_stores.sql.turn_statements import DEPTH

_WORKSPACE: Final = "workspace_id"
LISTED_COLUMNS: Final = tuple(f.name for f in fields(ListedJob) if f.name != _WORKSPACE)
"""What is read of a job for a list, its id first. Whose it is, who asks knows."""
_SHORT_CHARS: Final = 65_536
"""Pages up to this length are remembered whole."""


@lru_cache(maxsize=8)
def in_one_row(listing: Select[Any]) -> Select[Any]:
    """Return a statement that selects jobs as one with one row: a line for each job, and how many jobs are ready."""
    return lines_of(listing, LISTED_COLUMNS).add_columns(DEPTH.scalar_subquery())


def listed(sql: Sql, listing: Select[Any], values: Mapping[str, Any]) -> tuple[Sequence[ListedJob], int] | None:
    """Return the jobs of a workspace (``w``) that a statement selects, newest first, and how many of its jobs are ready.

    None: one of them is damaged, so each must be read on its own.
    """
    try:
        lines, depth = sql.one(in_one_row(listing), values)
        found = _page(lines, values["w"]) if lines else ()
    except (*DAMAGE, OperationalError):  # the latter: SQLite, of bytes where a text belongs
        return None
    return found, depth or 0


def listed_one_by_one(sql: Sql, listing: Select[Any], values: Mapping[str, Any]) -> tuple[Sequence[ListedJob], int]:
    """Return the same, what is damaged as far as it can be read."""
    found = [shown_job(load(JobRow, item)) for item in sql.all(listing, values)]
    return found, sql.scalar(DEPTH, values) or 0


def _page(lines: str, workspace_id: str) -> tuple[ListedJob, ...]:
    """Return the jobs of lines, the same objects for the same text: lists are looked at again and again while few jobs change.

    Raises one of ``DAMAGE`` if anything of them cannot be read.
    """
    return (_remembered if len(lines) <= _SHORT_CHARS else _made)(lines, workspace_id)


def _made(lines: str, workspace_id: str) -> tuple[ListedJob, ...]:
    return tuple([_listed(line, workspace_id) for line in sorted(lines.split("\n"), reverse=True)])


_remembered: Final[Callable[[str, str], tuple[ListedJob, ...]]] = lru_cache(maxsize=64)(_made)


@lru_cache(maxsize=1_000)
def _listed(line: str, workspace_id: str) -> ListedJob:
    row = dict(zip(LISTED_COLUMNS, from_json(line), strict=True)) | {_WORKSPACE: workspace_id}
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
