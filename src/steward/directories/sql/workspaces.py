"""The tenants and what their admins set for them. The reserved workspace exists without a row."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import structlog
from sqlalchemy import Connection, Row, insert, literal_column, select, update

from steward.audit import AuditKind
from steward.caps import NOTHING_RUNS, Caps
from steward.clock import from_milliseconds
from steward.database.sql import DAMAGE, Sql
from steward.database.tables import workspaces
from steward.directories.sql.shelf import EPOCH, Shelf, note, readable_moment, workspace_row
from steward.display_name import require_display_name
from steward.errors import Conflict, Invalid, NotFound
from steward.workspace import SYSTEM_WORKSPACE, Workspace, WorkspaceSettings, require_workspace_id

_SYSTEM: Final = Workspace(SYSTEM_WORKSPACE, "Operators of this installation", from_milliseconds(0))

_SET: Final = select(workspaces).where(literal_column("workspaces.settings != '{}'"))
_log = structlog.get_logger("steward.directory")


class Workspaces(Shelf):
    """The shelf of workspaces."""

    async def create_workspace(self, workspace_id: str, name: str, *, by: str) -> Workspace:
        """Add a workspace; ``Conflict`` (``workspace_exists``) if the id is taken, ``Invalid`` if malformed or reserved."""
        require_workspace_id(workspace_id)
        if workspace_id == SYSTEM_WORKSPACE:
            raise Invalid(f"'{SYSTEM_WORKSPACE}' is reserved for operators.", code="reserved_workspace_id")
        now_ms = self._now_ms()
        workspace = Workspace(workspace_id, require_display_name(name, "A workspace's name"), from_milliseconds(now_ms))
        entry = self._entry(AuditKind.WORKSPACE_CREATED, workspace_id, by, {"name": workspace.name})

        def create(connection: Connection) -> None:
            if workspace_row(connection, workspace_id) is not None:
                raise Conflict(f"There is a workspace '{workspace_id}' already.", code="workspace_exists")
            row = {"workspace_id": workspace_id, "name": workspace.name, "created_at": now_ms}
            connection.execute(insert(workspaces).values(row))
            note(connection, entry)

        await self._database.write(create)
        return workspace

    async def list_workspaces(self, *, limit: int | None = None, after: str | None = None) -> tuple[Workspace, ...]:
        """Return up to ``limit`` workspaces that can hold work (None: all) whose ids come after ``after``, by id."""
        rows = await self._page(select(workspaces), workspaces.c.workspace_id, limit, after)
        return tuple(_workspace(row) for row in rows)

    async def get_workspace(self, workspace_id: str) -> Workspace | None:
        """Return one workspace; the reserved one always exists."""
        if workspace_id == SYSTEM_WORKSPACE:
            return _SYSTEM

        def find(connection: Connection) -> Workspace | None:
            row = workspace_row(connection, workspace_id)
            return None if row is None else _workspace(row)

        return await self._recall(("workspace", workspace_id), find)

    async def list_caps(self) -> Mapping[str, Caps]:
        """Return the caps of every workspace that has some; where the settings cannot be read, nothing may run."""

        def find(connection: Connection) -> Mapping[str, Caps]:
            known = ((row.workspace_id, _settings(row)) for row in Sql(connection).all(_SET))
            all_caps = ((name, NOTHING_RUNS if kept is None else kept.caps) for name, kept in known)
            return {name: caps for name, caps in all_caps if caps}

        return await self._recall(("caps",), find) or {}

    async def change_settings(self, workspace_id: str, settings: WorkspaceSettings, *, by: str) -> Workspace:
        """Replace a workspace's settings; ``NotFound`` (``unknown_workspace``) if there is no such workspace."""
        text = settings.model_dump_json(exclude_defaults=True)
        entry = self._entry(
            AuditKind.WORKSPACE_CHANGED,
            workspace_id,
            by,
            {"settings": settings.model_dump(mode="json", exclude_defaults=True)},
        )

        def change(connection: Connection) -> Row[Any]:
            mine = workspaces.c.workspace_id == workspace_id
            if not connection.execute(update(workspaces).where(mine).values(settings=text)).rowcount:
                raise NotFound(f"There is no workspace '{workspace_id}'.", code="unknown_workspace")
            note(connection, entry)
            return connection.execute(select(workspaces).where(mine)).one()

        def forget(_row: object) -> None:
            self._memory.forget("workspace", workspace_id)
            self._memory.forget("caps")

        return _workspace(await self._database.write(change, forget))


def _workspace(row: Any) -> Workspace:
    """Return the workspace of a row; one that is damaged is there as far as it can be read, and hides no other."""
    return Workspace(row.workspace_id, str(row.name), readable_moment(row.created_at) or EPOCH, _settings(row))


def _settings(row: Any) -> WorkspaceSettings | None:
    """Return the settings in a row; None if they cannot be read."""
    try:
        return _read_settings(row.settings)
    except DAMAGE:
        _log.warning("A workspace's settings are damaged.", action="unreadable_record", workspace_id=row.workspace_id)
        return None


@lru_cache(maxsize=10_000)
def _read_settings(text: str) -> WorkspaceSettings:
    """Return the settings that a text holds: every claim looks at those of all workspaces, and few of them change."""
    return WorkspaceSettings.model_validate_json(text)
