"""The page about the main path, held against a real run: one sentence, from ``POST /ai/plan`` to a finished job."""

import asyncio
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from steward.identity import Principal, Role, scopes_of
from steward.plan import PlanStatus
from tests.web.house import House, open_house

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "explanation" / "main-path.md"
MOST = 7
_MAKING = {"<module>", "__init__", "__post_init__"}
"""What sets a room up takes no part in a request yet."""


def files_named() -> list[str]:
    """Return the files that the page numbers, in its order, from the root of the repository."""
    return re.findall(r"^\d+\. \[`([^`]+)`\]", PAGE.read_text(), re.MULTILINE)


@contextmanager
def recorded() -> Iterator[list[str]]:
    """Note, in order of their first call, the files of Steward in which a function runs on this thread; making an object is no step."""
    source = f"{ROOT / 'src' / 'steward'}/"
    seen: dict[str, None] = {}

    def note(frame: FrameType, event: str, _argument: object) -> None:
        name = frame.f_code.co_filename
        if event == "call" and frame.f_code.co_name not in _MAKING and name.startswith(source):
            seen.setdefault(str(Path(name).relative_to(ROOT)))

    in_order: list[str] = []
    sys.setprofile(note)
    try:
        yield in_order
    finally:
        sys.setprofile(None)
        in_order += seen


async def finished(house: House, plan_id: str) -> None:
    """Return when the plan is completed, woken by the store; a plan that ends in another way fails the test."""
    roles = frozenset({Role.VIEWER})
    store = house.app.engine.open(Principal("key_watcher", "acme", roles, scopes_of(roles)))
    with store.listen() as listener:
        while True:
            plan = await store.get_plan(plan_id)
            assert plan is not None
            if plan.status is not PlanStatus.RUNNING:
                assert plan.status is PlanStatus.COMPLETED
                return
            await listener.wait(5.0)


async def walk(home: Path) -> list[str]:
    """Plan and execute one sentence over HTTP, let a worker finish it, and return the files that ran, in order."""
    async with open_house(home) as house:
        client = await house.client()
        with recorded() as ran:
            planned = await client.post("/ai/plan", json={"prompt": "write 'the lift is repaired' to notes/lift.txt"})
            assert planned.status_code == 200, planned.text
            submitted = await client.post("/ai/execute", json={"plan_id": planned.json()["plan_id"]})
            assert submitted.status_code == 202, submitted.text
            async with house.worker():
                await finished(house, submitted.json()["plan_id"])
        return ran


def test_the_page_names_at_most_seven_files_that_exist() -> None:
    """A reader follows one request through at most seven files, each of which is there."""
    named = files_named()
    assert 0 < len(named) <= MOST
    assert len(set(named)) == len(named)
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_every_named_file_is_walked_in_the_order_of_the_page(tmp_path: Path) -> None:
    """Functions of each named file run on the way of a real request, for the first time in the order of the page."""
    named = files_named()
    ran = asyncio.run(walk(tmp_path / "home"))
    assert [name for name in named if name not in ran] == []
    assert [name for name in ran if name in named] == named
    assert (tmp_path / "home" / "files" / "acme" / "notes" / "lift.txt").read_text() == "the lift is repaired"


def test_every_named_file_is_linked_to_where_it_is() -> None:
    """The page's links lead to the files that it names."""
    links = dict(re.findall(r"^\d+\. \[`([^`]+)`\]\(([^)]+)\)", PAGE.read_text(), re.MULTILINE))
    assert {name: (PAGE.parent / link).resolve() for name, link in links.items()} == {
        name: (ROOT / name).resolve() for name in files_named()
    }


@pytest.mark.parametrize("name", files_named())
def test_every_named_file_says_why_it_exists(name: str) -> None:
    """Each of the files opens with a docstring."""
    assert (ROOT / name).read_text().startswith('"""')
