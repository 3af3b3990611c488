"""The pure rules of a job: which edges there are, what follows a failure, how long to wait."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from steward.action import Effect, RetryMode
from steward.job import (
    FINAL,
    TRANSITIONS,
    Cancelled,
    Failed,
    Job,
    JobError,
    JobStatus,
    TryAgain,
    Unknown,
    after_failure,
    after_lost_lease,
    backoff_s,
    key_still_valid,
    may_have_happened,
)

NOW = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
EARLIER = NOW - timedelta(minutes=1)
BUSY = JobError("busy", "The far end is busy.", retryable=True)
REFUSED = JobError("refused", "The far end said no.")


def job(**changes: Any) -> Job:
    """Return a running write on its first attempt, dispatched a second ago, unless told otherwise."""
    dispatched = NOW - timedelta(seconds=1)
    fields: dict[str, Any] = {
        **dict.fromkeys(
            ("job_id", "workspace_id", "plan_id", "action_id", "actor_id", "effect_key", "request_id"), "x"
        ),
        **dict.fromkeys(("held_for", "worker_id", "lease_until", "not_before", "started_at", "finished_at"), None),
        **dict.fromkeys(("result", "error", "reason", "parent_step_id"), None),
        **dict.fromkeys(("definition_hash", "digest"), "0" * 64),
        "labels": {},
        "result_labels": {},
        **dict.fromkeys(("depends_on", "authored_after", "history"), ()),
        "step_id": "s1",
        "status": JobStatus.RUNNING,
        "effect": Effect.WRITE,
        "retry": RetryMode.NONE,
        "fence": 1,
        "attempts": 1,
        "max_attempts": 5,
        "key_valid_s": 3600.0,
        "first_dispatched_at": dispatched,
        "dispatched_at": dispatched,
        "cancel_requested": False,
        "enqueued_at": EARLIER,
        "expanded": False,
    }
    return Job(**{**fields, **changes})


def test_every_state_has_its_edges() -> None:
    """The drawing covers every state, and every state can be reached."""
    assert set(TRANSITIONS) == set(JobStatus)
    assert frozenset().union(*TRANSITIONS.values()) == set(JobStatus)
    assert TRANSITIONS[JobStatus.COMPLETED] == frozenset()
    assert JobStatus.UNKNOWN not in FINAL


def test_w83_doubt_is_about_writes_that_were_dispatched() -> None:
    """Reads never; this attempt unless it provably did nothing; earlier ones always."""
    assert may_have_happened(job())
    assert not may_have_happened(job(), provably_not_done=True)
    assert may_have_happened(job(first_dispatched_at=EARLIER), provably_not_done=True)
    assert may_have_happened(job(first_dispatched_at=EARLIER, dispatched_at=None))
    assert not may_have_happened(job(first_dispatched_at=None, dispatched_at=None))
    assert not may_have_happened(job(effect=Effect.READ))


@pytest.mark.parametrize(
    ("changes", "error", "provably", "kind"),
    [
        ({"retry": RetryMode.NONE}, BUSY, False, Unknown),
        ({"retry": RetryMode.NONE}, BUSY, True, TryAgain),
        ({"retry": RetryMode.NONE}, REFUSED, True, Failed),
        ({"retry": RetryMode.NONE, "first_dispatched_at": EARLIER}, BUSY, True, Unknown),
        ({"retry": RetryMode.KEYED}, REFUSED, False, TryAgain),
        ({"retry": RetryMode.KEYED, "key_valid_s": 0.5}, BUSY, False, Unknown),
        ({"retry": RetryMode.KEYED, "attempts": 5}, BUSY, False, Unknown),
        ({"retry": RetryMode.KEYED, "attempts": 5}, BUSY, True, Failed),
        ({"retry": RetryMode.PROBE}, REFUSED, False, TryAgain),
        ({"retry": RetryMode.PROBE, "attempts": 5}, BUSY, False, Unknown),
        ({"effect": Effect.READ, "dispatched_at": None, "first_dispatched_at": None}, BUSY, False, TryAgain),
        ({"effect": Effect.READ, "dispatched_at": None, "first_dispatched_at": None}, REFUSED, False, Failed),
    ],
)
def test_w83_what_follows_a_failure(changes: dict[str, Any], error: JobError, provably: bool, kind: type) -> None:
    """Never a blind repeat, never failed while in doubt, never more attempts than allowed."""
    assert type(after_failure(job(**changes), error, NOW, provably_not_done=provably)) is kind


def test_over_all_cases_doubt_is_never_called_failed_and_never_repeated_blindly() -> None:
    """Every combination of mode, doubt, error and attempts left."""
    times = [None, EARLIER, NOW - timedelta(seconds=1)]
    for retry, effect, first, this, attempts, error, provably in product(
        RetryMode, Effect, times, times, (1, 5), (BUSY, REFUSED), (True, False)
    ):
        record = job(retry=retry, effect=effect, first_dispatched_at=first, dispatched_at=this, attempts=attempts)
        doubtful = may_have_happened(record, provably_not_done=provably)
        match after_failure(record, error, NOW, provably_not_done=provably):
            case Failed():
                assert not doubtful
            case Unknown():
                assert doubtful
            case TryAgain() as again:
                assert again.doubtful is doubtful
                assert attempts < 5
                assert not doubtful or retry is not RetryMode.NONE


@pytest.mark.parametrize(("advice", "wait"), [(0.0, 0), (30.0, 30), (-5.0, 0), (10_000.0, 300)])
def test_the_far_ends_advice_is_kept_within_bounds(advice: float, wait: float) -> None:
    """A far end cannot make a job wait for days, or come back in the past."""
    outcome = after_failure(job(), BUSY, NOW, provably_not_done=True, retry_after_s=advice)
    assert isinstance(outcome, TryAgain)
    assert outcome.not_before == NOW + timedelta(seconds=wait)


def test_w127_what_follows_a_lost_lease() -> None:
    """Before dispatch the job comes back at once; after it the mode decides; a cancel counts where nothing happened."""
    undispatched = job(first_dispatched_at=None, dispatched_at=None)
    back = after_lost_lease(undispatched, NOW)
    assert isinstance(back, TryAgain)
    assert (back.not_before, back.doubtful) == (NOW, False)
    assert isinstance(after_lost_lease(job(), NOW), Unknown)
    assert isinstance(after_lost_lease(job(retry=RetryMode.KEYED), NOW), TryAgain)
    assert isinstance(after_lost_lease(replace(undispatched, cancel_requested=True), NOW), Cancelled)
    assert isinstance(after_lost_lease(job(cancel_requested=True), NOW), Unknown)
    assert isinstance(after_lost_lease(replace(undispatched, attempts=5), NOW), Failed)


def test_w129_waits_double_up_to_a_bound_with_half_at_random() -> None:
    """From one second to five minutes; jobs that failed together come back apart."""
    assert [backoff_s(n, 1.0) for n in (1, 2, 3, 9, 10, 1000)] == [1, 2, 4, 256, 300, 300]
    assert [backoff_s(n, 0.0) for n in (1, 2, 10)] == [0.5, 1, 150]
    assert len({backoff_s(5) for _ in range(50)}) > 1


def test_a_key_is_valid_from_the_first_dispatch() -> None:
    """Up to, and not including, its end; before any dispatch there is nothing to forget."""
    assert key_still_valid(job(first_dispatched_at=None), NOW)
    assert key_still_valid(job(first_dispatched_at=EARLIER, key_valid_s=61), NOW)
    assert not key_still_valid(job(first_dispatched_at=EARLIER, key_valid_s=60), NOW)
