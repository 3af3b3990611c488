"""Backup and restore, by the scripts that are shipped: everything is back, jobs go on, and nothing happens twice."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from steward.action import ActionContext
from steward.actions import action
from steward.job import JobStatus
from tests import postgresql
from tests.conftest import FakeClock
from tests.deploy_files import DEPLOY
from tests.installation import Installation, installation, planned
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


def run(
    script: str, folder: Path, env: dict[str, str], redis: RedisServer | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a script of ``deploy/`` on a backup's folder, with PostgreSQL's programs of the tests before the machine's."""
    programs = f"{postgresql._wheel() / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        [str(DEPLOY / script), str(folder), *([str(redis.folder)] if redis is not None else [])],
        env={**os.environ, "PATH": programs, **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def done() -> list[str]:
    """Return what has been done in the world, in order."""
    return []


@asynccontextmanager
async def house_in(home: Path, clock: FakeClock, env: dict[str, str], done: list[str]) -> AsyncIterator[Installation]:
    """Open an installation with one action, which takes note of what it does."""

    @action("note.down", effect="write", retry="none")
    async def note(ctx: ActionContext, what: str) -> str:
        done.append(what)
        return what

    async with installation(home, clock=clock, env=env) as house:
        house.add(note)
        yield house


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """Start a Redis that keeps what it is given."""
    server = RedisServer("--appendonly", "yes", "--appendfsync", "always")
    yield server
    server.stop()


async def _there_and_back(
    tmp_path: Path,
    clock: FakeClock,
    done: list[str],
    *,
    env: dict[str, str],
    back: dict[str, str],
    redis: RedisServer | None = None,
) -> None:
    """Finish one job, leave one that is ready; back up; lose everything; restore; then each was done once."""
    home, new_home, kept = tmp_path / "home", tmp_path / "new", tmp_path / "backup"
    async with house_in(home, clock, env, done) as house:
        who = await house.member()
        first = await house.submit(planned("note.down", what="first"))
        await house.run_until_settled(first.plan_id)
        second = await house.submit(planned("note.down", what="second"))
        copied = run("backup.sh", kept, {**env, "STEWARD_HOME": str(home)}, redis)
        assert copied.returncode == 0, copied.stderr
        before = await house.jobs(first.plan_id, who)
    shutil.rmtree(home)
    if redis is not None:
        redis.kill()
        shutil.rmtree(redis.folder / "appendonlydir")
    restored = run("restore.sh", kept, {**back, "STEWARD_HOME": str(new_home)}, redis)
    assert restored.returncode == 0, restored.stderr
    if redis is not None:
        redis.start()
    async with house_in(new_home, clock, back, done) as house:
        assert await house.jobs(first.plan_id, who) == before
        await house.run_until_settled(second.plan_id, who)
        assert [job.status for job in await house.jobs(second.plan_id, who)] == [JobStatus.COMPLETED]
    assert done == ["first", "second"]


async def test_sqlite_comes_back(tmp_path: Path, clock: FakeClock, done: list[str]) -> None:
    """While it is in use, with everything in one file."""
    await _there_and_back(tmp_path, clock, done, env={}, back={})


async def test_postgresql_comes_back(tmp_path: Path, clock: FakeClock, done: list[str]) -> None:
    """Into another database, by the user who owns the tables, row-level security in force."""
    server = postgresql.server()
    env, back = ({"DATABASE_URL": server.url(server.new_database())} for _ in range(2))
    await _there_and_back(tmp_path, clock, done, env=env, back=back)


async def test_redis_comes_back(tmp_path: Path, clock: FakeClock, done: list[str], redis: RedisServer) -> None:
    """The append-only files of a running server beside SQLite, into one that has lost its own."""
    env = {"REDIS_URL": redis.url()}
    await _there_and_back(tmp_path, clock, done, env=env, back=env, redis=redis)


async def test_nothing_is_restored_over_what_is_there(tmp_path: Path, clock: FakeClock, done: list[str]) -> None:
    """A home that is in use, and a backup that is not complete, are refused, and nothing has changed."""
    home, kept = tmp_path / "home", tmp_path / "kept"
    async with house_in(home, clock, {}, done) as house:
        submitted = await house.submit(planned("note.down", what="first"))
        assert run("backup.sh", kept, {"STEWARD_HOME": str(home)}).returncode == 0
        assert run("restore.sh", kept, {"STEWARD_HOME": str(home)}).returncode == 1
        assert len(await house.jobs(submitted.plan_id)) == 1
    (kept / "complete").unlink()
    refused = run("restore.sh", kept, {"STEWARD_HOME": str(tmp_path / "new")})
    assert (refused.returncode, (tmp_path / "new").exists()) == (1, False)
