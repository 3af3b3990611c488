"""Headers and fields that try to break out: of a header of the answer, of a line of the log, of the JSON in it."""

import json
import socket
from collections.abc import Iterator
from typing import Any, Final

import httpx2
import pytest

from steward.rate_limit import RateRule
from tests.cli.conftest import Process, environment, steward

SECRET: Final = "a secret for tests that is long enough to be one"
pytestmark = pytest.mark.slow
BREAKS: Final = ("\r\n", "\n", "\r", "\0", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\x1b[2K", "\u202e")
FORGED: Final = '{"event":"forged","level":"error"}'
HEADERS: Final = (
    *("Authorization", "Cookie", "Origin", "Host", "X-Request-ID", "Idempotency-Key", "Last-Event-ID", "Content-Type"),
    *("User-Agent", "Referer", "X-Forwarded-For", "Sec-Fetch-Site", "Accept", "traceparent", "X-Anything"),
)
PATHS: Final = ("/ai/plan", "/session")


class Serving:
    """A server, and a key for it."""

    def __init__(self, process: Process, token: str) -> None:
        self.process = process
        self.token = token
        self.url = httpx2.URL(process.url())

    def client(self) -> httpx2.Client:
        """Return a client with the key."""
        return httpx2.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.token}"})

    def said_to(self, request: bytes) -> bytes:
        """Send bytes as they are and return all that comes back."""
        address = (self.url.host, self.url.port or 0)
        with socket.create_connection(address, timeout=20) as connection:
            connection.sendall(request)
            answer = b""
            while part := connection.recv(65536):
                answer += part
        return answer

    def log(self) -> list[dict[str, Any]]:
        """Stop it, and return its log, each line read as the JSON object that it must be."""
        self.process.close()
        lines = [line for line in self.process.log.text.splitlines() if line and not line.startswith("Serving at ")]
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], str]:
    """Return the environment of a home with a workspace, and an administrator's key."""
    env = environment(
        tmp_path_factory.mktemp("home"),
        STEWARD_SECRET_KEY=SECRET,
        STEWARD_ACTIONS="tests.web.sample_actions",
        STEWARD_RATE_LIMITS=",".join(f"{rule}=99999999/minute" for rule in RateRule),
    )
    assert steward(env, "workspaces", "create", "acme").returncode == 0
    made = steward(env, "keys", "create", "-w", "acme", "-r", "admin", "--json")
    return env, json.loads(made.stdout)["key"]


@pytest.fixture
def serving(admin: tuple[dict[str, str], str]) -> Iterator[Serving]:
    """Start a server of its own, whose log goes to a pipe."""
    env, token = admin
    process = Process.start(env, "serve", "--port", "0")
    try:
        yield Serving(process, token)
    finally:
        process.close()


def head_of(answer: bytes) -> list[bytes]:
    """Return the names of the headers of an answer."""
    return [line.split(b":")[0].lower() for line in answer.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]]


def test_no_header_breaks_out_of_its_line(serving: Serving) -> None:
    """Whatever stands in whichever header: no header of the answer and no line of the log is the client's."""
    for name in HEADERS:
        for letters in BREAKS:
            value = f"a{letters}Injected: yes{letters}{FORGED}"
            for encoding in ("utf-8", "latin-1"):
                raw = value.encode(encoding, errors="ignore")
                head = b"" if name == "Host" else b"Host: steward.test\r\n"
                token = b"" if name == "Authorization" else b"Authorization: Bearer " + serving.token.encode() + b"\r\n"
                for path in PATHS[: 1 if encoding == "latin-1" else None]:
                    answer = serving.said_to(
                        b"POST "
                        + path.encode()
                        + b" HTTP/1.1\r\nConnection: close\r\n"
                        + head
                        + token
                        + name.encode()
                        + b": "
                        + raw
                        + b"\r\nContent-Length: 0\r\n\r\n"
                    )
                    assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 200")), (name, letters, answer)
                    assert b"injected" not in head_of(answer), (name, letters)
                    assert b"forged" not in answer, (name, letters)
    log = serving.log()
    assert len(log) > len(HEADERS)
    assert not [line for line in log if "forged" in line["event"] or "forged" in json.dumps(line)]


def test_no_request_line_breaks_out_of_its_line(serving: Serving) -> None:
    """A method or a path, encoded or not, is neither repeated in the answer's head nor a line of the log."""
    for letters in BREAKS:
        quoted = "".join(f"%{byte:02X}" for byte in letters.encode())
        for line in (
            f"GET /ai/jobs/{quoted}{FORGED.replace(' ', '')} HTTP/1.1",
            f"GET /ai/jobs?cursor={quoted}forged HTTP/1.1",
            f"GET /ai/jobs?{quoted}forged=1 HTTP/1.1",
            f"FORGED{letters} /ai/jobs HTTP/1.1",
            f"GET /{letters}forged HTTP/1.1",
        ):
            request = f"{line}\r\nHost: steward.test\r\nConnection: close\r\n\r\n".encode()
            answer = serving.said_to(request)
            assert answer.startswith(b"HTTP/1.1 4"), (line, answer)
            assert b"forged" not in answer.split(b"\r\n\r\n")[0]
    assert all("forged" not in json.dumps(line).lower() for line in serving.log() if "method" not in line)


def test_no_field_of_a_body_breaks_out_of_its_line(serving: Serving) -> None:
    """Names, prompts, parameters and comments with line breaks are refused or kept; the log has one object a line."""
    with serving.client() as client:
        for letters in BREAKS:
            text = f"echo a{letters}{FORGED}"
            echo = {"action_id": "sample.echo", "params": {"text": text}}
            for method, path, body in (
                ("POST", "/ai/plan", {"prompt": text}),
                ("POST", "/ai/plan", {"prompt": "x", "context": {text: text}}),
                ("POST", "/ai/execute", {"actions": [echo]}),
                ("POST", "/ai/execute", {"actions": [{**echo, "client_request_id": text}]}),
                ("POST", "/ai/execute", {"actions": [{"action_id": text, "params": {text: text}}]}),
                ("POST", "/ai/execute", {text: text}),
                ("POST", "/actions/preview", {"action": text, "provider": text, "params": {}}),
                ("POST", "/actions/execute", {"preview_id": text}),
                ("POST", "/keys", {"role": "viewer", "name": text}),
                ("PUT", "/members/ada", {"name": text}),
                ("PUT", "/policies/mine", {"text": f'@reason("{text}") forbid (principal, action, resource);'}),
                ("POST", "/policies/check", {"action_id": text, "params": {}}),
                ("POST", "/session", {"code": text}),
            ):
                answer = client.request(method, path, json=body)
                assert answer.status_code < 500, (path, letters, answer.text)
                assert "forged" not in str(answer.headers)
            for name in ("/keys", "/members/ada"):
                shown = client.request(
                    "PUT" if "members" in name else "POST", name, json={"role": "viewer", "name": text}
                )
                assert shown.status_code == 422, (name, letters)
    log = serving.log()
    assert len(log) > 10 * len(BREAKS)
    assert not [line for line in log if "forged" in json.dumps(line)]
