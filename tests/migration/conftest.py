"""A real server with an empty database, and engines that start on it as the settings of a phase would have them."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, closing
from typing import Any

import pytest

from steward.ids import IdFactory
from steward.key_schema import Adopt, Phase
from steward.work_stores.redis import RedisWorkEngine, SchemaStart, open_redis_engine
from steward.work_stores.redis.legacy.phases import Switch
from tests.conftest import FakeClock
from tests.contracts.builders import World
from tests.redis_server import shared_server

Open = Callable[..., AbstractAsyncContextManager[RedisWorkEngine]]


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
def start(database: int, clock: FakeClock) -> Open:
    """Return what starts an engine on that database."""

    def opened(
        switch: Switch | None = None, adopt: Adopt | None = None, **more: Any
    ) -> AbstractAsyncContextManager[RedisWorkEngine]:
        url = shared_server().url(database)
        given = SchemaStart(switch, adopt)
        return open_redis_engine(url, clock=clock, ids=IdFactory(clock), safety="fast", schema=given, **more)

    return opened


@pytest.fixture(params=[Phase.LEGACY_READ, Phase.NEW_READ])
def phase(request: pytest.FixtureRequest) -> Phase:
    """Return each phase in which both schemas are written."""
    return request.param


@pytest.fixture
async def world(start: Open, phase: Phase, clock: FakeClock) -> AsyncIterator[World]:
    """Open an engine in that phase, on an empty database."""
    async with start("off" if phase is Phase.LEGACY_READ else "on") as engine:
        yield World(engine, clock)
