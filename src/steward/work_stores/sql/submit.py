"""Drafts and submissions: the one operation that puts plan, jobs, idempotency, approval and events in place."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic_core import from_json

from steward.clock import milliseconds
from steward.errors import (
    ApprovalMismatch,
    IdempotencyKeyReused,
    IdempotencyMixed,
    IllegalTransition,
    PlanExpired,
    StewardError,
)
from steward.event import EventType
from steward.identity import Principal
from steward.job import HeldFor, JobStatus, NewJob, dependents_among
from steward.plan import PlanRecord, PlanStatus
from steward.work_store import MAX_DRAFTS, IdempotencyClaim, Submission, Submitted
from steward.work_stores.sql import statements
from steward.work_stores.sql.rows import (
    AS_NEW,
    NO_TEXTS,
    JobRow,
    PlanRow,
    approval_row,
    encode,
    encode_object,
    encode_texts,
    load,
    plan_row,
)
from steward.work_stores.sql.transaction import Work

POSITIONS_PER_STEP: Final = 1_000
"""Room for the children of an expanded step between it and the next."""


def find_plan(work: Work, workspace_id: str, plan_id: str) -> PlanRow | None:
    """Return one plan of a workspace."""
    found = work.sql.first(statements.PLANS, {"w": workspace_id, "ids": encode([plan_id])})
    return None if found is None else load(PlanRow, found)


def draft(work: Work, principal: Principal, plan: PlanRecord) -> None:
    """Keep a plan nobody has executed; the oldest beyond the allowance expire."""
    row = plan_row(plan, status=plan.status)
    row.workspace_id = principal.workspace_id
    work.sql.run_for_each(statements.ADD_PLAN, [row])
    work.put_plans.append((row.workspace_id, plan))
    work.note(
        EventType.PLAN_DRAFTED,
        principal.workspace_id,
        plan.plan_id,
        None,
        principal.actor_id,
        {"status": plan.status, "request_id": plan.request_id},
    )
    excess = work.sql.all(statements.EXCESS_DRAFTS, {"w": principal.workspace_id, "keep": MAX_DRAFTS})
    for old in excess:
        work.set_plan_status(old.plan_id, old.workspace_id, PlanStatus.EXPIRED)


@dataclass(frozen=True, slots=True)
class Asked:
    """A submission, by whom, and in which request."""

    principal: Principal
    submission: Submission
    request_id: str | None


def may_be_new(asked: Sequence[Asked]) -> bool:
    """Say whether submissions could be put in place without a look at what is there: none is a draft's or waits for a person."""
    alone = all(each.submission.jobs and each.submission.approval is None for each in asked)
    return alone and len(list(_strangers(asked))) == 1


def submit_new(work: Work, asked: Sequence[Asked]) -> Callable[[], list[Submitted] | None]:
    """Put submissions of one workspace in place in one statement that nobody waits for.

    What is returned tells, once that is committed, what they came to; None: something of them is known already, or the
    workspace is, so nothing was done.
    """
    places = []
    for each in asked:
        work.request_id = each.request_id
        places.append(_put(work, each.principal, each.submission, draft=False))
    workspace_id = asked[0].principal.workspace_id
    done = work.put_new(workspace_id)
    return lambda: [replace(place, queue_depth=work.depths[workspace_id]) for place in places] if done() else None


def submit_all(work: Work, asked: Sequence[Asked]) -> list[Submitted | StewardError]:
    """Put submissions of one workspace in place, together; each is answered, or refused, as if it had come alone."""
    answers: list[Submitted | StewardError] = []
    for group in _strangers(asked):
        known = _Known(work, group)
        places = [_put_or_refuse(work, each, known) for each in group]
        work.flush()
        depth = work.depths.get(group[0].principal.workspace_id, 0)
        answers += [_with_depth(each, depth) for each in places]
    return answers


def _with_depth(answer: Submitted | StewardError, depth: int) -> Submitted | StewardError:
    """Return the answer about a new submission with the depth that is known once all are written."""
    return replace(answer, queue_depth=depth) if isinstance(answer, Submitted) and not answer.duplicate else answer


def _strangers(asked: Sequence[Asked]) -> Iterator[list[Asked]]:
    """Yield them in their order, in groups in which none can be another's duplicate."""
    group: list[Asked] = []
    seen: set[tuple[str, str]] = set()
    for each in asked:
        names = {("plan", each.submission.plan.plan_id)}
        names |= {(claim.namespace, claim.key) for claim in each.submission.idempotency}
        if names & seen:
            yield group
            group, seen = [], set()
        group.append(each)
        seen |= names
    yield group


class _Known:
    """What is there already of some submissions of one workspace."""

    def __init__(self, work: Work, asked: Sequence[Asked]) -> None:
        workspace_id = asked[0].principal.workspace_id
        ids = encode([each.submission.plan.plan_id for each in asked])
        found = work.sql.ask(statements.PLANS, {"w": workspace_id, "ids": ids})
        self.names = _known_names(
            work, workspace_id, [claim for each in asked for claim in each.submission.idempotency]
        )
        self.plans = {row.plan_id: load(PlanRow, row) for row in found()}


def _put_or_refuse(work: Work, asked: Asked, known: _Known) -> Submitted | StewardError:
    """Leave a submission to be written, or return why not; a refusal comes before anything is changed."""
    principal, submission = asked.principal, asked.submission
    try:
        answer = _original(work, principal, submission.idempotency, known.names, jobs=len(submission.jobs))
        if answer is not None:
            return answer
        existing = known.plans.get(submission.plan.plan_id)
        earlier = None if existing is None else _earlier(work, existing, submission.plan)
    except StewardError as refusal:
        return refusal
    if earlier is not None:
        _remember(work, principal.workspace_id, submission.idempotency, earlier.plan_id, earlier.job_ids)
        return earlier
    work.request_id = asked.request_id
    return _put(work, principal, submission, draft=existing is not None)


def _put(work: Work, principal: Principal, submission: Submission, *, draft: bool) -> Submitted:
    plan, workspace_id = submission.plan, principal.workspace_id
    status = PlanStatus.RUNNING if submission.approval is None else PlanStatus.AWAITING_APPROVAL
    approval_id = None if submission.approval is None else submission.approval.approval_id
    job_ids = tuple(job.job_id for job in submission.jobs)
    if draft:
        values = {"key": plan.plan_id, "new_status": status, "approval": approval_id}
        work.begin_plan({**values, "jobs": encode(job_ids), "open": len(job_ids)})
    else:
        row = plan_row(plan, status=status)
        row.workspace_id, row.approval_id, row.expires_at = workspace_id, approval_id, None
        row.job_ids, row.open_jobs = encode(job_ids), len(job_ids)
        work.add_plan(row, plan)
    _put_jobs(work, principal, submission)
    _remember(work, workspace_id, submission.idempotency, plan.plan_id, job_ids)
    facts = {
        "status": status,
        "jobs": len(job_ids),
        "actions": [job.action_id for job in submission.jobs],
        "request_id": plan.request_id,
    }
    work.note(EventType.PLAN_SUBMITTED, workspace_id, plan.plan_id, None, principal.actor_id, facts)
    if submission.approval is not None:
        _ask(work, principal, submission)
    return Submitted(
        plan_id=plan.plan_id,
        status=status,
        job_ids=job_ids,
        duplicate=False,
        approval_id=approval_id,
        queue_depth=0,
    )


def _ask(work: Work, principal: Principal, submission: Submission) -> None:
    approval = submission.approval
    assert approval is not None
    row = approval_row(approval)
    row.workspace_id, row.requested_by = principal.workspace_id, principal.actor_id
    work.sql.run_for_each(statements.ADD_APPROVAL, [row])
    work.note(
        EventType.APPROVAL_REQUESTED,
        principal.workspace_id,
        approval.plan_id,
        None,
        principal.actor_id,
        row.facts(),
    )


def find(work: Work, principal: Principal, claims: Sequence[IdempotencyClaim]) -> Submitted | None:
    """Return the original of a request whose names are all known; refuse reused and mixed ones."""
    return _original(work, principal, claims, _known_names(work, principal.workspace_id, claims))


def _known_names(work: Work, workspace_id: str, claims: Sequence[IdempotencyClaim]) -> dict[tuple[str, str], Any]:
    if not claims:
        return {}
    names = {"w": workspace_id, "keys": encode([claim.key for claim in claims])}
    return {(row.namespace, row.key): row for row in work.sql.all(statements.CLAIMED, names)}


def _original(
    work: Work,
    principal: Principal,
    claims: Sequence[IdempotencyClaim],
    known: Mapping[tuple[str, str], Any],
    *,
    jobs: int | None = None,
) -> Submitted | None:
    """Return the original of a request by the names that are ``known``.

    ``jobs``: how many actions the request has; one without a name of its own counts as new.
    """
    for claim in claims:
        row = known.get((claim.namespace, claim.key))
        if row is not None and row.payload_digest not in claim.payload_digests:
            raise IdempotencyKeyReused(facts={"key": claim.key})
    request = next((claim for claim in claims if claim.namespace == "request"), None)
    if request is not None and ("request", request.key) in known:
        return _duplicate(work, principal.workspace_id, known["request", request.key].plan_id, None)
    named = [claim for claim in claims if claim.namespace == "action"]
    answered = [known[claim.namespace, claim.key] for claim in named if (claim.namespace, claim.key) in known]
    if not answered:
        return None
    if len(answered) != (len(named) if jobs is None else jobs):
        raise IdempotencyMixed
    job_ids = tuple(known["action", claim.key].job_id for claim in sorted(named, key=lambda claim: claim.step_index))
    return _duplicate(work, principal.workspace_id, answered[0].plan_id, job_ids)


def _duplicate(work: Work, workspace_id: str, plan_id: str, job_ids: tuple[str, ...] | None) -> Submitted:
    plan = find_plan(work, workspace_id, plan_id)
    assert plan is not None, "an idempotency record lives as long as its plan"
    queue = work.sql.first(statements.QUEUE, {"w": workspace_id})
    return Submitted(
        plan_id=plan_id,
        status=PlanStatus(plan.status),
        job_ids=job_ids or tuple(from_json(plan.job_ids)),
        duplicate=True,
        approval_id=plan.approval_id,
        queue_depth=0 if queue is None else queue.depth,
    )


def _earlier(work: Work, existing: PlanRow, plan: PlanRecord) -> Submitted | None:
    """Return the original if this plan was executed before; None if it is a live draft that can be taken over."""
    status = PlanStatus(existing.status)
    if from_json(existing.job_ids):
        return _duplicate(work, existing.workspace_id, existing.plan_id, None)
    overdue = existing.expires_at is not None and existing.expires_at <= work.now
    if status is PlanStatus.EXPIRED or (status is PlanStatus.DRAFT and overdue):
        raise PlanExpired
    if status is not PlanStatus.DRAFT:
        raise IllegalTransition(f"A plan that is {status} cannot be executed.")
    if existing.digest != plan.digest:
        raise ApprovalMismatch
    return None


def _remember(
    work: Work,
    workspace_id: str,
    claims: tuple[IdempotencyClaim, ...],
    plan_id: str,
    job_ids: tuple[str, ...],
) -> None:
    for claim in claims:
        work.remember(
            {
                "workspace_id": workspace_id,
                "namespace": claim.namespace,
                "key": claim.key,
                "payload_digest": claim.payload_digests[0],
                "plan_id": plan_id,
                "job_id": job_ids[claim.step_index] if claim.namespace == "action" else None,
            }
        )


def _put_jobs(work: Work, principal: Principal, submission: Submission) -> None:
    needed_by = dependents_among(submission.jobs)
    for position, job in enumerate(submission.jobs):
        row = new_job_row(
            job,
            workspace_id=principal.workspace_id,
            plan_id=submission.plan.plan_id,
            actor_id=principal.actor_id,
            position=position * POSITIONS_PER_STEP,
            status=first_status(job, work.now, held=submission.approval is not None),
            now=work.now,
            request_id=submission.plan.request_id,
        )
        row.dependents = encode_texts(needed_by[job.step_id])
        if submission.approval is not None:
            row.held_for, row.reason = HeldFor.APPROVAL, submission.approval.reason
        work.add(row)


def first_status(job: NewJob, now: int, *, held: bool = False) -> JobStatus:
    """Return the state in which a new job begins."""
    if held:
        return JobStatus.HELD
    if job.depends_on:
        return JobStatus.WAITING
    if job.not_before is not None and milliseconds(job.not_before) > now:
        return JobStatus.SCHEDULED
    return JobStatus.PENDING


def new_job_row(
    job: NewJob,
    *,
    workspace_id: str,
    plan_id: str,
    actor_id: str,
    position: int,
    status: JobStatus,
    now: int,
    request_id: str,
) -> JobRow:
    """Return the row for a new job."""
    return JobRow(
        job_id=job.job_id,
        workspace_id=workspace_id,
        plan_id=plan_id,
        step_id=job.step_id,
        position=position,
        action_id=job.action_id,
        actor_id=actor_id,
        status=status.value,
        held_for=None,
        definition_hash=job.definition_hash,
        digest=job.digest,
        params_sealed=job.params_sealed,
        depends_on=encode_texts(job.depends_on),
        dependents=NO_TEXTS,
        waiting_on=len(job.depends_on),
        effect=job.effect.value,
        retry=job.retry.value,
        effect_key=job.job_id,
        max_attempts=job.max_attempts,
        attempt_budget=job.max_attempts,
        key_valid_ms=round(job.key_valid_s * 1000),
        not_before=None if job.not_before is None else milliseconds(job.not_before),
        enqueued_at=now,
        reason=None,
        labels=encode_object(job.labels),
        authored_after=encode_texts(job.authored_after),
        parent_step_id=job.parent_step_id,
        request_id=request_id,
        **AS_NEW,
    )
