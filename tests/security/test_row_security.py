"""Row-level security on PostgreSQL: with every filter of Steward's own taken away, nothing foreign comes out or goes in."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from sqlalchemy import ClauseElement, Connection, select, text, true
from sqlalchemy.sql import Select, visitors

from steward.database import Database
from steward.database.migrate import upgrade
from steward.database.row_security import ROLE, TENANTS_WORK, gaps
from steward.database.sql import Sql
from steward.database.tables import metadata
from steward.errors import ConfigurationError, StoreUnavailable
from steward.ids import IdFactory
from steward.work_stores.sql import open_sql_engine, statements
from tests.conftest import FakeClock
from tests.contracts.builders import ALPHA, BETA, World, request_claim
from tests.postgresql import PostgresServer, server

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
WORKSPACES = {name for name, table in metadata.tables.items() if "workspace_id" in table.c}
CANARY = "c4n4ry"


@pytest.fixture
def name() -> Iterator[str]:
    """Return the name of a database with this version's tables, all empty."""
    lent = server().lend()
    yield lent
    server().give_back(lent)


@pytest.fixture
async def database(name: str, clock: FakeClock) -> AsyncIterator[Database]:
    """Open a database in which both workspaces have a plan, a job, a held job with its approval, and a name for a request."""
    url = server().url(name)
    async with open_sql_engine(url, clock=clock, ids=IdFactory(clock), home=None) as engine:
        world = World(engine, clock)
        for who in (ALPHA, BETA):
            await world.submit(who=who, claims=[request_claim(f"{CANARY}-{who.workspace_id}")])
            await world.submit(who=who, approved=False)
    opened = Database(url)
    yield opened
    await opened.aclose()


def everything(table: str) -> Any:
    """Return a unit that reads a whole table, with no filter at all."""
    return lambda connection: {row.workspace_id for row in connection.execute(select(metadata.tables[table]))}


@pytest.mark.parametrize("table", ["queues", "plans", "jobs", "approvals", "idempotency", "events"])
async def test_a_table_without_a_filter_shows_a_tenant_its_own_rows_alone(database: Database, table: str) -> None:
    """The installation sees both workspaces there, each of them sees itself, and one that does not exist sees nothing."""
    assert await database.read(everything(table)) == {"alpha", "beta"}
    for workspace in ("alpha", "beta"):
        assert await database.read(everything(table), tenant=workspace) == {workspace}
        assert await database.write(everything(table), tenant=workspace) == {workspace}
    assert await database.read(everything(table), tenant="gamma") == set()


def unfiltered(statement: Select[Any]) -> ClauseElement:
    """Return a statement without its condition on the workspace."""

    def open_up(element: Any, **_: Any) -> Any:
        if getattr(element, "left", None) is not None and "workspace_id" in str(element.left):
            return true()
        return None

    opened = visitors.replacement_traverse(statement, {}, open_up)
    assert isinstance(opened, ClauseElement)
    return opened


async def test_no_statement_of_the_store_gives_out_what_is_foreign_without_its_filter(database: Database) -> None:
    """Each that asks for a workspace is sent without asking for one: a tenant gets its own, the installation all."""
    values = {"after": "~", "limit": 100, "status": "pending", "now": 0, "keys": f'["{CANARY}-alpha","{CANARY}-beta"]'}
    tried = 0
    for label, statement in vars(statements).items():
        if not isinstance(statement, Select) or "workspace_id" not in str(statement.whereclause):
            continue
        binds = set(statement.compile().params)
        if not binds <= {*values, "w", *(bind for bind in binds if bind[-1].isdigit())}:
            continue
        sent = unfiltered(statement)
        number = {**values, "after": 0} if "EVENTS" in label else values

        def look(connection: Connection, sent: ClauseElement = sent, values: Any = number) -> set[str]:
            return {row.workspace_id for row in Sql(connection).all(sent, values) if hasattr(row, "workspace_id")}

        assert await database.read(look, tenant="beta") <= {"beta"}, label
        tried += await database.read(look) == {"alpha", "beta"}
    assert tried >= 6, "these did give out everything where row-level security is not in force"


async def test_a_tenant_can_change_nothing_foreign(database: Database) -> None:
    """An update or a delete without a filter finds its own rows alone; a row for another workspace is refused."""

    def spoil(connection: Connection) -> int:
        connection.execute(text("UPDATE jobs SET reason = 'spoilt'"))
        return connection.execute(text("DELETE FROM approvals")).rowcount

    assert await database.write(spoil, tenant="beta") == 1
    spoilt = text("SELECT DISTINCT workspace_id FROM jobs WHERE reason = 'spoilt'")
    assert await database.read(lambda c: list(c.execute(spoilt).scalars())) == ["beta"]
    assert await database.read(everything("approvals")) == {"alpha"}
    plant = text(
        "INSERT INTO queues (workspace_id, depth, event_sequence, event_floor, turn) VALUES ('gamma', 1, 1, 0, 0)"
    )
    move = text("UPDATE plans SET workspace_id = 'alpha'")
    for statement in (plant, move):
        with pytest.raises(StoreUnavailable):
            await database.write(lambda c, s=statement: c.execute(s).close(), tenant="beta")


@pytest.mark.parametrize("table", sorted(WORKSPACES - set(TENANTS_WORK)))
async def test_a_tenants_transaction_has_no_business_elsewhere(database: Database, table: str) -> None:
    """Keys, members, tickets and the audit are not for the role at all."""
    with pytest.raises(StoreUnavailable):
        await database.read(everything(table), tenant="alpha")


async def test_every_table_with_a_workspace_is_covered(database: Database) -> None:
    """Also one that a later version adds: it is missed as soon as it exists, and covered by the next start."""
    assert await database.read(gaps) == []
    database.run_sync(lambda c: c.execute(text("CREATE TABLE notes (workspace_id VARCHAR(32), note TEXT)")).close())
    assert await database.read(gaps) == ["Tables without row-level security: notes."]
    upgrade(database)
    assert await database.read(gaps) == []
    database.run_sync(lambda c: c.execute(text("DROP TABLE notes")).close())


async def test_even_the_owner_is_under_it(name: str, database: Database) -> None:
    """It is forced: what lets the installation see everything is a policy of its own, and without it it sees nothing."""
    del database
    with server().administrator(name) as admin, admin.transaction(force_rollback=True):
        admin.execute("DROP POLICY installation ON jobs")
        admin.execute("SET LOCAL ROLE steward")
        assert admin.execute("SELECT count(*) FROM jobs").fetchone() == (0,)


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """Return a server whose roles a test may change."""
    started = PostgresServer()
    yield started
    started.remove()


async def test_a_start_says_what_an_administrator_has_to_do(own_server: PostgresServer) -> None:
    """Without the role, or with one that is too strong, it is refused, with the very statement; a user who may make it does."""
    with own_server.administrator() as admin:
        admin.execute(f"DROP ROLE {ROLE}")
        for state in ("missing", "strong", "made"):
            database = Database(own_server.url(own_server.new_database()))
            if state == "strong":
                admin.execute(f"CREATE ROLE {ROLE} BYPASSRLS")
            elif state == "made":
                admin.execute(f"DROP ROLE {ROLE}")
                admin.execute("ALTER ROLE steward CREATEROLE")
            if state == "made":
                upgrade(database)
                assert await database.read(gaps) == []
            else:
                with pytest.raises(ConfigurationError, match=ROLE) as refused:
                    upgrade(database)
                assert ("GRANT steward_app TO" in refused.value.detail) == (state == "missing")
            await database.aclose()
