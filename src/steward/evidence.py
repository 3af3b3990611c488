"""The evidence of one plan as a file, and its check with nothing but the file and a public key. Pure.

The file holds every record of the plan, and for each the digests of the records up to the next checkpoint: enough to follow
the chain to a signature, while of other plans nothing is shown. The whole file is signed as well, which says that these are
all the records there were.
"""

import json
from bisect import bisect_left
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from steward import chain
from steward.digest import canonical_json
from steward.errors import Invalid
from steward.signing import is_signed, signing_key_id

FORMAT: Final = "steward-evidence/1"
_Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Count = Annotated[int, Field(ge=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class EvidenceRecord(_Model):
    """One record of the plan. What is hashed is all but ``previous``, ``hash``, ``salt`` and ``view``."""

    workspace_id: str
    sequence: _Count
    kind: str
    at: str
    actor_id: str | None
    acting_as: str | None
    action_id: str | None
    plan_id: str
    job_id: str | None
    result: str
    rule: str | None
    request_id: str | None
    source: str | None
    facts: dict[str, Any]
    commitment: _Hash | None
    previous: _Hash
    hash: _Hash
    salt: str | None
    view: Any

    def digest(self) -> str:
        """Return the digest of its body."""
        body = self.model_dump(exclude={"previous", "hash", "salt", "view"})
        return chain.digest({**body, "facts": canonical_json(self.facts).decode()})


class EvidenceLink(_Model):
    """A record that is not the plan's: only its digest, to follow the chain across it."""

    sequence: _Count
    digest: _Hash


class EvidenceCheckpoint(_Model):
    """A signed place of the chain."""

    type: Literal["steward-audit-checkpoint"]
    workspace_id: str
    purpose: Literal["reached"]
    number: _Count
    sequence: _Count
    hash: _Hash
    at: str
    key_id: str
    signature: str

    def statement(self) -> bytes:
        """Return the bytes that are signed."""
        return canonical_json(self.model_dump(exclude={"signature"}))


class Evidence(_Model):
    """The file."""

    format: Literal["steward-evidence/1"]
    workspace_id: str
    plan_id: str
    exported_at: str
    records: Annotated[list[EvidenceRecord], Field(min_length=1)]
    links: list[EvidenceLink]
    checkpoints: Annotated[list[EvidenceCheckpoint], Field(min_length=1)]
    keys: dict[str, str]
    """Key id to public key (hex)."""
    signed_by: str
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceVerdict:
    """What a check of an evidence file found."""

    sound: bool
    problem: str = ""
    first_bad: int | None = None
    """Sequence of the first record that is not what was written."""
    plan_id: str = ""
    workspace_id: str = ""
    records: int = 0
    public_key: str = ""
    """Whose word it is. Compare it with the key that you know by another way, unless you gave it."""


class _Doubt(Exception):
    def __init__(self, problem: str, first_bad: int | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.first_bad = first_bad


def statement(document: Mapping[str, Any]) -> bytes:
    """Return the bytes of an evidence document that its signature covers."""
    return canonical_json({name: value for name, value in document.items() if name != "signature"})


def read_evidence(text: str) -> Any:
    """Return the JSON of a file; raise ``Invalid`` if it is none, or says anything twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a name is given twice")
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise Invalid("This is not an evidence file: it is not JSON.") from error


def check_evidence(document: Any, public_keys: Collection[str] = ()) -> EvidenceVerdict:
    """Return whether a document is what Steward signed, whole and unchanged.

    ``public_keys``: those that are trusted, as hex; none: the file's own, which the verdict names.
    """
    try:
        evidence = Evidence.model_validate(document)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        return EvidenceVerdict(
            sound=False, problem=f"This is not an evidence file: {place or 'it'} is not as it must be."
        )
    own_key = evidence.keys.get(evidence.signed_by, "")
    known = {
        "plan_id": evidence.plan_id,
        "workspace_id": evidence.workspace_id,
        "records": len(evidence.records),
        "public_key": own_key,
    }
    try:
        _check_records(evidence)
        _check_chain(evidence)
        _check_whole(evidence, document, public_keys)
    except _Doubt as doubt:
        return EvidenceVerdict(sound=False, problem=doubt.problem, first_bad=doubt.first_bad, **known)
    except Invalid as error:
        return EvidenceVerdict(sound=False, problem=error.detail, **known)
    return EvidenceVerdict(sound=True, **known)


def _check_whole(evidence: Evidence, document: Mapping[str, Any], public_keys: Collection[str]) -> None:
    own_key = evidence.keys.get(evidence.signed_by, "")
    if public_keys and own_key not in public_keys:
        raise _Doubt("It is signed with another key than the one given.")
    if not _is_key(evidence.signed_by, own_key) or not is_signed(statement(document), evidence.signature, own_key):
        raise _Doubt("The file as a whole is not as it was signed: something was changed, added or left out.")


def _is_key(key_id: str, public_key: str) -> bool:
    try:
        return signing_key_id(public_key) == key_id
    except ValueError:
        return False


def _check_records(evidence: Evidence) -> None:
    """Check each record by itself."""
    before = 0
    for record in evidence.records:
        if record.sequence <= before:
            raise _Doubt("The records are not in order.", record.sequence)
        before = record.sequence
        if (record.plan_id, record.workspace_id) != (evidence.plan_id, evidence.workspace_id):
            raise _Doubt(f"Record {record.sequence} is of another plan.", record.sequence)
        if record.hash != chain.link(record.previous, record.digest()):
            raise _Doubt(f"Record {record.sequence} was changed.", record.sequence)
        if record.salt is None:
            if record.view is not None:
                raise _Doubt(
                    f"The view of record {record.sequence} cannot be checked: it has no salt.", record.sequence
                )
        elif record.commitment != chain.commitment(record.salt, canonical_json(record.view).decode()):
            raise _Doubt(f"The view of record {record.sequence} was changed.", record.sequence)


def _check_chain(evidence: Evidence) -> None:
    """Follow the chain from each record to the next one, or to the checkpoint that stands before that."""
    digests = {link.sequence: link.digest for link in evidence.links}
    digests |= {record.sequence: record.digest() for record in evidence.records}
    places = sorted(evidence.checkpoints, key=lambda checkpoint: checkpoint.sequence)
    sequences = [checkpoint.sequence for checkpoint in places]
    first: _Doubt | None = None
    target: tuple[int, str] | None = None
    for record in reversed(evidence.records):
        index = bisect_left(sequences, record.sequence)
        try:
            if index < len(places) and (target is None or sequences[index] < target[0]):
                _check_checkpoint(evidence, places[index], record.sequence)
                target = (places[index].sequence, places[index].hash)
            _follow(record, target, digests)
        except _Doubt as doubt:
            first = doubt
        target = (record.sequence, record.hash)
    if first is not None:
        raise first


def _follow(record: EvidenceRecord, target: tuple[int, str] | None, digests: Mapping[int, str]) -> None:
    """Raise unless the chain leads from a record to a sequence and hash."""
    if target is None:
        raise _Doubt(f"No checkpoint stands after record {record.sequence}.", record.sequence)
    own_hash = record.hash
    for place in range(record.sequence + 1, target[0] + 1):
        if place not in digests:
            raise _Doubt(f"The chain is broken off before record {place}.", place)
        own_hash = chain.link(own_hash, digests[place])
    if own_hash != target[1]:
        raise _Doubt(f"Record {record.sequence} does not lead to what follows it.", record.sequence)


def _check_checkpoint(evidence: Evidence, checkpoint: EvidenceCheckpoint, sequence: int) -> None:
    public_key = evidence.keys.get(checkpoint.key_id, "")
    own = checkpoint.workspace_id == evidence.workspace_id and _is_key(checkpoint.key_id, public_key)
    if not own or not is_signed(checkpoint.statement(), checkpoint.signature, public_key):
        raise _Doubt(f"The checkpoint after record {sequence} is not as it was signed.", sequence)
