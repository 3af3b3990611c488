"""Caps in the claim: never more than a workspace allows, whoever claims; what is capped keeps nobody else."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from steward.caps import Caps
from steward.identity import Principal
from steward.ids import IdFactory
from steward.job import LEASE_S, HandedBack, HeldFor, JobStatus
from steward.work_store import Lease, WorkEngine
from steward.workspace import Cap
from tests.conftest import FakeClock
from tests.contracts.backends import Backend
from tests.contracts.builders import ALPHA, BETA, World, again, done, failure, principal

pytestmark = pytest.mark.anyio


async def claim(world: World, limit: int = 1000, /, **caps: Cap) -> tuple[Lease, ...]:
    """Claim with caps for the first workspace: ``all`` is ``*``, ``email`` is ``email.*``, others are ``email.<name>``."""
    names = {"all": "*", "email": "email.*"}
    own = {names.get(name, f"email.{name}"): cap for name, cap in caps.items()}
    return await world.claim(limit, caps={"alpha": own})


async def many(world: World, number: int, action_id: str = "email.send", who: Principal = ALPHA) -> tuple[str, ...]:
    """Submit independent jobs of one action and return their ids."""
    jobs = [world.job(f"s{n}", action_id=action_id) for n in range(number)]
    return (await world.submit(*jobs, who=who)).job_ids


async def test_no_more_run_than_a_cap_allows(world: World) -> None:
    """However often somebody claims; when one ends, one more may go, the oldest first."""
    ids = await many(world, 5)
    two = Cap(max_running=2)
    assert [lease.job.job_id for lease in await claim(world, send=two)] == list(ids[:2])
    assert await claim(world, send=two) == ()
    assert (await world.job_of(ids[2])).status is JobStatus.PENDING
    await world.run(ids[0])
    assert [lease.job.job_id for lease in await claim(world, send=two)] == [ids[2]]


@pytest.mark.parametrize("pattern", ["send", "email", "all"])
async def test_a_cap_counts_what_its_pattern_covers(world: World, pattern: str) -> None:
    """One action, a provider's actions, or everything; what it does not cover goes on."""
    await many(world, 3)
    await many(world, 3, "email.read")
    await many(world, 3, "emailer.send")
    leases = await claim(world, **{pattern: Cap(max_running=2)})
    expected = {"send": [2, 3, 3], "email": [2, 0, 3], "all": [2, 0, 0]}[pattern]
    taken = Counter(lease.job.action_id for lease in leases)
    assert [taken[each] for each in ("email.send", "email.read", "emailer.send")] == expected


async def test_of_several_caps_the_tightest_holds(world: World) -> None:
    """A job needs room under every rule that covers it."""
    await many(world, 4)
    await many(world, 4, "email.read")
    rules = {"send": Cap(max_running=1), "email": Cap(max_running=3), "all": Cap(max_running=100)}
    taken = Counter(lease.job.action_id for lease in await claim(world, **rules))
    assert taken == {"email.send": 1, "email.read": 2}


async def test_a_backlog_of_capped_jobs_hides_no_other_action(world: World) -> None:
    """Two hundred older jobs that may not go yet stand before one that may: it goes at once, also one at a time."""
    for _ in range(4):
        await many(world, 50)
    (other,) = await many(world, 1, "email.read")
    await claim(world, 1, send=Cap(max_running=1))
    assert [lease.job.job_id for lease in await claim(world, 1, send=Cap(max_running=1))] == [other]


@pytest.mark.parametrize("limit", [1, 2, 10])
async def test_a_capped_flood_delays_nobody_else(world: World, limit: int) -> None:
    """Many workspaces at their cap stand before one with a single job: it is in the very next batch."""
    people = [principal(f"busy{n}", f"key_{n}") for n in range(12)]
    caps: dict[str, Caps] = {who.workspace_id: {"*": Cap(max_running=1)} for who in people}
    for who in people:
        await many(world, 5, who=who)
    claimed = await world.dispatcher.claim("w", limit=100, caps=caps)
    assert len(claimed.leases) == 12
    (lone,) = await many(world, 1, who=BETA)
    claimed = await world.dispatcher.claim("w", limit=limit, caps=caps)
    assert [lease.job.job_id for lease in claimed.leases] == [lone]


async def test_what_a_cap_leaves_is_given_to_others(world: World) -> None:
    """A batch is filled although one workspace can give only a little of its share."""
    await many(world, 20)
    await many(world, 20, who=BETA)
    taken = Counter(lease.job.workspace_id for lease in await claim(world, 10, all=Cap(max_running=2)))
    assert taken == {"alpha": 2, "beta": 8}


async def test_a_lone_job_under_a_cap_goes_at_once(world: World) -> None:
    """A cap with room is no reason to wait."""
    (lone,) = await many(world, 1)
    rules = {"send": Cap(max_running=1, per_minute=1), "all": Cap(max_running=1, per_minute=1)}
    assert [lease.job.job_id for lease in await claim(world, **rules)] == [lone]


@pytest.mark.parametrize("end", ["done", "failed", "again", "back", "held", "lost"])
async def test_whatever_ends_a_run_makes_room(world: World, end: str) -> None:
    """Completed, failed, tried again, handed back, held or lost: it no longer runs, and whoever waits is woken."""
    first, second = await many(world, 2)
    one = Cap(max_running=1)
    with world.dispatcher.listen() as listener:
        (lease,) = await claim(world, send=one)
        assert await claim(world, send=one) == ()
        await listener.wait(0)
        if end == "held":
            await world.dispatcher.hold(lease.ref, HeldFor.DRIFT, "look", None)
        elif end == "lost":
            world.clock.advance(LEASE_S)
            await world.dispatcher.sweep()
        else:
            outcomes = {"done": done(), "failed": failure(), "again": again(world.at(3600)), "back": HandedBack()}
            await world.settle(lease, outcomes[end])
        assert await listener.wait(0), "nobody was woken"
    waiting = first if end in {"back", "lost"} else second
    assert [lease.job.job_id for lease in await claim(world, send=one)] == [waiting]


async def test_an_end_wakes_nobody_where_no_cap_keeps_a_job(world: World) -> None:
    """Also once a cap that kept one is gone: the next claim finds out."""
    await many(world, 3)
    with world.dispatcher.listen() as listener:
        (first,) = await claim(world, send=Cap(max_running=1))
        await claim(world, send=Cap(max_running=1))
        (second,) = await world.claim(limit=1)
        await listener.wait(0)
        await world.settle(first, done())
        await world.settle(second, done())
        assert not await listener.wait(0)


async def test_no_more_start_in_a_minute_than_a_cap_allows(world: World) -> None:
    """Whether they have ended or not; next_at says when the next may go, and then it goes."""
    ids = await many(world, 4)
    caps: dict[str, Caps] = {"alpha": {"email.send": Cap(per_minute=2)}}
    first = await world.dispatcher.claim("w", limit=1, caps=caps)
    await world.settle(first.leases[0], done())
    world.clock.advance(20)
    (second,) = (await world.dispatcher.claim("w", limit=9, caps=caps)).leases
    await world.settle(second, done())
    claimed = await world.dispatcher.claim("w", limit=9, caps=caps)
    assert (claimed.leases, claimed.next_at) == ((), world.at(40))
    world.clock.advance(39.999)
    assert (await world.dispatcher.claim("w", limit=9, caps=caps)).leases == ()
    world.clock.advance(0.001)
    claimed = await world.dispatcher.claim("w", limit=9, caps=caps)
    assert [lease.job.job_id for lease in claimed.leases] == [ids[2]]
    assert claimed.next_at == min(world.at(20), world.at(LEASE_S))


async def test_a_clock_that_is_set_back_lets_no_more_start(world: World) -> None:
    """What started at a later time still counts, until a minute after that time."""
    ids = await many(world, 2)
    (first,) = await claim(world, send=Cap(per_minute=1))
    await world.settle(first, done())
    world.clock.advance(-3600)
    for _ in range(2):
        assert await claim(world, send=Cap(per_minute=1)) == ()
        world.clock.advance(3659.999)
    world.clock.advance(-3659.998)
    assert [lease.job.job_id for lease in await claim(world, send=Cap(per_minute=1))] == [ids[1]]


async def test_in_no_minute_start_more_than_allowed(world: World) -> None:
    """Claimed at odd times over five minutes, whatever sixty seconds one looks at; and the cap is used up to a second."""
    await many(world, 50)
    began, started = world.clock.now(), []
    for step in range(300):
        world.clock.advance(0.7 + (step % 7) / 9)
        for lease in await claim(world, 3, send=Cap(per_minute=5)):
            started.append((world.clock.now() - began).total_seconds())
            await world.settle(lease, done())
    for moment in started:
        assert sum(moment <= other < moment + 60 for other in started) <= 5
    assert len(started) >= 5 * (world.clock.now() - began) // timedelta(seconds=62)


async def test_activity_is_what_the_caps_count(world: World) -> None:
    """What runs, by action, and what was started within the last minute; of the own workspace alone."""
    await many(world, 2)
    await many(world, 3, "email.read")
    await many(world, 1, who=BETA)
    await claim(world, all=Cap(per_minute=4))
    seen = await world.alpha.activity()
    assert seen.running == {"email.send": 2, "email.read": 2}
    assert {start.action_id: start.number for start in seen.started} == {"email.send": 2, "email.read": 2}
    assert (await world.beta.activity()).running == {"email.send": 1}
    assert (await world.beta.activity()).started == ()
    world.clock.advance(60)
    assert (await world.alpha.activity()).started == ()


async def test_workers_of_several_processes_count_together(backend: Backend, clock: FakeClock) -> None:
    """Sixteen claimers over two engines on one place: at no moment do more run than allowed, and all get done."""
    caps: dict[str, Caps] = {"alpha": {"*": Cap(max_running=3)}}
    seen: list[int] = []

    async def worker(engine: WorkEngine, name: str) -> int:
        finished, world = 0, World(engine, clock)
        while sum((await world.alpha.activity()).running.values()) or await world.alpha.queue_depth():
            for lease in (await engine.dispatcher.claim(name, limit=2, caps=caps)).leases:
                seen.append(sum((await world.alpha.activity()).running.values()))
                await world.settle(lease, done())
                finished += 1
        return finished

    async with backend.open(clock, IdFactory(clock)) as here, backend.open(clock, IdFactory(clock)) as there:
        for _ in range(2):
            await many(World(here, clock), 30)
        async with asyncio.timeout(30):
            shares = await asyncio.gather(*[worker((here, there)[n % 2], f"worker-{n}") for n in range(16)])
        assert (sum(shares), max(seen)) == (60, 3)
