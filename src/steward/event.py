"""Frozen, past-tense facts about work. Metrics, streams and the audit listen to them; nobody asks them to happen.

An event's id is a cursor: ids of one workspace grow by one in the order the facts were committed, so a reader that was
away resumes after the last id it saw and misses nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple, Protocol

from steward.ids import is_id

_EVENT_ID: Final = re.compile(r"evt_([0-9]{16})")


class EventType(StrEnum):
    """What happened. The part before the dot is what it happened to."""

    PLAN_DRAFTED = "plan.drafted"
    PLAN_SUBMITTED = "plan.submitted"
    PLAN_COMPLETED = "plan.completed"
    PLAN_FAILED = "plan.failed"
    PLAN_CANCELLED = "plan.cancelled"
    PLAN_REJECTED = "plan.rejected"
    PLAN_EXPIRED = "plan.expired"
    PLAN_RESUMED = "plan.resumed"
    """A failed plan runs again because a step of it was retried."""
    APPROVAL_REQUESTED = "approval.requested"
    APPROVAL_DECIDED = "approval.decided"
    APPROVAL_EXPIRED = "approval.expired"
    JOB_STARTED = "job.started"
    JOB_DISPATCHED = "job.dispatched"
    JOB_COMPLETED = "job.completed"
    JOB_FAILED = "job.failed"
    JOB_RETRY_SCHEDULED = "job.retry_scheduled"
    JOB_UNKNOWN = "job.unknown"
    JOB_HELD = "job.held"
    JOB_RELEASED = "job.released"
    """Ready to run: its dependencies are done, its time has come, its approval was given, or its lease was lost."""
    JOB_SKIPPED = "job.skipped"
    JOB_CANCELLED = "job.cancelled"
    JOB_CANCEL_REQUESTED = "job.cancel_requested"
    JOB_EXPANDED = "job.expanded"
    JOB_RETRIED = "job.retried"
    """A person asked for another try."""
    JOB_RESOLVED = "job.resolved"
    """A person settled an unknown outcome."""
    UNREADABLE = "event.unreadable"
    """Stands where the record of an event is damaged: that one was there is all that can be told of it."""


BY_THE_WAY: Final = frozenset({EventType.JOB_STARTED, EventType.JOB_RELEASED})
"""That a job became ready or was claimed says nothing that its outcome does not, unless there is an ``error_code``."""


class Event(NamedTuple):
    """One fact. ``data`` is redacted and small: enough to show, never a whole result."""

    event_id: str
    workspace_id: str
    type: EventType
    at: datetime
    actor_id: str | None
    """Who caused it; None: the worker or the clock."""
    plan_id: str | None
    job_id: str | None
    data: Mapping[str, Any]
    position: int = 0
    """Order over the whole installation; for the installation's own readers, never shown to a tenant."""


def event_id(sequence: int) -> str:
    """Return the id of the event with this number within its workspace."""
    return f"evt_{sequence:016d}"


def event_sequence(value: object) -> int | None:
    """Return the number inside an event id, or None if ``value`` is not one."""
    match = _EVENT_ID.fullmatch(value) if isinstance(value, str) else None
    return int(match[1]) if match else None


def unreadable_event(workspace_id: str, sequence: int, at: datetime, plan_id: Any, position: int) -> Event:
    """Return what stands in the place of an event whose record is damaged, so that readers neither stop nor skip in silence.

    ``at`` is when that was found: a time from a damaged record could make an old one new, or a new one old.
    """
    return Event(
        event_id=event_id(sequence),
        workspace_id=workspace_id,
        type=EventType.UNREADABLE,
        at=at,
        actor_id=None,
        plan_id=plan_id if is_id(plan_id, "plan") else None,
        job_id=None,
        data={"error_code": "unreadable_record"},
        position=position,
    )


@dataclass(frozen=True, slots=True)
class LogEnds:
    """Where a log of events stands, so that another one can go on after it."""

    position: int
    sequences: Mapping[str, int] = field(default_factory=dict)
    """The number of each workspace's newest event."""


class EventSink(Protocol):
    """Is told every event that this process committed, after the commit. Must not raise and must not block.

    One that has ``wants``, types of events, may be told of those alone.
    """

    def __call__(self, event: Event) -> None:
        """Take note of ``event``."""
        ...
