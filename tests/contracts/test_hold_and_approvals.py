"""hold and decide_approval: what a person must look at first, and what their word does."""

from dataclasses import replace

import pytest

from steward.approval import ApprovalStatus, Verdict
from steward.errors import (
    AnotherPersonRequired,
    ApprovalMismatch,
    ApproverRoleRequired,
    IllegalTransition,
    NotFound,
)
from steward.event import EventType
from steward.identity import Role
from steward.job import LEASE_S, Expanded, HeldFor, JobStatus
from steward.plan import PlanStatus
from steward.work_store import APPROVAL_S, Granted, Lease, Refused, Submitted
from tests.contracts.backends import Backend
from tests.contracts.builders import ALPHA, COLLEAGUE, World

pytestmark = pytest.mark.anyio

S = JobStatus
DIGEST = "c" * 64


async def _asking(world: World) -> tuple[Submitted, str]:
    """Submit a plan of three steps that needs a yes: ready, dependent, scheduled."""
    submitted = await world.submit(
        world.job("s1"), world.job("s2", "s1"), world.job("s3", not_before=world.at(60)), approved=False
    )
    assert submitted.approval_id
    return submitted, submitted.approval_id


async def _held(world: World, submitted: Submitted, index: int = 0) -> tuple[Lease, str]:
    """Claim a step and hold it for a person."""
    lease = await world.start(submitted.job_ids[index])
    approval = world.approval(submitted.plan_id, lease.job.job_id)
    answer = await world.dispatcher.hold(lease.ref, HeldFor.APPROVAL, "The address came from a page.", approval)
    assert isinstance(answer, Granted)
    return lease, approval.approval_id


async def test_a_yes_releases_what_it_held(world: World) -> None:
    """Approved: the jobs become what they would have been after a submit, and the plan runs."""
    submitted, approval_id = await _asking(world)
    world.clock.advance(1)
    decided = await world.engine.open(COLLEAGUE).decide_approval(approval_id, DIGEST, Verdict.APPROVE, "go on")
    assert await world.statuses(submitted) == [S.PENDING, S.WAITING, S.SCHEDULED]
    assert {job.held_for for job in await world.alpha.plan_jobs(submitted.plan_id)} == {None}
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.RUNNING
    assert await world.approval_of(approval_id) == decided
    assert (decided.status, decided.comment) == (ApprovalStatus.APPROVED, "go on")
    assert (decided.decided_by, decided.decided_at) == (COLLEAGUE.actor_id, world.clock.now())
    assert await world.alpha.queue_depth() == 1
    decisions = [event for event in await world.log() if event.type is EventType.APPROVAL_DECIDED]
    assert [event.actor_id for event in decisions] == [COLLEAGUE.actor_id]


async def test_a_start_time_that_passed_meanwhile_is_now(world: World) -> None:
    """A job whose time came while it was held is ready as soon as it is approved."""
    submitted, approval_id = await _asking(world)
    world.clock.advance(61)
    await world.alpha.decide_approval(approval_id, DIGEST, Verdict.APPROVE, None)
    assert await world.statuses(submitted) == [S.PENDING, S.WAITING, S.PENDING]


async def test_a_no_cancels_what_it_held(world: World, backend: Backend) -> None:
    """Rejected: the jobs are cancelled with a reason, the plan is rejected, and nothing sealed is kept."""
    submitted, approval_id = await _asking(world)
    decided = await world.alpha.decide_approval(approval_id, DIGEST, Verdict.REJECT, "not like this")
    assert decided.status is ApprovalStatus.REJECTED
    jobs = await world.alpha.plan_jobs(submitted.plan_id)
    assert [job.status for job in jobs] == [S.CANCELLED] * 3
    assert all(job.reason for job in jobs)
    plan = await world.plan_of(submitted.plan_id)
    assert (plan.status, plan.finished_at, plan.body_sealed) == (PlanStatus.REJECTED, world.clock.now(), None)
    assert await world.kinds(submitted.plan_id) == [EventType.PLAN_SUBMITTED, EventType.PLAN_REJECTED]
    assert await world.claim() == ()
    assert not any(backend.holds(f"params of {job_id}") for job_id in submitted.job_ids)


@pytest.mark.parametrize("verdict", Verdict)
async def test_a_word_about_something_else_does_not_count(world: World, verdict: Verdict) -> None:
    """Another digest raises ApprovalMismatch and nothing changes."""
    _, approval_id = await _asking(world)
    before = await world.visible()
    for digest in ("d" * 64, "", DIGEST.upper(), DIGEST[:-1]):
        with pytest.raises(ApprovalMismatch):
            await world.alpha.decide_approval(approval_id, digest, verdict, None)
    assert await world.visible() == before


@pytest.mark.parametrize("first", Verdict)
@pytest.mark.parametrize("second", Verdict)
async def test_a_decision_is_made_once(world: World, first: Verdict, second: Verdict) -> None:
    """A second person's decision, and another decision of the same person, raise IllegalTransition."""
    _, approval_id = await _asking(world)
    await world.alpha.decide_approval(approval_id, DIGEST, first, None)
    before = await world.visible()
    for who in (ALPHA, COLLEAGUE):
        if (who, first) == (ALPHA, second):
            continue
        with pytest.raises(IllegalTransition):
            await world.engine.open(who).decide_approval(approval_id, DIGEST, second, None)
    assert await world.visible() == before


@pytest.mark.parametrize("verdict", Verdict)
async def test_a_lost_answer_is_given_again(world: World, verdict: Verdict) -> None:
    """The same decision by the same person answers as the first time, also much later, and changes nothing.

    The comment is the first one; another digest is still refused.
    """
    _, approval_id = await _asking(world)
    first = await world.alpha.decide_approval(approval_id, DIGEST, verdict, "seen")
    before = await world.visible()
    world.clock.advance(APPROVAL_S + 1)
    assert await world.alpha.decide_approval(approval_id, DIGEST, verdict, "seen again") == first
    with pytest.raises(ApprovalMismatch):
        await world.alpha.decide_approval(approval_id, "d" * 64, verdict, "seen")
    assert await world.visible() == before


async def test_another_person_has_to_approve_where_the_rule_says_so(world: World) -> None:
    """Neither who executed the plan nor who made it may approve; both may reject, and anybody else may approve."""
    for maker in (ALPHA, COLLEAGUE):
        plan = world.plan(actor_id=maker.actor_id)
        await world.alpha.draft(plan)
        approval = world.approval(plan.plan_id, another_person=True, requested_by="somebody-else")
        await world.alpha.submit(replace(world.submission(plan=plan), approval=approval))
        assert (await world.approval_of(approval.approval_id)).requested_by == ALPHA.actor_id
        before = await world.visible()
        for who in (ALPHA, maker):
            with pytest.raises(AnotherPersonRequired):
                await world.engine.open(who).decide_approval(approval.approval_id, DIGEST, Verdict.APPROVE, None)
        with pytest.raises(AnotherPersonRequired):
            await world.engine.open(COLLEAGUE).decide_approval(
                approval.approval_id, DIGEST, Verdict.APPROVE, None, same_person=frozenset({"else", maker.actor_id})
            )
        assert await world.visible() == before
        if maker is COLLEAGUE:
            rejected = await world.alpha.decide_approval(approval.approval_id, DIGEST, Verdict.REJECT, None)
            assert rejected.status is ApprovalStatus.REJECTED
        else:
            approved = await world.engine.open(COLLEAGUE).decide_approval(
                approval.approval_id, DIGEST, Verdict.APPROVE, None
            )
            assert approved.status is ApprovalStatus.APPROVED


async def test_another_person_than_the_jobs_own_approves_a_held_step(world: World) -> None:
    """Whoever the job runs for may not approve it, whatever the request says about who asked."""
    submitted = await world.submit()
    lease = await world.start(submitted.job_ids[0])
    approval = world.approval(submitted.plan_id, lease.job.job_id, another_person=True, requested_by=COLLEAGUE.actor_id)
    await world.dispatcher.hold(lease.ref, HeldFor.APPROVAL, "look", approval)
    with pytest.raises(AnotherPersonRequired):
        await world.alpha.decide_approval(approval.approval_id, DIGEST, Verdict.APPROVE, None)
    await world.engine.open(COLLEAGUE).decide_approval(approval.approval_id, DIGEST, Verdict.APPROVE, None)
    assert await world.statuses(submitted) == [S.PENDING]


@pytest.mark.parametrize(
    ("role", "needed", "may"),
    [
        (Role.APPROVER, None, True),
        (Role.APPROVER, Role.APPROVER, True),
        (Role.APPROVER, Role.AUDITOR, False),
        (Role.APPROVER, Role.ADMIN, False),
        (Role.ADMIN, Role.AUDITOR, True),
        (Role.ADMIN, Role.OPERATOR, False),
    ],
)
async def test_an_approver_needs_the_role_that_the_rule_names(
    world: World, role: Role, needed: Role | None, may: bool
) -> None:
    """Approving takes the role, and an admin has every role of the workspace; rejecting takes none."""
    submission = world.submission()
    approval = world.approval(submission.plan.plan_id, approver_role=needed)
    await world.alpha.submit(replace(submission, approval=approval))
    store = world.engine.open(replace(COLLEAGUE, roles=frozenset({role})))
    before = await world.visible()
    if not may:
        with pytest.raises(ApproverRoleRequired):
            await store.decide_approval(approval.approval_id, DIGEST, Verdict.APPROVE, None)
        assert await world.visible() == before
    verdict = Verdict.APPROVE if may else Verdict.REJECT
    assert (await store.decide_approval(approval.approval_id, DIGEST, verdict, None)).decided_by == COLLEAGUE.actor_id


async def test_events_tell_who_decided_what_and_why(world: World) -> None:
    """Asked, decided and expired: each names the approval, its rule and its digest; a comment is redacted everywhere."""
    _, approval_id = await _asking(world)
    await world.alpha.decide_approval(approval_id, DIGEST, Verdict.APPROVE, "fine, password=hunter2")
    await _asking(world)
    world.clock.advance(APPROVAL_S + 1)
    await world.dispatcher.sweep()
    told = [event for event in await world.log() if event.type.startswith("approval.")]
    assert [event.type for event in told] == [
        *(EventType.APPROVAL_REQUESTED, EventType.APPROVAL_DECIDED),
        *(EventType.APPROVAL_REQUESTED, EventType.APPROVAL_EXPIRED),
    ]
    for event in told:
        assert (event.data["rule"], event.data["digest"]) == ("external-mail", DIGEST)
    decided = told[1]
    assert decided.data["approval_id"] == approval_id
    assert (decided.actor_id, decided.data["decided_by"]) == (ALPHA.actor_id, ALPHA.actor_id)
    assert decided.data["comment"].startswith("fine, ")
    assert told[3].data["decided_by"] is None
    comment = (await world.approval_of(approval_id)).comment
    assert "hunter2" not in f"{comment} {await world.log()}"


async def test_an_approval_past_its_time_cannot_be_decided(world: World) -> None:
    """Past expires_at a decision raises IllegalTransition, before and after the sweep."""
    submitted, approval_id = await _asking(world)
    world.clock.advance(APPROVAL_S + 1)
    for _ in range(2):
        with pytest.raises(IllegalTransition):
            await world.alpha.decide_approval(approval_id, DIGEST, Verdict.APPROVE, None)
        assert (await world.dispatcher.sweep()).leases_lost == 0
    assert await world.statuses(submitted) == [S.CANCELLED] * 3


async def test_the_sweep_expires_approvals(world: World) -> None:
    """A sweep expires what nobody decided in time: approval and plan expired, held jobs cancelled, said once."""
    submitted, approval_id = await _asking(world)
    world.clock.advance(APPROVAL_S - 1)
    assert (await world.dispatcher.sweep()).approvals_expired == 0
    world.clock.advance(2)
    assert (await world.dispatcher.sweep()).approvals_expired == 1
    assert (await world.dispatcher.sweep()).approvals_expired == 0
    assert (await world.approval_of(approval_id)).status is ApprovalStatus.EXPIRED
    assert await world.statuses(submitted) == [S.CANCELLED] * 3
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.EXPIRED
    assert await world.kinds(submitted.plan_id) == [EventType.PLAN_SUBMITTED, EventType.PLAN_EXPIRED]
    assert EventType.APPROVAL_EXPIRED in [event.type for event in await world.log()]


async def test_the_inbox_lists_what_is_pending(world: World) -> None:
    """list_approvals gives the pending ones, newest first, and goes on after one of them."""
    ids = []
    for _ in range(5):
        world.clock.advance(1)
        ids.append((await _asking(world))[1])
    await world.alpha.decide_approval(ids[1], DIGEST, Verdict.APPROVE, None)
    await world.alpha.decide_approval(ids[3], DIGEST, Verdict.REJECT, None)
    first = await world.alpha.list_approvals(limit=2)
    assert ([approval.approval_id for approval in first.approvals], first.next_after) == ([ids[4], ids[2]], ids[2])
    rest = await world.alpha.list_approvals(limit=2, after=first.next_after)
    assert ([approval.approval_id for approval in rest.approvals], rest.next_after) == ([ids[0]], None)
    assert (await world.alpha.list_approvals(limit=3)).next_after is None
    for status, decided in ((ApprovalStatus.APPROVED, ids[1]), (ApprovalStatus.REJECTED, ids[3])):
        page = await world.alpha.list_approvals(limit=9, status=status)
        assert [approval.approval_id for approval in page.approvals] == [decided]
    assert (await world.beta.list_approvals(limit=10)).approvals == ()


async def test_an_approval_is_kept_as_given(world: World) -> None:
    """Every field of the request for approval is read back, by its own id and by its plan's."""
    given = world.submission()
    approval = world.approval(given.plan.plan_id, another_person=True, approver_role=Role.APPROVER)
    await world.alpha.submit(replace(given, approval=approval))
    assert await world.alpha.get_approval(approval.approval_id) == approval
    assert await world.alpha.plan_approvals(given.plan.plan_id) == (approval,)


async def test_a_running_step_can_be_held_for_a_person(world: World) -> None:
    """Held: off the floor, the attempt does not count, the request is in the inbox, independent steps go on."""
    submitted = await world.submit(world.job("s1"), world.job("s2", "s1"), world.job("s3"))
    lease, approval_id = await _held(world, submitted)
    job = await world.job_of(submitted.job_ids[0])
    assert (job.status, job.held_for, job.reason) == (S.HELD, HeldFor.APPROVAL, "The address came from a page.")
    assert (job.attempts, job.first_dispatched_at) == (0, None)
    assert job.fence == lease.job.fence
    assert (await world.kinds(job.job_id)).count(EventType.JOB_HELD) == 1
    inbox = (await world.alpha.list_approvals(limit=9)).approvals
    assert [approval.approval_id for approval in inbox] == [approval_id]
    assert (await world.approval_of(approval_id)).job_id == job.job_id
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.RUNNING
    await world.run(submitted.job_ids[2])
    assert await world.statuses(submitted) == [S.HELD, S.WAITING, S.COMPLETED]


async def test_a_held_job_is_safe_from_its_former_worker(world: World) -> None:
    """Once held, the lease is gone: no dispatch, no settlement, and no sweep takes it for lost."""
    submitted = await world.submit()
    lease, _ = await _held(world, submitted)
    before = await world.visible()
    assert isinstance(await world.dispatch(lease), Refused)
    (renewed,) = await world.dispatcher.renew([lease.ref])
    assert isinstance(renewed, Refused)
    world.clock.advance(LEASE_S + 1)
    assert (await world.dispatcher.sweep()).leases_lost == 0
    assert await world.visible() == before


async def test_a_yes_puts_the_step_back(world: World) -> None:
    """Approved, the held step is ready, not waiting for what it already had; its next claim is attempt 1."""
    submitted = await world.submit(world.job("s1"), world.job("s2", "s1"))
    await world.run(submitted.job_ids[0])
    _, approval_id = await _held(world, submitted, 1)
    await world.alpha.decide_approval(approval_id, DIGEST, Verdict.APPROVE, None)
    assert await world.statuses(submitted) == [S.COMPLETED, S.PENDING]
    job = (await world.start(submitted.job_ids[1])).job
    assert (job.attempts, job.fence, job.held_for) == (1, 2, None)


async def test_a_no_cancels_the_step_and_what_needs_it(world: World) -> None:
    """Rejected, the held step and its dependents are cancelled; the plan ends by its jobs, not as rejected."""
    submitted = await world.submit(world.job("s1"), world.job("s2", "s1"), world.job("s3"))
    _, approval_id = await _held(world, submitted)
    await world.alpha.decide_approval(approval_id, DIGEST, Verdict.REJECT, None)
    assert await world.statuses(submitted) == [S.CANCELLED, S.CANCELLED, S.RUNNING]
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.RUNNING
    await world.run(submitted.job_ids[2])
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.CANCELLED


async def test_a_step_that_nobody_decided_about_is_cancelled(world: World) -> None:
    """A step's approval that expires cancels the held step; the plan with nothing left open is over."""
    submitted = await world.submit()
    _, approval_id = await _held(world, submitted)
    world.clock.advance(APPROVAL_S + 1)
    assert (await world.dispatcher.sweep()).approvals_expired == 1
    assert (await world.approval_of(approval_id)).status is ApprovalStatus.EXPIRED
    assert await world.statuses(submitted) == [S.CANCELLED]
    assert (await world.plan_of(submitted.plan_id)).finished_at == world.clock.now()


async def test_a_job_that_drifted_is_held_without_an_approval(world: World) -> None:
    """Held for drift: no request is made, nobody gets it, and a person can cancel it."""
    submitted = await world.submit()
    lease = await world.start(submitted.job_ids[0])
    answer = await world.dispatcher.hold(lease.ref, HeldFor.DRIFT, "The action is no longer what was approved.", None)
    assert isinstance(answer, Granted)
    assert (answer.job.status, answer.job.held_for, answer.job.attempts) == (S.HELD, HeldFor.DRIFT, 0)
    assert (await world.alpha.list_approvals(limit=9)).approvals == ()
    assert await world.claim() == ()
    assert (await world.alpha.cancel_job(submitted.job_ids[0])).status is S.CANCELLED


async def test_hold_refuses_what_it_must(world: World) -> None:
    """Refused: a stale fence and a dispatched job (fence), a job asked to stop (cancelled); no approval appears."""
    submitted = await world.submit(world.job("s1"), world.job("s2"), world.job("s3"))
    stale, sent, stopped = await world.claim()
    await world.dispatch(sent)
    await world.alpha.cancel_job(stopped.job.job_id)
    before = await world.visible()
    refs = (type(stale.ref)("alpha", stale.job.job_id, 9), sent.ref, stopped.ref)
    reasons = []
    for ref in refs:
        approval = world.approval(submitted.plan_id, ref.job_id)
        answer = await world.dispatcher.hold(ref, HeldFor.APPROVAL, "no", approval)
        assert isinstance(answer, Refused)
        reasons.append(answer.reason)
        assert await world.alpha.get_approval(approval.approval_id) is None
    assert reasons == ["fence", "fence", "cancelled"]
    assert await world.visible() == before


async def test_cancelling_takes_the_question_back(world: World) -> None:
    """Cancelling a held step, or a plan that awaits a yes, makes the approval cancelled; it cannot be decided any more."""
    running = await world.submit()
    _, step_approval = await _held(world, running)
    await world.alpha.cancel_job(running.job_ids[0])
    waiting, plan_approval = await _asking(world)
    assert (await world.alpha.cancel_plan(waiting.plan_id)).status is PlanStatus.CANCELLED
    assert await world.statuses(waiting) == [S.CANCELLED] * 3
    for approval_id in (step_approval, plan_approval):
        assert (await world.approval_of(approval_id)).status is ApprovalStatus.CANCELLED
        with pytest.raises(IllegalTransition):
            await world.alpha.decide_approval(approval_id, DIGEST, Verdict.APPROVE, None)
    assert (await world.alpha.list_approvals(limit=9)).approvals == ()


async def test_approving_after_one_step_was_cancelled_releases_the_others(world: World) -> None:
    """A step cancelled while the plan awaits its yes stays cancelled, with what needs it; the rest is released."""
    submitted = await world.submit(world.job("s1"), world.job("s2", "s1"), world.job("s3"), approved=False)
    assert submitted.approval_id
    await world.alpha.cancel_job(submitted.job_ids[0])
    assert await world.statuses(submitted) == [S.CANCELLED, S.CANCELLED, S.HELD]
    await world.alpha.decide_approval(submitted.approval_id, DIGEST, Verdict.APPROVE, None)
    assert await world.statuses(submitted) == [S.CANCELLED, S.CANCELLED, S.PENDING]


async def test_a_plan_yes_does_not_answer_for_a_held_step(world: World) -> None:
    """Deciding one held step releases that one only; another held step of the plan keeps waiting for its own yes."""
    submitted = await world.submit(world.job("s1"), world.job("s2"))
    leases = {lease.job.job_id: lease for lease in await world.claim()}
    approvals = []
    for job_id in submitted.job_ids:
        approval = world.approval(submitted.plan_id, job_id)
        await world.dispatcher.hold(leases[job_id].ref, HeldFor.APPROVAL, "look", approval)
        approvals.append(approval.approval_id)
    await world.alpha.decide_approval(approvals[1], DIGEST, Verdict.APPROVE, None)
    assert await world.statuses(submitted) == [S.HELD, S.PENDING]
    of_plan = await world.alpha.plan_approvals(submitted.plan_id)
    assert [approval.approval_id for approval in of_plan] == [approvals[1], approvals[0]]
    assert [approval.status for approval in of_plan] == [ApprovalStatus.APPROVED, ApprovalStatus.PENDING]


async def test_a_step_can_be_held_again_after_a_yes(world: World) -> None:
    """Each question has its own decision: the second yes releases what the first one no longer could."""
    submitted = await world.submit()
    _, first = await _held(world, submitted)
    await world.alpha.decide_approval(first, DIGEST, Verdict.APPROVE, None)
    _, second = await _held(world, submitted)
    assert await world.alpha.decide_approval(first, DIGEST, Verdict.APPROVE, None) == await world.approval_of(first)
    assert await world.statuses(submitted) == [S.HELD]
    await world.alpha.decide_approval(second, DIGEST, Verdict.APPROVE, None)
    assert await world.statuses(submitted) == [S.PENDING]


async def test_a_gathering_step_can_be_held_and_approved(world: World) -> None:
    """An expanded step held while it gathers is ready again after a yes; it does not wait for its children anew."""
    submitted = await world.submit()
    child = world.job("s1[0]", parent_step_id="s1")
    await world.settle(await world.start(submitted.job_ids[0]), Expanded((child,)))
    await world.run(child.job_id)
    _, approval_id = await _held(world, submitted)
    await world.alpha.decide_approval(approval_id, DIGEST, Verdict.APPROVE, None)
    assert (await world.job_of(submitted.job_ids[0])).status is S.PENDING


async def test_an_unknown_approval_is_not_found(world: World) -> None:
    """There is nothing to decide under an id that nobody gave out."""
    assert await world.alpha.get_approval("apr_000000000000000000000000") is None
    with pytest.raises(NotFound):
        await world.engine.open(ALPHA).decide_approval("apr_000000000000000000000000", DIGEST, Verdict.APPROVE, None)
