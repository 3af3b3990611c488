"""Every test of this folder runs once for each engine in ``BACKENDS``."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from steward.ids import IdFactory
from steward.work_store import WorkEngine
from tests.conftest import FakeClock
from tests.contracts.backends import BACKENDS, Backend
from tests.contracts.builders import Ear, World


async def _open_once(backend: Backend) -> None:
    clock = FakeClock()
    async with backend.open(clock, IdFactory(clock)):
        pass


@pytest.fixture(scope="session", params=sorted(BACKENDS))
def kind(request: pytest.FixtureRequest) -> str:
    """Return the kind of engine under test."""
    return request.param


@pytest.fixture(scope="session")
def template(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which an engine of this kind has been opened and closed again."""
    folder = tmp_path_factory.mktemp("t")
    asyncio.run(_open_once(BACKENDS[kind](folder, None)))
    return folder


@pytest.fixture
def backend(kind: str, template: Path, tmp_path_factory: pytest.TempPathFactory) -> Backend:
    """Return an empty place for work."""
    return BACKENDS[kind](tmp_path_factory.mktemp("w"), template)


@pytest.fixture
def ear() -> Ear:
    """Return the engine's sink."""
    return Ear()


@pytest.fixture
async def engine(backend: Backend, clock: FakeClock, ear: Ear) -> AsyncIterator[WorkEngine]:
    """Open an engine of each kind on an empty place; its deadlines follow ``clock``."""
    async with backend.open(clock, IdFactory(clock), [ear]) as opened:
        yield opened


@pytest.fixture
async def world(engine: WorkEngine, clock: FakeClock) -> World:
    """Return the engine with everything a test needs beside it."""
    return World(engine, clock)
