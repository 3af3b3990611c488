"""What keeps a ready job from being claimed although a worker is free: a cap that its workspace set.

Pure, and the one place that knows the condition: the claim asks it which jobs to take, and ``explain`` asks it why one was
not, so the two cannot drift apart.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final, Literal

from steward.clock import from_milliseconds, milliseconds
from steward.workspace import Budget, BudgetName, Cap

Caps = Mapping[str, Cap]
"""A workspace's caps, by action id, ``provider.*`` or ``*``."""
Budgets = Mapping[BudgetName, Budget]
"""A workspace's budgets, by what they count."""
NO_BUDGETS: Final[Budgets] = MappingProxyType({})
NO_CAPS: Final[Mapping[str, Caps]] = MappingProxyType({})
"""No workspace has any."""
NOTHING_RUNS: Final[Caps] = MappingProxyType({"*": Cap.model_construct(max_running=0)})
"""What holds where it cannot be told what was set; nobody can set it."""
_SECOND_MS: Final = 1000
_MINUTE: Final = timedelta(minutes=1)


def covers(pattern: str, action_id: str) -> bool:
    """Say whether a cap for ``pattern`` counts jobs of this action."""
    return pattern in {"*", action_id} or (pattern.endswith(".*") and action_id.startswith(pattern[:-1]))


def counts_until(started: datetime) -> datetime:
    """Return until when a start counts: a minute, and then to the end of that second, so that few are told apart."""
    second = math.ceil(milliseconds(started) / _SECOND_MS) * _SECOND_MS
    return from_milliseconds(second) + _MINUTE


@dataclass(frozen=True, slots=True)
class Start:
    """Jobs of one action that were claimed within the same second."""

    action_id: str
    until: datetime
    """When they no longer count."""
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What a workspace's caps and budgets count."""

    running: Mapping[str, int] = field(default_factory=dict)
    """Running jobs by action id."""
    started: tuple[Start, ...] = ()
    """Those of the last minute, as far as a cap asked for them."""
    used: Mapping[BudgetName, int] = field(default_factory=dict)
    """How much of each budget that was asked about is used within its window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capped:
    """The rule that keeps a job from being claimed now."""

    pattern: str
    kind: Literal["max_running", "per_minute"]
    limit: int
    until: datetime | None
    """When it will have room by itself; None: when one that runs ends."""

    @property
    def sentence(self) -> str:
        """What the rule says."""
        what = f"{self.limit} job{'' if self.limit == 1 else 's'}"
        what = what if self.pattern == "*" else f"{what} of '{self.pattern}'"
        when = "run at the same time" if self.kind == "max_running" else "start in a minute"
        return f"In this workspace at most {what} may {when}."


class Room:
    """How much of what may be claimed in one workspace, counted down as it is."""

    def __init__(self, caps: Caps, activity: Activity, now: datetime) -> None:
        """Begin with what runs and what was started."""
        self._caps = caps
        self._running = dict(activity.running)
        self._started = sorted(activity.started, key=lambda start: start.until)
        self._now = now

    @property
    def counts_starts(self) -> bool:
        """Whether starts have to be remembered for these caps."""
        return any(cap.per_minute is not None for cap in self._caps.values())

    def capped(self, action_id: str) -> Capped | None:
        """Return the rule that keeps a job of this action from being claimed now; None: it may be."""
        return next((rule for left, rule in self._rules(action_id) if left <= 0), None)

    def left(self, action_id: str) -> float:
        """Return how many more jobs of this action may be claimed; without a cap, infinitely many."""
        return max(min((left for left, _ in self._rules(action_id)), default=math.inf), 0)

    def take(self, action_id: str) -> None:
        """Count one more that was claimed."""
        self._running[action_id] = self._running.get(action_id, 0) + 1
        self._started.append(Start(action_id, counts_until(self._now), 1))

    def rules(self) -> Iterable[tuple[int, Capped]]:
        """Yield every rule with how many it leaves."""
        for pattern, cap in self._caps.items():
            if (limit := cap.max_running) is not None:
                running = sum(number for other, number in self._running.items() if covers(pattern, other))
                yield limit - running, Capped(pattern=pattern, kind="max_running", limit=limit, until=None)
            if (limit := cap.per_minute) is not None:
                started = [
                    start for start in self._started if start.until > self._now and covers(pattern, start.action_id)
                ]
                left = limit - sum(start.number for start in started)
                until = _room_at(started, 1 - left)
                yield left, Capped(pattern=pattern, kind="per_minute", limit=limit, until=until)

    def _rules(self, action_id: str) -> Iterable[tuple[int, Capped]]:
        return ((left, rule) for left, rule in self.rules() if covers(rule.pattern, action_id))


def _room_at(started: list[Start], too_many: int) -> datetime | None:
    """Return when ``too_many`` of what was started, the soonest first, no longer count."""
    for start in started:
        too_many -= start.number
        if too_many <= 0:
            return start.until
    return None


ENDLESS: Final = Room({}, Activity(), datetime.max.replace(tzinfo=UTC))
"""Where nothing is capped."""
