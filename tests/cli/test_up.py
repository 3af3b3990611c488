"""``steward up``, ``serve``, ``worker`` and ``doctor`` as processes: how they start, stop, and complain."""

import json
import os
import signal
import socket
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.cli.conftest import Process, Shell, environment, steward

pytestmark = pytest.mark.slow
SECRET = "kYw8Qm2Zr5Tn1Bv7Hs4Jd9Lf3Gx6Pc0A"


@pytest.fixture
def started() -> Iterator[list[Process]]:
    """Hold the processes that a test starts; they are ended after it."""
    processes: list[Process] = []
    yield processes
    for process in processes:
        process.close()


def up(started: list[Process], env: dict[str, str]) -> Process:
    """Start ``steward up`` and return it once it listens."""
    process = Process.start(env, "up", "--port", "0")
    started.append(process)
    process.log.wait_for('"prompt"')  # the last line of the greeting
    return process


def test_the_first_start_makes_everything_and_the_next_one_finds_it(tmp_path: Path, started: list[Process]) -> None:
    """Keys and address are for the owner's eyes only; the key stays the same and stands in the log of the first start alone;
    the address goes when it stops.
    """
    home = tmp_path / "home"
    env = environment(home)
    kept = []
    for number in (signal.SIGINT, signal.SIGTERM):
        process = up(started, env)
        address = json.loads((home / "up.json").read_text())
        kept.append((address["api_key"], (home / "secret.key").read_text()))
        for name in ("up.json", "local.key", "secret.key", "steward.db"):
            assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
        shown = f"Authorization: Bearer {address['api_key']}" in process.log.text
        assert shown is (number is signal.SIGINT), (
            "where nobody sits in front of it, only the first start shows the key"
        )
        assert str(home / "local.key") in process.log.text or shown
        assert steward(env, "actions", "list").returncode == 0
        process.popen.send_signal(number)
        assert process.ended() == 0
        assert "Traceback" not in process.log.text
        assert not (home / "up.json").exists()
    assert kept[0] == kept[1]


def test_the_first_start_makes_the_first_operator(tmp_path: Path, started: list[Process]) -> None:
    """Its key is in a file for this account alone and makes workspaces over HTTP; the next start makes no other."""
    env = environment(tmp_path)
    process = up(started, env)
    file = tmp_path / "operator.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert str(file) in process.log.text
    address, token = json.loads((tmp_path / "up.json").read_text()), file.read_text()
    with httpx2.Client(base_url=address["url"], headers={"Authorization": f"Bearer {token}"}) as client:
        assert client.post("/workspaces", json={"id": "gamma"}).status_code == 201
    process.close()
    file.unlink()
    again = up(started, env)
    assert not file.exists()
    assert "first operator" not in again.log.text
    assert token not in process.log.text


def test_the_code_of_the_first_start_opens_a_session_once(tmp_path: Path, started: list[Process]) -> None:
    """It is shown for a browser; where nobody sits in front of it, only by the first start."""
    env = environment(tmp_path)
    process = up(started, env)
    code = process.log.text.split("within five minutes: ")[1].split()[0]
    url = json.loads((tmp_path / "up.json").read_text())["url"]
    with httpx2.Client(base_url=url, headers={"Origin": url}) as client:
        assert client.post("/session", json={"code": code}).json()["workspace_id"] == "default"
        assert client.get("/ai/jobs").status_code == 200
        assert client.post("/session", json={"code": code}).status_code == 401
    process.close()
    assert "five minutes" not in up(started, env).log.text


def test_w56_up_in_production_needs_a_secret_key(tmp_path: Path) -> None:
    """It makes none up; the sentence names the variable and the exit code says wrong usage."""
    ended = steward(environment(tmp_path, STEWARD_ENV="production"), "up", "--port", "0")
    assert ended.returncode == 2
    assert "STEWARD_SECRET_KEY" in ended.stderr
    assert not (tmp_path / "secret.key").exists()
    looked = steward(environment(tmp_path, STEWARD_ENV="production"), "doctor", "--json")
    found = {finding["check"]: finding for finding in json.loads(looked.stdout)["findings"]}
    assert (looked.returncode, found["secret key"]["level"]) == (1, "fail")


def test_no_key_is_made_for_a_database_that_was_begun_with_one(tmp_path: Path, started: list[Process]) -> None:
    """As after a restore without the key's file: refused, naming file and variable, until the key is back. A database in which
    only workspaces and keys were made is no such one.
    """
    env, file = environment(tmp_path), tmp_path / "secret.key"
    assert steward(env, "workspaces", "create", "acme").returncode == 0
    up(started, env).close()
    key = file.read_text()
    file.unlink()
    ended = steward(env, "up", "--port", "0")
    assert ended.returncode == 2
    assert "STEWARD_SECRET_KEY" in ended.stderr
    assert str(file) in ended.stderr
    assert not file.exists()
    file.write_text(key)
    file.chmod(0o600)
    up(started, env)


def test_a_revoked_local_key_is_replaced_at_the_next_start(tmp_path: Path, started: list[Process]) -> None:
    """Whoever revokes the key of this machine's commands gets a fresh one with the next ``up``, and the old one is dead."""
    env = environment(tmp_path)
    up(started, env).close()
    old = (tmp_path / "local.key").read_text()
    key_id = json.loads(steward(env, "keys", "list", "--workspace", "default", "--json").stdout)["keys"][0]["key_id"]
    assert steward(env, "keys", "revoke", key_id).returncode == 0
    up(started, env)
    assert (tmp_path / "local.key").read_text() != old
    assert steward(env, "jobs", "list").returncode == 0
    refused = steward({**env, "STEWARD_API_KEY": old}, "jobs", "list")
    assert refused.returncode == 1
    assert "STEWARD_API_KEY" in refused.stderr


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    """It names the port and the option, exits 2, and leaves no address behind."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = steward(environment(tmp_path), "up", "--port", port)
    assert ended.returncode == 2
    assert port in ended.stderr
    assert "--port" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "up.json").exists()


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_w56_serve_and_worker_need_a_secret_key(tmp_path: Path, command: str) -> None:
    """No key is invented outside ``up``."""
    ended = steward(environment(tmp_path), command)
    assert ended.returncode == 2
    assert "STEWARD_SECRET_KEY" in ended.stderr
    assert not (tmp_path / "secret.key").exists()


@pytest.mark.parametrize("command", ["serve --port 0", "worker", "doctor"])
@pytest.mark.parametrize("variable", ["REDIS_URL", "DATABASE_URL"])
def test_w59_a_server_that_is_away_is_named_without_its_password(
    tmp_path: Path, shell: Shell, variable: str, command: str
) -> None:
    """Whatever the command: what it says of the store, and what its log says, repeats no part of the URL's login."""
    scheme = {"REDIS_URL": "redis", "DATABASE_URL": "postgresql"}[variable]
    url = f"{scheme}://anna.operator:hunter2hunter2@127.0.0.1:9/0"
    shell.use(environment(tmp_path / "home", STEWARD_SECRET_KEY=SECRET, **{variable: url}))
    ended = shell.steward(*command.split())
    assert ended.code == 1
    assert ended.out + ended.err
    for word in ("hunter2", "anna.operator"):
        assert word not in ended.out + ended.err


def test_a_server_and_a_worker_apart_do_the_same_work(tmp_path: Path, started: list[Process]) -> None:
    """``serve`` takes the request, ``worker`` in another process carries it out, and both stop when told."""
    env = environment(tmp_path, STEWARD_SECRET_KEY=SECRET)
    steward(env, "workspaces", "create", "acme")
    key = steward(env, "keys", "create", "--workspace", "acme", "--role", "developer").stdout.strip()
    server = Process.start(env, "serve", "--port", "0")
    started.append(server)
    url = server.url()
    worker = Process.start(env, "worker", "--concurrency", "2")
    started.append(worker)
    worker.log.wait_for("Working on")
    ended = steward({**env, "STEWARD_URL": url, "STEWARD_API_KEY": key}, "run", "--yes", "write 'apart' to apart.txt")
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "files" / "acme" / "apart.txt").read_text() == "apart"
    for process in (server, worker):
        process.popen.terminate()
        assert process.ended() == 0


def test_a_second_interrupt_does_not_wait_for_a_step(tmp_path: Path, started: list[Process]) -> None:
    """Also with a function that blocks a thread for ever, the process ends."""
    env = environment(
        tmp_path, STEWARD_ACTIONS="odd_actions", PYTHONPATH=str(Path(__file__).parent), ODD_FOLDER=str(tmp_path)
    )
    os.mkfifo(tmp_path / "never")
    process = up(started, env)
    following = Process.start(env, "run", "--yes", "hang on never")
    started.append(following)
    following.log.wait_for("running")
    process.popen.send_signal(signal.SIGINT)
    process.popen.send_signal(signal.SIGINT)
    assert process.ended() == 0


def test_an_idle_up_is_small(tmp_path: Path, started: list[Process]) -> None:
    """It answers and idles in less than 150 MB."""
    import subprocess

    env = environment(tmp_path)
    process = up(started, env)
    assert steward(env, "jobs", "list").returncode == 0
    size = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(process.popen.pid)], capture_output=True, text=True, check=True
    )
    assert int(size.stdout) < 150 * 1024


def test_doctor_says_what_is_wrong_and_how_to_mend_it(tmp_path: Path, started: list[Process]) -> None:
    """A damaged database, a mail server that is not there and a misspelt list each get a line with a fix; exit 1."""
    env = environment(tmp_path)
    up(started, env).close()
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    (tmp_path / "steward.db").write_bytes(b"not a database at all" * 100)
    ended = steward(
        {
            **env,
            "SMTP_URL": f"smtp://127.0.0.1:{port}",
            "SMTP_FROM": "office@example.com",
            "ACTION_DENYLIST": "fax.send",
        },
        *("doctor", "--json"),
    )
    assert ended.returncode == 1
    found = {finding["check"]: finding for finding in json.loads(ended.stdout)["findings"]}
    assert found["database"]["level"] == "fail"
    assert found["mail"]["level"] == "fail"
    assert found["actions"]["level"] == "warn"
    assert found["server"]["level"] == "warn"
    assert all(finding["fix"] for finding in found.values() if finding["level"] != "ok" and finding["check"] != "disk")


def test_doctor_notices_a_clock_that_went_back(tmp_path: Path, started: list[Process]) -> None:
    """Something recorded in the future fails the clock check."""
    env = environment(tmp_path)
    up(started, env)
    assert steward(env, "run", "--yes", "list files").returncode == 0
    started[0].close()
    with sqlite3.connect(tmp_path / "steward.db") as database:
        database.execute("UPDATE events SET at = at + 86400000")
    database.close()
    ended = steward(env, "doctor")
    assert ended.returncode == 1
    assert "fail  clock" in ended.stdout


def test_doctor_survives_a_wrong_setting(tmp_path: Path) -> None:
    """It says which, and looks no further."""
    ended = steward(environment(tmp_path, AI_JOB_RETENTION_S="soon"), "doctor", "--json")
    assert ended.returncode == 1
    (finding,) = json.loads(ended.stdout)["findings"]
    assert finding["level"] == "fail"
    assert "AI_JOB_RETENTION_S" in finding["text"]


def test_doctor_on_a_machine_with_nothing_changes_nothing(tmp_path: Path) -> None:
    """No home yet: nothing fails and nothing is made."""
    ended = steward(environment(tmp_path / "home"), "doctor")
    assert ended.returncode == 0, ended.stdout
    assert not (tmp_path / "home").exists()


def test_doctor_counts_the_actions_that_a_start_would_have(tmp_path: Path, shell: Shell) -> None:
    """With a model its actions may run; without one the doctor names what lacks a setting, and blames no list alone."""
    model = {"AI_MODEL": "openai:gpt-5", "OPENAI_API_KEY": "a-key-of-nobody", "ACTION_ALLOWLIST": "llm.*"}
    for given, level, words in (
        (model, "ok", "2 of "),
        ({"ACTION_ALLOWLIST": "llm.*"}, "warn", "No action may run. Without a setting that they need:"),
    ):
        shell.use(environment(tmp_path / "home", **given))
        report = json.loads(shell.steward("doctor", "--json").out)
        (actions,) = [finding for finding in report["findings"] if finding["check"] == "actions"]
        assert actions["level"] == level
        assert actions["text"].startswith(words)
        assert ("llm.extract" in actions["text"]) is (given is not model)


def test_a_second_up_on_the_same_home_is_refused_and_harms_nothing(tmp_path: Path, started: list[Process]) -> None:
    """It says where the first one listens, and the commands go on finding that one."""
    env = environment(tmp_path / "home")
    up(started, env)
    address = json.loads((tmp_path / "home" / "up.json").read_text())
    second = steward(env, "up", "--port", "0")
    assert second.returncode == 1
    assert address["url"] in second.stderr
    assert steward(env, "actions", "list").returncode == 0
