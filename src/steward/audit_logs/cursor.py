"""How far the archiver has come, believed only as far as this installation signed it.

Whoever could move the cursor ahead would keep what happened out of the audit for good. So a cursor whose signature does not
hold is worth nothing, and what the chains themselves show counts: each record of work names the event that it tells of,
and what comes after the last one of them has either not been read or left no record.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, bindparam, cast, func, select

from steward.audit import AuditEntry, AuditKind
from steward.database.public_keys import is_vouched, trusted_keys, vouch
from steward.database.sql import Sql, upsert
from steward.database.tables import audit_cursors, audit_records
from steward.vault import Vault
from steward.workspace import SYSTEM_WORKSPACE

_WORK: Final = "work"
_SOURCE: Final = f"{_WORK}/"
_STATED: Final = select(audit_cursors.c.position, audit_cursors.c.voucher).where(audit_cursors.c.name == _WORK)
_SHOWN: Final = select(func.max(cast(func.substr(audit_records.c.source, len(_SOURCE) + 1), BigInteger))).where(
    audit_records.c.source.like(f"{_SOURCE}%")
)
_moved: Final = upsert(audit_cursors).values(name=_WORK, position=bindparam("upto"), voucher=bindparam("voucher"))
_MOVE: Final = _moved.on_conflict_do_update(
    index_elements=["name"], set_={"position": _moved.excluded.position, "voucher": _moved.excluded.voucher}
)


def position(connection: Connection, vault: Vault) -> int:
    """Return how far events have been archived."""
    stated = Sql(connection).first(_STATED)
    if stated is not None and _is_own(stated, vault.public_keys):
        return stated.position
    if is_doubtful(connection, trusted_keys(connection, vault)):
        return Sql(connection).scalar(_SHOWN) or 0
    return 0 if stated is None else stated.position


def is_doubtful(connection: Connection, trusted: Mapping[str, str]) -> bool:
    """Say whether what is stated was not stated by this installation; nothing is right where nothing was archived yet."""
    stated = Sql(connection).first(_STATED)
    if stated is None:
        return Sql(connection).scalar(_SHOWN) is not None
    return not _is_own(stated, trusted)


def move(connection: Connection, vault: Vault, upto: int) -> None:
    """State and sign how far events have been archived."""
    Sql(connection).run(_MOVE, {"upto": upto, "voucher": vouch(vault, _statement(upto))})


def distrusted(at: datetime, stated: object, shown: int) -> AuditEntry:
    """Return what is recorded when a cursor was not believed."""
    return AuditEntry(
        workspace_id=SYSTEM_WORKSPACE,
        kind=AuditKind.CURSOR_DISTRUSTED,
        at=at,
        actor_id=None,
        result="mended",
        facts={"stated": stated if isinstance(stated, int) else None, "position": shown},
    )


def stated(connection: Connection) -> Any:
    """Return the position that stands there, whoever put it there."""
    found = Sql(connection).first(_STATED)
    return None if found is None else found.position


def _statement(upto: object) -> dict[str, Any]:
    return {"type": "steward-audit-cursor", "name": _WORK, "position": upto}


def _is_own(row: Any, trusted: Mapping[str, str]) -> bool:
    return isinstance(row.position, int) and is_vouched(_statement(row.position), row.voucher, trusted)
