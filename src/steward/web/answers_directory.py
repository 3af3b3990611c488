"""What the API answers about workspaces, members, keys and sessions, as models for the published schema."""

from typing import Literal

from pydantic import AwareDatetime

from steward.identity import Role, Scope
from steward.web.answers import Answer
from steward.workspace import WorkspaceSettings


class Workspace(Answer):
    """A tenant."""

    workspace_id: str
    name: str
    created_at: AwareDatetime


class WorkspaceDetail(Workspace):
    """A tenant with what its admins have set."""

    settings: WorkspaceSettings


class WorkspacePage(Answer):
    """A page of workspaces, by id."""

    workspaces: list[Workspace]
    count: int
    next_cursor: str | None


class NewKey(Answer):
    """A key that was just made. It is shown this once."""

    key_id: str
    key: str
    workspace_id: str
    role: Role
    owner: str | None
    """The person it was made for; null: it cannot be told whose it is."""
    scopes: list[Scope]
    expires_at: AwareDatetime | None


class Key(Answer):
    """A key, without what makes it one."""

    key_id: str
    workspace_id: str
    role: Role
    owner: str | None
    """The person it was made for; null: it cannot be told whose it is."""
    scopes: list[Scope]
    expires_at: AwareDatetime | None
    name: str
    state: Literal["enabled", "revoked", "expired"]
    created_at: AwareDatetime
    revoked_at: AwareDatetime | None
    last_used_at: AwareDatetime | None
    replaced_by: str | None
    """The key that took over."""


class RotatedKey(NewKey):
    """The key that took over, and until when the old one works."""

    replaces: str
    old_expires_at: AwareDatetime


class KeyPage(Answer):
    """A page of keys, oldest first."""

    workspace_id: str
    keys: list[Key]
    count: int
    next_cursor: str | None


class Member(Answer):
    """Somebody who acts with a token of the identity provider."""

    workspace_id: str
    actor_id: str
    name: str
    roles: list[Role]
    scopes: list[Scope]
    pinned: bool
    """Whether an admin set the roles, so that a token can only narrow them."""
    state: Literal["enabled", "disabled"]
    created_at: AwareDatetime
    last_seen_at: AwareDatetime | None


class MemberPage(Answer):
    """A page of members, by id."""

    workspace_id: str
    members: list[Member]
    count: int
    next_cursor: str | None


class Removed(Answer):
    """A member that is no more."""

    actor_id: str
    removed: Literal[True]


class Session(Answer):
    """A session that was opened; its handle is in the cookie."""

    workspace_id: str
    actor_id: str
    roles: list[Role]
    scopes: list[Scope]
    expires_at: AwareDatetime


class Ended(Answer):
    """A session that is no more."""

    ended: Literal[True]
