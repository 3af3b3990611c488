"""From a sentence to work done, with real commands beside a real ``steward up``."""

import json
import os
import pty
import signal
import subprocess
import threading
from typing import Any

import pytest

from tests.cli.conftest import LIMIT_S, STEWARD, Machine, Process, Shell, steward

pytestmark = pytest.mark.slow


def jobs_of(shell: Shell, plan_id: str) -> list[dict[str, Any]]:
    """Return the jobs of a plan."""
    return shell.json("jobs", "list", "--plan", plan_id)["jobs"]


def plan_in(text: str) -> str:
    """Return the first plan id in a text."""
    return next(word for word in text.replace("'", " ").split() if word.startswith("plan_"))


def test_w5_a_sentence_becomes_work_done(up: Machine, beside: Shell) -> None:
    """``run --yes`` plans, shows, executes, follows and ends with 0; the file is there and the job is listed completed."""
    ended = steward(up.env, "run", "--yes", "write 'The lift is repaired' to notice.txt and then read notice.txt")
    assert ended.returncode == 0, ended.stderr
    assert (up.files / "notice.txt").read_text() == "The lift is repaired"
    assert "path: notice.txt" in ended.stdout
    assert "allow" in ended.stdout
    assert "completed" in ended.stderr
    assert "The lift is repaired" in ended.stdout
    assert "\x1b" not in ended.stdout + ended.stderr
    assert {job["status"] for job in jobs_of(beside, plan_in(ended.stdout))} == {"completed"}


def test_a_long_listing_is_paged_or_shown_whole(beside: Shell) -> None:
    """A page says how to go on; its cursor does; ``--all`` joins every page, of jobs and of plans."""
    for name in ("ann", "ben", "cid"):
        assert beside.steward("run", "--yes", f"say hello to {name}").code == 0
    for kind, row in (("jobs", "job_id"), ("plans", "plan_id")):
        every = beside.json(kind, "list", "--all", "--limit", "1")
        ids = [item[row] for item in every[kind]]
        assert len(ids) == len(set(ids)) == every["count"] >= 3
        assert every["next_cursor"] is None
        first = beside.json(kind, "list", "--limit", "2")
        assert [item[row] for item in first[kind]] == ids[:2]
        shown = beside.steward(kind, "list", "--limit", "2")
        assert "--all" in shown.err
        assert first["next_cursor"][:8] in shown.err
        rest = beside.json(kind, "list", "--cursor", first["next_cursor"], "--limit", "1")
        assert [item[row] for item in rest[kind]] == ids[2:3]
        assert "--all" not in beside.steward(kind, "list", "--all").err


def test_json_goes_to_standard_output_and_progress_to_standard_error(beside: Shell) -> None:
    """``run --yes --json`` prints one document: the plan with its jobs and results."""
    ended = beside.steward("run", "--yes", "--json", "say hello to bob")
    assert ended.code == 0
    plan = json.loads(ended.out)
    assert plan["status"] == "completed"
    assert plan["jobs"][0]["result"]["said"] == "hello, bob"
    assert "completed" in ended.err


def test_escape_sequences_in_a_result_do_not_reach_the_terminal(beside: Shell) -> None:
    """What a far end wrote is shown, not obeyed."""
    ended = beside.steward("run", "--yes", "say hello to carol")
    assert ended.code == 0
    assert "\x1b" not in ended.out
    assert "\x07" not in ended.out


def test_nobody_there_to_confirm_means_nothing_runs(up: Machine, beside: Shell) -> None:
    """Without a terminal and without --yes: exit 2, a sentence, and the plan stays a draft."""
    ended = beside.steward("run", "write 'x' to never.txt")
    assert ended.code == 2
    assert "--yes" in ended.err
    assert not (up.files / "never.txt").exists()


def test_a_sentence_that_lacks_something_asks_for_it(up: Machine, beside: Shell) -> None:
    """Away from a terminal the question is the complaint, exit 2; --answer gives the answer in advance."""
    lacking = beside.steward("run", "--yes", "write 'hello there'")
    assert lacking.code == 2
    assert "--answer" in lacking.err
    given = beside.steward("run", "--yes", "write 'hello there'", "--answer", "path=asked.txt")
    assert given.code == 0, given.err
    assert (up.files / "asked.txt").read_text() == "hello there"


def test_a_sentence_that_is_not_understood_runs_nothing(beside: Shell) -> None:
    """Exit 2, and where to see what can be done."""
    ended = beside.steward("run", "--yes", "frobnicate the moon")
    assert ended.code == 2
    assert "actions list" in ended.err


def test_plan_shows_and_runs_nothing_and_run_takes_it_up(up: Machine, beside: Shell) -> None:
    """``plan`` ends with the command that runs it; running it twice does it once."""
    planned = beside.steward("plan", "write 'later' to later.txt")
    assert planned.code == 0
    plan_id = plan_in(planned.err)
    assert f"steward run --plan {plan_id}" in planned.err
    assert not (up.files / "later.txt").exists()
    for _ in range(2):
        assert beside.steward("run", "--yes", "--plan", plan_id).code == 0
    assert len(jobs_of(beside, plan_id)) == 1
    assert "completed" in beside.steward("plans", "show", plan_id).out


def test_a_step_that_fails_ends_with_1_and_says_what_to_do(beside: Shell) -> None:
    """The far end's reason and the next command are shown, and the command works."""
    ended = beside.steward("run", "--yes", "refuse everything")
    assert ended.code == 1
    assert "The far end declined" in ended.out
    assert "steward jobs retry job_" in ended.err
    (job,) = jobs_of(beside, plan_in(ended.out))
    assert beside.json("jobs", "retry", job["job_id"])["status"] in {"pending", "running", "failed"}


def test_an_unknown_outcome_is_settled_by_hand(beside: Shell) -> None:
    """The run ends with 1, nothing is repeated, explain says why, and resolve settles it."""
    ended = beside.steward("run", "--yes", "--json", "doubt 'the ledger'")
    assert ended.code == 1
    (job,) = json.loads(ended.out)["jobs"]
    assert job["status"] == "unknown"
    assert beside.json("jobs", "explain", job["job_id"])["status"] == "unknown"
    assert "unknown" in beside.steward("jobs", "explain", job["job_id"]).out
    settle = ("jobs", "resolve", job["job_id"], "--outcome", "completed", "--note", "it is in the ledger")
    assert beside.json(*settle)["status"] == "completed"
    assert beside.steward(*settle).code == 1


def test_ctrl_c_while_following_says_that_the_work_goes_on(up: Machine, beside: Shell) -> None:
    """Exit 130, the command to look again and the one to cancel; the step goes on and completes."""
    os.mkfifo(up.home / "bell")
    following = Process.start(up.env, "run", "--yes", "wait for bell")
    following.log.wait_for("running")
    following.popen.send_signal(signal.SIGINT)
    assert following.ended() == 130
    assert "the work goes on" in following.log.text
    plan_id = plan_in(following.log.text)
    assert f"steward plans cancel {plan_id}" in following.log.text
    assert "Traceback" not in following.log.text
    assert jobs_of(beside, plan_id)[0]["status"] == "running"
    (up.home / "bell").write_text("ding")
    assert beside.steward("run", "--yes", "--plan", plan_id).code == 0


def test_on_a_terminal_it_asks_for_what_is_missing_and_for_a_yes(up: Machine) -> None:
    """A question is asked and answered, then the plan is confirmed; 'n' runs nothing."""
    for reply, code in (("y", 0), ("n", 1)):
        target = f"terminal-{reply}.txt"
        assert on_a_terminal(up, ["run", "write 'from a terminal'"], [target, reply]) == code
        assert (up.files / target).exists() is (reply == "y")


def test_a_denied_plan_ends_with_3_and_its_reason(up: Machine, shell: Shell) -> None:
    """What a server's policy denies is not run, although it was allowed when the plan was made.

    The plan is made on the first server; a second one on the same data has a denylist and is asked to run it.
    """
    shell.use(up.env)
    plan_id = shell.json("plan", "write 'x' to denied.txt")["plan_id"]
    secret = (up.home / "secret.key").read_text()
    server = Process.start(
        {**up.env, "STEWARD_SECRET_KEY": secret, "ACTION_DENYLIST": "file.write"}, "serve", "--port", "0"
    )
    try:
        shell.use({**up.env, "STEWARD_URL": server.url(), "STEWARD_API_KEY": (up.home / "local.key").read_text()})
        ended = shell.steward("run", "--yes", "--plan", plan_id)
    finally:
        server.close()
    assert ended.code == 3, ended.err
    assert "ACTION_DENYLIST" in ended.err
    assert not (up.files / "denied.txt").exists()


def test_a_sentence_for_a_disabled_action_ends_with_1_and_says_what_would_enable_it(beside: Shell) -> None:
    """Without SMTP_URL nothing can be sent: nothing is planned, the answer names the setting, and policy is not blamed."""
    ended = beside.steward("run", "--yes", "send an email to office@example.com saying hello")
    assert ended.code == 1, ended.err
    assert "SMTP_URL" in ended.err
    assert "A setting is missing." in ended.out
    assert "policy" not in (ended.out + ended.err).lower()


@pytest.mark.parametrize(
    "command",
    ["plans list", "jobs list", "actions list", "actions show email.send", "keys list", "workspaces list", "version"],
)
def test_every_table_has_a_json_form_and_fits_eighty_columns(beside: Shell, command: str) -> None:
    """The table has no colour in a pipe; --json prints exactly one JSON document on standard output."""
    table = beside.steward(*command.split())
    assert table.code == 0, table.err
    assert "\x1b" not in table.out
    assert all(len(line) <= 80 for line in table.out.splitlines())
    assert beside.json(*command.split())


@pytest.mark.parametrize(
    "command",
    [
        f"plans show plan_{'0' * 24}",
        f"plans cancel plan_{'0' * 24}",
        f"jobs show job_{'0' * 24}",
        "jobs explain not-an-id",
        "jobs cancel ..%2F..%2Factions",
        f"jobs retry job_{'0' * 24}",
        "actions show fax.send",
    ],
)
def test_what_does_not_exist_is_one_sentence(beside: Shell, command: str) -> None:
    """Exit 1, no traceback, nothing on standard output."""
    ended = beside.steward(*command.split())
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("✗ ")


def test_doctor_finds_nothing_wrong_with_a_running_up(beside: Shell) -> None:
    """Every check is there, the server's among them, and none fails."""
    report = json.loads(beside.steward("doctor", "--json").out)
    levels = {finding["check"]: finding["level"] for finding in report["findings"]}
    good = ("settings", "home", "secret key", "database", "schema", "clock", "signatures", "actions", "server")
    assert levels == {**dict.fromkeys(good, "ok"), "mail": "warn", "disk": levels["disk"]}
    assert report["ok"] is (levels["disk"] != "fail")


def on_a_terminal(up: Machine, arguments: list[str], replies: list[str]) -> int:
    """Run a command on a pseudo-terminal, type each reply when it is asked for, and return the exit code."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([STEWARD, *arguments], env=up.env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = ""
    pending = list(replies)
    watchdog = threading.Timer(LIMIT_S, process.kill)
    watchdog.start()
    try:
        while True:
            try:
                more = os.read(ours, 4096).decode(errors="replace")
            except OSError:  # the other end is closed
                break
            if not more:
                break
            shown += more
            if pending and shown.endswith(("[y/N]: ", "\n> ")):
                os.write(ours, f"{pending.pop(0)}\n".encode())
                shown = ""
    finally:
        watchdog.cancel()
        os.close(ours)
    assert not pending, shown
    return process.wait(LIMIT_S)
