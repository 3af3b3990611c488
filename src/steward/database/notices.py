"""How processes on one PostgreSQL wake each other: LISTEN and NOTIFY, on one connection of its own for each process.

A thread waits on that connection and sends what this process has to tell. After the server was away it connects again and
rings everybody, for whatever was told meanwhile was not heard. NOTIFY is sent after the commit and not in it: inside, it
would make all commits of the installation wait for each other. A ring is only a hint, so the disk is not waited for, and what
rings within the moment after another ring goes out with others: the first is told at once, a crowd costs few messages.
"""

import asyncio
import contextlib
import json
import os
import select
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

import psycopg
import structlog
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus

from steward.database.bell import EVERYBODY, Bell, read, written
from steward.database.postgres import connect_alone

_CHANNEL: Final = "steward"
_AGAIN_S: Final = 0.5
_BREATH_S: Final = 0.01
"""How long rings are left to gather behind one that was told."""
_log = structlog.get_logger("steward.database")


class Notices(Bell):
    """Rings listeners of a topic in this process and in every other one on the same database."""

    def __init__(self, url: str) -> None:
        """Tell and hear through the database at ``url``, from the first listener or ring on."""
        super().__init__()
        self._url = url
        self._outbox: dict[str, set[str]] = {}
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._wake, self._nudge = os.pipe()
        self._stopping = threading.Event()
        self._hearing = threading.Event()

    def close(self) -> None:
        """Close the connection; from now on nobody elsewhere is rung."""
        super().close()
        if self._stopping.is_set():
            return
        self._stopping.set()
        os.write(self._nudge, b".")
        if self._thread is not None:
            self._thread.join()
        os.close(self._wake)
        os.close(self._nudge)

    def _attend(self, topic: str) -> None:
        del topic  # they all come on one channel
        self._begin()
        self._hearing.wait(_AGAIN_S)  # who listens from now on hears what is told from now on

    def _tell(self, pending: Mapping[str, set[str]]) -> None:
        self._begin()
        with self._lock:
            nudged = bool(self._outbox)
            for topic, concerned in pending.items():
                self._outbox.setdefault(topic, set()).update(concerned)
        if not nudged:
            os.write(self._nudge, b".")

    def _begin(self) -> None:
        if self._thread is None and not self._closed:
            self._loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._run, name="steward-notices", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        missed = False
        while not self._stopping.is_set():
            try:
                with connect_alone(self._url) as connection:
                    connection.execute(f"SET synchronous_commit = off; LISTEN {_CHANNEL}")
                    self._hearing.set()
                    if missed:
                        self._in_loop(None)
                    self._serve(connection)
            except (psycopg.Error, OSError) as error:
                missed = True
                self._hearing.clear()
                _log.warning("Other processes cannot be heard.", action="notices_lost", kind=type(error).__name__)
                self._stopping.wait(_AGAIN_S)

    def _serve(self, connection: psycopg.Connection[Any]) -> None:
        """Tell and hear until told to stop, or the connection breaks."""
        own, quiet_until = connection.info.backend_pid, 0.0
        while not self._stopping.is_set():
            breath_s = quiet_until - time.monotonic()
            if breath_s > 0:
                select.select([connection.fileno()], [], [], breath_s)
            elif self._wake in select.select([connection.fileno(), self._wake], [], [])[0]:
                os.read(self._wake, 4096)
                self._send(connection)
                quiet_until = time.monotonic() + _BREATH_S
            connection.pgconn.consume_input()
            while notice := connection.pgconn.notifies():
                if notice.be_pid != own:
                    self._in_loop(notice.extra.decode())
        self._send(connection)

    def _send(self, connection: psycopg.Connection[Any]) -> None:
        """Tell what there is to tell, by libpq itself: a cursor takes several times as much work for a message so small."""
        with self._lock:
            outbox, self._outbox = self._outbox, {}
        if outbox:
            told = [json.dumps([topic, written(concerned)]).encode() for topic, concerned in outbox.items()]
            each = ", ".join(f"pg_notify('{_CHANNEL}', ${number})" for number in range(1, len(told) + 1))
            result = connection.pgconn.exec_params(f"SELECT {each}".encode(), told)
            if result.status != ExecStatus.TUPLES_OK:
                raise error_from_result(result)

    def _in_loop(self, payload: str | None) -> None:
        """Ring whom a notice is about, on the event loop; None: everybody."""
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop is already closed
            self._loop.call_soon_threadsafe(self._heard, payload)

    def _heard(self, payload: str | None) -> None:
        if payload is None:
            for topic in list(self._listeners):
                self._sound(topic, {EVERYBODY})
            return
        with contextlib.suppress(ValueError):  # somebody else's notice
            topic, concerned = json.loads(payload)
            self._sound(str(topic), read([str(concerned)]))
