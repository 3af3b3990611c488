"""The installation's public keys: kept for good, and trusted only if a secret key that is given here vouches for them.

Whoever can write to the database could add a key of their own and sign everything anew with it. So a row counts only if
its key is derived from STEWARD_SECRET_KEY, or if a key that counts has signed it: at each start the primary key signs every
other one that counts, and so vouches for those that are rotated away later.

What is signed with them, beside the audit's checkpoints, is what else must not be changed quietly in the database: how far
the archiver has come, and which policies a workspace has.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection, inspect, select

from steward.database.engine import Database
from steward.database.sql import Sql, upsert
from steward.database.tables import audit_keys
from steward.digest import canonical_json
from steward.errors import ConfigurationError
from steward.signing import is_signed, signing_key_id
from steward.vault import Vault

_KEPT: Final = select(audit_keys)
_put: Final = upsert(audit_keys)
_PUT: Final = _put.on_conflict_do_update(
    index_elements=["key_id"],
    set_={"endorsed_by": _put.excluded.endorsed_by, "endorsement": _put.excluded.endorsement},
)


_is_known_to_be_signed: Final = lru_cache(maxsize=64)(is_signed)
"""Remembered, for it depends on nothing else, and the archiver asks three times about one cursor."""


def _statement(public_key: str) -> bytes:
    return canonical_json({"public_key": public_key, "type": "steward-audit-key"})


def any_kept(connection: Connection) -> bool:
    """Say whether a database, which may be empty, has been begun with a key."""
    return inspect(connection).has_table(audit_keys.name) and Sql(connection).first(_KEPT) is not None


def refuse_a_stranger(database: Database, vault: Vault) -> None:
    """Raise ``ConfigurationError`` if the database was begun with other keys than those that are given here.

    What is sealed could not be opened, and the chains of the audit would go on with a key for which nobody vouches.
    """
    kept = database.read_sync(lambda connection: {row.key_id for row in Sql(connection).all(_KEPT)})
    if kept and kept.isdisjoint(vault.public_keys):
        raise ConfigurationError(
            "STEWARD_SECRET_KEY is none of the keys that this database was begun with: set it to that one, or, to rotate, to the "
            "new one and that one behind it, with a comma between them."
        )


def trusted_keys(connection: Connection, vault: Vault) -> dict[str, str]:
    """Return key id to public key of those that count, the one that signs now first."""
    trusted = dict(vault.public_keys)
    left = [row for row in Sql(connection).all(_KEPT) if row.key_id not in trusted]
    while True:
        vouched = [row for row in left if row.endorsed_by in trusted and _vouched_for(row, trusted[row.endorsed_by])]
        if not vouched:
            return trusted
        trusted.update({row.key_id: row.public_key for row in vouched})
        left = [row for row in left if row.key_id not in trusted]


def _vouched_for(row: Any, public_key: str) -> bool:
    try:
        named = signing_key_id(row.public_key) == row.key_id
    except ValueError:
        return False
    return named and is_signed(_statement(row.public_key), row.endorsement or "", public_key)


def keep_keys(database: Database, vault: Vault, now_ms: int) -> None:
    """Keep the public keys of this start, the primary one vouching for the others. Usually there is nothing to write."""
    primary = next(iter(vault.public_keys))

    def missing(connection: Connection) -> list[dict[str, Any]]:
        kept = {row.key_id: row for row in connection.execute(select(audit_keys))}
        rows = []
        for key_id, public_key in trusted_keys(connection, vault).items():
            vouched = key_id == primary or (key_id in kept and kept[key_id].endorsed_by == primary)
            if key_id in kept and vouched:
                continue
            endorsement = None if key_id == primary else vault.sign(_statement(public_key))
            rows.append(
                {
                    "key_id": key_id,
                    "public_key": public_key,
                    "created_at": now_ms,
                    "endorsed_by": None if key_id == primary else primary,
                    "endorsement": endorsement,
                }
            )
        return rows

    if database.read_sync(missing):
        database.run_sync(lambda connection: [connection.execute(_PUT, row) for row in missing(connection)])


def vouch(vault: Vault, statement: Mapping[str, Any]) -> str:
    """Return the primary key's signature under a statement, with the name of the key."""
    return f"{next(iter(vault.public_keys))}.{vault.sign(canonical_json(dict(statement)))}"


def is_vouched(statement: Mapping[str, Any], voucher: object, trusted: Mapping[str, str]) -> bool:
    """Say whether a trusted key signed a statement; what is malformed is no signature."""
    key_id, _, signature = voucher.partition(".") if isinstance(voucher, str) else ("", "", "")
    return key_id in trusted and _is_known_to_be_signed(canonical_json(dict(statement)), signature, trusted[key_id])
