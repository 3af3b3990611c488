"""Effect budgets in the dispatch record: never more than there is, given back only where provably nothing happened."""

import asyncio
import random
from typing import Any

import pytest

from steward.action import RetryMode
from steward.ids import IdFactory
from steward.job import LEASE_S, Deferred, HandedBack, JobError, JobStatus
from steward.spending import Spending
from steward.work_store import Answer, Granted, Lease, Refused, WorkEngine
from steward.workspace import Budget
from tests.conftest import FakeClock
from tests.contracts.backends import Backend
from tests.contracts.builders import BETA, World, again, done, doubt, failure

pytestmark = pytest.mark.anyio

HOUR = 3600
OVER = JobError("budget_exceeded", "There is no room yet.")


def mail(limit: int, window_s: int = HOUR) -> Spending:
    """Return what a message takes from a budget for messages alone."""
    return Spending(budgets={"messages_out": Budget(limit=limit, window_s=window_s)})


def to(*recipients: str | tuple[str, ...], limit: int, messages: int = 1000, window_s: int = HOUR) -> Spending:
    """Return what a message to these outside recipients takes."""
    budgets: Any = {
        "messages_out": Budget(limit=messages, window_s=window_s),
        "outside_recipients": Budget(limit=limit, window_s=window_s),
    }
    return Spending(
        budgets=budgets, recipients=tuple((each,) if isinstance(each, str) else each for each in recipients)
    )


async def lease_one(world: World, who: Any = None, **changes: Any) -> Lease:
    """Submit one job and claim it."""
    submitted = await world.submit(world.job(**changes), **({"who": who} if who else {}))
    return await world.start(submitted.job_ids[0])


async def spend(world: World, lease: Lease, spending: Spending) -> Answer:
    """Dispatch one lease with what it takes."""
    (answer,) = await world.dispatcher.dispatch([lease.ref], {lease.ref: spending})
    return answer


async def send(world: World, spending: Spending) -> Answer:
    """Submit, claim and dispatch one job, and settle it as done if it may."""
    lease = await lease_one(world)
    answer = await spend(world, lease, spending)
    if isinstance(answer, Granted):
        await world.settle(lease, done())
    return answer


async def test_a_budget_is_spent_and_then_refuses(world: World) -> None:
    """Over budget nothing is written: the lease goes on as it was, and the answer says when there may be room."""
    began = world.clock.now()
    for _ in range(2):
        assert isinstance(await send(world, mail(2)), Granted)
        world.clock.advance(1)
    lease = await lease_one(world)
    answer = await spend(world, lease, mail(2))
    assert isinstance(answer, Refused)
    assert (answer.reason, answer.retry_at) == ("budget", began.replace(hour=began.hour + 1))
    assert "messages_out" in answer.detail
    job = await world.job_of(lease.job.job_id)
    assert (job.status, job.dispatched_at, job.first_dispatched_at) == (JobStatus.RUNNING, None, None)


async def test_the_window_slides(world: World) -> None:
    """What was spent is free again exactly a window later, unit by unit."""
    for _ in range(3):
        assert isinstance(await send(world, mail(3)), Granted)
        world.clock.advance(600)
    world.clock.advance(HOUR - 3 * 600 - 0.001)
    assert isinstance(await send(world, mail(3)), Refused)
    world.clock.advance(0.001)
    assert isinstance(await send(world, mail(3)), Granted)
    assert isinstance(await send(world, mail(3)), Refused)
    world.clock.advance(600)
    assert isinstance(await send(world, mail(3)), Granted)


async def test_in_no_window_more_is_spent_than_allowed(world: World) -> None:
    """Over a random day, whatever hour one looks at; and refused is only who would have been too many."""
    chance, times = random.Random(7), []
    for _ in range(150):
        world.clock.advance(chance.expovariate(1 / 300))
        now = world.clock.now()
        room = sum((now - other).total_seconds() < HOUR for other in times) < 5
        granted = isinstance(await send(world, mail(5)), Granted)
        assert granted == room
        times += [now] if granted else []


async def test_a_recipient_counts_once(world: World) -> None:
    """Distinct ones within the window; a known one costs nothing, and is remembered from the last time on."""
    assert isinstance(await send(world, to("ann", "ben", limit=3)), Granted)
    world.clock.advance(HOUR / 2)
    assert isinstance(await send(world, to("ann", "cat", limit=3)), Granted)
    assert isinstance(await send(world, to("cat", "ben", "ann", limit=3)), Granted)
    refused = await send(world, to("dan", limit=3))
    assert isinstance(refused, Refused)
    assert "outside_recipients" in refused.detail
    world.clock.advance(HOUR / 2)
    assert isinstance(await send(world, to("dan", limit=3)), Refused), "all three were written to half an hour ago"
    world.clock.advance(HOUR / 2)
    assert isinstance(await send(world, to("dan", "eve", "fay", limit=3)), Granted)


async def test_a_recipient_is_recognised_under_any_key(world: World) -> None:
    """After the secret key was rotated the old hash still counts as the same person."""
    assert isinstance(await send(world, to("old", limit=1)), Granted)
    assert isinstance(await send(world, to(("new", "old"), limit=1)), Granted)
    assert isinstance(await send(world, to(("another", "unheard"), limit=1)), Refused)


@pytest.mark.parametrize("spending", [mail(0), to("ann", "ben", "cat", limit=2)])
async def test_what_can_never_fit_is_told_so(world: World, spending: Spending) -> None:
    """A limit of nothing, or more recipients than there can ever be: no time to come back."""
    answer = await send(world, spending)
    assert isinstance(answer, Refused)
    assert (answer.reason, answer.retry_at) == ("budget", None)


async def test_of_several_budgets_all_are_spent_or_none(world: World) -> None:
    """What the recipients' budget refuses is not taken from the messages', and the other way round."""
    assert isinstance(await send(world, to("ann", limit=1, messages=2)), Granted)
    for _ in range(3):
        assert isinstance(await send(world, to("ben", limit=1, messages=2)), Refused)
    assert isinstance(await send(world, to("ann", limit=1, messages=2)), Granted)
    for _ in range(3):
        assert isinstance(await send(world, to("ben", limit=2, messages=2)), Refused)
    assert isinstance(await send(world, to("ben", limit=2, messages=3)), Granted)


async def test_budgets_are_the_workspaces_own(world: World) -> None:
    """One workspace's spending is nothing to another's."""
    assert isinstance(await send(world, mail(1)), Granted)
    theirs = await lease_one(world, who=BETA)
    assert isinstance(await spend(world, theirs, mail(1)), Granted)
    assert isinstance(await send(world, mail(1)), Refused)


async def test_whom_others_wrote_to_is_not_known_here(world: World) -> None:
    """The same recipient counts in each workspace that writes to them."""
    assert isinstance(await spend(world, await lease_one(world, who=BETA), to("ann", limit=1)), Granted)
    assert isinstance(await send(world, to("ann", limit=1)), Granted)
    assert isinstance(await send(world, to("ben", limit=1)), Refused)


async def test_dispatching_again_spends_once(world: World) -> None:
    """A worker that lost the answer asks again with the same lease."""
    lease = await lease_one(world)
    first = await spend(world, lease, mail(2))
    assert await spend(world, lease, mail(2)) == first
    assert isinstance(await send(world, mail(2)), Granted)
    assert isinstance(await send(world, mail(2)), Refused)


@pytest.mark.parametrize("end", ["failed", "again", "back"])
async def test_what_provably_did_not_happen_is_given_back(world: World, end: str) -> None:
    """Failed for certain, to be tried again without doubt, or handed back in the moment of dispatch."""
    lease = await lease_one(world)
    assert isinstance(await spend(world, lease, to("ann", limit=1, messages=1)), Granted)
    outcomes = {"failed": failure(), "again": again(world.at(9000)), "back": HandedBack()}
    await world.settle(lease, outcomes[end])
    if end == "back":
        await world.start(lease.job.job_id)
    assert isinstance(await send(world, to("ben", limit=1, messages=1)), Granted)


@pytest.mark.parametrize("end", ["done", "unknown", "doubtful", "lost", "resolved"])
async def test_what_happened_or_may_have_is_kept(world: World, end: str) -> None:
    """Done, unknown, to be tried again in doubt, lost with its worker; and a person's word is no proof."""
    lease = await lease_one(world, retry=RetryMode.KEYED if end == "doubtful" else RetryMode.NONE)
    assert isinstance(await spend(world, lease, to("ann", limit=1, messages=1)), Granted)
    if end == "lost":
        world.clock.advance(LEASE_S)
        await world.dispatcher.sweep()
    else:
        outcomes = {"done": done(), "doubtful": again(world.at(9000), doubtful=True)}
        await world.settle(lease, outcomes.get(end, doubt()))
    if end == "resolved":
        await world.alpha.resolve_job(lease.job.job_id, "failed", "It is not there.")
    assert isinstance(await send(world, to("ben", limit=1, messages=5)), Refused)
    assert isinstance(await send(world, to("ann", limit=5, messages=1)), Refused)


async def test_giving_back_leaves_what_others_spent(world: World) -> None:
    """A recipient that two jobs wrote to stays counted when one of them provably did not."""
    assert isinstance(await send(world, to("ann", limit=1)), Granted)
    lease = await lease_one(world)
    assert isinstance(await spend(world, lease, to("ann", limit=1)), Granted)
    await world.settle(lease, failure())
    assert isinstance(await send(world, to("ben", limit=1)), Refused)
    assert isinstance(await send(world, to("ann", limit=1)), Granted)


async def test_a_deferred_job_comes_back_as_if_never_claimed(world: World) -> None:
    """Scheduled for its time with the error, the attempt not counted, however often."""
    lease = await lease_one(world, max_attempts=1)
    for _ in range(3):
        answer = await world.settle(lease, Deferred(OVER, world.at(60)))
        assert isinstance(answer, Granted)
        job = answer.job
        assert (job.status, job.attempts, job.not_before, job.error) == (JobStatus.SCHEDULED, 0, world.at(60), OVER)
        world.clock.advance(60)
        lease = await world.start(job.job_id)
    assert [attempt.outcome for attempt in lease.job.history] == ["deferred"] * 3
    assert (await world.run(lease.job.job_id)).error is None


async def test_a_cancelled_job_is_not_deferred(world: World) -> None:
    """A cancel that was asked for meanwhile is honoured."""
    lease = await lease_one(world)
    await world.alpha.cancel_job(lease.job.job_id)
    answer = await world.settle(lease, Deferred(OVER, world.at(60)))
    assert isinstance(answer, Granted)
    assert answer.job.status is JobStatus.CANCELLED


async def test_a_crowd_that_waits_comes_back_one_for_each_unit(world: World) -> None:
    """Of eight that are refused each is told of a unit that nobody else waits for; who finds none waits a window."""
    for _ in range(5):
        assert isinstance(await send(world, mail(5)), Granted)
        world.clock.advance(60)
    submitted = await world.submit(*[world.job(f"s{n}") for n in range(8)])
    await world.claim()
    answers = [await spend(world, world.leases[job_id], mail(5)) for job_id in submitted.job_ids]
    waits = [
        (answer.retry_at - world.clock.now()).total_seconds()
        for answer in answers
        if isinstance(answer, Refused) and answer.retry_at
    ]
    assert waits == [*(HOUR - minutes * 60 for minutes in (5, 4, 3, 2, 1)), HOUR, HOUR, HOUR]


async def test_a_lowered_limit_holds_at_once(world: World) -> None:
    """What was spent under a higher one counts; the time to come back is when enough of it has gone."""
    began = world.clock.now()
    for _ in range(5):
        assert isinstance(await send(world, mail(5)), Granted)
        world.clock.advance(60)
    answer = await send(world, mail(2))
    assert isinstance(answer, Refused)
    assert answer.retry_at is not None
    assert (answer.retry_at - began).total_seconds() == HOUR + 3 * 60
    world.clock.advance((answer.retry_at - world.clock.now()).total_seconds())
    assert isinstance(await send(world, mail(2)), Granted)


async def test_a_great_many_old_units_stand_in_nobodys_way(world: World) -> None:
    """Six hundred that have all fallen out of the window: the budget is whole again."""
    people = [f"person {n}" for n in range(600)]
    assert isinstance(await send(world, to(*people, limit=600)), Granted)
    assert isinstance(await send(world, to("one more", limit=600)), Refused)
    world.clock.advance(HOUR)
    others = [f"other {n}" for n in range(600)]
    assert isinstance(await send(world, to(*others, limit=600)), Granted)
    assert isinstance(await send(world, to("one more", limit=600)), Refused)


async def test_sixty_four_dispatches_at_once_over_two_engines_never_overshoot(
    backend: Backend, clock: FakeClock
) -> None:
    """Each with one to three recipients of forty, some in batches: neither budget is overstepped, and each is used up."""
    chance, reached, messages = random.Random(3), set(), 0

    async def worker(engine: WorkEngine, leases: list[Lease]) -> None:
        nonlocal messages
        spends = {
            lease.ref: to(*chance.sample([f"p{n}" for n in range(40)], chance.randint(1, 3)), limit=20, messages=40)
            for lease in leases
        }
        answers = await engine.dispatcher.dispatch([lease.ref for lease in leases], spends)
        for lease, answer in zip(leases, answers, strict=True):
            if isinstance(answer, Granted):
                messages += 1
                reached.update(mac for (mac,) in spends[lease.ref].recipients)

    async with backend.open(clock, IdFactory(clock)) as here, backend.open(clock, IdFactory(clock)) as there:
        world = World(here, clock)
        for _ in range(4):
            await world.submit(*[world.job(f"s{n}") for n in range(48)])
        leases = list(await world.claim())
        assert len(leases) == 192
        groups = [leases[n * 3 : n * 3 + 3] for n in range(64)]
        await asyncio.gather(*[worker((here, there)[n % 2], group) for n, group in enumerate(groups)])
    assert len(reached) <= 20
    assert messages <= 40
    assert len(reached) == 20 or messages == 40
