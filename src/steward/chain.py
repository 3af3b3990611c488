"""How records become a chain: what is hashed, in which form, and what a checkpoint states. Pure.

A record's body is everything in it but salt and view, the facts as the text of their canonical JSON; ``digest`` is the
SHA-256 of the body's canonical JSON. A record's hash is the SHA-256 of the previous record's hash and its own digest, both
as bytes. So a chain can be followed across records of which only the digests are shown. A view enters as a commitment: the
SHA-256 of the canonical JSON of ``{salt, view}``.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Literal

from steward.audit import AuditEntry
from steward.clock import from_milliseconds, milliseconds, rfc3339
from steward.digest import canonical_fields, canonical_json

GENESIS: Final = "0" * 64
"""What the first record of a chain goes on from."""


def commitment(salt: str, view: str) -> str:
    """Return what stands in a record for a view, given as canonical JSON."""
    return hashlib.sha256(f'{{"salt":"{salt}","view":{view}}}'.encode()).hexdigest()


@lru_cache(maxsize=16)
def _moment(at_ms: int) -> str:
    """Return a time as it will be read again; of a batch many are the same."""
    return rfc3339(from_milliseconds(at_ms))


def body(entry: AuditEntry, workspace_id: str, sequence: int, committed: str | None) -> dict[str, Any]:
    """Return what is hashed of a record, its names in order."""
    return {
        "acting_as": entry.acting_as,
        "action_id": entry.action_id,
        "actor_id": entry.actor_id,
        "at": _moment(milliseconds(entry.at)),
        "commitment": committed,
        "facts": canonical_json(dict(entry.facts)).decode(),
        "job_id": entry.job_id,
        "kind": str(entry.kind),
        "plan_id": entry.plan_id,
        "request_id": entry.request_id,
        "result": entry.result,
        "rule": entry.rule,
        "sequence": sequence,
        "source": entry.source,
        "workspace_id": workspace_id,
    }


def digest(document: dict[str, Any]) -> str:
    """Return the digest of a record's body."""
    return hashlib.sha256(canonical_fields(document)).hexdigest()


def link(previous: str, own_digest: str) -> str:
    """Return the hash of the record with this digest that follows the one with the hash ``previous``."""
    return hashlib.sha256(bytes.fromhex(previous) + bytes.fromhex(own_digest)).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A signed statement about one place of a chain."""

    workspace_id: str
    purpose: Literal["reached", "begins"]
    """``reached``: the chain had come this far. ``begins``: what stood up to here was dropped by the retention."""
    number: int
    """1, 2, 3… of those that reached; of one that begins: of the first that is left after it."""
    sequence: int
    hash: str
    """Of the record at ``sequence``."""
    at: datetime
    key_id: str
    signature: str = ""
    """Ed25519 (hex) over ``statement``."""

    def document(self) -> dict[str, Any]:
        """Return what is signed."""
        return {
            "at": rfc3339(self.at),
            "hash": self.hash,
            "key_id": self.key_id,
            "number": self.number,
            "purpose": self.purpose,
            "sequence": self.sequence,
            "type": "steward-audit-checkpoint",
            "workspace_id": self.workspace_id,
        }

    def statement(self) -> bytes:
        """Return the bytes that are signed."""
        return canonical_json(self.document())
