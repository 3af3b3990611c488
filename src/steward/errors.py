"""Every error Steward raises on purpose, in one short tree.

    StewardError
    ├── BadRequest 400           ── InvalidCursor
    ├── Unauthenticated 401
    ├── Forbidden 403            ── MissingScope, PolicyDenied, NotYourWorkspace, AnotherPersonRequired, ApproverRoleRequired
    ├── NotFound 404
    ├── Conflict 409             ── IllegalTransition, ApprovalMismatch, IdempotencyMixed, PlanExpired, PolicyNotGenuine,
    │                               QuotaReached, SchemaRefused, SettingsUnreadable
    ├── BodyTooLarge 413
    ├── Invalid 422              ── UnknownAction, IdempotencyKeyReused
    ├── RateLimited 429
    ├── FarEndFailed 502
    ├── StoreUnavailable 503     ── AuditUnavailable
    ├── FarEndTimedOut 504
    └── ConfigurationError       (stops a start; never crosses HTTP)

Each class has a stable ``code`` (the word clients match on), an HTTP ``status``, and its docstring is the message used
when the raiser has nothing better to say. A ``detail`` must be safe to show: no secret, no stack, no other tenant's data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing wrong with one field: ``pointer`` is a JSON pointer (RFC 6901) into the body, ``detail`` a sentence."""

    pointer: str
    detail: str

    def as_dict(self) -> dict[str, str]:
        """Return the shape used in a problem document's ``errors`` list."""
        return {"pointer": self.pointer, "detail": self.detail}


class StewardError(Exception):
    """Something went wrong inside Steward."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldProblem] = (),
        code: str | None = None,
        facts: dict[str, Any] | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        """Keep the sentence, the field problems, a narrower code, extra problem members and the wait to advise."""
        self.detail = detail or (type(self).__doc__ or self.title).split("\n", 1)[0]
        self.errors = tuple(errors)
        self.narrow_code = code
        self.facts = facts or {}
        self.retry_after_s = retry_after_s
        super().__init__(self.detail)

    @property
    def stable_code(self) -> str:
        """The word clients match on: the instance's narrower one, or the class's."""
        return self.narrow_code or self.code


class BadRequest(StewardError):
    """A query parameter, cursor or header has a value that cannot be used."""

    code = "bad_request"
    status = 400
    title = "Bad request"


class InvalidCursor(BadRequest):
    """The cursor is not one this listing gave out; start again without a cursor."""

    code = "invalid_cursor"


class Unauthenticated(StewardError):
    """No valid credential was given; send 'Authorization: Bearer <api key>'."""

    code = "unauthenticated"
    status = 401
    title = "Not authenticated"


class Forbidden(StewardError):
    """The credential is valid, but it may not do this."""

    code = "forbidden"
    status = 403
    title = "Not allowed"


class MissingScope(Forbidden):
    """The credential lacks the scope that this needs."""

    code = "missing_scope"


class PolicyDenied(Forbidden):
    """Policy does not allow this action."""

    code = "policy_denied"


class NotYourWorkspace(Forbidden):
    """The workspace or actor named is not the credential's own."""

    code = "workspace_mismatch"


class AnotherPersonRequired(Forbidden):
    """Whoever made or executed this plan may not approve it; ask somebody else."""

    code = "another_person_required"


class ApproverRoleRequired(Forbidden):
    """Approving this takes a role that the credential does not have."""

    code = "approver_role_required"


class NotFound(StewardError):
    """There is no such resource in this workspace."""

    code = "not_found"
    status = 404
    title = "Not found"


POLICY_REMEDY: Final = "An admin can put it again with 'steward policy put', or remove it with 'steward policy remove'."
"""What to do about a policy that cannot be relied on."""
SETTINGS_REMEDY: Final = "An admin can set them again with 'steward workspaces settings'."
"""What to do about settings that cannot be read."""


class Conflict(StewardError):
    """The resource is not in a state that allows this."""

    code = "conflict"
    status = 409
    title = "Conflict"


class IllegalTransition(Conflict):
    """The state does not allow this step."""

    code = "illegal_transition"


class ApprovalMismatch(Conflict):
    """The digest is not the one of the plan as it stands; look at it again before deciding."""

    code = "approval_mismatch"


class IdempotencyMixed(Conflict):
    """Some of the request ids are known and others are new; send the known ones and the new ones apart."""

    code = "idempotency_mixed"


class PlanExpired(Conflict):
    """The plan was not executed in time; make a new one."""

    code = "plan_expired"


class PolicyNotGenuine(Conflict):
    """A policy of the workspace is not what was put there, so nothing may run; put or remove it again."""

    code = "policy_not_genuine"


class QuotaReached(Conflict):
    """The workspace holds as many of these as it may."""

    code = "quota_reached"


class SchemaRefused(Conflict):
    """The migration of keys cannot take this step now."""

    code = "schema_refused"


class SettingsUnreadable(Conflict):
    """The settings of the workspace cannot be read, so nothing runs in it; set them again with 'steward workspaces settings'."""

    code = "settings_unreadable"


class BodyTooLarge(StewardError):
    """The request body is larger than this server takes."""

    code = "body_too_large"
    status = 413
    title = "Body too large"


class Invalid(StewardError):
    """The body does not fit the schema."""

    code = "invalid"
    status = 422
    title = "Invalid"


class UnknownAction(Invalid):
    """No enabled action has this id."""

    code = "unknown_action"


class IdempotencyKeyReused(Invalid):
    """The idempotency key was used before with another payload."""

    code = "idempotency_key_reused"


class RateLimited(StewardError):
    """Too many requests; wait and try again."""

    code = "rate_limited"
    status = 429
    title = "Too many requests"


class FarEndFailed(StewardError):
    """The far end failed."""

    code = "far_end_failed"
    status = 502
    title = "Far end failed"


class StoreUnavailable(StewardError):
    """The store cannot be reached; nothing was changed. Try again shortly."""

    code = "store_unavailable"
    status = 503
    title = "Store unavailable"


class AuditUnavailable(StoreUnavailable):
    """The audit cannot be written, and without it nothing is done here; nothing was changed. Try again shortly."""

    code = "audit_unavailable"
    title = "Audit unavailable"


class FarEndTimedOut(StewardError):
    """The far end did not answer in time."""

    code = "far_end_timed_out"
    status = 504
    title = "Far end timed out"


class ConfigurationError(StewardError):
    """A setting has a value that cannot be used; the start is refused."""

    code = "configuration_error"
