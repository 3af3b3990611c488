"""The libraries beside us, each in an environment of its own that is made when it is first needed and then kept."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

PEERS: Final = {
    "saq": ("saq[redis]==0.26.4", "typing-extensions", "hiredis==3.5.0", "uvloop==0.23.0"),
    "taskiq": ("taskiq==0.13.0", "taskiq-redis==1.2.4", "orjson", "hiredis==3.5.0", "uvloop==0.23.0"),
    "arq": ("arq==0.28.0", "hiredis==3.5.0", "uvloop==0.23.0"),
    "dramatiq": ("dramatiq[redis]==2.2.1", "hiredis==3.5.0"),
    "docket": ("pydocket==0.26.0", "hiredis==3.5.0", "uvloop==0.23.0"),
}
"""The five fastest, and what is installed for each."""
OTHERS: Final = {
    "rq": ("rq==3.0.0", "redis==8.1.0", "hiredis==3.5.0"),
    "celery": ("celery[redis]==5.6.3", "redis==8.1.0", "hiredis==3.5.0"),
    "streaq": ("streaq==7.2.0", "hiredis==3.5.0", "uvloop==0.23.0"),
    "taskiq_list": PEERS["taskiq"],
}
"""Those that are not among them, or acknowledge nothing; they are measured when somebody asks for them."""
PARTS: Final = {"rq": 5}
"""What gets only such a part of the jobs, since it does a few hundred of them a second."""
BARE: Final = ("raw", "raw_batch")
_HERE: Final = Path(__file__).parent
_UV: Final = _HERE.parent.parent / ".uv" / "bin" / "uv"
_KEPT: Final = Path(tempfile.gettempdir()) / "steward-bench-peers"


def python_of(name: str) -> str:
    """Return the interpreter of a contestant's environment; the bare ones run in ours."""
    if name in BARE:
        return sys.executable
    folder = _KEPT / name
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([_UV, "venv", "--quiet", "--clear", "--python", sys.executable, folder], check=True)
        subprocess.run([_UV, "pip", "install", "--quiet", "--python", python, *(PEERS | OTHERS)[name]], check=True)
        (folder / "ready").touch()
    return str(python)


def contest(name: str, url: str, folder: Path, sizes: tuple[int, int, int]) -> dict[str, Any]:
    """Return what one contestant does: jobs per second ``single``, ``batch`` and ``drain``, and the ``waits`` of lone jobs in ms.

    The batched jobs among the ``sizes`` are whole hundreds, also where only a part of them is done.
    """
    singles, batched, lone = sizes
    if part := PARTS.get(name):
        singles, batched = max(singles // part, 1), max(batched // part // 100, 1) * 100
    noted = folder / f"{name}.ran"
    noted.unlink(missing_ok=True)
    command = [python_of(name), str(_HERE / "contest.py"), name, url, str(singles), str(batched), str(lone)]
    env = {**os.environ, "PEERS_RAN": str(noted), "PEERS_URL": url}
    return json.loads(subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout)
