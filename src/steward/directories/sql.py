"""The directory in the SQL database: workspaces and API keys.

Nothing is cached, so a revoked key is refused by every process from the moment the revocation is committed.
"""

from typing import Any, Final

from sqlalchemy import Connection, Row, insert, or_, select, update

from steward.clock import Clock, from_milliseconds, milliseconds
from steward.database.engine import Database
from steward.database.tables import api_keys, workspaces
from steward.directory import ApiKey
from steward.display_name import require_display_name
from steward.errors import Conflict, Invalid, NotFound
from steward.identity import Principal, Role
from steward.workspace import SYSTEM_WORKSPACE, Workspace, require_workspace_id

USE_IS_COARSE_BY_MS: Final = 60_000
_SYSTEM: Final = Workspace(SYSTEM_WORKSPACE, "Operators of this installation", from_milliseconds(0))


class SqlDirectory:
    """Workspaces and keys in ``workspaces`` and ``api_keys``. The reserved workspace exists without a row."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Take a migrated database and the clock that dates what is written."""
        self._database = database
        self._clock = clock

    async def create_workspace(self, workspace_id: str, name: str) -> Workspace:
        """Add a workspace; ``Conflict`` (``workspace_exists``) if the id is taken, ``Invalid`` if malformed or reserved."""
        require_workspace_id(workspace_id)
        if workspace_id == SYSTEM_WORKSPACE:
            raise Invalid(f"'{SYSTEM_WORKSPACE}' is reserved for operators.", code="reserved_workspace_id")
        now_ms = self._now_ms()
        workspace = Workspace(workspace_id, require_display_name(name, "A workspace's name"), from_milliseconds(now_ms))

        def create(connection: Connection) -> None:
            if _workspace_row(connection, workspace_id) is not None:
                raise Conflict(f"There is a workspace '{workspace_id}' already.", code="workspace_exists")
            row = {"workspace_id": workspace_id, "name": workspace.name, "created_at": now_ms}
            connection.execute(insert(workspaces).values(row))

        await self._database.write(create)
        return workspace

    async def list_workspaces(self) -> tuple[Workspace, ...]:
        """Return every workspace that can hold work, by id."""
        statement = select(workspaces).order_by(workspaces.c.workspace_id)
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return tuple(_workspace(row) for row in rows)

    async def get_workspace(self, workspace_id: str) -> Workspace | None:
        """Return one workspace; the reserved one always exists."""
        if workspace_id == SYSTEM_WORKSPACE:
            return _SYSTEM
        row = await self._database.read(lambda connection: _workspace_row(connection, workspace_id))
        return None if row is None else _workspace(row)

    async def add_key(self, key: ApiKey) -> None:
        """Keep a new key; ``NotFound`` (``unknown_workspace``) if its workspace does not exist."""

        def add(connection: Connection) -> None:
            known = key.workspace_id == SYSTEM_WORKSPACE or _workspace_row(connection, key.workspace_id) is not None
            if not known:
                raise NotFound(f"There is no workspace '{key.workspace_id}'.", code="unknown_workspace")
            connection.execute(insert(api_keys).values(_key_row(key)))

        await self._database.write(add)

    async def get_key(self, key_id: str) -> ApiKey | None:
        """Return one key by id, whatever its state, in one indexed look-up."""
        statement = select(api_keys).where(api_keys.c.key_id == key_id)
        row = await self._database.read(lambda connection: connection.execute(statement).one_or_none())
        return None if row is None else _key(row)

    async def list_keys(self, workspace_id: str | None = None) -> tuple[ApiKey, ...]:
        """Return the keys of a workspace, or all, oldest first."""
        statement = select(api_keys).order_by(api_keys.c.created_at, api_keys.c.key_id)
        if workspace_id is not None:
            statement = statement.where(api_keys.c.workspace_id == workspace_id)
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return tuple(_key(row) for row in rows)

    async def revoke_key(self, key_id: str) -> ApiKey:
        """Revoke a key for good, at once and in every process; again is no error. ``NotFound`` if there is none."""
        now_ms = self._now_ms()

        def revoke(connection: Connection) -> Row[Any] | None:
            mine = api_keys.c.key_id == key_id
            connection.execute(update(api_keys).where(mine, api_keys.c.revoked_at.is_(None)).values(revoked_at=now_ms))
            return connection.execute(select(api_keys).where(mine)).one_or_none()

        row = await self._database.write(revoke)
        if row is None:
            raise NotFound("There is no such key.", code="unknown_key")
        return _key(row)

    async def note_use(self, key_id: str) -> None:
        """Remember that a key was used now, at most once a minute."""
        now_ms = self._now_ms()
        last = api_keys.c.last_used_at
        statement = (
            update(api_keys)
            .where(api_keys.c.key_id == key_id, or_(last.is_(None), last <= now_ms - USE_IS_COARSE_BY_MS))
            .values(last_used_at=now_ms)
        )
        await self._database.write(lambda connection: connection.execute(statement).close())

    async def principal_of(self, workspace_id: str, actor_id: str) -> Principal | None:
        """Return who this actor is *now*, for a check at dispatch; None if unknown, expired or revoked."""
        key = await self.get_key(actor_id)
        if key is None or key.workspace_id != workspace_id or not key.valid_at(self._clock.now()):
            return None
        if await self.get_workspace(workspace_id) is None:
            return None
        return key.principal

    def _now_ms(self) -> int:
        return milliseconds(self._clock.now())


def _workspace_row(connection: Connection, workspace_id: str) -> Row[Any] | None:
    return connection.execute(select(workspaces).where(workspaces.c.workspace_id == workspace_id)).one_or_none()


def _workspace(row: Row[Any]) -> Workspace:
    return Workspace(row.workspace_id, row.name, from_milliseconds(row.created_at))


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        key_id=row.key_id,
        workspace_id=row.workspace_id,
        role=Role(row.role),
        name=row.name,
        secret_hash=row.secret_hash,
        created_at=from_milliseconds(row.created_at),
        expires_at=None if row.expires_at is None else from_milliseconds(row.expires_at),
        revoked_at=None if row.revoked_at is None else from_milliseconds(row.revoked_at),
        last_used_at=None if row.last_used_at is None else from_milliseconds(row.last_used_at),
    )


def _key_row(key: ApiKey) -> dict[str, Any]:
    return {
        "key_id": key.key_id,
        "workspace_id": key.workspace_id,
        "role": key.role.value,
        "name": key.name,
        "secret_hash": key.secret_hash,
        "created_at": milliseconds(key.created_at),
        "expires_at": None if key.expires_at is None else milliseconds(key.expires_at),
        "revoked_at": None if key.revoked_at is None else milliseconds(key.revoked_at),
        "last_used_at": None if key.last_used_at is None else milliseconds(key.last_used_at),
    }
