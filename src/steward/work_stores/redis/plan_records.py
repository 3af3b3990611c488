"""A plan as a hash of its own, or carried by its only job: what is written of a new one, and how what a script answers is read.

A plan of one step whose job has its name (``plan_X`` and ``job_X``) is kept in the job's hash, since the job says most of what
there is to say of it: only when it was made, its digest, its document and its sealed body are added. Whoever changes such a plan
in any way but running it through gives it a hash of its own.
"""

from typing import Final

import structlog
from pydantic_core import to_json

from steward.clock import milliseconds
from steward.ids import namesake
from steward.job import JobStatus
from steward.plan import UNREADABLE_DOCUMENT, PlanRecord, PlanStatus
from steward.work_stores.redis.job_records import DAMAGE, packed, specified, unpacked
from steward.work_stores.redis.records import Fields, Reader, Values, bare, encode, present, readable

PLAN_FIELDS: Final = (
    *("plan_id", "workspace_id", "actor_id", "status", "digest", "document", "body_sealed", "created_at"),
    *("expires_at", "request_id", "finished_at", "approval_id", "job_ids", "body_armoured"),
)
CARRIED_FIELDS: Final = ("carried", "job_id", "workspace_id", "status", "spec", "finished_at", "body_armoured")
"""What is answered of a plan that its job carries."""
_CARRIED_FORM: Final = "1"
_PACKED_LENGTH: Final = 44
_log = structlog.get_logger("steward.redis")


def plan_fields(plan: PlanRecord, workspace_id: str, *, status: PlanStatus) -> Fields:
    """Return the fields of a new plan."""
    return present(
        {
            "plan_id": plan.plan_id,
            "workspace_id": workspace_id,
            "actor_id": plan.actor_id,
            "status": status.value,
            "digest": plan.digest,
            "document": encode(plan.document),
            "body_sealed": plan.body_sealed,
            "created_at": milliseconds(plan.created_at),
            "expires_at": None if plan.expires_at is None else milliseconds(plan.expires_at),
            "request_id": plan.request_id,
        }
    )


def carried_of(plan: PlanRecord) -> str | None:
    """Return what a job says of the plan that it carries, but for its sealed body; None: it cannot."""
    digest = packed(plan.digest)
    return f"{_CARRIED_FORM} {milliseconds(plan.created_at)} {digest} {encode(plan.document)}" if digest else None


def _spread(values: Values) -> Values:
    """Return what a script answered of a plan as the fields of one that has a hash of its own."""
    if len(values) != len(CARRIED_FIELDS):
        return values
    carried, job_id, workspace_id, status, spec, finished_at, body = values
    own = specified(spec, job_id)
    _, created_at, digest, document = carried.split(b" ", 3)
    ended = status == JobStatus.COMPLETED.value.encode()
    return (
        *(
            own[b"plan_id"],
            workspace_id,
            own[b"actor_id"],
            b"completed" if ended else b"running",
            digest,
            document,
            None,
        ),
        *(created_at, None, own[b"request_id"], finished_at if ended else None, None, job_id, body),
    )


def to_plan(values: Values, now_ms: int) -> PlanRecord:
    """Return the record of a plan; a draft past its time reads as expired."""
    of = Reader(PLAN_FIELDS, _spread(values))
    status, expires_at = PlanStatus(of.text("status")), of.time("expires_at")
    unused = status in {PlanStatus.DRAFT, PlanStatus.NEEDS_INPUT}
    if unused and expires_at is not None and of.number("expires_at") <= now_ms:
        status = PlanStatus.EXPIRED
    return PlanRecord(
        plan_id=of.text("plan_id"),
        workspace_id=of.text("workspace_id"),
        actor_id=of.text("actor_id"),
        status=status,
        digest=_digits(of.text("digest")),
        document={**of.json("document", {})},
        body_sealed=of.sealed("body_sealed") if (body := of.sealed("body_armoured")) is None else bare(body),
        created_at=of.time("created_at"),
        expires_at=expires_at,
        request_id=of.text("request_id"),
        finished_at=of.time("finished_at"),
        approval_id=of.maybe("approval_id"),
        job_ids=of.words("job_ids"),
    )


def _digits(digest: str) -> str:
    """Return a digest in digits, also one that was kept in base64 by a job."""
    return unpacked(digest.encode()).decode() if len(digest) == _PACKED_LENGTH else digest


def _kept(values: Values) -> Values:
    """Return the fields of a damaged plan, as far as they can be told apart."""
    try:
        return _spread(values)
    except DAMAGE:
        _, job_id, workspace_id, *_ = values
        known = {
            "plan_id": namesake((job_id or b"").decode("utf-8", "replace"), "plan").encode(),
            "workspace_id": workspace_id,
        }
        return [known.get(name) for name in PLAN_FIELDS]


def listed_plan(values: Values, now_ms: int) -> PlanRecord:
    """Return what a list shows of a plan; one that is damaged is shown degraded and never hides the others."""
    try:
        return to_plan(values, now_ms)
    except DAMAGE:
        fields = readable(PLAN_FIELDS, _kept(values))
        _log.warning("A plan's record is damaged.", action="unreadable_record", plan_id=fields["plan_id"].decode())
        if fields["status"].decode() not in list(PlanStatus):
            fields["status"] = PlanStatus.RUNNING.value.encode()
        fields |= {"document": to_json(UNREADABLE_DOCUMENT), "body_sealed": b"", "body_armoured": b""}
        return to_plan(list(fields.values()), now_ms)
