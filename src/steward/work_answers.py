"""What a store answers to whoever shows it a lease: go on, or do not."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from steward.job import Job


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
