"""The queue before the writers: units of one lane are written in their order, never two groups at once; lanes go beside each other."""

import threading
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

Unit = TypeVar("Unit")


class Lanes(Generic[Unit]):
    """Units that wait, by lane. Any thread may put and take."""

    def __init__(self, most: int) -> None:
        """Hand out groups of up to ``most`` units."""
        self._most = most
        self._waiting: dict[Hashable, deque[Unit]] = {}
        self._ready: deque[Hashable] = deque()
        self._busy: set[Hashable] = set()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, lane: Hashable, unit: Unit) -> None:
        """Add a unit to the end of its lane."""
        with self._changed:
            self._waiting.setdefault(lane, deque()).append(unit)
            if lane not in self._busy and len(self._waiting[lane]) == 1:
                self._ready.append(lane)
                self._changed.notify()

    def take(self) -> tuple[Hashable, list[Unit]] | None:
        """Return a lane that nobody is at, and what waits in it; wait for one. None: closed, and nothing is left here."""
        with self._changed:
            while not self._ready:
                if self._closed:
                    return None
                self._changed.wait()
            lane = self._ready.popleft()
            self._busy.add(lane)
            line = self._waiting[lane]
            group = [line.popleft() for _ in range(min(len(line), self._most))]
            if not line:
                del self._waiting[lane]
            return lane, group

    def done(self, lane: Hashable) -> None:
        """Open a lane that was taken to the next group."""
        with self._changed:
            self._busy.discard(lane)
            if lane in self._waiting:
                self._ready.append(lane)
                self._changed.notify()

    def close(self) -> None:
        """Let the takers go home once everything is taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
