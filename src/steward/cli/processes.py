"""Runs a server, a worker or both until somebody says stop: what ``up``, ``serve`` and ``worker`` have in common.

The first Ctrl-C (or SIGTERM) lets requests and steps finish or hands them back; a second one does not wait.
"""

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from steward.cli.exits import CommandFailed, ExitCode

if TYPE_CHECKING:
    from steward.bootstrap import Application

ACTION_THREADS: Final = "steward-action"
_BACKLOG: Final = 2048
_MADE: Final = 20_000
"""How many objects are made, and not gone by themselves, before garbage is looked for among them; Python's own number is 700."""
_TURN_S: Final = 0.0005
"""How long a thread may keep Python to itself while the loop waits, where work is in Redis: usually it is ten times as long."""


def run_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run ``main``, a process that serves or works, on the fastest event loop there is, with its log set up."""
    from steward.logs import configure_logs

    configure_logs()
    gc.disable()  # until it runs: a start makes many objects that stay, and looking for garbage among them costs a tenth
    others = os.umask(0o077)  # what this process writes is its owner's alone, also in a home that others can enter
    try:
        _fastest(main)
    finally:
        os.umask(others)
        gc.enable()
    _leave_hanging_threads()


def _fastest(main: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


def collect_again() -> None:
    """Look for garbage from now on, but not among what the start has made to stay.

    And less often than Python does by itself: in what is under way there is none, and each time all of that is looked through.
    """
    gc.freeze()
    gc.set_threshold(_MADE)
    gc.enable()


def _leave_hanging_threads() -> None:
    """End the process here if an action still blocks a thread.

    Python would wait for that thread for ever. Its step has been handed back or will be recovered when its lease ends.
    """
    if any(thread.name.startswith(ACTION_THREADS) for thread in threading.enumerate() if thread.is_alive()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ExitCode.DONE)


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket bound to ``host`` and ``port`` (0: any free one); a sentence if that cannot be."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            bound.listen(_BACKLOG)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise CommandFailed(
            f"Cannot listen on {host} port {port}: {error.strerror or error}.",
            "Stop what listens there, or choose another with --port.",
            ExitCode.USAGE,
        ) from error
    return bound


def shown_url(listening: socket.socket) -> str:
    """Return the address to give to a client on this machine."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared with, not bound to
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve_until_stopped(
    application: "Application", listening: socket.socket, concurrency: int, ready: Callable[[], None]
) -> None:
    """Serve the API on ``listening`` and work on ``concurrency`` steps at a time (0: none) until told to stop.

    ``ready`` is called when clients can connect.
    """
    from steward.web.app import create_app
    from steward.web.server import Server

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    work = asyncio.create_task(_work(application, concurrency, stop))

    class StoppingServer(Server):
        """A server that stops the work beside it too, at once when told twice."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            """Start, with the signal handlers in place, and say so."""
            await super().startup(sockets)
            collect_again()
            ready()

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            """Pass the stop on."""
            loop.call_soon_threadsafe(work.cancel if self.should_exit else stop.set)
            super().handle_exit(sig, frame)

    host, port = listening.getsockname()[:2]
    server = StoppingServer(create_app(application), host=host, port=port)

    def work_ended(_: asyncio.Task[None]) -> None:  # broken down: no server that only collects work
        server.should_exit = True

    work.add_done_callback(work_ended)
    try:
        await server.serve(sockets=[listening])
    finally:
        stop.set()
        await _ended(work)


async def work_until_stopped(application: "Application", concurrency: int) -> None:
    """Work on ``concurrency`` steps at a time until told to stop."""
    collect_again()
    stop = asyncio.Event()
    work = asyncio.create_task(_work(application, concurrency, stop))

    def told() -> None:
        if stop.is_set():
            work.cancel()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told)
    await _ended(work)


async def _ended(work: asyncio.Task[None]) -> None:
    """Return when the work has ended, also if it was told not to finish; raise what it broke down with."""
    await asyncio.wait({work})
    if not work.cancelled():
        work.result()


async def _work(application: "Application", concurrency: int, stop: asyncio.Event) -> None:
    """Carry out steps (if ``concurrency`` is not 0) and the installation's regular duties until ``stop`` is set."""
    from steward.maintenance import run_duties

    # With work in Redis threads only keep the books, and a job that comes must not wait for them.
    if application.settings.redis_url is not None:
        sys.setswitchinterval(_TURN_S)
    async with asyncio.TaskGroup() as together:
        together.create_task(run_duties(application.duties(), stop))
        if concurrency:
            together.create_task(application.worker(concurrency=concurrency).run(stop))
