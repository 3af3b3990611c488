"""What the listings of the work store give out: a page, and where the next one begins."""

from dataclasses import dataclass

from steward.approval import Approval
from steward.event import Event
from steward.job import ListedJob
from steward.plan import PlanRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """One page of jobs, newest first. ``next_after`` is None on the last page; a page that is not last is never empty."""

    jobs: tuple[ListedJob, ...]
    next_after: str | None
    queue_depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPage:
    """One page of plans, newest first."""

    plans: tuple[PlanRecord, ...]
    next_after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalPage:
    """One page of approvals, newest first."""

    approvals: tuple[Approval, ...]
    next_after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Events in order. ``gap``: the log no longer reaches back to where the reader was, so it must reload first."""

    events: tuple[Event, ...]
    gap: bool
    last_event_id: str
    """Where to go on from: the last event examined, also when all were filtered out."""
