"""Whose turn it is in a workspace, and what is known of rows for as long as one has locked them.

On PostgreSQL an answer that is waited for costs more than a statement. So a lock is asked for together with what is read
behind it, and what the locked row counts comes with it: nobody else can change that before the transaction ends.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from steward.database.sql import Sql
from steward.work_stores.sql import statements, turn_statements
from steward.work_stores.sql.event_rows import EventRow
from steward.work_stores.sql.rows import JobRow, PlanRow, encode


class NoTurn(Exception):
    """Workspaces have no row yet for which one could wait."""

    def __init__(self, workspaces: Iterable[str]) -> None:
        """Name them."""
        super().__init__()
        self.workspaces = sorted(workspaces)


@dataclass(slots=True)
class Queue:
    """What a workspace counts, known for as long as its row is locked."""

    depth: int
    event_sequence: int
    capped: bool


@dataclass(slots=True)
class OpenPlan:
    """What a plan counts, known in the same way."""

    plan_id: str
    open_jobs: int
    status: str
    job_ids: str


def make_queues(connection: Connection, workspaces: Iterable[str]) -> None:
    """Give workspaces their rows."""
    for workspace_id in workspaces:
        Sql(connection).run(turn_statements.MAKE_QUEUE, {"w": workspace_id})


class Turns:
    """The turns of one transaction."""

    def __init__(self, sql: Sql) -> None:
        """Begin with none."""
        self.sql = sql
        self._asked_for: set[str] = set()
        self._turns: list[tuple[set[str], Callable[[], list[Any]]]] = []
        self._queues: dict[str, Queue] = {}

    def lock(self, workspaces: Iterable[str], *, new: bool = False) -> None:
        """Wait for one's turn in these workspaces, before anything of them is read that is to be changed.

        The server waits; what is asked after this is answered after it. ``new``: if one has no row, so that there is no
        turn to wait for, nothing is written and ``NoTurn`` raised. On a database with one writer at a time it is always
        one's turn.
        """
        wanted = set(workspaces) - self._asked_for
        if self.sql.one_writer or not wanted:
            return
        self._asked_for |= wanted
        answer = self.sql.ask(turn_statements.LOCK_QUEUES, {"workspaces": encode(sorted(wanted))})
        self._turns.append((wanted if new else set(), answer))

    def lock_free(self, workspaces: Sequence[str]) -> list[str]:
        """Return those of the workspaces in which it is one's turn without waiting."""
        if self.sql.one_writer or not workspaces:
            return list(workspaces)
        free = self.sql.all(turn_statements.LOCK_FREE_QUEUES, {"workspaces": encode(workspaces)})
        self.have_locked(free)
        return [row.workspace_id for row in free]

    def have_locked(self, found: Iterable[Any]) -> None:
        """Remember rows of ``queues`` that a statement has locked; who had one already keeps what became of it since."""
        if self.sql.one_writer:
            return
        for row in found:
            self._asked_for.add(row.workspace_id)
            self._queues.setdefault(row.workspace_id, Queue(row.depth, row.event_sequence, row.capped))

    def mine(self) -> dict[str, Queue]:
        """Return the rows of the workspaces in which it is one's turn."""
        turns, self._turns = self._turns, []
        for needed, answer in turns:
            found = answer()
            if missing := needed - {row.workspace_id for row in found}:
                raise NoTurn(missing)
            self.have_locked(found)
        return self._queues

    def insert_in_turn(
        self,
        workspace_id: str,
        delta: int,
        *,
        plans: Sequence[PlanRow],
        names: Sequence[Mapping[str, Any]],
        jobs: Sequence[JobRow],
        events: Sequence[EventRow],
    ) -> Callable[[], Any | None]:
        """Wait for one's turn in a workspace, count its ready jobs and insert these rows; return what returns its row.

        It may be called when the transaction is over. None: one of the plans or names is known already, or the workspace
        has no row, and nothing was done. Events count back from the last one's number, which is in the row.
        """
        for number, event in enumerate(events, start=1 - len(events)):
            event.sequence = number
        values = {
            "w": workspace_id,
            "depth": delta,
            "events": len(events),
            "ids": encode([plan.plan_id for plan in plans]),
            "keys": encode([name["key"] for name in names]),
        }
        rows = [
            (turn_statements.NEW_PLAN, plans),
            (turn_statements.NEW_CLAIM, names),
            (turn_statements.NEW_JOB, jobs),
            (turn_statements.NEW_EVENT, events),
        ]
        return self.sql.ask_and_insert(turn_statements.TAKE_TURN, values, rows)

    def may_change(self, row: Any) -> bool:
        """Say whether it is one's turn in the workspace that a row is of."""
        return self.sql.one_writer or row.workspace_id in self.mine()

    def mend_depth(self, workspace_id: str) -> None:
        """Say that a workspace has no ready jobs, whatever was counted."""
        self.sql.run(statements.SET_DEPTH, {"key": workspace_id, "new_depth": 0})
        if workspace_id in self._queues:
            self._queues[workspace_id].depth = 0
