"""What a process writes to its log: one JSON object a line, with ids, and never a secret, whoever wrote the line."""

import json
import subprocess
import sys
from typing import Any

import pytest

_SCRIPT = """
import logging, structlog
from steward.logs import configure_logs
configure_logs()
log = structlog.get_logger("steward.test")
with structlog.contextvars.bound_contextvars(request_id="req-1", plan_id="plan_1", workspace_id="acme"):
    log.info("It happened.", action="it_happened", url="https://user:hunter2@example.com/", headers={"X-Api-Key": "hunter2"})
log.debug("Nobody reads this.")
log.info("Bearer hunter2 was sent", action="sent")
log.info("two\\nlines", action="lines", text="a\\r\\nb")
try:
    raise ValueError("password=hunter2")
except ValueError:
    log.exception("It broke.", action="broke")
logging.getLogger("another.module").warning("token=%s", "hunter2")
logging.getLogger("another.module").info("quiet")
try:
    raise ValueError("password=hunter2")
except ValueError:
    logging.getLogger("another.module").exception("It broke, too.")
"""


@pytest.fixture(scope="module")
def written() -> str:
    """Return what a process with a configured log wrote to standard error; nothing goes to its output."""
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True, timeout=40)
    assert done.stdout == ""
    return done.stderr


def lines_of(written: str) -> list[dict[str, Any]]:
    """Return the lines, each read as JSON."""
    return [json.loads(line) for line in written.splitlines()]


def test_the_log_goes_to_standard_error_one_object_a_line(written: str) -> None:
    """Line breaks in what is logged do not break lines; what is not worth a line is left out."""
    assert [line["event"] for line in lines_of(written)] == [
        "It happened.",
        "Bearer ***REDACTED*** was sent",
        "two\nlines",
        "It broke.",
        "token=***REDACTED***",
        "It broke, too.",
    ]


def test_a_line_has_its_ids_its_level_and_its_time(written: str) -> None:
    """The ids bound around a piece of work stand in every line about it, and in no other."""
    first, second, *_ = lines_of(written)
    assert (first["request_id"], first["plan_id"], first["workspace_id"]) == ("req-1", "plan_1", "acme")
    assert (first["level"], first["action"]) == ("info", "it_happened")
    assert first["timestamp"].endswith("Z")
    assert "request_id" not in second


def test_w139_no_secret_reaches_the_log(written: str) -> None:
    """Not in a URL, a header, a sentence, a traceback, nor in another library's line; the rest stays readable."""
    assert written.count("hunter2") == 0
    assert written.count("example.com") == 1


def test_tracebacks_are_kept(written: str) -> None:
    """Whoever mends it sees where it broke."""
    broke = [line["exception"] for line in lines_of(written) if "exception" in line]
    assert len(broke) == 2
    assert all("ValueError" in trace for trace in broke)
