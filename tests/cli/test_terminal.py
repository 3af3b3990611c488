"""What somebody at a terminal gets: colour unless they do not want it, what goes on right now, completion, and a quiet Ctrl-C."""

import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from steward.cli import main
from tests.cli.conftest import LIMIT_S, STEWARD, Machine, environment

pytestmark = pytest.mark.slow
_COLOUR = re.compile(r"\x1b\[(?:\d+;)*3\dm")


@dataclass
class Terminal:
    """A command on a terminal of its own."""

    process: subprocess.Popen[bytes]
    ours: int
    shown: str = ""

    def wait_for(self, text: str) -> None:
        """Return when ``text`` has been shown."""
        while text not in self.shown:
            self.shown += os.read(self.ours, 4096).decode(errors="replace")

    def wait_until_it_waits(self) -> None:
        """Return when it sleeps: a signal in the instant between a prompt and the reading behind it wakes nobody."""
        while self._state() != "S":
            pass

    def _state(self) -> str:
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def interrupt(self) -> None:
        """Do what Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)

    def ended(self) -> int:
        """Return the exit code, once all that it shows has been read."""
        try:
            while piece := os.read(self.ours, 4096):
                self.shown += piece.decode(errors="replace")
        except OSError:  # the last one closed the terminal
            pass
        return self.process.wait(LIMIT_S)


@contextmanager
def terminal(env: dict[str, str], *arguments: str) -> Iterator[Terminal]:
    """Run a command on a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [STEWARD, *arguments],
        env={**env, "TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    watchdog = threading.Timer(LIMIT_S, process.kill)
    watchdog.start()
    try:
        yield Terminal(process, ours)
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
        os.close(ours)


def test_colour_is_for_terminals_and_not_for_who_does_not_want_it(up: Machine) -> None:
    """A terminal is sent colours; with NO_COLOR it is not."""
    for more, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        with terminal({**up.env, **more}, "actions", "list") as screen:
            assert screen.ended() == 0
        assert "file.write" in screen.shown
        assert bool(_COLOUR.search(screen.shown)) is coloured


def test_what_goes_on_is_shown_while_it_goes_on(up: Machine) -> None:
    """On a terminal the step that is at work stands at the bottom until it ends; Ctrl-C stops the watching with 130."""
    os.mkfifo(up.home / "gong")
    with terminal(up.env, "run", "--yes", "wait for gong") as screen:
        screen.wait_for("s1 running")
        screen.interrupt()
        assert screen.ended() == 130
    assert "the work goes on" in screen.shown
    assert "Traceback" not in screen.shown
    (up.home / "gong").write_text("dong")


def test_what_may_not_be_done_is_no_question(up: Machine) -> None:
    """Nobody is asked for an answer that would change nothing: it ends, says which setting is missing, and breaks no word."""
    with terminal(up.env, "run", "send an email to office@example.com saying Hello") as screen:
        assert screen.ended() == 1
    assert "Set SMTP_URL" in screen.shown
    assert max(len(line) for line in re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", screen.shown).splitlines()) <= 80


@pytest.mark.parametrize(
    ("sentence", "question"), [("write 'x' to never-at-all.txt", "Run it? [y/N]: "), ("write 'hello there'", "\n> ")]
)
def test_ctrl_c_at_a_question_is_quiet(up: Machine, sentence: str, question: str) -> None:
    """Whoever is asked and wants out gets out: 130, a sentence that nothing was run, no traceback."""
    with terminal(up.env, "run", sentence) as screen:
        screen.wait_for(question)
        screen.wait_until_it_waits()
        screen.interrupt()
        assert screen.ended() == 130
    assert "Nothing was run." in screen.shown
    assert "Traceback" not in screen.shown
    assert not (up.files / "never-at-all.txt").exists()


@pytest.mark.parametrize("command", ["plans list", "run x --yes", "doctor", "audit verify"])
def test_ctrl_c_while_a_server_does_not_answer_is_quiet(command: str, up: Machine) -> None:
    """A command that waits for an answer ends with 130 and says nothing that only its authors understand."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        env = {**up.env, "STEWARD_URL": url, "STEWARD_API_KEY": "stw_x"}
        process = subprocess.Popen([STEWARD, *command.split()], env=env, stdout=-1, stderr=-1, text=True)
        connection, _ = silent.accept()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LIMIT_S)
        connection.close()
    assert (process.returncode, "Traceback" in err) == (130, False), err


def test_ctrl_c_before_a_command_is_ready_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the program is still being loaded, too."""

    class Loading(ModuleType):
        def __getattr__(self, name: str) -> object:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "steward.cli.app", Loading("steward.cli.app"))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_for_each_shell(shell: str, up: Machine) -> None:
    """Each shell gets a script; asked as that script asks, the command line tells its commands and the values of options."""

    def asked(words: str) -> str:
        position = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        typed = {"_TYPER_COMPLETE_ARGS": words, "_TYPER_COMPLETE_FISH_ACTION": "get-args", **position}
        env = {**environment(up.home), **typed, "_STEWARD_COMPLETE": f"complete_{shell}"}
        return subprocess.run([STEWARD], env=env, capture_output=True, text=True, check=False).stdout

    env = {**environment(up.home), "_STEWARD_COMPLETE": f"source_{shell}"}
    script = subprocess.run([STEWARD], env=env, capture_output=True, text=True, check=True).stdout
    assert f"_STEWARD_COMPLETE=complete_{shell}" in script
    assert "jobs" in asked("steward jo")
    assert {"retry", "resolve"} <= set(re.findall(r"\w+", asked("steward jobs re")))
    assert "approved" in asked("steward approvals list --status app")


def test_bash_completes(up: Machine) -> None:
    """In Bash, with the script sourced, what was begun is completed."""
    script = (
        'source <(_STEWARD_COMPLETE=source_bash steward); COMP_WORDS=(steward jobs re); COMP_CWORD=2; '
        '_steward_completion steward; echo "${COMPREPLY[@]}"'
    )  # fmt: skip
    env = {**environment(up.home), "PATH": f"{os.path.dirname(STEWARD)}{os.pathsep}{os.environ['PATH']}"}  # noqa: PTH120
    done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["retry", "resolve"]
