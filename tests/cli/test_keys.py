"""Workspaces and keys from the command line, on this machine's database."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from steward.identity import ROLE_SCOPES, Role
from steward.web.dependencies import ADMIN_OR_OPERATOR, OPERATOR
from tests.cli.conftest import Shell, environment
from tests.web.house import SECRET, open_house


@pytest.fixture
def machine(tmp_path: Path, shell: Shell) -> Shell:
    """Return a machine with an empty home and one workspace."""
    shell.use(environment(tmp_path / "home"))
    assert shell.steward("workspaces", "create", "acme", "--name", "Acme Ltd")[0] == 0
    return shell


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.OPERATOR])
def test_a_key_is_printed_in_the_documented_shape(machine: Shell, role: Role) -> None:
    """``keys create --json`` prints exactly the documented members, with the role's scopes."""
    made = machine.json("keys", "create", "--workspace", "acme", "--role", role.value, "--name", "office")
    assert list(made) == ["key_id", "key", "workspace_id", "role", "scopes", "expires_at"]
    assert made["key"].startswith("stw_" + made["key_id"].removeprefix("key_") + "_")
    assert made["scopes"] == sorted(scope.value for scope in ROLE_SCOPES[role])
    assert (made["workspace_id"], made["role"], made["expires_at"]) == ("acme", role.value, None)


RANKS = {Role.OPERATOR: (OPERATOR, ADMIN_OR_OPERATOR), Role.ADMIN: (ADMIN_OR_OPERATOR,)}
"""What stands for a role where other routes name a scope."""


async def _doors_of(home: Path, keys: Mapping[Role, Mapping[str, Any]]) -> dict[Role, set[tuple[str, str]]]:
    """Return which operations let each key in; none of them may answer that it does not know the key, or break."""
    ids = {name: f"{name.removesuffix('_id')}_{'0' * 24}" for name in ("plan_id", "job_id", "key_id")}
    ids["approval_id"] = f"appr_{'0' * 24}"
    doors = defaultdict[Role, set[tuple[str, str]]](set)
    async with open_house(home, STEWARD_RATE_LIMITS="off") as house:
        outsider = await house.client_with(None)
        for path, item in (await outsider.get("/openapi.json")).json()["paths"].items():
            for method, operation in item.items():
                if not operation.get("security") or path == "/ai/events":  # that one would go on
                    continue
                needed = set(operation["security"][0]["bearer"])
                for role, made in keys.items():
                    client = await house.client_with(made["key"])
                    body: dict[str, Any] = {"json": {}} if "requestBody" in operation else {}
                    answer = await client.request(method, path.format_map(defaultdict(lambda: "x", ids)), **body)
                    may = needed <= {*made["scopes"], *RANKS.get(role, ())}
                    refused = answer.status_code == 403 and answer.json()["code"] == "missing_scope"
                    assert answer.status_code not in {401, 500}, (role, method, path)
                    assert refused is not may, (role, method, path, answer.text)
                    doors[role] |= {(method, path)} if may else set()
    return doors


def test_w3_w55_a_printed_key_opens_exactly_the_routes_of_its_scopes(tmp_path: Path, shell: Shell) -> None:
    """Every role's key, made here and used over HTTP: no route knows a key and then breaks, and no other scope will do."""
    home = tmp_path / "home"
    shell.use(environment(home, STEWARD_SECRET_KEY=SECRET))
    shell.steward("workspaces", "create", "acme")
    keys = {
        role: shell.json("keys", "create", "-w", "system" if role is Role.OPERATOR else "acme", "--role", role.value)
        for role in Role
    }
    doors = asyncio.run(_doors_of(home, keys))
    assert {("post", "/ai/execute"), ("get", "/ai/jobs")} <= doors[Role.DEVELOPER] <= doors[Role.ADMIN]
    assert doors[Role.VIEWER] < doors[Role.DEVELOPER]
    assert doors[Role.VIEWER] < doors[Role.APPROVER]
    assert doors[Role.AUDITOR].isdisjoint(doors[Role.VIEWER])
    assert doors[Role.OPERATOR].isdisjoint(doors[Role.DEVELOPER])


def test_the_secret_is_shown_once_and_kept_nowhere(machine: Shell, tmp_path: Path) -> None:
    """Neither the list nor any file of the home holds it."""
    made = machine.json("keys", "create", "--workspace", "acme", "--role", "admin")
    secret = made["key"].rsplit("_", 1)[1]
    assert secret not in json.dumps(machine.json("keys", "list"))
    for file in (tmp_path / "home").rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes()


def test_without_json_the_key_alone_is_on_standard_output(machine: Shell) -> None:
    """``KEY=$(steward keys create …)`` works; the advice goes to standard error."""
    code, out, err = machine.steward("keys", "create", "--workspace", "acme", "--role", "viewer")
    assert code == 0
    assert out.startswith("stw_")
    assert out.count("\n") == 1
    assert "not shown again" in err


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("45m", 2700), ("12h", 43_200), ("30d", 2_592_000), ("2w", 1_209_600)]
)
def test_a_key_may_expire(machine: Shell, text: str, seconds: int) -> None:
    """A duration is a number and a unit, counted from now."""
    machine.json("keys", "create", "--workspace", "acme", "--role", "viewer", "--expires-in", text)
    (key,) = machine.json("keys", "list")["keys"]
    validity = datetime.fromisoformat(key["expires_at"]) - datetime.fromisoformat(key["created_at"])
    assert validity.total_seconds() == seconds


def test_the_list_shows_when_a_key_ends(machine: Shell) -> None:
    """Of a key that is being replaced, too: two keys look alike otherwise. One for ever says nothing."""
    made = machine.json("keys", "create", "--workspace", "acme", "--role", "viewer")
    assert "ends in" not in machine.steward("keys", "list").out
    machine.json("keys", "rotate", made["key_id"], "--overlap", "36h")
    assert machine.steward("keys", "list").out.count("ends in 1 d") == 1
    machine.json("keys", "revoke", made["key_id"])
    assert "ends in" not in machine.steward("keys", "list").out


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "0d", "1.5h", "30 d", "30D", "9999999d", "٣d"])
def test_a_duration_that_is_none_is_a_usage_error(machine: Shell, text: str) -> None:
    """Nothing is made."""
    assert machine.steward("keys", "create", "--workspace", "acme", "--role", "viewer", "--expires-in", text)[0] == 2
    assert machine.json("keys", "list") == {"keys": []}


@pytest.mark.parametrize(
    ("workspace", "role", "ends"),
    [
        ("acme", "operator", 2),
        ("system", "admin", 2),
        ("nowhere", "admin", 1),
        ("Acme", "admin", 2),
        ("acme\n", "admin", 2),
        ("", "admin", 2),
    ],
)
def test_a_key_that_should_not_exist_is_not_made(machine: Shell, workspace: str, role: str, ends: int) -> None:
    """One sentence, exit 2 for what cannot be and 1 for what is not there, no traceback, nothing kept."""
    code, out, err = machine.steward("keys", "create", "--workspace", workspace, "--role", role)
    assert (code, out) == (ends, "")
    assert err.startswith("✗ ")
    assert "Traceback" not in err
    assert machine.json("keys", "list") == {"keys": []}


def test_an_operator_key_lives_in_the_reserved_workspace(machine: Shell) -> None:
    """It carries no scope to act: it may read the record of the installation itself."""
    made = machine.json("keys", "create", "--workspace", "system", "--role", "operator")
    assert (made["workspace_id"], made["scopes"]) == ("system", ["audit:read"])


def test_a_key_is_revoked_for_good(machine: Shell) -> None:
    """The list says so; revoking again is no error, an unknown one is."""
    made = machine.json("keys", "create", "--workspace", "acme", "--role", "viewer")
    assert machine.steward("keys", "revoke", made["key_id"])[0] == 0
    assert machine.steward("keys", "revoke", made["key_id"])[0] == 0
    assert [key["state"] for key in machine.json("keys", "list", "--workspace", "acme")["keys"]] == ["revoked"]
    assert machine.steward("keys", "revoke", "key_" + "0" * 24)[0] == 1


def test_workspaces_are_made_once_and_listed(machine: Shell) -> None:
    """A taken id is one sentence and exit 1; a reserved or malformed one is wrong usage, here as over HTTP."""
    for workspace, expected in (("acme", 1), ("system", 2), ("Acme", 2), ("a" * 33, 2), ("acme\n", 2)):
        code, _, err = machine.steward("workspaces", "create", workspace)
        assert code == expected
        assert err.startswith("✗ ")
    listed = machine.json("workspaces", "list")["workspaces"]
    assert [(item["workspace_id"], item["name"]) for item in listed] == [("acme", "Acme Ltd")]


def test_tables_fit_eighty_columns_and_have_no_colour_in_a_pipe(machine: Shell) -> None:
    """What a person pipes into a file is plain text."""
    machine.json("keys", "create", "--workspace", "acme", "--role", "developer", "--name", "n" * 100)
    for command in (("keys", "list"), ("workspaces", "list")):
        code, out, _ = machine.steward(*command)
        assert code == 0
        assert "\x1b" not in out
        assert all(len(line) <= 80 for line in out.splitlines())


def test_what_is_not_there_says_where_to_look(machine: Shell) -> None:
    """An unknown workspace is no empty list, and each sentence is followed by the command that shows what there is."""
    for command in (("keys", "list"), ("members", "list")):
        ended = machine.steward(*command, "--workspace", "nowhere")
        assert (ended.code, ended.out) == (1, "")
        assert "steward workspaces list" in ended.err
    assert "steward keys list" in machine.steward("keys", "revoke", "key_" + "0" * 24).err
    assert "steward members list" in machine.steward("members", "remove", "nobody", "-w", "acme").err
    assert "path" in machine.steward("workspaces", "settings", "acme", "--file", "/nowhere/acme.json").err


def test_a_wrong_setting_is_one_sentence(machine: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is named, its value is not repeated, and it counts as wrong usage."""
    monkeypatch.setenv("DATABASE_URL", "mysql://steward:hunter2@db/steward")
    code, _, err = machine.steward("keys", "list")
    assert code == 2
    assert "DATABASE_URL" in err
    assert "hunter2" not in err


@pytest.mark.parametrize(
    ("variable", "value", "ends"),
    [
        ("DATABASE_URL", "sqlite:////nowhere/at/all.db", 1),
        ("DATABASE_URL", "postgresql://steward:hunter2@127.0.0.1:1/steward", 1),
        ("STEWARD_HOME", "/dev/null", 2),
        ("STEWARD_HOME", "/dev/null/home", 2),
    ],
)
def test_what_leads_nowhere_is_named(
    machine: Shell, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, ends: int
) -> None:
    """A place that has the right form, and where nothing can be kept, is told of by the variable that names it."""
    monkeypatch.setenv(variable, value)
    code, out, err = machine.steward("keys", "list")
    assert (code, out) == (ends, "")
    assert variable in err.splitlines()[0]
    assert value not in err
