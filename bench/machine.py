"""``steward up`` as a process: how soon it is ready, and what it costs while nothing is asked of it."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from figure import Figure

_START_S = 30.0


def _ready(home: Path) -> bool:
    try:
        url = json.loads((home / "up.json").read_text())["url"]
        with urllib.request.urlopen(f"{url}/readyz", timeout=1):
            return True
    except (OSError, ValueError, urllib.error.URLError):
        return False


def _cpu_s(pid: int) -> float:
    """Return the processor time that a process has used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_mb(pid: int) -> float:
    """Return the memory that a process holds (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024**2


def measure(folder: Path, idle_s: float) -> list[Figure]:
    """Return start and, on Linux, idle memory and processor share over ``idle_s`` seconds."""
    home = folder / "home"
    env = {**os.environ, "STEWARD_HOME": str(home)}
    began = time.perf_counter()
    steward = str(Path(sys.executable).with_name("steward"))
    process = subprocess.Popen(
        [steward, "up", "--port", "0"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not _ready(home):
            if process.poll() is not None or time.perf_counter() - began > _START_S:
                raise SystemExit("'steward up' did not become ready.")
            time.sleep(0.01)
        figures = [Figure("steward up, from start to ready", time.perf_counter() - began, "s")]
        if Path("/proc/self/stat").exists():
            time.sleep(2)
            used = _cpu_s(process.pid)
            time.sleep(idle_s)
            share = (_cpu_s(process.pid) - used) / idle_s * 100
            figures.append(Figure("steward up, idle memory", _resident_mb(process.pid), "MB"))
            figures.append(Figure("steward up, idle processor", share, "% of a core"))
        return figures
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
