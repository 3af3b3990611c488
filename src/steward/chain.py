"""How records become a chain: what is hashed, in which form, and what a checkpoint states. Pure.

A record's body is everything in it but salt and view, the facts as the text of their canonical JSON; ``digest`` is the
SHA-256 of the body's canonical JSON. A record's hash is the SHA-256 of the previous record's hash and its own digest, both
as bytes. So a chain can be followed across records of which only the digests are shown. A view enters as a commitment: the
SHA-256 of the canonical JSON of ``{salt, view}``.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, Literal, TypeAlias

from pydantic_core import to_json

from steward.audit import AuditEntry
from steward.clock import from_milliseconds, milliseconds, rfc3339
from steward.digest import CanonicalJson, canonical_fields, canonical_json, ordered_fields

GENESIS: Final = "0" * 64
"""What the first record of a chain goes on from."""
_HEAD: Final = ("acting_as", "action_id", "actor_id")
_MIDDLE: Final = ("kind", "plan_id", "request_id", "result", "rule")
Row: TypeAlias = tuple[Any, ...]
"""A record as it is kept: the values of its columns in their order."""


def commitment(salt: str, view: str) -> str:
    """Return what stands in a record for a view, given as canonical JSON."""
    return sha256(f'{{"salt":"{salt}","view":{view}}}'.encode()).hexdigest()


@lru_cache(maxsize=256)
def _moment(at: datetime) -> tuple[int, bytes]:
    """Return a time as it is kept and as it will be read again; of a batch many are the same."""
    at_ms = milliseconds(at)
    return at_ms, rfc3339(from_milliseconds(at_ms)).encode()


def _facts(entry: AuditEntry) -> str:
    facts = entry.facts
    return canonical_json(facts if type(facts) is dict else dict(facts)).decode()


def body(entry: AuditEntry, workspace_id: str, sequence: int, committed: str | None) -> dict[str, Any]:
    """Return what is hashed of a record, its names in order."""
    _, kind, at, actor_id, acting_as, action_id, plan_id, job_id, result, rule, request_id, source, *_ = entry
    return {
        "acting_as": acting_as,
        "action_id": action_id,
        "actor_id": actor_id,
        "at": _moment(at)[1].decode(),
        "commitment": committed,
        "facts": _facts(entry),
        "job_id": job_id,
        "kind": str(kind),
        "plan_id": plan_id,
        "request_id": request_id,
        "result": result,
        "rule": rule,
        "sequence": sequence,
        "source": source,
        "workspace_id": workspace_id,
    }


@lru_cache(maxsize=1_024)
def _alike(*texts: str | None) -> tuple[bytes, bytes, bytes]:
    """Return the parts of a body that many of a batch share: those before its time, behind its job, and behind its source."""
    *head, kind, plan, request, result, rule, workspace_id = texts
    return (
        ordered_fields(dict(zip(_HEAD, head, strict=True)))[:-1],
        ordered_fields(dict(zip(_MIDDLE, (kind, plan, request, result, rule), strict=True)))[1:-1],
        ordered_fields({"workspace_id": workspace_id})[1:],
    )


class Draft:
    """A record that has no place in its chain yet. What can be worked out before is, so that no lock is held for that."""

    __slots__ = ("_after", "_before", "_facts", "_kept", "entry", "view")

    def __init__(self, entry: AuditEntry) -> None:
        """Draft the record of ``entry``; raises ``Invalid`` for what JSON cannot hold."""
        self.entry = entry
        view = entry.view
        self.view = view if view is None or type(view) is CanonicalJson else canonical_json(view).decode()
        """As canonical JSON."""
        self._facts = _facts(entry)
        if view is None:
            self._write(None)

    def _write(self, committed: str | None) -> None:
        """Write the body as ``body`` has it, but for its place, and what the row has between its place and the hashes."""
        workspace_id, kind, at, actor, acting_as, action, plan, job, result, rule, request, source, *_ = self.entry
        begin, middle, end = _alike(acting_as, action, actor, str(kind), plan, request, result, rule, workspace_id)
        at_ms, moment = _moment(at)
        facts = self._facts
        try:
            self._before = b'%b,"at":"%b","commitment":%b,"facts":%b,"job_id":%b,%b' % (
                begin,
                moment,
                b"null" if committed is None else to_json(committed),
                to_json(facts),
                to_json(job),
                middle,
            )
            self._after = b'"source":%b,%b' % (to_json(source), end)
        except ValueError:
            ordered_fields(body(self.entry, workspace_id, 0, committed))  # raises ``Invalid``, which says what it is
            raise
        # fmt: off
        self._kept = (
            str(kind), at_ms, actor, acting_as, action, plan, job, result, rule, request, source, facts, committed,
        )
        # fmt: on

    def commit_to(self, salt: str) -> None:
        """Have the record state a commitment to its view, which one that has a view must before it is put."""
        assert self.view is not None, "it has one"
        self._write(commitment(salt, self.view))

    def put(self, sequence: int, previous: bytes) -> tuple[Row, bytes]:
        """Return the record's row, after the record with the hash ``previous``, and its own hash."""
        own_digest = sha256(b'%b,"sequence":%d,%b' % (self._before, sequence, self._after)).digest()
        own_hash = sha256(previous + own_digest).digest()
        return (self.entry[0], sequence, *self._kept, previous.hex(), own_hash.hex()), own_hash


def digest(document: dict[str, Any]) -> str:
    """Return the digest of a record's body."""
    return sha256(canonical_fields(document)).hexdigest()


def link(previous: str, own_digest: str) -> str:
    """Return the hash of the record with this digest that follows the one with the hash ``previous``."""
    return sha256(bytes.fromhex(previous) + bytes.fromhex(own_digest)).hexdigest()


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
