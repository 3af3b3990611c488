"""A worker in this process: how fast it drains a queue of actions that do nothing, and how soon it notices a lone job."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from figure import Figure, median, percentile_99
from noop import STARTED

from steward.authenticators.api_key import mint_key
from steward.bootstrap import Application, open_application
from steward.directory import LOCAL_ACTOR
from steward.identity import Principal, Role
from steward.orchestrator import RequestedAction
from steward.plan import MAX_STEPS, PlannedAction, PlanStatus
from steward.settings import Settings

CONCURRENCY = 64


@asynccontextmanager
async def installation(folder: Path) -> AsyncIterator[tuple[Application, Principal]]:
    """Open an installation with the action and somebody who may run it."""
    settings = Settings.load({"STEWARD_HOME": str(folder), "STEWARD_ACTIONS": "noop"}, allow_generated_secret=True)
    async with open_application(settings) as application:
        await application.directory.create_workspace("bench", "Bench", by=LOCAL_ACTOR)
        key, _ = mint_key(application.ids, application.clock, "bench", Role.DEVELOPER, "bench", timedelta(days=1))
        await application.directory.add_key(key, by=LOCAL_ACTOR)
        yield application, key.principal


@asynccontextmanager
async def working(application: Application) -> AsyncIterator[None]:
    """Run a worker while the block does."""
    stop = asyncio.Event()
    running = asyncio.create_task(application.worker(concurrency=CONCURRENCY).run(stop))
    try:
        yield
    finally:
        stop.set()
        await running


def _steps(names: list[str]) -> list[RequestedAction]:
    return [RequestedAction(PlannedAction(action_id="bench.noop", params={"name": name})) for name in names]


async def _submit(application: Application, principal: Principal, names: list[str]) -> str:
    done = await application.orchestrator.execute_actions(
        principal, _steps(names), run_at=None, idempotency_key=None, request_id="bench"
    )
    return done.plan_id


async def ended(application: Application, principal: Principal, plan_id: str) -> None:
    """Return when a plan has ended, woken by the store."""
    store = application.engine.open(principal)
    with store.listen() as listener:
        while (plan := await store.get_plan(plan_id)) is not None and plan.status is PlanStatus.RUNNING:
            await listener.wait(5.0)


async def measure(folder: Path, jobs: int, lone: int) -> list[Figure]:
    """Return the rate of a drain, and the median and 99th percentile of the way from submit to running."""
    async with installation(folder) as (application, principal):
        names = [f"drain {number}" for number in range(jobs)]
        plans = [
            await _submit(application, principal, names[start : start + MAX_STEPS])
            for start in range(0, jobs, MAX_STEPS)
        ]
        began = time.perf_counter()
        async with working(application):
            for plan_id in plans:
                await ended(application, principal, plan_id)
            drained = jobs / (time.perf_counter() - began)
            waits = []
            for number in range(lone):
                name = f"lone {number}"
                asked = time.perf_counter()
                await ended(application, principal, await _submit(application, principal, [name]))
                waits.append((STARTED[name] - asked) * 1000)
    return [
        Figure(f"a worker drains actions that do nothing, {CONCURRENCY} slots", drained, "/s"),
        Figure("a lone job, from submit to running, median", median(waits), "ms"),
        Figure("a lone job, from submit to running, 99 %", percentile_99(waits), "ms"),
    ]
