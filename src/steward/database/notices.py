"""How processes on one PostgreSQL wake each other: LISTEN and NOTIFY, on one connection of its own for each process.

The event loop speaks over that connection by itself: a thread for it would take the interpreter from the loop a dozen times for
each message. Only to connect takes a thread. After the server was away it connects again and rings everybody, for whatever was
told meanwhile was not heard. NOTIFY is sent after the commit and not in it: inside, it would make all commits of the installation
wait for each other. A ring is only a hint, so the disk is not waited for, and what rings within the moment after another ring goes
out with others: the first is told at once, a crowd costs few messages.
"""

import asyncio
import contextlib
import json
import threading
from collections.abc import Mapping
from typing import Any, Final

import psycopg
import structlog
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn

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
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connecting: threading.Thread | None = None
        self._connection: psycopg.Connection[Any] | None = None
        self._socket: int | None = None
        """The connection's, while the loop hears it."""
        self._telling = False
        self._told: dict[str, set[str]] = {}
        """What is being told: again, if the connection is lost meanwhile."""
        self._rest: asyncio.TimerHandle | None = None
        self._stopping = threading.Event()
        self._hearing = threading.Event()
        """Nobody need wait for the connection: it was there, or whoever listens will be rung once it is."""

    def close(self) -> None:
        """Tell what there is to tell, and close the connection; from now on nobody elsewhere is rung."""
        super().close()
        if self._stopping.is_set():
            return
        self._stopping.set()
        if self._connecting is not None:
            self._connecting.join()
        if self._rest is not None:
            self._rest.cancel()
        if self._connection is not None:
            self._hear_no_more()
            with contextlib.suppress(psycopg.Error), self._connection as connection:
                self._finish(connection.pgconn)

    def _attend(self, topic: str) -> None:
        del topic  # they all come on one channel
        self._begin()
        self._hearing.wait(_AGAIN_S)  # who listens from now on hears what is told from now on

    def _tell(self, pending: Mapping[str, set[str]]) -> None:
        self._begin()
        self._put(pending)
        self._send()

    def _put(self, pending: Mapping[str, set[str]]) -> None:
        for topic, concerned in pending.items():
            self._outbox.setdefault(topic, set()).update(concerned)

    # -- connecting --------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._loop is None and not self._closed:
            self._loop = asyncio.get_running_loop()
            self._connect(missed=False)

    def _connect(self, *, missed: bool) -> None:
        self._connecting = threading.Thread(target=self._run, args=(missed,), name="steward-notices", daemon=True)
        self._connecting.start()

    def _run(self, missed: bool) -> None:
        """Connect, sooner or later, and let the loop hear and tell from then on."""
        while not (missed and self._stopping.wait(_AGAIN_S)):
            try:
                connection = connect_alone(self._url)
                connection.execute(f"SET synchronous_commit = off; LISTEN {_CHANNEL}")
            except (psycopg.Error, OSError) as error:
                missed = True
                self._hearing.set()
                _warn(error)
                continue
            self._connection = connection
            self._hearing.set()
            assert self._loop is not None
            with contextlib.suppress(RuntimeError):  # the loop is already closed
                self._loop.call_soon_threadsafe(self._serve, missed)
            return

    def _serve(self, missed: bool) -> None:
        if self._stopping.is_set():
            return
        assert self._loop is not None
        assert self._connection is not None
        self._connecting, self._socket = None, self._connection.fileno()
        self._loop.add_reader(self._socket, self._hear)
        if missed:
            self._heard(None)
        self._send()

    def _lose(self, error: Exception) -> None:
        _warn(error)
        self._hear_no_more()
        if self._connection is not None:
            self._connection.close()
        self._connection, self._telling = None, False
        self._put(self._told)
        self._told = {}
        self._connect(missed=True)

    def _hear_no_more(self) -> None:
        if self._socket is not None and self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._socket)
        self._socket = None

    # -- telling -----------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        """Tell what there is to tell, unless something was told a moment ago, or has not been taken yet."""
        if not self._outbox or self._socket is None or self._telling or self._rest is not None:
            return
        assert self._loop is not None
        assert self._connection is not None
        self._telling, self._rest = True, self._loop.call_later(_BREATH_S, self._go_on)
        try:
            self._connection.pgconn.send_query_params(*self._message())
            self._connection.pgconn.flush()
        except psycopg.Error as error:
            self._lose(error)

    def _go_on(self) -> None:
        self._rest = None
        self._send()

    def _message(self) -> tuple[bytes, list[bytes]]:
        """Return the statement that tells all of it, and its values."""
        self._told, self._outbox = self._outbox, {}
        told = [json.dumps([topic, written(concerned)]).encode() for topic, concerned in self._told.items()]
        each = ", ".join(f"pg_notify('{_CHANNEL}', ${number})" for number in range(1, len(told) + 1))
        return f"SELECT {each}".encode(), told

    def _finish(self, libpq: PGconn) -> None:
        """Tell the rest, however long it takes."""
        while self._telling and libpq.get_result() is not None:
            continue
        if self._outbox:
            libpq.exec_params(*self._message())

    # -- hearing -----------------------------------------------------------------------------------------------------

    def _hear(self) -> None:
        assert self._connection is not None
        libpq = self._connection.pgconn
        try:
            libpq.consume_input()
            while self._telling and not libpq.is_busy():
                result = libpq.get_result()
                if result is None:
                    self._telling, self._told = False, {}
                elif result.status != ExecStatus.TUPLES_OK:
                    raise error_from_result(result)
            notices = list(iter(libpq.notifies, None))
        except (psycopg.Error, OSError) as error:
            self._lose(error)
            return
        for notice in notices:
            if notice.be_pid != libpq.backend_pid:
                self._heard(notice.extra.decode())
        self._send()

    def _heard(self, payload: str | None) -> None:
        """Ring whom a notice is about; None: everybody."""
        if payload is None:
            for topic in list(self._listeners):
                self._sound(topic, {EVERYBODY})
            return
        with contextlib.suppress(ValueError):  # somebody else's notice
            topic, concerned = json.loads(payload)
            self._sound(str(topic), read([str(concerned)]))


def _warn(error: Exception) -> None:
    _log.warning("Other processes cannot be heard.", action="notices_lost", kind=type(error).__name__)
