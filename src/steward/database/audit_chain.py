"""Appends to the audit's chains on a connection, inside whatever transaction is under way.

A change of the directory is noted in the transaction that makes it, so that neither can be without the other. Nothing is
signed here: the audit log signs what it finds unsigned, within seconds.
"""

import secrets
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

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


class End(NamedTuple):
    """Where a chain ends."""

    sequence: int
    hash: str


_NOT_BEGUN: Final = End(0, chain.GENESIS)


class Tail:
    """Records that are to be one workspace's next, as they are if its chain ends where it is thought to.

    Each that has a view has a fresh salt, or the one that its plan's draft has.
    """

    def __init__(self, after: End, salts: Mapping[str, str] = MappingProxyType({})) -> None:
        """Go on from ``after``. ``salts``: those of plans' drafts that are in the chain, by plan."""
        self.after = after
        self.drafts: list[chain.Draft] = []
        self.rows: list[chain.Row] = []
        self.views: list[tuple[Any, ...]] = []
        self.compared: set[str] = set()
        """Plans whose draft may be in the chain."""
        self._salts = dict(salts)
        self._sequence, self._hash = after.sequence, bytes.fromhex(after.hash)

    @property
    def end(self) -> End:
        """Where the chain ends with them."""
        return End(self._sequence, self._hash.hex())

    def add(self, draft: chain.Draft) -> None:
        """Put a record behind the others."""
        self._sequence += 1
        if draft.view is not None:
            salt, plan_id = secrets.token_hex(_SALT_BYTES), draft.entry.plan_id
            if draft.entry.comparable and plan_id:
                self.compared.add(plan_id)
                salt = self._salts.setdefault(plan_id, salt)
            draft.commit_to(salt)
            self.views.append((draft.entry.workspace_id, self._sequence, salt, draft.view))
        row, self._hash = draft.put(self._sequence, self._hash)
        self.drafts.append(draft)
        self.rows.append(row)

    def moved(self, after: End, salts: Mapping[str, str]) -> "Tail":
        """Return the same records behind another one."""
        tail = Tail(after, salts)
        for draft in self.drafts:
            tail.add(draft)
        return tail


class Tails:
    """Records that are about to be appended to some chains."""

    def __init__(self, ends: Mapping[str, End]) -> None:
        """Think that chains end there."""
        self._ends = ends
        self._tails: dict[str, Tail] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(len(tail.rows) for tail in self._tails.values())

    def add(self, entry: AuditEntry) -> None:
        """Add what is recorded next; raises ``Invalid`` for what JSON cannot hold."""
        workspace_id = entry.workspace_id
        tail = self._tails.get(workspace_id)
        if tail is None:
            tail = self._tails[workspace_id] = Tail(self._ends.get(workspace_id, _NOT_BEGUN))
        tail.add(chain.Draft(entry))

    def append(self, connection: Connection) -> dict[str, End]:
        """Append them; return where those chains end now."""
        sql = Sql(connection)
        return {workspace_id: _append(sql, workspace_id, tail) for workspace_id, tail in sorted(self._tails.items())}


def append(connection: Connection, entries: Iterable[AuditEntry]) -> int:
    """Append to the chains of the entries' workspaces, in order; return how many there were.

    Raises ``Invalid`` for what JSON cannot hold.
    """
    tails = Tails({})
    for entry in entries:
        tails.add(entry)
    tails.append(connection)
    return len(tails)


def _append(sql: Sql, workspace_id: str, tail: Tail) -> End:
    head = sql.first(_HEAD, {"w": workspace_id})
    end = _NOT_BEGUN if head is None else End(head.sequence, head.hash)
    plans = to_json(sorted(tail.compared)).decode()
    found = sql.all(_SALTS, {"w": workspace_id, "plans": plans}) if tail.compared else ()
    if found or end != tail.after:
        tail = tail.moved(end, {row.plan_id: row.salt for row in found})
    sql.run_rows(_ADD_RECORDS, tail.rows)
    sql.run(_MOVE_HEAD, {"w": workspace_id, "last": tail.end.sequence, "digest": tail.end.hash})
    sql.run_rows(_ADD_VIEWS, tail.views)
    return tail.end
