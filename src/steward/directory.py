"""Workspaces, members, keys, sessions and the workspaces' own policies: who exists and what they may do, as a contract.

Every change is noted in the audit in the same transaction, so what takes ``by`` records who did it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from steward.caps import Caps
from steward.identity import Principal, Role, Scope, scopes_of
from steward.workspace import Workspace, WorkspaceSettings

LOCAL_ACTOR: Final = "@local"
"""Who acts when somebody manages an installation on its own machine: being there is the credential. Never a member's id."""


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
    replaced_by: str | None = None
    """The key that took over when this one was rotated: what this one asked for goes on after it has expired."""
    owner: str | None = None
    """The person it was made for, by the id of a member; None: it cannot be told whose it is."""

    def valid_at(self, moment: datetime) -> bool:
        """Say whether the key is neither revoked nor, at ``moment``, expired."""
        return self.revoked_at is None and (self.expires_at is None or moment < self.expires_at)

    @property
    def principal(self) -> Principal:
        """Who somebody is that holds this key: the key is the actor."""
        roles = frozenset({self.role})
        return Principal(self.key_id, self.workspace_id, roles, scopes_of(roles))


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A person (or agent) that acts in a workspace with a token of an identity provider. Times are aware UTC."""

    workspace_id: str
    actor_id: str
    """The token's ``sub``."""
    name: str
    roles: frozenset[Role]
    """As an admin set them, or as the last token said."""
    scopes: frozenset[Scope]
    """What the roles carry, narrowed to what the last token said."""
    pinned: bool
    """Whether an admin set the roles: then a token can only narrow them."""
    created_at: datetime
    last_seen_at: datetime | None
    disabled_at: datetime | None

    @property
    def principal(self) -> Principal:
        """Who this member is."""
        return Principal(self.actor_id, self.workspace_id, self.roles, self.scopes)


class TicketKind(StrEnum):
    """What a ticket is for."""

    CODE = "code"
    """Opens one session, once."""
    SESSION = "session"
    """A browser that somebody has logged in with a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """Something random that stands for a key for a while. Only its hash is kept."""

    kind: TicketKind
    token_hash: bytes
    """SHA-256 of the random part."""
    key_id: str
    workspace_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspacePolicy:
    """A workspace's own policy: Cedar text made of ``forbid`` alone."""

    workspace_id: str
    name: str
    text: str
    changed_by: str
    changed_at: datetime


class Directory(Protocol):
    """Where workspaces, members, keys, tickets and policies are kept. ``by`` is who asks, for the audit.

    Single look-ups (``get_…``, ``admit``, ``principal_of``) may be 200 ms behind what another process changed, and are
    never behind what this one did.
    """

    async def create_workspace(self, workspace_id: str, name: str, *, by: str) -> Workspace:
        """Add a workspace; ``Conflict`` (``workspace_exists``) if the id is taken, ``Invalid`` if malformed or reserved."""
        ...

    async def list_workspaces(self, *, limit: int | None = None, after: str | None = None) -> tuple[Workspace, ...]:
        """Return up to ``limit`` workspaces (None: all) whose ids come after ``after``, by id."""
        ...

    async def get_workspace(self, workspace_id: str) -> Workspace | None:
        """Return one workspace."""
        ...

    async def list_caps(self) -> Mapping[str, Caps]:
        """Return the caps of every workspace that has some, as far behind as a single look-up."""
        ...

    async def change_settings(self, workspace_id: str, settings: WorkspaceSettings, *, by: str) -> Workspace:
        """Replace a workspace's settings; ``NotFound`` if there is no such workspace."""
        ...

    async def add_key(self, key: ApiKey, *, by: str) -> None:
        """Keep a new key.

        ``NotFound`` (``unknown_workspace``) if its workspace does not exist, ``Invalid`` (``unknown_owner``) if its owner does not.
        """
        ...

    async def get_key(self, key_id: str) -> ApiKey | None:
        """Return one key by id, whatever its state, in one indexed look-up."""
        ...

    async def list_keys(
        self, workspace_id: str | None = None, *, limit: int | None = None, after: str | None = None
    ) -> tuple[ApiKey, ...]:
        """Return the keys of a workspace, or of all, by id and so oldest first: up to ``limit`` that come after ``after``."""
        ...

    async def revoke_key(self, key_id: str, *, by: str, workspace_id: str | None = None) -> ApiKey:
        """Revoke a key for good, at once here and within 200 ms in every process; again is no error.

        ``NotFound`` if there is none (in ``workspace_id``, if given).
        """
        ...

    async def change_key_role(self, key_id: str, role: Role, *, by: str, workspace_id: str | None = None) -> ApiKey:
        """Give a key another role; ``NotFound`` as above, ``Invalid`` for ``operator``, ``Conflict`` once revoked."""
        ...

    async def replace_key(self, old_key_id: str, new: ApiKey, overlap: timedelta, *, by: str) -> ApiKey:
        """Keep ``new`` as the successor of a key, which expires after ``overlap`` (or when it would have, if sooner).

        Returns the old key. ``NotFound`` if there is none in ``new``'s workspace, ``Conflict`` if it is revoked, expired,
        replaced already, or no longer of ``new``'s role.
        """
        ...

    async def person_of(self, actor_id: str) -> str | None:
        """Return who stands behind an actor: a member is a person, a key is its owner's; None: it cannot be told."""
        ...

    async def same_person(self, actor_id: str) -> frozenset[str]:
        """Return every id under which the person behind an actor acts: as a member, and with each key that names them."""
        ...

    async def note_use(self, key_id: str) -> None:
        """Remember that a key was used now; may be a minute coarse."""
        ...

    async def admit(
        self, workspace_id: str, actor_id: str, name: str, roles: frozenset[Role], scopes: frozenset[Scope] | None
    ) -> Member:
        """Return the member that a verified token speaks of, making it at the first login; any number at once make one.

        ``scopes`` narrow what ``roles`` carry, and without roles are all there is. Unless its roles are pinned they become
        the token's. ``Forbidden`` if the workspace does not exist (``workspace_unavailable``) or the member is disabled
        (``member_disabled``).
        """
        ...

    async def list_members(
        self, workspace_id: str, *, limit: int | None = None, after: str | None = None
    ) -> tuple[Member, ...]:
        """Return a workspace's members, by actor id: up to ``limit`` (None: all) that come after ``after``."""
        ...

    async def get_member(self, workspace_id: str, actor_id: str) -> Member | None:
        """Return one member."""
        ...

    async def set_member(
        self,
        workspace_id: str,
        actor_id: str,
        *,
        by: str,
        name: str | None = None,
        roles: frozenset[Role] | None = None,
        disabled: bool | None = None,
    ) -> Member:
        """Make or change a member; roles that are given are pinned. ``Invalid`` for ``operator``, ``NotFound`` for an unknown workspace."""
        ...

    async def remove_member(self, workspace_id: str, actor_id: str, *, by: str) -> None:
        """Forget a member; a later token makes it anew, so disable instead to keep somebody out. ``NotFound`` if there is none."""
        ...

    async def add_ticket(self, ticket: Ticket) -> None:
        """Keep a ticket until it expires or is taken."""
        ...

    async def get_ticket(self, kind: TicketKind, token_hash: bytes) -> Ticket | None:
        """Return a ticket that has not expired."""
        ...

    async def take_ticket(self, kind: TicketKind, token_hash: bytes) -> Ticket | None:
        """Return a ticket that has not expired, and remove it: of any number at once, one gets it."""
        ...

    async def list_policies(self, workspace_id: str) -> tuple[WorkspacePolicy, ...]:
        """Return a workspace's own policies, by name; ``PolicyNotGenuine`` if one is not what was put there."""
        ...

    async def put_policy(self, policy: WorkspacePolicy) -> None:
        """Keep a policy that has been validated, in place of one of the same name."""
        ...

    async def remove_policy(self, workspace_id: str, name: str, *, by: str) -> None:
        """Remove a policy; ``NotFound`` if there is none."""
        ...

    async def principal_of(self, workspace_id: str, actor_id: str) -> Principal | None:
        """Return who this actor is *now*, for a check at dispatch; None if unknown, expired, disabled or revoked.

        An actor that is a key which was rotated and has expired goes on, with its successor's role, while that one is good.
        """
        ...
