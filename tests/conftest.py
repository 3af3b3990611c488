"""What every test may use: a clock that only tests move, and one async backend."""

import os
import signal
from datetime import UTC, datetime, timedelta

import hypothesis
import pytest

from tests import honesty
from tests.lanes import pytest_addoption, pytest_collection_modifyitems, pytest_terminal_summary

__all__ = [
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_terminal_summary",
]

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each program that a test starts is compiled anew, for a second
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts so what it runs in the background, and the programs that tests start would never hear of a Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
hypothesis.settings.register_profile("busy-machine", deadline=None)  # how long an example takes says nothing about it
hypothesis.settings.load_profile("busy-machine")


def pytest_configure(config: pytest.Config) -> None:
    """Watch every fixture: what is made for a whole session is none of a folder's hooks' business."""
    config.pluginmanager.register(honesty, "honesty")


class FakeClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, start: datetime | None = None) -> None:
        """Start at a fixed Wednesday morning unless told otherwise."""
        self._now = start or datetime(2026, 3, 4, 9, 30, tzinfo=UTC)

    def now(self) -> datetime:
        """Return the time the test has set."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move on by ``seconds``."""
        self._now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that only the test moves."""
    return FakeClock()


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio, which is what Steward runs on."""
    return "asyncio"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in which a test was skipped or expected to fail: what cannot run must not look like a pass."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and any(reporter.stats.get(kind) for kind in ("skipped", "xfailed", "xpassed")):
        reporter.write_line("A skipped test is a failed run.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
