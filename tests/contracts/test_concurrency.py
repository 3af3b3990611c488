"""Many at once, and more than one process: one plan for one request, one worker for one job, all or nothing."""

import asyncio

import pytest

from steward.errors import IdempotencyKeyReused, StewardError
from steward.event import EventType, event_sequence
from steward.ids import IdFactory
from steward.job import JobStatus
from steward.plan import PlanStatus
from steward.work_store import Granted, Settlement, WorkEngine
from tests.conftest import FakeClock
from tests.contracts.backends import Backend
from tests.contracts.builders import ALPHA, BETA, World, action_claim, done, request_claim

pytestmark = pytest.mark.anyio


async def test_w12_two_hundred_copies_of_a_request_make_one_plan(world: World) -> None:
    """Each copy has ids of its own but the same key: one plan exists and everybody gets its ids."""
    copies = [
        world.alpha.submit(world.submission(world.job("s1"), world.job("s2", "s1"), claims=[request_claim("k")]))
        for _ in range(200)
    ]
    answers = await asyncio.gather(*copies)
    assert {(answer.plan_id, answer.job_ids) for answer in answers} == {(answers[0].plan_id, answers[0].job_ids)}
    assert sum(not answer.duplicate for answer in answers) == 1
    assert len((await world.alpha.list_plans(limit=10)).plans) == 1
    assert [job.job_id for job in await world.alpha.plan_jobs(answers[0].plan_id)] == list(answers[0].job_ids)
    assert (await world.alpha.list_jobs(limit=10)).queue_depth == 1
    assert [event.type for event in await world.log()] == [EventType.PLAN_SUBMITTED]


async def test_w12_copies_with_action_keys_make_one_plan(world: World) -> None:
    """The same with a key for each action."""
    claims = [action_claim("a", 0), action_claim("b", 1)]
    copies = [world.alpha.submit(world.submission(world.job("s1"), world.job("s2"), claims=claims)) for _ in range(50)]
    answers = await asyncio.gather(*copies)
    assert len({answer.job_ids for answer in answers}) == 1
    assert len((await world.alpha.list_jobs(limit=10)).jobs) == 2


async def test_w62_concurrent_executions_of_one_plan_are_one(world: World) -> None:
    """Six clients execute one draft at once, with and without a key: one set of jobs, the same for all."""
    draft = world.plan()
    await world.alpha.draft(draft)
    answers = await asyncio.gather(
        *[world.submit(plan=draft, claims=[request_claim("k")] if number % 2 else []) for number in range(6)]
    )
    assert len({answer.job_ids for answer in answers}) == 1
    assert sum(not answer.duplicate for answer in answers) == 1
    assert len(await world.claim()) == 1


async def test_one_key_for_two_payloads_at_once(world: World) -> None:
    """Of concurrent requests under one key with two payloads, one payload is executed once, the other always refused."""
    copies = [world.submit(claims=[request_claim("k", "ab"[number % 2])]) for number in range(40)]
    answers = await asyncio.gather(*copies, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, IdempotencyKeyReused)]
    ids = {answer.plan_id for answer in answers if not isinstance(answer, BaseException)}
    assert (len(refused), len(ids)) == (20, 1)


async def test_eight_claimers_share_two_hundred_jobs(world: World) -> None:
    """Whoever claims while others do: each job is leased to exactly one of them, and none is left."""
    for _ in range(4):
        await world.submit(*[world.job(f"s{n}") for n in range(25)])
        await world.submit(*[world.job(f"s{n}") for n in range(25)], who=BETA)

    async def claimer(name: str) -> list[str]:
        mine: list[str] = []
        while leases := (await world.dispatcher.claim(name, limit=7)).leases:
            assert {lease.job.worker_id for lease in leases} == {name}
            mine += [lease.job.job_id for lease in leases]
        return mine

    shares = await asyncio.gather(*[claimer(f"worker-{n}") for n in range(8)])
    taken = [job_id for share in shares for job_id in share]
    assert len(taken) == 200
    assert len(set(taken)) == 200
    assert await world.dispatcher.depth() in ({}, {"alpha": 0, "beta": 0})


async def test_concurrent_settlements_release_a_common_dependent_once(world: World) -> None:
    """Twenty steps settle at once; the step that needs them all is released exactly once."""
    steps = [world.job(f"s{n}") for n in range(20)]
    last = world.job("last", *[step.step_id for step in steps])
    await world.submit(*steps, last)
    leases = await world.claim()
    await asyncio.gather(*[world.dispatcher.settle([Settlement(lease.ref, done())]) for lease in leases])
    assert await world.kinds(last.job_id) == [EventType.JOB_RELEASED]
    assert len(await world.claim()) == 1


async def test_a_cancel_and_a_dispatch_at_once_agree(world: World) -> None:
    """Either the effect was allowed before the cancel, or it was not allowed at all; record and answer agree."""
    submitted = await world.submit(*[world.job(f"s{n}") for n in range(20)])
    leases = await world.claim()
    doings = [[world.dispatch(lease), world.alpha.cancel_job(lease.job.job_id)] for lease in leases]
    answers = await asyncio.gather(*[doing for pair in doings for doing in pair])
    jobs = {job.job_id: job for job in await world.alpha.plan_jobs(submitted.plan_id)}
    for lease, answer in zip(leases, answers[::2], strict=True):
        job = jobs[lease.job.job_id]
        assert job.cancel_requested
        assert (job.dispatched_at is not None) == isinstance(answer, Granted)


async def test_one_bad_submission_among_many_harms_no_other(world: World) -> None:
    """Submissions that are refused leave nothing, while those sent at the same moment are put in place."""
    taken = world.job("s1")
    await world.submit(taken)
    good = [world.submission(claims=[request_claim(f"good {n}")]) for n in range(30)]
    bad = [world.submission(world.job("s1"), taken, claims=[request_claim(f"bad {n}")]) for n in range(30)]
    mixed = [one for pair in zip(good, bad, strict=True) for one in pair]
    answers = await asyncio.gather(*[world.alpha.submit(one) for one in mixed], return_exceptions=True)
    assert all(isinstance(answer, StewardError) for answer in answers[1::2])
    assert not any(isinstance(answer, BaseException) for answer in answers[::2])
    assert {plan.plan_id for plan in (await world.alpha.list_plans(limit=100)).plans} >= {
        one.plan.plan_id for one in good
    }
    for one in bad:
        assert await world.alpha.get_plan(one.plan.plan_id) is None
        assert await world.alpha.get_job(one.jobs[0].job_id) is None
    assert (await world.alpha.list_jobs(limit=100)).queue_depth == 31
    numbers = [event_sequence(event.event_id) for event in await world.log()]
    assert numbers == list(range(1, 32))


async def test_w11_w66_two_processes_share_one_store(backend: Backend, clock: FakeClock) -> None:
    """A draft made through one engine is executed through another; both see one plan and share its claims."""
    async with backend.open(clock, IdFactory(clock)) as here, backend.open(clock, IdFactory(clock)) as there:
        one, two = World(here, clock), World(there, clock)
        draft = one.plan()
        await one.alpha.draft(draft)
        copies = [world.submit(plan=draft, claims=[request_claim("k")]) for world in (one, two) * 10]
        answers = await asyncio.gather(*copies)
        assert len({answer.job_ids for answer in answers}) == 1
        assert sum(not answer.duplicate for answer in answers) == 1
        claimed = await asyncio.gather(*[world.claim() for world in (one, two) * 3])
        assert sum(len(leases) for leases in claimed) == 1
        assert await one.visible() == await two.visible()


async def test_w66_w144_what_was_put_in_place_survives_a_restart(backend: Backend, clock: FakeClock) -> None:
    """After closing and opening again everything visible is as it was, keys are known, and the work goes on."""
    async with backend.open(clock, IdFactory(clock)) as engine:
        world = World(engine, clock)
        submitted = await world.submit(world.job("s1"), world.job("s2", "s1"), claims=[request_claim("k")])
        draft = world.plan()
        await world.alpha.draft(draft)
        await world.submit(approved=False)
        lease = await world.start(submitted.job_ids[0])
        await world.dispatch(lease)
        before = await world.visible()
    async with backend.open(clock, IdFactory(clock)) as engine:
        world = World(engine, clock)
        assert await world.visible() == before
        assert (await world.submit(claims=[request_claim("k")])).job_ids == submitted.job_ids
        assert isinstance(await world.settle(lease.ref, done("after the restart")), Granted)
        assert (await world.run(submitted.job_ids[1])).status is JobStatus.COMPLETED
        assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.COMPLETED
        assert not (await world.submit(plan=draft)).duplicate


async def test_a_caller_who_stops_waiting_leaves_no_half(world: World) -> None:
    """A submit whose caller is cancelled is there whole or not at all; its key tells which."""
    for _ in range(20):
        submission = world.submission(
            world.job("s1"), world.job("s2", "s1"), claims=[request_claim(world.ids.new("req"))]
        )
        task = asyncio.ensure_future(world.alpha.submit(submission))
        await asyncio.wait({task}, timeout=0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        answer = await world.alpha.submit(submission)
        assert answer.job_ids == tuple(job.job_id for job in submission.jobs)
        assert len(await world.alpha.plan_jobs(answer.plan_id)) == 2


async def test_ping_answers(engine: WorkEngine) -> None:
    """A store that is there says so; opening for a principal costs nothing and remembers whom for."""
    await engine.ping()
    assert engine.open(ALPHA).principal == ALPHA
