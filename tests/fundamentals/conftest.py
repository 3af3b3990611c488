"""What every lesson here starts from: one open installation, and an own action that anybody could have written."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import pytest

from steward.actions import Content, action
from tests.installation import Installation, installation

NOTES: list[str] = []
"""What has really happened, in order."""


@action("notes.add", effect="write", retry="keyed", sentences=["note {text:text}"])
async def add(text: Annotated[str, Content]) -> dict[str, str]:
    """Add a note."""
    NOTES.append(text)
    return {"text": text}


@pytest.fixture
async def steward(tmp_path: Path) -> AsyncIterator[Installation]:
    """Return an open installation on SQLite in a folder of its own."""
    NOTES.clear()
    async with installation(tmp_path) as inst:
        inst.add(add)
        yield inst
