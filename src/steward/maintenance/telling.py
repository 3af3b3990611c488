"""What is recorded of events: entries, in the order of the events. Pure.

That a job was dispatched and what that attempt came to are one record where both are told of together; else the dispatch has
its own, so that of what was begun and never heard of again there is a record, too.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from itertools import chain
from typing import Any, Final, NamedTuple, TypeAlias

from steward.audit import DISPATCHED, DISPATCHED_AT, AuditEntry
from steward.clock import rfc3339
from steward.digest import CanonicalJson
from steward.event import Event, EventType

PLANS: Final = frozenset({EventType.PLAN_DRAFTED, EventType.PLAN_SUBMITTED})
_FACTS: Final = frozenset(
    {
        *("step_id", "attempt", "status", "error_code", "approval_id", "jobs", "actions", "held_for", "cause"),
        *("children", "duration_ms"),
    }
)
"""What is recorded of an event's data: words, numbers and ids, never values."""
_OUTCOMES: Final = frozenset(
    {EventType.JOB_COMPLETED, EventType.JOB_FAILED, EventType.JOB_UNKNOWN, EventType.JOB_RETRY_SCHEDULED}
)
"""What an attempt comes to."""
_WORDS: Final = {
    EventType.JOB_DISPATCHED: "dispatched",
    EventType.JOB_RETRY_SCHEDULED: "will_retry",
    EventType.JOB_RETRIED: "retried",
    EventType.JOB_EXPANDED: "expanded",
    EventType.JOB_CANCEL_REQUESTED: "cancel_requested",
    EventType.APPROVAL_REQUESTED: "asked",
    EventType.APPROVAL_EXPIRED: "expired",
    EventType.PLAN_RESUMED: "resumed",
    EventType.UNREADABLE: "unreadable",
}


_moment: Final = lru_cache(maxsize=256)(rfc3339)
"""A time as a text; of a batch many are the same."""


class Asked(NamedTuple):
    """Who had a plan executed, and in which request."""

    actor_id: str | None
    request_id: str | None


NOBODY: Final = Asked(None, None)
Shown: TypeAlias = Mapping[tuple[str, str], CanonicalJson]
"""What was shown of plans, each by its workspace and id."""
_Begun: TypeAlias = tuple[int, Event, Asked]
"""That a job was dispatched: where it stands, the event, and who had its plan executed."""
_new: Final[Callable[[Any], AuditEntry]] = partial(tuple.__new__, AuditEntry)
"""Make an entry of its values in order, in half the time that it takes with their names."""


class Telling:
    """What is recorded of the events of a batch, in their order."""

    def __init__(self, account: Callable[[str], str | None]) -> None:
        """Name in whose name an action is seen at its far end as ``account`` says."""
        self._account = account
        self._found: list[AuditEntry | None] = []
        self._begun: dict[str | None, _Begun] = {}
        """By job: the last dispatch whose outcome was not told of yet."""
        self._alone: list[_Begun] = []
        """Dispatches whose outcome does not tell of them."""
        self._spared = 0

    def __len__(self) -> int:
        """Return how many records there will be."""
        return len(self._found) - self._spared

    def add(self, event: Event, asked: Asked, plans: Shown) -> None:
        """Take the next event; ``plans``: what was shown of those that it may tell of."""
        kind, found, before = event.type, self._found, None
        if kind is EventType.JOB_DISPATCHED:
            if event.job_id in self._begun:
                self._alone.append(self._begun[event.job_id])
            self._begun[event.job_id] = len(found), event, asked
            found.append(None)
            return
        if kind in _OUTCOMES and (begun := self._begun.pop(event.job_id, None)) is not None:
            if _tells_of(event, begun[1]):
                before = begun[1]
                self._spared += 1
            else:
                self._alone.append(begun)
        found.append(_entry(event, asked, self._account, plans, before))

    def entries(self) -> list[AuditEntry]:
        """Return what is recorded of them all."""
        found = self._found.copy()
        for place, event, asked in chain(self._alone, self._begun.values()):
            found[place] = _entry(event, asked, self._account, {}, None)
        return [entry for entry in found if entry is not None]


def _tells_of(outcome: Event, begun: Event) -> bool:
    """Say whether an outcome is that of the attempt that was begun, and says all that is recorded of that."""
    told, said = outcome.data, begun.data
    for name in said:
        if name != "status" and told.get(name) != said[name]:
            return False
    return (
        outcome.plan_id == begun.plan_id
        and outcome.workspace_id == begun.workspace_id
        and outcome.actor_id == begun.actor_id
    )


def _entry(
    event: Event,
    asked: Asked,
    account: Callable[[str], str | None],
    plans: Shown,
    begun: Event | None,
) -> AuditEntry:
    """Return what is recorded of an event. It is done for each, so the order of fields stands for their names."""
    _, workspace_id, kind, at, actor_id, plan_id, job_id, data, position = event
    facts = {name: value for name, value in data.items() if name in _FACTS and value is not None}
    if begun is not None:
        facts[DISPATCHED], facts[DISPATCHED_AT] = f"work/{begun.position}", _moment(begun.at)
    if actor_id is None and asked.actor_id is not None:
        facts["on_behalf_of"] = asked.actor_id
    action_id = data.get("action_id")
    if type(action_id) is not str:
        action_id = None
    acting_as = None if action_id is None else account(action_id)
    result = _WORDS.get(kind) or str(data.get("error_code") or data.get("status") or "")
    rule = text_or_none(data["rule"]) if "rule" in data else None
    request_id = (text_or_none(data["request_id"]) if "request_id" in data else None) or asked.request_id
    view = plans.get((workspace_id, plan_id)) if plan_id is not None and kind in PLANS else None
    source = f"work/{position}"
    # fmt: off
    return _new((
        workspace_id, kind, at, actor_id, acting_as, action_id, plan_id, job_id,
        result, rule, request_id, source, facts, view, view is not None,
    ))
    # fmt: on


def text_or_none(value: object) -> str | None:
    """Return what an event says if it is a text, as all that is kept in a column is."""
    return value if isinstance(value, str) else None
