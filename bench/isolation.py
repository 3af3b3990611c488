"""Whether time tells: a foreign id and one that nobody has, asked for in turn over HTTP, and the medians compared."""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx2
from figure import Figure, median

from steward.authenticators.api_key import mint_key
from steward.bootstrap import Application, open_application
from steward.cli.processes import collect_again
from steward.identity import Role
from steward.settings import Settings
from steward.web.app import create_app

_SECRET = "a secret key for measuring that is long enough"
_WARM_UP = 50
Ask = Callable[[str], Awaitable[float]]


async def _client(app: Application, workspace_id: str) -> httpx2.AsyncClient:
    """Return a client in front of the API, without a network between."""
    await app.directory.create_workspace(workspace_id, workspace_id, by="bench")
    key, token = mint_key(app.ids, app.clock, workspace_id, Role.ADMIN, "bench", None)
    await app.directory.add_key(key, by="bench")
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=create_app(app)),
        base_url="http://bench.test",
        headers={"Authorization": f"Bearer {token}"},
    )


async def _pair(ask: Ask, foreign: str, unknown: str, count: int) -> tuple[float, float]:
    """Return both medians in ms, asked for in turn, the order swapped each time."""
    times: dict[str, list[float]] = {foreign: [], unknown: []}
    for number in range(count + _WARM_UP):
        for value in (foreign, unknown) if number % 2 else (unknown, foreign):
            took = await ask(value)
            if number >= _WARM_UP:
                times[value].append(took)
    return median(times[foreign]), median(times[unknown])


async def measure(folder: Path, count: int) -> list[Figure]:
    """Return for a job, a plan and a cancellation what a foreign id costs, beside one that nobody has."""
    settings = Settings.load({"STEWARD_HOME": str(folder), "STEWARD_SECRET_KEY": _SECRET})
    async with open_application(settings) as app:
        owner, stranger = await _client(app, "acme"), await _client(app, "beta")
        done = await owner.post("/ai/execute", json={"actions": [{"action_id": "compute", "params": {"value": "x"}}]})
        ids = {"job": done.json()["job_ids"][0], "plan": done.json()["plan_id"]}
        ways = (("GET", "/ai/jobs/{}", "job"), ("GET", "/ai/plans/{}", "plan"), ("POST", "/ai/jobs/{}/cancel", "job"))
        figures = []
        collect_again()  # as a process does when it has started
        for method, path, kind in ways:

            async def ask(value: str, method: str = method, path: str = path) -> float:
                began = time.perf_counter()
                answer = await stranger.request(method, path.format(value))
                took = (time.perf_counter() - began) * 1000
                assert answer.status_code == 404, answer.text
                return took

            foreign, unknown = await _pair(ask, ids[kind], app.ids.new(kind), count)
            what = f"{method} {path.format('…')} of a foreign {kind}"
            figures.append(Figure(what, foreign, "ms", "of an unknown one", unknown))
        await owner.aclose()
        await stranger.aclose()
    return figures
