"""The installation that most tests of the web room share in shape: one per test, empty, in a folder of its own."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.postgresql import server
from tests.redis_server import shared_server
from tests.web.house import House, open_house


@pytest.fixture
async def house(tmp_path: Path, anyio_backend: str) -> AsyncIterator[House]:
    """Return an open installation without a worker."""
    async with open_house(tmp_path) as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgresql", "redis"])
async def anywhere(request: pytest.FixtureRequest, tmp_path: Path, anyio_backend: str) -> AsyncIterator[House]:
    """Return the same with its work in each place that work can live in."""
    env: dict[str, Any] = {}
    name = ""
    if request.param == "postgresql":
        name = server().lend()
        env = {"DATABASE_URL": server().url(name)}
    elif request.param == "redis":
        redis = shared_server()
        env = {"REDIS_URL": redis.url(redis.new_database()), "REDIS_EFFECT_SAFETY": "fast"}
    async with open_house(tmp_path, **env) as opened:
        yield opened
    if name:
        server().give_back(name)
