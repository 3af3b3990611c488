"""API keys: never their secrets, only hashes. Every change is one transaction that checks what it changes."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import structlog
from sqlalchemy import Connection, bindparam, insert, or_, select, update

from steward.audit import AuditKind
from steward.clock import from_milliseconds, milliseconds
from steward.database.sql import DAMAGE, Sql
from steward.database.tables import api_keys, members
from steward.directories.sql.shelf import (
    EPOCH,
    UNREADABLE_NAME,
    Shelf,
    column,
    moment,
    note,
    readable_moment,
    require_workspace,
)
from steward.directory import ApiKey
from steward.errors import Conflict, Invalid, NotFound
from steward.identity import Role, is_actor_id
from steward.ids import is_id

USE_IS_COARSE_BY_MS: Final = 60_000
MAX_OVERLAP: Final = timedelta(days=30)
_log = structlog.get_logger("steward.directory")
_KEY: Final = select(api_keys).where(api_keys.c.key_id == bindparam("key_id"))


class Keys(Shelf):
    """The shelf of API keys."""

    async def add_key(self, key: ApiKey, *, by: str) -> None:
        """Keep a new key.

        ``NotFound`` (``unknown_workspace``) if its workspace does not exist, ``Invalid`` (``unknown_owner``) if its owner does not.

        Whoever makes a key for themselves need not be a member by name: what their own key says of them goes on.
        """
        entry = self._entry(AuditKind.KEY_CREATED, key.workspace_id, by, _facts(key), {"name": key.name})

        def add(connection: Connection) -> None:
            require_workspace(connection, key.workspace_id)
            _require_owner(connection, key, by)
            connection.execute(insert(api_keys).values(_key_row(key)))
            note(connection, entry)

        await self._database.write(add)

    async def get_key(self, key_id: str) -> ApiKey | None:
        """Return one key by id, whatever its state, in one indexed look-up or none."""

        def find(connection: Connection) -> ApiKey | None:
            row = Sql(connection).first(_KEY, {"key_id": key_id})
            return None if row is None else _key(row)

        return await self._recall(("key", key_id), find)

    async def list_keys(
        self, workspace_id: str | None = None, *, limit: int | None = None, after: str | None = None
    ) -> tuple[ApiKey, ...]:
        """Return the keys of a workspace, or of all, by id and so oldest first: up to ``limit`` that come after ``after``."""
        statement = select(api_keys)
        if workspace_id is not None:
            statement = statement.where(api_keys.c.workspace_id == workspace_id)
        return tuple(_key(row) for row in await self._page(statement, api_keys.c.key_id, limit, after))

    async def revoke_key(self, key_id: str, *, by: str, workspace_id: str | None = None) -> ApiKey:
        """Revoke a key for good, at once here and within 200 ms in every process; again is no error.

        ``NotFound`` (``unknown_key``) if there is none (in ``workspace_id``, if given).
        """
        now = from_milliseconds(self._now_ms())

        def revoke(connection: Connection) -> ApiKey:
            key = _existing(connection, key_id, workspace_id)
            not_yet = api_keys.c.key_id == key_id, api_keys.c.revoked_at.is_(None)  # a damaged one only looks revoked
            if not connection.execute(update(api_keys).where(*not_yet).values(revoked_at=milliseconds(now))).rowcount:
                return key
            note(connection, self._entry(AuditKind.KEY_REVOKED, key.workspace_id, by, {"key_id": key_id}))
            return replace(key, revoked_at=now)

        return await self._database.write(revoke, lambda _: self._memory.forget("key", key_id))

    async def change_key_role(self, key_id: str, role: Role, *, by: str, workspace_id: str | None = None) -> ApiKey:
        """Give a key another role; ``NotFound`` as above, ``Conflict`` once revoked.

        ``Invalid`` for ``operator``, which is made and unmade with its key.
        """

        def change(connection: Connection) -> ApiKey:
            key = _existing(connection, key_id, workspace_id)
            if Role.OPERATOR in {role, key.role}:
                raise Invalid("A key cannot become an operator's, nor stop being one.", code="operator_workspace")
            if key.revoked_at is not None:
                raise Conflict("This key is revoked; make a new one.", code="key_revoked")
            _set(connection, key_id, role=role.value)
            facts = {"key_id": key_id, "role": role.value, "before": key.role.value}
            note(connection, self._entry(AuditKind.KEY_CHANGED, key.workspace_id, by, facts))
            return replace(key, role=role)

        return await self._database.write(change, lambda _: self._memory.forget("key", key_id))

    async def replace_key(self, old_key_id: str, new: ApiKey, overlap: timedelta, *, by: str) -> ApiKey:
        """Keep ``new`` as the successor of a key, which expires after ``overlap`` (or when it would have, if sooner).

        Returns the old key. ``NotFound`` if there is none in ``new``'s workspace, ``Conflict`` if it is revoked, expired,
        replaced already, or no longer of ``new``'s role. ``Invalid`` for an overlap that is negative or over 30 days.
        """
        if not timedelta(0) <= overlap <= MAX_OVERLAP:
            raise Invalid("An overlap is from nothing to 30 days.", code="invalid_overlap")
        now = self._clock.now()

        def take_over(connection: Connection) -> ApiKey:
            old = _existing(connection, old_key_id, new.workspace_id)
            if not old.valid_at(now) or old.replaced_by is not None:
                raise Conflict("This key is revoked, expired or replaced already.", code="key_not_current")
            if old.role is not new.role:  # somebody has demoted it since ``new`` was made
                raise Conflict("The key's role has just been changed; rotate it again.", code="key_changed")
            end = min(now + overlap, old.expires_at or now + overlap)
            old = replace(old, expires_at=from_milliseconds(milliseconds(end)), replaced_by=new.key_id)
            _set(connection, old_key_id, expires_at=column(old.expires_at), replaced_by=new.key_id)
            connection.execute(insert(api_keys).values(_key_row(new)))
            facts = {**_facts(new), "replaces": old_key_id}
            note(connection, self._entry(AuditKind.KEY_REPLACED, new.workspace_id, by, facts, {"name": new.name}))
            return old

        return await self._database.write(take_over, lambda _: self._memory.forget("key", old_key_id))

    async def person_of(self, actor_id: str) -> str | None:
        """Return who stands behind an actor: a member is a person, a key is its owner's; None: it cannot be told."""
        if not is_id(actor_id, "key"):
            return actor_id if is_actor_id(actor_id) else None
        key = await self.get_key(actor_id)
        return None if key is None else key.owner

    async def same_person(self, actor_id: str) -> frozenset[str]:
        """Return every id under which the person behind an actor acts: as a member, and with each key that names them.

        The ids of keys are nobody else's in any workspace, so those of a namesake elsewhere do no harm.
        """
        person = await self.person_of(actor_id)
        if person is None:
            return frozenset({actor_id})
        theirs = select(api_keys.c.key_id).where(api_keys.c.owner == person)
        found = await self._database.read(lambda connection: connection.execute(theirs).scalars().all())
        return frozenset({actor_id, person, *found})

    async def note_use(self, key_id: str) -> None:
        """Remember that a key was used now, at most once a minute."""
        now_ms = self._now_ms()
        last = api_keys.c.last_used_at
        statement = (
            update(api_keys)
            .where(api_keys.c.key_id == key_id, or_(last.is_(None), last <= now_ms - USE_IS_COARSE_BY_MS))
            .values(last_used_at=now_ms)
        )
        await self._database.write(
            lambda connection: connection.execute(statement).close(), lambda _: self._memory.forget("key", key_id)
        )


def _require_owner(connection: Connection, key: ApiKey, by: str) -> None:
    """Raise ``Invalid`` unless a key's owner is a member, or the maker's own person."""
    if key.owner is None:
        return
    member = select(members.c.actor_id).where(
        members.c.workspace_id == key.workspace_id, members.c.actor_id == key.owner
    )
    own = select(api_keys.c.owner).where(api_keys.c.key_id == by)
    if connection.execute(member).first() is None and connection.execute(own).scalar() != key.owner:
        raise Invalid(
            f"There is no member '{key.owner}' in this workspace; 'steward members set' makes one.",
            code="unknown_owner",
        )


def _existing(connection: Connection, key_id: str, workspace_id: str | None) -> ApiKey:
    row = Sql(connection).first(_KEY, {"key_id": key_id})
    if row is None or workspace_id not in {None, row.workspace_id}:
        raise NotFound("There is no such key.", code="unknown_key")
    return _key(row)


def _set(connection: Connection, key_id: str, **values: Any) -> None:
    connection.execute(update(api_keys).where(api_keys.c.key_id == key_id).values(values))


def _facts(key: ApiKey) -> dict[str, Any]:
    """Return what is recorded of a key for good."""
    return {"key_id": key.key_id, "role": key.role.value, "expires_at": column(key.expires_at), "owner": key.owner}


def _key(row: Any) -> ApiKey:
    """Return the key of a row; one that is damaged is shown as a revoked one, opens nothing and hides no other."""
    try:
        return _whole_key(row)
    except DAMAGE:
        _log.warning("A key's record is damaged.", action="unreadable_record", key_id=row.key_id)
        created_at = readable_moment(row.created_at) or EPOCH
        return ApiKey(
            key_id=row.key_id,
            workspace_id=row.workspace_id,
            role=Role(row.role) if row.role in list(Role) else Role.VIEWER,
            name=UNREADABLE_NAME,
            secret_hash=b"",  # no secret has this one
            created_at=created_at,
            expires_at=None,
            revoked_at=readable_moment(row.revoked_at) or created_at,
            last_used_at=readable_moment(row.last_used_at),
            owner=row.owner if is_actor_id(row.owner) else None,
        )


def _whole_key(row: Any) -> ApiKey:
    texts = isinstance(row.name, str), isinstance(row.owner, str | None), isinstance(row.replaced_by, str | None)
    if not all(texts):
        raise TypeError
    return ApiKey(
        key_id=row.key_id,
        workspace_id=row.workspace_id,
        role=Role(row.role),
        name=row.name,
        secret_hash=bytes(memoryview(row.secret_hash)),
        created_at=from_milliseconds(row.created_at),
        expires_at=moment(row.expires_at),
        revoked_at=moment(row.revoked_at),
        last_used_at=moment(row.last_used_at),
        replaced_by=row.replaced_by,
        owner=row.owner,
    )


def _key_row(key: ApiKey) -> dict[str, Any]:
    return {
        "key_id": key.key_id,
        "workspace_id": key.workspace_id,
        "role": key.role.value,
        "name": key.name,
        "secret_hash": key.secret_hash,
        "created_at": milliseconds(key.created_at),
        "expires_at": column(key.expires_at),
        "revoked_at": column(key.revoked_at),
        "last_used_at": column(key.last_used_at),
        "replaced_by": key.replaced_by,
        "owner": key.owner,
    }
