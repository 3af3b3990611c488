"""The newest events that this process has committed itself, for the archiver in it: what is in hand need not be read again.

Only SQLite's are kept, where the positions of a transaction follow each other without a gap, and those of the next one go on
from there: so a gap shows that somebody else, or another loop, has committed in between, and then the database is asked.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Final

from steward.event import BY_THE_WAY, Event
from steward.plan import PlanRecord
from steward.work_stores.sql.event_rows import EventRow
from steward.work_stores.sql.recent_plans import RecentPlans

_MOST: Final = 256
"""How many transactions' events are kept; the archiver usually comes by after half as many."""
_BY_THE_WAY: Final = frozenset(map(str, BY_THE_WAY))


class Recent:
    """Events by transaction, in the order of their commits; none before somebody reads."""

    def __init__(self) -> None:
        """Begin with none."""
        self._kept: deque[tuple[int, Sequence[EventRow]]] = deque(maxlen=_MOST)
        self._readers = 0
        self.plans = RecentPlans()

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
                self.plans.clear()

    def add(self, rows: Sequence[EventRow], last: int | None, plans: Iterable[tuple[str, PlanRecord]] = ()) -> None:
        """Take what one transaction has committed, the last one standing at position ``last``, if that is known.

        ``plans`` were put in place by it, each in its workspace.
        """
        if self._readers and rows:
            self.plans.add(plans)
            if last is not None:
                self._kept.append((last - len(rows), rows))

    def after(self, position: int, limit: int) -> tuple[Event, ...] | None:
        """Return events as ``Dispatcher.events_after`` does; None: they are not all here."""
        kept = self._kept
        while kept and kept[0][0] + len(kept[0][1]) <= position:
            kept.popleft()
        found: list[Event] = []
        passed: EventRow | None = None
        for before, rows in tuple(kept):
            if before > position:
                return None
            for row in islice(rows, position - before, None):
                position += 1
                if row.type in _BY_THE_WAY and '"error_code"' not in row.data:
                    passed = row
                    continue
                passed = None
                found.append(row.as_read(position))
                if len(found) == limit:
                    return tuple(found)
        if passed is not None:
            found.append(passed.as_read(position))
        return tuple(found) if found else None
