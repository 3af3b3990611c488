"""The workspace, which is the tenant: the one validator of its id, and what its admins may set for it."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from steward.errors import Invalid, SettingsUnreadable

WORKSPACE_ID: Final = r"[a-z0-9][a-z0-9_-]{0,31}"
"""The shape of a workspace's id, for published schemas; everybody else asks ``canonical_workspace_id``."""
_WORKSPACE_ID: Final = re.compile(WORKSPACE_ID)
SYSTEM_WORKSPACE: Final = "system"
"""Reserved for operators of the installation; it never holds work."""


def canonical_workspace_id(value: object) -> str | None:
    """Return ``value`` if it is a well-formed workspace id, else None. Pure: reads no setting and logs nothing.

    Well formed: 1 to 32 of ``a-z 0-9 _ -``, the first a letter or digit, the whole string (no trailing newline, no
    look-alike letters). Source: API contract, section 2.
    """
    if isinstance(value, str) and _WORKSPACE_ID.fullmatch(value):
        return value
    return None


def require_workspace_id(value: object) -> str:
    """Return ``value`` if it is a well-formed workspace id; raise ``Invalid`` with the rule otherwise."""
    workspace_id = canonical_workspace_id(value)
    if workspace_id is None:
        raise Invalid(
            "A workspace id is 1 to 32 of a-z, 0-9, '_' and '-', starting with a letter or digit.",
            code="invalid_workspace_id",
        )
    return workspace_id


MAX_WINDOW_S: Final = 31 * 24 * 3600
"""The longest window of a budget."""


MAX_UNDO_S: Final = 24 * 3600
"""The longest time for second thoughts."""


class Cap(BaseModel):
    """How much of something may run: at the same time, and in a minute. None: no limit."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    max_running: Annotated[int | None, Field(ge=1, le=100_000)] = None
    """Jobs that may run at the same time."""
    per_minute: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    """Jobs that may start in a minute."""


class Budget(BaseModel):
    """How many effects may be had within a sliding window."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    limit: Annotated[int, Field(ge=0, le=10_000_000)]
    window_s: Annotated[int, Field(ge=1, le=MAX_WINDOW_S)]


BudgetName = Literal["messages_out", "outside_recipients", "webhook_calls"]
_Domain = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
_ActionPattern = Annotated[
    str, StringConstraints(pattern=r"^(\*|compute|[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*(\.\*)?)$", max_length=100)
]
_RuleName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class WorkspaceSettings(BaseModel):
    """What a workspace's admins set for it. It only ever narrows what the installation allows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    own_domains: Annotated[tuple[_Domain, ...], Field(max_length=100)] = ()
    """Domains whose addresses are inside; in lower case."""
    rules: Annotated[tuple[_RuleName, ...], Field(max_length=50)] = ()
    """Default policies that are off until a workspace switches them on, by name; and ``strict`` or ``relaxed``, the set of rules
    about where values come from that holds instead of the default one."""
    caps: Annotated[dict[_ActionPattern, Cap], Field(max_length=100)] = {}
    """Limits in the claim, by action id, ``provider.*`` or ``*`` for the whole workspace."""
    budgets: dict[BudgetName, Budget] = {}
    """Limits on effects, by what they count."""
    undo_window_s: Annotated[int, Field(ge=0, le=MAX_UNDO_S)] = 0
    """How long, in seconds, what goes outside and cannot be undone waits before it does, and can still be cancelled."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """A tenant: everything else belongs to exactly one."""

    workspace_id: str
    name: str
    created_at: datetime
    kept: WorkspaceSettings | None = field(default_factory=WorkspaceSettings)
    """Its settings; None: what is kept of them cannot be read."""

    @property
    def settings(self) -> WorkspaceSettings:
        """What its admins set. ``SettingsUnreadable`` if that cannot be told, so that nobody goes on as if nothing were set."""
        if self.kept is None:
            raise SettingsUnreadable
        return self.kept
