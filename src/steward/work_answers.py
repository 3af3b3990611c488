"""What a worker shows to a store to act on a job, and what it is answered: go on, or do not."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from steward.job import Job
from steward.quickly import quickly


@dataclass(frozen=True, slots=True)
class LeaseRef:
    """Names one lease: what a worker must show to act on a job."""

    workspace_id: str
    job_id: str
    fence: int
    record: Any = field(default=None, compare=False, repr=False)
    """What the store told with the lease, in its own words: to whoever shows it again it need not say it again."""


make_ref: Final = quickly(LeaseRef)


@dataclass(frozen=True, slots=True, eq=False)
class Granted:
    """The lease is good."""

    record: Job | Callable[[], Job]
    """What ``job`` is, or how to read it: most who ask want to know only that they may go on."""

    @property
    def job(self) -> Job:
        """The record after the operation."""
        return self.record() if callable(self.record) else self.record

    def __eq__(self, other: object) -> bool:
        """Say whether the other one grants the same."""
        return isinstance(other, Granted) and self.job == other.job

    def __hash__(self) -> int:
        """Return the same for what grants the same."""
        return hash((self.job.job_id, self.job.fence))


@dataclass(frozen=True, slots=True)
class Refused:
    """It may not go on, and nothing was written. ``retry_at``: when a ``budget`` may have room; None: never."""

    reason: Literal["fence", "cancelled", "budget"]
    detail: str = ""
    retry_at: datetime | None = None


Answer = Granted | Refused
