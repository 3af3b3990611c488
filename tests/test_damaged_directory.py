"""Damage in the directory: one row that cannot be read hides no other, lets nobody in, and stops nobody's work."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, update

from steward.action import RetryMode
from steward.database.engine import Database
from steward.database.tables import api_keys, members, workspaces
from steward.directory import LOCAL_ACTOR
from steward.errors import Conflict, Forbidden, SettingsUnreadable
from steward.identity import Role
from steward.job import JobStatus
from steward.workspace import Cap, WorkspaceSettings
from tests.databases import KINDS, empty_database
from tests.installation import planned
from tests.web.house import House, assert_problem, echo, open_house

pytestmark = pytest.mark.anyio
UNTOLD = "(This record cannot be read.)"


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the address of an empty database, of each kind."""
    with empty_database(request.param, tmp_path / "directory") as address:
        yield address
