"""What the engine asks of a kind of database: the seam between SQLite and PostgreSQL."""

from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection, Dialect, Engine


class Lost(Exception):
    """The database gave a transaction up, for no fault of its own; nothing of it is left."""


@dataclass(frozen=True, slots=True)
class Whose:
    """For whom a transaction is run, and how it stands with others."""

    tenant: str | None
    """Given: it sees and touches rows of this workspace only."""
    locks: bool = False
    """It locks what it changes. If not, it takes turns with every other one that does not."""
    patient: bool = False
    """It may take as long as it takes."""
    piped: bool = False
    """It uses ``Sql`` alone, so its statements may be sent before the answers to those ahead of them have come."""


Settle = Callable[[Any, Exception | None], None]
"""Hears what a transaction came to, once: what it returned, and None or why it is not committed."""


class Line(Protocol):
    """A way to the database that needs no thread, for a transaction that only sends."""

    def is_free(self) -> bool:
        """Say whether this event loop may send a transaction now."""
        ...

    def send(self, run: Callable[[Connection], Any], whose: Whose, settle: Settle) -> None:
        """Send what ``run`` sends, which waits for nothing, over a line that is free; ``Lost``: it may be run again."""
        ...

    async def aclose(self) -> None:
        """Wait for what is under way, then close it."""
        ...


class Plain:
    """A driver's connection with nothing around it: all that ``Sql`` needs of SQLAlchemy's."""

    __slots__ = ("dialect", "driver_connection", "info")

    def __init__(self, dialect: Dialect, driver: Any) -> None:
        """Stand in for a connection of SQLAlchemy's."""
        self.dialect = dialect
        self.driver_connection = driver
        self.info: dict[str, Any] = {}

    @property
    def connection(self) -> "Plain":
        """What holds the driver's connection."""
        return self


class Kind(Protocol):
    """A kind of database, opened."""

    write_engine: Engine
    read_engine: Engine
    glance_engine: Engine | None
    """What is read with at once, on the thread that asks; None: every answer has to be waited for."""
    writers: int
    """How many transactions of one process may write at once."""
    patience_s: float | None
    """For how long a database may answer nobody before who waits is told; None: the kind itself sees to that."""

    line: Line | None
    """None: every transaction needs a thread."""

    def lane(self, whose: Whose) -> Hashable:
        """Return in which lane such a write waits; writes of one lane may share a transaction."""
        ...

    def light(self, engine: Engine, whose: Whose) -> AbstractContextManager[Any] | None:
        """Return what a transaction is run in without SQLAlchemy's: begun and ended by it. None: this one cannot be."""
        ...

    def pipe(self, connection: Connection, whose: Whose) -> AbstractContextManager[Any]:
        """Return what a transaction is begun and run in: where it may, statements do not wait for each other's answers.

        It may end the transaction as it is left.
        """
        ...

    def told(self, error: Exception) -> Exception:
        """Return what the caller is told: errors of the driver become Steward's own, others stay."""
        ...

    def is_away(self, error: Exception) -> bool:
        """Say whether this error, met while a transaction was to begin, would meet everybody."""
        ...

    def is_over(self, connection: Connection, error: Exception) -> bool:
        """Say whether this error has ended the whole transaction, so that no savepoint helps."""
        ...

    def discard(self, engine: Engine, connection: Connection) -> None:
        """Let go of a connection whose transaction is over, and of its like if it is broken."""
        ...

    def what_now(self, error: Exception, *, ending: bool) -> Exception:
        """Return ``Lost``, or what the caller is told if the transaction may have been committed (``ending``)."""
        ...
