"""The lanes of the tests, and how long each took: printed at the end of a run.

``fast`` is what ``make quick`` runs: no test in it starts a process, goes through the whole API, speaks to a mail or web
server, or takes a second. ``project`` is about the code and the pages as texts: names, sentences, where a thing has its home.
"""

import os
from collections import Counter, defaultdict
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pytest

LANES: Final = ("fast", "project", "web", "servers", "fuzz", "chaos", "soak")
"""In the order in which they are printed."""
SOAK: Final = "soak"
"""The lane of long forms whose short ones are in the others: part of ``make soak``, and of nothing else."""
_FOLDERS: Final = {
    "web": "web",
    "security": "web",
    "client": "servers",
    "contracts": "servers",
    "actions": "servers",
    "cli": "servers",
    "e2e": "servers",
    "redis": "servers",
    "migration": "servers",
    "language_models": "servers",
    "fuzz": "fuzz",
    "studio": "servers",
}
_ENGINES: Final = ("[postgresql", "[redis")
"""In the id of a test that is run on every kind of engine: it needs a server."""
_PROJECT: Final = frozenset({"test_docs.py", "test_one_home.py", "test_public_names.py"})
_FILES: Final = {"test_chaos.py": "chaos", "test_load.py": "chaos"}


def lane_of(nodeid: str, *, slow: bool) -> str:
    """Return the lane of a test."""
    parts = PurePosixPath(nodeid.partition("::")[0]).parts
    if any(engine in nodeid for engine in _ENGINES):
        return "servers"
    if parts[-1] in _PROJECT:
        return "project"
    by_folder = next((_FOLDERS[part] for part in parts if part in _FOLDERS), None)
    if slow and parts[-1] in _FILES:
        return _FILES[parts[-1]]
    return by_folder or ("servers" if slow else "fast")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--lane``."""
    parser.addoption("--lane", action="append", choices=LANES, help="run only the tests of this lane (repeatable)")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave whole folders aside in which nothing is fast, where only that is wanted: to look through them takes a while."""
    only_fast = config.getoption("--lane") == ["fast"]
    return True if only_fast and collection_path.is_dir() and collection_path.name in _FOLDERS else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is in no chosen lane."""
    chosen = config.getoption("--lane") or [lane for lane in LANES if lane != SOAK]

    def lane(item: pytest.Item) -> str:
        return (
            SOAK if item.get_closest_marker(SOAK) else lane_of(item.nodeid, slow=bool(item.get_closest_marker("slow")))
        )

    here = [item for item in items if lane(item) in chosen]
    if len(here) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if item not in set(here)])
    items[:] = _spread(here)


def _spread(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return tests with the long ones, which say how long they may take, all over the first half.

    They stand together in a few files, so that one process of a crowd would get many, and the others would wait for it in the end.
    """
    long = [item for item in items if item.get_closest_marker("timeout")]
    rest = [item for item in items if not item.get_closest_marker("timeout")]
    apart = len(rest) // (2 * len(long)) if long else 0
    for number, item in enumerate(long):
        rest.insert(number * (apart + 1), item)
    return rest


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print a line per lane: how many tests, and how many seconds they worked, all workers together."""
    seconds, tests = defaultdict[str, float](float), Counter[str]()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                lane = SOAK if SOAK in report.keywords else lane_of(report.nodeid, slow="slow" in report.keywords)
                seconds[lane] += report.duration
                tests[lane] += report.when == "call"
    terminalreporter.section("lanes")
    if checked := os.environ.get("CHECK_SECONDS"):
        terminalreporter.write_line(f"{'check':8} {float(checked):7.1f} s")
    for lane in LANES:
        if tests[lane]:
            terminalreporter.write_line(f"{lane:8} {seconds[lane]:7.1f} s {tests[lane]:6} tests")
