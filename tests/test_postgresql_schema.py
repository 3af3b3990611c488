"""The schema on PostgreSQL: however a database came to it, it is one and the same, down to collations and policies."""

import asyncio
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, insert, select, text

from steward.database import Database, migrate
from steward.database.migrate import upgrade
from steward.database.tables import metadata, workspaces
from tests.postgresql import server

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

_COLUMNS = """
SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default, collation_name
FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
"""
_INDEXES = """
SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'
"""
_POLICIES = "SELECT tablename, policyname, roles::text, cmd, qual, with_check FROM pg_policies"
_GRANTS = """
SELECT grantee::text, table_name::text, privilege_type::text FROM information_schema.table_privileges
WHERE grantee = 'steward_app'
"""
_COLLATIONS = """
SELECT DISTINCT collation_name FROM information_schema.columns
WHERE collation_name IS NOT NULL AND table_schema = 'public' AND table_name <> 'alembic_version'
"""


def _schema(connection: Connection) -> list[tuple[Any, ...]]:
    """Return every column, index, policy and grant there is, as PostgreSQL tells them."""
    asked = (_COLUMNS, _INDEXES, _POLICIES, _GRANTS)
    return sorted((tuple(row) for each in asked for row in connection.execute(text(each))), key=repr)


async def test_the_migrations_add_up_to_the_tables() -> None:
    """A database that came here step by step is the one that is made at once, down to indexes, collations and policies."""
    stepwise, at_once = (Database(server().url(server().new_database())) for _ in range(2))
    stepwise.run_sync(migrate.migrate)
    upgrade(at_once)
    options = {"compare_type": True, "compare_server_default": True}
    for database in (stepwise, at_once):
        assert (
            await database.read(lambda c: compare_metadata(MigrationContext.configure(c, opts=options), metadata)) == []
        )
    schema = await at_once.read(_schema)
    assert await stepwise.read(_schema) == schema
    assert len(schema) > 200
    for database in (stepwise, at_once):
        upgrade(database)  # again: nothing to do
        await database.aclose()


async def test_processes_that_start_together_migrate_once() -> None:
    """Four on one new database at the same moment: all come up, none finds a half-made schema."""
    url = server().url(server().new_database())
    databases = [Database(url) for _ in range(4)]
    await asyncio.gather(*(asyncio.to_thread(upgrade, database) for database in databases))
    for database in databases:
        assert await database.read(migrate.current_revision) == migrate.HEAD
        await database.aclose()


async def test_pages_do_not_depend_on_the_language_of_the_database() -> None:
    """Text sorts by its bytes, so ids have one order and a page ends where the next begins."""
    database, ids = Database(server().url(server().new_database())), ["b", "a-1", "a1", "a_1", "a"]
    upgrade(database)
    put = insert(workspaces).values([{"workspace_id": each, "name": "x", "created_at": 0} for each in ids])
    await database.write(lambda c: c.execute(put).close())
    listed = select(workspaces.c.workspace_id).order_by(workspaces.c.workspace_id)
    assert await database.read(lambda c: list(c.execute(listed).scalars())) == sorted(ids)
    assert await database.read(lambda c: list(c.execute(text(_COLLATIONS)).scalars())) == ["C"]
    await database.aclose()
