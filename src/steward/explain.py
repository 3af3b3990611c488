"""Why a job is not running, or a plan was refused: exactly one primary reason, when it may change, and who can change it.

Whatever keeps a job from being claimed is a state of its own, so the state and what is stored beside it (the error, the
sentence, the time) are the explanation; but for its workspace's caps, which are asked as the claim asks them. Nothing is
guessed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from steward.approval import Approval, ApprovalStatus
from steward.caps import ENDLESS, Room
from steward.job import HeldFor, Job, JobStatus
from steward.plan import PlanRecord, PlanStatus
from steward.policy import OWN_RULES
from steward.second_thoughts import UNDO_WINDOW
from steward.views import time_view

_SENTENCES: Final[Mapping[JobStatus, tuple[str, str]]] = {
    JobStatus.COMPLETED: ("completed", "It is done."),
    JobStatus.FAILED: ("failed", "It failed; a retry gives it a fresh budget of attempts."),
    JobStatus.UNKNOWN: (
        "outcome_unknown",
        "Its effect may or may not have happened; somebody has to look and resolve it.",
    ),
    JobStatus.CANCELLED: ("cancelled", "It was cancelled."),
    JobStatus.SKIPPED: ("skipped", "It was skipped."),
    JobStatus.RUNNING: ("running", "A worker is running it."),
    JobStatus.PENDING: ("no_free_worker", "It is ready and waits for a free worker and its workspace's turn."),
}
_WHO: Final[Mapping[JobStatus, str | None]] = {
    JobStatus.FAILED: "anyone who may execute: retry it",
    JobStatus.UNKNOWN: "anyone who may execute: resolve it",
    JobStatus.PENDING: "an operator: start a worker, or give it more slots",
    JobStatus.RUNNING: "its worker",
}
_UNTIL_THEN_IT_FAILS_AGAIN: Final[Mapping[str, tuple[str, str]]] = {
    "permission_revoked": (
        "A retry fails again until they may; somebody else can ask for it anew.",
        "an admin of the workspace: let them act again, then retry it; anyone who may execute: ask for it anew",
    ),
    "policy_denied": (
        "A retry fails again as long as that rule holds.",
        "whoever keeps the rule, an admin of the workspace or an operator: change it, then retry it",
    ),
    "unknown_action": (
        "A retry fails again until there is.",
        "an operator: bring the action back, then retry it",
    ),
}
"""By the error code of a failed job whose retry alone changes nothing: what has to be before, and who can see to it."""


def _explanation(
    status: str, code: str, text: str, *, since: datetime | None, change: datetime | None, who: str | None
) -> dict[str, Any]:
    return {
        "status": status,
        "reason": {"code": code, "text": text},
        "since": time_view(since),
        "next_change_at": time_view(change),
        "who": who,
    }


def who_may_approve(approver_role: str | None, *, another_person: bool) -> str:
    """Return who can give an approval, in words."""
    who = "anyone who may decide approvals" if approver_role is None else f"somebody with the role {approver_role}"
    return f"{who}, but not whoever made or executed the plan" if another_person else who


def _awaiting(status: str, approval: Approval) -> dict[str, Any]:
    text = f"It waits for approval {approval.approval_id}: {approval.reason}"
    answer = _explanation(
        status,
        "awaiting_approval",
        text,
        since=approval.created_at,
        change=approval.expires_at,
        who=who_may_approve(approval.approver_role, another_person=approval.another_person),
    )
    return {**answer, "approval_id": approval.approval_id}


def explain_job(
    job: Job, plan_jobs: Sequence[Job], now: datetime, approvals: Sequence[Approval] = (), *, room: Room = ENDLESS
) -> dict[str, Any]:
    """Return ``{status, reason: {code, text}, since, next_change_at, who}`` for a job.

    ``approvals`` are those of its plan; of a job that waits for one its ``approval_id`` is told too.
    ``room`` is what its workspace's caps leave, which is asked here as the claim asks it.
    """
    status = job.status
    since = job.finished_at or job.started_at or job.enqueued_at
    if status is JobStatus.HELD:
        return _held(job, approvals, since)
    if status is JobStatus.WAITING:
        return _waiting(job, plan_jobs)
    if status is JobStatus.SCHEDULED:
        return _scheduled(job, now, since)
    if status is JobStatus.PENDING and (rule := room.capped(job.action_id)) is not None:
        who = "an admin of the workspace: raise the cap"
        text = f"It is ready, but capped. {rule.sentence}"
        return _explanation(status, "capped", text, since=since, change=rule.until, who=who)
    (code, text), who = _SENTENCES[status], _WHO.get(status)
    if job.error is not None and status in {JobStatus.FAILED, JobStatus.UNKNOWN}:
        text, who = _UNTIL_THEN_IT_FAILS_AGAIN.get(job.error.code, (text, who))
        code, text = job.error.code, f"{job.error.detail} {text}"
    elif job.reason:
        text = job.reason
    change = job.lease_until if status is JobStatus.RUNNING else None
    taken_along = status is JobStatus.CANCELLED and (job.reason or "").startswith("It needs step ")
    failed = _failed_need(job, plan_jobs) if taken_along else None
    if failed is not None:
        who = f"anyone who may execute: retry step {failed}"
    return _explanation(status, code, text, since=since, change=change, who=who)


def _failed_need(job: Job, plan_jobs: Sequence[Job]) -> str | None:
    """Return the failed step whose retry would revive a cancelled job; None: it was not cancelled for one."""
    by_step, line = {other.step_id: other for other in plan_jobs}, list(job.depends_on)
    for step_id in line:  # which grows
        needed = by_step.get(step_id)
        if needed is not None and needed.status is JobStatus.FAILED:
            return step_id
        if needed is not None and needed.status is JobStatus.CANCELLED:
            line += [one for one in needed.depends_on if one not in line]
    return None


def _held(job: Job, approvals: Sequence[Approval], since: datetime) -> dict[str, Any]:
    drift = job.held_for is HeldFor.DRIFT
    asked = [one for one in approvals if one.status is ApprovalStatus.PENDING and one.job_id in {None, job.job_id}]
    if asked and not drift:
        return _awaiting(job.status, asked[0])
    code = "drifted" if drift else "awaiting_approval"
    who = "anyone who may execute: cancel it and make the plan again" if drift else "an approver"
    return _explanation(job.status, code, job.reason or "It waits for a person.", since=since, change=None, who=who)


def _scheduled(job: Job, now: datetime, since: datetime) -> dict[str, Any]:
    code, who = "not_yet_due", "the clock"
    error = "" if job.error is None else f" The last attempt said: {job.error.detail}"
    text = f"It waits for {'its next attempt' if job.attempts else 'its start'}.{error}"
    if job.error is not None and job.error.code == UNDO_WINDOW:
        code, text, who = job.error.code, job.error.detail, "the clock; anyone who may execute can cancel it before"
    if job.error is not None and job.error.code == "budget_exceeded":
        code, text, who = (
            job.error.code,
            job.error.detail,
            "the clock; a budget that an admin raises counts from then on",
        )
    change = max(job.not_before, now) if job.not_before else None
    return _explanation(job.status, code, text, since=since, change=change, who=who)


def _waiting(job: Job, plan_jobs: Sequence[Job]) -> dict[str, Any]:
    unmet = [
        other for other in plan_jobs if other.step_id in job.depends_on and other.status is not JobStatus.COMPLETED
    ]
    if not unmet:
        text, code = "The steps it needs are done; it is about to become ready.", "about_to_start"
    else:
        first = unmet[0]
        text, code = f"It needs step {first.step_id} ({first.action_id}), which is {first.status}.", "waiting_on_step"
    return _explanation(
        job.status, code, text, since=job.enqueued_at, change=None, who=f"step {unmet[0].step_id}" if unmet else None
    )


_PLAN_SENTENCES: Final[Mapping[PlanStatus, tuple[str, str, str | None]]] = {
    PlanStatus.DRAFT: ("not_executed", "Nobody has executed it yet.", "anyone who may execute"),
    PlanStatus.NEEDS_INPUT: ("needs_input", "It lacks something; answer its questions.", "whoever asked for it"),
    PlanStatus.AWAITING_APPROVAL: ("awaiting_approval", "It waits for an approval.", "an approver"),
    PlanStatus.COMPLETED: ("completed", "Every step is done.", None),
    PlanStatus.CANCELLED: ("cancelled", "It was cancelled.", None),
    PlanStatus.REJECTED: ("rejected", "Its approval was refused.", None),
    PlanStatus.EXPIRED: ("expired", "It was not executed, or not approved, in time.", None),
}


def explain_plan(
    plan: PlanRecord, jobs: Sequence[Job], now: datetime, approvals: Sequence[Approval] = (), *, room: Room = ENDLESS
) -> dict[str, Any]:
    """Return the same shape for a plan; what policy denies comes first, then the step that holds it up."""
    if (refused := _refused(plan)) is not None:
        text, rule = refused
        who = "an admin of the workspace" if rule.startswith(OWN_RULES) else "an operator"
        return _explanation(plan.status, "policy_denied", text, since=plan.created_at, change=plan.expires_at, who=who)
    if plan.status in {PlanStatus.RUNNING, PlanStatus.FAILED}:
        blocking = next((job for job in jobs if job.status is _worst(jobs)), None)
        if blocking is not None:
            inner = explain_job(blocking, jobs, now, approvals, room=room)
            inner["reason"]["text"] = f"Step {blocking.step_id}: {inner['reason']['text']}"
            return {**inner, "status": plan.status, "step": blocking.step_id}
    own = [one for one in approvals if one.approval_id == plan.approval_id]
    if own and plan.status is PlanStatus.AWAITING_APPROVAL:
        return _awaiting(plan.status, own[0])
    code, text, who = _PLAN_SENTENCES.get(plan.status, (str(plan.status), "It is under way.", None))
    change = plan.expires_at if plan.status in {PlanStatus.DRAFT, PlanStatus.NEEDS_INPUT} else None
    return _explanation(plan.status, code, text, since=plan.finished_at or plan.created_at, change=change, who=who)


def _refused(plan: PlanRecord) -> tuple[str, str] | None:
    """Return why policy keeps a plan from being executed and by which rule: a step of it, or what it was asked for."""
    denied = [step for step in plan.document["steps"] if step["decision"]["effect"] == "deny"]
    if denied and plan.status is PlanStatus.DRAFT:
        decision = denied[0]["decision"]
        return f"Step {denied[0]['id']} ({denied[0]['action_id']}) is denied: {decision['reason']}", decision["rule"]
    not_offered = plan.document["meta"].get("denied")
    if not_offered and plan.status is PlanStatus.NEEDS_INPUT:
        return plan.document["explanation"], not_offered[0]["rule"]
    return None


_BY_WEIGHT: Final = (
    *(JobStatus.UNKNOWN, JobStatus.FAILED, JobStatus.HELD, JobStatus.SCHEDULED),
    *(JobStatus.RUNNING, JobStatus.PENDING, JobStatus.WAITING),
)


def _worst(jobs: Sequence[Job]) -> JobStatus | None:
    """Return the state that most explains why a plan is not done."""
    present = {job.status for job in jobs}
    return next((status for status in _BY_WEIGHT if status in present), None)
