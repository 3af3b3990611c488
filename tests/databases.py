"""The kinds of database, for tests that are to hold on each."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import event

from steward.database import Database
from tests.postgresql import server

KINDS: Final = ("sqlite", "postgresql")


@contextmanager
def empty_database(kind: str, folder: Path) -> Iterator[str]:
    """Yield the URL of a database of this kind in which there is nothing yet."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'test.db'}"
        return
    name = server().lend()
    yield server().url(name)
    server().give_back(name)


@contextmanager
def statements_of(database: Database) -> Iterator[list[str]]:
    """Yield a list to which whatever SQLite is told meanwhile is added, as the driver heard it."""
    told: list[str] = []

    def listen(driver: Any, *_: object) -> None:
        driver.set_trace_callback(told.append)

    engines = [database._write_engine, database._read_engine]
    if database.kind.glance_engine is not None:
        database._glance._hang_up()  # so that its one connection is taken anew, like those of the others
        engines.append(database.kind.glance_engine)
    for engine in engines:
        event.listen(engine, "checkout", listen)
    try:
        yield told
    finally:
        for engine in engines:
            event.remove(engine, "checkout", listen)
