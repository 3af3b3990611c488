"""A server that is away, hangs or comes back: 503 within two seconds, nothing half done, and then everything goes on."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from steward.errors import ConfigurationError, StoreUnavailable
from steward.identity import Role
from steward.ids import IdFactory
from steward.work_store import Granted
from steward.work_stores.redis import open_redis_engine
from tests.conftest import FakeClock
from tests.contracts.builders import World
from tests.redis_server import RedisServer
from tests.web.house import assert_problem, echo, open_house

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


async def test_w126_a_server_that_hangs_is_given_up_in_time(server: RedisServer, clock: FakeClock) -> None:
    """Stopped in its tracks: each call ends within two seconds and holds nobody else up; when it goes on, so does the engine."""
    async with open_redis_engine(server.url(), clock=clock, ids=IdFactory(clock)) as engine:
        world = World(engine, clock)
        await world.submit()
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            for call in (world.submit(), world.alpha.queue_depth(), engine.ping()):
                began, turns = time.monotonic(), 0
                asked = asyncio.ensure_future(call)
                while not asked.done():
                    await asyncio.to_thread(lambda: None)
                    turns += 1
                with pytest.raises(StoreUnavailable):
                    await asked
                assert time.monotonic() - began < 2.2
                assert turns > 50, "the loop stood still"
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        assert not (await world.submit()).duplicate


async def test_w44_over_http_a_server_that_is_gone_is_503_and_never_an_empty_success(
    server: RedisServer, tmp_path: Path
) -> None:
    """Every route that looks at work says so, with when to come back; readiness, too. Back again, nothing is missing."""
    job = "job_" + "0" * 24
    async with open_house(tmp_path, REDIS_URL=server.url()) as house:
        client = await house.client(role=Role.ADMIN)
        done = (await client.post("/ai/execute", json={"actions": [echo()]})).json()
        server.kill()
        paths = (
            "/ai/jobs",
            "/ai/plans",
            "/ai/approvals",
            f"/ai/jobs/{job}",
            f"/ai/plans/{done['plan_id']}",
            "/ai/events",
        )
        asked = [client.get(path) for path in paths]
        asked += [
            client.post("/ai/execute", json={"actions": [echo()]}),
            client.post("/ai/plan", json={"prompt": "echo x"}),
        ]
        for answer in await asyncio.gather(*asked):
            problem = assert_problem(answer, 503, StoreUnavailable.code)
            assert int(answer.headers["retry-after"]) >= 1
            assert str(server.port) not in problem["detail"]
        document = assert_problem(await client.get("/readyz"), 503, "not_ready")
        assert [check["name"] for check in document["checks"] if not check["ok"]] == ["store"]
        assert (await client.get("/healthz")).status_code == 200
        server.start()
        assert [found["job_id"] for found in (await client.get("/ai/jobs")).json()["jobs"]] == done["job_ids"]


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


async def test_w59_w119_opening_what_is_not_there(server: RedisServer, clock: FakeClock) -> None:
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
