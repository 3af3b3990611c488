"""Real servers on free loopback ports, each running inside the test's own event loop."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


@dataclass
class Mailbox:
    """An SMTP handler that keeps what arrives; ``verdict`` is its answer to each message."""

    verdict: str = "250 taken"
    refused: dict[str, str] = field(default_factory=dict)
    """Recipient to the answer that refuses it."""
    hang_up_after: str = ""
    """``RCPT`` or ``DATA``: drop the connection instead of answering that."""
    arrived: list[Envelope] = field(default_factory=list)
    logins: list[bytes] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        """Accept the password ``correct``."""
        assert isinstance(data, LoginPassword)
        self.logins.append(data.login)
        return AuthResult(success=data.password == b"correct", handled=False)

    @staticmethod
    def _hang_up(server: SMTP) -> None:
        assert server.transport is not None
        server.transport.close()

    async def handle_RCPT(  # noqa: N802 - the name is aiosmtpd's
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Refuse whom the test says."""
        if self.hang_up_after == "RCPT":
            self._hang_up(server)
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 fine"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep the message, or drop the line once all of it has come."""
        self.arrived.append(envelope)
        self.encrypted.append(session.ssl is not None)
        if self.hang_up_after == "DATA":
            self._hang_up(server)
        return self.verdict


class _Connection(SMTP):
    """One SMTP connection that tells when it has ended."""

    def __init__(self, mailbox: Mailbox, begun: list["_Connection"], **options: Any) -> None:
        """Speak for the mailbox and join ``begun`` once connected."""
        super().__init__(mailbox, hostname="mail.example.com", **options)
        self.ended = asyncio.Event()
        self._begun = begun

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count as begun: with implicit TLS, only after the handshake."""
        super().connection_made(transport)
        self._begun.append(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Say so."""
        super().connection_lost(error)
        self.ended.set()


@contextlib.asynccontextmanager
async def mail_server(
    mailbox: Mailbox, *, implicit_tls: ssl.SSLContext | None = None, **options: Any
) -> AsyncGenerator[int]:
    """Run an SMTP server and yield its port."""
    loop = asyncio.get_running_loop()
    connections: list[_Connection] = []

    server = await loop.create_server(
        lambda: _Connection(mailbox, connections, loop=loop, **options), "127.0.0.1", 0, ssl=implicit_tls
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*(each.ended.wait() for each in connections))
        await server.wait_closed()


@contextlib.asynccontextmanager
async def scripted_mail_server(answers: dict[str, str], verdict: str | None) -> AsyncGenerator[tuple[int, list[bytes]]]:
    """Run a server that says what the script says: by command, and ``verdict`` (None: nothing at all) to the message.

    Yields the port and the list of the messages that came in whole.
    """
    messages: list[bytes] = []
    done = asyncio.Event()
    talks: list[asyncio.Task[Any] | None] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(asyncio.current_task())
        writer.write(b"220 mail.example.com\r\n")
        while line := await reader.readline():
            command = line.decode().split()[0].upper()
            answer = answers.get(command, "250 fine")
            writer.write(answer.encode() + b"\r\n")
            if command == "QUIT":
                break
            if command == "DATA" and answer.startswith("354"):
                messages.append(await reader.readuntil(b"\r\n.\r\n"))
                if verdict is None:
                    await done.wait()
                    break
                writer.write(verdict.encode() + b"\r\n")
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], messages
    finally:
        done.set()
        server.close()
        await asyncio.gather(*filter(None, talks))
        await server.wait_closed()


@dataclass
class Request:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Site:
    """A small web site: ``answers`` by path, each (status, headers, body) or a function that answers by itself."""

    answers: dict[str, Any]
    requests: list[Request] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server stops; a page that never answers waits for it."""

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer as an ASGI application."""
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        self.requests.append(Request(scope["method"], scope["path"], headers, body))
        answer = self.answers.get(scope["path"], (404, {}, b"nothing here"))
        if callable(answer):
            await answer(self, send)
            return
        status, extra, content = answer
        raw = [(name.encode(), value.encode()) for name, value in extra.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": content})


async def never(site: Site, send: Send) -> None:
    """Answer nothing until the server stops."""
    await site.released.wait()


@contextlib.asynccontextmanager
async def web_server(site: Site, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncGenerator[int]:
    """Run a web server and yield its port."""
    listening = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    config = uvicorn.Config(site, log_config=None, lifespan="off", ws="none", timeout_graceful_shutdown=1)
    config.load()
    config.ssl = tls
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listening])  # without its main loop, which would look only ten times a second
    try:
        yield listening.getsockname()[1]
    finally:
        site.released.set()
        await server.shutdown(sockets=[listening])
