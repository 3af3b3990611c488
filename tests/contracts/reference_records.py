"""What the reference model remembers: plain records, and the refusal it answers with."""

from dataclasses import dataclass, field
from datetime import datetime

from steward.action import Effect, RetryMode
from steward.job import JobStatus
from steward.plan import PlanStatus


class Refusal(Exception):
    """The contract refuses this; ``args[0]`` is the name of the error it raises."""


@dataclass
class ModelJob:
    """A job as the contract sees it."""

    job_id: str
    workspace: str
    plan_id: str
    needs: tuple[str, ...]
    effect: Effect
    retry: RetryMode
    key_valid_s: float
    budget: int
    not_before: datetime | None
    status: JobStatus = JobStatus.PENDING
    left: int = 0
    """Attempts that remain."""
    fence: int = 0
    lease_until: datetime | None = None
    dispatched_at: datetime | None = None
    first_dispatched_at: datetime | None = None
    cancel_requested: bool = False
    revivable: bool = False
    """Cancelled because a step it needs failed, not because somebody wanted it."""
    expanded: bool = False

    def is_due(self, now: datetime) -> bool:
        """Say whether it is scheduled and its time has come."""
        return self.status is JobStatus.SCHEDULED and self.not_before is not None and self.not_before <= now

    def holds(self, fence: int, now: datetime) -> bool:
        """Say whether a lease with this fence is the current one and has not run out."""
        current = self.status is JobStatus.RUNNING and self.fence == fence
        return current and self.lease_until is not None and self.lease_until > now

    def is_doubtful(self) -> bool:
        """Say whether this attempt or an earlier one may have had the effect."""
        this = self.dispatched_at is not None
        earlier = self.first_dispatched_at is not None and self.first_dispatched_at != self.dispatched_at
        return self.effect is Effect.WRITE and (this or earlier)

    def leave(self, status: JobStatus) -> None:
        """Go to another state; whatever belonged to the lease is over."""
        self.status, self.dispatched_at, self.lease_until, self.cancel_requested = status, None, None, False


@dataclass
class ModelPlan:
    """A plan as the contract sees it."""

    plan_id: str
    workspace: str
    status: PlanStatus
    expires_at: datetime | None
    approval_id: str | None = None
    job_ids: list[str] = field(default_factory=list)
    ended_at: datetime | None = None


@dataclass
class ModelApproval:
    """An approval: of a plan, or of one held job."""

    approval_id: str
    plan_id: str
    job_id: str | None
    expires_at: datetime
    status: str = "pending"
    decided_by: str | None = None
    never: str | None = None
    """Who may not approve."""
