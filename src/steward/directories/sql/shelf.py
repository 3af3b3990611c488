"""What the shelves of the directory have in common: the database, the clock, the short memory and the note in the audit."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

import structlog
from sqlalchemy import Column, Connection, Row, Select, bindparam, select

from steward.audit import AuditEntry, AuditKind
from steward.clock import Clock, from_milliseconds, milliseconds
from steward.database.audit_chain import append
from steward.database.engine import Database
from steward.database.glance import WouldWait
from steward.database.sql import DAMAGE, Sql
from steward.database.tables import workspaces
from steward.directories.sql.memory import ShortMemory
from steward.errors import ConfigurationError, NotFound
from steward.vault import Vault
from steward.workspace import SYSTEM_WORKSPACE

T = TypeVar("T")

UNREADABLE_NAME: Final = "(This record cannot be read.)"
"""Stands in a list for the name of a key or a member whose record is damaged."""
EPOCH: Final = from_milliseconds(0)
_WORKSPACE: Final = select(workspaces).where(workspaces.c.workspace_id == bindparam("w"))


class Shelf:
    """One part of the directory."""

    def __init__(self, database: Database, clock: Clock, vault: Vault | None = None) -> None:
        """Take a migrated database, the clock that dates what is written, and what signs policies (None: nothing can)."""
        self._given_vault = vault
        self._database = database
        self._clock = clock
        self._memory = ShortMemory(clock)

    async def _recall(self, key: tuple[str, ...], find: Callable[[Connection], T | None]) -> T | None:
        """Return what is remembered under ``key``, else what ``find`` finds in one statement through ``Sql``."""
        database = self._database
        reading = partial(database.read, find, piped=True)
        return await self._memory.recall(key, reading, partial(database.at_once, find))

    async def _find(self, find: Callable[[Connection], T]) -> T:
        """Return what ``find`` finds through ``Sql``, at once if that can be."""
        try:
            return self._database.at_once(find)
        except WouldWait:
            return await self._database.read(find, piped=True)

    async def _page(
        self, statement: Select[Any], by: Column[str], limit: int | None, after: str | None
    ) -> list[Row[Any]]:
        """Return up to ``limit`` rows (None: all) in the order of ``by``, from behind ``after``."""
        statement = statement.order_by(by).limit(limit)
        if after is not None:
            statement = statement.where(by > after)
        return await self._database.read(lambda connection: list(connection.execute(statement)))

    @property
    def _vault(self) -> Vault:
        """What signs policies."""
        if self._given_vault is None:
            raise ConfigurationError("STEWARD_SECRET_KEY is not set, and without it no policy can be checked.")
        return self._given_vault

    def _now_ms(self) -> int:
        return milliseconds(self._clock.now())

    def _entry(
        self,
        kind: AuditKind,
        workspace_id: str,
        by: str | None,
        facts: Mapping[str, Any],
        view: Mapping[str, Any] | None = None,
    ) -> AuditEntry:
        """Return what is recorded of a change; the request under way is the one that the log knows of."""
        return AuditEntry(
            workspace_id=workspace_id,
            kind=kind,
            at=self._clock.now(),
            actor_id=by,
            result="done",
            request_id=structlog.contextvars.get_contextvars().get("request_id"),
            facts=facts,
            view=view,
        )


def note(connection: Connection, entry: AuditEntry) -> None:
    """Record a change in the transaction that makes it, so that neither is without the other."""
    append(connection, (entry,))


def workspace_row(connection: Connection, workspace_id: str) -> Any | None:
    """Return the row of a workspace."""
    return Sql(connection).first(_WORKSPACE, {"w": workspace_id})


def require_workspace(connection: Connection, workspace_id: str) -> None:
    """Raise ``NotFound`` (``unknown_workspace``) unless the workspace exists; the reserved one does without a row."""
    if workspace_id != SYSTEM_WORKSPACE and workspace_row(connection, workspace_id) is None:
        raise NotFound(f"There is no workspace '{workspace_id}'.", code="unknown_workspace")


def moment(value: int | None) -> datetime | None:
    """Return the time that a column holds."""
    return None if value is None else from_milliseconds(value)


def readable_moment(value: object) -> datetime | None:
    """Return the time that a column of a damaged row holds; None if it holds none, or nothing that is a time."""
    with suppress(*DAMAGE):
        return from_milliseconds(value) if isinstance(value, int) else None


def column(value: datetime | None) -> int | None:
    """Return a time as a column holds it."""
    return None if value is None else milliseconds(value)
