"""The guard itself: each of its patches still fits the code, and it can tell what was noticed from what was not."""

import re
from collections import Counter
from difflib import SequenceMatcher
from pathlib import Path

import pytest
from guard.mutation import Misplaced, Mutation
from guard.patches import MUTATIONS
from guard.patches.tenants import TENANTS
from guard.run import copy_of, imported_from, judge, main

ROOT = Path(__file__).parent.parent
_FILTER = re.compile(r"workspace_id\"?\)? (?:== (?:W|bindparam\(\"w\"\)|workspace_id)|!= workspace_id|not in \{None)\b")
"""How a row is held to somebody's workspace."""
FILTERED = [
    file
    for folder in ("work_stores/sql", "directories/sql", "audit_logs", "database", "policies")
    for file in sorted((ROOT / "src" / "steward" / folder).glob("*.py"))
    if _FILTER.search(file.read_text())
]
HARMLESS = Mutation(
    name="a-word-in-a-docstring",
    removes="nothing",
    file="src/steward/digest.py",
    find="Return the SHA-256",
    put="Give the SHA-256",
    tests=("tests/test_digest.py",),
)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_patch_fits_the_code_and_names_tests_that_exist(mutation: Mutation) -> None:
    """Its text stands exactly once, what it makes of it is a program, and the tests that must notice are there."""
    mutated = mutation.applied(ROOT)
    if mutation.file.endswith(".py"):
        compile(mutated, mutation.file, "exec")
    assert mutated != (ROOT / mutation.file).read_text()
    for test in mutation.tests:
        file, _, function = test.partition("::")
        assert f"def {function}" in (ROOT / file).read_text(), test


def test_the_protections_are_many_and_each_has_a_name() -> None:
    """At least twenty, and every one of those between tenants has to be missed by three tests."""
    assert len(MUTATIONS) >= 20
    assert max(Counter(mutation.name for mutation in MUTATIONS).values()) == 1
    assert [mutation.name for mutation in TENANTS if mutation.at_least < 3] == []


def filters(file: Path) -> dict[int, str]:
    """Return the lines of a file that compare a workspace, by number."""
    return {number: line for number, line in enumerate(file.read_text().splitlines()) if _FILTER.search(line)}


@pytest.mark.parametrize("file", FILTERED, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_workspace_filter_is_under_guard(file: Path) -> None:
    """Each line that compares a workspace is taken away by at least one mutation."""
    name, lines = str(file.relative_to(ROOT)), file.read_text().splitlines()
    guarded: set[int] = set()
    for mutation in (mutation for mutation in MUTATIONS if mutation.file == name):
        matcher = SequenceMatcher(None, lines, mutation.applied(ROOT).splitlines(), autojunk=False)
        for kind, start, end, _, _ in matcher.get_opcodes():
            guarded |= set(range(start, end)) if kind != "equal" else set()
    assert {line.strip() for number, line in filters(file).items() if number not in guarded} == set()


@pytest.mark.parametrize(("find", "put"), [("not in the file", "x"), ("e", "x"), ("def sha256_of", "def sha256_of")])
def test_a_patch_that_does_not_fit_is_refused(find: str, put: str) -> None:
    """Text that is not there, that is there more than once, or a change that changes nothing."""
    misplaced = Mutation(name="x", removes="x", file=HARMLESS.file, find=find, put=put, tests=())
    with pytest.raises(Misplaced):
        misplaced.applied(ROOT)


def test_a_name_that_does_not_exist_is_no_success() -> None:
    """A guard that guards nothing does not say that all is well."""
    assert main(["no-such-mutation"]) == 2


@pytest.mark.slow
def test_what_is_noticed_is_told_from_what_is_not() -> None:
    """In a copy that imports its own source: a harmless change survives, a real one is caught, and both are undone."""
    (real,) = [mutation for mutation in MUTATIONS if mutation.name == "seal-of-any-workspace"]
    with copy_of(ROOT) as copy:
        assert imported_from(copy).is_relative_to(copy)
        before = (copy / real.file).read_text()
        survived, caught = judge(HARMLESS, copy), judge(real, copy)
        assert (copy / real.file).read_text() == before
    assert not copy.exists()
    assert not survived.caught, survived.output
    assert caught.caught, caught.output
    assert {test.partition("::")[0] for test in caught.caught_by} <= {test.partition("::")[0] for test in real.tests}
