"""Up to which position the log of events is settled, where several transactions append to it at once.

Positions are handed out before a transaction commits, so a later one can become visible before an earlier one. Whoever reads
the events of one workspace need not care: the workspace's row in ``queues`` is locked from the moment in which its numbers
are taken until the commit, so they become visible in their order. Whoever reads all of them, by position, must not pass by one
that is still under way. So each transaction leaves a mark before it takes its first position: an advisory lock, shared, on
the last position handed out so far, which goes with the transaction. Below the lowest mark nothing can appear any more.
(The horizon of snapshots, ``xmin``, would not do: a transaction with an older id may take a newer position.)

With one writer at a time everything that is visible is settled.
"""

from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import Integer

ALL: Final = 2**63 - 1
"""Above every position: with one writer at a time everything that is visible is settled."""
_MARKS: Final = 0x5345 << 48
"""Above every position: what the keys of the marks begin with, so that no other advisory lock is taken for one."""
_LAST: Final = "SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM events_position_seq"
_LAST_POSITION: Final = text(_LAST)
_LOWEST_MARK: Final = text(
    "SELECT min((classid::bigint << 32 | objid::bigint) - CAST(:marks AS bigint)) FROM pg_locks"
    " WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND classid::bigint >> 16 = CAST(:marks AS bigint) >> 48"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class mark_under_way(ColumnElement[Any]):  # noqa: N801 - reads as the function that it is
    """Leaves the mark; to be selected with the row in ``queues``, before the events that it numbers get positions."""

    inherit_cache = True
    type = Integer()


@compiles(mark_under_way)
def _nothing(element: mark_under_way, compiler: SQLCompiler, **more: Any) -> str:
    del element, compiler, more
    return "NULL"


@compiles(mark_under_way, "postgresql")
def _mark(element: mark_under_way, compiler: SQLCompiler, **more: Any) -> str:
    del element, compiler, more
    return f"pg_advisory_xact_lock_shared({_MARKS} + ({_LAST}))"


def settled_position(connection: Connection) -> int:
    """Return the position up to which a transaction that begins from now on sees every event that there will ever be."""
    if connection.dialect.name != "postgresql":
        return ALL
    last: int = connection.execute(_LAST_POSITION).scalar_one()  # before the marks: who comes later takes later ones
    lowest: int | None = connection.execute(_LOWEST_MARK, {"marks": _MARKS}).scalar()
    return last if lowest is None else min(last, lowest)
