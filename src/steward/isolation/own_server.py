"""A server of the audit's own, in a home that is gone afterwards: what ``--self`` attacks."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from steward.isolation.tenant import CannotAudit
from steward.settings import Settings

_MAIN: Final = "from steward.cli import main; main()"
_START_S: Final = 60.0
_STOP_S: Final = 20.0
_AGAIN_S: Final = 0.05
_ADDRESS: Final = "up.json"
_MORE: Final = {"STEWARD_ACTIONS": "steward.isolation.deeds"}


@dataclass(frozen=True, slots=True)
class OwnServer:
    """A running ``steward up``."""

    url: str
    settings: Settings
    log: Path


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """Start a server and a worker in a temporary home; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="steward-isolation-") as folder:
        home, log = Path(folder, "home"), Path(folder, "server.log")
        env = {**_machine(), **_MORE, "STEWARD_HOME": str(home)}
        with log.open("wb") as stderr:
            command = [sys.executable, "-c", _MAIN, "up", "--port", "0"]
            process = subprocess.Popen(command, env=env, cwd=folder, stdin=subprocess.DEVNULL, stderr=stderr)  # noqa: S603
        try:
            url = _address(process, home, log)
            yield OwnServer(url, Settings.load(env, allow_generated_secret=True), log)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _machine() -> Mapping[str, str]:
    """Return the environment without any setting of another installation."""
    settings = {row.variable for row in Settings.table()}
    return {
        name: value
        for name, value in os.environ.items()
        if name not in settings and not name.startswith(("STEWARD_", "AI_", "REDIS_"))
    }


def _address(process: subprocess.Popen[bytes], home: Path, log: Path) -> str:
    """Return where it listens, once it does."""
    began = time.monotonic()
    while time.monotonic() - began < _START_S:
        if (home / _ADDRESS).exists():
            return json.loads((home / _ADDRESS).read_text(encoding="utf-8"))["url"]
        if process.poll() is not None:
            break
        time.sleep(_AGAIN_S)
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    raise CannotAudit(f"A server of its own did not start: {said[-1] if said else 'it said nothing'}")
