"""What ``steward doctor`` says of signatures: whether policies, and the audit's cursor, are as Steward put them there."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from steward.cli.checks import Finding, examine
from tests.audit.test_archiver import archiver_of
from tests.cli.conftest import environment, steward
from tests.installation import SECRET, installation, planned
from tests.policies.test_genuine import NO_GETS
from tests.postgresql import server
from tests.worker.deeds import note

SOUND = "Policies, and how far the audit has come, are as Steward put them there."


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Return the settings of an installation on each database."""
    if request.param == "sqlite":
        yield {}
        return
    name = server().lend()
    url = server().url(name)
    monkeypatch.setenv("DATABASE_URL", url)
    yield {"DATABASE_URL": url}
    server().give_back(name)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: dict[str, str]) -> Path:
    """Return the home of an installation that has a policy and has archived something, ready for the doctor."""

    async def fill() -> None:
        async with installation(tmp_path, env=place) as house:
            await house.app.policy_desk.put(await house.member(), "no_gets", NO_GETS)
            house.add(note([]))
            await house.run_until_settled((await house.submit(planned("deeds.note", text="hello"))).plan_id)
            await archiver_of(house).turn()

    asyncio.run(fill())
    monkeypatch.setenv("STEWARD_HOME", str(tmp_path))
    monkeypatch.setenv("STEWARD_SECRET_KEY", SECRET)
    return tmp_path


def tamper(home: Path, place: dict[str, str], statement: str) -> None:
    """Write past everything."""

    async def write() -> None:
        async with installation(home, env=place) as house:
            await house.app.database.write(lambda connection: connection.execute(text(statement)).close())

    asyncio.run(write())


def finding() -> Finding:
    """Return what the doctor says of signatures."""
    (found,) = [found for found in examine() if found.check == "signatures"]
    return found


def test_what_steward_put_there_is_ok(home: Path) -> None:
    """One line that says so."""
    assert (finding().level, finding().text) == ("ok", SOUND)


def test_a_process_that_has_opened_no_other_database_says_the_same(home: Path, place: dict[str, str]) -> None:
    """The command itself."""
    looked = steward(environment(home, STEWARD_SECRET_KEY=SECRET, **place), "doctor", "--json")
    (found,) = [one for one in json.loads(looked.stdout)["findings"] if one["check"] == "signatures"]
    assert (found["level"], found["text"]) == ("ok", SOUND)


@pytest.mark.parametrize(
    ("statement", "said", "fix"),
    [
        ("UPDATE policies SET text = ''", "Nothing runs in workspace acme: The policy 'no_gets'", "steward policy put"),
        ("UPDATE workspaces SET policies_signed = NULL", "Nothing runs in workspace acme: The list", "steward policy"),
        ("UPDATE audit_cursors SET position = position + 1", "How far the audit has come", "who can write to the data"),
    ],
)
def test_what_somebody_else_changed_is_named(
    home: Path, place: dict[str, str], statement: str, said: str, fix: str
) -> None:
    """The doctor fails, says what is stopped by it and what to do."""
    tamper(home, place, statement)
    found = finding()
    assert found.level == "fail"
    assert found.text.startswith(said)
    assert fix in found.fix


def test_without_the_secret_key_nothing_can_be_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so, and does not fail."""
    monkeypatch.delenv("STEWARD_SECRET_KEY")
    assert finding().level == "ok"
    assert "secret key" in finding().text
