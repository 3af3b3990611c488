"""What is recorded of everything that happens: entries, and the links of the chain that they become. Pure.

Who did what, as whom, why it was allowed or refused, and how it ended. Parameters enter the chain only as a salted
commitment; their redacted view and the salt are kept beside it, where they can be erased without breaking the chain.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple

DISPATCHED: Final = "dispatched"
"""In the facts of what an attempt came to: the event of its dispatch, which has no record of its own then."""
DISPATCHED_AT: Final = "dispatched_at"
"""And when that was."""


class AuditKind(StrEnum):
    """What kind of thing happened. Facts about work carry their event's own type, such as ``job.completed``."""

    LOGIN_FAILED = "login.failed"
    DENIED = "request.denied"
    """A door turned away somebody whose credential is good: scope, policy, another workspace."""
    DECIDED = "policy.decided"
    EFFECT_AHEAD = "effect.ahead"
    """A step is about to run; recorded first where nothing may happen without a record."""
    WORKSPACE_CREATED = "workspace.created"
    WORKSPACE_CHANGED = "workspace.changed"
    MEMBER_ADMITTED = "member.admitted"
    MEMBER_CHANGED = "member.changed"
    MEMBER_REMOVED = "member.removed"
    KEY_CREATED = "key.created"
    KEY_CHANGED = "key.changed"
    KEY_REPLACED = "key.replaced"
    KEY_REVOKED = "key.revoked"
    POLICY_CHANGED = "policy.changed"
    POLICY_REMOVED = "policy.removed"
    POLICIES_SIGNED = "policies.signed"
    """Policies that were put before there were signatures were signed for, because the chain tells of them."""
    SESSION_OPENED = "session.opened"
    AUDIT_EXPORTED = "audit.exported"
    SCHEMA_ADVANCED = "schema.advanced"
    """An operator moves the keys of jobs in Redis; the other four too. Each is recorded as it begins and as it ends."""
    SCHEMA_WENT_BACK = "schema.went_back"
    SCHEMA_BACKFILLED = "schema.backfilled"
    SCHEMA_VERIFIED = "schema.verified"
    SCHEMA_RETIRED = "schema.retired"
    VIEW_ERASED = "view.erased"
    """The views of the records that it names were erased, and rightly."""
    CURSOR_DISTRUSTED = "audit.cursor_distrusted"
    """How far the archiver had come was not what this installation had signed."""


class AuditEntry(NamedTuple):
    """One fact to be recorded. Everything in it is redacted."""

    workspace_id: str
    """Whose chain it belongs to; what belongs to nobody's goes to ``system``."""
    kind: str
    at: datetime
    actor_id: str | None
    """Who; None: the worker or the clock."""
    acting_as: str | None = None
    """The account in whose name the far end saw it."""
    action_id: str | None = None
    plan_id: str | None = None
    job_id: str | None = None
    result: str = ""
    """How it ended, in a word: ``allow``, ``ask``, ``deny``, ``completed``, an error code…"""
    rule: str | None = None
    """The name of the rule that decided."""
    request_id: str | None = None
    source: str | None = None
    """Which event it tells of: ``work/<position>``. None is recorded twice, see ``AuditLog.archive``."""
    facts: Mapping[str, Any] = MappingProxyType({})
    """What else is recorded for good; never personal data."""
    view: Any = None
    """What may have to be erased one day: redacted parameters, addresses, names. It enters the chain as a commitment.

    It may be given as ``CanonicalJson`` of what it is.
    """
    comparable: bool = False
    """Whether equal views of its plan's records have equal commitments: what was shown and what was run can be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One link of a chain, as it is kept."""

    entry: AuditEntry
    sequence: int
    """1 for a workspace's first."""
    commitment: str | None
    """SHA-256 (hex) over salt and view; None: there was no view."""
    salt: str | None
    """None once the view is erased."""
    previous: str
    """Hash of the record before; 64 zeros before the first."""
    hash: str
    """What the chain is made of; ``steward.chain`` says how it is computed. View and salt are not in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditVerdict:
    """What a check of one workspace's chain found."""

    workspace_id: str
    records: int
    checkpoints: int
    sound: bool
    begins: int = 1
    """Sequence of the first record that is kept; those before it were dropped by the retention."""
    head: int = 0
    """Sequence of the last record. Whoever notes it with ``hash`` can tell later that nothing up to here was rolled back."""
    hash: str = ""
    sealed: int = 0
    """Up to which record the chain is signed."""
    first_bad: int | None = None
    """Sequence of the first record that is not what was written, is missing, or is no longer vouched for."""
    problem: str = ""
    """A sentence about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedDecision:
    """What policy said about one step, and what it looked at, as it was recorded."""

    at: datetime
    actor_id: str | None
    roles: tuple[str, ...]
    plan_id: str | None
    step: str
    action_id: str
    effect: str
    rule: str
    version: str
    """Of the rules that decided."""
    facts: Mapping[str, Any]
