"""The tables of an embedded database: made by the migrations, once, as they are described, and for nobody else to read."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from steward.database import Database, migrate
from steward.database.migrate import upgrade
from steward.database.tables import metadata
from steward.errors import ConfigurationError

pytestmark = pytest.mark.anyio


async def test_the_migrations_add_up_to_the_tables(tmp_path: Path) -> None:
    """Alembic finds no difference between a migrated database and ``tables.py``: no column, type, index or default."""
    database = Database(f"sqlite:///{tmp_path / 'test.db'}")
    database.run_sync(migrate.migrate)

    def differences(connection: Connection) -> list[Any]:
        options = {"compare_type": True, "compare_server_default": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    def schema(connection: Connection) -> set[Any]:
        """Return indexes as they are written and tables column by column: an added column stands elsewhere in the text."""
        indexes = connection.execute(text("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"))
        tables = text("SELECT name, sql LIKE '%AUTOINCREMENT%' AS counts FROM sqlite_master WHERE type = 'table'")
        columns = [
            (table.name, table.counts, column.name, column.type, column.notnull, column.dflt_value, column.pk)
            for table in connection.execute(tables).all()
            if table.name not in {"alembic_version", "sqlite_sequence"}
            for column in connection.execute(text("SELECT * FROM pragma_table_info(:t)"), {"t": table.name})
        ]
        return {*(" ".join(row.sql.split()) for row in indexes), *columns}

    assert await database.read(differences) == []
    migrated = await database.read(schema)
    await database.aclose()
    fresh = Database("sqlite:///" + str(tmp_path / "fresh.db"))
    fresh.run_sync(metadata.create_all)
    assert await fresh.read(schema) == migrated, "partial indexes and autoincrement too, which Alembic does not compare"
    await fresh.aclose()


async def test_head_names_the_newest_migration(tmp_path: Path) -> None:
    """The usual start trusts ``HEAD``; so it must be what the files lead to, and what a new database is marked with."""
    database = Database(f"sqlite:///{tmp_path / 'test.db'}")
    database.run_sync(migrate.migrate)
    assert await database.read(migrate.current_revision) == migrate.HEAD
    await database.aclose()
    database = Database(f"sqlite:///{tmp_path / 'new.db'}")
    migrate.upgrade(database)
    database.run_sync(migrate.migrate)  # Alembic takes the mark for its own
    assert await database.read(migrate.current_revision) == migrate.HEAD
    migrate.upgrade(database)  # again: nothing to do
    await database.aclose()


async def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """It would be misread; the sentence says what to do."""
    database = Database(f"sqlite:///{tmp_path / 'test.db'}")
    migrate.upgrade(database)
    database.run_sync(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'")).close())
    with pytest.raises(ConfigurationError, match="newer Steward"):
        migrate.upgrade(database)
    await database.aclose()


@pytest.mark.slow
def test_processes_that_start_together_migrate_once(tmp_path: Path) -> None:
    """Four processes on one new file at the same moment: all come up, none finds a half-made schema."""
    code = (
        "import asyncio, sys\n"
        "from steward.database import Database\n"
        "from steward.database.migrate import upgrade, current_revision\n"
        "async def main():\n"
        "    sys.stdin.readline()\n"
        "    database = Database(sys.argv[1])\n"
        "    upgrade(database)\n"
        "    print(await database.read(current_revision))\n"
        "    await database.aclose()\n"
        "asyncio.run(main())\n"
    )
    url = f"sqlite:///{tmp_path / 'test.db'}"
    starting = [
        subprocess.Popen([sys.executable, "-c", code, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in starting:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=40)[0].strip() for process in starting]
    assert answers == [migrate.HEAD] * 4


def test_a_new_database_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    """The database holds everybody's work, so neither its file nor those that SQLite puts beside it are shared."""
    database = Database(f"sqlite:///{tmp_path / 'test.db'}")
    try:
        upgrade(database)
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    finally:
        asyncio.run(database.aclose())
    assert set(modes.values()) == {0o600}, modes
