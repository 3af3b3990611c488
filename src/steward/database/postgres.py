"""PostgreSQL: a few writers beside each other, rows locked by those who change them, and tenants kept apart by the server.

A transaction is READ COMMITTED and locks what it is about to change before it looks at it, so each of its statements sees
what those before it in line have committed. One that says nothing about its locks takes turns with all others of that kind,
in all processes. A tenant's transaction runs as the role ``steward_app``, for which row-level security is in force.
"""

import time
from collections.abc import Hashable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import psycopg
import sqlalchemy
import structlog
from psycopg import sql
from sqlalchemy import URL, Connection, Engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from steward.database.arrays import teach_arrays
from steward.database.kind import Kind, Lost, Whose
from steward.database.line import LoopLine
from steward.database.pipe import GIVEN_UP, IN_DOUBT, Pipe
from steward.database.row_security import ROLE, WORKSPACE_SETTING
from steward.errors import Conflict, Invalid, StoreUnavailable

_log = structlog.get_logger("steward.database")
_WRITERS: Final = 4
_TURNS: Final = 0x53544557
"""The advisory lock of those who take turns: 'STEW'."""
_WAIT_MS: Final = 1_500
"""How long to wait for a lock, and for packets to be acknowledged: within the two seconds in which a 503 is due."""
_PATIENCE_S: Final = 1.8
"""For a server that takes connections, or packets, and says nothing: a connection is waited for two seconds at least."""
_STATEMENT_MS: Final = 10_000
_FORGOTTEN_MS: Final = 30_000
"""A transaction in which nothing happens for so long is of a process that hangs; it must not hold its locks for ever."""
_CONNECT: Final[dict[str, Any]] = {
    "autocommit": True,  # we say BEGIN ourselves
    "connect_timeout": 2,
    "tcp_user_timeout": _WAIT_MS,
    "keepalives_idle": 1,
    "keepalives_interval": 1,
    "keepalives_count": 2,
    "application_name": "steward",
}
_ON_CONNECT: Final = (
    f"SET lock_timeout = {_WAIT_MS}; SET statement_timeout = {_STATEMENT_MS}; "
    f"SET idle_in_transaction_session_timeout = {_FORGOTTEN_MS}; "
    # Every statement has its index, and is planned once: not by how few rows there are when that happens.
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off"
).encode()
_READ: Final = b"SET default_transaction_isolation = 'repeatable read'; SET default_transaction_read_only = on"
_WRITE: Final = b"SET default_transaction_isolation = 'read committed'"
_AS_TENANT: Final = f"SELECT set_config('role', '{ROLE}', true), set_config('{WORKSPACE_SETTING}', $1, true)".encode()
"""SET LOCAL, as a statement that can be prepared."""
_IN_TURN: Final = b"SELECT pg_advisory_xact_lock($1)"


def driver_url(url: str) -> URL:
    """Return the address for SQLAlchemy, which is to use psycopg 3."""
    return sqlalchemy.make_url(url).set(drivername="postgresql+psycopg")


def connect_alone(url: str) -> psycopg.Connection[Any]:
    """Return a connection that belongs to no pool, with the same patience."""
    plain = sqlalchemy.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, **_CONNECT)


def _cause(error: BaseException) -> psycopg.Error | None:
    """Return the driver's error; None if it is not one."""
    found = error.orig if isinstance(error, DBAPIError) else error
    return found if isinstance(found, psycopg.Error) else None


class Postgres(Kind):
    """A PostgreSQL database."""

    writers = _WRITERS
    patience_s = _PATIENCE_S

    def __init__(self, url: str, *, readers: int) -> None:
        """Connect at the first use."""
        self._broke: dict[Engine, float] = {}
        """When a connection of each was last found broken, on the monotonic clock."""
        self.glance_engine = None
        self.write_engine = self._engine(url, _WRITERS, _WRITE)
        self.read_engine = self._engine(url, readers, _READ)
        self.line = LoopLine(self.write_engine, _begin)

    def _engine(self, url: str, size: int, transactions: bytes) -> Engine:
        engine = sqlalchemy.create_engine(
            driver_url(url),
            pool_size=size,
            max_overflow=2,  # for who runs something on a thread of its own at the start, and for the line
            pool_use_lifo=True,
            connect_args=_CONNECT,
            paramstyle="format",
            hide_parameters=True,  # see sqlite.py
            use_native_hstore=False,
        )

        @event.listens_for(engine, "connect")
        def _connect(connection: psycopg.Connection[Any], entry: ConnectionPoolEntry) -> None:
            entry.info.update(since=time.monotonic(), new=True)
            teach_arrays(connection)
            connection.prepare_threshold = (
                None  # it would make the server forget the pipe's statements, too, after a ROLLBACK
            )
            connection.execute(_ON_CONNECT)
            connection.execute(transactions)

        @event.listens_for(engine, "checkout")
        def _checkout(_: object, entry: ConnectionPoolEntry, __: object) -> None:
            is_new = entry.info.pop("new", False)  # then it is tried: the pool gives up when told so of two in a row
            if not is_new and entry.info["since"] < self._broke.get(engine, 0):
                raise DisconnectionError  # the pool closes it and makes another

        @event.listens_for(engine, "begin")
        def _begun(connection: Connection) -> None:
            whose = connection.get_execution_options().get("whose", Whose(None, locks=True))
            if whose.piped:
                _begin(connection.info["pipe"], whose)
            else:
                driver: Any = connection.connection.driver_connection
                driver.execute(_beginning(whose), prepare=False)

        return engine

    def lane(self, whose: Whose) -> Hashable:
        """Return the workspace, or a lane for everybody who takes turns; who locks rows of several has one to itself."""
        return whose.tenant or (object() if whose.locks else "turns")

    def light(self, engine: Engine, whose: Whose) -> None:
        """Return None: a connection may break, and SQLAlchemy's pool sees to that."""

    def pipe(self, connection: Connection, whose: Whose) -> AbstractContextManager[Any]:
        """Return a pipeline if the transaction may be piped: a server answers quickly, but far too often."""
        if not whose.piped:
            return nullcontext()
        return Pipe.of(connection)

    def told(self, error: Exception) -> Exception:
        """Return a broken rule of the schema as a conflict, a value it cannot hold as invalid, and the rest as an outage."""
        cause = _cause(error)
        told: Exception
        if isinstance(cause, psycopg.IntegrityError):
            told = Conflict("An id in it exists already.")
        elif isinstance(cause, psycopg.DataError):
            told = Invalid("A value in it is too long, or has characters that cannot be kept.")
        elif cause is not None or isinstance(error, (Lost, DBAPIError)):
            told = StoreUnavailable()
            if cause is not None and not isinstance(cause, psycopg.OperationalError):
                _log.error("PostgreSQL refused a statement.", action="statement_refused", sqlstate=cause.sqlstate)
        else:
            return error
        told.__cause__ = error
        return told

    def is_away(self, error: Exception) -> bool:
        """Say whether the server did not let us in; a lock that did not come is not everybody's."""
        cause = _cause(error)
        return isinstance(cause, psycopg.OperationalError) and cause.sqlstate is None

    def is_over(self, connection: Connection, error: Exception) -> bool:
        """Say whether the connection is gone, or the server has chosen this transaction to end a conflict."""
        cause = _cause(error)
        return (cause is not None and cause.sqlstate in GIVEN_UP) or _is_broken(connection)

    def discard(self, engine: Engine, connection: Connection) -> None:
        """Let go of a broken connection, and of all others as old when next they are asked for: they met the same end."""
        if _is_broken(connection):
            self._broke[engine] = time.monotonic()
            connection.invalidate()

    def what_now(self, error: Exception, *, ending: bool) -> Exception:
        """Return ``Lost``, unless the connection broke while the server was told to commit."""
        cause = _cause(error)
        if ending and (cause is None or cause.sqlstate not in GIVEN_UP):
            return StoreUnavailable(IN_DOUBT)
        return Lost()


def _is_broken(connection: Connection) -> bool:
    if connection.closed or connection.invalidated:
        return connection.invalidated
    driver: Any = connection.connection.driver_connection
    return driver is None or driver.closed


def _begin(pipe: Pipe, whose: Whose) -> None:
    """Send what a transaction in a pipe begins with."""
    if whose.tenant is not None:
        pipe.send(_AS_TENANT, (whose.tenant,))
    elif not whose.locks:
        pipe.send(_IN_TURN, (_TURNS,))


def _beginning(whose: Whose) -> sql.Composable:
    """Return what opens a transaction."""
    parts: list[sql.Composable] = [sql.SQL("BEGIN")]
    if whose.patient:
        parts += [sql.SQL("SET LOCAL lock_timeout = 0"), sql.SQL("SET LOCAL statement_timeout = 0")]
    if whose.tenant is not None:
        setting = sql.Identifier(*WORKSPACE_SETTING.split("."))
        parts += [
            sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(ROLE)),
            sql.SQL("SET LOCAL {} = {}").format(setting, sql.Literal(whose.tenant)),
        ]
    if not whose.locks:
        parts.append(sql.SQL("SELECT pg_advisory_xact_lock({})").format(sql.Literal(_TURNS)))
    return sql.SQL("; ").join(parts)
