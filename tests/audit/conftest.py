"""An empty database with an audit log on it."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from steward.audit import AuditEntry, AuditKind
from steward.audit_logs.sql import SqlAuditLog
from steward.database import Database
from steward.database.migrate import upgrade
from steward.vault import Vault
from tests.conftest import FakeClock
from tests.databases import KINDS, empty_database
from tests.installation import SECRET

MakeEntry = Callable[..., AuditEntry]


@pytest.fixture(params=KINDS)
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """Return an empty, migrated database of each kind."""
    with empty_database(request.param, tmp_path) as url:
        opened = Database(url)
        upgrade(opened)
        yield opened
        await opened.aclose()


@pytest.fixture
def vault() -> Vault:
    """Return the vault of these tests."""
    return Vault([SECRET])


@pytest.fixture
def log(database: Database, vault: Vault, clock: FakeClock) -> SqlAuditLog:
    """Return the audit log."""
    return SqlAuditLog(database, vault, clock)


@pytest.fixture
def entry(clock: FakeClock) -> MakeEntry:
    """Return what makes entries of now."""

    def make(**more: Any) -> AuditEntry:
        facts: dict[str, Any] = {"workspace_id": "acme", "kind": AuditKind.KEY_CREATED, "actor_id": "key_a"}
        facts["at"] = clock.now()
        return AuditEntry(**{**facts, **more})

    return make
