"""Plans of one step that come at the same moment go together, and what is wrong with one of them is nobody else's."""

import asyncio
import os
import signal
import time
from contextlib import closing
from typing import Any

import pytest

from steward.errors import IdempotencyKeyReused, StoreUnavailable
from steward.event import EventType
from steward.ids import IdFactory
from steward.work_store import Submitted
from steward.work_stores.redis import RedisWorkEngine, open_redis_engine
from steward.work_stores.redis.keys import key
from tests.conftest import FakeClock
from tests.contracts.builders import ALPHA, BETA, World, action_claim, request_claim
from tests.cutting import assert_made_once, cutting, send_all
from tests.redis.test_round_trips import END, asked_of
from tests.redis_server import RedisServer, shared_server
from tests.turns import turn

pytestmark = pytest.mark.anyio

MANY = 150


async def _warmed_up(world: World) -> None:
    """Let the server know both scripts."""
    await _together(world)


async def _together(world: World) -> tuple[Submitted, Submitted]:
    return await asyncio.gather(world.submit(), world.submit())


async def test_a_crowd_of_lone_plans_takes_few_calls(
    engine: RedisWorkEngine, world: World, raw: Any, database: int
) -> None:
    """One goes at once and the others a hundred at a time; each has its own answer, number and position, and every index agrees."""
    await _warmed_up(world)
    with closing(raw.client()) as other, raw.monitor() as watch:
        found = await asyncio.gather(
            *(
                world.submit(who=BETA if number % 3 == 0 else ALPHA, claims=[action_claim(f"a{number}")])
                for number in range(MANY)
            )
        )
        other.echo(END)
        asked = asked_of(watch, database)
    assert asked == ["EVALSHA"] * 3
    assert not any(one.duplicate for one in found)
    of_beta = [one.queue_depth for one in found[::3]]
    assert of_beta == list(range(1, len(of_beta) + 1))
    assert (await engine.mend(put_right=False)).differences == {}
    log = await world.log(BETA)
    assert [event.plan_id for event in log] == [one.plan_id for one in found[::3]]
    every = await engine.dispatcher.events_after(0, limit=1_000)
    assert [event.type for event in every] == [EventType.PLAN_SUBMITTED] * (MANY + 2)
    assert len({event.position for event in every}) == len(every)
    assert len(await world.claim()) == MANY + 2
    assert (await engine.mend(put_right=False)).differences == {}


async def test_what_is_wrong_with_one_concerns_no_other(engine: RedisWorkEngine, world: World, raw: Any) -> None:
    """A name that is reused, a plan that is sent twice, and a workspace with a foreign key, among others in one call."""
    await _warmed_up(world)
    raw.set(key("plans_in", "beta", "running"), "foreign")
    again = world.submission(claims=[request_claim("again")])
    plain, named, reused, once, twice, foreign, last = await asyncio.gather(
        world.submit(),
        world.submit(claims=[action_claim("name", payload="a")]),
        world.submit(claims=[action_claim("name", payload="b")]),
        world.alpha.submit(again),
        world.alpha.submit(again),
        world.submit(who=BETA),
        world.submit(claims=[action_claim("last")]),
        return_exceptions=True,
    )
    assert isinstance(reused, IdempotencyKeyReused)
    assert isinstance(foreign, StoreUnavailable)
    for one in (plain, named, once, twice, last):
        assert isinstance(one, Submitted)
        assert (await world.plan_of(one.plan_id)).job_ids == one.job_ids
        assert one.duplicate is (one is twice)
    assert isinstance(once, Submitted)
    assert isinstance(twice, Submitted)
    assert once.plan_id == twice.plan_id
    raw.delete(key("plans_in", "beta", "running"))
    assert (await engine.mend(put_right=False)).differences == {}
    assert raw.keys("ai:*beta*") == []


async def test_what_was_known_before_is_known_to_a_crowd(world: World) -> None:
    """A request that is sent again behind others, its key with something else, and a plan that is there: no second plan."""
    await _warmed_up(world)
    first, plan = await world.submit(claims=[request_claim("mine")]), world.plan()
    drafted = world.submission(plan=plan)
    await world.alpha.draft(plan)
    _, again, reused, theirs, begun = await asyncio.gather(
        world.submit(),
        world.submit(claims=[request_claim("mine")]),
        world.submit(claims=[request_claim("mine", "b")]),
        world.submit(who=BETA, claims=[request_claim("mine", "b")]),
        world.alpha.submit(drafted),
        return_exceptions=True,
    )
    assert isinstance(again, Submitted)
    assert (again.duplicate, again.plan_id, again.job_ids) == (True, first.plan_id, first.job_ids)
    assert isinstance(reused, IdempotencyKeyReused)
    assert isinstance(theirs, Submitted)
    assert not theirs.duplicate
    assert isinstance(begun, Submitted)
    assert (begun.duplicate, begun.plan_id) == (False, plan.plan_id)
    assert len((await world.alpha.list_plans(limit=9)).plans) == 5
    assert len((await world.beta.list_plans(limit=9)).plans) == 1


@pytest.mark.parametrize("number", [2, 3, 102])
@pytest.mark.parametrize("field", ["lean", "filling"])
async def test_where_no_plan_is_carried_each_of_a_crowd_goes_its_own_way(
    world: World, raw: Any, field: str, number: int
) -> None:
    """While an older version may be at work, or old copies are written again: everybody is answered, also one who waits alone."""
    await _warmed_up(world)
    raw.hdel(key("schema"), "lean") if field == "lean" else raw.hset(key("schema"), field, "1")
    async with asyncio.timeout(20):
        found = await asyncio.gather(*(world.submit(claims=[request_claim(f"r{one}")]) for one in range(number)))
    assert len({one.plan_id for one in found}) == number
    for one in found:
        assert not one.duplicate
        assert not raw.hexists(key("job", "alpha", one.job_ids[0]), "carried")


@pytest.mark.slow
async def test_whoever_waits_behind_one_hears_in_time_that_redis_is_away(server: RedisServer, clock: FakeClock) -> None:
    """A server that hangs: nobody waits for the one before and then once more for himself; when it goes on, so do they."""
    async with open_redis_engine(server.url(), clock=clock, ids=IdFactory(clock)) as engine:
        world = World(engine, clock)
        await _warmed_up(world)
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            ends = await asyncio.gather(*(world.submit() for _ in range(5)), return_exceptions=True)
            assert time.monotonic() - began < 2.2
            assert [type(end) for end in ends] == [StoreUnavailable] * 5
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        await asyncio.gather(*(world.submit() for _ in range(5)))


@pytest.mark.slow
async def test_whoever_waits_behind_a_group_hears_in_time_as_well(server: RedisServer, clock: FakeClock) -> None:
    """A hundred are under way as the server hangs: those behind them do not wait as long once more."""
    async with open_redis_engine(server.url(), clock=clock, ids=IdFactory(clock)) as engine:
        world, company = World(engine, clock), engine._shared.company
        await _warmed_up(world)
        company._under_way = True
        asking = [asyncio.create_task(world.submit()) for _ in range(MANY)]
        while len(company._waiting) < MANY:
            await turn()
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            await company._submit_waiting()
            ends = await asyncio.gather(*asking, return_exceptions=True)
            assert time.monotonic() - began < 2.2
            assert [type(end) for end in ends] == [StoreUnavailable] * MANY
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        await asyncio.gather(*(world.submit() for _ in range(5)))


async def test_what_is_refused_to_the_first_is_refused_to_nobody_else(world: World, raw: Any) -> None:
    """Others that waited for its answer go on, though it heard what somebody hears when Redis is away."""
    await _warmed_up(world)
    raw.set(key("plans_in", "beta", "running"), "foreign")
    ends = await asyncio.gather(world.submit(who=BETA), *(world.submit() for _ in range(3)), return_exceptions=True)
    assert [type(end) for end in ends] == [StoreUnavailable, Submitted, Submitted, Submitted]


@pytest.mark.parametrize("under_way", [False, True])
async def test_whoever_waits_hears_that_the_call_is_broken_off(
    engine: RedisWorkEngine, world: World, under_way: bool
) -> None:
    """As the whole process is about to end, say: nobody is left without an answer, and who comes then goes as before."""
    await _warmed_up(world)
    company = engine._shared.company
    company._together, company._going = None, []
    first, *others = [asyncio.create_task(world.submit()) for _ in range(MANY)]
    while company._together is None or (under_way and not company._going):
        await turn()
    assert company._together.cancel()
    async with asyncio.timeout(20):
        assert isinstance(await first, Submitted)
        ends = await asyncio.gather(*others, return_exceptions=True)
        assert {type(end) for end in ends} == {StoreUnavailable}
        assert len({(await world.submit()).plan_id, *[one.plan_id for one in await _together(world)]}) == 3
    assert (await engine.mend(put_right=False)).differences == {}


async def test_w11_requests_are_made_once_however_often_connections_are_cut(
    engine: RedisWorkEngine, world: World, database: int
) -> None:
    """Alone or together, sent again by the engine or by the client: nothing is lost, made twice or somebody else's."""
    with closing(shared_server().client(database)) as client:
        own = client.client_id()

        def cut() -> int:
            ids = [one["id"] for one in client.client_list() if int(one["db"]) == database and int(one["id"]) != own]
            return sum(int(client.client_kill_filter(_id=one)) for one in ids)

        with cutting(cut) as cuts:
            made = await send_all(world)
    assert sum(cuts) > 0
    await assert_made_once(world, made)
    assert (await engine.mend(put_right=False)).differences == {}
