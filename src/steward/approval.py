"""A person's yes or no to one exact digest."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from steward.identity import Role


class ApprovalStatus(StrEnum):
    """Where an approval is; every state but ``pending`` is final."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    """Its plan or job was cancelled before anyone decided."""


class Verdict(StrEnum):
    """What a person may answer."""

    APPROVE = "approve"
    REJECT = "reject"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A request for a decision and, once made, the decision. Times are aware UTC."""

    approval_id: str
    workspace_id: str
    plan_id: str
    job_id: str | None
    """None: it covers the whole plan before it starts. Otherwise the one step that is held."""
    digest: str
    """What is approved; a decision that names another digest does not count."""
    status: ApprovalStatus
    reason: str
    rule: str
    detail: dict[str, Any]
    """What the person is shown beside the plan: value, source and rule. Redacted."""
    requested_by: str
    """Who executed the plan: on whose behalf it would go on."""
    created_at: datetime
    expires_at: datetime
    another_person: bool = False
    """Whether neither who executed the plan nor who made it may be the one who approves."""
    approver_role: Role | None = None
    """The role that an approver must have; None: whoever may decide. An admin has every role of the workspace."""
    decided_by: str | None = None
    decided_at: datetime | None = None
    comment: str | None = None


def role_suffices(roles: frozenset[Role], needed: Role | None) -> bool:
    """Say whether somebody with ``roles`` has the role that an approver needs; an admin has all but the operator's."""
    return needed is None or needed in roles or (Role.ADMIN in roles and needed is not Role.OPERATOR)
