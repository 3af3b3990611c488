"""The kinds of database, for tests that are to hold on each, and files of them that are at hand."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from sqlalchemy import event

from steward.database import Database
from steward.database.migrate import upgrade
from tests.postgresql import server

KINDS: Final = ("sqlite", "postgresql")


_templates: list["TemporaryDirectory[str]"] = []


async def _template() -> Path:
    """Return the file of a new database, which lies there for as long as this process lives."""
    if not _templates:
        folder = TemporaryDirectory(prefix="steward-template-")
        database = Database(f"sqlite:///{folder.name}/steward.db")
        upgrade(database)
        await database.aclose()
        _templates.append(folder)
    return Path(_templates[0].name) / "steward.db"


async def lay_out(home: Path, settings: Mapping[str, str]) -> None:
    """Put the file of a new database where an installation is about to make one, which takes several times as long."""
    if "DATABASE_URL" not in settings:
        _copy(await _template(), home / "steward.db")


def _copy(template: Path, file: Path) -> None:
    if file.parent.is_dir() and not file.exists():
        shutil.copy(template, file)


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
