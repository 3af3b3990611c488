"""Members, settings and rotation from the command line, on this machine's database."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from tests.cli.conftest import Shell, environment


@pytest.fixture
def machine(tmp_path: Path, shell: Shell) -> Shell:
    """Return a machine with an empty home and one workspace."""
    shell.use(environment(tmp_path / "home"))
    assert shell.steward("workspaces", "create", "acme", "--name", "Acme Ltd").code == 0
    return shell


def test_a_member_is_set_disabled_enabled_and_forgotten(machine: Shell) -> None:
    """Roles that are set are pinned; each step shows in the list."""
    made = machine.json(
        "members", "set", "alice", "-w", "acme", "--role", "developer", "--role", "approver", "--name", "Alice"
    )
    assert (made["roles"], made["pinned"], made["state"]) == (["approver", "developer"], True, "enabled")
    assert machine.json("members", "disable", "alice", "-w", "acme")["state"] == "disabled"
    assert machine.json("members", "set", "alice", "-w", "acme", "--enable") == {**made, "state": "enabled"}
    (listed,) = machine.json("members", "list", "-w", "acme")["members"]
    assert listed["name"] == "Alice"
    assert machine.steward("members", "remove", "alice", "-w", "acme").code == 0
    assert machine.json("members", "list", "-w", "acme") == {"members": []}
    assert machine.steward("members", "remove", "alice", "-w", "acme").code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("set", "alice", "-w", "acme", "--role", "operator"),
        ("set", "alice", "-w", "nowhere", "--role", "viewer"),
        ("set", "alice", "-w", "system", "--role", "viewer"),
        ("set", "key_1", "-w", "acme", "--role", "viewer"),
        ("set", "a b", "-w", "acme", "--role", "viewer"),
        ("disable", "alice\n", "-w", "acme"),
    ],
)
def test_a_member_that_should_not_exist_is_not_made(machine: Shell, arguments: tuple[str, ...]) -> None:
    """One sentence, nothing kept; exit 2, and 1 where only the workspace is not there."""
    ended = machine.steward("members", *arguments)
    assert ended.code == (1 if "nowhere" in arguments else 2)
    assert ended.err.startswith("✗ ")
    assert machine.json("members", "list", "-w", "acme") == {"members": []}


def test_settings_are_shown_and_replaced(machine: Shell, tmp_path: Path) -> None:
    """What 'show' prints can be edited and given back; what does not fit is refused with its place."""
    document = machine.json("workspaces", "show", "acme")["settings"]
    assert document == {"own_domains": [], "rules": [], "caps": {}, "budgets": {}, "undo_window_s": 0}
    file = tmp_path / "acme.json"
    file.write_text(json.dumps({**document, "own_domains": ["acme.example"]}))
    assert machine.steward("workspaces", "settings", "acme", "--file", str(file)).code == 0
    assert machine.json("workspaces", "show", "acme")["settings"]["own_domains"] == ["acme.example"]
    assert 'own_domains: ["acme.example"]' in machine.steward("workspaces", "show", "acme").out  # as the file has it
    for text, place in (
        ("{", "the file"),
        ('{"caps": {"email.*": {"per_minute": 0}}}', "caps.email.*.per_minute"),
        ("[]", "the file"),
    ):
        file.write_text(text)
        ended = machine.steward("workspaces", "settings", "acme", "--file", str(file))
        assert ended.code == 2
        assert place in ended.err
    assert machine.steward("workspaces", "settings", "acme", "--file", str(tmp_path / "none")).code == 1
    assert machine.steward("workspaces", "show", "nowhere").code == 1
    file.write_text("{}")
    assert machine.steward("workspaces", "settings", "nowhere", "--file", str(file)).code == 1


def test_w54_a_key_is_rotated_with_an_overlap(machine: Shell) -> None:
    """A new key is shown once; the old one ends after the overlap and says who took over; it is rotated once."""
    old = machine.json("keys", "create", "-w", "acme", "--role", "developer", "--name", "night")
    new = machine.json("keys", "rotate", old["key_id"], "--overlap", "2h")
    assert list(new) == list(old)
    assert (new["role"], new["workspace_id"]) == ("developer", "acme")
    first, second = machine.json("keys", "list")["keys"]
    assert (first["replaced_by"], second["name"], second["expires_at"]) == (new["key_id"], "night", None)
    left = datetime.fromisoformat(first["expires_at"]) - datetime.fromisoformat(second["created_at"])
    assert left.total_seconds() == pytest.approx(7200, abs=1)
    for key_id in (old["key_id"], "key_" + "0" * 24):
        assert machine.steward("keys", "rotate", key_id).code == 1
    for overlap in ("31d", "soon"):
        assert machine.steward("keys", "rotate", new["key_id"], "--overlap", overlap).code == 2


def test_w54_a_key_is_demoted(machine: Shell) -> None:
    """The list says so; an operator is not made this way, nor unmade."""
    made = machine.json("keys", "create", "-w", "acme", "--role", "admin")
    assert machine.json("keys", "role", made["key_id"], "viewer")["scopes"] == ["actions:preview"]
    assert machine.steward("keys", "role", made["key_id"], "operator").code == 2
    host = machine.json("keys", "create", "-w", "system", "--role", "operator")
    assert machine.steward("keys", "role", host["key_id"], "viewer").code == 2
    assert machine.steward("keys", "role", made["key_id"], "chief").code == 2


def test_tables_fit_eighty_columns(machine: Shell) -> None:
    """Also with long names and ids."""
    machine.json("members", "set", "a" * 64, "-w", "acme", "--role", "viewer", "--name", "n" * 100)
    ended = machine.steward("members", "list", "-w", "acme")
    assert all(len(line) <= 80 for line in ended.out.splitlines())
