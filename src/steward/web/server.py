"""The server that carries the API: uvicorn, with an end that does not wait for streams.

An event stream never ends by itself, and uvicorn waits for every answer to end. ``Server`` therefore tells the API that
it stops; streams say goodbye, waits return early, and the rest is given ``GRACE_S`` to finish.
"""

import asyncio
import signal
import socket
from types import FrameType
from typing import Final

import uvicorn
from fastapi import FastAPI

from steward.web.wire import Wire

GRACE_S: Final = 10


class Server(uvicorn.Server):
    """Serves one API. A signal stops it and is not raised again: whoever awaits ``serve`` closes what it opened."""

    def __init__(self, api: FastAPI, *, host: str, port: int) -> None:
        """Prepare to listen on ``host`` and ``port`` (0: any free one; see ``port``)."""
        self._stopping: asyncio.Event = api.state.stopping
        self.listening = asyncio.Event()
        super().__init__(
            uvicorn.Config(
                api,
                host=host,
                port=port,
                http=Wire,
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=GRACE_S,
            )
        )

    @property
    def port(self) -> int:
        """The port that it listens on, once it does."""
        return self.servers[0].sockets[0].getsockname()[1]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler's signature
        """Ask the server to stop; a second interrupt does not wait for anybody."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, and say so."""
        await super().startup(sockets)
        self.listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say goodbye to the streams, then stop, however the stop was asked for."""
        self._stopping.set()
        await super().shutdown(sockets)
