"""What the API answers about policies, as models for the published schema."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field

from steward.web.answers import Answer, Decision


class Policy(Answer):
    """A workspace's own policy."""

    name: str
    text: str
    changed_by: str
    changed_at: AwareDatetime


class PolicyList(Answer):
    """The workspace's own policies, by name."""

    policies: list[Policy]
    version: str
    """What identifies all rules that hold here now; recorded with every decision."""
    request_id: str


class PolicyRemoved(Answer):
    """The policy is gone."""

    name: str
    removed: Literal[True]


class DefaultRule(Answer):
    """A rule that comes with Steward."""

    name: str
    effect: Literal["permit", "deny", "ask"]
    reason: str
    fix: str
    optional: bool
    """Off until the workspace's settings name it under ``rules``."""
    sets: list[str]
    """The sets it belongs to: ``default``, or ``strict`` or ``relaxed`` where the settings name one under ``rules``."""
    on: bool


class DefaultRules(Answer):
    """The rules that come with Steward, in the order in which they speak."""

    rules: list[DefaultRule]
    request_id: str


class PolicyCheck(Answer):
    """What would be decided now."""

    action_id: str
    decision: Decision
    fix: str
    """What would have to change; blank unless it is denied."""
    another_person: bool
    approver_role: str | None
    facts: dict[str, Any]
    """What the rules looked at."""
    version: str
    request_id: str


class PolicyDifference(Answer):
    """Decisions that would all have changed in the same way."""

    action_id: str
    was: Literal["allow", "ask", "deny"]
    becomes: Literal["allow", "ask", "deny"]
    was_rule: str
    rule: str
    reason: str
    count: Annotated[int, Field(ge=1)]
    plan_ids: list[str]
    """A few of the plans."""


class PolicyDiff(Answer):
    """What would have been decided otherwise: newly denied, then asked, then allowed."""

    since: AwareDatetime
    examined: Annotated[int, Field(ge=0)]
    complete: bool
    """Whether all decisions since then were looked at, rather than the first 50 000."""
    differences: list[PolicyDifference]
    request_id: str
