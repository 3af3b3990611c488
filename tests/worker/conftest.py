"""A whole installation on a clock that only the test moves, for every test of the worker."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import FakeClock
from tests.installation import Installation, installation


@pytest.fixture
async def house(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Installation]:
    """Return an open installation."""
    async with installation(tmp_path, clock=clock) as inst:
        yield inst
