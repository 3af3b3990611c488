"""Time to change one's mind: what cannot be undone waits a little before it goes out, if its workspace wants that.

The wait comes after every decision and before the dispatch record, as a schedule like any other. So a cancel in it is a cancel
of a job that has not begun, and one that comes too late is refused at dispatch or not at all: never half of each. Pure.
"""

from datetime import datetime, timedelta
from typing import Final

from steward.action import ActionDefinition, Effect
from steward.clock import rfc3339
from steward.job import Deferred, Job, JobError
from steward.link_guard import EXTERNAL
from steward.workspace import WorkspaceSettings

UNDO_WINDOW: Final = "undo_window"
"""The code under which a job waits."""
_WAITED: Final = frozenset({UNDO_WINDOW, "budget_exceeded"})
"""What a job was last put off for, if its time for second thoughts is over: a budget is asked about after it."""


def may_wait(definition: ActionDefinition) -> bool:
    """Say whether an action is one that goes outside and cannot be undone."""
    outgoing = definition.effect is Effect.WRITE and EXTERNAL in definition.groups
    return outgoing and definition.is_irreversible


def undo_window(job: Job, settings: WorkspaceSettings, now: datetime) -> Deferred | None:
    """Return the wait that a job still has before it; None: it has none, or has had it."""
    waited = job.error is not None and job.error.code in _WAITED
    if not settings.undo_window_s or waited or job.first_dispatched_at is not None:
        return None
    until = now + timedelta(seconds=settings.undo_window_s)
    return Deferred(
        JobError(UNDO_WINDOW, f"It cannot be undone, so until {rfc3339(until)} it can be cancelled."), until
    )
