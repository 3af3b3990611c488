"""How often something may be asked for over HTTP: the rules by name, and what each of them may say.

What a rule counts is said here, once. Counting is the web room's (``steward.web.rate_limits``); how much may *run*, and
how many effects may be had, are a workspace's own settings (``steward.workspace``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class RateRule(StrEnum):
    """One rule. A credential's rule counts what this credential asks for, a workspace's what all of its own do together."""

    PLAN = "plan"
    EXECUTE = "execute"
    PREVIEW = "preview"
    WORKSPACE_PLAN = "workspace_plan"
    WORKSPACE_EXECUTE = "workspace_execute"
    WORKSPACE_PREVIEW = "workspace_preview"
    SESSION = "session"
    """Sessions opened with a key, or with a code that stands for it."""
    FAILED_LOGINS = "failed_logins"
    """Requests without a valid credential, by the address they come from."""


WORKSPACE_RULE: Final[Mapping[RateRule, RateRule]] = {
    RateRule.PLAN: RateRule.WORKSPACE_PLAN,
    RateRule.EXECUTE: RateRule.WORKSPACE_EXECUTE,
    RateRule.PREVIEW: RateRule.WORKSPACE_PREVIEW,
}
"""The workspace's rule that stands beside a credential's."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many requests in so many seconds."""

    amount: int
    window_s: int


RateLimits = Mapping[RateRule, RateLimit]
"""The rules that are on."""
