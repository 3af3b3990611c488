"""Who acts, where, and what they may do: scopes, roles and the principal made of them.

A principal comes from a credential alone; nothing in a request body can change it.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Final, TypeGuard

from steward.errors import Invalid

_ACTOR_ID: Final = re.compile(r"(?!key_)[A-Za-z0-9][A-Za-z0-9._@|:+=,~-]{0,63}")


class Scope(StrEnum):
    """One thing a credential may be used for."""

    PREVIEW = "actions:preview"
    EXECUTE = "actions:execute"
    DECIDE = "approvals:decide"
    AUDIT = "audit:read"
    CONNECTIONS = "connections:manage"
    ADMIN = "admin"


class Role(StrEnum):
    """A named set of scopes. ``operator`` runs the installation and lives in the reserved workspace ``system``."""

    VIEWER = "viewer"
    DEVELOPER = "developer"
    APPROVER = "approver"
    AUDITOR = "auditor"
    ADMIN = "admin"
    OPERATOR = "operator"


ROLE_SCOPES: Final[dict[Role, frozenset[Scope]]] = {
    Role.VIEWER: frozenset({Scope.PREVIEW}),
    Role.DEVELOPER: frozenset({Scope.PREVIEW, Scope.EXECUTE, Scope.CONNECTIONS}),
    Role.APPROVER: frozenset({Scope.PREVIEW, Scope.DECIDE}),
    Role.AUDITOR: frozenset({Scope.AUDIT}),
    Role.ADMIN: frozenset(Scope),
    Role.OPERATOR: frozenset({Scope.AUDIT}),  # of its own workspace, where failed logins are recorded
}


@cache
def scopes_of(roles: frozenset[Role]) -> frozenset[Scope]:
    """Return every scope that any of ``roles`` carries."""
    return frozenset(scope for role in roles for scope in ROLE_SCOPES[role])


def is_actor_id(value: object) -> TypeGuard[str]:
    """Say whether ``value`` can be the id of a member: what identity providers use, and never like the id of a key."""
    return isinstance(value, str) and _ACTOR_ID.fullmatch(value) is not None


def require_actor_id(value: object) -> str:
    """Return ``value`` if it can be the id of a member; raise ``Invalid`` with the rule otherwise."""
    if not is_actor_id(value):
        raise Invalid(
            "A member's id is 1 to 64 of A-Z a-z 0-9 . _ @ | : + = , ~ -, starting with a letter or digit, and not 'key_'.",
            code="invalid_actor_id",
        )
    return value


@dataclass(frozen=True, slots=True)
class Principal:
    """An actor in a workspace, with what it may do. ``actor_id`` is a key id or a user id."""

    actor_id: str
    workspace_id: str
    roles: frozenset[Role]
    scopes: frozenset[Scope] = field(default_factory=frozenset)

    def may(self, scope: Scope) -> bool:
        """Say whether the credential carries ``scope``."""
        return scope in self.scopes

    @property
    def is_operator(self) -> bool:
        """Whether this principal runs the installation rather than acting in a tenant."""
        return Role.OPERATOR in self.roles
