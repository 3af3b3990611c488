"""Policy is asked again just before the effect, on the real values, by the rules as they stand then."""

from typing import Any

import pytest

from steward.directory import LOCAL_ACTOR
from steward.errors import PolicyDenied
from steward.job import HeldFor, JobStatus
from steward.workspace import WorkspaceSettings
from tests.installation import Installation, planned
from tests.worker.deeds import note

pytestmark = pytest.mark.anyio
NO_NOTES = 'forbid (principal, action == Action::"deeds.note", resource);'
ASK_NOTES = 'forbid (principal, action == Action::"deeds.note:unattended", resource);'


async def test_w130_a_policy_made_after_enqueue_stops_the_job(house: Installation) -> None:
    """The job fails as denied with the rule's name, what needs it is cancelled, and nothing was done."""
    done: list[Any] = []
    house.add(note(done))
    who = await house.member()
    submitted = await house.submit(planned("deeds.note", text="a"), planned("deeds.note", "s1", text="b"))
    await house.app.policy_desk.put(who, "no_notes", NO_NOTES)
    first, second = await house.run_until_settled(submitted.plan_id)
    assert first.error is not None
    assert (first.status, first.error.code) == (JobStatus.FAILED, "policy_denied")
    assert "workspace/no_notes" in first.error.detail
    assert second.status is JobStatus.CANCELLED
    assert done == []


async def test_a_policy_that_asks_since_holds_the_job_for_a_person(house: Installation) -> None:
    """What was allowed when it was asked for waits for a yes now."""
    done: list[Any] = []
    house.add(note(done))
    who = await house.member()
    submitted = await house.submit(planned("deeds.note", text="a"))
    await house.app.policy_desk.put(who, "look_first", ASK_NOTES)
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert (job.status, job.held_for, done) == (JobStatus.HELD, HeldFor.APPROVAL, [])


async def test_a_broken_policy_stops_jobs_plainly(house: Installation) -> None:
    """A workspace whose rules cannot be read runs nothing, and its jobs say why."""
    done: list[Any] = []
    house.add(note(done))
    await house.member()
    submitted = await house.submit(planned("deeds.note", text="a"))
    settings = WorkspaceSettings(rules=("rule_of_tomorrow",))
    await house.app.directory.change_settings("acme", settings, by=LOCAL_ACTOR)
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert job.error is not None
    assert (job.error.code, done) == ("policy_denied", [])
    assert "rule_of_tomorrow" in job.error.detail


async def test_a_denied_step_is_not_submitted(house: Installation) -> None:
    """The door refuses what the workspace forbids itself, with the reason; another workspace is not touched."""
    done: list[Any] = []
    house.add(note(done))
    await house.app.policy_desk.put(await house.member(), "no_notes", NO_NOTES)
    with pytest.raises(PolicyDenied) as refused:
        await house.submit(planned("deeds.note", text="a"))
    assert refused.value.facts["rule"] == "workspace/no_notes"
    other = await house.member("other")
    submitted = await house.submit(planned("deeds.note", text="b"), who=other)
    await house.run_until_settled(submitted.plan_id, other)
    assert len(done) == 1
