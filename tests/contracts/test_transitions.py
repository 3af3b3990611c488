"""The drawing of states, walked: every edge of ``TRANSITIONS`` can be reached, and no verb makes any other."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from steward.action import RetryMode
from steward.approval import Verdict
from steward.errors import IllegalTransition
from steward.job import (
    FINAL,
    LEASE_S,
    TRANSITIONS,
    Cancelled,
    Expanded,
    HandedBack,
    HeldFor,
    JobStatus,
    Outcome,
    Skipped,
)
from steward.work_store import APPROVAL_S, Granted, LeaseRef, Refused
from tests.contracts.builders import World, again, done, doubt, failure

pytestmark = pytest.mark.anyio

S = JobStatus
EDGES = {(before, after) for before, afters in TRANSITIONS.items() for after in afters}
DIGEST = "c" * 64


@dataclass(frozen=True)
class Subject:
    """The job under test, the lease it had last (forged if it never had one), and what it depends on."""

    job_id: str
    ref: LeaseRef
    needed: str | None = None
    approval_id: str | None = None


async def _subject(world: World, state: JobStatus) -> Subject:
    """Bring a job into ``state`` in the plainest way."""
    if state is S.HELD:
        submitted = await world.submit(approved=False)
        return Subject(submitted.job_ids[0], LeaseRef("alpha", submitted.job_ids[0], 0), None, submitted.approval_id)
    if state in {S.WAITING, S.SKIPPED, S.CANCELLED}:
        submitted = await world.submit(world.job("s1"), world.job("s2", "s1"))
        needed, job_id = submitted.job_ids
        if state is not S.WAITING:
            await world.run(needed, Skipped("no") if state is S.SKIPPED else failure())
        return Subject(job_id, LeaseRef("alpha", job_id, 0), needed)
    later = world.at(30 * 24 * 3600) if state is S.SCHEDULED else None
    submitted = await world.submit(world.job(not_before=later))
    job_id = submitted.job_ids[0]
    if state in {S.PENDING, S.SCHEDULED}:
        return Subject(job_id, LeaseRef("alpha", job_id, 0))
    lease = await world.start(job_id)
    if state is not S.RUNNING:
        await world.dispatch(lease)
        await world.settle(lease, {S.COMPLETED: done(), S.FAILED: failure(), S.UNKNOWN: doubt()}[state])
    return Subject(job_id, lease.ref)


Act = Callable[[World, Subject], Awaitable[Any]]


def _settling(outcome: Outcome) -> Act:
    return lambda world, subject: world.settle(subject.ref, outcome)


def _after_what_it_needs(outcome: Outcome) -> Act:
    return lambda world, subject: world.run(subject.needed or "", outcome)


async def _hold(world: World, subject: Subject) -> Any:
    return await world.dispatcher.hold(subject.ref, HeldFor.DRIFT, "changed", None)


async def _expand(world: World, subject: Subject) -> Any:
    return await world.settle(subject.ref, Expanded((world.job("s1[0]", parent_step_id="s1"),)))


async def _again(world: World, subject: Subject) -> Any:
    return await world.settle(subject.ref, again(world.at(60)))


async def _decide(world: World, subject: Subject, verdict: Verdict) -> Any:
    approval_id = subject.approval_id or world.approval("plan_x").approval_id
    return await world.alpha.decide_approval(approval_id, DIGEST, verdict, None)


async def _sweep_later(world: World, _: Subject) -> Any:
    world.clock.advance(APPROVAL_S + LEASE_S + 1)
    return await world.dispatcher.sweep()


PLAIN: dict[tuple[JobStatus, JobStatus], Act] = {
    (S.WAITING, S.PENDING): _after_what_it_needs(done()),
    (S.WAITING, S.CANCELLED): _after_what_it_needs(failure()),
    (S.WAITING, S.SKIPPED): _after_what_it_needs(Skipped("no")),
    (S.HELD, S.PENDING): lambda w, s: _decide(w, s, Verdict.APPROVE),
    (S.HELD, S.CANCELLED): lambda w, s: _decide(w, s, Verdict.REJECT),
    (S.SCHEDULED, S.CANCELLED): lambda w, s: w.alpha.cancel_job(s.job_id),
    (S.PENDING, S.RUNNING): lambda w, s: w.claim(),
    (S.PENDING, S.CANCELLED): lambda w, s: w.alpha.cancel_job(s.job_id),
    (S.RUNNING, S.COMPLETED): _settling(done()),
    (S.RUNNING, S.FAILED): _settling(failure()),
    (S.RUNNING, S.UNKNOWN): _settling(doubt()),
    (S.RUNNING, S.SKIPPED): _settling(Skipped("no")),
    (S.RUNNING, S.CANCELLED): _settling(Cancelled("no")),
    (S.RUNNING, S.PENDING): _settling(HandedBack()),
    (S.RUNNING, S.SCHEDULED): _again,
    (S.RUNNING, S.HELD): _hold,
    (S.RUNNING, S.WAITING): _expand,
    (S.UNKNOWN, S.COMPLETED): lambda w, s: w.alpha.resolve_job(s.job_id, "completed", "seen"),
    (S.UNKNOWN, S.FAILED): lambda w, s: w.alpha.resolve_job(s.job_id, "failed", "not seen"),
    (S.FAILED, S.PENDING): lambda w, s: w.alpha.retry_job(s.job_id),
    (S.CANCELLED, S.WAITING): lambda w, s: w.alpha.retry_job(s.needed or ""),
}
"""One act for each edge that the plainest subject can take; the other five have tests of their own."""
ELSEWHERE = {
    *((S.HELD, S.WAITING), (S.HELD, S.SCHEDULED), (S.SCHEDULED, S.PENDING)),
    *((S.SCHEDULED, S.UNKNOWN), (S.PENDING, S.UNKNOWN)),
}


def test_every_edge_has_a_way() -> None:
    """The acts above and the tests below cover the whole drawing, no more and no less."""
    assert set(PLAIN) | ELSEWHERE == EDGES
    assert set(TRANSITIONS) == set(JobStatus)
    assert all(TRANSITIONS[state] <= {S.PENDING, S.WAITING} for state in FINAL)


@pytest.mark.parametrize(("before", "after"), sorted(PLAIN))
async def test_every_edge_can_be_taken(world: World, before: JobStatus, after: JobStatus) -> None:
    """From the first state the act leads to the second."""
    subject = await _subject(world, before)
    assert (await world.job_of(subject.job_id)).status is before
    await PLAIN[before, after](world, subject)
    assert (await world.job_of(subject.job_id)).status is after


async def test_held_to_waiting_and_to_scheduled(world: World) -> None:
    """A yes sends a dependent step to wait and a step with a later start to be scheduled."""
    submitted = await world.submit(
        world.job("s1"), world.job("s2", "s1"), world.job("s3", not_before=world.at(60)), approved=False
    )
    assert await world.statuses(submitted) == [S.HELD] * 3
    await world.alpha.decide_approval(submitted.approval_id or "", DIGEST, Verdict.APPROVE, None)
    assert (await world.statuses(submitted))[1:] == [S.WAITING, S.SCHEDULED]


async def test_scheduled_to_pending(world: World) -> None:
    """Of two jobs that are due, the one that a batch of one leaves behind is ready."""
    submitted = await world.submit(*[world.job(f"s{n}", not_before=world.at(60)) for n in range(2)])
    world.clock.advance(61)
    await world.claim(limit=1)
    assert sorted(await world.statuses(submitted)) == [S.PENDING, S.RUNNING]


ATTACKS: dict[str, Act] = {
    "cancel": lambda w, s: w.alpha.cancel_job(s.job_id),
    "retry": lambda w, s: w.alpha.retry_job(s.job_id),
    "resolve completed": lambda w, s: w.alpha.resolve_job(s.job_id, "completed", "x"),
    "resolve failed": lambda w, s: w.alpha.resolve_job(s.job_id, "failed", "x"),
    "dispatch": lambda w, s: w.dispatcher.dispatch([s.ref]),
    "renew": lambda w, s: w.dispatcher.renew([s.ref]),
    "hold": _hold,
    "settle completed": _settling(done("late")),
    "settle failed": _settling(failure("late")),
    "settle unknown": _settling(doubt("late")),
    "settle skipped": _settling(Skipped("late")),
    "settle cancelled": _settling(Cancelled("late")),
    "settle handed back": _settling(HandedBack()),
    "settle again": _again,
    "settle expanded": _expand,
    "settle ahead of its fence": lambda w, s: w.settle(LeaseRef("alpha", s.job_id, s.ref.fence + 1), done()),
    "claim": lambda w, s: w.claim(),
    "sweep": lambda w, s: w.dispatcher.sweep(),
    "sweep much later": _sweep_later,
}
PERSONS = {"cancel", "retry", "resolve completed", "resolve failed"}
ALLOWED: dict[str, set[JobStatus]] = {
    "cancel": {S.WAITING, S.HELD, S.SCHEDULED, S.PENDING, S.RUNNING},
    "retry": {S.FAILED},
    "resolve completed": {S.UNKNOWN},
    "resolve failed": {S.UNKNOWN},
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("state", JobStatus)
async def test_w27_no_verb_makes_an_edge_that_is_not_drawn(world: World, state: JobStatus, attack: str) -> None:
    """Whatever is done to a job in whatever state: it stays, or takes an edge of the drawing; refusals change nothing."""
    subject = await _subject(world, state)
    before, seen = await world.job_of(subject.job_id), await world.visible()
    assert before.status is state
    refused = False
    if attack in PERSONS and state not in ALLOWED[attack]:
        with pytest.raises(IllegalTransition):
            await ATTACKS[attack](world, subject)
        refused = True
    else:
        answer = await ATTACKS[attack](world, subject)
        answers = answer if isinstance(answer, tuple) else (answer,)
        refused = any(isinstance(one, Refused) for one in answers)
        worker_verb = any(isinstance(one, (Granted, Refused)) for one in answers)
        assert refused or not worker_verb or state is S.RUNNING or _is_resent(state, attack)
    after = await world.job_of(subject.job_id)
    assert after.status is state or (state, after.status) in EDGES
    if refused:
        assert await world.visible() == seen
    if not TRANSITIONS[state]:
        assert after == before


def _is_resent(state: JobStatus, attack: str) -> bool:
    """Say whether a settlement is the one that brought the job here, so that it is granted again."""
    return attack == f"settle {state}"


@pytest.mark.parametrize(("pause_s", "between"), [(60, S.SCHEDULED), (0, S.PENDING)])
async def test_cancelling_between_attempts_keeps_the_doubt(world: World, pause_s: float, between: JobStatus) -> None:
    """A job whose earlier attempt may have had its effect is not simply cancelled: it is unknown, so somebody looks."""
    submitted = await world.submit(world.job(retry=RetryMode.KEYED))
    lease = await world.start(submitted.job_ids[0])
    await world.dispatch(lease)
    await world.settle(lease, again(world.at(pause_s), doubtful=True))
    assert (await world.job_of(submitted.job_ids[0])).status is between
    job = await world.alpha.cancel_job(submitted.job_ids[0])
    assert job.status is S.UNKNOWN
    assert job.error is not None
    assert job.error.code == "cancelled_in_doubt"
    with pytest.raises(IllegalTransition):
        await world.alpha.cancel_job(submitted.job_ids[0])
