"""The far ends: a mail server, a webhook receiver and a book, real servers on this machine that count what arrives.

They count before they answer, and kill whoever asked to die in the middle of an effect at that very moment.
"""

import asyncio
import contextlib
import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from tests.ports import HeldPort

from chaos.points import labels_in, pull


class World:
    """What happened outside, by label."""

    def __init__(self, folder: Path, mail_port: int) -> None:
        """Nothing yet. ``folder`` holds the triggers; mails arrive at ``mail_port``."""
        self.triggers = folder
        self.messages: dict[str, list[str]] = defaultdict(list)
        """Webhook arrivals: the ``webhook-id`` of each."""
        self.entries: dict[str, list[str]] = defaultdict(list)
        """Entries in the book: the reference of each."""
        self.mails: dict[str, int] = defaultdict(int)
        self.mail_port = mail_port
        self.http_port = 0
        self.slow_s = 0.0
        """How long the book takes, in seconds, before it enters what it was told."""
        self.hang = threading.Event()
        """Set: webhook arrivals are counted and never answered."""
        self.silent = threading.Event()
        """Set: mails are counted and never answered."""
        self.let_go = threading.Event()
        """Set: those that hang are hung up on."""
        self._lock = threading.Lock()

    def arrived(self) -> int:
        """Return how many effects arrived of which nothing had arrived before."""
        return len(self.messages) + len(self.mails) + len(self.entries)

    @property
    def http_url(self) -> str:
        """Where the web server is."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def smtp_url(self) -> str:
        """Where the mail server is, or will be."""
        return f"smtp://127.0.0.1:{self.mail_port}"

    def take_message(self, label: str, key: str) -> None:
        """Count a webhook arrival."""
        with self._lock:
            self.messages[label].append(key)
        pull(self.triggers / label)

    def take_entry(self, label: str, reference: str) -> None:
        """Enter in the book, whatever is in it already."""
        with self._lock:
            self.entries[label].append(reference)
        pull(self.triggers / label)

    def take_mail(self, content: str) -> None:
        """Count a mail."""
        for label in set(labels_in(content)):
            with self._lock:
                self.mails[label] += 1
            pull(self.triggers / label)

    def entered(self, reference: str) -> bool:
        """Say whether the book has an entry."""
        with self._lock:
            return any(reference in references for references in self.entries.values())


class _Postman:
    """Takes mails for a world; the method's name is aiosmtpd's."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self._world.take_mail(envelope.content.decode("utf-8", "replace"))
        if self._world.silent.is_set():
            await asyncio.to_thread(self._world.let_go.wait)
        return "250 taken"


def _receiver(world: World) -> type[BaseHTTPRequestHandler]:
    """Return the request handler of a world."""

    class Receiver(BaseHTTPRequestHandler):
        """Answers webhooks and keeps the book."""

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.path == "/book":
                world.let_go.wait(world.slow_s)
                world.take_entry(body["label"], body["reference"])
            else:
                hangs = world.hang.is_set()
                world.take_message(body["label"], self.headers["webhook-id"])
                if hangs:
                    world.let_go.wait()
                    return
            self._say(200, {"taken": True})

        def do_GET(self) -> None:
            known = world.entered(self.path.rpartition("/")[2])
            self._say(200 if known else 404, {"taken": known})

        def _say(self, status: int, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            with contextlib.suppress(OSError):  # whoever asked may be dead
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Stay quiet."""

    return Receiver


class _WebServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay quiet: clients die here, that is the point."""


@contextlib.contextmanager
def mail_server(world: World) -> Iterator[None]:
    """Run the mail server of a world."""
    controller = Controller(_Postman(world), hostname="127.0.0.1", port=world.mail_port)
    controller.start()
    try:
        yield
    finally:
        controller.stop()


@contextlib.contextmanager
def open_world(folder: Path, *, mail: bool = True) -> Iterator[World]:
    """Open the far ends; ``mail`` False: the mail server is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    with HeldPort() as mail_port:
        world = World(folder, mail_port.number)
        server = _WebServer(("127.0.0.1", 0), _receiver(world))
        world.http_port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            with mail_server(world) if mail else contextlib.nullcontext():
                yield world
        finally:
            world.let_go.set()
            server.shutdown()
            server.server_close()
            thread.join()
