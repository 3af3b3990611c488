"""``steward policy`` beside a real ``steward up``."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Shell

pytestmark = pytest.mark.slow
NO_LISTS = '@reason("Files are private.")\nforbid (principal, action == Action::"file.list", resource);\n'
ASK_WRITES = '@another_person("true")\nforbid (principal, action == Action::"file.write:unattended", resource);\n'


@pytest.fixture
def policies(beside: Shell, tmp_path: Path) -> Iterator[Path]:
    """Return a folder with policy files; whatever was kept by then is removed after the test."""
    (tmp_path / "no_lists.cedar").write_text(NO_LISTS)
    (tmp_path / "ask_writes.cedar").write_text(ASK_WRITES)
    (tmp_path / "wrong.cedar").write_text("permit (principal, action, resource);")
    yield tmp_path
    for policy in beside.json("policy", "list")["policies"]:
        beside.steward("policy", "remove", policy["name"])


def test_a_policy_is_kept_and_decides(beside: Shell, policies: Path) -> None:
    """put, list, show, check and remove, with the exit codes of a script."""
    assert beside.steward("policy", "check", "file.list").code == 0
    put = beside.steward("policy", "put", "no_lists", str(policies / "no_lists.cedar"))
    assert (put.code, put.err.strip()) == (0, "no_lists is in force.")
    assert "no_lists" in beside.steward("policy", "list").out
    assert beside.steward("policy", "show", "no_lists").out == NO_LISTS
    denied = beside.steward("policy", "check", "file.list", "--params", "{}")
    assert denied.code == 3
    assert "workspace/no_lists" in denied.out
    assert "Files are private." in denied.out
    assert beside.steward("run", "--yes", "list the files").code == 3
    assert beside.steward("policy", "remove", "no_lists").code == 0
    assert beside.steward("policy", "check", "file.list").code == 0


def test_a_call_that_is_asked_about_ends_with_4(beside: Shell, policies: Path) -> None:
    """And says that another person has to approve."""
    beside.steward("policy", "put", "ask_writes", str(policies / "ask_writes.cedar"))
    asked = beside.steward("policy", "check", "file.write", "-p", "path=a.txt", "-p", "text=hi")
    assert asked.code == 4
    assert "Another person" in asked.out
    document = beside.steward("policy", "check", "file.write", "-p", "path=a.txt", "-p", "text=hi", "--json")
    assert (document.code, json.loads(document.out)["another_person"]) == (4, True)


def test_a_wrong_policy_is_a_usage_error_and_changes_nothing(beside: Shell, policies: Path) -> None:
    """The sentence says which statement is wrong."""
    put = beside.steward("policy", "put", "wrong", str(policies / "wrong.cedar"))
    assert put.code == 2
    assert "Policy 1: a workspace's policy can only forbid." in put.err
    assert beside.json("policy", "list")["policies"] == []


def test_a_diff_tries_a_file_or_a_rule(beside: Shell, policies: Path) -> None:
    """It says how much it looked at; nothing is changed."""
    tried = beside.steward("policy", "diff", str(policies / "no_lists.cedar"), "--since", "30d")
    assert tried.code == 0, tried.err
    assert beside.json("policy", "diff", "--switch-on", "reads_only", "--since", "12h")["complete"] is True
    assert beside.json("policy", "list")["policies"] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["policy", "diff"],
        ["policy", "diff", "--switch-on", "reads_only", "--since", "soon"],
        ["policy", "put", "Not A Name", "-"],
        ["policy", "remove", "../keys"],
        ["policy", "check", "file.read", "-p", "path"],
        ["policy", "check", "file.read", "--params", "[]"],
        ["policy", "check", "file.read", "--params", "{"],
    ],
)
def test_wrong_usage_ends_with_2(beside: Shell, arguments: list[str]) -> None:
    """Before or after asking the server."""
    assert beside.steward(*arguments).code == 2
