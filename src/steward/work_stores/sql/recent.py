"""The newest events that this process has committed itself, for the archiver in it: what is in hand need not be read again.

Only SQLite's are kept, where the positions of a transaction follow each other without a gap, and those of the next one go on
from there: so a gap shows that somebody else, or another loop, has committed in between, and then the database is asked.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

from pydantic_core import from_json

from steward.event import BY_THE_WAY, Event
from steward.work_stores.sql.event_rows import EventRow, event_of

_MOST: Final = 256
"""How many transactions' events are kept; the archiver usually comes by after half as many."""
_BY_THE_WAY: Final = frozenset(map(str, BY_THE_WAY))


class Recent:
    """Events by transaction, in the order of their commits; none before somebody reads."""

    def __init__(self) -> None:
        """Begin with none."""
        self._kept: deque[tuple[int, Sequence[EventRow]]] = deque(maxlen=_MOST)
        self._readers = 0

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep events meanwhile."""
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1
            if not self._readers:
                self._kept.clear()

    def add(self, rows: Sequence[EventRow], last: int | None) -> None:
        """Take what one transaction has committed, the last one standing at position ``last``, if that is known."""
        if self._readers and rows and last is not None:
            self._kept.append((last - len(rows), rows))

    def after(self, position: int, limit: int) -> tuple[Event, ...] | None:
        """Return events as ``Dispatcher.events_after`` does; None: they are not all here."""
        kept = self._kept
        while kept and kept[0][0] + len(kept[0][1]) <= position:
            kept.popleft()
        found: list[tuple[int, EventRow]] = []
        passed: tuple[int, EventRow] | None = None
        for before, rows in tuple(kept):
            if before > position:
                return None
            for row in islice(rows, position - before, None):
                position += 1
                if row.type in _BY_THE_WAY and '"error_code"' not in row.data:
                    passed = position, row
                    continue
                passed = None
                found.append((position, row))
                if len(found) == limit:
                    return _as_read(found)
        if passed is not None:
            found.append(passed)
        return _as_read(found) if found else None


def _as_read(found: Sequence[tuple[int, EventRow]]) -> tuple[Event, ...]:
    """Return events with their facts as the database gives them back, so that what is recorded of them does not depend on who reads."""
    read = from_json(f"[{','.join([row.data for _, row in found])}]")  # much faster than one by one
    return tuple([event_of(_selected(*one), data) for one, data in zip(found, read, strict=True)])


def _selected(place: int, row: EventRow) -> tuple[Any, ...]:
    """Return a row as it would be selected."""
    return (
        place,
        row.workspace_id,
        row.sequence,
        row.type,
        row.at,
        row.actor_id,
        row.plan_id,
        row.job_id,
        row.data,
    )
