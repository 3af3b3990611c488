"""What the API costs beside routes in the same server that do nothing: a page of jobs, and an execution.

The server is a process of its own. The client is a loop on plain sockets that stay open; it asks for the two sides in turns.
"""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from figure import Figure, median

_CONNECTIONS = 4
_ROUNDS = 10
_ACTION = {"action_id": "bench.noop", "params": {"name": "over http"}}


class _Connection:
    """One that stays open."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes) -> Self:
        """Send a request."""
        self._socket.sendall(request)
        return self

    def answer(self) -> tuple[int, bytes]:
        """Return the status and the body of the answer to what was asked first."""
        got = b""
        while b"\r\n\r\n" not in got:
            got += self._received()
        head, _, body = got.partition(b"\r\n\r\n")
        wanted = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]) if b"content-length" in head else 0
        while len(body) < wanted:
            body += self._received()
        return int(head.split(b" ", 2)[1]), body

    def _received(self) -> bytes:
        got = self._socket.recv(1 << 20)
        if not got:
            raise ConnectionError("The server hung up.")
        return got

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


@contextmanager
def _server(folder: Path, elsewhere: dict[str, str]) -> Iterator[tuple[int, str]]:
    """Start a server in ``folder``; return its port and a token."""
    program = [sys.executable, str(Path(__file__).with_name("http_server.py")), str(folder), json.dumps(elsewhere)]
    process = subprocess.Popen(program, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        said: dict[str, Any] = json.loads(process.stdout.readline())
        yield said["port"], said["token"]
    finally:
        process.terminate()
        process.wait()


def _request(method: str, path: str, token: str, body: bytes = b"") -> bytes:
    more = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n{more}\r\n"
    return head.encode() + body


def _pages(connection: _Connection, token: str) -> tuple[list[bytes], bytes]:
    """Return a request for each connection, each for a page of its own, and the last of these pages."""
    asked, cursor, body = list[bytes](), "", b""
    for _ in range(_CONNECTIONS):
        asked.append(_request("GET", f"/ai/jobs{cursor}", token))
        status, body = connection.ask(asked[-1]).answer()
        assert status == 200, body
        cursor = f"?cursor={json.loads(body)['next_cursor']}"
    return asked, body


def _rate(connections: list[_Connection], requests: list[bytes], count: int, status: int) -> float:
    """Return requests per second; every connection always has its own under way."""
    began = time.perf_counter()
    pairs = list(zip(connections, requests, strict=True))
    for connection, request in pairs:
        connection.ask(request)
    for number in range(count):
        connection, request = pairs[number % len(pairs)]
        found, _ = connection.answer()
        assert found == status, found
        if number + len(pairs) < count:
            connection.ask(request)
    return count / (time.perf_counter() - began)


def _beside(
    connections: list[_Connection], one: list[bytes], other: bytes, count: int, status: int
) -> tuple[float, float]:
    """Return the rates of two kinds of request, asked in turns, and the second's such that the ratio is that of the rounds."""
    sides = (one, [other] * len(one))
    rounds = [[_rate(connections, requests, count, status) for requests in sides] for _ in range(_ROUNDS)]
    value = median([ours for ours, _ in rounds])
    return value, value / median([ours / theirs for ours, theirs in rounds])


def measure(folder: Path, count: int, **elsewhere: str) -> list[Figure]:
    """Return requests per second of a page of 50 jobs and of an execution, each beside a route that does nothing.

    Where work is in a file, of a route that commits one row, too: no execution can be faster.
    """
    with _server(folder, elsewhere) as (port, token):
        connections = [_Connection(port) for _ in range(_CONNECTIONS)]
        asked, body = _pages(connections[0], token)
        connections[0].ask(_request("POST", "/bench/bytes", token, body)).answer()
        pages = _beside(connections, asked, _request("GET", "/bench/bytes", token), count, 200)
        wanted = json.dumps({"actions": [_ACTION]}).encode()
        paths = ("/ai/execute", "/bench/nothing", "/bench/row")
        execution, nothing, row = (_request("POST", path, token, wanted) for path in paths)
        executions = _beside(connections, [execution] * _CONNECTIONS, nothing, count, 202)
        rows = [] if elsewhere else [_beside(connections, [row] * _CONNECTIONS, nothing, count, 202)]
        for connection in connections:
            connection.close()
    return [
        Figure(f"GET /ai/jobs, a page of {len(json.loads(body)['jobs'])}", pages[0], "/s", "the same bytes", pages[1]),
        Figure("POST /ai/execute, one action", executions[0], "/s", "an empty route", executions[1]),
        *(Figure("a POST that commits one row", value, "/s", "an empty route", empty) for value, empty in rows),
    ]
