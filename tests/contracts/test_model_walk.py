"""Random histories, walked against the engine and against the reference model at once; after each step they must agree."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from steward.action import Effect, RetryMode
from steward.approval import Verdict
from steward.errors import StewardError
from steward.event import event_sequence
from steward.identity import Principal
from steward.ids import IdFactory
from steward.job import Cancelled, Expanded, HandedBack, HeldFor, JobStatus, NewJob, Outcome, Skipped
from steward.plan import PlanStatus
from steward.work_store import MIN_RETENTION_S, Granted, LeaseRef, Refused, WorkEngine
from tests.conftest import FakeClock
from tests.contracts.backends import BACKENDS, Backend
from tests.contracts.builders import ALPHA, BETA, World, again, done, doubt, failure, request_claim
from tests.contracts.reference_model import Model
from tests.contracts.reference_records import ModelApproval, ModelJob, ModelPlan, Refusal

T = TypeVar("T")
S = JobStatus
PEOPLE = {"alpha": ALPHA, "beta": BETA}
FAR_S = 10 * 365 * 24 * 3600
STEPS_S = (0.013, 1.013, 4.007, 11.003, 61.0, 4000.001, 90_000.017, 270_000.011)
"""Odd to the millisecond, so that no two deadlines meet by chance."""
KINDS = [
    (Effect.READ, RetryMode.NONE, 60.0),
    (Effect.WRITE, RetryMode.KEYED, 50_000.0),
    (Effect.WRITE, RetryMode.KEYED, 5.0),
    (Effect.WRITE, RetryMode.PROBE, 60.0),
    (Effect.WRITE, RetryMode.NONE, 60.0),
]
SHAPES = [
    (),
    ((),),
    ((), ()),
    ((), (0,)),
    ((), (0,), (1,)),
    ((), (), (0, 1)),
    ((), (0,), (0, 1)),
    ((), (0,), (0,), (1, 2)),
]
"""Plans by the positions that each step needs; the first is one step too."""


class Walk(RuleBasedStateMachine):
    """One engine, one model, one clock, and the moves that both make."""

    def __init__(self, make: Callable[[], Backend]) -> None:
        """Open a fresh engine in a task of its own, on a loop of its own."""
        super().__init__()
        self.clock = FakeClock()
        self.runner = asyncio.Runner()
        self.stop: asyncio.Event | None = None
        self.world = self.call(self._open(make()))
        self.model = Model(self.clock.now())
        self.requests: dict[str, ModelPlan] = {}

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

    # Helpers of the rules.

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

    def pick(self, data: st.DataObject, *states: JobStatus) -> ModelJob | None:
        """Choose a job in one of these states (any job if none are named)."""
        jobs = self.model.in_state(*(states or tuple(JobStatus)))
        return data.draw(st.sampled_from(jobs), label="job") if jobs else None

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

    def asked(self, plan_id: str, job_id: str | None, who: Principal, seconds: float) -> tuple[Any, ModelApproval]:
        """Return a request for approval, for the engine and for the model."""
        until = self.world.at(seconds)
        approval = self.world.approval(plan_id, job_id, who=who, expires_at=until)
        return approval, ModelApproval(approval.approval_id, plan_id, job_id, until)

    def act(self, data: st.DataObject, who: Principal, plan_id: str) -> tuple[tuple[NewJob, ...], list[ModelJob]]:
        """Return the jobs of a plan of a random shape, for the engine and for the model."""
        given: list[NewJob] = []
        for number, needs in enumerate(data.draw(st.sampled_from(SHAPES), label="shape") or ((),)):
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

    # Rules: people.

    @rule(
        data=st.data(), who=st.sampled_from(["alpha", "alpha", "beta"]), key=st.sampled_from([None, None, "k1", "k2"])
    )
    def submit(self, data: st.DataObject, who: str, key: str | None) -> None:
        """Submit a new plan, a draft, or a plan that exists, with or without a key and an approval."""
        self._submit(data, PEOPLE[who], key)

    @rule(data=st.data())
    def submit_plain(self, data: st.DataObject) -> None:
        """Submit a new plan: what most steps of a history are about."""
        self._submit(data, ALPHA, None, fresh=True)

    def _submit(self, data: st.DataObject, who: Principal, key: str | None, *, fresh: bool = False) -> None:
        mine = [plan for plan in self.model.plans.values() if plan.workspace == who.workspace_id]
        old = data.draw(st.sampled_from([None, *mine]), label="plan") if not fresh else None
        record = self.world.plan(who=who, **({"plan_id": old.plan_id} if old else {}))
        jobs, known = self.act(data, who, record.plan_id)
        asks = data.draw(st.sampled_from([False, False, True]), label="asks")
        approval, known_approval = self.asked(
            record.plan_id, None, who, data.draw(st.sampled_from([3600.5, 300_000.5]))
        )
        payload = data.draw(st.sampled_from("aab"), label="payload") if key else "a"
        submission = self.world.submission(
            *jobs, who=who, plan=record, claims=[request_claim(key, payload)] if key else []
        )
        if asks:
            submission = type(submission)(
                plan=submission.plan, jobs=jobs, idempotency=submission.idempotency, approval=approval
            )
        plan = ModelPlan(record.plan_id, who.workspace_id, PlanStatus.RUNNING, record.expires_at)
        expected: list[tuple[str, bool]] = []
        answer = self.both(
            self.world.engine.open(who).submit(submission),
            lambda: expected.append(self.model.submit(plan, known, key, payload, known_approval if asks else None)),
        )
        if answer is not None:
            assert (answer.plan_id, answer.duplicate) == expected[0]
            assert answer.job_ids == tuple(self.model.plans[answer.plan_id].job_ids)
            assert answer.approval_id == self.model.plans[answer.plan_id].approval_id

    @rule(who=st.sampled_from(["alpha", "beta"]))
    def draft(self, who: str) -> None:
        """Keep a draft."""
        record = self.world.plan(who=PEOPLE[who])
        self.call(self.world.engine.open(PEOPLE[who]).draft(record))
        self.model.draft(ModelPlan(record.plan_id, who, PlanStatus.DRAFT, record.expires_at))

    @precondition(lambda self: self.model.approvals)
    @rule(data=st.data(), yes=st.booleans())
    def decide(self, data: st.DataObject, yes: bool) -> None:
        """Approve or reject, also what was decided long ago."""
        approval = data.draw(st.sampled_from(list(self.model.approvals.values())), label="approval")
        store = self.world.engine.open(PEOPLE[self.model.plans[approval.plan_id].workspace])
        verdict = Verdict.APPROVE if yes else Verdict.REJECT
        self.both(
            store.decide_approval(approval.approval_id, "c" * 64, verdict, None),
            lambda: self.model.decide(approval, yes=yes),
        )

    @precondition(lambda self: self.model.jobs)
    @rule(data=st.data())
    def cancel_job(self, data: st.DataObject) -> None:
        """Cancel any job, in whatever state (but not a parent that waits: its children's fate is not in the contract)."""
        job = self.pick(data)
        if job is not None and not (job.expanded and job.status is S.WAITING):
            store = self.world.engine.open(PEOPLE[job.workspace])
            self.both(store.cancel_job(job.job_id), lambda: self.model.cancel_job(job))

    @precondition(lambda self: self.model.plans)
    @rule(data=st.data())
    def cancel_plan(self, data: st.DataObject) -> None:
        """Cancel any plan, in whatever state."""
        plan = data.draw(st.sampled_from(list(self.model.plans.values())), label="plan")
        store = self.world.engine.open(PEOPLE[plan.workspace])
        self.both(store.cancel_plan(plan.plan_id), lambda: self.model.cancel_plan(plan))

    @precondition(lambda self: self.model.jobs)
    @rule(data=st.data(), favour=st.booleans())
    def retry_job(self, data: st.DataObject, favour: bool) -> None:
        """Retry a job, mostly a failed one."""
        job = self.pick(data, S.FAILED) if favour else self.pick(data)
        if job is not None:
            store = self.world.engine.open(PEOPLE[job.workspace])
            self.both(store.retry_job(job.job_id), lambda: self.model.retry(job))

    @precondition(lambda self: self.model.jobs)
    @rule(data=st.data(), completed=st.booleans(), favour=st.booleans())
    def resolve_job(self, data: st.DataObject, completed: bool, favour: bool) -> None:
        """Settle by hand, mostly a doubt."""
        job = self.pick(data, S.UNKNOWN) if favour else self.pick(data)
        if job is not None:
            store = self.world.engine.open(PEOPLE[job.workspace])
            word = "completed" if completed else "failed"
            self.both(store.resolve_job(job.job_id, word, "n"), lambda: self.model.resolve(job, completed=completed))

    # Rules: workers.

    @rule(limit=st.sampled_from([1, 2, 5, 50]))
    def claim(self, limit: int) -> None:
        """Claim; the model checks that what came was ready and all there was."""
        leases = self.call(self.world.claim(limit=limit))
        self.model.claim([lease.job.job_id for lease in leases], limit)
        for lease in leases:
            wanted = {
                self.call(self.world.job_of(need, PEOPLE[lease.job.workspace_id])).step_id
                for need in self.model.jobs[lease.job.job_id].needs
            }
            assert set(lease.inputs_sealed) == wanted
            assert lease.params_sealed == f"params of {lease.job.job_id}".encode()

    @precondition(lambda self: self.model.in_state(S.RUNNING))
    @rule(data=st.data())
    def dispatch(self, data: st.DataObject) -> None:
        """Dispatch a running job."""
        job = self.pick(data, S.RUNNING)
        assert job is not None
        (answer,) = self.call(self.world.dispatcher.dispatch([LeaseRef(job.workspace, job.job_id, job.fence)]))
        assert (answer.reason if isinstance(answer, Refused) else "granted") == self.model.dispatch(job, job.fence)

    @precondition(lambda self: self.model.in_state(S.RUNNING))
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        """Renew a lease that still holds."""
        job = self.pick(data, S.RUNNING)
        if job is not None and job.lease_until is not None and job.lease_until > self.clock.now():
            (answer,) = self.call(self.world.dispatcher.renew([LeaseRef(job.workspace, job.job_id, job.fence)]))
            assert isinstance(answer, Granted)
            assert answer.job.cancel_requested is job.cancel_requested
            job.lease_until = answer.job.lease_until
            assert job.lease_until == self.world.at(10)

    @precondition(lambda self: self.model.in_state(S.RUNNING))
    @rule(
        data=st.data(),
        how=st.sampled_from(
            ["done", "done", "done", "failed", "doubt", "skipped", "cancelled", "again", "back", "expand"]
        ),
    )
    def settle(self, data: st.DataObject, how: str) -> None:
        """End an attempt in one of the ways that fit what the worker did."""
        job = self.pick(data, S.RUNNING)
        assert job is not None
        dispatched = job.dispatched_at is not None
        if (how == "back" and dispatched) or (how == "expand" and (job.cancel_requested or job.expanded)):
            how = "done"
        doubtful = how == "again" and dispatched and data.draw(st.booleans(), label="doubtful")
        later = self.world.at(data.draw(st.sampled_from([2.5, 100.5]), label="backoff")) if how == "again" else None
        if how == "expand":
            return self._expand(data, job)
        plain: dict[str, tuple[Outcome, JobStatus]] = {
            "done": (done({"n": 1}, b"r"), S.COMPLETED),
            "failed": (failure(), S.FAILED),
            "doubt": (doubt(), S.UNKNOWN),
            "skipped": (Skipped("no"), S.SKIPPED),
            "cancelled": (Cancelled("asked"), S.CANCELLED),
            "back": (HandedBack(), S.PENDING),
        }
        outcome, end = plain[how] if later is None else (again(later, doubtful=doubtful), S.SCHEDULED)
        answer = self.call(self.world.settle(LeaseRef(job.workspace, job.job_id, job.fence), outcome))
        assert isinstance(answer, Granted)
        return self.model.settle(job, end, not_before=later, doubtful=doubtful)

    def _expand(self, data: st.DataObject, job: ModelJob) -> None:
        step = self.call(self.world.job_of(job.job_id, PEOPLE[job.workspace])).step_id
        count = data.draw(st.integers(0, 3), label="children")
        children = tuple(self.world.job(f"{step}[{n}]", parent_step_id=step) for n in range(count))
        answer = self.call(self.world.settle(LeaseRef(job.workspace, job.job_id, job.fence), Expanded(children)))
        assert isinstance(answer, Granted)
        known = [self.known(child, PEOPLE[job.workspace], job.plan_id, ()) for child in children]
        self.model.expand(job, known)
        job.left = answer.job.max_attempts - answer.job.attempts  # whether it counted is not in the contract

    @precondition(lambda self: self.model.jobs)
    @rule(data=st.data(), behind=st.integers(1, 2))
    def a_late_worker(self, data: st.DataObject, behind: int) -> None:
        """Whatever a worker with an old fence tries is refused; the next comparison shows that nothing changed."""
        job = self.pick(data)
        assert job is not None
        ref = LeaseRef(job.workspace, job.job_id, job.fence - behind)
        (dispatched,), (renewed,) = (
            self.call(self.world.dispatcher.dispatch([ref])),
            self.call(self.world.dispatcher.renew([ref])),
        )
        settled = self.call(self.world.settle(ref, done("late")))
        assert {type(answer) for answer in (dispatched, renewed, settled)} == {Refused}

    @precondition(lambda self: self.model.in_state(S.RUNNING))
    @rule(data=st.data(), drift=st.booleans())
    def hold(self, data: st.DataObject, drift: bool) -> None:
        """Hold a running job for a person; refused once dispatched or asked to stop."""
        job = self.pick(data, S.RUNNING)
        assert job is not None
        approval, known = self.asked(job.plan_id, job.job_id, PEOPLE[job.workspace], FAR_S)
        ref = LeaseRef(job.workspace, job.job_id, job.fence)
        why = HeldFor.DRIFT if drift else HeldFor.APPROVAL
        answer = self.call(self.world.dispatcher.hold(ref, why, "look", None if drift else approval))
        if job.dispatched_at is not None or job.cancel_requested:
            assert isinstance(answer, Refused)
        else:
            assert isinstance(answer, Granted)
            self.model.hold(job, None if drift else known)

    # Rules: time.

    @rule(seconds=st.sampled_from(STEPS_S))
    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds)
        self.model.now = self.clock.now()

    @rule()
    def sweep(self) -> None:
        """Recover and expire, and agree on how many."""
        swept = self.call(self.world.dispatcher.sweep())
        assert (swept.leases_lost, swept.approvals_expired, swept.drafts_expired) == self.model.sweep()

    @rule(days=st.sampled_from([0, 0, 2, 40]))
    def purge(self, days: int) -> None:
        """Sweep and, perhaps much later, forget what is old enough, and agree on how many plans went."""
        self.sweep()
        self.advance(days * 86_400.0 + 7.001)
        self.sweep()
        assert self.call(self.world.dispatcher.purge(MIN_RETENTION_S)) == self.model.purge(MIN_RETENTION_S)

    # What must hold after every step.

    @invariant()
    def both_show_the_same(self) -> None:
        """Every job, plan, approval, depth and page is what the model says, in both workspaces."""
        for who in PEOPLE.values():
            self.call(self._compare(who))

    async def _compare(self, who: Principal) -> None:
        store, model, workspace = self.world.engine.open(who), self.model, who.workspace_id
        jobs, after = [], None
        while True:
            page = await store.list_jobs(limit=7, after=after)
            jobs += page.jobs
            if (after := page.next_after) is None:
                break
        mine = {job.job_id: job for job in model.jobs.values() if job.workspace == workspace}
        assert [job.job_id for job in jobs] == sorted(mine, reverse=True)
        for job in jobs:
            known = mine[job.job_id]
            due = model.is_due(known)  # may already count as ready
            assert job.status is known.status or (due and job.status is S.PENDING), job
            assert (job.fence, job.max_attempts - job.attempts) == (known.fence, known.left), job
            if known.status is S.RUNNING:
                assert (job.dispatched_at, job.cancel_requested) == (known.dispatched_at, known.cancel_requested)
                assert job.lease_until == known.lease_until
            if known.status not in {S.COMPLETED, S.CANCELLED, S.SKIPPED}:
                assert job.first_dispatched_at == known.first_dispatched_at, job
            assert (job.finished_at is None) == (known.status not in {S.COMPLETED, S.FAILED, S.CANCELLED, S.SKIPPED})
        plans = {plan.plan_id: plan for plan in (await store.list_plans(limit=100)).plans}
        expected = {
            plan.plan_id: model.plan_status(plan) for plan in model.plans.values() if plan.workspace == workspace
        }
        assert {plan_id: plan.status for plan_id, plan in plans.items()} == expected
        inbox = {approval.approval_id for approval in await store.list_approvals(limit=100)}
        for approval in model.approvals.values():
            if approval.plan_id in expected:
                shown = await store.get_approval(approval.approval_id)
                assert shown is not None
                assert shown.status == approval.status
                assert (approval.approval_id in inbox) == (approval.status == "pending")
        ready = sum(job.status is S.PENDING for job in jobs)
        assert (await store.queue_depth(), page.queue_depth) == (ready, ready)
        newest = await store.events_after(None, limit=1)
        assert (event_sequence(newest.last_event_id) or 0) >= len(plans)


def test_random_histories_agree_with_the_reference_model(
    kind: str, template: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever people, workers and time do, in whatever order: the engine shows exactly what the model says."""

    def make() -> Backend:
        return BACKENDS[kind](tmp_path_factory.mktemp("h"), template)

    run_state_machine_as_test(
        lambda: Walk(make),
        settings=settings(
            max_examples=30,
            stateful_step_count=40,
            deadline=None,
            derandomize=False,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
