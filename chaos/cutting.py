"""A line to a server that is cut again and again, in the middle of a question or of an answer."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_READ: int = 65536


@dataclass
class Line:
    """Passes bytes on; while it is bad, each connection is cut after a number of bytes that chance chooses."""

    server_port: int
    mean: int
    """How many bytes a connection passes on, on average."""
    chance: random.Random
    bad: bool = False
    port: int = 0
    asking: int = 0
    """Cuts before the whole of a question was passed on."""
    answering: int = 0
    """Cuts when the server had the question and its answer was on the way."""
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def passes(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until either side ends it or it is cut."""
        try:
            answers, questions = await asyncio.open_connection("127.0.0.1", self.server_port)
        except OSError:
            writer.transport.abort()
            return
        left = [int(self.chance.expovariate(1 / self.mean))]
        self._open |= {writer, questions}
        ways = [
            asyncio.create_task(self._way(reader, questions, left, asks=True)),
            asyncio.create_task(self._way(answers, writer, left, asks=False)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for end in (writer, questions):
            end.transport.abort()
        self._open -= {writer, questions}

    async def _way(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: list[int], *, asks: bool
    ) -> None:
        with suppress(OSError):
            while piece := await reader.read(_READ):
                if self.bad and len(piece) > left[0]:
                    writer.write(piece[: left[0]])
                    await writer.drain()
                    self.asking += asks
                    self.answering += not asks
                    return
                if self.bad:
                    left[0] -= len(piece)
                writer.write(piece)
                await writer.drain()

    def cut_all(self) -> None:
        """Cut every connection there is."""
        for end in tuple(self._open):
            end.transport.abort()


@asynccontextmanager
async def open_line(server_port: int, *, mean: int, seed: int) -> AsyncIterator[Line]:
    """Open a line to a server of this machine; it is good until it is made bad."""
    line = Line(server_port, mean, random.Random(seed))
    server = await asyncio.start_server(line.passes, "127.0.0.1", 0)
    line.port = server.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        server.close()
        line.cut_all()
