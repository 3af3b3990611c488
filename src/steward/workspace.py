"""The workspace, which is the tenant, and the one validator of its id."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from steward.errors import Invalid

_WORKSPACE_ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
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


@dataclass(frozen=True, slots=True)
class Workspace:
    """A tenant: everything else belongs to exactly one."""

    workspace_id: str
    name: str
    created_at: datetime
