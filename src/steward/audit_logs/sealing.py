"""Signs chains up to their last record, so that from then on nobody without the secret key can change what stands there."""

from dataclasses import replace
from typing import Any, Final, Literal

from sqlalchemy import Connection, bindparam, insert, select, update

from steward.chain import Checkpoint
from steward.clock import from_milliseconds, milliseconds
from steward.database.sql import Sql
from steward.database.tables import audit_checkpoints, audit_heads
from steward.vault import Vault

UNSEALED: Final = select(audit_heads).where(audit_heads.c.sequence > audit_heads.c.sealed)
_ADD_CHECKPOINTS: Final = insert(audit_checkpoints)
_SEALED: Final = (
    update(audit_heads)
    .where(audit_heads.c.workspace_id == bindparam("w"))
    .values(sealed=bindparam("upto"), checkpoints=bindparam("count"))
)


def seal(connection: Connection, vault: Vault, now_ms: int) -> list[Checkpoint]:
    """Add a checkpoint to every chain that has grown since its last; return them."""
    sql = Sql(connection)
    made = [_checkpoint(head, vault, now_ms, "reached", head.checkpoints + 1) for head in sql.all(UNSEALED)]
    sql.run_many(_ADD_CHECKPOINTS, map(row_of, made))
    sql.run_many(_SEALED, [{"w": item.workspace_id, "upto": item.sequence, "count": item.number} for item in made])
    return made


def _checkpoint(
    place: Any, vault: Vault, now_ms: int, purpose: Literal["reached", "begins"], number: int
) -> Checkpoint:
    """Return the signed statement that the chain stood like this at ``place`` (its workspace, sequence and hash)."""
    plain = Checkpoint(
        workspace_id=place.workspace_id,
        purpose=purpose,
        number=number,
        sequence=place.sequence,
        hash=place.hash,
        at=from_milliseconds(now_ms),
        key_id=next(iter(vault.public_keys)),
    )
    return replace(plain, signature=vault.sign(plain.statement()))


def beginning(place: Any, vault: Vault, now_ms: int, number: int) -> Checkpoint:
    """Return the signed statement that what stood up to ``place`` was dropped rightly."""
    return _checkpoint(place, vault, now_ms, "begins", number)


def row_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the row of a checkpoint."""
    return {
        "workspace_id": checkpoint.workspace_id,
        "purpose": checkpoint.purpose,
        "number": checkpoint.number,
        "sequence": checkpoint.sequence,
        "hash": checkpoint.hash,
        "at": milliseconds(checkpoint.at),
        "key_id": checkpoint.key_id,
        "signature": checkpoint.signature,
    }
