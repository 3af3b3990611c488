"""Every command and every block on the pages is typed or saved as it stands there, from an empty folder on."""

import runpy
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from standardwebhooks.webhooks import WebhookVerificationError

from tests.cli.conftest import Shell
from tests.cli.conftest import shell as shell_fixture
from tests.docs.reading import DOCS, blocks_of
from tests.docs.stage import Stage

pytestmark = pytest.mark.slow
shell = shell_fixture


PAYING = '''"""An action for the page's rule about money."""

from typing import Annotated

from steward.actions import Amount, action


@action("shop.pay", effect="write", retry="keyed", groups=["money"])
def pay(amount: Annotated[float, Amount]) -> None:
    """Pay."""
'''


class Receiver(BaseHTTPRequestHandler):
    """Takes webhooks, and mail beside it."""

    host = "127.0.0.1"
    arrived: list[tuple[dict[str, str], bytes]]
    url: str
    mail_port: int

    def do_POST(self) -> None:
        """Keep what comes."""
        body = self.rfile.read(int(self.headers["content-length"]))
        self.arrived.append((dict(self.headers), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[type[Receiver]]:
    """Return a receiver of webhooks and a mail server on this machine."""
    with socket.create_server((Receiver.host, 0)) as free:
        Receiver.mail_port = free.getsockname()[1]
    Receiver.arrived = []
    mail = Controller(Sink(), hostname=Receiver.host, port=Receiver.mail_port)
    mail.start()
    with ThreadingHTTPServer((Receiver.host, 0), Receiver) as server:
        Receiver.url = f"http://{Receiver.host}:{server.server_port}/hook"
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield Receiver
        server.shutdown()
        serving.join()
    mail.stop()


@pytest.fixture
def stage(tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """Return an empty folder in which somebody follows a page."""
    monkeypatch.chdir(tmp_path)
    made = Stage.at(tmp_path, shell)
    yield made
    made.close()


def perform(stage: Stage, page: str) -> None:
    """Follow a page from its first block to its last."""
    for block in blocks_of(DOCS / page):
        if block.not_run is None and block.is_code:
            stage.perform(block)


def test_the_first_plan(stage: Stage) -> None:
    """The tutorial's plan runs, its file is there, and what it lists is listed."""
    perform(stage, "tutorial/first-plan.md")
    assert "The lift is repaired" in stage.said[2]
    assert (stage.home / "files/default/hello.txt").read_text() == "hello there"


def test_the_first_action(stage: Stage) -> None:
    """The tutorial's action takes an order, fails while the shop is closed, and after the retry there is one file for each."""
    stage.codes['steward run --yes "order 3 melons"'] = 1
    perform(stage, "tutorial/first-action.md")
    assert "12 lemons" in "".join(stage.said)
    assert "The shop is closed" in "".join(stage.said)


def test_the_first_approval(stage: Stage) -> None:
    """The tutorial's plan waits, its colleague approves it with a key of their own, and then the file is there."""
    stage.codes |= {"steward policy check": 4, "steward run --yes": 4}
    perform(stage, "tutorial/first-approval.md")
    (decided,) = (stage.shell.json("approvals", "list", "--status", "approved"))["approvals"]
    assert decided["decided_by"].startswith("key_")
    assert (stage.home / "files/default/notice.txt").exists()


def test_a_company(stage: Stage) -> None:
    """The tutorial's workspace narrows itself, its plan is proved without a server, and nobody else sees it."""
    stage.codes["steward policy check webhook.post"] = 3
    perform(stage, "tutorial/company.md")
    assert any("workspace/no_webhooks" in said for said in stage.said)
    assert any("are as they were signed" in said for said in stage.said)
    assert "There are no plans yet." in stage.said[-1]


def test_observing(stage: Stage) -> None:
    """What is asked of a running server answers."""
    stage.up()
    perform(stage, "how-to/observe.md")


def test_the_terminal(stage: Stage) -> None:
    """Completion is installed in a shell of its own, scripts get JSON, and a server elsewhere is found by its address."""
    stage.up()
    stage.words["https://steward.example.com"] = stage.env["STEWARD_URL"]
    stage.words["stw_…"] = stage.env["STEWARD_API_KEY"]
    stage.env |= {"HOME": str(stage.folder), "SHELL": "/bin/bash"}
    perform(stage, "how-to/terminal.md")
    assert (stage.folder / "steward.fish").read_text().startswith("complete --command steward")


def test_writing_a_policy(stage: Stage) -> None:
    """The page's rule is switched on, its policies are kept, tried on the past and removed, and decide as it says."""
    (stage.folder / "paying.py").write_text(PAYING)
    stage.up(STEWARD_ACTIONS="odd_actions,paying")
    stage.shell.json("workspaces", "create", "acme")
    stage.codes["steward policy check webhook.post"] = 3
    perform(stage, "how-to/narrower-policy.md")
    assert any("deny  by workspace/no_webhooks" in said and "Send an e-mail instead." in said for said in stage.said)


def test_approving(stage: Stage) -> None:
    """The page's plan waits, and is looked at, approved and rejected in the terminal and over HTTP."""
    stage.up()
    stage.shell.json("workspaces", "create", "acme")
    stage.codes["steward run --yes"] = 4
    perform(stage, "how-to/approve.md")


def test_workspaces_and_keys(stage: Stage) -> None:
    """Workspaces, members and keys are made, changed and taken away as the page types it."""
    stage.up()
    stage.words["https://steward.example.com"] = stage.env["STEWARD_URL"]
    (stage.folder / "acme.json").write_text("{}")
    stage.env["OPERATOR_KEY"] = (stage.home / "operator.key").read_text()
    perform(stage, "how-to/workspaces-and-keys.md")


def test_limits(stage: Stage) -> None:
    """The page's limits are taken, and the usage is shown."""
    stage.up()
    stage.shell.json("workspaces", "create", "acme")
    perform(stage, "how-to/limit-a-workspace.md")


def test_proving_a_plan(stage: Stage) -> None:
    """An auditor's key exports a plan; the file and the chain are found sound."""
    stage.up()
    stage.words["--workspace acme"] = "--workspace default"
    assert stage.shell.steward("run", "--yes", "say hello to ann").code == 0
    chain = stage.shell.json("audit", "verify")
    public_key, noted = chain["keys"][0]["public_key"], f"{chain['head']}:{chain['hash']}"
    stage.words["3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29"] = public_key
    stage.words["1042:9bdad1f4c5d5c820623a907b5b17cd436985202d6ebd33d9d4f623fcb7aff414"] = noted
    perform(stage, "how-to/prove-a-plan.md")


def test_running_it(stage: Stage) -> None:
    """One process, several processes, keys, and another machine."""
    stage.words["/var/lib/steward"] = str(stage.folder / "elsewhere")
    perform(stage, "how-to/run-it.md")


def test_connecting(stage: Stage, receiver: type[Receiver]) -> None:
    """The mail server is found by the doctor, and a webhook that Steward signs is one that the page's receiver believes."""
    mail = f"{receiver.host}:{receiver.mail_port}"
    stage.words |= {"office@example.com:password@mail.example.com:587": mail, "hooks.example.com": receiver.host}
    stage.env["HTTP_ALLOW_HOSTS"] = receiver.host
    perform(stage, "how-to/connect.md")
    assert f"mail: {receiver.host} port {receiver.mail_port} answers." in stage.said[0]
    stage.shell.use(stage.env)
    assert stage.shell.steward("run", "--yes", f"notify {receiver.url} saying hello").code == 0
    received = runpy.run_path(str(stage.folder / "receiver.py"))["received"]
    ((headers, body),) = receiver.arrived
    secret = stage.env["WEBHOOK_SECRETS"].partition("=")[2]
    assert received(body, headers, secret) == {"text": "hello"}
    with pytest.raises(WebhookVerificationError):
        received(body + b" ", headers, secret)


def test_own_action(stage: Stage) -> None:
    """The page's action is found by its name and runs."""
    perform(stage, "how-to/own-action.md")
    assert any("completed" in said for said in stage.said)


def test_effects(stage: Stage) -> None:
    """What is unknown is resolved as the page types it."""
    stage.up()
    perform(stage, "explanation/effects.md")
