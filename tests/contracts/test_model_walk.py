"""Random histories, walked against the engine and against the reference model at once; after each step they must agree."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from steward.approval import Verdict
from steward.identity import Principal
from steward.job import (
    LEASE_S,
    Cancelled,
    Deferred,
    Expanded,
    HandedBack,
    HeldFor,
    JobError,
    JobStatus,
    Outcome,
    Skipped,
)
from steward.plan import PlanStatus
from steward.work_store import MIN_RETENTION_S, Granted, LeaseRef, Refused
from steward.workspace import Cap
from tests.contracts.backends import BACKENDS
from tests.contracts.builders import ALPHA, again, done, doubt, failure, request_claim
from tests.contracts.reference_records import ModelJob, ModelPlan
from tests.contracts.walk import COLLEAGUES, PEOPLE, Walk

S = JobStatus
FAR_S = 10 * 365 * 24 * 3600.0
SLOW_S = 11.003
STEPS_S = (0.013, 1.013, 4.007, SLOW_S, 61.0, 4000.001, 90_000.017, 270_000.011)
"""Odd to the millisecond, so that no two deadlines meet by chance."""
ENDS = (
    *("done", "done", "done", "done", "failed", "failed", "doubt", "skipped", "cancelled"),
    *("again", "again", "back", "back", "expand"),
)


class RandomHistory(Walk):
    """The moves that both sides make."""

    def _ref(self, job: ModelJob, behind: int = 0) -> LeaseRef:
        """Return a lease of a job as its holder would show it, or one from before."""
        ref = LeaseRef(job.workspace, job.job_id, job.fence - behind)
        lease = self.world.leases.get(job.job_id)
        return lease.ref if lease is not None and lease.ref == ref else ref

    # People.

    @rule(data=st.data(), who=st.sampled_from(["alpha", "alpha", "beta"]), key=st.sampled_from([None, "k1", "k2"]))
    def submit_anything(self, data: st.DataObject, who: str, key: str | None) -> None:
        """Submit a new plan, a draft, or a plan that exists, with or without a key."""
        mine = [plan for plan in self.model.plans.values() if plan.workspace == who]
        self._submit(data, PEOPLE[who], key, data.draw(st.sampled_from([None, *mine]), label="plan"))

    @rule(data=st.data())
    def submit_new(self, data: st.DataObject) -> None:
        """Submit a new plan: what most of a history is about."""
        self._submit(data, ALPHA, None, None)

    def _submit(self, data: st.DataObject, who: Principal, key: str | None, old: ModelPlan | None) -> None:
        record = self.world.plan(who=who, **({"plan_id": old.plan_id} if old else {}))
        jobs, known = self.new_jobs(data, who, record.plan_id)
        asks = data.draw(st.sampled_from([False, False, True]), label="asks")
        approval, known_approval = self.asked(
            data, record.plan_id, None, who, data.draw(st.sampled_from([3600.5, 3e5]))
        )
        payload = data.draw(st.sampled_from("aab"), label="payload") if key else "a"
        claims = [request_claim(key, payload)] if key else []
        submission = self.world.submission(*jobs, who=who, plan=record, claims=claims)
        plan = ModelPlan(record.plan_id, who.workspace_id, PlanStatus.RUNNING, record.expires_at)
        expected: list[tuple[str, bool]] = []
        answer = self.both(
            self.world.engine.open(who).submit(replace(submission, approval=approval if asks else None)),
            lambda: expected.append(self.model.submit(plan, known, key, payload, known_approval if asks else None)),
        )
        if answer is not None:
            original = self.model.plans[expected[0][0]]
            assert (answer.plan_id, answer.duplicate) == expected[0]
            assert (answer.job_ids, answer.approval_id) == (tuple(original.job_ids), original.approval_id)

    @rule(who=st.sampled_from(["alpha", "beta"]))
    def draft(self, who: str) -> None:
        """Keep a draft."""
        record = self.world.plan(who=PEOPLE[who])
        self.call(self.world.engine.open(PEOPLE[who]).draft(record))
        self.model.draft(ModelPlan(record.plan_id, who, PlanStatus.DRAFT, record.expires_at))

    @precondition(lambda self: self.model.approvals)
    @rule(data=st.data(), yes=st.booleans(), people=st.sampled_from([PEOPLE, COLLEAGUES]))
    def decide(self, data: st.DataObject, yes: bool, people: dict[str, Principal]) -> None:
        """Approve or reject, by whoever asked or by somebody else, also what was decided long ago."""
        approval = data.draw(st.sampled_from(list(self.model.approvals.values())), label="approval")
        who = people[self.model.plans[approval.plan_id].workspace]
        store = self.world.engine.open(who)
        verdict = Verdict.APPROVE if yes else Verdict.REJECT
        self.both(
            store.decide_approval(approval.approval_id, "c" * 64, verdict, None),
            lambda: self.model.decide(approval, who.actor_id, yes=yes),
        )

    @precondition(lambda self: self.model.jobs)
    @rule(data=st.data(), verb=st.sampled_from(["cancel", "cancel", "retry", "resolve", "cancel plan"]))
    def meddle(self, data: st.DataObject, verb: str) -> None:
        """Do something to any job or its plan, whatever its state."""
        job = self.pick(data)
        plan, store = self.model.plans[job.plan_id], self.world.engine.open(PEOPLE[job.workspace])
        if verb == "retry":
            self._retry(job)
        elif verb == "resolve":
            self._resolve(job, completed=True)
        elif verb == "cancel plan":
            self.both(store.cancel_plan(plan.plan_id), lambda: self.model.cancel_plan(plan))
        elif not (job.expanded and job.status is S.WAITING):  # its children's fate is not in the contract
            self.both(store.cancel_job(job.job_id), lambda: self.model.cancel_job(job))

    @precondition(lambda self: self.model.in_state(S.FAILED))
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        """Retry a job that failed."""
        self._retry(self.pick(data, S.FAILED))

    def _retry(self, job: ModelJob) -> None:
        store = self.world.engine.open(PEOPLE[job.workspace])
        self.both(store.retry_job(job.job_id), lambda: self.model.retry(job))

    @precondition(lambda self: self.model.in_state(S.UNKNOWN))
    @rule(data=st.data(), completed=st.booleans())
    def resolve(self, data: st.DataObject, completed: bool) -> None:
        """Settle a doubt by hand."""
        self._resolve(self.pick(data, S.UNKNOWN), completed=completed)

    def _resolve(self, job: ModelJob, *, completed: bool) -> None:
        store, word = self.world.engine.open(PEOPLE[job.workspace]), "completed" if completed else "failed"
        self.both(store.resolve_job(job.job_id, word, "n"), lambda: self.model.resolve(job, completed=completed))

    # Workers.

    @rule(limit=st.sampled_from([1, 2, 5]), cap=st.sampled_from([None, 1, 2]))
    def claim(self, limit: int, cap: int | None) -> None:
        """Claim, perhaps within caps; the model checks that what came was ready and all there was."""
        caps = {} if cap is None else {who: {"*": Cap(max_running=cap)} for who in PEOPLE}
        leases = self.call(self.world.claim(limit=limit, caps=caps))
        self.model.claim([lease.job.job_id for lease in leases], limit, cap)
        for lease in leases:
            who, needs = PEOPLE[lease.job.workspace_id], self.model.jobs[lease.job.job_id].needs
            assert set(lease.inputs_sealed) == {self.call(self.world.job_of(need, who)).step_id for need in needs}
            assert lease.params_sealed == f"params of {lease.job.job_id}".encode()

    @precondition(lambda self: self.model.jobs)
    @rule(data=st.data(), slow=st.sampled_from([False, False, False, True]))
    def work(self, data: st.DataObject, slow: bool) -> None:
        """Claim all there is; dispatch and end, in all sorts of ways, most of what runs; perhaps too slowly."""
        self.claim(50, None)
        if slow:
            self._pass(SLOW_S)
        for job in self.model.in_state(S.RUNNING):
            doing = data.draw(st.sampled_from(["leave", "cancel", "dispatch", "dispatch", "end", "end"]), label="doing")
            if doing == "cancel":
                store = self.world.engine.open(PEOPLE[job.workspace])
                self.both(store.cancel_job(job.job_id), lambda job=job: self.model.cancel_job(job))
            if doing in {"cancel", "dispatch"} and data.draw(st.booleans(), label="dispatch"):
                (answer,) = self.call(self.world.dispatcher.dispatch([self._ref(job)]))
                told = answer.reason if isinstance(answer, Refused) else "granted"
                assert told == self.model.dispatch(job, job.fence)
            if doing != "leave" and data.draw(st.sampled_from([True, True, False]), label="end"):
                self._settle(data, job, data.draw(st.sampled_from(ENDS), label="how"))

    work_again = work

    def _settle(self, data: st.DataObject, job: ModelJob, how: str) -> None:
        dispatched = job.dispatched_at is not None
        if (how in {"back", "defer"} and dispatched) or (how == "expand" and (job.cancel_requested or job.expanded)):
            how = "done"
        doubtful = how == "again" and dispatched and data.draw(st.booleans(), label="doubtful")
        later = self.world.at(data.draw(st.sampled_from([2.5, 100.5]), label="backoff")) if how == "again" else None
        if how == "expand":
            return self._expand(data, job)
        if how == "defer":
            outcome = Deferred(JobError("budget_exceeded", "Not yet."), self.world.at(50.5))
            assert isinstance(self.call(self.world.settle(self._ref(job), outcome)), Granted)
            return self.model.defer(job, self.world.at(50.5))
        plain: dict[str, tuple[Outcome, JobStatus]] = {
            "done": (done({"n": 1}, b"r"), S.COMPLETED),
            "failed": (failure(), S.FAILED),
            "doubt": (doubt(), S.UNKNOWN),
            "skipped": (Skipped("no"), S.SKIPPED),
            "cancelled": (Cancelled("asked"), S.CANCELLED),
            "back": (HandedBack(), S.PENDING),
        }
        outcome, end = plain[how] if later is None else (again(later, doubtful=doubtful), S.SCHEDULED)
        assert isinstance(self.call(self.world.settle(self._ref(job), outcome)), Granted)
        return self.model.settle(job, end, not_before=later, doubtful=doubtful)

    def _expand(self, data: st.DataObject, job: ModelJob) -> None:
        step = self.call(self.world.job_of(job.job_id, PEOPLE[job.workspace])).step_id
        count = data.draw(st.integers(0, 3), label="children")
        children = tuple(self.world.job(f"{step}[{n}]", parent_step_id=step) for n in range(count))
        answer = self.call(self.world.settle(self._ref(job), Expanded(children)))
        assert isinstance(answer, Granted)
        self.model.expand(job, [self.known(child, PEOPLE[job.workspace], job.plan_id, ()) for child in children])
        job.left = answer.job.max_attempts - answer.job.attempts  # whether it counted is not in the contract

    @precondition(lambda self: self.model.in_state(S.RUNNING))
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        """Renew a lease that still holds."""
        job = self.pick(data, S.RUNNING)
        if job.lease_until is not None and job.lease_until > self.clock.now():
            (answer,) = self.call(self.world.dispatcher.renew([self._ref(job)]))
            assert isinstance(answer, Granted)
            assert answer.job.cancel_requested is job.cancel_requested
            job.lease_until = self.world.at(LEASE_S)

    @precondition(lambda self: self.model.jobs)
    @rule(data=st.data(), behind=st.integers(1, 2))
    def come_late(self, data: st.DataObject, behind: int) -> None:
        """Whatever a worker with an old fence tries is refused; the next comparison shows that nothing changed."""
        ref = self._ref(self.pick(data), behind)
        (dispatched,) = self.call(self.world.dispatcher.dispatch([ref]))
        (renewed,) = self.call(self.world.dispatcher.renew([ref]))
        settled = self.call(self.world.settle(ref, done("late")))
        assert {type(answer) for answer in (dispatched, renewed, settled)} == {Refused}

    @precondition(lambda self: self.model.in_state(S.RUNNING))
    @rule(data=st.data(), drift=st.booleans())
    def hold(self, data: st.DataObject, drift: bool) -> None:
        """Hold a running job for a person; refused once dispatched or asked to stop."""
        job = self.pick(data, S.RUNNING)
        approval, known = self.asked(data, job.plan_id, job.job_id, PEOPLE[job.workspace], FAR_S)
        why = HeldFor.DRIFT if drift else HeldFor.APPROVAL
        answer = self.call(self.world.dispatcher.hold(self._ref(job), why, "look", None if drift else approval))
        if job.dispatched_at is not None or job.cancel_requested:
            assert isinstance(answer, Refused)
        else:
            assert isinstance(answer, Granted)
            self.model.hold(job, None if drift else known)

    # Time.

    @rule(seconds=st.sampled_from(STEPS_S), then=st.sampled_from(["", "sweep", "sweep", "purge"]))
    def pass_time(self, seconds: float, then: str) -> None:
        """Let time pass; perhaps recover and expire, perhaps forget what is old, and agree on how many."""
        self._pass(seconds)
        if then:
            swept = self.call(self.world.dispatcher.sweep())
            assert (swept.leases_lost, swept.approvals_expired, swept.drafts_expired) == self.model.sweep()
        if then == "purge":
            assert self.call(self.world.dispatcher.purge(MIN_RETENTION_S)) == self.model.purge(MIN_RETENTION_S)

    def _pass(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.model.now = self.clock.now()


@pytest.mark.slow
@pytest.mark.timeout(600)  # a failure is first made small
def test_random_histories_agree_with_the_reference_model(
    kind: str, template: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever people, workers and time do, in whatever order: the engine shows exactly what the model says."""

    class Machine(RandomHistory):
        def __init__(self) -> None:
            super().__init__(lambda: BACKENDS[kind](tmp_path_factory.mktemp("h"), template))

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=30,
            stateful_step_count=40,
            deadline=None,
            derandomize=False,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
