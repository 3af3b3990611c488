"""The retention: drops the oldest records of a chain, leaving a signed statement that the chain now begins after them.

Only what is signed and sound is dropped, so that nobody gets rid of a record by making it look old.
"""

from typing import Any, Final

import structlog
from sqlalchemy import Connection, delete, func, insert, select

from steward.audit_logs.checking import is_whole
from steward.audit_logs.rows import HEAD, checkpoints, rows_after
from steward.audit_logs.sealing import beginning, row_of
from steward.database.tables import audit_checkpoints, audit_records, audit_views
from steward.vault import Vault

_log = structlog.get_logger("steward.audit")
_BATCH: Final = 500


def drop_old(connection: Connection, workspace_id: str, before_ms: int, vault: Vault, now_ms: int) -> int:
    """Drop a bounded number of a chain's oldest records from before a time; return how many."""
    head = connection.execute(HEAD, {"w": workspace_id}).one_or_none()
    rows = rows_after(connection, workspace_id, 0, _BATCH)
    if head is None or not rows:
        return 0
    last: Any = None
    for row in rows:
        if not isinstance(row.at, int) or row.at >= before_ms or row.sequence > head.sealed:
            break
        if not is_whole(row) or (last is not None and row.previous != last.hash):
            _log.error(
                "Old records are kept, because the chain is not sound; see 'steward audit verify'.",
                action="audit_not_dropped",
                workspace_id=workspace_id,
                sequence=row.sequence,
            )
            break
        last = row
    if last is None:
        return 0
    _begin_after(connection, last, head.checkpoints, vault, now_ms)
    return last.sequence - rows[0].sequence + 1


def _begin_after(connection: Connection, last: Any, count: int, vault: Vault, now_ms: int) -> None:
    left = next(checkpoints(connection, last.workspace_id, "reached", first=last.sequence + 1), None)
    statement = beginning(last, vault, now_ms, count + 1 if left is None else left.number)
    for table in (audit_records, audit_views, audit_checkpoints):
        old = table.c.workspace_id == last.workspace_id, table.c.sequence <= last.sequence
        connection.execute(delete(table).where(*old))
    connection.execute(insert(audit_checkpoints), [row_of(statement)])


def workspaces_with_old(connection: Connection, before_ms: int) -> list[str]:
    """Return the workspaces whose first record is from before a time."""
    first = select(audit_records.c.workspace_id, func.min(audit_records.c.sequence).label("sequence")).group_by(
        audit_records.c.workspace_id
    )
    oldest = first.subquery()
    found = connection.execute(
        select(audit_records.c.workspace_id)
        .join(
            oldest,
            (oldest.c.workspace_id == audit_records.c.workspace_id) & (oldest.c.sequence == audit_records.c.sequence),
        )
        .where(audit_records.c.at < before_ms)
    )
    return list(found.scalars())
