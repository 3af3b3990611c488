"""Appends to the audit's chains on a connection, inside whatever transaction is under way.

A change of the directory is noted in the transaction that makes it, so that neither can be without the other. Nothing is
signed here: the audit log signs what it finds unsigned, within seconds.
"""

import secrets
from collections.abc import Iterable, Sequence
from typing import Any, Final

from pydantic_core import to_json
from sqlalchemy import Connection, and_, bindparam, insert, select

from steward import chain
from steward.audit import AuditEntry
from steward.database.sql import Sql, among, upsert
from steward.database.tables import audit_heads, audit_records, audit_views
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
    return append_drafts(connection, map(chain.Draft, entries))


def append_drafts(connection: Connection, drafts: Iterable[chain.Draft]) -> int:
    """Append records that were drafted before the transaction, which is shorter by that."""
    sql = Sql(connection)
    by_workspace: dict[str, list[chain.Draft]] = {}
    for draft in drafts:
        by_workspace.setdefault(draft.entry.workspace_id, []).append(draft)
    return sum(_append(sql, workspace_id, mine) for workspace_id, mine in sorted(by_workspace.items()))


def _append(sql: Sql, workspace_id: str, drafts: Sequence[chain.Draft]) -> int:
    head = sql.first(_HEAD, {"w": workspace_id})
    sequence, previous = (0, chain.GENESIS) if head is None else (head.sequence, head.hash)
    records, views = [], _views(sql, workspace_id, drafts, sequence + 1)
    own_hash = bytes.fromhex(previous)
    for draft in drafts:
        sequence += 1
        record, own_hash = draft.put(sequence, own_hash)
        records.append(record)
    sql.run_many(_ADD_RECORDS, records)
    sql.run(_MOVE_HEAD, {"w": workspace_id, "last": sequence, "digest": own_hash.hex()})
    sql.run_many(_ADD_VIEWS, views)
    return len(records)


def _views(sql: Sql, workspace_id: str, drafts: Sequence[chain.Draft], first: int) -> list[dict[str, Any]]:
    """Return the rows of the records' views, the first record standing at ``first``, and have the records state them.

    Each has a fresh salt, or the one that its plan's draft has.
    """
    with_views = [(number, draft) for number, draft in enumerate(drafts, first) if draft.view is not None]
    compared = {draft.entry.plan_id for _, draft in with_views if draft.entry.comparable and draft.entry.plan_id}
    found = sql.all(_SALTS, {"w": workspace_id, "plans": to_json(sorted(compared)).decode()}) if compared else ()
    known: dict[str, str] = {row.plan_id: row.salt for row in found}
    rows = []
    for number, draft in with_views:
        salt = secrets.token_hex(_SALT_BYTES)
        if draft.entry.comparable and draft.entry.plan_id:
            salt = known.setdefault(draft.entry.plan_id, salt)
        draft.commit_to(salt)
        rows.append({"workspace_id": workspace_id, "sequence": number, "salt": salt, "view": draft.view})
    return rows
