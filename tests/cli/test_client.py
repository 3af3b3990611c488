"""Finding a server and saying what is wrong when there is none, or when it refuses."""

import json
import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from steward.cli.client import Client
from steward.cli.exits import CommandFailed, ExitCode
from steward.cli.home import Address, read_address, remove_address, write_address
from steward.cli.run_sentence import words_for


class FarEnd(ThreadingHTTPServer):
    """A server that answers everything the same way and remembers the credentials it was shown."""

    status = 200
    body = b"{}"
    media_type = "application/json"

    def __init__(self) -> None:
        self.seen: list[str | None] = []
        far_end = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                far_end.seen.append(self.headers.get("Authorization"))
                self.send_response(far_end.status)
                self.send_header("Content-Length", str(len(far_end.body)))
                self.send_header("Content-Type", far_end.media_type)
                self.end_headers()
                self.wfile.write(far_end.body)

            do_POST = do_GET  # noqa: N815 - the base class's name

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Stay quiet."""

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def far_end() -> Iterator[FarEnd]:
    """Run a far end."""
    with FarEnd() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEWARD_HOME", str(tmp_path))
    for variable in ("STEWARD_URL", "STEWARD_API_KEY"):
        monkeypatch.delenv(variable, raising=False)


def test_a_running_up_is_found_without_any_setting(tmp_path: Path, far_end: FarEnd) -> None:
    """Its address and key are used."""
    write_address(tmp_path, Address(far_end.url, "stw_local", os.getpid()))
    with Client.here() as client:
        client.get("/actions")
    assert far_end.seen == ["Bearer stw_local"]


def test_the_local_key_never_goes_to_another_address(
    tmp_path: Path, far_end: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With STEWARD_URL set and no key, the command stops instead of trying the key of this machine."""
    write_address(tmp_path, Address("http://127.0.0.1:1", "stw_local", os.getpid()))
    monkeypatch.setenv("STEWARD_URL", far_end.url)
    with pytest.raises(CommandFailed) as caught:
        Client.here()
    assert caught.value.code is ExitCode.USAGE
    assert "STEWARD_API_KEY" in caught.value.sentence
    assert far_end.seen == []


def test_both_variables_win(tmp_path: Path, far_end: FarEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    """STEWARD_URL and STEWARD_API_KEY are used even beside a running ``up``."""
    write_address(tmp_path, Address("http://127.0.0.1:1", "stw_local", os.getpid()))
    monkeypatch.setenv("STEWARD_URL", far_end.url)
    monkeypatch.setenv("STEWARD_API_KEY", "stw_mine")
    with Client.here() as client:
        client.get("/actions")
    assert far_end.seen == ["Bearer stw_mine"]


def test_nothing_runs_and_nothing_is_set() -> None:
    """The sentence says how to start one."""
    with pytest.raises(CommandFailed) as caught:
        Client.here()
    assert "steward up" in caught.value.advice
    assert caught.value.code is ExitCode.USAGE


@pytest.mark.parametrize("url", ["ftp://example.com", "example.com", "http://", "javascript:alert(1)", "http://[::1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """A STEWARD_URL that is not http or https is a usage error."""
    with pytest.raises(CommandFailed) as caught:
        Client(url, "stw_x")
    assert caught.value.code is ExitCode.USAGE


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    """An ``up`` that ended badly leaves its address; the sentence names it and says what to do."""
    with FarEnd() as gone:
        url = gone.url
    write_address(tmp_path, Address(url, "stw_local", os.getpid()))
    with Client.here() as client, pytest.raises(CommandFailed) as caught:
        client.get("/ai/jobs")
    assert url in caught.value.sentence
    assert "steward up" in caught.value.advice


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (400, "bad_request", ExitCode.USAGE),
        (401, "unauthenticated", ExitCode.FAILED),
        (403, "missing_scope", ExitCode.FAILED),
        (403, "policy_denied", ExitCode.REFUSED),
        (404, "not_found", ExitCode.FAILED),
        (409, "illegal_transition", ExitCode.FAILED),
        (422, "invalid", ExitCode.USAGE),
        (503, "store_unavailable", ExitCode.FAILED),
    ],
)
def test_a_refusal_is_a_sentence_and_an_exit_code(far_end: FarEnd, status: int, code: str, exit_code: ExitCode) -> None:
    """The problem document's detail and field problems are said; the code decides how the command ends."""
    far_end.status = status
    problem = {"detail": "It will not do.", "code": code, "errors": [{"pointer": "/prompt", "detail": "too long"}]}
    far_end.body = json.dumps({**problem, "request_id": "req_1"}).encode()
    with Client(far_end.url, "stw_x") as client, pytest.raises(CommandFailed) as caught:
        client.get("/ai/jobs")
    assert caught.value.sentence == "It will not do. /prompt: too long"
    assert caught.value.code is exit_code


@pytest.mark.parametrize(("status", "body"), [(200, b"<html>"), (502, b"<html>"), (500, b"[]"), (200, b"")])
def test_an_answer_that_is_no_stewards_is_said_to_be_so(far_end: FarEnd, status: int, body: bytes) -> None:
    """A proxy's page is not taken for an answer, and there is no traceback."""
    far_end.status, far_end.body = status, body
    with Client(far_end.url, "stw_x") as client, pytest.raises(CommandFailed) as caught:
        client.get("/ai/jobs")
    assert "STEWARD_URL" in caught.value.advice


def test_only_the_process_that_left_an_address_takes_it_away(tmp_path: Path) -> None:
    """A second ``up`` on the same home keeps its own address when the first one ends."""
    write_address(tmp_path, Address("http://127.0.0.1:1", "stw_first", 1))
    write_address(tmp_path, Address("http://127.0.0.1:2", "stw_second", 2))
    remove_address(tmp_path, 1)
    kept = read_address(tmp_path)
    assert kept is not None
    assert kept.pid == 2
    remove_address(tmp_path, 2)
    assert read_address(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url": "x"}', '{"url": "x", "api_key": "y", "pid": 1, "more": 2}'])
def test_a_damaged_address_file_is_said_to_be_so(tmp_path: Path, text: str) -> None:
    """It is neither used nor a traceback."""
    (tmp_path / "up.json").write_text(text)
    (tmp_path / "up.json").chmod(0o600)
    with pytest.raises(CommandFailed, match=r"damaged"):
        read_address(tmp_path)


def test_an_address_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """It holds a key."""
    write_address(tmp_path, Address("http://127.0.0.1:1", "stw_x", 1))
    (tmp_path / "up.json").chmod(0o644)
    with pytest.raises(CommandFailed, match=r"chmod 600"):
        read_address(tmp_path)


@pytest.mark.parametrize(("scope", "roles"), [("actions:execute", "developer or admin"), ("operator", "operator")])
def test_a_missing_scope_names_the_roles_that_have_it(far_end: FarEnd, scope: str, roles: str) -> None:
    """Whoever is refused learns which key to ask for."""
    far_end.status = 403
    far_end.body = json.dumps({"detail": "No.", "code": "missing_scope", "scope": scope}).encode()
    with Client(far_end.url, "stw_x") as client, pytest.raises(CommandFailed) as refused:
        client.get("/ai/jobs")
    assert refused.value.advice == f"Use a key with a role that may do this: {roles}."


def test_the_making_of_a_plan_is_watched_to_its_end(far_end: FarEnd) -> None:
    """What it is at is told in words; a refusal at the end is one like any other; a stream that is cut off says so."""
    said: list[str] = []
    now = {"phase": "repairing", "attempt": 2, "tokens_in": 120, "tokens_out": 30}
    progress = f"event: progress\ndata: {json.dumps(now)}\n\n"
    problem = {"status": 502, "code": "model_failed", "detail": "The model failed.", "request_id": "req_1"}
    endings = {
        'event: plan\ndata: {"plan_id": "plan_1"}\n\n': "",
        f"event: error\ndata: {json.dumps(problem)}\n\n": "The model failed.",
        ": planning\n\n": "in the middle",
    }
    far_end.media_type = "text/event-stream; charset=utf-8"
    for ending, complaint in endings.items():
        far_end.body = (progress + ending).encode()
        with Client(far_end.url, "key") as client:
            if not complaint:
                told = client.planned("/ai/plan", {"prompt": "x"}, lambda one: said.append(words_for(one)))
                assert told == {"plan_id": "plan_1"}
                continue
            with pytest.raises(CommandFailed, match=complaint):
                client.planned("/ai/plan", {"prompt": "x"}, lambda _: None)
    assert said == ["Asking the language model for a better plan, try 2 (150 tokens)…"]
    far_end.media_type, far_end.body = "application/json", b'{"plan_id": "plan_2"}'
    with Client(far_end.url, "key") as client:
        assert client.planned("/ai/plan", {"prompt": "x"}, lambda _: None) == {"plan_id": "plan_2"}
