"""Approvals from the command line: a run that waits, the inbox, a yes to what was shown, and who may give it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from steward.client import Steward
from steward.identity import Role
from steward.policy import Ask
from tests.asking import LOOK, Asking
from tests.cli.conftest import Ended, Shell, environment
from tests.cli.test_work import plan_in
from tests.drifting import let_drift
from tests.fuzz.service import Service, running_service

pytestmark = pytest.mark.slow
LONG = "word " * 100


@pytest.fixture(scope="module")
def asking() -> Asking:
    """Return the rules of the service, which a test may change."""
    return Asking()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the service's folder."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def service(home: Path, asking: Asking) -> Iterator[Service]:
    """Run a service whose policy asks; it shares this process, so its log must not mix with what commands print."""

    def drop(*_: object) -> str:
        raise structlog.DropEvent

    structlog.configure(processors=[drop])
    try:
        with running_service(home, asking) as running:
            yield running
    finally:
        structlog.reset_defaults()


class Office:
    """Commands with a key of one's own, at a service whose policy asks about every echo."""

    def __init__(self, shell: Shell, home: Path, service: Service, asking: Asking) -> None:
        self.asking = asking
        self._shell = shell
        self._env = environment(home, STEWARD_URL=service.address)
        self._key = service.token
        asking.ask("sample.echo")

    def key(self, role: Role) -> str:
        """Return a new key of a role, which is a colleague's."""
        self._shell.use(self._env)
        self._shell.json("members", "set", "bert", "--workspace", "acme", "--role", role.value)
        made = self._shell.json("keys", "create", "--workspace", "acme", "--role", role.value, "--owner", "bert")
        return made["key"]

    def steward(self, *arguments: str, key: str | None = None) -> Ended:
        """Run a command, as the admin unless another key is given."""
        self._shell.use({**self._env, "STEWARD_API_KEY": key or self._key})
        return self._shell.steward(*arguments)

    def asked(self, text: str = "good morning") -> str:
        """Run a sentence that asks, and return the approval's id."""
        ended = self.steward("run", "--yes", "--json", f"echo '{text}'")
        assert ended.code == 4, ended.err
        return json.loads(ended.out)["approval"]["approval_id"]


@pytest.fixture
def office(shell: Shell, home: Path, service: Service, asking: Asking) -> Office:
    """Return where commands are run."""
    return Office(shell, home, service, asking)


def test_a_run_that_asks_ends_with_4_and_says_how_to_go_on(office: Office) -> None:
    """The plan says who may approve before it runs; then exit 4, with the command that approves, which works."""
    planned = office.steward("plan", "echo 'good morning'")
    assert planned.code == 0
    assert f"s1 ask {LOOK.reason}" in planned.out
    assert "may approve: anyone who may decide approvals" in planned.out
    ended = office.steward("run", "--yes", "--plan", plan_in(planned.err))
    assert ended.code == 4
    assert "It waits for an approval." in " ".join(ended.out.split())
    command = next(line for line in ended.err.splitlines() if "steward approvals approve" in line)
    decided = office.steward(*command.partition("steward ")[2].split(), "--yes", "--comment", "go; password=hunter2")
    assert decided.code == 0, decided.err
    assert "good morning" in decided.out
    assert decided.out.splitlines()[-1].endswith("approved")
    done = office.steward("run", "--yes", "--plan", plan_in(planned.err))
    assert (done.code, "good morning" in done.out) == (0, True), (done.out, done.err)
    shown = office.steward("approvals", "show", decided.out.split()[0])
    assert "comment: go; password=***REDACTED***" in shown.out
    assert "hunter2" not in shown.out


def test_show_has_all_that_a_decision_needs(office: Office) -> None:
    """The whole text, however long, the rule, who asked, who may approve and until when; it decides nothing."""
    approval_id = office.asked(LONG.strip())
    for arguments in (("approvals", "show", approval_id), ("approvals", "approve", approval_id)):
        ended = office.steward(*arguments)
        together = " ".join(ended.out.split())
        assert together.count("word") >= 100
        for fact in ("rule: look_first", "asked by: key_", "may approve: anyone who may decide", "expires: 20"):
            assert fact in together
        assert "\x1b" not in ended.out
        assert all(len(line) <= 80 for line in ended.out.splitlines())
    assert (ended.code, "--yes" in ended.err) == (2, True)
    document = json.loads(office.steward("approvals", "show", approval_id, "--json").out)
    assert document["status"] == "pending"
    office.steward("approvals", "reject", approval_id)


def test_what_changed_after_a_yes_is_shown_by_field(office: Office, home: Path, service: Service) -> None:
    """The job and the approval tell what was before and what is now, in a table of eighty columns."""
    approval_id = office.asked("good morning, Ann")
    plan_id = json.loads(office.steward("approvals", "show", approval_id, "--json").out)["plan_id"]
    let_drift(home, plan_id, "Ann", "Bob")
    assert office.steward("approvals", "approve", approval_id, "--yes").code == 0
    with Steward(service.address, service.token) as watching:
        held = next(one for one in watching.events(plan_id=plan_id) if one["data"].get("held_for") == "drift")
    for arguments in (("approvals", "show", approval_id), ("jobs", "show", str(held["job_id"]))):
        ended = office.steward(*arguments)
        assert all(len(line) <= 80 for line in ended.out.splitlines())
        rows = [line.split("  ") for line in ended.out.splitlines()]
        (row,) = ([cell.strip() for cell in row if cell] for row in rows if row[0].endswith("text") and len(row) > 2)
        assert row[-2:] == ['"good morning, Bob"', '"good morning, Ann"']
    office.steward("plans", "cancel", plan_id)


def test_the_inbox_and_a_no(office: Office) -> None:
    """What is pending is listed in eighty columns; rejected, it is gone from there, and the plan is rejected."""
    approval_id = office.asked()
    table = office.steward("approvals", "list")
    assert approval_id in table.out
    assert all(len(line) <= 80 for line in table.out.splitlines())
    listed = json.loads(office.steward("approvals", "list", "--json").out)
    assert [one["approval_id"] for one in listed["approvals"]] == [approval_id]
    ended = office.steward("approvals", "reject", approval_id, "--comment", "not today", "--json")
    assert (ended.code, json.loads(ended.out)["comment"]) == (0, "not today")
    assert office.steward("approvals", "list").out == ""
    assert approval_id in office.steward("approvals", "list", "--status", "rejected").out
    plan = json.loads(office.steward("plans", "show", json.loads(ended.out)["plan_id"], "--json").out)
    assert plan["status"] == "rejected"
    again = office.steward("approvals", "approve", approval_id, "--yes")
    assert (again.code, "rejected" in again.err) == (1, True)


def test_who_may_not_approve_is_told_who_may(office: Office) -> None:
    """One's own plan where another person must: exit 1 and a sentence; explain names who; a colleague may."""
    office.asking.ask("sample.echo", Ask("four_eyes", "Two people.", another_person=True, approver_role=Role.APPROVER))
    approval_id = office.asked()
    refused = office.steward("approvals", "approve", approval_id, "--yes")
    assert (refused.code, "ask somebody else" in refused.err) == (1, True)
    document = json.loads(office.steward("approvals", "show", approval_id, "--json").out)
    plan = json.loads(office.steward("plans", "show", document["plan_id"], "--json").out)
    explained = " ".join(office.steward("jobs", "explain", plan["jobs"][0]["job_id"]).out.split())
    assert "somebody with the role approver, but not whoever made or executed the plan" in explained
    viewer = office.steward("approvals", "list", key=office.key(Role.VIEWER))
    assert (viewer.code, "approvals:decide" in viewer.err) == (1, True)
    approved = office.steward("approvals", "approve", approval_id, "--yes", "--json", key=office.key(Role.APPROVER))
    assert (approved.code, json.loads(approved.out)["status"]) == (0, "approved")


@pytest.mark.parametrize("verb", ["show", "approve --yes", "reject"])
@pytest.mark.parametrize("approval_id", [f"appr_{'0' * 24}", "not-an-id", "..%2F..%2Factions"])
def test_an_approval_that_is_not_there_is_one_sentence(office: Office, verb: str, approval_id: str) -> None:
    """Exit 1, no traceback, nothing on standard output."""
    ended = office.steward("approvals", *verb.split(), approval_id)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("✗ ")
