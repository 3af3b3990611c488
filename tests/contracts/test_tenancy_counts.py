"""What is counted, listed and dealt out for one workspace is not moved by what others have, however much it is."""

import pytest

from steward.event import EventType
from steward.job import JobStatus
from steward.plan import PlanStatus
from steward.work_store import MAX_DRAFTS
from tests.contracts.builders import ALPHA, BETA, World

pytestmark = pytest.mark.anyio
CROWD = 5


# -- depth ------------------------------------------------------------------------------------------------------------


async def test_a_workspace_without_work_has_no_depth(world: World) -> None:
    """However much others have ready, and both counts are one's own once there is work."""
    for _ in range(CROWD):
        await world.submit()
    assert (await world.alpha.queue_depth(), await world.beta.queue_depth()) == (CROWD, 0)
    await world.submit(who=BETA)
    assert (await world.alpha.queue_depth(), await world.beta.queue_depth()) == (CROWD, 1)


async def test_a_page_of_jobs_tells_ones_own_depth(world: World) -> None:
    """The depth beside a listing is the workspace's own, also where it has nothing."""
    for _ in range(CROWD):
        await world.submit()
    assert (await world.beta.list_jobs(limit=10)).queue_depth == 0
    await world.submit(who=BETA)
    assert (await world.beta.list_jobs(limit=10)).queue_depth == 1


async def test_the_end_of_the_log_is_ones_own(world: World) -> None:
    """Where a log ends says nothing of how long another's is."""
    for _ in range(CROWD):
        await world.submit()
    nothing = await world.beta.events_after(None, limit=1)
    assert (nothing.events, nothing.last_event_id) == ((), "evt_0000000000000000")
    await world.submit(who=BETA)
    assert (await world.beta.events_after(None, limit=1)).last_event_id < (
        await world.alpha.events_after(None, limit=1)
    ).last_event_id


# -- approvals --------------------------------------------------------------------------------------------------------


async def test_an_inbox_is_full_of_ones_own_only(world: World) -> None:
    """Between foreign ones, page by page, in every status, with one's own approval among them exactly once."""
    for _ in range(CROWD):
        await world.submit(approved=False)
    mine = await world.submit(who=BETA, approved=False)
    for _ in range(CROWD):
        await world.submit(approved=False)
    page = await world.beta.list_approvals(limit=1)
    assert [approval.approval_id for approval in page.approvals] == [mine.approval_id]
    assert page.next_after is None
    assert len((await world.alpha.list_approvals(limit=100)).approvals) == 2 * CROWD


async def test_what_was_asked_about_a_foreign_plan_is_nothing(world: World) -> None:
    """By the plan's id one gets the approvals of one's own plan, and none of another's."""
    theirs = await world.submit(approved=False)
    mine = await world.submit(who=BETA, approved=False)
    assert await world.beta.plan_approvals(theirs.plan_id) == ()
    assert [approval.approval_id for approval in await world.beta.plan_approvals(mine.plan_id)] == [mine.approval_id]
    assert [approval.workspace_id for approval in await world.alpha.plan_approvals(theirs.plan_id)] == ["alpha"]


async def test_two_inboxes_do_not_mix(world: World) -> None:
    """Each workspace sees the approval that it waits for, and its plan's."""
    theirs, mine = await world.submit(approved=False), await world.submit(who=BETA, approved=False)
    for store, submitted in ((world.alpha, theirs), (world.beta, mine)):
        inbox = (await store.list_approvals(limit=10)).approvals
        assert [approval.approval_id for approval in inbox] == [submitted.approval_id]
        assert inbox == await store.plan_approvals(submitted.plan_id)
        other = theirs if submitted is mine else mine
        assert await store.plan_approvals(other.plan_id) == ()


# -- drafts -----------------------------------------------------------------------------------------------------------


async def test_drafts_of_others_take_no_room(world: World) -> None:
    """A workspace keeps its drafts while another fills its own allowance to the brim and beyond."""
    first = world.plan()
    await world.alpha.draft(first)
    for _ in range(MAX_DRAFTS + 1):
        await world.beta.draft(world.plan(who=BETA))
    assert (await world.plan_of(first.plan_id)).status is PlanStatus.DRAFT
    assert EventType.PLAN_EXPIRED not in [event.type for event in await world.log(ALPHA)]


async def test_a_draft_more_is_kept_beside_the_full_allowance_of_others(world: World) -> None:
    """The first draft of a workspace stays when its second comes, though another workspace has as many as it may."""
    first = world.plan()
    await world.alpha.draft(first)
    for _ in range(MAX_DRAFTS):
        await world.beta.draft(world.plan(who=BETA))
    await world.alpha.draft(world.plan())
    assert (await world.plan_of(first.plan_id)).status is PlanStatus.DRAFT
    assert len((await world.alpha.list_plans(limit=10, status=PlanStatus.DRAFT)).plans) == len(["first", "second"])


# -- the line ---------------------------------------------------------------------------------------------------------


async def test_a_claim_deals_each_workspace_its_own_share(world: World) -> None:
    """One job of each of two workspaces, though one has many more: by their own ids, both are running."""
    flood = [await world.submit() for _ in range(CROWD)]
    lone = await world.submit(who=BETA)
    leases = await world.claim(limit=2)
    assert sorted(lease.job.workspace_id for lease in leases) == ["alpha", "beta"]
    assert await world.statuses(lone, BETA) == [JobStatus.RUNNING]
    assert [await world.statuses(one) for one in flood] == [[JobStatus.RUNNING], *[[JobStatus.PENDING]] * (CROWD - 1)]
    assert (await world.alpha.queue_depth(), await world.beta.queue_depth()) == (CROWD - 1, 0)


async def test_what_falls_due_is_counted_for_its_own_workspace(world: World) -> None:
    """Scheduled jobs of both become ready when their time comes, each in its own queue."""
    theirs = [await world.submit(world.job(not_before=world.at(60))) for _ in range(CROWD)]
    mine = await world.submit(world.job(not_before=world.at(60)), who=BETA)
    world.clock.advance(61)
    leases = await world.claim(limit=1 + CROWD)
    assert sorted(lease.job.workspace_id for lease in leases) == [*["alpha"] * CROWD, "beta"]
    assert await world.statuses(mine, BETA) == [JobStatus.RUNNING]
    assert [await world.statuses(one) for one in theirs] == [[JobStatus.RUNNING]] * CROWD
    assert (await world.alpha.queue_depth(), await world.beta.queue_depth()) == (0, 0)


async def test_what_falls_due_together_is_each_once(world: World) -> None:
    """Jobs of two workspaces fall due at the same moment: each is claimed once, and nothing is left."""
    for who in (ALPHA, BETA):
        for _ in range(CROWD):
            await world.submit(world.job(not_before=world.at(60)), who=who)
    world.clock.advance(61)
    jobs = [lease.job for lease in await world.claim(limit=4 * CROWD)]
    assert len({job.job_id for job in jobs}) == 2 * CROWD == len(jobs)
    assert {job.attempts for job in jobs} == {1}
    assert await world.claim(limit=1) == ()


async def test_what_falls_due_is_released_in_its_own_log(world: World) -> None:
    """Each workspace reads of its own jobs that they were released, once for each, and of no other's."""
    mine = [await world.submit(world.job(not_before=world.at(60)), who=BETA) for _ in range(CROWD)]
    theirs = [await world.submit(world.job(not_before=world.at(30))) for _ in range(CROWD)]
    world.clock.advance(61)
    await world.claim(limit=2 * CROWD)
    for who, submitted in ((ALPHA, theirs), (BETA, mine)):
        released = [event.job_id for event in await world.log(who) if event.type is EventType.JOB_RELEASED]
        assert sorted(filter(None, released)) == sorted(job_id for each in submitted for job_id in each.job_ids)
