"""One process of a chaos run: a server, a worker or both, opened like the real ones and carrying a trap, or a command.

It starts from a fork server that has everything imported, so that a start costs what opening the store costs, and ends
by itself when the run that started it is gone.
"""

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from chaos.points import Trap
from chaos.proxies import with_trap
from chaos.watch import watched_loop
from steward.bootstrap import Application, open_application
from steward.cli import main as run_command_line
from steward.cli.processes import listening_socket, run_loop, serve_until_stopped, work_until_stopped
from steward.clock import SystemClock
from steward.settings import Settings

_IMPORTED: Final = [
    "chaos.process",
    "steward.web.app",
    "steward.web.server",
    "steward.cli.app",
    "steward.cli.schema_walks",
]


class Role(StrEnum):
    """What a process does."""

    SERVE = "serve"
    WORK = "work"
    UP = "up"
    """Both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What a process is told."""

    role: Role
    env: Mapping[str, str]
    log: Path
    port: int = 0
    concurrency: int = 1
    trap: Trap | None = None
    notes: Path | None = None
    """Folder for what the dispatcher answered."""
    clock_offset: Path | None = None
    """File with the seconds by which this process's clock is wrong."""
    watch: Path | None = None
    """File to leave behind with what was seen of the event loop."""


class WrongClock:
    """The machine's clock, off by what a file says."""

    def __init__(self, offset: Path) -> None:
        """Look into ``offset`` each time."""
        self._offset = offset
        self._right = SystemClock()

    def now(self) -> datetime:
        """Return the wrong time."""
        return self._right.now() + timedelta(seconds=float(self._offset.read_text()))


def main(spec: Spec) -> None:
    """Run until told to stop, or until the trap springs."""
    with spec.log.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    run_loop(_run(spec))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


async def _run(spec: Spec) -> None:
    clock = None if spec.clock_offset is None else WrongClock(spec.clock_offset)
    async with open_application(Settings.load(spec.env), clock=clock) as opened:
        app = with_trap(opened, spec.trap, spec.notes)
        if spec.role is Role.WORK and spec.trap is not None and spec.trap.signal == signal.SIGSTOP:
            await _only_work(app, spec.concurrency)
            return
        if spec.role is Role.WORK:
            await work_until_stopped(app, spec.concurrency)
            return
        with listening_socket("127.0.0.1", spec.port) as listening, watched_loop(spec.watch):
            concurrency = spec.concurrency if spec.role is Role.UP else 0
            await serve_until_stopped(app, listening, concurrency, ready=lambda: None)


async def _only_work(app: Application, concurrency: int) -> None:
    """Work without the duties: paused in the middle of one's write, a process would hold SQLite's one lock for all."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await app.worker(concurrency=concurrency).run(stop)


def start(spec: Spec) -> multiprocessing.process.BaseProcess:
    """Start a process and return at once."""
    return _started(main, spec)


def start_command(env: Mapping[str, str], *words: str) -> multiprocessing.process.BaseProcess:
    """Start what an operator would type after ``steward`` and return at once."""
    return _started(_command, env, words)


def _command(env: Mapping[str, str], words: Sequence[str]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with Path(os.devnull).open("ab") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    os.environ.update(env)
    sys.argv = ["steward", *words]
    run_command_line()


def _started(target: Callable[..., None], *told: object) -> multiprocessing.process.BaseProcess:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    process = context.Process(target=target, args=told, daemon=True)
    process.start()
    return process


async def ended(process: multiprocessing.process.BaseProcess) -> int:
    """Return the exit code once the process has ended (negative: the signal it died of)."""
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(process.sentinel, gone.set)
    try:
        if process.exitcode is None:
            await gone.wait()
    finally:
        loop.remove_reader(process.sentinel)
    process.join()
    assert process.exitcode is not None
    return process.exitcode
