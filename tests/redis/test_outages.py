"""A server that is away, hangs or comes back: 503 within two seconds, nothing half done, and then everything goes on."""

import asyncio
import os
import signal
import time

import pytest

from steward.errors import ConfigurationError, StoreUnavailable
from steward.ids import IdFactory
from steward.work_store import Granted
from steward.work_stores.redis import open_redis_engine
from tests.conftest import FakeClock
from tests.contracts.builders import World
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_w144_what_was_answered_survives_a_kill(server: RedisServer, clock: FakeClock) -> None:
    """Killed and started again, the server has everything that was answered, and the same engine goes on with it."""
    async with open_redis_engine(server.url(), clock=clock, ids=IdFactory(clock)) as engine:
        world = World(engine, clock)
        submitted = await world.submit(world.job("s1"), world.job("s2", "s1"))
        lease = await world.start(submitted.job_ids[0])
        assert isinstance(await world.dispatch(lease), Granted)
        before = await world.visible()
        server.kill()
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await world.submit()
        with pytest.raises(StoreUnavailable):
            await engine.ping()
        assert time.monotonic() - began < 4
        server.start()
        assert await world.visible() == before
        await world.run(submitted.job_ids[0])
        await world.run(submitted.job_ids[1])


async def test_a_server_that_hangs_is_given_up_in_time(server: RedisServer, clock: FakeClock) -> None:
    """Stopped in its tracks: each call ends within two seconds; when it goes on, so does the engine."""
    async with open_redis_engine(server.url(), clock=clock, ids=IdFactory(clock)) as engine:
        world = World(engine, clock)
        await world.submit()
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            for call in (world.submit(), world.alpha.queue_depth(), engine.ping()):
                began = time.monotonic()
                with pytest.raises(StoreUnavailable):
                    await call
                assert time.monotonic() - began < 2.2
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        assert not (await world.submit()).duplicate


async def test_listeners_are_woken_when_the_server_is_back(server: RedisServer, clock: FakeClock) -> None:
    """Whoever waits over an outage is told to look again, and hears what happens from then on."""
    ids = IdFactory(clock)
    async with (
        open_redis_engine(server.url(), clock=clock, ids=ids) as here,
        open_redis_engine(server.url(), clock=clock, ids=ids) as there,
    ):
        with here.dispatcher.listen() as work, World(here, clock).alpha.listen() as events:
            while await events.wait(0.1):
                pass
            server.kill()
            server.start()
            assert await asyncio.gather(work.wait(10), events.wait(10)) == [True, True]
            while await events.wait(0.1) or await work.wait(0.1):
                pass
            await World(there, clock).submit()
            assert await asyncio.gather(work.wait(10), events.wait(10)) == [True, True]


async def test_opening_what_is_not_there(server: RedisServer, clock: FakeClock) -> None:
    """A server that is away is a 503, an address that is none a wrong setting."""
    url = server.url()
    server.kill()
    with pytest.raises(StoreUnavailable):
        async with open_redis_engine(url, clock=clock, ids=IdFactory(clock)):
            pass
    with pytest.raises(ConfigurationError) as refused:
        async with open_redis_engine("http://secret@example.com", clock=clock, ids=IdFactory(clock)):
            pass
    assert "secret" not in f"{refused.value}"


async def test_a_server_out_of_memory_refuses_and_keeps_what_it_has(server: RedisServer, clock: FakeClock) -> None:
    """Nothing of what it refuses is written; what it holds can be read; with room again, work goes on."""
    async with open_redis_engine(server.url(), clock=clock, ids=IdFactory(clock)) as engine:
        world = World(engine, clock)
        submitted = await world.submit()
        before = await world.visible()
        client = server.client()
        client.config_set("maxmemory", 1)
        with pytest.raises(StoreUnavailable):
            await world.submit()
        with pytest.raises(StoreUnavailable):
            await world.claim()
        assert await world.visible() == before
        client.config_set("maxmemory", 0)
        client.close()
        await world.run(submitted.job_ids[0])
