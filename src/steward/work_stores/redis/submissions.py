"""What a draft, a submission and a settlement look like as the arguments of their scripts, and what is answered."""

from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from pydantic_core import from_json

from steward.caps import Caps, counts_until
from steward.clock import from_milliseconds, milliseconds
from steward.digest import HEX_DIGEST
from steward.identity import Principal
from steward.ids import namesake
from steward.job import (
    Cancelled,
    Completed,
    Deferred,
    Expanded,
    Failed,
    HandedBack,
    HeldFor,
    JobStatus,
    NewJob,
    Skipped,
    TryAgain,
    Unknown,
    dependents_among,
)
from steward.job import Outcome as AnyOutcome
from steward.plan import PlanRecord, PlanStatus
from steward.spending import Spending
from steward.work_store import IdempotencyClaim, Submission, Submitted
from steward.work_stores.redis.job_records import NAMESAKE, Place, beside_spec, job_fields, placed_fields, spec_of
from steward.work_stores.redis.plan_records import carried_of, plan_fields
from steward.work_stores.redis.records import Fields, approval_fields, armoured, encode

_POSITIONS_PER_STEP = 1_000
"""Room for the children of an expanded step between it and the next."""
_NOTHING = (0, 0)
"""What an effect takes that no budget counts."""
_WORDS: Mapping[type[Any], str] = {
    Completed: "completed",
    Failed: "failed",
    TryAgain: "retry",
    Unknown: "unknown",
    Skipped: "skipped",
    Cancelled: "cancelled",
    HandedBack: "handed_back",
    Deferred: "deferred",
}


def flat(fields: Fields) -> tuple[Any, ...]:
    """Return fields as a script takes them: how many, and then name and value of each."""
    return (len(fields), *chain.from_iterable(fields.items()))


def _short(digest: str) -> str:
    """Return a SHA-256 as its first 128 bits, which tell two payloads apart as surely in a third of the room."""
    return b2a_base64(bytes.fromhex(digest[:32]), newline=False).decode() if HEX_DIGEST.fullmatch(digest) else digest


def name_arguments(claims: Sequence[IdempotencyClaim]) -> tuple[Any, ...]:
    """Return a client's own names as a script takes them."""
    each = (
        (claim.namespace, claim.key, " ".join(map(_short, claim.payload_digests)), claim.step_index) for claim in claims
    )
    return (len(claims), *(part for claim in each for part in claim))


def draft_arguments(principal: Principal, plan: PlanRecord) -> tuple[Any, ...]:
    """Return what ``draft`` takes."""
    said = encode({"status": plan.status, "request_id": plan.request_id})
    fields = plan_fields(plan, principal.workspace_id, status=plan.status)
    return (principal.workspace_id, principal.actor_id, said, *flat(fields))


def submit_arguments(principal: Principal, submission: Submission, now: int) -> tuple[Any, ...]:
    """Return what ``submit`` and ``submit_known`` take."""
    approval, jobs = submission.approval, submission.jobs
    status = PlanStatus.RUNNING if approval is None else PlanStatus.AWAITING_APPROVAL
    plan = plan_fields(submission.plan, principal.workspace_id, status=status)
    plan.pop("expires_at", None)
    plan |= {"job_ids": " ".join(job.job_id for job in jobs), "open_jobs": len(jobs)} | _names_of_plan(submission)
    actions = [job.action_id for job in jobs]
    asked_by = submission.plan.request_id
    said = encode({"status": status, "jobs": len(jobs), "actions": actions, "request_id": asked_by})
    asked: Fields = {}
    if approval is not None:
        asked = approval_fields(approval) | {
            "workspace_id": principal.workspace_id,
            "requested_by": principal.actor_id,
        }
    return (
        principal.workspace_id,
        principal.actor_id,
        *name_arguments(submission.idempotency),
        *flat(plan),
        said,
        *flat(asked),
        len(jobs),
        *chain.from_iterable(map(flat, _all_job_fields(principal, submission, now))),
    )


def lone_arguments(principal: Principal, submission: Submission, now: int) -> list[Any] | None:
    """Return what ``submit_one`` takes; None: it is no plan of one step that its job can carry, or that is ready to run."""
    plan, claims = submission.plan, submission.idempotency
    if len(submission.jobs) != 1 or submission.approval is not None or plan.actor_id != principal.actor_id:
        return None
    (job,) = submission.jobs
    if job.job_id != namesake(plan.plan_id, "job") or first_status(job, now) is not JobStatus.PENDING:
        return None
    place = Place(principal.workspace_id, NAMESAKE, plan.actor_id, 0, plan.request_id)
    spec, carried = spec_of(job, place, now), carried_of(plan)
    if spec is None or carried is None:
        return None
    said = {"status": "running", "jobs": 1, "actions": [job.action_id], "request_id": plan.request_id}
    asked: list[Any] = [
        principal.workspace_id,
        principal.actor_id,
        job.job_id,
        job.action_id,
        encode(said),
        len(claims),
    ]
    for claim in claims:
        asked += (claim.namespace, claim.key)
    asked += (spec, carried)
    for pair in beside_spec(job).items():
        asked += pair
    if plan.body_sealed is not None:
        asked += ("body_armoured", armoured(plan.body_sealed))
    for claim in claims:
        asked += (f"{claim.namespace}:{claim.key}", _short(claim.payload_digests[0]))
    return asked


def _names_of_plan(submission: Submission) -> Fields:
    """Return what stands in a plan for the names that the client gave the request."""
    return {
        f"request:{claim.key}": _short(claim.payload_digests[0])
        for claim in submission.idempotency
        if claim.namespace == "request"
    }


def _all_job_fields(principal: Principal, submission: Submission, now: int) -> list[Fields]:
    ids = {job.step_id: job.job_id for job in submission.jobs}
    needed_by = dependents_among(submission.jobs)
    named = _names_of_jobs(submission)
    every: list[Fields] = []
    for place, job in enumerate(submission.jobs):
        status = first_status(job, now, held=submission.approval is not None)
        where = Place(
            workspace_id=principal.workspace_id,
            plan_id=submission.plan.plan_id,
            actor_id=principal.actor_id,
            position=place * _POSITIONS_PER_STEP,
            request_id=submission.plan.request_id,
        )
        fields = placed_fields(job, where, status=status, now=now) | named.get(place, {})
        if job.depends_on:
            fields["needs"] = " ".join(ids[step_id] for step_id in job.depends_on)
        if needed_by[job.step_id]:
            fields["dependents"] = " ".join(needed_by[job.step_id])
        if submission.approval is not None:
            fields |= {"held_for": HeldFor.APPROVAL.value, "reason": submission.approval.reason}
        every.append(fields)
    return every


def _names_of_jobs(submission: Submission) -> dict[int, Fields]:
    """Return what stands in jobs, by their places, for the names that the client gave them."""
    named: dict[int, Fields] = {}
    for claim in submission.idempotency:
        if claim.namespace == "action":
            named.setdefault(claim.step_index, {})[f"action:{claim.key}"] = _short(claim.payload_digests[0])
    return named


def first_status(job: NewJob, now: int, *, held: bool = False) -> JobStatus:
    """Return the state in which a new job begins."""
    if held:
        return JobStatus.HELD
    if job.depends_on:
        return JobStatus.WAITING
    if job.not_before is not None and milliseconds(job.not_before) > now:
        return JobStatus.SCHEDULED
    return JobStatus.PENDING


def lone_submitted(submission: Submission, depth: int) -> Submitted:
    """Return that a new plan of one step was put in place."""
    return Submitted(
        plan_id=submission.plan.plan_id,
        status=PlanStatus.RUNNING,
        job_ids=tuple(job.job_id for job in submission.jobs),
        duplicate=False,
        approval_id=None,
        queue_depth=depth,
    )


def submitted(answer: Sequence[Any]) -> Submitted:
    """Return what became of a submission."""
    plan_id, status, job_ids, duplicate, approval_id, depth = answer
    return Submitted(
        plan_id=plan_id.decode(),
        status=PlanStatus(status.decode()),
        job_ids=tuple(job_ids.decode().split()),
        duplicate=duplicate == b"1",
        approval_id=approval_id.decode() or None,
        queue_depth=int(depth),
    )


def result_arguments(outcome: AnyOutcome) -> tuple[str, str, str]:
    """Return the result of what completed as ``settle`` takes it: as it is shown, sealed, and its labels."""
    assert isinstance(outcome, Completed)
    labels = encode(outcome.result_labels) if outcome.result_labels else ""
    return encode(outcome.result), armoured(outcome.result_sealed) or "", labels


def outcome_arguments(outcome: AnyOutcome) -> tuple[Any, ...]:
    """Return an outcome other than an expansion as ``settle`` takes it."""
    if isinstance(outcome, Completed):
        return (_WORDS[Completed], *result_arguments(outcome), "", "", 0, "")
    error = getattr(outcome, "error", None)
    return (
        *(_WORDS[type(outcome)], "", "", ""),
        "" if error is None else encode(error.as_dict()),
        milliseconds(outcome.not_before) if isinstance(outcome, (TryAgain, Deferred)) else "",
        int(isinstance(outcome, TryAgain) and outcome.doubtful),
        getattr(outcome, "reason", ""),
    )


def expansion_arguments(outcome: Expanded, now: int) -> tuple[Any, ...]:
    """Return the children of a step as ``expand`` takes them."""
    ids = {child.step_id: child.job_id for child in outcome.children}
    needed_by = dependents_among(outcome.children)
    every: list[Fields] = []
    for child in outcome.children:
        fields = job_fields(child, status=first_status(child, now), now=now)
        if child.depends_on:
            fields["needs"] = " ".join(ids[step_id] for step_id in child.depends_on)
        if needed_by[child.step_id]:
            fields["dependents"] = " ".join(needed_by[child.step_id])
        every.append(fields)
    return (len(outcome.children), *(part for fields in every for part in flat(fields)))


def caps_arguments(caps: Mapping[str, Caps], now: int) -> tuple[Any, ...]:
    """Return the caps of workspaces as ``claim`` takes them: until when its starts count, and each workspace's rules."""
    arguments: list[Any] = [milliseconds(counts_until(from_milliseconds(now))), len(caps)]
    for workspace_id, own in caps.items():
        rules = [
            (pattern, kind, limit)
            for pattern, cap in own.items()
            for kind, limit in (("running", cap.max_running), ("starting", cap.per_minute))
            if limit is not None
        ]
        arguments += [workspace_id, len(rules), *(part for rule in rules for part in rule)]
    return tuple(arguments)


def spending_arguments(spending: Spending | None) -> tuple[Any, ...]:
    """Return what an effect takes from budgets as ``dispatch`` takes it."""
    if spending is None:
        return _NOTHING
    budgets = [
        (name, budget.limit, budget.window_s, spending.amount(name)) for name, budget in spending.budgets.items()
    ]
    recipients = [(len(macs), *macs) for macs in spending.recipients]
    return (
        *(len(budgets), *(part for budget in budgets for part in budget)),
        *(len(recipients), *(part for recipient in recipients for part in recipient)),
    )


def labels_of(text: bytes) -> Mapping[str, Any]:
    """Return labels as they are kept."""
    return from_json(text) if text else {}


def moment_of(text: bytes) -> Any:
    """Return a time as it is answered, or None."""
    return from_milliseconds(int(float(text))) if text else None
