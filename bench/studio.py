"""Studio in the real Chromium: Jobs among a hundred thousand, a run of two hundred jobs while it is watched, and what is loaded first.

``python bench/studio.py`` takes about two minutes; ``--quick`` does a tenth of it; ``--json`` prints the figures as JSON. A long task
is what keeps the page from answering somebody: the browser counts every one over 50 milliseconds.
"""

import argparse
import json
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast

import httpx2
import structlog
import uvloop
from figure import Figure, median
from listing import fill
from playwright.sync_api import Browser, Page, sync_playwright
from run import show
from samples import CLOCK, SOMEBODY

from steward.authenticators.api_key import mint_key
from steward.bootstrap import open_application
from steward.database import Database
from steward.identity import Role
from steward.settings import DATABASE_FILE, Settings

MOST_MS: Final = 100
"""The longest task that Studio may have."""
MOST_BYTES: Final = 60 * 1024
"""What the first load may weigh, compressed."""
_ROOT: Final = Path(__file__).parents[1]
_START_S: Final = 30.0
_STEPS: Final = 4
_WATCH: Final = """
    window.tasks = [];
    new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map((one) => one.duration)))
      .observe({type: "longtask", buffered: true});
"""
_SEE: Final = """
    window.seen = [];
    const look = () => {
      const done = parseInt(document.querySelector(".progress span")?.textContent ?? "0");
      if (done !== window.seen.at(-1)?.[0]) window.seen.push([done, Date.now()]);
    };
    new MutationObserver(look).observe(document.querySelector("main"), {subtree: true, childList: true, characterData: true});
"""


async def _prepare(environment: dict[str, str], jobs: int) -> str:
    """Fill a new installation; return the key of somebody who may run things in it."""
    settings = Settings.load(environment)
    async with open_application(settings) as app:
        await app.directory.create_workspace(SOMEBODY.workspace_id, "Bench", by="bench")
        key, token = mint_key(app.ids, CLOCK, SOMEBODY.workspace_id, Role.DEVELOPER, "bench", timedelta(days=1))
        await app.directory.add_key(key, by="bench")
    database = Database(f"sqlite:///{settings.home / DATABASE_FILE}")
    try:
        await fill(database, jobs)
    finally:
        await database.aclose()
    return token


@contextmanager
def _served(environment: dict[str, str]) -> Iterator[str]:
    """Yield the address of a ``steward up``."""
    steward = Path(sys.executable).with_name("steward")
    process = subprocess.Popen(
        [steward, "up", "--port", "0", "--concurrency", "4"], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        yield _address(Path(environment["STEWARD_HOME"]) / "up.json")
    finally:
        process.terminate()
        process.wait()


def _address(path: Path) -> str:
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        if path.exists():
            return json.loads(path.read_text())["url"]
        time.sleep(0.05)
    raise TimeoutError("steward up did not start: run it by hand to see why.")


@dataclass
class Tasks:
    """What the page did while something was measured."""

    clock_ms: float = 0.0
    """The longest task, by the clock, as the browser counts long ones: it waits with every other program of the machine."""
    cpu_ms: float = 0.0
    """The longest task, in the processor time of the page's own thread."""

    def figures(self, what: str) -> Iterator[Figure]:
        """Yield both."""
        yield Figure(f"longest task {what}", self.cpu_ms, "ms", "the bound", MOST_MS)
        yield Figure("  by the clock, if over 50 ms", self.clock_ms, "ms", "the bound", MOST_MS)


@contextmanager
def _watched(page: Page) -> Iterator[Tasks]:
    """Yield what is known of the page's tasks once the block has ended."""
    tasks, browser = Tasks(), cast("Browser", page.context.browser)
    page.evaluate("window.tasks?.splice(0)")
    browser.start_tracing(page=page, categories=["disabled-by-default-devtools.timeline"])
    try:
        yield tasks
    finally:
        events = json.loads(browser.stop_tracing())["traceEvents"]
    mains = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    spent = [
        event.get("tdur", 0) for event in events if event["name"] == "RunTask" and (event["pid"], event["tid"]) in mains
    ]
    tasks.cpu_ms = max(spent, default=0) / 1000
    tasks.clock_ms = page.evaluate("Math.max(0, ...window.tasks.splice(0))")


def _jobs(page: Page, url: str, *, among: int, pages: int) -> Iterator[Figure]:
    """Open Jobs and go down, page after page."""
    with _watched(page) as tasks:
        began = time.perf_counter()
        page.goto(f"{url}/studio/jobs")
        page.get_by_text("50 jobs loaded").wait_for()
        opened_ms = (time.perf_counter() - began) * 1000
    yield Figure(f"Jobs opens among {among:,}", opened_ms, "ms")
    yield from tasks.figures("while it opens")
    times = []
    with _watched(page) as tasks:
        for number in range(1, pages + 1):
            page.keyboard.press("End")
            began = time.perf_counter()
            page.get_by_role("button", name="Load more").click()
            page.get_by_text(f"{50 + 100 * number:,} jobs loaded").wait_for()
            times.append((time.perf_counter() - began) * 1000)
    yield Figure(f"a page more, {pages} times", median(times), "ms")
    yield from tasks.figures(f"on the way to {50 + 100 * pages:,} rows")
    with _watched(page) as tasks:
        for _ in range(60):
            page.mouse.wheel(0, -10_000)
            page.wait_for_timeout(16)
    yield from tasks.figures("while they are scrolled")
    yield Figure("rows that exist then", page.locator(".job-row").count(), "")
    with _watched(page) as tasks:
        page.get_by_label("Search").fill("nothing like this")
        page.get_by_text("Nothing that is loaded matches.").wait_for()
    yield from tasks.figures("while they are searched")


def _run(page: Page, url: str, client: httpx2.Client, count: int) -> Iterator[Figure]:
    """Watch a plan that becomes many jobs, from its first one on."""
    draft = client.post("/ai/plan", json={"prompt": "pause about tea"}).raise_for_status().json()["plan_id"]
    steps = [
        {
            "id": f"s{number}",
            "action_id": "bench.pause",
            "description": f"Pause, part {number}",
            "for_each": [f"{number}, {item}" for item in range(count // _STEPS)],
            "params": {"name": {"$ref": "item"}},
        }
        for number in range(1, _STEPS + 1)
    ]
    plan_id = client.post(f"/ai/plans/{draft}/revise", json={"steps": steps}).raise_for_status().json()["plan_id"]
    page.goto(f"{url}/studio/plans/{plan_id}")
    page.get_by_role("button", name="Run it").wait_for()
    page.evaluate(_SEE)
    with _watched(page) as tasks:
        client.post("/ai/execute", json={"plan_id": plan_id}).raise_for_status()
        page.get_by_text("All of it is done").wait_for(state="attached")
    seen: list[list[int]] = page.evaluate("window.seen")
    jobs = client.get(f"/ai/plans/{plan_id}").raise_for_status().json()["jobs"]
    ended = sorted(datetime.fromisoformat(job["finished_at"]).timestamp() * 1000 for job in jobs)
    delays = [next(at for done, at in seen if done > place) - end for place, end in enumerate(ended)]
    yield Figure("jobs of the run", len(jobs), "")
    yield Figure("from an end to the page, median", median(delays), "ms")
    yield Figure("from an end to the page, longest", max(delays), "ms")
    yield from tasks.figures("while it runs")


def _weight() -> Iterator[Figure]:
    """What the first load brings, compressed."""
    built = _ROOT / "src" / "steward" / "studio"
    bytes_ = sum(path.stat().st_size for path in built.rglob("*.gz"))
    yield Figure("first load, compressed", bytes_, "bytes", "the bound", MOST_BYTES)


def figures(folder: Path, *, quick: bool) -> list[Figure]:
    """Return every figure."""
    scale = 10 if quick else 1
    among, pages, count = 100_000 // scale, 200 // scale, 200 // scale
    plain = {
        "STEWARD_HOME": str(folder),
        "STEWARD_ACTIONS": "noop",
        "STEWARD_SECRET_KEY": secrets.token_hex(32),
        "STEWARD_RATE_LIMITS": "off",
    }
    subprocess.run([sys.executable, _ROOT / "studio" / "build.py"], check=True)
    token = uvloop.run(_prepare(plain, among))
    environment = {**plain, "PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parent)}
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or "chromium"
    found = list(_weight())
    headers: dict[str, Any] = {"Authorization": f"Bearer {token}"}
    with (
        _served(environment) as url,
        sync_playwright() as playwright,
        httpx2.Client(base_url=url, headers=headers) as client,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 850}, locale="en-GB")
        page.set_default_timeout(60_000)
        page.add_init_script(_WATCH)
        page.goto(url)
        page.get_by_label("API key or one-time code").fill(token)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_label("Your request").wait_for()
        found += _jobs(page, url, among=among, pages=pages)
        found += _run(page, url, client, count)
        browser.close()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure Studio on this machine.")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything: to see that it works")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    with tempfile.TemporaryDirectory(prefix="steward-bench-") as folder:
        found = figures(Path(folder), quick=options.quick)
    if options.json:
        print(json.dumps([figure.as_dict() for figure in found], indent=2))
    else:
        show(found, "Chromium")


if __name__ == "__main__":
    main()
