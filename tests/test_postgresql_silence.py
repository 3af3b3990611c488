"""A PostgreSQL that is away or says nothing: whoever waits is told within two seconds, and nobody waits for it twice."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection

from steward.database import Database, bell_for
from steward.errors import StoreUnavailable
from steward.ids import IdFactory
from steward.work_stores.sql import SqlWorkEngine, open_sql_engine
from tests.conftest import FakeClock
from tests.contracts.builders import World
from tests.postgresql import PostgresServer

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """Return a server that a test may stop."""
    started = PostgresServer()
    yield started
    started.remove()


def look(connection: Connection) -> Any:
    """Ask the server something."""
    return connection.exec_driver_sql("SELECT 1").scalar()


async def test_a_server_that_is_not_there_is_unavailable_at_once() -> None:
    """Reads, writes and the ping all say so, and closing works."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        database = Database(f"postgresql://steward:secret@127.0.0.1:{nobody.getsockname()[1]}/steward")
        for attempt in (database.read(look), database.write(look), database.ping()):
            with pytest.raises(StoreUnavailable):
                await attempt
        await database.aclose()


async def test_a_server_that_does_not_answer_keeps_nobody_waiting_twice() -> None:
    """It takes connections and says nothing: of a hundred who ask at once all are told when the first is, after 2 s."""
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(100)
        database = Database(f"postgresql://steward@127.0.0.1:{mute.getsockname()[1]}/steward")
        loop = asyncio.get_running_loop()
        began = loop.time()
        asked = [*(database.read(look) for _ in range(50)), *(database.write(look) for _ in range(50))]
        told = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(answer) for answer in told} == {StoreUnavailable}
        assert loop.time() - began < 6.0, "a hundred waits of 2 s, four at a time, would be 50"
        await database.aclose()


async def test_a_tenant_is_told_that_a_server_does_not_answer() -> None:
    """It takes connections and says nothing: whoever reads or writes hears of it within two seconds."""
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(100)
        clock, loop = FakeClock(), asyncio.get_running_loop()
        database = Database(f"postgresql://steward@127.0.0.1:{mute.getsockname()[1]}/steward")
        bell = bell_for(database, None)
        world = World(SqlWorkEngine(database, bell, clock), clock)
        began = loop.time()
        asked = (world.alpha.get_job("job_x"), world.submit(), world.submit(), world.alpha.cancel_job("job_x"))
        told = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(answer) for answer in told} == {StoreUnavailable}
        assert loop.time() - began < 2.0
        bell.close()
        await database.aclose()


async def test_a_server_that_falls_silent_is_told_of_within_two_seconds(
    own_server: PostgresServer, clock: FakeClock
) -> None:
    """On connections that are open: tenants and the directory hear of it; when it speaks again, all goes on."""
    url, loop = own_server.url(own_server.new_database()), asyncio.get_running_loop()
    async with open_sql_engine(url, clock=clock, ids=IdFactory(clock), home=None) as engine:
        world, database = World(engine, clock), engine._engine.database
        first = await world.submit()
        with own_server.frozen():
            began = loop.time()
            asked = (
                *(world.submit(), world.alpha.get_job(first.job_ids[0]), world.alpha.cancel_job(first.job_ids[0])),
                *(database.write(look), database.read(look), engine.ping()),
            )
            told = await asyncio.gather(*asked, return_exceptions=True)
            assert {type(answer) for answer in told} == {StoreUnavailable}
            assert loop.time() - began < 2.1
        assert not (await world.submit()).duplicate
        assert await world.alpha.get_job(first.job_ids[0]) is not None
