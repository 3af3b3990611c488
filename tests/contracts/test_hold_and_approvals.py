"""hold and decide_approval: what a person must look at first, and what their word does."""

from dataclasses import replace

import pytest

from steward.approval import ApprovalStatus, Verdict
from steward.errors import (
    AnotherPersonRequired,
    ApprovalMismatch,
    ApproverRoleRequired,
    IllegalTransition,
)
from steward.event import EventType
from steward.identity import Role
from steward.job import HeldFor, JobStatus
from steward.plan import PlanStatus
from steward.work_store import APPROVAL_S
from tests.contracts.backends import Backend
from tests.contracts.builders import ALPHA, COLLEAGUE, World, asking

pytestmark = pytest.mark.anyio

S = JobStatus
DIGEST = "c" * 64


async def test_a_yes_releases_what_it_held(world: World) -> None:
    """Approved: the jobs become what they would have been after a submit, and the plan runs."""
    submitted, approval_id = await asking(world)
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
    submitted, approval_id = await asking(world)
    world.clock.advance(61)
    await world.alpha.decide_approval(approval_id, DIGEST, Verdict.APPROVE, None)
    assert await world.statuses(submitted) == [S.PENDING, S.WAITING, S.PENDING]


async def test_a_no_cancels_what_it_held(world: World, backend: Backend) -> None:
    """Rejected: the jobs are cancelled with a reason, the plan is rejected, and nothing sealed is kept."""
    submitted, approval_id = await asking(world)
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
    _, approval_id = await asking(world)
    before = await world.visible()
    for digest in ("d" * 64, "", DIGEST.upper(), DIGEST[:-1]):
        with pytest.raises(ApprovalMismatch):
            await world.alpha.decide_approval(approval_id, digest, verdict, None)
    assert await world.visible() == before


@pytest.mark.parametrize("first", Verdict)
@pytest.mark.parametrize("second", Verdict)
async def test_a_decision_is_made_once(world: World, first: Verdict, second: Verdict) -> None:
    """A second person's decision, and another decision of the same person, raise IllegalTransition."""
    _, approval_id = await asking(world)
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
    _, approval_id = await asking(world)
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
    _, approval_id = await asking(world)
    await world.alpha.decide_approval(approval_id, DIGEST, Verdict.APPROVE, "fine, password=hunter2")
    await asking(world)
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
    submitted, approval_id = await asking(world)
    world.clock.advance(APPROVAL_S + 1)
    for _ in range(2):
        with pytest.raises(IllegalTransition):
            await world.alpha.decide_approval(approval_id, DIGEST, Verdict.APPROVE, None)
        assert (await world.dispatcher.sweep()).leases_lost == 0
    assert await world.statuses(submitted) == [S.CANCELLED] * 3


async def test_the_sweep_expires_approvals(world: World) -> None:
    """A sweep expires what nobody decided in time: approval and plan expired, held jobs cancelled, said once."""
    submitted, approval_id = await asking(world)
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


async def test_a_clock_that_is_set_back_revives_no_approval(world: World) -> None:
    """What the sweep has let expire, or somebody has decided, while the clock was ahead stays so when it is right again."""
    submitted, approval_id = await asking(world)
    world.clock.advance(APPROVAL_S + 1)
    await world.dispatcher.sweep()
    later, decided = await asking(world)
    await world.alpha.decide_approval(decided, DIGEST, Verdict.REJECT, None)
    world.clock.advance(-APPROVAL_S - 1)
    for old in (approval_id, decided):
        with pytest.raises(IllegalTransition):
            await world.alpha.decide_approval(old, DIGEST, Verdict.APPROVE, None)
    await world.dispatcher.sweep()
    assert await world.statuses(submitted) == await world.statuses(later) == [S.CANCELLED] * 3
    assert await world.claim() == ()
    assert (await world.alpha.list_approvals(limit=9)).approvals == ()


async def test_the_inbox_lists_what_is_pending(world: World) -> None:
    """list_approvals gives the pending ones, newest first, and goes on after one of them."""
    ids = []
    for _ in range(5):
        world.clock.advance(1)
        ids.append((await asking(world))[1])
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
