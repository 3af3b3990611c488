"""The installation that most tests of the web room share in shape: one per test, empty, in a folder of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.web.house import House, open_house


@pytest.fixture
async def house(tmp_path: Path, anyio_backend: str) -> AsyncIterator[House]:
    """Return an open installation without a worker."""
    async with open_house(tmp_path) as opened:
        yield opened
