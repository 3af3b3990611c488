"""The command line before anything runs: help, usage errors, and how little is loaded for them."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import steward.cli
from steward.cli.app import app
from steward.cli.isolation_commands import commands

COMMANDS = [" ".join(words) for words, _, _ in commands()]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    """``--help`` says what it does and shows one way to call it."""
    shown = CliRunner().invoke(app, [*command.split(), "--help"])
    assert shown.exit_code == 0
    assert f"Example: steward {command}" in " ".join(shown.output.split())


def test_every_command_declares_whose_things_it_is_about() -> None:
    """One of the four words; those that speak to a server with a key are about the caller's workspace or shared."""
    declared = {" ".join(words): tenancy for words, _, tenancy in commands()}
    assert None not in declared.values(), declared
    speaking = {
        f"{path.stem} "
        for path in Path(steward.cli.__file__).parent.glob("*.py")
        if "Client.here()" in path.read_text()
    }
    assert speaking >= {"jobs ", "plans ", "actions "}
    for name, tenancy in declared.items():
        if name.partition(" ")[0] + " " in speaking and name != "doctor":
            assert tenancy in {"workspace", "shared"}, name


def test_what_is_not_built_yet_is_not_in_the_help() -> None:
    """A command that would not work is absent, and calling it is a usage error."""
    shown = CliRunner().invoke(app, ["--help"]).output
    for word in ("rollout", "connections"):
        assert f"│ {word} " not in shown
        assert CliRunner().invoke(app, [word]).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["run"],
        ["run", "list files", "--plan", "plan_x"],
        ["run", "list files", "--answer", "nonsense"],
        ["jobs", "list", "--limit", "0"],
        ["jobs", "list", "--limit", "101"],
        ["jobs", "resolve", "job_x", "--outcome", "perhaps", "--note", "n"],
        ["jobs", "resolve", "job_x", "--outcome", "completed"],
        ["keys", "create", "--workspace", "acme"],
        ["keys", "create", "--workspace", "acme", "--role", "emperor"],
        ["up", "--port", "70000"],
        ["worker", "--concurrency", "0"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_2(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt command, option or value is refused before anything is done."""
    monkeypatch.setenv("STEWARD_API_KEY", "stw_x")
    monkeypatch.setenv("STEWARD_URL", "http://127.0.0.1:1")
    assert CliRunner().invoke(app, arguments).exit_code == 2


@pytest.mark.slow
def test_help_loads_nothing_heavy() -> None:
    """Neither the database layer nor the web framework nor the HTTP client is imported to show help."""
    code = (
        "import sys\n"
        "sys.argv = ['steward', '--help']\n"
        "from steward.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'sqlalchemy', 'fastapi', 'starlette', 'uvicorn', 'httpx2', 'pydantic', 'alembic', 'cryptography'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert "HEAVY []" in ended.stdout
    assert "Get work done" in ended.stdout
