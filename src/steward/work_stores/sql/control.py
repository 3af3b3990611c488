"""What people do to work: decide approvals, cancel, retry, resolve. Each acts inside one workspace."""

from steward.approval import Approval, ApprovalStatus, Verdict, role_suffices
from steward.errors import (
    AnotherPersonRequired,
    ApprovalMismatch,
    ApproverRoleRequired,
    IllegalTransition,
    NotFound,
)
from steward.event import EventType
from steward.identity import Principal
from steward.job import Job, JobStatus
from steward.plan import PlanRecord, PlanStatus
from steward.redaction import redact_text
from steward.work_stores.sql import statements
from steward.work_stores.sql.rows import ApprovalRow, JobRow, PlanRow, load, shown_job, to_approval, to_job, to_plan
from steward.work_stores.sql.submit import find_plan
from steward.work_stores.sql.transaction import Work
from steward.work_stores.sql.transitions import cancel, drop_dependents, open_to_cancel, resolve, retry, start


def _plan(work: Work, principal: Principal, plan_id: str) -> PlanRow:
    row = find_plan(work, principal.workspace_id, plan_id)
    if row is None:
        raise NotFound
    return row


def _job(work: Work, principal: Principal, job_id: str) -> JobRow:
    row = work.job(principal.workspace_id, job_id)
    if row is None:
        raise NotFound
    return row


def close_approval(
    work: Work, row: ApprovalRow, status: ApprovalStatus, *, actor: str | None, comment: str | None = None
) -> None:
    """Make an approval final and note it."""
    row.status, row.decided_by, row.comment = status, actor, comment
    row.decided_at = work.now
    work.sql.run(
        statements.SAVE_APPROVAL,
        {"key": row.approval_id, "new_status": status, "by": actor, "at": work.now, "comment": comment},
    )
    event = EventType.APPROVAL_EXPIRED if status is ApprovalStatus.EXPIRED else EventType.APPROVAL_DECIDED
    facts = {**row.facts(), "status": status, "decided_by": actor, "comment": comment}
    work.note(event, row.workspace_id, row.plan_id, row.job_id, actor, facts)


def held_jobs(work: Work, row: ApprovalRow) -> list[JobRow]:
    """Return the jobs that wait for this approval."""
    if row.job_id is not None:
        job = work.job(row.workspace_id, row.job_id)
        jobs = [] if job is None else [job]
    else:
        jobs = work.plan_jobs(row.workspace_id, row.plan_id)
    return [job for job in jobs if job.status == JobStatus.HELD]


def turn_down(work: Work, row: ApprovalRow, reason: str, *, actor: str | None, plan_ends_as: PlanStatus) -> None:
    """Cancel what waited for an approval that was not given."""
    if row.job_id is None:
        work.plan_ends_as(row.plan_id, plan_ends_as)
    for job in held_jobs(work, row):
        if job.status == JobStatus.HELD:  # an earlier one may have taken it along
            job.reason, job.params_sealed = reason, None
            work.move(job, JobStatus.CANCELLED, EventType.JOB_CANCELLED, actor=actor)
            if row.job_id is not None:
                drop_dependents(work, job, JobStatus.CANCELLED)


def decide_approval(  # noqa: PLR0917 - the contract's verb
    work: Work,
    principal: Principal,
    approval_id: str,
    digest: str,
    verdict: Verdict,
    comment: str | None,
    *,
    same_person: frozenset[str] = frozenset(),
) -> Approval:
    """Record a decision and act on it."""
    found = work.sql.first(statements.APPROVAL, {"w": principal.workspace_id, "approval_id": approval_id})
    if found is None:
        raise NotFound
    row = load(ApprovalRow, found)
    if row.digest != digest:
        raise ApprovalMismatch
    said = ApprovalStatus.APPROVED if verdict is Verdict.APPROVE else ApprovalStatus.REJECTED
    if (row.status, row.decided_by) == (said, principal.actor_id):
        return to_approval(row)  # the answer was lost: it is given again
    if row.status != ApprovalStatus.PENDING or row.expires_at <= work.now:
        state = row.status if row.status != ApprovalStatus.PENDING else ApprovalStatus.EXPIRED
        raise IllegalTransition(f"This approval is {state}; it can no longer be decided.")
    if verdict is Verdict.APPROVE:
        _refuse_approver(work, row, principal, same_person)
    close_approval(work, row, said, actor=principal.actor_id, comment=None if comment is None else redact_text(comment))
    if verdict is Verdict.APPROVE:
        if row.job_id is None:
            work.sql.run(
                statements.SET_PLAN_STATUS,
                {"key": row.plan_id, "new_status": PlanStatus.RUNNING, "finished": None, "keep_body": True},
            )
        for job in held_jobs(work, row):
            start(work, job, actor=principal.actor_id)
    else:
        turn_down(work, row, "Its approval was refused.", actor=principal.actor_id, plan_ends_as=PlanStatus.REJECTED)
    return to_approval(row)


def _refuse_approver(work: Work, row: ApprovalRow, principal: Principal, same_person: frozenset[str]) -> None:
    """Raise if this person may not be the one who approves."""
    if row.another_person:
        plan = find_plan(work, row.workspace_id, row.plan_id)
        if {principal.actor_id, *same_person} & {row.requested_by, None if plan is None else plan.actor_id}:
            raise AnotherPersonRequired
    role = to_approval(row).approver_role
    if not role_suffices(principal.roles, role):
        raise ApproverRoleRequired(f"Approving this takes the role '{role}'.", facts={"role": role})


def _withdraw_approvals(work: Work, plan_id: str, job_id: str | None, actor: str) -> None:
    """Take back requests for decisions that no longer matter: of one job, or of a whole plan."""
    found = work.sql.all(statements.PENDING_APPROVALS_OF_PLAN, {"plan_id": plan_id})
    for item in found:
        row = load(ApprovalRow, item)
        if job_id is None or row.job_id == job_id:
            close_approval(work, row, ApprovalStatus.CANCELLED, actor=actor)


def cancel_job(work: Work, principal: Principal, job_id: str) -> Job:
    """Cancel one job."""
    row = _job(work, principal, job_id)
    was_held = row.status == JobStatus.HELD
    cancel(work, row, principal.actor_id, "It was cancelled.")
    if was_held:
        _withdraw_approvals(work, row.plan_id, row.job_id, principal.actor_id)
        left = [job for job in work.plan_jobs(row.workspace_id, row.plan_id) if job.status == JobStatus.HELD]
        if not left:
            _withdraw_approvals(work, row.plan_id, None, principal.actor_id)
    return to_job(row)


def cancel_plan(work: Work, principal: Principal, plan_id: str) -> PlanRecord:
    """Cancel what has not started and ask the rest to stop."""
    plan = _plan(work, principal, plan_id)
    shown = to_plan(plan, work.now).status
    if shown is PlanStatus.DRAFT or shown is PlanStatus.NEEDS_INPUT:
        work.set_plan_status(plan_id, plan.workspace_id, PlanStatus.CANCELLED, actor=principal.actor_id)
    elif shown in {PlanStatus.RUNNING, PlanStatus.AWAITING_APPROVAL}:
        _withdraw_approvals(work, plan_id, None, principal.actor_id)
        for row in work.plan_jobs(plan.workspace_id, plan_id):
            if open_to_cancel(row):
                cancel(work, row, principal.actor_id, "Its plan was cancelled.")
    else:
        raise IllegalTransition(f"A plan that is {shown} cannot be cancelled.")
    work.flush()
    return to_plan(_plan(work, principal, plan_id), work.now)


def retry_job(work: Work, principal: Principal, job_id: str) -> Job:
    """Try a failed job again."""
    row = _job(work, principal, job_id)
    retry(work, row, _plan(work, principal, row.plan_id), principal.actor_id)
    return to_job(row)


def resolve_job(work: Work, principal: Principal, job_id: str, *, completed: bool, note: str) -> Job:
    """Settle an unknown outcome by hand."""
    row = _job(work, principal, job_id)
    resolve(work, row, completed=completed, note=note, actor=principal.actor_id)
    return shown_job(row)
