"""Commands that manage keys and workspaces work on this machine's database directly: being there is the credential."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from steward.clock import Clock
    from steward.directories.sql import SqlDirectory
    from steward.settings import Settings
    from steward.workspace import Workspace

T = TypeVar("T")


def with_directory(work: "Callable[[SqlDirectory, Clock], Awaitable[T]]") -> T:
    """Return what ``work`` returns, given the directory of this machine's STEWARD_HOME or DATABASE_URL."""
    from steward.settings import Settings

    others = os.umask(0o077)  # the database is its owner's alone
    try:
        return asyncio.run(_run(Settings.load(secret_required=False), work))
    finally:
        os.umask(others)


async def require_workspace(directory: "SqlDirectory", workspace_id: str) -> "Workspace":
    """Return a workspace; ``NotFound`` (``unknown_workspace``) if there is none of that id."""
    from steward.errors import NotFound

    found = await directory.get_workspace(workspace_id)
    if found is None:
        raise NotFound(f"There is no workspace '{workspace_id}'.", code="unknown_workspace")
    return found


async def _run(settings: "Settings", work: "Callable[[SqlDirectory, Clock], Awaitable[T]]") -> T:
    from steward.clock import SystemClock
    from steward.database.engine import Database
    from steward.database.migrate import upgrade
    from steward.directories.sql import SqlDirectory

    settings.make_home()
    clock = SystemClock()
    database = Database(settings.database_url)
    try:
        upgrade(database)
        return await work(SqlDirectory(database, clock), clock)
    finally:
        await database.aclose()
