"""The three ways in which a repeat stays safe: what follows a crash, a time-out and an error in mid-effect."""

import pytest

from steward.action import (
    ActionFailed,
    CannotTell,
    DidNotHappen,
    Happened,
    OutcomeUnknown,
    ProbeAnswer,
    RetryMode,
)
from steward.directory import LOCAL_ACTOR
from steward.job import LEASE_S, Completed, HandedBack, JobStatus, Unknown
from steward.work_store import Granted, Refused, Settlement
from tests.conftest import FakeClock
from tests.installation import Installation, planned
from tests.worker.deeds import Deeds

pytestmark = pytest.mark.anyio
S = JobStatus
MODES = list(RetryMode)


async def crash_in_mid_effect(house: Installation, clock: FakeClock, deeds: Deeds, *, happened: bool) -> None:
    """Claim and dispatch as a worker does, have the effect or not, and disappear."""
    lease = await house.lease()
    (answer,) = await house.app.engine.dispatcher.dispatch([lease.ref])
    assert isinstance(answer, Granted)
    if happened:
        deeds.done.append(answer.job.effect_key)
    clock.advance(LEASE_S + 1)
    swept = await house.app.engine.dispatcher.sweep()
    assert swept.leases_lost == 1


async def test_w83_a_keyed_action_is_repeated_with_the_same_key_after_a_crash(
    house: Installation, clock: FakeClock
) -> None:
    """The far end sees one key however often it is sent, so repeating is safe and the job ends."""
    deeds = Deeds()
    house.add(deeds.write("deeds.do", RetryMode.KEYED))
    submitted = await house.submit(planned("deeds.do", text="a"))
    await crash_in_mid_effect(house, clock, deeds, happened=True)
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert job.status is S.COMPLETED
    assert deeds.done == [job.effect_key, job.effect_key]
    assert [attempt.outcome for attempt in job.history] == ["lease_lost", "completed"]


async def test_a_keyed_action_is_not_repeated_once_its_key_is_forgotten(house: Installation, clock: FakeClock) -> None:
    """After the key's time a repeat would be a second effect: the outcome is unknown."""
    deeds = Deeds()
    house.add(deeds.write("deeds.do", RetryMode.KEYED))
    submitted = await house.submit(planned("deeds.do", text="a"))
    lease = await house.lease()
    await house.app.engine.dispatcher.dispatch([lease.ref])
    clock.advance(25 * 3600)
    await house.app.engine.dispatcher.sweep()
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert (job.status, deeds.done) == (S.UNKNOWN, [])


async def test_w83_w127_an_action_that_nobody_can_repeat_becomes_unknown_after_a_crash(
    house: Installation, clock: FakeClock
) -> None:
    """Nothing is sent a second time; a person decides, and only then dependents go on."""
    deeds = Deeds()
    house.add(deeds.write("deeds.do", RetryMode.NONE), deeds.read())
    submitted = await house.submit(planned("deeds.do", text="a"), planned("deeds.read", "s1"))
    await crash_in_mid_effect(house, clock, deeds, happened=True)
    first, second = await house.run_until_settled(submitted.plan_id)
    assert (first.status, second.status) == (S.UNKNOWN, S.WAITING)
    assert len(deeds.done) == 1
    store = house.app.engine.open(await house.member())
    await store.resolve_job(first.job_id, "completed", "It is in the sent folder.")
    jobs = await house.run_until_settled(submitted.plan_id)
    assert [job.status for job in jobs] == [S.COMPLETED, S.COMPLETED]
    assert len(deeds.done) == 1


@pytest.mark.parametrize(
    ("answer", "status", "effects"),
    [
        (Happened({"said": "earlier"}), S.COMPLETED, 1),
        (DidNotHappen(), S.COMPLETED, 2),
        (CannotTell("The far end keeps no list."), S.UNKNOWN, 1),
    ],
)
async def test_w83_a_probed_action_is_asked_before_a_repeat(
    house: Installation, clock: FakeClock, answer: ProbeAnswer, status: JobStatus, effects: int
) -> None:
    """Happened: done, and not again. Did not happen: again. Nobody knows: unknown."""
    deeds = Deeds(probe=answer)
    house.add(deeds.write("deeds.do", RetryMode.PROBE))
    submitted = await house.submit(planned("deeds.do", text="a"))
    await crash_in_mid_effect(house, clock, deeds, happened=True)
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert (job.status, len(deeds.done), deeds.probes) == (status, effects, 1)
    if isinstance(answer, Happened):
        assert job.result == {"said": "earlier"}


async def test_a_first_attempt_is_not_probed(house: Installation) -> None:
    """There is nothing to ask about before the first dispatch."""
    deeds = Deeds(probe=CannotTell("never asked"))
    house.add(deeds.write("deeds.do", RetryMode.PROBE))
    submitted = await house.submit(planned("deeds.do", text="a"))
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert (job.status, deeds.probes) == (S.COMPLETED, 0)


@pytest.mark.parametrize("mode", MODES)
async def test_w127_a_job_lost_before_dispatch_simply_comes_back(
    house: Installation, clock: FakeClock, mode: RetryMode
) -> None:
    """Claim is not dispatch: whoever crashes before it has done nothing, so even ``none`` runs again."""
    deeds = Deeds(probe=CannotTell("never asked"))
    house.add(deeds.write("deeds.do", mode))
    submitted = await house.submit(planned("deeds.do", text="a"))
    await house.lease()
    clock.advance(LEASE_S + 1)
    await house.app.engine.dispatcher.sweep()
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert (job.status, len(deeds.done), job.attempts, deeds.probes) == (S.COMPLETED, 1, 2, 0)


async def test_a_zombie_worker_can_neither_dispatch_nor_settle(house: Installation, clock: FakeClock) -> None:
    """A worker that was away while its lease was lost finds its fence refused everywhere; the job is somebody else's."""
    deeds = Deeds()
    house.add(deeds.write("deeds.do", RetryMode.NONE))
    submitted = await house.submit(planned("deeds.do", text="a"))
    zombie = await house.lease()
    clock.advance(LEASE_S + 1)
    await house.app.engine.dispatcher.sweep()
    (job,) = await house.run_until_settled(submitted.plan_id)
    (dispatch,) = await house.app.engine.dispatcher.dispatch([zombie.ref])
    (settle,) = await house.app.engine.dispatcher.settle([Settlement(zombie.ref, Completed({"said": "late"}, None))])
    assert (dispatch, settle) == (Refused("fence"), Refused("fence"))
    assert await house.job(job.job_id) == job
    assert job.result == {"said": "a"}


@pytest.mark.parametrize(
    ("mode", "status", "effects"),
    [(RetryMode.KEYED, S.COMPLETED, 2), (RetryMode.PROBE, S.COMPLETED, 1), (RetryMode.NONE, S.UNKNOWN, 1)],
)
async def test_w83_what_follows_a_time_out_in_mid_effect(
    house: Installation, clock: FakeClock, mode: RetryMode, status: JobStatus, effects: int
) -> None:
    """Keyed repeats, probe asks, none waits for a person."""
    deeds = Deeds(hangs=1, probe=Happened({"said": "a"}))
    house.add(deeds.write("deeds.do", mode, timeout_s=0.02))
    submitted = await house.submit(planned("deeds.do", text="a"))
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert job.error is not None
    assert job.error.code == "timeout"
    clock.advance(60)
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert (job.status, len(deeds.done)) == (status, effects)


async def test_w83_time_outs_without_end_are_unknown_and_never_failed(house: Installation, clock: FakeClock) -> None:
    """When the attempts are used up and any of them may have had the effect, nobody may call it failed."""
    deeds = Deeds(hangs=9)
    house.add(deeds.write("deeds.do", RetryMode.KEYED, timeout_s=0.02, max_attempts=2))
    submitted = await house.submit(planned("deeds.do", text="a"))
    await house.run_until_settled(submitted.plan_id)
    clock.advance(60)
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert (job.status, job.attempts, len(deeds.done)) == (S.UNKNOWN, 2, 2)


async def test_a_read_that_times_out_is_tried_again_and_then_fails(house: Installation, clock: FakeClock) -> None:
    """A read has no effect to doubt, so its time-outs end in failure."""
    deeds = Deeds(hangs=9)
    house.add(deeds.read(timeout_s=0.02))
    submitted = await house.submit(planned("deeds.read"))
    for _ in range(5):
        (job,) = await house.run_until_settled(submitted.plan_id)
        clock.advance(600)
    assert (job.status, job.attempts) == (S.FAILED, 5)


@pytest.mark.parametrize("mode", MODES)
async def test_w128_what_provably_did_not_happen_fails_or_is_tried_again(
    house: Installation, clock: FakeClock, mode: RetryMode
) -> None:
    """``ActionFailed`` is a word about this attempt: retryable ones are repeated in every mode, final ones fail."""
    busy = ActionFailed("busy", "The far end is busy.", retryable=True, retry_after_s=30)
    deeds = Deeds(fails=[busy, ActionFailed("refused", "The far end said no.")])
    house.add(deeds.write("deeds.do", mode))
    submitted = await house.submit(planned("deeds.do", text="a"))
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert (job.status, job.not_before and (job.not_before - clock.now()).total_seconds()) == (S.SCHEDULED, 30)
    clock.advance(31)
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert job.status is S.FAILED
    assert (job.error and job.error.code, deeds.done, deeds.probes) == ("refused", [], 0)


@pytest.mark.parametrize("mode", MODES)
async def test_w83_any_other_error_out_of_a_write_may_have_happened(house: Installation, mode: RetryMode) -> None:
    """The action did not say that nothing happened, so nobody assumes it; its text is not shown, it may hold anything."""
    deeds = Deeds(fails=[RuntimeError("password=hunter2")])
    house.add(deeds.write("deeds.do", mode))
    submitted = await house.submit(planned("deeds.do", text="a"))
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert job.status is (S.UNKNOWN if mode is RetryMode.NONE else S.SCHEDULED)
    assert job.error is not None
    assert job.error.detail == "The action ended with RuntimeError."


async def test_an_action_that_says_it_does_not_know_leaves_it_to_a_person(house: Installation) -> None:
    """The evidence it gives is what the person reads."""
    deeds = Deeds(fails=[OutcomeUnknown("no_answer", "The line went dead after the data was sent.")])
    house.add(deeds.write("deeds.do", RetryMode.NONE))
    submitted = await house.submit(planned("deeds.do", text="a"))
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert (job.status, job.error and job.error.detail) == (S.UNKNOWN, "The line went dead after the data was sent.")


async def test_a_probe_that_breaks_leaves_the_doubt(house: Installation, clock: FakeClock) -> None:
    """Asking has no effect, so it is asked again later; nothing is sent meanwhile."""
    deeds = Deeds()
    house.add(deeds.write("deeds.do", RetryMode.PROBE))
    submitted = await house.submit(planned("deeds.do", text="a"))
    await crash_in_mid_effect(house, clock, deeds, happened=True)
    deeds.probe = None  # type: ignore[assignment]  # an answer that is none
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert (job.status, job.error and job.error.code) == (S.SCHEDULED, "probe_failed")
    deeds.probe = Happened({"said": "a"})
    clock.advance(60)
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert (job.status, len(deeds.done), deeds.probes) == (S.COMPLETED, 1, 2)


@pytest.mark.parametrize("refusal", ["revoked", "cancelled"])
async def test_w83_a_later_refusal_does_not_settle_an_earlier_doubt(
    house: Installation, clock: FakeClock, refusal: str
) -> None:
    """An attempt that is refused before dispatch knows nothing of an earlier one that may have had its effect."""
    deeds = Deeds()
    house.add(deeds.write("deeds.do", RetryMode.KEYED))
    who = await house.member()
    submitted = await house.submit(planned("deeds.do", text="a"))
    await crash_in_mid_effect(house, clock, deeds, happened=True)
    if refusal == "revoked":
        await house.app.directory.revoke_key(who.actor_id, by=LOCAL_ACTOR)
        (job,) = await house.run_until_settled(submitted.plan_id)
    else:
        lease = await house.lease()
        await house.app.engine.open(who).cancel_job(lease.job.job_id)
        outcome = await house.attempt(lease).run()
        assert isinstance(outcome, Unknown)
        await house.app.engine.dispatcher.settle([Settlement(lease.ref, outcome)])
        job = await house.job(lease.job.job_id)
    assert (job.status, len(deeds.done)) == (S.UNKNOWN, 1)


async def test_a_job_handed_back_in_the_moment_of_its_dispatch_is_not_in_doubt(
    house: Installation, clock: FakeClock
) -> None:
    """Handing back says that this attempt did nothing: a later crash before dispatch is then no reason to ask a person."""
    deeds = Deeds()
    house.add(deeds.write("deeds.do", RetryMode.NONE))
    submitted = await house.submit(planned("deeds.do", text="a"))
    lease = await house.lease()
    await house.app.engine.dispatcher.dispatch([lease.ref])
    clock.advance(1)
    await house.app.engine.dispatcher.settle([Settlement(lease.ref, HandedBack())])
    await house.lease()
    clock.advance(LEASE_S + 1)
    await house.app.engine.dispatcher.sweep()
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert (job.status, len(deeds.done)) == (S.COMPLETED, 1)
