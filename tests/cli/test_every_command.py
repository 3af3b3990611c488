"""Every command as its own example calls it: readable at 80 columns whatever people named things, and JSON for programs."""

import itertools
import json
import re
import shlex
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from rich.cells import cell_len

from steward.cli.isolation_commands import commands
from tests.cli.conftest import Ended, Shell
from tests.cli.wide_actions import LONG_NAME
from tests.docs.stage import ID, Stage

pytestmark = pytest.mark.slow
SERVERS = {"up", "serve", "worker"}
"""They run until they are stopped, and log."""
ELSEWHERE = {"isolation-audit": "tests/security/test_isolation_audit.py", "schema": "test_schema.py"}
"""They need more than a server beside them, and are held to the same there."""
LONG = "a name that goes on and on, 長い名前は折り返される, [bold]and[/] so forth " * 2
MEMBER = f"auth0|{'m' * 30}@an-identity.example.com"
WORKSPACE = "w" * 32
CODES = {"steward doctor": {0, 1}, "steward audit verify --file": {1}, "steward policy check": {0, 4}}
"""How examples end that may not end with 0: the disk may be full, nobody has the example's public key, and a rule may ask."""
ROWS = {
    "plans": "plan_id",
    "jobs": "job_id",
    "approvals": "approval_id",
    "keys": "key_id",
    "workspaces": "workspace_id",
    "members": "actor_id",
    "actions": "id",
    "policies": "name",
    "rules": "name",
}
"""What somebody copies from a row of a listing."""


def examples(command: Any) -> list[str]:
    """Return the ways to call a command that its help shows."""
    return re.findall(r"^Example: (steward .+)$", command.help or "", re.MULTILINE)


@pytest.fixture
def stage(tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """Return a machine where everything has a name that is too long, and some of it wants to drive the terminal."""
    monkeypatch.chdir(tmp_path)
    made = Stage.at(tmp_path, shell)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    mail = Controller(Sink(), hostname="127.0.0.1", port=port)
    mail.start()
    try:
        made.up(
            STEWARD_ACTIONS="odd_actions,wide_actions",
            SMTP_URL=f"smtp://127.0.0.1:{port}",
            SMTP_FROM="office@example.com",
        )
        furnish(made)
        yield made
    finally:
        made.close()
        mail.stop()


def furnish(stage: Stage) -> None:
    """Make one of everything that is listed."""
    done = stage.shell.json
    for workspace in ("acme", WORKSPACE):
        done("workspaces", "create", workspace, "--name", "n" * 100)
    roles = [word for role in ("viewer", "developer", "approver", "auditor", "admin") for word in ("--role", role)]
    done("members", "set", MEMBER, "--workspace", WORKSPACE, *roles, "--name", "n" * 100)
    done("members", "set", MEMBER, "--workspace", "acme", *roles, "--name", "n" * 100)
    done("keys", "create", "--workspace", WORKSPACE, "--role", "developer", "--owner", MEMBER, "--name", "k" * 100)
    done("keys", "create", "--workspace", "acme", "--role", "developer", "--owner", MEMBER, "--name", "k" * 100)
    assert stage.shell.steward("run", "--yes", f"echo {LONG}").code == 0
    assert stage.shell.steward("run", "--yes", "widen everything").code == 1
    (stage.folder / "no_webhooks.cedar").write_text('forbid (principal, action == Action::"webhook.post", resource);\n')
    (stage.folder / "acme.json").write_text("{}")
    done("policy", "put", "a_policy_with_a_name_of_32_chars", "no_webhooks.cedar")


class Caller:
    """Calls examples as they stand, with what a reader would put in, and with what they need to be there."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.numbers = itertools.count()

    def prepare(self, example: str) -> None:
        """Make what an example is about, since another one may have removed it."""
        if "members" in example or "keys create" in example:
            self.stage.shell.json("members", "set", "alice", "--workspace", "acme", "--role", "developer")
        if "policy" in example:
            self.stage.shell.json("policy", "put", "no_webhooks", "no_webhooks.cedar")
        evidence = self.stage.folder / "evidence.json"
        if "audit export" in example:
            evidence.unlink(missing_ok=True)
        elif "--file evidence.json" in example and not evidence.exists():
            plan_id = self.stage.supply("plan", "")
            assert self.stage.shell.steward("audit", "export", plan_id, "--output", "evidence.json").code == 0

    def call(self, example: str, *more: str) -> Ended:
        """Run an example."""
        self.prepare(example)
        text = example.replace("3b6a…", "3b" * 32).replace("create acme", f"create acme{next(self.numbers)}")
        known: dict[str, str] = {}
        filled = ID.sub(lambda found: known.setdefault(found[1], self.stage.supply(found[1], text)), text)
        unasked = ["--yes"] if "approvals approve" in text or text.startswith("steward run ") else []
        return self.stage.shell.steward(*shlex.split(filled)[1:], *unasked, *more)


def lost(table: str, document: Mapping[str, Any]) -> list[str]:
    """Return what somebody would copy from the rows of a listing and cannot, because the table does not have all of it."""
    lines = [line for line in table.splitlines() if line.strip()]
    folded = "".join(
        line.split()[0] for line in lines if not line.startswith(" ")
    )  # the first column, if it is wrapped
    rows = [(row, name) for listing, name in ROWS.items() for row in document.get(listing, ()) if name in row]
    return [row[name] for row, name in rows if row[name] not in table and row[name] not in folded]


def looked_at(caller: Caller, example: str) -> Iterator[str]:
    """Yield what is wrong with what an example prints, as a table and as JSON."""
    codes = next((codes for start, codes in CODES.items() if example.startswith(start)), {0})
    as_json = caller.call(example, *(() if "--json" in example else ("--json",)))
    if as_json.code not in codes:
        yield f"{example} --json: ends with {as_json.code}: {as_json.err}"
    document: Any = {}
    try:
        document = json.loads(as_json.out)
    except ValueError:
        yield f"{example} --json: is not JSON: {as_json.out}{as_json.err}"
    if "--json" in example:
        return
    table = caller.call(example)
    if table.code not in codes:
        yield f"{example}: ends with {table.code}: {table.err}"
    wide = [line for line in table.out.splitlines() if cell_len(line) > 80 and not line.startswith("stw_")]
    if wide:
        yield f"{example}: is wider than a terminal: {wide}"
    if any(sign in table.out + table.err for sign in ("\x1b", "\x07", "Traceback")):
        yield f"{example}: lets a text drive the terminal: {table.out!r}"
    if isinstance(document, dict) and " list" in example and (gone := lost(table.out, document)):
        yield f"{example}: cuts {gone}"


def test_every_command_prints_json_and_fits_80_columns(stage: Stage) -> None:
    """Each example ends as it should; no line is over 80 columns, no id is cut, nothing drives the terminal; --json is one document.

    So do listings of what has the longest names there may be.
    """
    caller = Caller(stage)
    wrong: list[str] = []
    for words, command, _ in commands():
        if " ".join(words) not in SERVERS and words[0] not in ELSEWHERE:
            assert examples(command), f"{words} has no example"
            wrong += [line for example in examples(command) for line in looked_at(caller, example)]
    stage.supply("appr", "")
    for listing in (
        f"members list --workspace {WORKSPACE}",
        f"keys list --workspace {WORKSPACE}",
        f"actions show wide.{LONG_NAME}",
        "keys list",
        "jobs list --status failed",
        "approvals list",
        "audit list --all",
    ):
        wrong += looked_at(caller, f"steward {listing}")
    assert not wrong, "\n".join(wrong)


def test_every_command_that_prints_a_result_has_json() -> None:
    """Whoever writes a program never has to read a table."""
    without = {
        " ".join(words)
        for words, command, _ in commands()
        if "--json" not in {option for parameter in command.params for option in parameter.opts}
    }
    assert without == SERVERS
