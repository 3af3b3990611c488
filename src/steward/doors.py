"""Who was turned away: refused requests and failed logins go to the audit, and a flood of them stays a trickle there.

Of each source (an address for failed logins, an actor and a reason for denials) the first ``FIRST`` of a minute are recorded
one by one, the rest of that minute as one number. Beyond ``MAX_SOURCES`` sources a minute the others share one number.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from steward.audit import AuditEntry, AuditKind
from steward.clock import Clock, from_milliseconds, milliseconds
from steward.identity import Principal
from steward.recorder import Recorder
from steward.workspace import SYSTEM_WORKSPACE

FIRST: Final = 3
MAX_SOURCES: Final = 200
_MINUTE_MS: Final = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One request that was turned away."""

    principal: Principal | None
    """Whose credential it was; None: it was nobody's."""
    code: str
    status: int
    method: str
    route: str
    """The template of the route."""
    request_id: str
    address: str
    """Where it came from. It is kept where it can be erased."""
    rule: str | None = None
    scope: str | None = None
    action_id: str | None = None


_Source = tuple[str, ...]
_OTHERS: Final[_Source] = ()


class Doors:
    """Records refusals, within bounds."""

    def __init__(self, recorder: Recorder, clock: Clock) -> None:
        """Hand entries to ``recorder``."""
        self._recorder = recorder
        self._clock = clock
        self._minute = 0
        self._seen: dict[_Source, int] = {}
        self._last: dict[_Source, Refusal] = {}

    def refused(self, refusal: Refusal) -> None:
        """Record a refusal, or count it."""
        self.turn_the_minute()
        source = _source(refusal)
        if source not in self._seen and len(self._seen) >= MAX_SOURCES:
            source = _OTHERS
        self._seen[source] = self._seen.get(source, 0) + 1
        if self._seen[source] <= FIRST and source != _OTHERS:
            self._recorder.note(self._entry(refusal, {}))
        else:
            self._last[source] = refusal

    def turn_the_minute(self, *, end: bool = False) -> None:
        """Once a minute is over (or at the ``end``), record how many more there were in it of each source."""
        minute = milliseconds(self._clock.now()) // _MINUTE_MS
        if minute == self._minute and not end:
            return
        for source, refusal in self._last.items():
            more = self._seen[source] - (FIRST if source else 0)
            facts: dict[str, Any] = {"more": more, "since_ms": self._minute * _MINUTE_MS}
            if not source:
                facts["of_other_sources"] = True
            self._recorder.note(self._entry(refusal, facts, at_ms=(self._minute + 1) * _MINUTE_MS - 1))
        self._minute, self._seen, self._last = minute, {}, {}

    def _entry(self, refusal: Refusal, facts: Mapping[str, Any], *, at_ms: int | None = None) -> AuditEntry:
        who = refusal.principal
        known = {"status": refusal.status, "method": refusal.method, "route": refusal.route, "scope": refusal.scope}
        return AuditEntry(
            workspace_id=SYSTEM_WORKSPACE if who is None else who.workspace_id,
            kind=AuditKind.LOGIN_FAILED if who is None else AuditKind.DENIED,
            at=self._clock.now() if at_ms is None else from_milliseconds(at_ms),
            actor_id=None if who is None else who.actor_id,
            action_id=refusal.action_id,
            result=refusal.code,
            rule=refusal.rule,
            request_id=refusal.request_id,
            facts={**{name: value for name, value in known.items() if value is not None}, **facts},
            view={"address": refusal.address},
        )


def _source(refusal: Refusal) -> _Source:
    if refusal.principal is None:
        return ("", refusal.address)
    return (refusal.principal.workspace_id, refusal.principal.actor_id, refusal.code)
