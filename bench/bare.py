"""The yardstick: the rows of the same work, written with Python's own sqlite3 and nothing around it.

Same tables, same pragmas, same number of operations in a commit. There is no contract here, no check of an edge, no
idempotency: this is what SQLite and the disk alone allow.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from steward.database import Database
from steward.database.engine import _GROUP, _PRAGMAS
from steward.database.migrate import upgrade
from steward.job import JobStatus
from steward.plan import PlanStatus
from steward.work_store import Submission
from steward.work_stores.sql.rows import JobRow, plan_row
from steward.work_stores.sql.submit import new_job_row

_EVENT = "INSERT INTO events (workspace_id, sequence, type, at, plan_id, job_id, data) VALUES (?, ?, ?, ?, ?, ?, ?)"
_CLAIM = "UPDATE jobs SET status = 'running', fence = fence + 1, attempts = 1, lease_until = ? WHERE job_id = ?"
_DISPATCH = "UPDATE jobs SET dispatched_at = ?, lease_until = ? WHERE job_id = ?"
_SETTLE = "UPDATE jobs SET status = 'completed', result = ?, params_sealed = NULL, finished_at = ?, history = ? WHERE job_id = ?"
_END = "UPDATE plans SET status = 'completed', open_jobs = 0, finished_at = ?, body_sealed = NULL WHERE plan_id = ?"
_HISTORY = to_json([{"number": 1, "fence": 1, "worker_id": "bench", "outcome": "completed", "error": None}]).decode()


def _insert(table: str, values: dict[str, Any]) -> tuple[str, list[Any]]:
    marks = ", ".join("?" * len(values))
    return f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", list(values.values())


def _rows(submission: Submission, now: int) -> tuple[dict[str, Any], JobRow]:
    job = new_job_row(
        submission.jobs[0],
        workspace_id="bench",
        plan_id=submission.plan.plan_id,
        actor_id="bench",
        position=0,
        status=JobStatus.PENDING,
        now=now,
        request_id="bench",
    )
    return plan_row(submission.plan, status=PlanStatus.RUNNING).values(), job


def _groups(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[start : start + _GROUP] for start in range(0, len(items), _GROUP))


class Bare:
    """A migrated database file and a plain connection to it."""

    def __init__(self, file: Path) -> None:
        """Make the file with the tables of the store."""
        self._file = file
        self._sequence = 0

    async def prepare(self) -> None:
        """Bring the file to the schema of the store."""
        database = Database(f"sqlite:///{self._file}")
        upgrade(database)
        await database.aclose()

    def rates(self, submissions: Sequence[Submission]) -> tuple[float, float]:
        """Return submits per second, and claims with dispatch and settle per second."""
        now = round(time.time() * 1000)
        rows = [_rows(submission, now) for submission in submissions]
        with closing(sqlite3.connect(self._file, isolation_level=None)) as connection:
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
            began = time.perf_counter()
            for group in _groups(rows):
                self._commit(connection, group, now, self._submit)
            submitted = time.perf_counter()
            for group in _groups(rows):
                for verb in (self._claim, self._dispatch, self._settle):
                    self._commit(connection, group, now, verb)
            done = time.perf_counter()
        return len(rows) / (submitted - began), len(rows) / (done - submitted)

    def _commit(
        self, connection: sqlite3.Connection, group: Sequence[Any], now: int, verb: Callable[..., None]
    ) -> None:
        connection.execute("BEGIN IMMEDIATE")
        for plan, job in group:
            verb(connection, plan, job, now)
        connection.execute("COMMIT")

    def _note(self, connection: sqlite3.Connection, job: JobRow, now: int, kind: str) -> None:
        self._sequence += 1
        connection.execute(_EVENT, ("bench", self._sequence, kind, now, job.plan_id, job.job_id, "{}"))

    def _submit(self, connection: sqlite3.Connection, plan: dict[str, Any], job: JobRow, now: int) -> None:
        connection.execute(*_insert("plans", plan))
        connection.execute(*_insert("jobs", job.values()))
        self._note(connection, job, now, "plan.submitted")

    def _claim(self, connection: sqlite3.Connection, _plan: dict[str, Any], job: JobRow, now: int) -> None:
        connection.execute(_CLAIM, (now + 10_000, job.job_id))
        self._note(connection, job, now, "job.started")

    def _dispatch(self, connection: sqlite3.Connection, _plan: dict[str, Any], job: JobRow, now: int) -> None:
        connection.execute(_DISPATCH, (now, now + 10_000, job.job_id))
        self._note(connection, job, now, "job.dispatched")

    def _settle(self, connection: sqlite3.Connection, _plan: dict[str, Any], job: JobRow, now: int) -> None:
        connection.execute(_SETTLE, ('{"ok":true}', now, _HISTORY, job.job_id))
        connection.execute(_END, (now, job.plan_id))
        self._note(connection, job, now, "job.completed")
        self._note(connection, job, now, "plan.completed")
