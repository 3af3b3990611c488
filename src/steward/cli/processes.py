"""Runs a server, a worker or both until somebody says stop: what ``up``, ``serve`` and ``worker`` have in common.

The first Ctrl-C (or SIGTERM) lets requests and steps finish or hands them back; a second one does not wait.
"""

import asyncio
import signal
import socket
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from steward.cli.exits import CommandFailed, ExitCode

if TYPE_CHECKING:
    from steward.bootstrap import Application

_BACKLOG: Final = 2048


def run_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run ``main`` on the fastest event loop there is."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


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
    """Serve the API on ``listening`` and work on ``concurrency`` jobs at a time (0: no worker) until told to stop.

    ``ready`` is called once both are about to take work.
    """
    from steward.web.app import create_app
    from steward.web.server import Server

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    work = asyncio.create_task(_work(application, concurrency, stop)) if concurrency else None

    class StoppingServer(Server):
        """A server that stops the worker beside it too."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            """First: stop both. Again: stop the worker at once as well."""
            if self.should_exit and work is not None:
                loop.call_soon_threadsafe(work.cancel)
            loop.call_soon_threadsafe(stop.set)
            super().handle_exit(sig, frame)

    host, port = listening.getsockname()[:2]
    server = StoppingServer(create_app(application), host=host, port=port)
    if work is not None:  # a worker that breaks down must not leave a server that only collects work
        work.add_done_callback(lambda _: server.handle_exit(signal.SIGTERM, None) if not stop.is_set() else None)
    ready()
    try:
        await server.serve(sockets=[listening])
    finally:
        stop.set()
        if work is not None:
            await asyncio.gather(work, return_exceptions=False)


async def work_until_stopped(application: "Application", concurrency: int) -> None:
    """Work on ``concurrency`` jobs at a time until told to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    work = asyncio.create_task(_work(application, concurrency, stop))

    def told() -> None:
        if stop.is_set():
            work.cancel()
        stop.set()

    for signal_number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_number, told)
    await work


async def _work(application: "Application", concurrency: int, stop: asyncio.Event) -> None:
    from steward.worker import Worker

    worker = Worker(
        dispatcher=application.engine.dispatcher,
        catalogue=application.catalogue,
        policy=application.policy,
        directory=application.directory,
        vault=application.vault,
        clock=application.clock,
        concurrency=concurrency,
    )
    await worker.run(stop)
