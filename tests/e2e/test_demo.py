"""``make demo`` as a newcomer runs it: it shows what it says, and leaves nothing behind, however it ends."""

import html
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
PICTURE = Path(__file__).parents[2] / "docs" / "images" / "terminal.svg"
DEMO = Path(__file__).parents[2] / "demo" / "run.py"
LIMIT_S = 90


def environment(folder: Path) -> dict[str, str]:
    """Return an environment in which temporary files go to ``folder``, and with settings that must not matter."""
    return {**os.environ, "TMPDIR": str(folder), "ACTION_ALLOWLIST": " , ", "STEWARD_URL": "http://127.0.0.1:1"}


def left_behind(folder: Path) -> list[str]:
    """Return the files in ``folder`` and the processes that still work for it."""
    processes = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"STEWARD_HOME={folder}".encode() in entry.read_bytes():
                processes.append(entry.parent.name)
        except OSError:  # it ended meanwhile, or belongs to somebody else
            continue
    return [entry.name for entry in folder.iterdir()] + processes


@pytest.mark.timeout(LIMIT_S + 10)
def test_the_demo_shows_three_requests_and_cleans_up(tmp_path: Path) -> None:
    """An e-mail, a two-step plan, a refusal with its reason, the lists and the mailbox; exit 0; nothing left."""
    ended = subprocess.run(
        [sys.executable, str(DEMO)],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    shown = ended.stdout
    assert ended.returncode == 0, shown + ended.stderr
    for words in (
        "The lift is repaired.",
        "mushroom risotto",
        "To: team@example.com",
        "address_refused",
        "$ steward plans list",
        "$ steward jobs list",
        "All as it should be",
        ".venv/bin/steward up",
    ):
        assert words in shown
    assert "Traceback" not in shown + ended.stderr
    assert left_behind(tmp_path) == []
    part = (shown + ended.stderr).split("── 1.")[1].split("── 3.")[0]
    pictured = " ".join(html.unescape(text) for text in re.findall(r">([^<]+)</text>", PICTURE.read_text()))
    assert words_of(part) - words_of(pictured) == set(), "run 'python docs/picture.py'"


def words_of(text: str) -> set[str]:
    """Return the words of a text, without what is another one in every run: ids, ports, durations."""
    return set(re.findall(r"[A-Za-z_]{4,}", re.sub(r"\b\w*\d\w*\b", "", text)))


@pytest.mark.timeout(LIMIT_S + 10)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_cleans_up(tmp_path: Path, number: signal.Signals) -> None:
    """Stopped in the middle of its first request, it says so, ends its server and removes its folder."""
    process = subprocess.Popen(
        [sys.executable, str(DEMO)],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            if line.startswith("$ steward run"):
                process.send_signal(number)
                break
        rest = process.stdout.read()
    assert process.wait(LIMIT_S) != 0
    assert "Stopped" in rest
    assert left_behind(tmp_path) == []


@pytest.mark.timeout(LIMIT_S + 10)
def test_a_demo_that_does_not_go_as_it_should_fails(tmp_path: Path) -> None:
    """Where Steward cannot start, the demo says why, exits 1 and leaves nothing."""
    broken = {**environment(tmp_path), "PYTHONPATH": str(tmp_path / "src")}
    (tmp_path / "src" / "uvicorn").mkdir(parents=True)
    (tmp_path / "src" / "uvicorn" / "__init__.py").write_text("raise OSError('no server today')")
    ended = subprocess.run(
        [sys.executable, str(DEMO)], env=broken, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert ended.returncode == 1
    assert "✗" in ended.stdout
    assert "All as it should be" not in ended.stdout
    assert [name for name in left_behind(tmp_path) if name != "src"] == []
