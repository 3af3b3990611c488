"""Appends to the audit's chains on a connection, inside whatever transaction is under way.

A change of the directory is noted in the transaction that makes it, so that neither can be without the other. Nothing is
signed here: the audit log signs what it finds unsigned, within seconds.
"""

import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from pydantic_core import to_json
from sqlalchemy import Connection, and_, bindparam, insert, select

from steward import chain
from steward.audit import AuditEntry
from steward.clock import milliseconds
from steward.database.sql import Sql, among, upsert
from steward.database.tables import audit_heads, audit_records, audit_views
from steward.digest import canonical_json
from steward.event import EventType

_SALT_BYTES: Final = 16
_ADD_RECORDS: Final = insert(audit_records)
_ADD_VIEWS: Final = insert(audit_views)
_HEAD: Final = select(audit_heads).where(audit_heads.c.workspace_id == bindparam("w"))
_SALTS: Final = (
    select(audit_records.c.plan_id, audit_views.c.salt)
    .join(
        audit_views,
        and_(
            audit_views.c.workspace_id == audit_records.c.workspace_id,
            audit_views.c.sequence == audit_records.c.sequence,
        ),
    )
    .where(
        audit_records.c.workspace_id == bindparam("w"),
        among(audit_records.c.plan_id, "plans"),
        audit_records.c.kind == EventType.PLAN_DRAFTED,
    )
)
_begin: Final = upsert(audit_heads).values(
    workspace_id=bindparam("w"), sequence=bindparam("last"), hash=bindparam("digest"), sealed=0, checkpoints=0
)
_MOVE_HEAD: Final = _begin.on_conflict_do_update(
    index_elements=["workspace_id"], set_={"sequence": _begin.excluded.sequence, "hash": _begin.excluded.hash}
)


def append(connection: Connection, entries: Iterable[AuditEntry]) -> int:
    """Append to the chains of the entries' workspaces, in order; return how many there were.

    Raises ``Invalid`` for facts or a view that JSON cannot hold.
    """
    sql = Sql(connection)
    by_workspace: dict[str, list[AuditEntry]] = {}
    for entry in entries:
        by_workspace.setdefault(entry.workspace_id, []).append(entry)
    return sum(_append(sql, workspace_id, mine) for workspace_id, mine in sorted(by_workspace.items()))


def _append(sql: Sql, workspace_id: str, entries: Sequence[AuditEntry]) -> int:
    head = sql.first(_HEAD, {"w": workspace_id})
    sequence, previous = (0, chain.GENESIS) if head is None else (head.sequence, head.hash)
    records, views = [], []
    salt_of = _salts(sql, workspace_id, entries)
    for entry in entries:
        sequence += 1
        committed = None
        if entry.view is not None:
            salt, view = salt_of(entry), canonical_json(entry.view).decode()
            committed = chain.commitment(salt, view)
            views.append({"workspace_id": workspace_id, "sequence": sequence, "salt": salt, "view": view})
        body = chain.body(entry, workspace_id, sequence, committed)
        own_hash = chain.link(previous, chain.digest(body))
        body |= {"at": milliseconds(entry.at), "previous": previous, "hash": own_hash}  # from here on it is the row
        records.append(body)
        previous = own_hash
    if records:
        sql.run_many(_ADD_RECORDS, records)
        sql.run(_MOVE_HEAD, {"w": workspace_id, "last": sequence, "digest": previous})
    if views:
        sql.run_many(_ADD_VIEWS, views)
    return len(records)


def _salts(sql: Sql, workspace_id: str, entries: Sequence[AuditEntry]) -> Callable[[AuditEntry], str]:
    """Return what gives an entry's view its salt: a fresh one, or the one that its plan's draft has."""
    plans = sorted({entry.plan_id for entry in entries if entry.comparable and entry.plan_id})
    found = sql.all(_SALTS, {"w": workspace_id, "plans": to_json(plans).decode()}) if plans else ()
    known: dict[str, str] = {row.plan_id: row.salt for row in found}

    def salt_of(entry: AuditEntry) -> str:
        fresh = secrets.token_hex(_SALT_BYTES)
        return known.setdefault(entry.plan_id, fresh) if entry.comparable and entry.plan_id else fresh

    return salt_of
