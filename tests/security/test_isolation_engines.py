"""The isolation audit on the engines for more than one machine; on PostgreSQL also without Steward's own filters."""

from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import ClauseElement, Connection, Select, true
from sqlalchemy.sql import visitors

from steward.database.engine import Database
from steward.database.sql import Sql
from steward.identity import Role
from steward.ids import IdFactory
from steward.isolation.audit import Target, audit
from steward.isolation.report import Report
from steward.work_stores.sql import reading, store, transaction
from steward.work_stores.sql.store import open_sql_engine
from tests.conftest import FakeClock
from tests.contracts.builders import BETA, World
from tests.postgresql import server
from tests.redis_server import shared_server
from tests.web.house import open_house

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(300)]


@lru_cache(maxsize=256)
def unfiltered(statement: ClauseElement) -> ClauseElement:
    """Return a statement without its conditions on the workspace."""

    def open_up(element: Any, **_: Any) -> Any:
        if getattr(element, "left", None) is not None and "workspace_id" in str(element.left):
            return true()
        return None

    opened = visitors.replacement_traverse(statement, {}, open_up) if isinstance(statement, Select) else statement
    assert isinstance(opened, ClauseElement)
    return opened


for_a_tenant = ContextVar("for_a_tenant", default=False)
"""Whether the transaction that is under way is a tenant's."""


def noted(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Return a verb of the database that takes note, while its transaction runs, for whom that is."""

    def run_noted(database: Database, run: Callable[[Connection], Any], *given: Any, **how: Any) -> Any:
        def run_for_whom(connection: Connection) -> Any:
            before = for_a_tenant.set(how.get("tenant") is not None)
            try:
                return run(connection)
            finally:
                for_a_tenant.reset(before)

        return verb(database, run_for_whom, *given, **how)

    return run_noted


class Unfiltered(Sql):
    """What is asked for a tenant is asked without a word of its workspace; the installation asks as always."""

    __slots__ = ("_open",)

    def __init__(self, connection: Connection) -> None:
        """Take note for whom the transaction is."""
        super().__init__(connection)
        self._open = for_a_tenant.get()

    def all(self, statement: ClauseElement, values: Mapping[str, Any] = {}) -> list[Any]:
        """Return every row that the database lets be seen."""
        return super().all(unfiltered(statement) if self._open else statement, values)

    def ask(self, statement: ClauseElement, values: Mapping[str, Any] = {}) -> Callable[[], list[Any]]:
        """Return what returns every row that the database lets be seen."""
        return super().ask(unfiltered(statement) if self._open else statement, values)

    def scalars(self, statement: ClauseElement, values: Mapping[str, Any] = {}) -> list[Any]:
        """Return the first column of every row that the database lets be seen."""
        return super().scalars(unfiltered(statement) if self._open else statement, values)


@pytest.fixture
def without_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every filter by workspace out of what the store asks for a tenant."""
    for module in (reading, store, transaction):
        monkeypatch.setattr(module, "Sql", Unfiltered)
    for verb in ("read", "write"):
        monkeypatch.setattr(Database, verb, noted(getattr(Database, verb)))


@pytest.fixture
def postgresql() -> Iterator[str]:
    """Return the address of an empty database."""
    name = server().lend()
    yield server().url(name)
    server().give_back(name)


async def audited(home: Path, **env: Any) -> Report:
    """Return what the audit says; as admin only, whose doors are all doors."""
    async with open_house(home, **env) as house, house.worker(), house.served() as (_, address):
        return await audit(
            Target(
                url=address,
                database=house.app.database,
                files=home / "files",
                roles=(Role.ADMIN,),
                vault=house.app.vault,
            )
        )


@pytest.mark.soak
async def test_postgresql_keeps_workspaces_apart(tmp_path: Path, postgresql: str) -> None:
    """Nothing of one workspace is seen, changed or told of in another."""
    report = await audited(tmp_path, DATABASE_URL=postgresql)
    assert report.findings == []
    assert report.rows > 50


@pytest.mark.usefixtures("without_filters")
async def test_row_level_security_alone_keeps_workspaces_apart(tmp_path: Path, postgresql: str) -> None:
    """Also where Steward's statements name no workspace: what is foreign stays as unknown as what does not exist."""
    report = await audited(tmp_path, DATABASE_URL=postgresql)
    assert report.findings == []
    assert report.rows > 50


@pytest.mark.usefixtures("without_filters")
async def test_the_filters_are_really_out(tmp_path: Path, clock: FakeClock) -> None:
    """On SQLite, which has no second lock, a job is then shown to another workspace."""
    address = f"sqlite:///{tmp_path / 'steward.db'}"
    async with open_sql_engine(address, clock=clock, ids=IdFactory(clock), home=None) as engine:
        submitted = await World(engine, clock).submit()
        assert await engine.open(BETA).get_job(submitted.job_ids[0]) is not None


async def test_redis_keeps_workspaces_apart(tmp_path: Path) -> None:
    """The same audit, with the work in Redis."""
    redis = shared_server()
    report = await audited(tmp_path, REDIS_URL=redis.url(redis.new_database()), REDIS_EFFECT_SAFETY="fast")
    assert report.findings == []
