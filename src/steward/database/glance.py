"""Reads that are made at once, on the thread that asks: a few rows by their index, from a file.

To hand such a read to another thread and to be woken by it takes five times as long as the read, and in a process that was
idle that is most of what it takes to begin a job. SQLite's readers wait for no writer; where one would have to wait all the
same, it does not: whoever asked is told so, and asks a thread. A server is always waited for, so nothing is read from one here.
"""

import sqlite3
import threading
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

T = TypeVar("T")


class WouldWait(Exception):
    """It cannot be read at once."""


class Glance:
    """Reads on a connection of its own, which stays open: to take one from a pool costs more than to read."""

    def __init__(self, engine: Engine | None) -> None:
        """Use ``engine``, which never waits; without one nothing can be read at once."""
        self._engine = engine
        self._connection: Connection | None = None
        self._mine = threading.Lock()

    def at(self, run: Callable[[Connection], T]) -> T:
        """Return ``run(connection)``, which asks one question; raise ``WouldWait`` where it cannot be answered at once."""
        if self._engine is None or not self._mine.acquire(blocking=False):
            raise WouldWait
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            try:
                return run(self._connection)
            finally:
                if self._connection.in_transaction():  # somebody asked through SQLAlchemy
                    self._connection.rollback()
        except (DBAPIError, sqlite3.Error) as error:
            self._hang_up()
            raise WouldWait from error
        finally:
            self._mine.release()

    def close(self) -> None:
        """Close the connection; from then on nothing is read at once."""
        with self._mine:
            self._hang_up()
            self._engine = None

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()
