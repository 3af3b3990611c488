"""The order of events over all workspaces is kept in runs, one for each script; readers see single events."""

import itertools
from typing import Any

import pytest

from steward.work_store import MIN_RETENTION_S
from steward.work_stores.redis import RedisWorkEngine
from steward.work_stores.redis.keys import key
from tests.conftest import FakeClock
from tests.contracts.builders import BETA, World
from tests.redis.history import live

pytestmark = pytest.mark.anyio


async def test_reading_can_go_on_after_any_event(engine: RedisWorkEngine, world: World) -> None:
    """Whatever position a reader stopped at, also within a run, and however little it takes at once: no event twice, none missing."""
    await live(world)
    await world.submit(world.job("s1"), world.job("s2"), world.job("s3"))
    await world.submit(world.job("s1"), world.job("s2"), who=BETA)
    await world.claim()
    every = await engine.dispatcher.events_after(0, limit=1000)
    assert all(one.position < two.position for one, two in itertools.pairwise(every))
    for number, event in enumerate(every, 1):
        assert await engine.dispatcher.events_after(event.position, limit=1000) == every[number:]
        assert await engine.dispatcher.events_after(event.position, limit=3) == every[number : number + 3]


async def test_runs_go_with_the_last_of_their_events(
    engine: RedisWorkEngine, world: World, raw: Any, clock: FakeClock
) -> None:
    """After a purge no run is left whose events are all gone, and those of plans that stay can still be read."""
    ended = [await world.submit(), await world.submit()]
    for submitted in ended:
        await world.run(submitted.job_ids[0])
    clock.advance(MIN_RETENTION_S + 1)
    staying = await world.submit()
    assert await engine.dispatcher.purge(MIN_RETENTION_S) == len(ended)
    left = await engine.dispatcher.events_after(0, limit=1000)
    assert {event.plan_id for event in left} == {staying.plan_id}
    assert raw.xlen(key("all_events")) == 1
