"""What only the Redis engine promises: resending, durability, outages, damage and mending, on real servers."""

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any

import pytest

from steward.ids import IdFactory
from steward.work_stores.redis import RedisWorkEngine, open_redis_engine
from tests.conftest import FakeClock
from tests.contracts.builders import World
from tests.redis_server import RedisServer, shared_server


@pytest.fixture
def database() -> int:
    """Return the number of an empty database of the shared server."""
    return shared_server().new_database()


@pytest.fixture
def raw(database: int) -> Iterator[Any]:
    """Return a plain client on that database, to look past the engine."""
    with closing(shared_server().client(database)) as client:
        yield client


@pytest.fixture
async def engine(database: int, clock: FakeClock) -> AsyncIterator[RedisWorkEngine]:
    """Open an engine on that database."""
    url = shared_server().url(database)
    async with open_redis_engine(url, clock=clock, ids=IdFactory(clock), safety="fast") as opened:
        yield opened


@pytest.fixture
async def world(engine: RedisWorkEngine, clock: FakeClock) -> World:
    """Return the engine with everything a test needs beside it."""
    return World(engine, clock)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """Start a server of the test's own, which puts every write on disk before it answers."""
    own = RedisServer("--appendonly", "yes", "--appendfsync", "always")
    yield own
    own.stop()
