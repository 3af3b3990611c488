"""Shows Steward at work in a few seconds: four real requests, a real mailbox, and nothing left behind.

Starts a mail server and a web page on this machine, then ``steward up`` in a temporary folder, and runs requests with the
command line, as you would. Ends with 0 only if everything happened as it should.
"""

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from aiosmtpd.controller import Controller

from steward.settings import Settings

STEWARD = str(Path(sys.executable).with_name("steward"))
START_S = 30.0
STOP_S = 30.0
PAGE = "Menu of the week\n\nMonday: lentil soup\nTuesday: mushroom risotto\nWednesday: vegetable curry\n"
DONE, FAILED, REFUSED = 0, 1, 3


class Unexpected(Exception):
    """Something did not happen as it should."""


class Mailbox:
    """Keeps what a real SMTP server received."""

    def __init__(self) -> None:
        """Start empty."""
        self.letters: list[EmailMessage] = []

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Keep one message."""
        self.letters.append(message_from_bytes(envelope.content, policy=policy.default))  # type: ignore[arg-type]
        return "250 Kept"


class Page(BaseHTTPRequestHandler):
    """Serves one page."""

    def do_GET(self) -> None:
        """Answer with the page, whatever was asked for."""
        body = PAGE.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Stay quiet."""


def free_port() -> int:
    """Return a port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def mail_server() -> Iterator[tuple[Mailbox, int]]:
    """Run a mail server; yield its mailbox and port."""
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        yield mailbox, controller.port
    finally:
        controller.stop()


@contextlib.contextmanager
def web_page() -> Iterator[int]:
    """Run a web server; yield its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def steward_up(env: dict[str, str], home: Path) -> Iterator[str]:
    """Run ``steward up`` on a free port; yield its address once it is ready."""
    log = home / "demo.log"
    with log.open("w") as errors:
        process = subprocess.Popen([STEWARD, "up", "--port", "0"], env=env, stdout=errors, stderr=errors)
    try:
        yield wait_until_ready(process, home, log)
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_ready(process: subprocess.Popen[bytes], home: Path, log: Path) -> str:
    """Return the address of the Steward in ``home`` as soon as it answers that it is ready."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Unexpected(f"'steward up' ended at once:\n{log.read_text()}")
        with contextlib.suppress(OSError, ValueError, urllib.error.URLError):
            url = json.loads((home / "up.json").read_text())["url"]
            with urllib.request.urlopen(f"{url}/readyz", timeout=2):
                return url
        time.sleep(0.05)
    raise Unexpected(f"'steward up' was not ready within {START_S:.0f} s:\n{log.read_text()}")


def say(*lines: str) -> None:
    """Print lines now, before a command prints its own."""
    print(*lines, sep="\n", flush=True)


def heading(text: str) -> None:
    """Print what comes next."""
    say("", f"── {text} " + "─" * max(3, 76 - len(text)))


def command(env: dict[str, str], *arguments: str, expect: int = DONE) -> None:
    """Run one ``steward`` command as a person would; its output is shown, and it must end as expected."""
    say("$ steward " + " ".join(quoted(argument) for argument in arguments))
    ended = subprocess.run([STEWARD, *arguments], env=env, stdin=subprocess.DEVNULL, check=False, timeout=60)
    if ended.returncode != expect:
        raise Unexpected(f"That ended with {ended.returncode} instead of {expect}.")


def quoted(argument: str) -> str:
    """Return an argument as one would type it."""
    plain = not set(argument) & set('"$`\\!')
    return f'"{argument}"' if " " in argument and plain else shlex.quote(argument)


def answer(env: dict[str, str], *arguments: str) -> Any:
    """Return the JSON that a ``steward`` command prints."""
    run = subprocess.run([STEWARD, *arguments, "--json"], env=env, capture_output=True, check=True, timeout=60)
    return json.loads(run.stdout)


def expect_that(fact: bool, what: str) -> None:
    """Raise unless ``fact`` holds."""
    if not fact:
        raise Unexpected(f"It should be so, and is not: {what}")


def clean_environment(**settings: str) -> dict[str, str]:
    """Return this process's environment without settings of another Steward, and with these."""
    others = {row.variable for row in Settings.table()} | {"STEWARD_URL", "STEWARD_API_KEY", "REDIS_URL", "AI_MODEL"}
    return {**{name: value for name, value in os.environ.items() if name not in others}, **settings}


def requests(env: dict[str, str], page_port: int) -> None:
    """Make the requests: two that are done, two that are refused."""
    heading("1. A sentence becomes an e-mail")
    command(
        env, "run", "--yes", 'send an email to office@example.com with subject "Lift" saying "The lift is repaired."'
    )
    heading("2. Two steps: what the first one reads, the second one sends")
    command(
        env,
        "run",
        "--yes",
        f"fetch http://127.0.0.1:{page_port}/menu and then email it to team@example.com with subject 'Menu'",
    )
    heading("3. Refused by policy, before anything runs")
    command(env, "run", "--yes", "list the files", expect=REFUSED)
    say(
        "Why: this demo starts Steward with ACTION_DENYLIST=file.list; nothing was",
        "planned and nothing was run.",
    )
    heading("4. Refused at the last moment, when the real address is known")
    command(env, "run", "--yes", "fetch http://169.254.169.254/latest/meta-data", expect=FAILED)
    say(
        "Why: that address is not on the internet. On a cloud machine it hands out the",
        "machine's own keys, so Steward refuses private addresses after looking the name",
        "up; nothing was sent. HTTP_ALLOW_HOSTS makes exceptions, as this demo does for",
        "its own page.",
    )


def check(env: dict[str, str], mailbox: Mailbox) -> None:
    """Look at jobs and mailbox from outside: everything must have happened, once."""
    jobs = answer(env, "jobs", "list")["jobs"]
    statuses = sorted((job["action"], job["status"]) for job in jobs)
    expect_that(
        statuses
        == [
            ("email.send", "completed"),
            ("email.send", "completed"),
            ("http.get", "completed"),
            ("http.get", "failed"),
        ],
        "four jobs, of which exactly the refused one failed",
    )
    refused = [job["error"]["code"] for job in jobs if job["error"]]
    expect_that(refused == ["address_refused"], "the refusal says why")
    expect_that(len(mailbox.letters) == 2, "two letters arrived, each once")  # noqa: PLR2004 - as many as were sent
    texts = [text_of(letter) for letter in mailbox.letters]
    expect_that("The lift is repaired." in texts[0], "the first letter says what was asked for")
    expect_that("mushroom risotto" in texts[1], "the second letter carries the page")


def text_of(letter: EmailMessage) -> str:
    """Return what the letter says."""
    body = letter.get_body(("plain",))
    return body.get_content() if body else ""


def show_mailbox(mailbox: Mailbox) -> None:
    """Print what arrived."""
    heading("What arrived in the mailbox")
    for letter in mailbox.letters:
        say(f"From: {letter['From']}", f"To: {letter['To']}", f"Subject: {letter['Subject']}")
        say(*(f"  {line}" for line in text_of(letter).splitlines()), "")


def demo() -> None:
    """Run the whole demo."""
    began = time.monotonic()
    with contextlib.ExitStack() as house:
        home = Path(house.enter_context(tempfile.TemporaryDirectory(prefix="steward-demo-")))
        mailbox, smtp_port = house.enter_context(mail_server())
        page_port = house.enter_context(web_page())
        env = clean_environment(
            STEWARD_HOME=str(home),
            SMTP_URL=f"smtp://127.0.0.1:{smtp_port}",
            SMTP_FROM="Steward <steward@example.com>",
            HTTP_ALLOW_HOSTS=f"127.0.0.1:{page_port}",
            ACTION_DENYLIST="file.list",
        )
        say("Starting a mailbox, a web page and Steward on this machine…")
        url = house.enter_context(steward_up(env, home))
        say(f"Steward is up at {url}.")
        requests(env, page_port)
        heading("What Steward keeps about it")
        command(env, "plans", "list")
        say("")
        command(env, "jobs", "list")
        show_mailbox(mailbox)
        check(env, mailbox)
    say(
        f"All as it should be, in {time.monotonic() - began:.0f} s; everything is stopped and removed again.",
        "",
        "Go on with:",
        "  .venv/bin/steward up                               your own, in ./.steward; open the address that it prints",
        "  .venv/bin/steward run \"write 'hello' to hi.txt\"    in a second terminal",
        "  .venv/bin/steward actions list                     what it can do, and what a setting would enable",
        "  .venv/bin/steward --help",
    )


def interrupted(_number: int, _frame: FrameType | None) -> NoReturn:
    """Turn a polite kill into an exception, so that everything is cleaned up."""
    raise KeyboardInterrupt


def main() -> int:
    """Return the exit code."""
    signal.signal(signal.SIGTERM, interrupted)
    try:
        demo()
    except Unexpected as failure:
        say("", f"✗ {failure}")
        return FAILED
    except (subprocess.SubprocessError, OSError) as failure:
        say("", f"✗ {type(failure).__name__}: {failure}")
        return FAILED
    except KeyboardInterrupt:
        say("", "Stopped; everything is removed again.")
        return 130
    return DONE


if __name__ == "__main__":
    sys.exit(main())
