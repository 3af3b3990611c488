"""The audit's rows as values, and the statements that read them."""

from collections.abc import Iterator
from typing import Any, Final

from pydantic_core import from_json
from sqlalchemy import Connection, Row, and_, bindparam, select

from steward.audit import AuditEntry, AuditRecord
from steward.chain import Checkpoint
from steward.clock import from_milliseconds
from steward.database.tables import audit_checkpoints, audit_heads, audit_records, audit_views

_MAX: Final = 253_402_300_800_000
"""Milliseconds to the year 10000; more than any count."""
_PAGE: Final = 500
"""Checkpoints that are held at once, however many a chain has."""
W: Final = bindparam("w")
WITH_VIEWS: Final = (
    select(audit_records, audit_views.c.salt, audit_views.c.view)
    .outerjoin(
        audit_views,
        and_(
            audit_views.c.workspace_id == audit_records.c.workspace_id,
            audit_views.c.sequence == audit_records.c.sequence,
        ),
    )
    .where(audit_records.c.workspace_id == W)
)
HEAD: Final = select(audit_heads).where(audit_heads.c.workspace_id == W)
_RANGE: Final = (
    WITH_VIEWS.where(audit_records.c.sequence > bindparam("after"))
    .order_by(audit_records.c.sequence)
    .limit(bindparam("limit"))
)
_CHECKPOINTS: Final = (
    select(audit_checkpoints)
    .where(audit_checkpoints.c.workspace_id == W, audit_checkpoints.c.purpose == bindparam("purpose"))
    .where(audit_checkpoints.c.sequence >= bindparam("from"), audit_checkpoints.c.number > bindparam("after"))
    .order_by(audit_checkpoints.c.number)
    .limit(_PAGE)
)


def entry_of(row: Any) -> AuditEntry:
    """Return the entry of a row; raises ``ValueError`` when its facts are not JSON."""
    return AuditEntry(
        workspace_id=row.workspace_id,
        kind=row.kind,
        at=from_milliseconds(row.at),
        actor_id=row.actor_id,
        acting_as=row.acting_as,
        action_id=row.action_id,
        plan_id=row.plan_id,
        job_id=row.job_id,
        result=row.result,
        rule=row.rule,
        request_id=row.request_id,
        source=row.source,
        facts=from_json(row.facts),
        view=None if row.view is None else from_json(row.view),
    )


def record_of(row: Any) -> AuditRecord:
    """Return the record of a row selected with its view."""
    return AuditRecord(
        entry=entry_of(row),
        sequence=row.sequence,
        commitment=row.commitment,
        salt=row.salt,
        previous=row.previous,
        hash=row.hash,
    )


def rows_after(connection: Connection, workspace_id: str, after: int, limit: int) -> list[Row[Any]]:
    """Return the records after a sequence, with their views, in order."""
    return list(connection.execute(_RANGE, {"w": workspace_id, "after": after, "limit": limit}))


def checkpoints(connection: Connection, workspace_id: str, purpose: str, *, first: int = 0) -> Iterator[Checkpoint]:
    """Yield the checkpoints of a purpose that stand at ``first`` or later, by number, some hundred held at a time."""
    after: Any = -1
    while rows := connection.execute(
        _CHECKPOINTS, {"w": workspace_id, "purpose": purpose, "from": first, "after": after}
    ).all():
        yield from (_checkpoint(row) for row in rows)
        after = rows[-1].number


def _checkpoint(row: Any) -> Checkpoint:
    return Checkpoint(
        workspace_id=row.workspace_id,
        purpose=row.purpose,
        number=_whole(row.number),
        sequence=_whole(row.sequence),
        hash=str(row.hash),
        at=from_milliseconds(_whole(row.at)),
        key_id=str(row.key_id),
        signature=str(row.signature),
    )


def _whole(value: Any) -> int:
    """Return a number as it is; 0 for what somebody put there that is none, so that no signature fits it."""
    return value if isinstance(value, int) and 0 <= value < _MAX else 0
