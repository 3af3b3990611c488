"""When a dispatch and an outcome are told of in one record: only if that says all that two would have said."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from steward.audit import AuditEntry
from steward.event import Event, EventType, event_id
from steward.maintenance.telling import Asked, Telling

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
ASKED = Asked("usr_ann", "req-1")
DATA = {"step_id": "s1", "action_id": "deeds.write", "attempt": 1}
BEGUN = {**DATA, "status": "running"}
DONE = {**DATA, "status": "completed", "duration_ms": 7}


def event(position: int, kind: EventType, data: dict[str, Any], **more: Any) -> Event:
    """Return the event at a position."""
    usual: dict[str, Any] = {"workspace_id": "acme", "actor_id": None, "plan_id": "plan_a", "job_id": "job_a"}
    at = NOW + timedelta(milliseconds=position)
    return Event(event_id=event_id(position), type=kind, at=at, data=data, position=position, **{**usual, **more})


def told(*events: Event) -> list[AuditEntry]:
    """Return what is recorded of events."""
    telling = Telling(lambda _action_id: None)
    for one in events:
        telling.add(one, ASKED, {})
    return telling.entries()


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (EventType.JOB_COMPLETED, "completed"),
        (EventType.JOB_FAILED, "failed"),
        (EventType.JOB_UNKNOWN, "unknown"),
        (EventType.JOB_RETRY_SCHEDULED, "pending"),
    ],
)
def test_an_attempt_is_one_record(kind: EventType, status: str) -> None:
    """It stands where the outcome does, and says which event was the dispatch, and when."""
    between = event(2, EventType.JOB_CANCEL_REQUESTED, BEGUN, actor_id="usr_ann")
    found = told(event(1, EventType.JOB_DISPATCHED, BEGUN), between, event(3, kind, {**DONE, "status": status}))
    assert [(entry.kind, entry.source) for entry in found] == [(between.type, "work/2"), (kind, "work/3")]
    assert found[1].facts == {
        "step_id": "s1",
        "attempt": 1,
        "status": status,
        "duration_ms": 7,
        "on_behalf_of": "usr_ann",
        "dispatched": "work/1",
        "dispatched_at": "2026-01-31T09:30:00.001Z",
    }


@pytest.mark.parametrize(
    "outcome",
    [
        event(2, EventType.JOB_COMPLETED, {**DONE, "attempt": 2}),
        event(2, EventType.JOB_COMPLETED, {**DONE, "step_id": "s2"}),
        event(2, EventType.JOB_COMPLETED, {**DONE, "action_id": "deeds.other"}),
        event(2, EventType.JOB_COMPLETED, {"status": "completed"}),
        event(2, EventType.JOB_COMPLETED, DONE, workspace_id="globex"),
        event(2, EventType.JOB_COMPLETED, DONE, plan_id="plan_b"),
        event(2, EventType.JOB_COMPLETED, DONE, job_id="job_b"),
        event(2, EventType.JOB_COMPLETED, DONE, actor_id="usr_ann"),
        event(2, EventType.JOB_CANCELLED, DONE),
        event(2, EventType.JOB_RESOLVED, DONE),
        event(2, EventType.UNREADABLE, {"error_code": "unreadable_record"}),
    ],
)
def test_what_does_not_say_all_of_the_dispatch_leaves_it_its_own(outcome: Event) -> None:
    """Another attempt, step, action, workspace, plan or job; somebody's doing; what is no outcome, or damaged."""
    found = told(event(1, EventType.JOB_DISPATCHED, BEGUN), outcome)
    assert [(entry.kind, entry.source) for entry in found] == [("job.dispatched", "work/1"), (outcome.type, "work/2")]
    assert found[0].result == "dispatched"
    assert "dispatched" not in found[1].facts


def test_an_attempt_that_was_lost_keeps_its_dispatch() -> None:
    """When the next attempt of the job is told of in the same breath."""
    found = told(
        event(1, EventType.JOB_DISPATCHED, BEGUN),
        event(2, EventType.JOB_RELEASED, {**BEGUN, "error_code": "lease_lost"}),
        event(3, EventType.JOB_DISPATCHED, {**BEGUN, "attempt": 2}),
        event(4, EventType.JOB_COMPLETED, {**DONE, "attempt": 2}),
        event(5, EventType.JOB_COMPLETED, {**DONE, "attempt": 2}),
    )
    assert [entry.source for entry in found] == ["work/1", "work/2", "work/4", "work/5"]
    assert [entry.facts.get("dispatched") for entry in found] == [None, None, "work/3", None]


def test_a_dispatch_that_says_more_than_its_outcome_is_recorded_by_itself() -> None:
    """Whatever a dispatch may say one day, nothing of it is lost."""
    found = told(
        event(1, EventType.JOB_DISPATCHED, {**BEGUN, "cause": "because"}),
        event(2, EventType.JOB_COMPLETED, DONE),
    )
    assert [entry.kind for entry in found] == ["job.dispatched", "job.completed"]
    assert found[0].facts["cause"] == "because"
