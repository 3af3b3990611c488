"""What ``steward doctor`` says of Redis."""

import re
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from steward.cli.checks import Finding, examine
from steward.cli.redis_checks import examine_redis
from steward.ids import IdFactory
from steward.settings import Settings
from steward.work_stores.redis import open_redis_engine
from tests.conftest import FakeClock
from tests.contracts.builders import World
from tests.installation import SECRET
from tests.redis.history import live
from tests.redis_server import RedisServer, shared_server

pytestmark = pytest.mark.slow

DERIVED: Final = {
    "lists of jobs by status": "ai:index:jobs:W:.+",
    "lists of plans by status": "ai:index:plans:W:.+",
    "lists of approvals": "ai:index:approvals:W:.+",
    "ready jobs by action": "ai:ready:W:.+",
    "ready actions": "ai:ready:W",
    "counts of running jobs": "ai:running:W",
    "line of workspaces": "ai:queue:pending",
    "schedules": "ai:scheduled:W",
    "what is due": "ai:due",
    "leases": "ai:leases",
    "approvals that expire": "ai:expiry:approvals",
    "drafts that expire": "ai:expiry:drafts",
    "plans that are purged": "ai:ended:plans",
}
"""What each derived structure is called, and where it is; W stands for any workspace."""


def _keys(raw: Any, pattern: str) -> list[bytes]:
    """Return the keys that match."""
    wanted = re.compile(pattern.replace("W", "[^:]+").encode())
    return sorted(name for name in raw.scan_iter() if wanted.fullmatch(name))


def _of_redis(monkeypatch: pytest.MonkeyPatch, home: Path, **variables: str) -> list[Finding]:
    """Return the findings about Redis with these settings."""
    for name, value in {"STEWARD_HOME": str(home), "STEWARD_SECRET_KEY": SECRET, **variables}.items():
        monkeypatch.setenv(name, value)
    return [finding for finding in examine() if finding.check == "redis"]


def test_doctor_looks_at_redis(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: RedisServer) -> None:
    """Nothing where work is not in Redis; else whether it answers and would lose work, never with the password."""
    assert _of_redis(monkeypatch, tmp_path) == []
    (sound,) = _of_redis(monkeypatch, tmp_path, REDIS_URL=server.url())
    assert sound.level == "ok"
    with closing(server.client()) as raw:
        assert not raw.keys()
    (lossy,) = _of_redis(monkeypatch, tmp_path, REDIS_URL=shared_server().url())
    assert (lossy.level, "appendonly" in lossy.text) == ("fail", True)
    server.kill()
    (away,) = _of_redis(monkeypatch, tmp_path, REDIS_URL=f"redis://:hush@127.0.0.1:{server.port}/0")
    assert away.level == "fail"
    assert "hush" not in f"{away}"


@pytest.mark.anyio
async def test_doctor_compares_what_is_derived_and_repairs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: RedisServer, clock: FakeClock
) -> None:
    """Each derived structure is damaged in turn: it is told by its name, put right when asked, and then all agrees."""
    for name, value in {"STEWARD_HOME": str(tmp_path), "STEWARD_SECRET_KEY": SECRET, "REDIS_URL": server.url()}.items():
        monkeypatch.setenv(name, value)
    settings = Settings.load()

    async def looked(*, repair: bool) -> Finding:
        redis, derived = await examine_redis(settings, repair=repair)
        assert redis.level == "ok"
        return derived

    async with open_redis_engine(server.url(), clock=clock, ids=IdFactory(clock)) as engine:
        await live(World(engine, clock))
    assert (await looked(repair=False)).counts == {}
    with closing(server.client()) as raw:
        for word, pattern in DERIVED.items():
            lost = _keys(raw, pattern)
            assert lost, f"there is no {word} to damage"
            kept = {name: raw.dump(name) for name in lost}
            raw.delete(*lost)
            told = await looked(repair=False)
            assert (told.level, word in (told.counts or {})) == ("warn", True), f"{word}: {told}"
            assert word in told.text
            assert not any(raw.exists(name) for name in lost)
            mended = await looked(repair=True)
            assert (mended.level, (mended.counts or {}).get(word, 0) > 0) == ("ok", True)
            assert (await looked(repair=False)).counts == {}
            assert {name: raw.type(name) for name in kept} == {name: raw.type(name) for name in _keys(raw, pattern)}


def test_without_redis_there_is_nothing_to_repair(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It says so."""
    monkeypatch.setenv("STEWARD_HOME", str(tmp_path))
    (told,) = [finding for finding in examine(repair=True) if finding.check == "derived"]
    assert "nothing to repair" in told.text
