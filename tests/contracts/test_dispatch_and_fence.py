"""dispatch and renew: only the current lease may have an effect, and only while it holds."""

import pytest

from steward.action import RetryMode
from steward.event import EventType
from steward.job import LEASE_S, JobStatus
from steward.work_store import Granted, LeaseRef, Refused
from tests.contracts.builders import World, again, done, failure

pytestmark = pytest.mark.anyio


async def test_dispatch_records_that_the_effect_may_happen(world: World) -> None:
    """A granted dispatch sets both dispatch times, extends the lease and is logged."""
    submitted = await world.submit()
    lease = await world.start(submitted.job_ids[0])
    world.clock.advance(3)
    answer = await world.dispatch(lease)
    assert isinstance(answer, Granted)
    job = await world.job_of(submitted.job_ids[0])
    assert answer.job == job
    assert (job.dispatched_at, job.first_dispatched_at) == (world.clock.now(), world.clock.now())
    assert (job.lease_until, job.status) == (world.at(LEASE_S), JobStatus.RUNNING)
    assert (await world.kinds(job.job_id))[-1] is EventType.JOB_DISPATCHED


async def test_dispatching_again_with_the_same_fence_is_granted_again(world: World) -> None:
    """A worker that lost the answer asks again and is granted again; the log says it once."""
    submitted = await world.submit()
    lease = await world.start(submitted.job_ids[0])
    first = await world.dispatch(lease)
    assert isinstance(first, Granted)
    assert await world.dispatch(lease) == first
    assert (await world.kinds(submitted.job_ids[0])).count(EventType.JOB_DISPATCHED) == 1


async def test_an_older_doubt_of_a_keyed_job_is_kept(world: World) -> None:
    """A keyed job that may have had its effect keeps the time from which its key's validity counts."""
    submitted = await world.submit(world.job(retry=RetryMode.KEYED))
    began = world.clock.now()
    await world.run(submitted.job_ids[0], again(world.at(5), doubtful=True))
    world.clock.advance(5)
    lease = await world.start(submitted.job_ids[0])
    assert lease.job.first_dispatched_at == began
    answer = await world.dispatch(lease)
    assert isinstance(answer, Granted)
    assert (answer.job.first_dispatched_at, answer.job.dispatched_at) == (began, world.clock.now())
    await world.settle(lease, again(world.at(5)))
    assert (await world.job_of(submitted.job_ids[0])).first_dispatched_at == began


@pytest.mark.parametrize("retry", [RetryMode.PROBE, RetryMode.NONE])
async def test_a_second_dispatch_of_any_other_job_is_a_new_doubt(world: World, retry: RetryMode) -> None:
    """A probed job, or one without a key, is dispatched again only when the past is settled: the time is the new one."""
    submitted = await world.submit(world.job(retry=retry))
    await world.run(submitted.job_ids[0], again(world.at(5), doubtful=True))
    world.clock.advance(5)
    answer = await world.dispatch(await world.start(submitted.job_ids[0]))
    assert isinstance(answer, Granted)
    assert answer.job.first_dispatched_at == world.clock.now()


@pytest.mark.parametrize("retry", RetryMode)
async def test_an_attempt_that_did_nothing_leaves_no_doubt(world: World, retry: RetryMode) -> None:
    """An attempt that ended without doubt clears the first dispatch that it set itself."""
    submitted = await world.submit(world.job("s1", retry=retry), world.job("s2", retry=retry))
    await world.run(submitted.job_ids[0], again(world.at(5)))
    await world.run(submitted.job_ids[1], failure())
    assert [job.first_dispatched_at for job in await world.alpha.plan_jobs(submitted.plan_id)] == [None, None]


async def test_a_lease_that_has_run_out_is_not_dispatched(world: World) -> None:
    """After LEASE_S without a renewal the dispatch is refused (fence) and nothing is recorded."""
    submitted = await world.submit()
    lease = await world.start(submitted.job_ids[0])
    world.clock.advance(LEASE_S + 0.001)
    before = await world.visible()
    answer = await world.dispatch(lease)
    assert isinstance(answer, Refused)
    assert answer.reason == "fence"
    assert await world.visible() == before


async def test_a_renewed_lease_is_dispatched(world: World) -> None:
    """Renewing extends the lease by LEASE_S from now, each time."""
    submitted = await world.submit()
    lease = await world.start(submitted.job_ids[0])
    for _ in range(4):
        world.clock.advance(LEASE_S - 1)
        (answer,) = await world.dispatcher.renew([lease.ref])
        assert isinstance(answer, Granted)
        assert answer.job.lease_until == world.at(LEASE_S)
        assert not answer.job.cancel_requested
    assert isinstance(await world.dispatch(lease), Granted)
    assert (await world.dispatcher.sweep()).leases_lost == 0


async def test_an_old_fence_is_refused_everywhere(world: World) -> None:
    """Once a job was claimed anew, the former worker can neither dispatch, renew nor settle; nothing changes."""
    submitted = await world.submit()
    old = await world.start(submitted.job_ids[0])
    world.clock.advance(LEASE_S + 1)
    await world.dispatcher.sweep()
    new = await world.start(submitted.job_ids[0])
    assert new.job.fence > old.job.fence
    before = await world.visible()
    (renewed,) = await world.dispatcher.renew([old.ref])
    for answer in (await world.dispatch(old), renewed, await world.settle(old, done("late"))):
        assert isinstance(answer, Refused)
        assert answer.reason == "fence"
    assert await world.visible() == before
    assert (await world.run(submitted.job_ids[0], done("new"))).result == "new"


async def test_a_fence_from_the_future_is_refused(world: World) -> None:
    """A fence that was never given out is as bad as an old one."""
    submitted = await world.submit()
    lease = await world.start(submitted.job_ids[0])
    forged = LeaseRef("alpha", submitted.job_ids[0], lease.job.fence + 1)
    before = await world.visible()
    (dispatched,), (renewed,) = await world.dispatcher.dispatch([forged]), await world.dispatcher.renew([forged])
    for answer in (dispatched, renewed, await world.settle(forged, done())):
        assert isinstance(answer, Refused)
    assert await world.visible() == before


async def test_a_lost_job_is_refused_before_anybody_claims_it_anew(world: World) -> None:
    """Back in the queue after a lost lease, the job no longer listens to the worker that had it."""
    submitted = await world.submit()
    old = await world.start(submitted.job_ids[0])
    world.clock.advance(LEASE_S + 1)
    await world.dispatcher.sweep()
    before = await world.visible()
    (renewed,) = await world.dispatcher.renew([old.ref])
    for answer in (await world.dispatch(old), renewed, await world.settle(old, done())):
        assert isinstance(answer, Refused)
        assert answer.reason == "fence"
    assert await world.visible() == before


async def test_w25_w28_unknown_jobs_are_refused_and_leave_no_ghost(world: World) -> None:
    """A job that does not exist, or not in that workspace, is refused by every verb and nothing comes into being."""
    submitted = await world.submit()
    lease = await world.start(submitted.job_ids[0])
    strangers = [
        LeaseRef("alpha", world.ids.new("job"), 1),
        LeaseRef("beta", submitted.job_ids[0], lease.job.fence),
        LeaseRef("nowhere", submitted.job_ids[0], lease.job.fence),
        LeaseRef("", submitted.job_ids[0], lease.job.fence),
    ]
    before = await world.visible()
    for ref in strangers:
        (dispatched,), (renewed,) = await world.dispatcher.dispatch([ref]), await world.dispatcher.renew([ref])
        for answer in (dispatched, renewed, await world.settle(ref, done())):
            assert isinstance(answer, Refused)
            assert answer.reason == "fence"
    assert await world.visible() == before
    assert (await world.beta.list_jobs(limit=10)).jobs == ()
    assert isinstance(await world.dispatch(lease), Granted)


async def test_a_cancel_is_honoured_before_dispatch(world: World) -> None:
    """A running job that somebody asked to stop is refused its dispatch (cancelled); no effect is recorded."""
    submitted = await world.submit()
    lease = await world.start(submitted.job_ids[0])
    await world.alpha.cancel_job(submitted.job_ids[0])
    answer = await world.dispatch(lease)
    assert isinstance(answer, Refused)
    assert answer.reason == "cancelled"
    assert (await world.job_of(submitted.job_ids[0])).first_dispatched_at is None


async def test_a_renewal_tells_of_a_cancel(world: World) -> None:
    """In mid-effect the lease goes on; the worker learns from the renewed record that a cancel was asked for."""
    submitted = await world.submit()
    lease = await world.start(submitted.job_ids[0])
    await world.dispatch(lease)
    await world.alpha.cancel_job(submitted.job_ids[0])
    (answer,) = await world.dispatcher.renew([lease.ref])
    assert isinstance(answer, Granted)
    assert answer.job.cancel_requested
    assert (await world.settle(lease, done("sent"))) != Refused("fence")
    assert (await world.job_of(submitted.job_ids[0])).status is JobStatus.COMPLETED


async def test_answers_come_in_the_order_of_the_questions(world: World) -> None:
    """In one batch each lease is judged alone and answered in its place."""
    submitted = await world.submit(world.job("s1"), world.job("s2"), world.job("s3"))
    leases = await world.claim()
    await world.alpha.cancel_job(submitted.job_ids[1])
    stale = LeaseRef("alpha", submitted.job_ids[2], 99)
    answers = await world.dispatcher.dispatch([leases[0].ref, leases[1].ref, stale, leases[2].ref])
    told = [answer.reason if isinstance(answer, Refused) else answer.job.job_id for answer in answers]
    assert told == [submitted.job_ids[0], "cancelled", "fence", submitted.job_ids[2]]
    assert await world.dispatcher.dispatch([]) == ()
    assert await world.dispatcher.renew([]) == ()
    assert await world.dispatcher.settle([]) == ()
