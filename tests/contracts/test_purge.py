"""purge: what ended long ago goes with all that belongs to it; what lives is never touched."""

import pytest

from steward.job import Cancelled, Outcome, Skipped
from steward.plan import PlanStatus
from steward.work_store import DRAFT_S, MIN_RETENTION_S, RETENTION_S
from tests.contracts.backends import Backend
from tests.contracts.builders import BETA, World, action_claim, again, done, doubt, failure, request_claim

pytestmark = pytest.mark.anyio

DAY_S = 24 * 3600


async def test_an_ended_plan_goes_with_all_that_belongs_to_it(world: World, backend: Backend) -> None:
    """Plan, jobs, approvals, idempotency records and events of it are nowhere in the store any more."""
    gone = await world.submit(
        world.job("s1"), approved=False, claims=[request_claim("request-key-x"), action_claim("action-key-x")]
    )
    await world.alpha.cancel_plan(gone.plan_id)
    traces = [gone.plan_id, gone.job_ids[0], gone.approval_id or "", "request-key-x", "action-key-x"]
    assert all(backend.holds(trace) for trace in traces)
    world.clock.advance(RETENTION_S + 1)
    assert await world.dispatcher.purge(RETENTION_S) == 1
    assert not any(backend.holds(trace) for trace in traces)
    assert await world.alpha.get_plan(gone.plan_id) is None
    assert await world.alpha.get_job(gone.job_ids[0]) is None
    assert await world.alpha.get_approval(gone.approval_id or "") is None
    assert await world.dispatcher.events_after(0, limit=100) == ()
    assert (await world.alpha.list_jobs(limit=10)).jobs == ()


@pytest.mark.parametrize("outcome", [done(), failure(), Skipped("no"), Cancelled("no")])
async def test_w21_retention_counts_from_the_end(world: World, outcome: Outcome) -> None:
    """However it ended: kept for the retention counted from the end, not from the start, and gone after it."""
    submitted = await world.submit()
    world.clock.advance(RETENTION_S)
    await world.run(submitted.job_ids[0], outcome)
    world.clock.advance(RETENTION_S - 1)
    assert await world.dispatcher.purge(RETENTION_S) == 0
    assert await world.alpha.get_job(submitted.job_ids[0]) is not None
    world.clock.advance(2)
    assert await world.dispatcher.purge(RETENTION_S) == 1
    assert await world.dispatcher.purge(RETENTION_S) == 0


async def test_w21_nothing_live_is_touched(world: World) -> None:
    """Waiting, held, scheduled, pending, running and unknown work outlives any retention."""
    parts = await world.submit(world.job("s1"), world.job("s2", "s1"))
    await world.submit(world.job(not_before=world.at(100 * RETENTION_S)))
    unclear = await world.submit()
    await world.claim()
    await world.run(unclear.job_ids[0], doubt())
    await world.run(parts.job_ids[0])
    await world.submit(approved=False)
    await world.submit(who=BETA)
    world.clock.advance(3 * RETENTION_S)
    before = (await world.visible(), await world.visible(BETA))
    assert await world.dispatcher.purge(MIN_RETENTION_S) == 0
    assert (await world.visible(), await world.visible(BETA)) == before


async def test_a_plan_with_one_open_step_is_kept_whole(world: World) -> None:
    """Steps that ended long ago stay as long as their plan is open."""
    submitted = await world.submit(world.job("s1"), world.job("s2"))
    await world.run(submitted.job_ids[0], failure())
    await world.settle(world.leases[submitted.job_ids[1]], again(world.at(2 * RETENTION_S)))
    world.clock.advance(2 * RETENTION_S - 1)
    assert await world.dispatcher.purge(MIN_RETENTION_S) == 0
    assert len(await world.alpha.plan_jobs(submitted.plan_id)) == 2


async def test_a_retried_plan_is_live_again(world: World) -> None:
    """A failed plan that was retried is kept, and its retention starts again at its new end."""
    submitted = await world.submit()
    await world.run(submitted.job_ids[0], failure())
    world.clock.advance(RETENTION_S - 1)
    await world.alpha.retry_job(submitted.job_ids[0])
    world.clock.advance(RETENTION_S)
    assert await world.dispatcher.purge(RETENTION_S) == 0
    await world.run(submitted.job_ids[0])
    world.clock.advance(RETENTION_S - 1)
    assert await world.dispatcher.purge(RETENTION_S) == 0


async def test_an_expired_draft_goes_a_day_later(world: World) -> None:
    """An expired draft is kept for a day, whatever the retention; a live one for as long as it lives."""
    draft, live = world.plan(), world.plan(expires_at=world.at(10 * DAY_S))
    await world.alpha.draft(draft)
    await world.alpha.draft(live)
    world.clock.advance(DRAFT_S + 1)
    await world.dispatcher.sweep()
    world.clock.advance(DAY_S - 60)
    assert await world.dispatcher.purge(RETENTION_S) == 0
    assert (await world.plan_of(draft.plan_id)).status is PlanStatus.EXPIRED
    world.clock.advance(120)
    assert await world.dispatcher.purge(RETENTION_S) == 1
    assert await world.alpha.get_plan(draft.plan_id) is None
    assert (await world.plan_of(live.plan_id)).status is PlanStatus.DRAFT


async def test_a_plan_whose_approval_expired_is_kept_for_the_retention(world: World) -> None:
    """Only drafts go after a day: a submitted plan that expired unanswered is kept like any other ended plan."""
    submitted = await world.submit(approved=False)
    world.clock.advance(4 * DAY_S)
    await world.dispatcher.sweep()
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.EXPIRED
    world.clock.advance(3 * DAY_S)
    assert await world.dispatcher.purge(RETENTION_S) == 0
    assert len(await world.alpha.plan_jobs(submitted.plan_id)) == 1


async def test_a_purge_serves_every_workspace_and_counts_plans(world: World) -> None:
    """All workspaces' old plans go in one purge, however many; the younger ones stay."""
    for who in (world.alpha.principal, BETA):
        for _ in range(110):
            await world.submit(who=who)
    for lease in await world.claim():
        await world.settle(lease, done())
    world.clock.advance(RETENTION_S + 1)
    young = await world.submit()
    await world.run(young.job_ids[0])
    assert await world.dispatcher.purge(RETENTION_S) == 220
    assert [plan.plan_id for plan in (await world.alpha.list_plans(limit=10)).plans] == [young.plan_id]
    assert (await world.beta.list_plans(limit=10)).plans == ()


async def test_what_the_audit_has_not_read_stays(world: World) -> None:
    """A plan with an event past the archived position is kept whole; once it is archived it goes."""
    gone = await world.submit(world.job("s1"))
    await world.run(gone.job_ids[0])
    events = await world.dispatcher.events_after(0, limit=100)
    world.clock.advance(RETENTION_S + 1)
    assert await world.dispatcher.purge(RETENTION_S, archived=events[-2].position) == 0
    assert await world.dispatcher.events_after(0, limit=100) == events
    assert await world.dispatcher.purge(RETENTION_S, archived=events[-1].position) == 1
    assert await world.dispatcher.events_after(0, limit=100) == ()
