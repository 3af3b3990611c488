"""A real ``steward up`` for the tests of the command line, and a way to run commands beside it as a person would."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

import pytest
import structlog

from steward.cli import main
from steward.settings import Settings

STEWARD = str(Path(sys.executable).with_name("steward"))
LIMIT_S = 40.0


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return an environment in which only these settings are set."""
    ours = {row.variable for row in Settings.table()} | {"STEWARD_URL", "STEWARD_API_KEY", "REDIS_URL", "AI_MODEL"}
    rest = {name: value for name, value in os.environ.items() if name not in ours | {"NO_COLOR", "FORCE_COLOR"}}
    return {**rest, "STEWARD_HOME": str(home), "COLUMNS": "80", **more}


def steward(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, away from any terminal."""
    return subprocess.run(
        [STEWARD, *arguments],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


@dataclass
class Lines:
    """Reads a stream to its end in the background, so that a process never waits for its reader."""

    stream: IO[str]
    seen: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    ended: bool = False

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        with self.stream:
            for line in self.stream:
                with self.changed:
                    self.seen.append(line)
                    self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait_for(self, text: str) -> None:
        """Return when a line that holds ``text`` has come; fail when the stream ends without one."""
        with self.changed:
            self.changed.wait_for(lambda: self.ended or any(text in line for line in self.seen), LIMIT_S)
            assert any(text in line for line in self.seen), "".join(self.seen)

    @property
    def text(self) -> str:
        """Everything read so far."""
        return "".join(self.seen)


@dataclass
class Process:
    """A running ``steward`` command."""

    popen: subprocess.Popen[str]
    log: Lines

    @classmethod
    def start(cls, env: dict[str, str], *arguments: str) -> "Process":
        """Start a command and read its standard error in the background."""
        popen = subprocess.Popen(
            [STEWARD, *arguments],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert popen.stderr is not None
        return cls(popen, Lines(popen.stderr))

    def url(self) -> str:
        """Return where a ``serve`` says that it listens."""
        self.log.wait_for("Serving at ")
        return self.log.text.split("Serving at ")[1].split()[0].rstrip(".")

    def ended(self) -> int:
        """Return the exit code once it has ended."""
        code = self.popen.wait(LIMIT_S)
        self.log.thread.join(LIMIT_S)
        return code

    def close(self) -> None:
        """End it however it stands."""
        if self.popen.poll() is None:
            self.popen.terminate()
        try:
            self.ended()
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


@dataclass
class Machine:
    """A home where ``steward up`` runs, and the environment that commands there have."""

    home: Path
    env: dict[str, str]

    @property
    def files(self) -> Path:
        """The folder of the default workspace."""
        return self.home / "files" / "default"


class Ended(NamedTuple):
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


class Shell:
    """Runs commands in this process exactly as the installed program does, only without starting Python anew."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def use(self, env: dict[str, str]) -> None:
        """Let the following commands have this environment and no other variable."""
        for name in os.environ.keys() - env.keys():
            self._monkeypatch.delenv(name)
        for name, value in env.items():
            self._monkeypatch.setenv(name, value)

    def steward(self, *arguments: str) -> Ended:
        """Run one command to its end."""
        self._monkeypatch.setattr("sys.argv", ["steward", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = self._capsys.readouterr()
        return Ended(int(ended.value.code or 0), captured.out, captured.err)

    def json(self, *arguments: str) -> Any:
        """Return the JSON that a command prints, which must succeed."""
        ended = self.steward(*arguments, "--json")
        assert ended.code == 0, ended.err
        return json.loads(ended.out)


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Shell]:
    """Return a shell with this process's environment; the log goes afterwards where it went before."""
    before = structlog.get_config()
    yield Shell(monkeypatch, capsys)
    structlog.configure(**before)


@pytest.fixture
def beside(shell: Shell, up: Machine, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Return a shell on the machine where ``steward up`` runs."""
    shell.use(up.env)
    monkeypatch.syspath_prepend(up.env["PYTHONPATH"])
    return shell


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Start ``steward up`` with a few odd actions; it serves all tests of this folder."""
    home = tmp_path_factory.mktemp("home")
    env = environment(home, STEWARD_ACTIONS="odd_actions", PYTHONPATH=str(Path(__file__).parent), ODD_FOLDER=str(home))
    process = Process.start(env, "up", "--port", "0")
    try:
        process.log.wait_for("Steward is up")
        yield Machine(home, env)
    finally:
        process.close()
