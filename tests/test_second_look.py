"""What a retry, a half-understood sentence and a talkative action may not give away or get wrong."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import pytest

from steward.actions import Content, Destination, Secret, action
from steward.errors import IdempotencyKeyReused, Invalid, PolicyDenied
from steward.job import JobStatus
from steward.orchestrator import RequestedAction
from steward.plan import PlannedAction
from steward.work_store import Submitted
from tests.conftest import FakeClock
from tests.installation import Installation, installation, planned
from tests.worker.deeds import note

pytestmark = pytest.mark.anyio
PASSWORD = "correct-horse-battery"


@action("door.login", effect="write", retry="keyed", sentences=["login {password:word} to {site:word}"])
async def login(password: Annotated[str, Secret], site: Annotated[str, Destination]) -> dict[str, Any]:
    """Say more than it should about what it was given."""
    await asyncio.Event().wait() if site == "never" else None
    return {"echo": f"logged in to {site} with {password}", password: [password]}


async def run(house: Installation, *steps: PlannedAction, key: str) -> Submitted:
    """Execute actions under one idempotency key."""
    return await house.app.orchestrator.execute_actions(
        await house.member(),
        [RequestedAction(step) for step in steps],
        run_at=None,
        idempotency_key=key,
        request_id="req-1",
    )


async def test_a_retry_gets_the_first_answer_although_policy_has_changed(tmp_path: Path, clock: FakeClock) -> None:
    """Lost answers are asked for again later; what was done then is told now, and nothing new is let through."""
    async with installation(tmp_path, clock=clock) as house:
        house.add(note([]))
        first = await run(house, planned("deeds.note", text="a"), key="k")
    async with installation(tmp_path, clock=clock, env={"ACTION_DENYLIST": "deeds.note"}) as house:
        house.add(note([]))
        again = await run(house, planned("deeds.note", text="a"), key="k")
        assert (again.job_ids, again.duplicate) == (first.job_ids, True)
        with pytest.raises(IdempotencyKeyReused):
            await run(house, planned("deeds.note", text="b"), key="k")
        with pytest.raises(PolicyDenied):
            await run(house, planned("deeds.note", text="a"), key="another")


async def test_the_payload_is_what_was_meant_not_how_it_was_spelt(tmp_path: Path, clock: FakeClock) -> None:
    """Ids and positions that name the same steps are the same request."""
    async with installation(tmp_path, clock=clock) as house:
        house.add(note([]))

        def step(depends_on: list[str | int], step_id: str = "") -> PlannedAction:
            return PlannedAction(id=step_id, action_id="deeds.note", params={"text": "a"}, depends_on=depends_on)

        first = await run(house, step([]), step([0]), key="k")
        again = await run(house, step([], "s1"), step(["s1"], "s2"), key="k")
        assert again.job_ids == first.job_ids


async def test_a_secret_in_a_half_understood_sentence_is_masked(tmp_path: Path, clock: FakeClock) -> None:
    """Neither the prompt nor the question that comes back repeats what stood where the secret belongs."""
    async with installation(tmp_path, clock=clock) as house:
        house.add(login)
        document = await house.plan(f"login {PASSWORD} to")
        assert document["status"] == "needs_input"
        assert PASSWORD not in str(document)
        assert PASSWORD.encode() not in house.stored_bytes()


async def test_a_secret_that_an_action_repeats_is_masked(tmp_path: Path, clock: FakeClock) -> None:
    """The result that people see and the database hold no secret parameter, whatever the action returns."""
    async with installation(tmp_path, clock=clock) as house:
        house.add(login)
        submitted = await house.submit(planned("door.login", password=PASSWORD, site="example.com"))
        async with house.worker():
            (job,) = await house.run_until_settled(submitted.plan_id)
        assert job.status is JobStatus.COMPLETED
        assert "logged in to example.com" in job.result["echo"]
        assert PASSWORD not in str(job.result)
        assert PASSWORD.encode() not in house.stored_bytes()


@pytest.mark.parametrize("outcome", ["completed", "failed"])
async def test_the_note_of_whoever_resolves_is_redacted(tmp_path: Path, clock: FakeClock, outcome: Any) -> None:
    """A note is shown like a result, so what looks like a secret in it is masked like in a result."""
    async with installation(tmp_path, clock=clock) as house:

        @action("door.open", effect="write", retry="none", timeout_s=0.01)
        async def never(text: Annotated[str, Content]) -> str:
            await asyncio.Event().wait()
            return text

        house.add(never)
        submitted = await house.submit(planned("door.open", text="a"))
        async with house.worker():
            await house.until(submitted.plan_id, {JobStatus.UNKNOWN})
        store = house.app.engine.open(await house.member())
        job = await store.resolve_job(submitted.job_ids[0], outcome, "seen it, password=hunter2")
        assert "seen it" in str((job.result, job.error))
        assert "hunter2" not in str((job.result, job.error))


async def test_an_answer_to_nothing_asked_is_refused(tmp_path: Path, clock: FakeClock) -> None:
    """A mistyped name is said so instead of the same question coming back."""
    async with installation(tmp_path, clock=clock) as house:
        house.add(login)
        document = await house.plan("login to")
        with pytest.raises(Invalid) as caught:
            await house.app.orchestrator.revise(
                await house.member(), document["plan_id"], answers={"sight": "x"}, steps=None, request_id="req-1"
            )
        assert caught.value.errors[0].pointer == "/answers/sight"
