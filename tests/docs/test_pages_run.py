"""Every command and every block on the pages is typed or saved as it stands there, from an empty folder on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Shell
from tests.cli.conftest import shell as shell_fixture
from tests.docs.reading import DOCS, blocks_of
from tests.docs.stage import Stage

pytestmark = pytest.mark.slow
shell = shell_fixture


@pytest.fixture
def stage(tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """Return an empty folder in which somebody follows a page."""
    monkeypatch.chdir(tmp_path)
    made = Stage.at(tmp_path, shell)
    yield made
    made.close()


def perform(stage: Stage, page: str) -> None:
    """Follow a page from its first block to its last."""
    for block in blocks_of(DOCS / page):
        if block.not_run is None and block.language not in {"text", "mermaid"}:
            stage.perform(block)


def test_the_first_plan(stage: Stage) -> None:
    """The tutorial's plan runs, its file is there, and what it lists is listed."""
    perform(stage, "tutorial/first-plan.md")
    assert "The lift is repaired" in stage.said[2]
    assert (stage.home / "files/default/hello.txt").read_text() == "hello there"


def test_the_first_action(stage: Stage) -> None:
    """The tutorial's action takes an order, fails while the shop is closed, and after the retry there is one file for each."""
    stage.codes['steward run --yes "order 3 melons"'] = 1
    perform(stage, "tutorial/first-action.md")
    assert "12 lemons" in "".join(stage.said)
    assert "The shop is closed" in "".join(stage.said)


def test_the_first_approval(stage: Stage) -> None:
    """The tutorial's plan waits, its colleague approves it with a key of their own, and then the file is there."""
    stage.codes |= {"steward policy check": 4, "steward run --yes": 4}
    perform(stage, "tutorial/first-approval.md")
    (decided,) = (stage.shell.json("approvals", "list", "--status", "approved"))["approvals"]
    assert decided["decided_by"].startswith("key_")
    assert (stage.home / "files/default/notice.txt").exists()
