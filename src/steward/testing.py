"""For people who write actions: a whole installation in a temporary folder, a clock that tests move, and what to assert.

Nothing is imitated: the plan is checked, policy decides, a worker runs the step, and the database is a real one.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from steward.action import Action
from steward.authenticators.api_key import mint_key
from steward.bootstrap import Application, open_application
from steward.clock import Clock, SystemClock
from steward.directory import LOCAL_ACTOR
from steward.identity import Principal, Role
from steward.job import FINAL, JobStatus
from steward.settings import Settings
from steward.views import job_detail

__all__ = ["FakeClock", "Trial", "assert_completed", "assert_failed", "trial"]
_AT_REST: Final = FINAL | {JobStatus.HELD, JobStatus.UNKNOWN}
_LIMIT_S: Final = 30.0


@dataclass
class FakeClock:
    """A clock that stands still until it is moved."""

    at: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        """Return where it stands."""
        return self.at

    def forward(self, **span: float) -> None:
        """Move it on, by ``seconds``, ``hours`` or whatever else ``timedelta`` takes."""
        self.at += timedelta(**span)


@dataclass(frozen=True, slots=True)
class Trial:
    """One open installation with one workspace, and whom its requests come from."""

    app: Application
    who: Principal

    async def plan(self, sentence: str) -> dict[str, Any]:
        """Return the plan document that a sentence becomes. Nothing runs."""
        return await self.app.orchestrator.plan(self.who, sentence, None, "req-trial")

    async def run(self, action_id: str, **params: Any) -> dict[str, Any]:
        """Run one action through plan, policy and worker, and return its job when it rests."""
        plan = await self.app.orchestrator.preview(self.who, action_id, params, "req-trial")
        (job,) = await self.run_plan(plan["plan_id"])
        return job

    async def run_plan(self, plan_id: str) -> list[dict[str, Any]]:
        """Execute a plan and return its jobs, in the order of its steps, once none of them moves by itself."""
        await self.app.orchestrator.execute_plan(
            self.who, plan_id, run_at=None, idempotency_key=None, request_id="req-trial"
        )
        store, stop = self.app.engine.open(self.who), asyncio.Event()
        working = asyncio.create_task(self.app.worker(concurrency=4).run(stop))
        try:
            with store.listen() as listener:
                jobs = await store.plan_jobs(plan_id)
                while not all(job.status in _AT_REST for job in jobs):
                    if not await listener.wait(_LIMIT_S):
                        raise TimeoutError(f"Nothing happened for {_LIMIT_S} s: {[str(job.status) for job in jobs]}")
                    jobs = await store.plan_jobs(plan_id)
        finally:
            stop.set()
            await working
        return [job_detail(job) for job in jobs]


@asynccontextmanager
async def trial(
    *actions: Action, clock: Clock | None = None, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Trial]:
    """Open an installation with these actions beside the built-in ones; it is gone at the end."""
    clock = clock or SystemClock()
    with TemporaryDirectory(prefix="steward-trial-") as home:
        env = {"STEWARD_HOME": str(Path(home)), "STEWARD_SECRET_KEY": secrets.token_hex(32), **(settings or {})}
        async with open_application(Settings.load(env), clock=clock) as app:
            for action in actions:
                app.catalogue.add(action)
            await app.directory.create_workspace("trial", "Trial", by=LOCAL_ACTOR)
            key, _ = mint_key(app.ids, clock, "trial", Role.DEVELOPER, "trial", None)
            await app.directory.add_key(key, by=LOCAL_ACTOR)
            yield Trial(app, key.principal)


def assert_completed(job: Mapping[str, Any]) -> Any:
    """Return the result of a job; fail with its error if it has not completed."""
    if job["status"] != "completed":
        raise AssertionError(f"{job['action']} is {job['status']}: {job['error'] or job['reason']}")
    return job["result"]


def assert_failed(job: Mapping[str, Any], code: str) -> None:
    """Fail unless the job failed with this code."""
    found = (job["error"] or {}).get("code")
    if job["status"] != "failed" or found != code:
        raise AssertionError(f"{job['action']} is {job['status']} with {found}, not failed with {code}.")
