"""Gathers the evidence of one plan: its records, what leads from each to a signature, and the keys."""

from itertools import pairwise
from typing import Any, Final

from sqlalchemy import Connection, bindparam

from steward import chain
from steward.audit_logs.rows import WITH_VIEWS, checkpoints, entry_of, record_of, rows_after
from steward.clock import from_milliseconds, rfc3339
from steward.database.public_keys import trusted_keys
from steward.database.tables import audit_records
from steward.errors import NotFound
from steward.evidence import FORMAT, statement
from steward.vault import Vault

_OF_PLAN: Final = WITH_VIEWS.where(audit_records.c.plan_id == bindparam("plan_id")).order_by(audit_records.c.sequence)
_BATCH: Final = 500


def rows_of_plan(connection: Connection, workspace_id: str, plan_id: str) -> list[Any]:
    """Return the records of a plan, in order; raise ``NotFound`` if there is none."""
    rows = list(connection.execute(_OF_PLAN, {"w": workspace_id, "plan_id": plan_id}))
    if not rows:
        raise NotFound
    return rows


def evidence(connection: Connection, workspace_id: str, plan_id: str, vault: Vault, now_ms: int) -> dict[str, Any]:
    """Return the signed evidence of a plan whose records are all sealed."""
    rows = rows_of_plan(connection, workspace_id, plan_id)
    own = {row.sequence for row in rows}
    places = _places(connection, workspace_id, sorted(own))
    ends = sorted({*own, *(place.sequence for place in places)})
    links: list[dict[str, Any]] = []
    for start, end in pairwise(ends):
        if start in own:  # between a checkpoint and the next record nothing has to be followed
            links += [link for link in _links(connection, workspace_id, start, end) if link["sequence"] not in own]
    trusted = trusted_keys(connection, vault)
    signer = next(iter(trusted))
    document = {
        "format": FORMAT,
        "workspace_id": workspace_id,
        "plan_id": plan_id,
        "exported_at": rfc3339(from_milliseconds(now_ms)),
        "records": [_record(row) for row in rows],
        "links": links,
        "checkpoints": [{**place.document(), "signature": place.signature} for place in places],
        "keys": {
            key_id: trusted[key_id] for key_id in sorted({signer, *(place.key_id for place in places)} & trusted.keys())
        },
        "signed_by": signer,
    }
    return {**document, "signature": vault.sign(statement(document))}


def _places(connection: Connection, workspace_id: str, own: list[int]) -> list[chain.Checkpoint]:
    """Return the first checkpoint at or after each record."""
    places: list[chain.Checkpoint] = []
    waiting = list(reversed(own))
    for checkpoint in checkpoints(connection, workspace_id, "reached", first=own[0]):
        if not waiting:
            break
        if checkpoint.sequence >= waiting[-1]:
            places.append(checkpoint)
        while waiting and waiting[-1] <= checkpoint.sequence:
            waiting.pop()
    return places


def _links(connection: Connection, workspace_id: str, after: int, upto: int) -> list[dict[str, Any]]:
    """Return the digests of the records after one, up to another."""
    links: list[dict[str, Any]] = []
    while after < upto:
        rows = rows_after(connection, workspace_id, after, min(_BATCH, upto - after))
        if not rows:
            break
        for row in rows:
            body = chain.body(entry_of(row), row.workspace_id, row.sequence, row.commitment)
            links.append({"sequence": row.sequence, "digest": chain.digest(body)})
        after = rows[-1].sequence
    return links


def _record(row: Any) -> dict[str, Any]:
    record = record_of(row)
    body = chain.body(record.entry, row.workspace_id, record.sequence, record.commitment)
    return {
        **body,
        "facts": record.entry.facts,
        "previous": record.previous,
        "hash": record.hash,
        "salt": record.salt,
        "view": record.entry.view,
    }
