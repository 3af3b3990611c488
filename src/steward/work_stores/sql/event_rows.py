"""Events as rows, and their translation to the frozen records: apart from other rows, since they are only ever added and read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Final

from pydantic_core import from_json

from steward.clock import from_milliseconds
from steward.event import Event, EventType, event_id

_EVENT_TYPES: Final = {kind.value: kind for kind in EventType}
_event: Final[Callable[[Any], Event]] = partial(tuple.__new__, Event)
"""Make an event of its values in order, in half the time that it takes with their names."""
_UNCHANGED: Final = frozenset({str, int, bool, type(None)})
"""What is the same before it becomes JSON and when that is read."""
_TEXT_OR_NOTHING: Final = frozenset({str, type(None)})


@dataclass(slots=True)
class EventRow:
    """A row of ``events`` before it has its position."""

    workspace_id: str
    sequence: int
    type: str
    at: int
    actor_id: str | None
    plan_id: str | None
    job_id: str | None
    data: str
    facts: Mapping[str, Any]
    """What ``data`` says; not a column."""

    def to_event(self) -> Event:
        """Return the frozen event."""
        named, kind, at = event_id(self.sequence), _EVENT_TYPES[self.type], from_milliseconds(self.at)
        return _event((named, self.workspace_id, kind, at, self.actor_id, self.plan_id, self.job_id, self.facts, 0))

    def as_read(self, position: int) -> Event:
        """Return the frozen event as it is read from the database, where it stands at ``position``.

        What its facts are does not depend on who reads: those that JSON would give back otherwise are read from it.
        """
        facts = self.facts
        if type(facts) is not dict or not _UNCHANGED.issuperset(map(type, facts.values())):
            facts = from_json(self.data)
        named, kind, at = event_id(self.sequence), _EVENT_TYPES[self.type], from_milliseconds(self.at)
        return _event((named, self.workspace_id, kind, at, self.actor_id, self.plan_id, self.job_id, facts, position))


EVENT_COLUMNS: Final = tuple(f.name for f in fields(EventRow) if f.name != "facts")


def read_event(row: Any) -> Event:
    """Return the frozen event of a row as selected; raises one of ``DAMAGE`` if anything of it cannot be read."""
    position, workspace_id, sequence, kind, at, actor_id, plan_id, job_id, text = row  # quicker than by name
    data = from_json(text, allow_inf_nan=False)
    if type(data) is not dict or not {type(actor_id), type(plan_id), type(job_id)} <= _TEXT_OR_NOTHING:
        raise TypeError
    named, moment = event_id(sequence), from_milliseconds(at)
    return _event((named, workspace_id, _EVENT_TYPES[kind], moment, actor_id, plan_id, job_id, data, position))
