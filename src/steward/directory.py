"""Workspaces and API keys: who exists and what they may do, as a contract."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from steward.identity import Principal, Role, scopes_of
from steward.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is kept: never the secret, only its hash. Times are aware UTC."""

    key_id: str
    workspace_id: str
    role: Role
    name: str
    secret_hash: bytes
    """SHA-256 of the secret. The secret is 256 random bits, so a slow hash would add cost and no safety."""
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    def valid_at(self, moment: datetime) -> bool:
        """Say whether the key is neither revoked nor, at ``moment``, expired."""
        return self.revoked_at is None and (self.expires_at is None or moment < self.expires_at)

    @property
    def principal(self) -> Principal:
        """Who somebody is that holds this key: the key is the actor."""
        roles = frozenset({self.role})
        return Principal(self.key_id, self.workspace_id, roles, scopes_of(roles))


class Directory(Protocol):
    """Where workspaces and keys are kept."""

    async def create_workspace(self, workspace_id: str, name: str) -> Workspace:
        """Add a workspace; ``Conflict`` (``workspace_exists``) if the id is taken, ``Invalid`` if malformed or reserved."""
        ...

    async def list_workspaces(self) -> tuple[Workspace, ...]:
        """Return every workspace, by id."""
        ...

    async def get_workspace(self, workspace_id: str) -> Workspace | None:
        """Return one workspace."""
        ...

    async def add_key(self, key: ApiKey) -> None:
        """Keep a new key; ``NotFound`` (``unknown_workspace``) if its workspace does not exist."""
        ...

    async def get_key(self, key_id: str) -> ApiKey | None:
        """Return one key by id, whatever its state, in one indexed look-up."""
        ...

    async def list_keys(self, workspace_id: str | None = None) -> tuple[ApiKey, ...]:
        """Return the keys of a workspace, or all, oldest first."""
        ...

    async def revoke_key(self, key_id: str) -> ApiKey:
        """Revoke a key for good, at once and in every process; again is no error. ``NotFound`` if there is none."""
        ...

    async def note_use(self, key_id: str) -> None:
        """Remember that a key was used now; may be a minute coarse."""
        ...

    async def principal_of(self, workspace_id: str, actor_id: str) -> Principal | None:
        """Return who this actor is *now*, for a check at dispatch; None if unknown, expired or revoked."""
        ...
