"""The README's way to a first action of one's own, done as it is written: its commands, in a terminal, in a new folder."""

import os
import pty
import re
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from steward.settings import Settings

ROOT = Path(__file__).parent.parent
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(heading: str) -> list[tuple[str, str]]:
    """Return language and text of every fenced block under a heading of the README."""
    section = (ROOT / "README.md").read_text().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return [(found[1], found[2]) for found in _FENCE.finditer(section)]


def environment() -> dict[str, str]:
    """Return this process's environment without anything that would lead to another Steward."""
    foreign = {row.variable for row in Settings.table()} | {"STEWARD_URL", "STEWARD_API_KEY", "VIRTUAL_ENV"}
    return {name: value for name, value in os.environ.items() if name not in foreign}


def typed(activate: str, command: str) -> list[str]:
    """Return how to run ``command`` in a shell that was made ready as the README says, from the clone."""
    activated = f"cd {ROOT} && {activate.strip()} && cd - >/dev/null && {command.strip()}"
    return [shutil.which("bash") or "bash", "-c", activated]


def on_a_free_port(up: str) -> str:
    """Return the README's ``steward up`` with a port of its own, so that two runs of these tests never meet."""
    return f"exec env {up.strip()} --port 0"


def read_until_closed(terminal: int) -> str:
    """Return all that is written to a terminal until its last writer has gone."""
    written = bytearray()
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            break
        if not piece:
            break
        written += piece
    return written.decode()


def in_terminal(argv: list[str], folder: Path, *, answer: str) -> tuple[int, str]:
    """Run a command in a terminal of its own, where somebody answers; return its exit code and what it showed."""
    parent, child = pty.openpty()
    process = subprocess.Popen(argv, cwd=folder, env=environment(), stdin=child, stdout=child, stderr=child)
    os.close(child)
    os.write(parent, answer.encode())
    shown = read_until_closed(parent)
    os.close(parent)
    return process.wait(), shown


def lines_until(process: subprocess.Popen[bytes], wanted: str, within_s: float) -> str:
    """Return what ``process`` has written to standard error once ``wanted`` is in it."""
    assert process.stderr is not None
    deadline, said = time.monotonic() + within_s, b""
    while wanted.encode() not in said:
        ready, _, _ = select.select([process.stderr], [], [], max(0.0, deadline - time.monotonic()))
        piece = os.read(process.stderr.fileno(), 65536) if ready else b""
        assert piece, f"'{wanted}' was not said: {said.decode()}"
        said += piece
    return said.decode()


@contextmanager
def running(argv: list[str], folder: Path) -> Iterator[None]:
    """Run a server while the block does; it must be up within ten seconds and stop by itself when told to."""
    with (folder / "up.out").open("wb") as out:
        process = subprocess.Popen(argv, cwd=folder, env=environment(), stdout=out, stderr=subprocess.PIPE)
    try:
        lines_until(process, "Steward is up", within_s=20)
        yield
    finally:
        process.terminate()
        _, rest = process.communicate(timeout=20)
    assert process.returncode == 0, rest.decode()


@pytest.mark.slow
def test_the_readme_leads_to_a_first_action_of_ones_own(tmp_path: Path) -> None:
    """A stranger who types what the README says gets the order written, once, by the action from the README."""
    (_, activate), (language, module), (_, up), (_, run), (_, more) = blocks(
        "Your first plan, with an action of your own"
    )
    assert (language, up.split()[1:], run.split()[:2]) == ("python", ["steward", "up"], ["steward", "run"])
    assert (ROOT / activate.split()[1]).exists(), "the README names the environment that make makes"
    (tmp_path / "my_actions.py").write_text(module)
    with running(typed(activate, on_a_free_port(up)), tmp_path):
        code, shown = in_terminal(typed(activate, run), tmp_path, answer="y\n")
        assert code == 0, shown
        assert "shop.order" in shown
        assert "Run it?" in shown
        assert [file.read_text() for file in (tmp_path / "orders").iterdir()] == ["12 lemons\n"]
        for command in more.strip().splitlines():
            code, shown = in_terminal(typed(activate, command), tmp_path, answer="y\n")
            assert code == 0, shown
            assert "completed" in shown
        assert "orders/job_" in shown
    assert len(list((tmp_path / "orders").iterdir())) == 2


@pytest.mark.slow
def test_the_readme_is_right_that_steward_asks_for_what_is_missing(tmp_path: Path) -> None:
    """The incomplete sentence of the README comes back as a question, and an answer in the terminal completes it."""
    (_, activate), (_, module), (_, up), *_ = blocks("Your first plan, with an action of your own")
    incomplete = re.search(r"Steward asks: `(steward run [^`]+)`", (ROOT / "README.md").read_text())
    assert incomplete is not None
    (tmp_path / "my_actions.py").write_text(module)
    with running(typed(activate, on_a_free_port(up)), tmp_path):
        code, shown = in_terminal(typed(activate, incomplete[1]), tmp_path, answer="7\ny\n")
        assert code == 0, shown
        assert "count" in shown
        assert [file.read_text() for file in (tmp_path / "orders").iterdir()] == ["7 lemons\n"]


def test_the_two_commands_of_the_readme_exist() -> None:
    """Every make target that the README names is one, with the meaning that the Makefile gives it."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    ((_, commands),) = blocks("Two commands")
    assert re.findall(r"^make (\w+)", commands, re.MULTILINE) == ["demo", "test"]
    assert {"demo", "test"} <= targets
