"""No block of code on any page is left out: it is run by a test, or the page itself says in plain sight why it is not."""

import re
from collections import Counter

import pytest

from tests.docs.reading import DOCS, ROOT, Block, blocks_of

PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
TESTS = ROOT / "tests"
ELSEWHERE = {
    "README.md": "test_readme.py",
    "docs/tutorial/untrusted-value.md": "test_tutorial.py",
    "docs/how-to/python-client.md": "test_python_pages.py",
    "docs/how-to/mcp.md": "test_python_pages.py",
    "docs/how-to/test-actions.md": "test_python_pages.py",
    "docs/how-to/back-up-and-restore.md": "deploy/test_backup.py",
    "docs/how-to/isolation-audit.md": "security/test_isolation_audit.py",
    "docs/explanation/redis.md": "redis/test_rights.py",
    "docs/reference/cli.md": "cli/test_every_command.py",
    "docs/reference/errors.md": "test_docs.py",
    "CONTRIBUTING.md": "docs/test_every_block.py",
}
"""Pages whose blocks are run by a test of their own subject."""
NOT_RUN = {
    "it needs Docker.": 2,
    "it needs the rights of root, and changes the machine.": 2,
    "it asks a package index.": 1,
    "it attacks whatever runs on the machine.": 1,
    "it takes minutes.": 7,
}
"""The reasons that pages give, and how often. A longer list is a decision to be made here."""


def performed() -> set[str]:
    """Return the pages that the tests beside this one follow from the first block to the last."""
    texts = [(TESTS / "docs" / name).read_text() for name in ("test_pages_run.py", "test_more_pages_run.py")]
    return {f"docs/{page}" for text in texts for page in re.findall(r'(?:perform\(stage, |DOCS / )"([^"]+\.md)"', text)}


def code() -> list[Block]:
    """Return every block of code on every page."""
    return [block for page in PAGES for block in blocks_of(page) if block.is_code]


def test_every_block_is_run_or_says_why_not() -> None:
    """Each page with code is followed by a test; a block that is not run says so above itself."""
    left = {block.page for block in code() if block.not_run is None} - performed() - ELSEWHERE.keys()
    assert left == set()
    assert {page for page, test in ELSEWHERE.items() if not (TESTS / test).exists()} == set()
    assert ELSEWHERE.keys() <= {block.page for block in code()}


def test_what_is_not_run_is_a_short_list_with_reasons() -> None:
    """The reasons for not running something are those that are listed here, and no more often than here."""
    assert Counter(block.not_run for block in code() if block.not_run is not None) == NOT_RUN


def test_a_new_block_would_be_noticed() -> None:
    """A block that no test runs is found, indented or not, and a reason above it is read."""
    page = ROOT / "docs" / "how-to" / "deploy.md"
    assert all(block.not_run for block in blocks_of(page))
    assert [block.language for block in blocks_of(DOCS / "how-to/migrate-keys.md")].count("sh") == 10


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/how-to/guard.md", "docs/how-to/prove-it.md"])
def test_what_takes_minutes_is_there_at_least(page: str) -> None:
    """A target of make, a module and a file that such a page names are there."""
    typed = "\n".join(block.text for block in blocks_of(ROOT / page))
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^make (\w+)", typed, re.MULTILINE)) <= targets
    modules = [name.replace(".", "/") for name in re.findall(r"-m ([\w.]+)", typed)]
    assert [name for name in modules if not (ROOT / f"{name}.py").exists()] == []
    assert re.search(r"make|python|pytest", typed)
