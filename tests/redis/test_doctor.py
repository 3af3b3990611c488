"""What ``steward doctor`` says of Redis."""

from pathlib import Path

import pytest

from steward.cli.checks import Finding, examine
from tests.installation import SECRET
from tests.redis_server import RedisServer, shared_server

pytestmark = pytest.mark.slow


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
    (lossy,) = _of_redis(monkeypatch, tmp_path, REDIS_URL=shared_server().url())
    assert (lossy.level, "appendonly" in lossy.text) == ("fail", True)
    server.kill()
    (away,) = _of_redis(monkeypatch, tmp_path, REDIS_URL=f"redis://:hush@127.0.0.1:{server.port}/0")
    assert away.level == "fail"
    assert "hush" not in f"{away}"
