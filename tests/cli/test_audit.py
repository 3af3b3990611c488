"""``steward audit``: the record, its check, and evidence that needs no server."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Machine, Shell, environment, steward

pytestmark = pytest.mark.slow


def plan_on_record(beside: Shell) -> str:
    """Run a sentence, and return its plan once its end is on record."""
    plan_id = beside.json("run", "--yes", "write 'audited' to audited.txt")["plan_id"]
    while not beside.json("audit", "list", "--plan", plan_id, "--kind", "plan.completed")["records"]:
        pass  # the archiver is at most half a second behind
    return plan_id


def test_the_record_of_a_plan_is_listed(beside: Shell, up: Machine) -> None:
    """As a table with who, what, result and rule, and as JSON; the ids of the table stand whole on a line each."""
    plan_id = plan_on_record(beside)
    kinds = {record["kind"] for record in beside.json("audit", "list", "--plan", plan_id)["records"]}
    assert {"policy.decided", "plan.drafted", "plan.submitted", "job.completed"} <= kinds
    begun = beside.json("audit", "list", "--plan", plan_id, "--kind", "job.dispatched")["records"]
    assert {record["facts"]["attempt"] for record in begun} == {1}, "in a record of its own, or in that of the outcome"
    table = beside.steward("audit", "list", "--plan", plan_id)
    assert table.code == 0
    assert "plan.submitted" in table.out
    assert "allow" in table.out
    every = beside.steward("audit", "list", "--kind", "plan.submitted")
    assert any(line.split() and line.split()[-1] == plan_id for line in every.out.splitlines())
    assert all(len(line) <= 80 for line in every.out.splitlines())


def test_the_chain_is_checked(beside: Shell) -> None:
    """It says up to where it is signed and what to note; what was noted is found again, and something else is not."""
    plan_on_record(beside)
    checked = beside.steward("audit", "verify")
    assert checked.code == 0, checked.err
    assert "--noted" in checked.out
    verdict = beside.json("audit", "verify")
    noted = f"{verdict['head']}:{verdict['hash']}"
    assert beside.steward("audit", "verify", "--noted", noted).code == 0
    wrong = beside.steward("audit", "verify", "--noted", f"{verdict['head']}:{'0' * 64}")
    assert wrong.code == 1
    assert "noted" in wrong.err
    assert f"records of {verdict['workspace_id']}" in checked.out
    assert f"the chain of {verdict['workspace_id']}" in wrong.err


def test_evidence_is_checked_without_a_server(beside: Shell, up: Machine, tmp_path: Path) -> None:
    """On a machine that has only the file and the public key: exit 0 as it is, 1 once anything in it was changed."""
    plan_id = plan_on_record(beside)
    file = tmp_path / "evidence.json"
    assert beside.steward("audit", "export", plan_id, "--output", str(file)).code == 0
    key = next(key["public_key"] for key in beside.json("audit", "verify")["keys"] if key["signs"])
    elsewhere = environment(tmp_path / "nowhere")
    good = steward(elsewhere, "audit", "verify", "--file", str(file), "--public-key", key)
    assert good.returncode == 0, good.stderr
    assert plan_id in good.stdout
    unkeyed = steward(elsewhere, "audit", "verify", "--file", str(file))
    assert unkeyed.returncode == 0
    assert key in unkeyed.stderr.replace("\n", "")
    document = json.loads(file.read_text())
    document["records"][0]["result"] = "deny"
    file.write_text(json.dumps(document))
    changed = steward(elsewhere, "audit", "verify", "--file", str(file), "--public-key", key)
    assert changed.returncode == 1
    assert f"Record {document['records'][0]['sequence']}" in changed.stderr
    other = steward(elsewhere, "audit", "verify", "--file", str(file), "--public-key", "0" * 64, "--json")
    assert other.returncode == 1
    assert json.loads(other.stdout)["sound"] is False


def test_wrong_usage_is_told(shell: Shell, tmp_path: Path) -> None:
    """A file that is no JSON, and options that do not go together."""
    (tmp_path / "note.txt").write_text("no evidence")
    shell.use(environment(tmp_path))
    assert shell.steward("audit", "verify", "--file", str(tmp_path / "note.txt")).code == 2
    assert shell.steward("audit", "verify", "--public-key", "ab").code == 2
    assert shell.steward("audit", "verify", "--file", "x.json", "--noted", "1:ab").code == 2
    assert shell.steward("audit", "verify", "--file", str(tmp_path / "missing.json")).code == 1


def test_evidence_is_not_written_over_by_accident(beside: Shell, tmp_path: Path) -> None:
    """A file that is there stays as it is, unless --force says otherwise."""
    plan_id, file = plan_on_record(beside), tmp_path / "kept.json"
    file.write_text("mine")
    refused = beside.steward("audit", "export", plan_id, "--output", str(file))
    assert (refused.code, file.read_text()) == (2, "mine")
    assert "--force" in refused.err
    assert beside.steward("audit", "export", plan_id, "--output", str(file), "--force").code == 0
    assert json.loads(file.read_text())["plan_id"] == plan_id


def test_a_kind_or_a_role_that_there_is_not_is_said_in_a_sentence(beside: Shell) -> None:
    """Naming those that there are, and no pattern."""
    odd = beside.steward("audit", "list", "--kind", "nope")
    assert odd.code == 2
    assert "policy.decided" in odd.err
    assert "^" not in odd.err
    boss = beside.steward("keys", "create", "--workspace", "default", "--role", "bosss")
    assert boss.code == 2
    assert "Value error" not in boss.err
    assert "viewer" in boss.err


def test_an_action_that_lacks_a_setting_was_not_refused_by_policy(beside: Shell) -> None:
    """It failed, and the setting is named."""
    lacking = beside.steward("run", "--yes", "send an email to office@example.com saying hello")
    assert lacking.code == 1, lacking.err
    assert "SMTP_URL" in lacking.err
    assert "policy" not in lacking.err.lower()
