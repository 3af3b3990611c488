"""What the audit's routes answer, as models for the published schema; see ``answers``."""

from typing import Annotated, Any

from pydantic import AwareDatetime, Field

from steward.web.answers import Answer

_Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class AuditRecord(Answer):
    """One record of the workspace's chain."""

    sequence: Annotated[int, Field(ge=1)]
    kind: str
    at: AwareDatetime
    actor_id: str | None
    """Who; null: the worker, the clock, or nobody known."""
    acting_as: str | None
    """The account in whose name the far end saw it."""
    action_id: str | None
    plan_id: str | None
    job_id: str | None
    result: str
    """How it ended, in a word."""
    rule: str | None
    """The rule that decided."""
    request_id: str | None
    facts: dict[str, Any]
    view: Any
    """What may be erased one day, redacted: parameters, addresses, names."""
    view_erased: bool
    commitment: _Hash | None
    """What the chain holds in place of the view."""
    previous: _Hash
    hash: _Hash


class AuditPage(Answer):
    """A page of records, newest first."""

    workspace_id: str
    records: list[AuditRecord]
    count: int
    next_cursor: str | None


class AuditKey(Answer):
    """A key that signs, or has signed, this installation's chains."""

    key_id: str
    public_key: str
    """Ed25519, as hex."""
    signs: bool
    """Whether it is the one that signs now."""


class AuditVerdict(Answer):
    """What a check of the chain found."""

    workspace_id: str
    sound: bool
    records: int
    checkpoints: int
    begins: int
    """The first record that is kept; those before were dropped by the retention."""
    head: int
    """The last record. Note it with ``hash``, elsewhere, to be able to tell later that nothing was rolled back."""
    hash: str
    sealed: int
    """Up to which record the chain is signed."""
    first_bad: int | None
    """The first record that is not what was written, is missing, or is no longer vouched for."""
    problem: str
    keys: list[AuditKey]


class Evidence(Answer):
    """The evidence of one plan: keep it as a file; ``steward audit verify --file`` checks it without a server."""

    format: str
    workspace_id: str
    plan_id: str
    exported_at: AwareDatetime
    records: list[dict[str, Any]]
    links: list[dict[str, Any]]
    checkpoints: list[dict[str, Any]]
    keys: dict[str, str]
    signed_by: str
    signature: str
