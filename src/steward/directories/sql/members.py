"""Members: who acts with a token of an identity provider, and what an admin has settled about them."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from steward.audit import AuditKind
from steward.clock import from_milliseconds, milliseconds
from steward.database.sql import DAMAGE, Sql
from steward.database.tables import members
from steward.directories.sql.shelf import (
    EPOCH,
    UNREADABLE_NAME,
    column,
    moment,
    note,
    readable_moment,
    require_workspace,
)
from steward.directories.sql.workspaces import Workspaces
from steward.directory import Member
from steward.display_name import require_display_name
from steward.errors import Forbidden, Invalid, NotFound
from steward.identity import Role, Scope, require_actor_id, scopes_of
from steward.workspace import SYSTEM_WORKSPACE

_log = structlog.get_logger("steward.directory")
_SEEN_IS_COARSE_BY: Final = timedelta(minutes=1)
_MEMBER: Final = select(members).where(
    members.c.workspace_id == bindparam("w"), members.c.actor_id == bindparam("actor_id")
)


class Members(Workspaces):
    """The shelf of members."""

    async def admit(
        self, workspace_id: str, actor_id: str, name: str, roles: frozenset[Role], scopes: frozenset[Scope] | None
    ) -> Member:
        """Return the member that a verified token speaks of, making it at the first login; any number at once make one.

        ``scopes`` narrow what ``roles`` carry, and without roles are all there is. Unless its roles are pinned they become
        the token's. ``Forbidden`` if the workspace does not exist (``workspace_unavailable``) or the member is disabled
        (``member_disabled``).
        """
        if Role.OPERATOR in roles or workspace_id == SYSTEM_WORKSPACE:
            raise Forbidden("A token cannot act for the installation.", code="workspace_unavailable")
        if await self.get_workspace(workspace_id) is None:
            raise Forbidden("The workspace of this token is gone or malformed.", code="workspace_unavailable")
        now = from_milliseconds(self._now_ms())

        def told(known: Member | None) -> Member:
            """Return the member as it is once this token has spoken."""
            granted = scopes_of(roles) if scopes is None else scopes & scopes_of(roles) if roles else scopes
            if known is None:
                fresh = _new_member(workspace_id, actor_id, require_display_name(name, "A member's name"), now)
                return replace(fresh, roles=roles, scopes=granted, last_seen_at=now)
            if known.pinned:
                return replace(known, scopes=scopes_of(known.roles) & granted, last_seen_at=now)
            return replace(known, roles=roles, scopes=granted, last_seen_at=now)

        known = _enabled(await self.get_member(workspace_id, actor_id))
        if known is not None and _is_fresh(known, told(known)):
            return known

        def meet(connection: Connection) -> Member:
            before = _enabled(_find(connection, workspace_id, actor_id))
            member = told(before)
            if before is not None and _is_fresh(before, member):
                return before
            _keep(connection, before, member)
            if before is None or (before.roles, before.scopes) != (member.roles, member.scopes):
                kind = AuditKind.MEMBER_ADMITTED if before is None else AuditKind.MEMBER_CHANGED
                note(connection, self._entry(kind, workspace_id, actor_id, _facts(member), {"name": member.name}))
            return member

        return await self._database.write(meet, lambda _: self._memory.forget("member", workspace_id, actor_id))

    async def list_members(
        self, workspace_id: str, *, limit: int | None = None, after: str | None = None
    ) -> tuple[Member, ...]:
        """Return a workspace's members, by actor id: up to ``limit`` (None: all) that come after ``after``."""
        statement = select(members).where(members.c.workspace_id == workspace_id)
        return tuple(_member(row) for row in await self._page(statement, members.c.actor_id, limit, after))

    async def get_member(self, workspace_id: str, actor_id: str) -> Member | None:
        """Return one member."""
        return await self._recall(
            ("member", workspace_id, actor_id), lambda connection: _find(connection, workspace_id, actor_id)
        )

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
        """Make or change a member; roles that are given are pinned.

        ``Invalid`` for ``operator`` or an id that cannot be a member's, ``NotFound`` for an unknown workspace.
        """
        require_actor_id(actor_id)
        if roles is not None and Role.OPERATOR in roles:
            raise Invalid("A member cannot be an operator.", code="operator_workspace")
        name = None if name is None else require_display_name(name, "A member's name")
        now = from_milliseconds(self._now_ms())

        def settle(connection: Connection) -> Member:
            if workspace_id == SYSTEM_WORKSPACE:
                raise Invalid(f"'{SYSTEM_WORKSPACE}' has no members.", code="reserved_workspace_id")
            require_workspace(connection, workspace_id)
            before = _find(connection, workspace_id, actor_id)
            member = before or _new_member(workspace_id, actor_id, actor_id, now)
            if name is not None or member.name == UNREADABLE_NAME:
                member = replace(member, name=name or actor_id)
            if roles is not None:
                member = replace(member, roles=roles, scopes=scopes_of(roles), pinned=True)
            if disabled is not None:
                member = replace(member, disabled_at=(member.disabled_at or now) if disabled else None)
            _keep(connection, before, member)
            note(
                connection,
                self._entry(AuditKind.MEMBER_CHANGED, workspace_id, by, _facts(member), {"name": member.name}),
            )
            return member

        return await self._database.write(settle, lambda _: self._memory.forget("member", workspace_id, actor_id))

    async def remove_member(self, workspace_id: str, actor_id: str, *, by: str) -> None:
        """Forget a member; a later token makes it anew, so disable instead to keep somebody out.

        ``NotFound`` (``unknown_member``) if there is none.
        """
        entry = self._entry(AuditKind.MEMBER_REMOVED, workspace_id, by, {"actor_id": actor_id})

        def remove(connection: Connection) -> None:
            if not connection.execute(delete(members).where(*_is(workspace_id, actor_id))).rowcount:
                raise NotFound("There is no such member.", code="unknown_member")
            note(connection, entry)

        await self._database.write(remove, lambda _: self._memory.forget("member", workspace_id, actor_id))


def _enabled(member: Member | None) -> Member | None:
    if member is not None and member.disabled_at is not None:
        raise Forbidden("This member is disabled; ask an admin of the workspace.", code="member_disabled")
    return member


def _is_fresh(known: Member, told: Member) -> bool:
    """Say whether a token tells nothing that would have to be written."""
    if known.last_seen_at is None or told.last_seen_at is None:
        return False
    same = replace(told, last_seen_at=known.last_seen_at) == known
    return same and told.last_seen_at - known.last_seen_at < _SEEN_IS_COARSE_BY


def _new_member(workspace_id: str, actor_id: str, name: str, now: datetime) -> Member:
    return Member(
        workspace_id=workspace_id,
        actor_id=actor_id,
        name=name,
        roles=frozenset(),
        scopes=frozenset(),
        pinned=False,
        created_at=now,
        last_seen_at=None,
        disabled_at=None,
    )


def _facts(member: Member) -> dict[str, Any]:
    """Return what is recorded of a member for good."""
    return {
        "actor_id": member.actor_id,
        "roles": sorted(member.roles),
        "scopes": sorted(member.scopes),
        "disabled": member.disabled_at is not None,
    }


def _is(workspace_id: str, actor_id: str) -> tuple[Any, Any]:
    return members.c.workspace_id == workspace_id, members.c.actor_id == actor_id


def _find(connection: Connection, workspace_id: str, actor_id: str) -> Member | None:
    row = Sql(connection).first(_MEMBER, {"w": workspace_id, "actor_id": actor_id})
    return None if row is None else _member(row)


def _keep(connection: Connection, before: Member | None, member: Member) -> None:
    if before is None:
        connection.execute(insert(members).values(_member_row(member)))
    elif before != member:
        mine = _is(member.workspace_id, member.actor_id)
        connection.execute(update(members).where(*mine).values(_member_row(member)))


def _words(values: Iterable[str]) -> str:
    return json.dumps(sorted(values))


def _member(row: Any) -> Member:
    """Return the member of a row; one that is damaged is shown as disabled, may do nothing and hides no other."""
    try:
        return _whole_member(row)
    except DAMAGE:
        _log.warning(
            "A member's record is damaged.",
            action="unreadable_record",
            workspace_id=row.workspace_id,
            actor_id=row.actor_id,
        )
        created_at = readable_moment(row.created_at) or EPOCH
        return Member(
            workspace_id=row.workspace_id,
            actor_id=row.actor_id,
            name=UNREADABLE_NAME,
            roles=frozenset(),
            scopes=frozenset(),
            pinned=True,
            created_at=created_at,
            last_seen_at=readable_moment(row.last_seen_at),
            disabled_at=readable_moment(row.disabled_at) or created_at,
        )


def _whole_member(row: Any) -> Member:
    if not isinstance(row.name, str):
        raise TypeError
    return Member(
        workspace_id=row.workspace_id,
        actor_id=row.actor_id,
        name=row.name,
        roles=frozenset(Role(word) for word in json.loads(row.roles)),
        scopes=frozenset(Scope(word) for word in json.loads(row.scopes)),
        pinned=bool(row.pinned),  # SQLite has only numbers
        created_at=from_milliseconds(row.created_at),
        last_seen_at=moment(row.last_seen_at),
        disabled_at=moment(row.disabled_at),
    )


def _member_row(member: Member) -> dict[str, Any]:
    return {
        "workspace_id": member.workspace_id,
        "actor_id": member.actor_id,
        "name": member.name,
        "roles": _words(member.roles),
        "scopes": _words(member.scopes),
        "pinned": member.pinned,
        "created_at": milliseconds(member.created_at),
        "last_seen_at": column(member.last_seen_at),
        "disabled_at": column(member.disabled_at),
    }
