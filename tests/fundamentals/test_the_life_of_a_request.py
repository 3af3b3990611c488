"""Read from top to bottom: what Steward does with a sentence, one idea a test."""

from typing import Any

import pytest

from steward.action import OutcomeUnknown
from steward.actions import action
from steward.errors import NotFound, PolicyDenied
from steward.job import JobStatus
from tests.fundamentals.conftest import NOTES
from tests.installation import Installation, installation, planned

pytestmark = pytest.mark.anyio


async def test_a_sentence_becomes_a_plan(steward: Installation) -> None:
    """Plain language in, typed steps out: each names an action, its parameters, and whether policy allows it."""
    plan = await steward.plan("note buy milk and then note buy bread")

    assert plan["status"] == "draft"
    assert [(step["action_id"], step["params"]) for step in plan["steps"]] == [
        ("notes.add", {"text": "buy milk"}),
        ("notes.add", {"text": "buy bread"}),
    ]
    assert [step["decision"]["effect"] for step in plan["steps"]] == ["allow", "allow"]


async def test_nothing_runs_before_it_is_executed(steward: Installation) -> None:
    """A plan is only words. It becomes work when somebody executes it."""
    async with steward.worker():
        plan = await steward.plan("note buy milk")
        assert NOTES == []

        submitted = await steward.execute(plan["plan_id"])
        await steward.until(submitted.plan_id, {JobStatus.COMPLETED})
        assert NOTES == ["buy milk"]


async def test_a_plan_runs_in_order(steward: Installation) -> None:
    """A step waits for the steps it depends on."""
    submitted = await steward.submit(
        planned("notes.add", text="first"),
        planned("notes.add", "s1", text="second"),
        planned("notes.add", "s2", text="third"),
    )

    await steward.run_until_settled(submitted.plan_id)

    assert NOTES == ["first", "second", "third"]


async def test_a_result_feeds_a_later_step(steward: Installation) -> None:
    """A parameter can be a reference to an earlier result; reading it implies waiting for it."""
    submitted = await steward.submit(
        planned("compute", value={"shopping": ["milk", "bread"]}),
        planned("notes.add", text={"$ref": "steps.s1.result.value.shopping[1]"}),
    )

    await steward.run_until_settled(submitted.plan_id)

    assert NOTES == ["bread"]


async def test_a_retry_never_makes_a_second_plan(steward: Installation) -> None:
    """A request has a name of the client's own. Sent again, it is recognised and answered with the original ids."""
    first = await steward.submit(planned("notes.add", text="once"), key="my-request-1")
    again = await steward.submit(planned("notes.add", text="once"), key="my-request-1")

    assert again.duplicate
    assert (again.plan_id, again.job_ids) == (first.plan_id, first.job_ids)
    await steward.run_until_settled(first.plan_id)
    assert NOTES == ["once"]


async def test_a_workspace_cannot_see_anothers(steward: Installation) -> None:
    """Who you are decides where you are. What belongs to another workspace does not exist for you."""
    plan = await steward.plan("note our secret")
    stranger = await steward.member("another-workspace")

    with pytest.raises(NotFound):
        await steward.execute(plan["plan_id"], stranger)
    assert (await steward.app.orchestrator.list_plans(stranger, limit=10, after=None, status=None)).plans == ()


async def test_a_denied_step_stops_all(tmp_path: Any) -> None:
    """Policy is asked about every step before anything starts: one denial, and nothing is submitted."""
    async with installation(tmp_path, env={"ACTION_DENYLIST": "file.write"}) as steward:
        member = await steward.member()

        with pytest.raises(PolicyDenied, match=r"file\.write"):
            await steward.submit(planned("compute", value=1), planned("file.write", path="a.txt", text="hello"))

        assert (await steward.app.engine.open(member).list_jobs(limit=10)).jobs == ()


async def test_an_unknown_outcome_waits_for_a_person(steward: Installation) -> None:
    """When nobody can tell whether an effect happened, Steward does not try again blindly: it asks, and then goes on."""

    @action("letters.send", effect="write", retry="none")
    async def send() -> None:
        """Send a letter over a line that goes dead."""
        raise OutcomeUnknown("no_answer", "The line went dead after the letter was sent.")

    steward.add(send)
    submitted = await steward.submit(planned("letters.send"), planned("notes.add", "s1", text="sent"))

    letter, note = await steward.run_until_settled(submitted.plan_id)
    assert (letter.status, note.status, NOTES) == (JobStatus.UNKNOWN, JobStatus.WAITING, [])

    store = steward.app.engine.open(await steward.member())
    await store.resolve_job(letter.job_id, "completed", "The office has received it.")
    await steward.run_until_settled(submitted.plan_id)
    assert NOTES == ["sent"]


async def test_an_own_action_is_called_by_a_sentence(steward: Installation) -> None:
    """A Python function with ``@action`` and a sentence is all it takes: its signature becomes the schema."""

    @action("greetings.say", effect="read", sentences=["greet {name:text}"])
    async def greet(name: str) -> dict[str, str]:
        """Greet somebody."""
        return {"greeting": f"Hello, {name}!"}

    steward.add(greet)
    plan = await steward.plan("greet the whole office")
    submitted = await steward.execute(plan["plan_id"])

    (job,) = await steward.run_until_settled(submitted.plan_id)
    assert job.result == {"greeting": "Hello, the whole office!"}
