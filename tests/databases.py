"""The kinds of database, for tests that are to hold on each."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

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
