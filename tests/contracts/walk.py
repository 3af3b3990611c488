"""What the random walk needs beneath its rules: an engine on a loop of its own, and the comparison with the model."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant

from steward.action import Effect, RetryMode
from steward.approval import Approval
from steward.errors import StewardError
from steward.identity import Principal
from steward.ids import IdFactory
from steward.job import FINAL, Job, JobStatus, ListedJob, NewJob
from steward.views import job_view
from steward.work_store import WorkEngine, WorkStore
from tests.conftest import FakeClock
from tests.contracts.backends import Backend
from tests.contracts.builders import ALPHA, BETA, COLLEAGUE, World, principal
from tests.contracts.reference_model import Model
from tests.contracts.reference_records import ModelApproval, ModelJob, Refusal

T = TypeVar("T")
S = JobStatus
PEOPLE = {"alpha": ALPHA, "beta": BETA}
COLLEAGUES = {"alpha": COLLEAGUE, "beta": principal("beta", "key_000000000000000othercolleague")}
KINDS = [
    (Effect.READ, RetryMode.NONE, 60.0),
    (Effect.WRITE, RetryMode.KEYED, 50_000.0),
    (Effect.WRITE, RetryMode.KEYED, 5.0),
    (Effect.WRITE, RetryMode.PROBE, 60.0),
    (Effect.WRITE, RetryMode.NONE, 60.0),
]
SHAPES = [((),), ((), ()), ((), (0,)), ((), (0,), (1,)), ((), (), (0, 1)), ((), (0,), (0, 1)), ((), (0,), (0,), (1, 2))]
"""Plans by the positions that each step needs."""


class Walk(RuleBasedStateMachine):
    """One engine, one model, one clock."""

    def __init__(self, make: Callable[[], Backend]) -> None:
        """Open a fresh engine in a task of its own, on a loop of its own."""
        super().__init__()
        self.clock = FakeClock()
        self.runner = asyncio.Runner()
        self.stop: asyncio.Event | None = None
        self.world = self.call(self._open(make()))
        self.model = Model(self.clock.now())

    async def _open(self, backend: Backend) -> World:
        opened: asyncio.Future[WorkEngine] = asyncio.get_running_loop().create_future()
        self.stop = asyncio.Event()

        async def live() -> None:
            async with backend.open(self.clock, IdFactory(self.clock)) as engine:
                opened.set_result(engine)
                assert self.stop is not None
                await self.stop.wait()

        self.life = asyncio.ensure_future(live())
        await asyncio.wait({self.life, opened}, return_when=asyncio.FIRST_COMPLETED)
        if self.life.done():
            self.life.result()
        return World(await opened, self.clock)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run one piece of async work to its end."""
        return self.runner.run(work)

    def teardown(self) -> None:
        """Close the engine and the loop."""

        async def close() -> None:
            if self.stop is not None:
                self.stop.set()
                await self.life

        self.call(close())
        self.runner.close()

    def both(self, engine: Coroutine[Any, Any, T], model: Callable[[], Any]) -> T | None:
        """Do the same on both sides; they must agree on whether, and as what, it is refused."""
        expected = actual = result = None
        try:
            model()
        except Refusal as refusal:
            expected = refusal.args[0]
        try:
            result = self.call(engine)
        except StewardError as error:
            actual = type(error).__name__
        assert actual == expected
        return result

    def pick(self, data: st.DataObject, *states: JobStatus) -> ModelJob:
        """Choose a job in one of these states (any job if none are named); the rule's precondition says there is one."""
        return data.draw(st.sampled_from(self.model.in_state(*(states or tuple(JobStatus)))), label="job")

    def known(self, given: NewJob, who: Principal, plan_id: str, needs: tuple[str, ...]) -> ModelJob:
        """Return the model's record of a new job."""
        return ModelJob(
            job_id=given.job_id,
            workspace=who.workspace_id,
            plan_id=plan_id,
            needs=needs,
            effect=given.effect,
            retry=given.retry,
            key_valid_s=given.key_valid_s,
            budget=given.max_attempts,
            not_before=given.not_before,
        )

    def asked(
        self, data: st.DataObject, plan_id: str, job_id: str | None, who: Principal, seconds: float
    ) -> tuple[Approval, ModelApproval]:
        """Return a request for approval, for the engine and for the model; sometimes another person has to give it."""
        until, other = self.world.at(seconds), data.draw(st.sampled_from([False, False, True]), label="another person")
        approval = self.world.approval(plan_id, job_id, who=who, expires_at=until, another_person=other)
        asker = who.actor_id if other else None
        return approval, ModelApproval(approval.approval_id, plan_id, job_id, until, never=asker)

    def new_jobs(self, data: st.DataObject, who: Principal, plan_id: str) -> tuple[tuple[NewJob, ...], list[ModelJob]]:
        """Return the jobs of a plan of a random shape, for the engine and for the model."""
        given: list[NewJob] = []
        for number, needs in enumerate(data.draw(st.sampled_from(SHAPES), label="shape")):
            effect, retry, valid_s = data.draw(st.sampled_from(KINDS), label="kind")
            wait_s = data.draw(st.sampled_from([0.0, 0.0, 3.5, 300.5]), label="run_at") if not needs else 0.0
            given.append(
                self.world.job(
                    f"s{number}",
                    *(given[need].step_id for need in needs),
                    effect=effect,
                    retry=retry,
                    key_valid_s=valid_s,
                    max_attempts=data.draw(st.integers(1, 3), label="attempts"),
                    not_before=self.world.at(wait_s) if wait_s else None,
                )
            )
        ids = {job.step_id: job.job_id for job in given}
        known = [self.known(job, who, plan_id, tuple(ids[need] for need in job.depends_on)) for job in given]
        return tuple(given), known

    # What must hold after every step.

    @invariant()
    def both_show_the_same(self) -> None:
        """Every job, plan, approval, depth and page is what the model says, in both workspaces."""
        for who in PEOPLE.values():
            self.call(self._compare(self.world.engine.open(who)))

    async def _compare(self, store: WorkStore) -> None:
        workspace = store.principal.workspace_id
        jobs: list[ListedJob] = []
        after: str | None = None
        while True:
            page = await store.list_jobs(limit=7, after=after)
            jobs += page.jobs
            if (after := page.next_after) is None:
                break
        mine = {job.job_id: job for job in self.model.jobs.values() if job.workspace == workspace}
        assert [job.job_id for job in jobs] == sorted(mine, reverse=True)
        whole = {job.job_id: job for plan_id in {job.plan_id for job in jobs} for job in await store.plan_jobs(plan_id)}
        for listed in jobs:
            assert job_view(listed) == job_view(whole[listed.job_id])
            self._compare_job(whole[listed.job_id], mine[listed.job_id])
        ready = sum(job.status is S.PENDING for job in jobs)
        assert (await store.queue_depth(), page.queue_depth) == (ready, ready)
        plans = {plan.plan_id: plan.status for plan in (await store.list_plans(limit=100)).plans}
        expected = [plan for plan in self.model.plans.values() if plan.workspace == workspace]
        assert plans == {plan.plan_id: self.model.plan_status(plan) for plan in expected}
        approvals = [one for one in self.model.approvals.values() if one.plan_id in plans]
        for approval in approvals:
            shown = await store.get_approval(approval.approval_id)
            assert shown is not None
            assert shown.status == approval.status
        inbox = [approval.approval_id for approval in (await store.list_approvals(limit=100)).approvals]
        assert inbox == sorted((one.approval_id for one in approvals if one.status == "pending"), reverse=True)

    def _compare_job(self, job: Job, known: ModelJob) -> None:
        due = known.is_due(self.model.now)  # may already count as ready
        assert job.status is known.status or (due and job.status is S.PENDING), job
        assert (job.fence, job.max_attempts - job.attempts) == (known.fence, known.left), job
        assert (job.finished_at is not None) == (known.status in FINAL), job
        if known.status is S.RUNNING:
            assert (job.dispatched_at, job.cancel_requested) == (known.dispatched_at, known.cancel_requested), job
            assert job.lease_until == known.lease_until, job
        if known.status not in {S.COMPLETED, S.CANCELLED, S.SKIPPED}:
            assert job.first_dispatched_at == known.first_dispatched_at, job
