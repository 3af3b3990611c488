"""What the tests of attacks share: an identity provider, and an installation that takes its tokens."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import FakeClock
from tests.security.issuer import Issuer, issuer, settings
from tests.web.house import House, open_house


@pytest.fixture
async def provider(clock: FakeClock, anyio_backend: str) -> AsyncIterator[Issuer]:
    """Run an identity provider."""
    async with issuer(clock) as made:
        yield made


@pytest.fixture
async def house(tmp_path: Path, clock: FakeClock, provider: Issuer) -> AsyncIterator[House]:
    """Open an installation with the workspace ``acme`` that takes the provider's tokens."""
    env: dict[str, Any] = settings(provider)
    async with open_house(tmp_path, clock=clock, **env) as opened:
        await opened.key()
        yield opened
