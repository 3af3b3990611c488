"""The shapes in which workspaces, members and keys are shown, over HTTP and on the command line. Pure; no secret is in them."""

from datetime import datetime
from typing import Any

from steward.directory import ApiKey, Member
from steward.views import time_view
from steward.workspace import Workspace


def workspace_view(workspace: Workspace) -> dict[str, Any]:
    """Return a workspace in a list."""
    return {
        "workspace_id": workspace.workspace_id,
        "name": workspace.name,
        "created_at": time_view(workspace.created_at),
    }


def workspace_detail(workspace: Workspace) -> dict[str, Any]:
    """Return a workspace with its settings."""
    return {**workspace_view(workspace), "settings": workspace.settings.model_dump(mode="json")}


def new_key_view(key: ApiKey, token: str) -> dict[str, Any]:
    """Return a key that was just made: the only shape that holds the key itself."""
    return {"key_id": key.key_id, "key": token, **_facts(key)}


def key_view(key: ApiKey, now: datetime) -> dict[str, Any]:
    """Return a key as it stands at ``now``."""
    return {
        "key_id": key.key_id,
        **_facts(key),
        "name": key.name,
        "state": "enabled" if key.valid_at(now) else "revoked" if key.revoked_at else "expired",
        "created_at": time_view(key.created_at),
        "revoked_at": time_view(key.revoked_at),
        "last_used_at": time_view(key.last_used_at),
        "replaced_by": key.replaced_by,
    }


def _facts(key: ApiKey) -> dict[str, Any]:
    return {
        "workspace_id": key.workspace_id,
        "role": key.role.value,
        "owner": key.owner,
        "scopes": sorted(key.principal.scopes),
        "expires_at": time_view(key.expires_at),
    }


def member_view(member: Member) -> dict[str, Any]:
    """Return a member."""
    return {
        "workspace_id": member.workspace_id,
        "actor_id": member.actor_id,
        "name": member.name,
        "roles": sorted(member.roles),
        "scopes": sorted(member.scopes),
        "pinned": member.pinned,
        "state": "enabled" if member.disabled_at is None else "disabled",
        "created_at": time_view(member.created_at),
        "last_seen_at": time_view(member.last_seen_at),
    }
