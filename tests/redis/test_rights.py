"""The user with least rights that the documentation describes can do all that the engine does, and nothing else."""

import asyncio
import re
from pathlib import Path

import pytest
from redis.exceptions import NoPermissionError

from steward.ids import IdFactory
from steward.work_stores.redis import open_redis_engine
from tests.conftest import FakeClock
from tests.contracts.builders import World
from tests.redis.history import live
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "redis.md"


async def test_the_documented_user_suffices(server: RedisServer, clock: FakeClock) -> None:
    """A whole history, a purge, a move and mending under that user; other keys are out of its reach."""
    rights = re.search(r"^ACL SETUSER steward on >(\S+) (.+)$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert rights is not None
    client = server.client()
    client.execute_command("ACL", "SETUSER", "steward", "on", f">{rights[1]}", *rights[2].split())
    url = f"redis://steward:{rights[1]}@127.0.0.1:{server.port}/0"
    async with open_redis_engine(url, clock=clock, ids=IdFactory(clock)) as engine:
        world = World(engine, clock)
        with engine.dispatcher.listen() as work, engine.dispatcher.hear_events() as events, world.alpha.listen() as own:
            await live(world)
            assert await asyncio.gather(work.wait(5), events.wait(5), own.wait(5)) == [True] * 3
            async with open_redis_engine(server.url(), clock=clock, ids=IdFactory(clock)) as other:
                while await events.wait(0.1) or await own.wait(0.1):
                    pass
                await World(other, clock).submit()
                assert await asyncio.gather(events.wait(5), own.wait(5)) == [True] * 2
        await world.visible()
        await engine.mend()
        assert await engine.holds_work()
        await engine.continue_after(await engine.log_ends())
        clock.advance(30 * 24 * 3600)
        assert await engine.dispatcher.purge(24 * 3600) > 0
    client.set("other", "secret")
    client.execute_command("AUTH", "steward", rights[1])
    for forbidden in (("GET", "other"), ("FLUSHALL",), ("CONFIG", "SET", "appendonly", "no"), ("KEYS", "*")):
        with pytest.raises(NoPermissionError):
            client.execute_command(*forbidden)
    client.close()
