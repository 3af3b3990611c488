"""A PostgreSQL transaction whose statements do not wait for the answers to those ahead of them.

What goes through a pipe is one transaction, which ends with it, without a BEGIN and a COMMIT, and leaves as few packets as can
be. It speaks to libpq by psycopg's own bindings: psycopg's cursors do the same with three times the work in this process, most of
it for each statement. Values and rows are converted by psycopg, as its cursors would.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, Self, cast

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import InvalidSqlStatementName, PipelineAborted, error_from_result
from psycopg.generators import fetch_many, send
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGresult
from sqlalchemy import Connection

_MOST_PREPARED: Final = 512
"""Statements that a connection keeps: more than there are."""
GIVEN_UP: Final = frozenset({"40001", "40P01", "26000"})
"""Could not be serialised; chosen to end a deadlock; the server has no longer kept a statement that it was to keep."""
IN_DOUBT: Final = "The store was lost while it committed, so this may or may not have been done. Send it again."


class Sent:
    """A statement on its way; its rows, once they are iterated over."""

    __slots__ = ("_pipe", "prepares", "rows")

    def __init__(self, pipe: "Pipe", prepares: tuple[Any, ...] | None = None) -> None:
        """Be waited for in ``pipe``; ``prepares``: it is not the statement itself, but makes the server keep it."""
        self._pipe = pipe
        self.prepares = prepares
        self.rows: Sequence[tuple[Any, ...]] | None = None

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows; wait for them if the transaction still goes on."""
        if self.rows is None:
            self._pipe.wait_for(self)
        return iter(self.rows or ())


class Pipe:
    """The pipe of one connection: entered for each transaction, undone if it is left with an error."""

    def __init__(self, driver: psycopg.Connection[Any]) -> None:
        """Speak over a connection that commits by itself and is used by one thread at a time."""
        self._driver = driver
        self._libpq = driver.pgconn
        self._convert = Transformer.from_context(driver)
        self._formats: dict[int, list[PyFormat]] = {}
        self._prepared: dict[tuple[Any, ...], bytes] = {}
        self._names = 0
        self._sent: deque[Sent] = deque()
        self._error: psycopg.Error | None = None
        self.is_open = False

    @classmethod
    def of(cls, connection: Connection) -> "Pipe":
        """Return the pipe of a connection of the pool's."""
        known = connection.info.get("pipe")
        if known is None:
            known = connection.info["pipe"] = cls(cast("Any", connection.connection.driver_connection))
        return known

    def __enter__(self) -> Self:
        """Begin a transaction."""
        self._libpq.enter_pipeline_mode()
        self.is_open, self._error = True, None
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Commit, or undo what was done; raise the server's error if there was one and nobody has heard of it."""
        try:
            if kind is None:
                self._end()
            else:
                with suppress(psycopg.Error):  # the server may have undone it already
                    self._undo()
        finally:
            self.is_open = False
            self._sent.clear()
            self._leave()

    def _leave(self) -> None:
        if self._libpq.status == ConnStatus.BAD:
            return
        try:
            self._libpq.exit_pipeline_mode()
        except psycopg.OperationalError:  # answers are left in it, and must not be taken for those to somebody else
            self._driver.close()

    def send(self, text: bytes, values: Sequence[Any]) -> Sent:
        """Send a statement, whose values are numbered; it leaves when somebody waits."""
        count = len(values)
        formats = self._formats.setdefault(count, [PyFormat.AUTO] * count)
        bound = self._convert.dump_sequence(values, formats)
        types, formats_bound = self._convert.types or (), self._convert.formats
        known = (text, types)
        name = self._prepared.get(known) or self._prepare(known)
        if name is None:
            self._libpq.send_query_params(text, bound, param_types=types, param_formats=formats_bound)
        else:
            self._libpq.send_query_prepared(name, bound, param_formats=formats_bound)
        sent = Sent(self)
        self._sent.append(sent)
        return sent

    def _prepare(self, known: tuple[Any, ...]) -> bytes | None:
        """Let the server keep a statement, and return its name there; None: it keeps enough."""
        if len(self._prepared) >= _MOST_PREPARED:
            return None
        self._names += 1  # never the name of one that was to be kept and perhaps was not
        name = self._prepared[known] = b"steward_%d" % self._names
        text, types = known
        self._libpq.send_prepare(name, text, param_types=types)
        self._sent.append(Sent(self, known))
        return name

    def wait_for(self, sent: Sent) -> None:
        """Wait until this statement is answered; raise the error of the first that failed."""
        if self._error is None:
            self._libpq.send_flush_request()
            self._driver.wait(send(self._libpq))
            while sent.rows is None and self._error is None:
                self._receive()
        if self._error is not None:
            raise self._error

    def send_end(self) -> None:
        """Send what is left, and let the server commit once it has done all of it."""
        self._libpq.pipeline_sync()

    def take_in(self) -> bool:
        """Take in the answers that have come, without waiting for more; say whether the transaction is over with them."""
        while not self._libpq.is_busy():
            result = self._libpq.get_result()
            if result is None:  # all of one statement's
                if self._libpq.status == ConnStatus.BAD:
                    raise psycopg.OperationalError("The connection is lost.")
            elif self._taken(result) is ExecStatus.PIPELINE_SYNC:
                self.is_open = False
                self._leave()
                return True
        return False

    @property
    def error(self) -> psycopg.Error | None:
        """Why the transaction that was under way last is undone; None: it is not."""
        return self._error

    def _end(self) -> None:
        self.send_end()
        self._driver.wait(send(self._libpq))
        while self._receive() is not ExecStatus.PIPELINE_SYNC:
            pass
        if self._error is not None:
            raise self._error

    def _undo(self) -> None:
        if self._libpq.status == ConnStatus.BAD:
            return
        self._libpq.send_query_params(b"BEGIN", None)
        self._libpq.send_query_params(b"ROLLBACK", None)
        self._sent += [Sent(self), Sent(self)]
        self._end()

    def _receive(self) -> ExecStatus:
        """Take the next answer in; return what it is."""
        results: list[PGresult] = self._driver.wait(fetch_many(self._libpq))
        return self._taken(results[-1])

    def _taken(self, result: PGresult) -> ExecStatus:
        status = ExecStatus(result.status)
        if status is ExecStatus.PIPELINE_SYNC:
            return status
        sent = self._sent.popleft()
        if status is ExecStatus.TUPLES_OK:
            self._convert.set_pgresult(result)
            sent.rows = self._convert.load_rows(0, result.ntuples, tuple)
        elif status is ExecStatus.COMMAND_OK:
            sent.rows = ()
        else:
            if sent.prepares is not None:
                self._prepared.pop(sent.prepares, None)
            failed = status is ExecStatus.FATAL_ERROR
            self._error = self._error or (error_from_result(result) if failed else PipelineAborted())
            if isinstance(self._error, InvalidSqlStatementName):
                self._prepared.clear()
        return status
