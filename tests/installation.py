"""A whole installation for tests: real database, real keys, own actions, and a worker that runs until work has settled.

Nothing here waits for time to pass: it waits for the store's own bell.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from steward.action import Action
from steward.attempt import Attempt
from steward.authenticators.api_key import mint_key
from steward.bootstrap import Application, open_application
from steward.clock import Clock, SystemClock
from steward.directory import LOCAL_ACTOR
from steward.errors import Conflict
from steward.event import Event, event_id
from steward.identity import Principal, Role
from steward.job import FINAL, Job, JobStatus
from steward.orchestrator import RequestedAction
from steward.plan import PlannedAction
from steward.settings import Settings
from steward.work_store import Lease, Submitted
from steward.worker import Worker
from tests.asking import Asking
from tests.databases import lay_out

SECRET: Final = "a secret key for tests that is long enough"
OTHER_SECRET: Final = "another secret key for tests as long as the first"
LIMIT_S: Final = 20.0


def planned(action_id: str, *depends_on: str, step: str = "", **params: Any) -> PlannedAction:
    """Return a step as a caller would write it."""
    return PlannedAction(id=step, action_id=action_id, params=params, depends_on=list(depends_on))


@dataclass
class Installation:
    """One open installation and short ways to use it."""

    app: Application
    home: Path
    clock: Clock
    _members: dict[tuple[str, Role], Principal] = field(default_factory=dict)

    def add(self, *actions: Action) -> None:
        """Add own actions."""
        for action in actions:
            self.app.catalogue.add(action)

    async def member(self, workspace_id: str = "acme", role: Role = Role.DEVELOPER) -> Principal:
        """Return who holds a key of this role in a workspace; both are made the first time."""
        if (workspace_id, role) not in self._members:
            with suppress(Conflict):
                await self.app.directory.create_workspace(workspace_id, workspace_id.title(), by=LOCAL_ACTOR)
            key, _ = mint_key(self.app.ids, self.app.clock, workspace_id, role, "office", None)
            await self.app.directory.add_key(key, by=LOCAL_ACTOR)
            self._members[workspace_id, role] = key.principal
        return self._members[workspace_id, role]

    async def submit(
        self, *steps: PlannedAction, who: Principal | None = None, key: str | None = None, **more: Any
    ) -> Submitted:
        """Execute steps as one plan."""
        return await self.app.orchestrator.execute_actions(
            who or await self.member(),
            [RequestedAction(step) for step in steps],
            run_at=more.get("run_at"),
            idempotency_key=key,
            request_id="req-test",
        )

    async def plan(self, prompt: str, who: Principal | None = None) -> dict[str, Any]:
        """Plan a sentence."""
        return await self.app.orchestrator.plan(who or await self.member(), prompt, None, "req-test")

    async def execute(self, plan_id: str, who: Principal | None = None, key: str | None = None) -> Submitted:
        """Execute a kept plan."""
        return await self.app.orchestrator.execute_plan(
            who or await self.member(), plan_id, run_at=None, idempotency_key=key, request_id="req-test"
        )

    async def job(self, job_id: str, who: Principal | None = None) -> Job:
        """Return a job that must exist."""
        found = await self.app.engine.open(who or await self.member()).get_job(job_id)
        assert found is not None
        return found

    async def jobs(self, plan_id: str, who: Principal | None = None) -> tuple[Job, ...]:
        """Return a plan's jobs in step order."""
        return await self.app.engine.open(who or await self.member()).plan_jobs(plan_id)

    async def events(self, who: Principal | None = None) -> tuple[Event, ...]:
        """Return every event of a workspace."""
        page = await self.app.engine.open(who or await self.member()).events_after(event_id(0), limit=10_000)
        return page.events

    async def lease(self) -> Lease:
        """Claim one job, as a worker that is about to disappear would."""
        claimed = await self.app.engine.dispatcher.claim("worker-that-disappears", limit=1)
        (lease,) = claimed.leases
        return lease

    def attempt(self, lease: Lease) -> Attempt:
        """Return an attempt on a lease, with what this installation's workers work with."""
        return Attempt(lease, self.app.worker(concurrency=1)._rooms)

    @asynccontextmanager
    async def worker(self, concurrency: int = 4, *, grace_s: float = 5.0) -> AsyncIterator[Worker]:
        """Run a worker while the block does; leaving the block stops it gracefully."""
        stop = asyncio.Event()
        worker = self.app.worker(concurrency=concurrency)
        running = asyncio.create_task(worker.run(stop, grace_s=grace_s))
        try:
            yield worker
        finally:
            stop.set()
            await running

    async def until(self, plan_id: str, states: Iterable[JobStatus], who: Principal | None = None) -> tuple[Job, ...]:
        """Return a plan's jobs once all of them are in one of ``states``, whoever brings them there."""
        wanted, store = frozenset(states), self.app.engine.open(who or await self.member())
        with store.listen() as listener:
            while True:
                jobs = await store.plan_jobs(plan_id)
                if all(job.status in wanted for job in jobs):
                    return jobs
                heard = await listener.wait(LIMIT_S)
                assert heard, [(job.step_id, job.status, job.error) for job in jobs]

    async def run_until_settled(self, plan_id: str, who: Principal | None = None) -> tuple[Job, ...]:
        """Run a worker until it leaves every job of the plan alone; return the jobs.

        Dependents of a job that waits for a person or for the clock wait too, so they count as settled.
        """
        who = who or await self.member()
        async with self.worker():
            store = self.app.engine.open(who)
            with store.listen() as listener:
                while not _settled(jobs := await store.plan_jobs(plan_id), self.clock.now()):
                    heard = await listener.wait(LIMIT_S)
                    assert heard, [(job.step_id, job.status, job.error) for job in jobs]
            return jobs

    def stored_bytes(self) -> bytes:
        """Return everything that lies in the database's files, its write-ahead log included."""
        return b"".join(path.read_bytes() for path in sorted(self.home.glob("steward.db*")))


def _settled(jobs: tuple[Job, ...], now: datetime) -> bool:
    def rests(job: Job) -> bool:
        later = job.status is JobStatus.SCHEDULED and job.not_before is not None and job.not_before > now
        return later or job.status in {JobStatus.UNKNOWN, JobStatus.HELD}

    stuck = {job.step_id for job in jobs if rests(job)}
    for _ in jobs if stuck else ():  # a list's own step waits for those after it
        stuck |= {job.step_id for job in jobs if job.status is JobStatus.WAITING and stuck.intersection(job.depends_on)}
    return all(job.status in FINAL or job.step_id in stuck for job in jobs)


@asynccontextmanager
async def installation(
    home: Path, *, clock: Clock | None = None, asking: Asking | None = None, env: Mapping[str, str] | None = None
) -> AsyncIterator[Installation]:
    """Open an installation in ``home``; ``asking`` are rules that ask, ``env`` more settings."""
    settings = Settings.load({"STEWARD_HOME": str(home), "STEWARD_SECRET_KEY": SECRET, **(env or {})})
    await lay_out(home, env or {})
    async with open_application(settings, clock=clock, around_policies=asking) as app:
        yield Installation(app, home, clock or SystemClock())
