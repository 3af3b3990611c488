"""Behind Sentinels: another server takes over, and the same engine goes on with it."""

import asyncio

import pytest

from steward.errors import StoreUnavailable
from steward.ids import IdFactory
from steward.work_store import Granted
from steward.work_stores.redis import RedisWorkEngine, open_redis_engine
from tests.conftest import FakeClock
from tests.contracts.builders import World
from tests.redis_server import RedisServer
from tests.sentinel import sentinels

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def _answers(engine: RedisWorkEngine) -> None:
    """Return once the engine answers; each refusal is a 503, and takes its time by itself."""
    async with asyncio.timeout(15):
        while True:
            try:
                return await engine.ping()
            except StoreUnavailable:
                continue


async def test_a_failover_loses_nothing_that_a_replica_has(clock: FakeClock) -> None:
    """Submit, start and dispatch, kill the primary: the new one knows all of it, listeners are woken, and the job ends once."""
    with sentinels() as watched:
        async with open_redis_engine(watched.url, clock=clock, ids=IdFactory(clock)) as engine:
            world = World(engine, clock)
            submitted = await world.submit(world.job("s1"), world.job("s2", "s1"))
            lease = await world.start(submitted.job_ids[0])
            assert isinstance(await world.dispatch(lease), Granted)
            before = await world.visible()
            first = watched.primary()
            with engine.dispatcher.listen() as bell:
                while await bell.wait(0.1):
                    pass
                first.kill()
                second = await asyncio.to_thread(watched.failed_over)
                await _answers(engine)
                assert second.port != first.port
                assert await world.visible() == before
                assert await bell.wait(10)
            assert isinstance(await world.dispatch(lease), Granted)
            await world.run(submitted.job_ids[0])
            await world.run(submitted.job_ids[1])


async def test_strict_waits_for_a_replica(clock: FakeClock) -> None:
    """With no replica left, an effect that nobody could repeat may not begin; everything else goes on; 'fast' begins it."""
    with sentinels(replicas=1) as watched:
        watched.servers[1].kill()
        async with open_redis_engine(watched.url, clock=clock, ids=IdFactory(clock)) as engine:
            world = World(engine, clock)
            lease = await world.start((await world.submit()).job_ids[0])
            with pytest.raises(StoreUnavailable, match="replica"):
                await world.dispatch(lease)
        async with open_redis_engine(watched.url, clock=clock, ids=IdFactory(clock), safety="fast") as engine:
            assert isinstance(await World(engine, clock).dispatch(lease), Granted)


async def test_sentinels_that_are_away(server: RedisServer, clock: FakeClock) -> None:
    """No Sentinel there, or none that knows the service: a 503 in time."""
    for url in (
        "redis+sentinel://127.0.0.1:1,127.0.0.1:2/steward",
        f"redis+sentinel://127.0.0.1:{server.port}/steward",
    ):
        with pytest.raises(StoreUnavailable):
            async with open_redis_engine(url, clock=clock, ids=IdFactory(clock)):
                pass
