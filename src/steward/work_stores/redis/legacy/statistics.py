"""What each phase was like: which records answered reads, how many calls failed, how long they took. Gathered over processes.

A process counts in memory and adds what it has to Redis once in a while, and when it closes.
"""

import bisect
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from steward.key_schema import Phase, ReadPath, ReadSink
from steward.work_stores.redis.keys import key

_EDGES_MS: Final = (1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 300, 500, 1000, 2000)
_P99: Final = 0.99
_EVERY_S: Final = 1.0
PATHS: Final[tuple[ReadPath, ...]] = ("new", "old", "miss")


class Statistics:
    """Counts of this process, by the phase that it saw last."""

    def __init__(self, sink: ReadSink | None = None) -> None:
        """``sink`` is told of reads."""
        self.sink = sink
        self.phase = Phase.NEW_ONLY
        self._counts: Counter[str] = Counter()
        self._calls: Counter[tuple[Phase, int]] = Counter()
        self._written = time.monotonic()

    def call(self, began: float, *, failed: bool) -> bool:
        """Take note of one call to Redis that began at this time, and of whether it failed.

        Returns whether it is time to add what was counted to what stands in Redis.
        """
        now = time.monotonic()
        self._calls[self.phase, bisect.bisect_left(_EDGES_MS, (now - began) * 1000)] += 1
        if failed:
            self._counts[f"{self.phase} failed"] += 1
        return now - self._written >= _EVERY_S

    def read(self, phase: Phase, path: ReadPath, count: int = 1) -> None:
        """Take note of reads that this record answered."""
        self.phase = phase
        if count:
            self._counts[f"{phase} {path}"] += count
            if self.sink is not None:
                self.sink(phase, path, count)

    def take(self) -> list[tuple[Any, ...]]:
        """Return commands that add what was counted, and begin anew."""
        counts, self._counts = self._counts, Counter()
        calls, self._calls = self._calls, Counter()
        counts.update({f"{phase} calls {place}": number for (phase, place), number in calls.items()})
        self._written = time.monotonic()
        return [("HINCRBY", key("schema_calls"), name, number) for name, number in counts.items()]


def phase_of(answer: bytes | None) -> Phase:
    """Return the phase as Redis keeps it; where it keeps none there is only one schema."""
    return Phase.NEW_ONLY if answer is None else Phase(answer.decode())


def told(kept: Mapping[str, str]) -> tuple[dict[str, dict[str, int]], dict[str, float], dict[str, float]]:
    """Return read paths, the share of failed calls and the p99 in milliseconds, each by phase."""
    counts = {name: int(number) for name, number in kept.items()}
    paths: dict[str, dict[str, int]] = {
        phase.value: {str(path): counts.get(f"{phase} {path}", 0) for path in PATHS} for phase in Phase
    }
    errors: dict[str, float] = {}
    p99: dict[str, float] = {}
    for phase in Phase:
        calls = [counts.get(f"{phase} calls {place}", 0) for place in range(len(_EDGES_MS) + 1)]
        if total := sum(calls):
            errors[phase.value] = counts.get(f"{phase} failed", 0) / total
            p99[phase.value] = _edge(calls, total)
    return paths, errors, p99


def _edge(calls: Sequence[int], total: int) -> float:
    """Return the upper edge of the bucket in which the p99 lies."""
    reached = 0
    for place, number in enumerate(calls):
        reached += number
        if reached >= _P99 * total:
            return float(_EDGES_MS[min(place, len(_EDGES_MS) - 1)])
    return float(_EDGES_MS[-1])
