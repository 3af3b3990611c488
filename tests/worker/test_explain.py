"""Why a job does not run, over random queues: always exactly one reason, and where that is removed the job goes on.

The queue is a real one. Nobody works on it but when the test lets a worker in, so every job can be caught in any state.
"""

import random
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import pytest

from steward.action import Action, ActionContext, ActionFailed, OutcomeUnknown
from steward.actions import Content, Destination, action
from steward.approval import Verdict
from steward.attempt import Held, LeaseLost
from steward.directory import LOCAL_ACTOR
from steward.errors import IllegalTransition
from steward.explain import explain_job
from steward.identity import Principal, Role
from steward.job import FINAL, Job, JobStatus
from steward.orchestrator import RequestedAction
from steward.usage import room_of
from steward.work_store import Lease, Settlement
from steward.workspace import Budget, Cap, WorkspaceSettings
from tests.asking import LOOK, Asking
from tests.conftest import FakeClock
from tests.installation import Installation, installation, planned
from tests.soak import rounds

pytestmark = pytest.mark.anyio
S = JobStatus
ENOUGH: Final = 60
"""Causes that one step can have, one after the other, and then some."""


@dataclass
class World:
    """What goes wrong in the world, by the text of a step; each once, or until somebody mends it."""

    wrong: dict[str, list[Exception]] = field(default_factory=dict)

    def do(self, text: str) -> dict[str, str]:
        """Do it, or raise what is wrong."""
        if self.wrong.get(text):
            raise self.wrong[text].pop()
        return {"said": text}

    def actions(self) -> tuple[Action, ...]:
        """Return a write that can be repeated, one that cannot, and one that goes outside and cannot be undone."""

        @action("deeds.note", effect="write", retry="keyed")
        async def note(text: Annotated[str, Content], ctx: ActionContext) -> dict[str, str]:
            """Note it."""
            return self.do(text)

        @action("deeds.once", effect="write", retry="none")
        async def once(text: Annotated[str, Content]) -> dict[str, str]:
            """Do it once."""
            return self.do(text)

        @action("post.send", effect="write", retry="none", groups=["message", "external"])
        async def send(to: Annotated[str, Destination], text: Annotated[str, Content]) -> dict[str, str]:
            """Send it."""
            return {**self.do(text), "to": to}

        return note, once, send


@dataclass
class Queue:
    """One workspace's queue in an installation, and everything that can be done about it."""

    house: Installation
    clock: FakeClock
    world: World
    asking: Asking
    who: Principal
    settings: WorkspaceSettings
    held: list[Lease] = field(default_factory=list)
    """Jobs that a worker has and does not get on with."""

    async def change(self, **changes: Any) -> None:
        """Change what the workspace set."""
        self.settings = self.settings.model_copy(update=changes)
        await self.house.app.directory.change_settings(self.who.workspace_id, self.settings, by=LOCAL_ACTOR)

    async def work(self, most: int = 1_000) -> None:
        """Let a worker do what it may, at most so many jobs."""
        dispatcher = self.house.app.engine.dispatcher
        while most > 0:
            claimed = await dispatcher.claim("worker", limit=1, caps={self.who.workspace_id: self.settings.caps})
            if not claimed.leases:
                return
            most -= 1
            await self.finish(claimed.leases[0])

    async def finish(self, lease: Lease) -> None:
        """Let a worker get on with a job that it has."""
        outcome = await self.house.attempt(lease).run()
        if not isinstance(outcome, (Held, LeaseLost)):
            await self.house.app.engine.dispatcher.settle([Settlement(lease.ref, outcome)])

    async def told(self, job_id: str) -> tuple[Job, dict[str, Any], tuple[Job, ...]]:
        """Return a job, why it is where it is, and the jobs of its plan."""
        store, now = self.house.app.engine.open(self.who), self.clock.now()
        job = await self.house.job(job_id, self.who)
        jobs, approvals = await store.plan_jobs(job.plan_id), await store.plan_approvals(job.plan_id)
        room = await room_of(self.house.app.directory, store, now)
        return job, explain_job(job, jobs, now, approvals, room=room), jobs

    async def clear(self, job_id: str) -> None:
        """Leave nothing that another queue's worker would take."""
        with suppress(IllegalTransition):
            await self.house.app.engine.open(self.who).cancel_plan((await self.house.job(job_id, self.who)).plan_id)
        while self.held:
            await self.finish(self.held.pop())

    def until(self, moment: str) -> None:
        """Move the clock to a time that was told."""
        ahead = (datetime.fromisoformat(moment) - self.clock.now()).total_seconds()
        self.clock.advance(max(ahead, 0.0) + 0.002)

    async def remove(self, job: Job, told: dict[str, Any], chance: random.Random) -> None:
        """Remove the cause that was told, as it says that it can be."""
        store = self.house.app.engine.open(self.who)
        code, change, status = told["reason"]["code"], told["next_change_at"], job.status
        if status is S.HELD:
            assert code == "awaiting_approval"
            asked = await store.get_approval(told["approval_id"])
            assert asked is not None
            await store.decide_approval(asked.approval_id, asked.digest, Verdict.APPROVE, None)
        elif status is S.RUNNING:
            mine = next(lease for lease in self.held if lease.job.job_id == job.job_id)
            self.held.remove(mine)
            await self.finish(mine)
        elif status is S.UNKNOWN:
            await store.resolve_job(job.job_id, "completed", "I looked.")
        elif status is S.FAILED:
            if code == "budget_exceeded":
                await self.change(budgets={})
            await store.retry_job(job.job_id)
        elif code == "capped":
            if change is not None and chance.random() < 0.5:
                self.until(change)
            else:
                await self.change(caps={})
        elif status is S.SCHEDULED:
            assert change is not None
            if code == "budget_exceeded" and chance.random() < 0.5:
                await self.change(budgets={})
            self.until(change)
        else:
            assert (status, code) == (S.PENDING, "no_free_worker")


async def fill(queue: Queue, chance: random.Random, tag: str) -> tuple[str, ...]:
    """Submit a random plan under random rules and let a worker come a little way; return the ids of its jobs."""
    steps = []
    for index in range(chance.randint(1, 5)):
        text = f"{tag} {index}"
        action_id = chance.choice(["deeds.note", "deeds.once", "post.send"])
        params = {"text": text, **({"to": "ann@x.example"} if action_id == "post.send" else {})}
        needs = [f"s{n + 1}" for n in range(index) if chance.random() < 0.4]
        steps.append(planned(action_id, *needs, **params))
        queue.world.wrong[text] = chance.choice(
            [
                *([], [], []),
                [ActionFailed("refused", "The far end said no.")],
                [ActionFailed("busy", "The far end is busy.", retryable=True)],
                [OutcomeUnknown("no_answer", "The far end did not answer.")],
            ]
        )
    asked = {step.params["text"] for step in steps if chance.random() < 0.25}
    for action_id in ("deeds.note", "deeds.once", "post.send"):
        queue.asking.ask(action_id, LOOK, when=lambda params: params.get("text") in asked)
    await queue.change(
        caps=chance.choice(
            [{}, {"*": Cap(per_minute=1)}, {"deeds.*": Cap(max_running=1)}, {"post.send": Cap(per_minute=2)}]
        ),
        budgets=chance.choice([{}, {}, {"messages_out": Budget(limit=chance.randint(0, 1), window_s=3600)}]),
        undo_window_s=chance.choice([0, 0, 30]),
    )
    run_at = queue.clock.now() + timedelta(minutes=5) if chance.random() < 0.2 else None
    submitted = await queue.house.app.orchestrator.execute_actions(
        queue.who, [RequestedAction(step) for step in steps], run_at=run_at, idempotency_key=None, request_id="req-test"
    )
    await queue.work(most=chance.randint(0, 3))
    if chance.random() < 0.3:
        caps = {queue.who.workspace_id: queue.settings.caps}
        queue.held += (await queue.house.app.engine.dispatcher.claim("slow", limit=1, caps=caps)).leases
    return submitted.job_ids


@pytest.mark.slow
async def test_the_reason_that_is_told_is_the_reason(tmp_path: Path, clock: FakeClock) -> None:
    """Of any job in a random queue: one reason; once it is removed another one is told, until the job is done."""
    asking, world, seeds = Asking(), World(), rounds(40, 1_000)
    async with installation(tmp_path, clock=clock, asking=asking) as house:
        house.add(*world.actions())
        for seed in range(seeds):
            chance = random.Random(seed)
            who = await house.member(f"queue{seed}", Role.ADMIN)
            queue = Queue(house, clock, world, asking, who, WorkspaceSettings())
            job_ids = await fill(queue, chance, str(seed))
            await until_done(queue, chance.choice(job_ids), chance, seed)
            await queue.clear(job_ids[0])


async def until_done(queue: Queue, job_id: str, chance: random.Random, seed: int) -> None:
    """Ask why a job does not run, and remove just that, again and again until it ran."""
    seen: list[Any] = []
    at = job_id
    while (await queue.house.job(job_id, queue.who)).status is not S.COMPLETED:
        job, told, jobs = await queue.told(at)
        assert isinstance(told["reason"]["code"], str), (seed, told)
        assert told["reason"]["text"].endswith("."), (seed, told)
        if job.status is S.COMPLETED:
            at = job_id
            continue
        if job.status is S.WAITING or (job.status in FINAL and job.status is not S.FAILED):
            named = told["who"].rpartition("step ")[2]
            at = next(other.job_id for other in jobs if other.step_id == named)
            continue
        this = (job.step_id, job.status, told["reason"], told["next_change_at"], job.fence)
        assert this not in seen, (seed, told, "was removed, and is still told")
        assert len(seen) < ENOUGH, (seed, seen)
        seen.append(this)
        await queue.remove(job, told, chance)
        await queue.work()
        at = job_id
