"""What a workspace uses of the caps and budgets that it set, and how much room its caps leave."""

from datetime import datetime
from typing import Any

from steward.caps import Room
from steward.directory import Directory
from steward.views import time_view
from steward.work_store import WorkStore
from steward.workspace import WorkspaceSettings


async def settings_of(directory: Directory, workspace_id: str) -> WorkspaceSettings:
    """Return what a workspace set for itself; one that does not exist set nothing."""
    workspace = await directory.get_workspace(workspace_id)
    return WorkspaceSettings() if workspace is None else workspace.settings


async def room_of(directory: Directory, store: WorkStore, now: datetime) -> Room:
    """Return how much of what may be claimed in the store's workspace now."""
    settings = await settings_of(directory, store.principal.workspace_id)
    return Room(settings.caps, await store.activity(), now)


async def usage_of(directory: Directory, store: WorkStore, now: datetime) -> dict[str, Any]:
    """Return ``{workspace_id, running, caps, budgets}``: each rule with its limit and how much of it is used."""
    workspace_id = store.principal.workspace_id
    settings = await settings_of(directory, workspace_id)
    activity = await store.activity(settings.budgets)
    return {
        "workspace_id": workspace_id,
        "running": sum(activity.running.values()),
        "caps": [
            {
                "pattern": rule.pattern,
                "kind": rule.kind,
                "limit": rule.limit,
                "used": rule.limit - left,
                "free_at": time_view(rule.until) if left <= 0 else None,
            }
            for left, rule in Room(settings.caps, activity, now).rules()
        ],
        "budgets": [
            {"budget": name, "limit": budget.limit, "window_s": budget.window_s, "used": activity.used[name]}
            for name, budget in settings.budgets.items()
        ],
    }
