"""Where the rate limits' counters are kept: in this process, bounded, and by the application's clock.

The strategy is ``limits``' sliding window counter; this is a storage for it. The one that comes with the library reads the
wall clock, sweeps every counter from a thread of its own, and grows with whoever asks.
"""

import math
from collections import OrderedDict

from limits.storage import SlidingWindowCounterSupport, Storage

from steward.clock import Clock


class WindowCounters(Storage, SlidingWindowCounterSupport):
    """At most ``capacity`` counters, two for each who asks; the one that was counted least recently is forgotten first.

    For one thread, the event loop's: what is looked at and then counted without waiting in between is one step.
    """

    STORAGE_SCHEME = None

    def __init__(self, clock: Clock, capacity: int) -> None:
        """Start with nothing counted."""
        super().__init__()
        self._clock = clock
        self._capacity = capacity
        self._counters: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many counters there are."""
        return len(self._counters)

    @property
    def base_exceptions(self) -> type[Exception]:
        """What this storage raises when it is away, which memory never is."""
        return MemoryError

    def get(self, key: str) -> int:
        """Return how much was counted; what has expired counts as nothing."""
        return self._count(key, self._now())

    def get_expiry(self, key: str) -> float:
        """Return until when a counter holds, in seconds since 1970."""
        return self._counters.get(key, (0, 0.0))[1]

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count ``amount`` and return the sum, which holds for ``expiry`` seconds from its first count on."""
        now = self._now()
        count = self._count(key, now)
        until = self._counters[key][1] if count else now + expiry
        self._counters[key] = (count + amount, until)
        self._counters.move_to_end(key)
        if len(self._counters) > self._capacity:
            self._counters.popitem(last=False)
        return count + amount

    def clear(self, key: str) -> None:
        """Forget one counter."""
        self._counters.pop(key, None)

    def reset(self) -> int:
        """Forget every counter and return how many there were."""
        number = len(self._counters)
        self._counters.clear()
        return number

    def check(self) -> bool:
        """Say that memory is there."""
        return True

    def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count ``amount`` if the two windows, weighted, have room for it, and say whether they had."""
        now = self._now()
        before, during, left_s = self._windows(key, expiry, now)
        counted = self._count(before, now) * left_s / expiry + self._count(during, now)
        if math.floor(counted) + amount > limit:
            return False
        self.incr(during, 2 * expiry, amount)
        return True

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Return the count of the window before and for how long it weighs, and the same of the window under way."""
        now = self._now()
        before, during, left_s = self._windows(key, expiry, now)
        return self._count(before, now), left_s, self._count(during, now), left_s + expiry

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Forget both windows."""
        for window in self._windows(key, expiry, self._now())[:2]:
            self.clear(window)

    def _count(self, key: str, now: float) -> int:
        count, until = self._counters.get(key, (0, 0.0))
        return count if now < until else 0

    def _windows(self, key: str, expiry: int, now: float) -> tuple[str, str, float]:
        """Return the names of the window before and of the one under way, and for how many seconds that still is."""
        number, passed_s = divmod(now, expiry)
        return f"{key}/{number - 1:.0f}", f"{key}/{number:.0f}", expiry - passed_s

    def _now(self) -> float:
        return self._clock.now().timestamp()
