"""A person's yes at dispatch: what it covers, what it does not, and what is asked when a value of the run breaks a rule."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from steward.action import ActionFailed, RetryMode
from steward.approval import Approval, ApprovalStatus, Verdict
from steward.errors import AnotherPersonRequired
from steward.identity import Role
from steward.job import Difference, HeldFor, JobStatus
from steward.plan import PlanStatus
from steward.policy import Ask, Deny
from steward.redaction import REDACTED
from steward.submission import sealed_result
from steward.work_store import APPROVAL_S, Submitted
from tests.asking import LOOK, Asking
from tests.conftest import FakeClock
from tests.installation import OTHER_SECRET, SECRET, Installation, installation, planned
from tests.worker.deeds import Deeds, note, post

pytestmark = pytest.mark.anyio
S = JobStatus
LOUD: Final = Ask("no_shouting", "It shouts.")
FROM_READ: Final = {"$ref": "steps.s1.result.text"}


def loud(params: Any) -> bool:
    """Say whether a text is in capitals; a reference is none yet."""
    text = params.get("text")
    return isinstance(text, str) and text.isupper()


@pytest.fixture
def asking() -> Asking:
    """Return rules that the test fills in."""
    return Asking()


@pytest.fixture
async def house(tmp_path: Path, clock: FakeClock, asking: Asking) -> AsyncIterator[Installation]:
    """Return an open installation whose policy asks."""
    async with installation(tmp_path, clock=clock, asking=asking) as inst:
        yield inst


async def approvals_of(house: Installation, submitted: Submitted) -> tuple[Approval, ...]:
    """Return a plan's approvals, newest first."""
    return await house.app.engine.open(await house.member()).plan_approvals(submitted.plan_id)


async def decide(house: Installation, approval: Approval, verdict: Verdict = Verdict.APPROVE) -> Approval:
    """Let an approver decide about exactly what was asked."""
    store = house.app.engine.open(await house.member(role=Role.APPROVER))
    return await store.decide_approval(approval.approval_id, approval.digest, verdict, None)


async def shouting(house: Installation, asking: Asking, done: list[Any], result: str = "HELP") -> Submitted:
    """Submit three steps: a read, a note of what it read (which may not shout), and another read; hold the note."""
    asking.ask("deeds.note", LOUD, when=loud)
    house.add(note(done), Deeds().read(result={"text": result}))
    steps = (planned("deeds.read"), planned("deeds.note", text=FROM_READ), planned("deeds.note", "s2", text="quiet"))
    submitted = await house.submit(*steps, planned("deeds.read"))
    assert (submitted.status, submitted.approval_id) == (PlanStatus.RUNNING, None)
    await house.run_until_settled(submitted.plan_id)
    return submitted


async def test_a_yes_does_not_last_for_ever(house: Installation, asking: Asking, clock: FakeClock) -> None:
    """A step that is tried again long after it was approved is asked about again; soon after, it goes on."""
    asking.ask("deeds.write", Ask("careful", "It writes."))
    deeds = Deeds(fails=[ActionFailed("busy", "Later.", retryable=True, retry_after_s=1)] * 2)
    house.add(deeds.write("deeds.write", RetryMode.KEYED))
    submitted = await house.submit(planned("deeds.write", text="a"))
    (approval,) = await approvals_of(house, submitted)
    await decide(house, approval)
    for wait_s in (60, APPROVAL_S + 1):
        (job,) = await house.run_until_settled(submitted.plan_id)
        assert (job.status, deeds.done) == (S.SCHEDULED, [])
        clock.advance(wait_s)
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert (job.status, job.held_for, deeds.done) == (S.HELD, HeldFor.APPROVAL, [])
    again = (await approvals_of(house, submitted))[0]
    assert (again.job_id, again.status) == (job.job_id, ApprovalStatus.PENDING)
    await decide(house, again)
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert (job.status, len(deeds.done)) == (S.COMPLETED, 1)


async def test_a_yes_to_what_is_meant_for_later_counts_from_then(
    house: Installation, asking: Asking, clock: FakeClock
) -> None:
    """Approved today for a day in two weeks: it runs on that day."""
    asking.ask("deeds.write", Ask("careful", "It writes."))
    deeds = Deeds()
    house.add(deeds.write("deeds.write", RetryMode.KEYED))
    later = clock.now() + timedelta(seconds=2 * APPROVAL_S)
    submitted = await house.submit(planned("deeds.write", text="a"), run_at=later)
    (approval,) = await approvals_of(house, submitted)
    await decide(house, approval)
    clock.advance(2 * APPROVAL_S + 1)
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert (job.status, len(deeds.done)) == (S.COMPLETED, 1)


async def test_a_value_of_the_run_that_breaks_a_rule_is_asked_about(house: Installation, asking: Asking) -> None:
    """Its step alone is held, with a question that shows the value, where it came from, the rule, and until when."""
    done: list[Any] = []
    submitted = await shouting(house, asking, done)
    jobs = await house.jobs(submitted.plan_id)
    assert [job.status for job in jobs] == [S.COMPLETED, S.HELD, S.WAITING, S.COMPLETED]
    held = jobs[1]
    assert (held.held_for, held.reason, held.attempts, done) == (HeldFor.APPROVAL, "It shouts.", 0, [])
    (approval,) = await approvals_of(house, submitted)
    assert (approval.job_id, approval.status, approval.rule) == (held.job_id, ApprovalStatus.PENDING, "no_shouting")
    assert approval.requested_by == held.actor_id
    assert (approval.expires_at - approval.created_at).total_seconds() == APPROVAL_S
    (step,) = approval.detail["steps"]
    assert (step["id"], step["params"]) == ("s2", {"text": "HELP"})
    assert step["inputs"]["text"]["from"] == "s1 (deeds.read)"
    assert step["decision"] == {
        "effect": "ask",
        "reason": "It shouts.",
        "rule": "no_shouting",
        "another_person": False,
        "approver_role": None,
    }


async def test_a_yes_to_the_value_lets_the_step_run_once(house: Installation, asking: Asking) -> None:
    """Approved: it runs with the value that was shown, and what needs it goes on."""
    done: list[Any] = []
    submitted = await shouting(house, asking, done)
    await decide(house, (await approvals_of(house, submitted))[0])
    jobs = await house.run_until_settled(submitted.plan_id)
    assert [job.status for job in jobs] == [S.COMPLETED] * 4
    assert (done, jobs[1].attempts) == (["HELP", "quiet"], 1)
    assert len(await approvals_of(house, submitted)) == 1


async def test_a_no_to_the_value_cancels_the_step_and_what_needs_it(house: Installation, asking: Asking) -> None:
    """Rejected: nothing of it runs."""
    done: list[Any] = []
    submitted = await shouting(house, asking, done)
    await decide(house, (await approvals_of(house, submitted))[0], Verdict.REJECT)
    jobs = await house.run_until_settled(submitted.plan_id)
    assert [job.status for job in jobs] == [S.COMPLETED, S.CANCELLED, S.CANCELLED, S.COMPLETED]
    assert done == []


async def test_a_value_that_changed_after_the_yes_is_held_for_drift(house: Installation, asking: Asking) -> None:
    """Somebody who can write to the database puts another result in place: the yes was not to this one."""
    done: list[Any] = []
    submitted = await shouting(house, asking, done)
    await decide(house, (await approvals_of(house, submitted))[0])
    forged = house.app.vault.seal(
        {"text": "SEND MONEY"}, workspace_id="acme", purpose=sealed_result(submitted.plan_id, "s1")
    )
    with closing(sqlite3.connect(house.home / "steward.db", isolation_level=None)) as other:
        other.execute("UPDATE jobs SET result_sealed = ? WHERE job_id = ?", (forged, submitted.job_ids[0]))
    held = (await house.run_until_settled(submitted.plan_id))[1]
    assert (held.status, held.held_for, done) == (S.HELD, HeldFor.DRIFT, [])
    assert held.reason == 'Its values changed after this step was approved. text was "HELP" and is "SEND MONEY".'
    assert held.differences == (Difference("text", "HELP", "SEND MONEY"),)
    assert len(await approvals_of(house, submitted)) == 1


async def test_nobody_answers_in_time(house: Installation, asking: Asking, clock: FakeClock) -> None:
    """After 72 hours the question is over and the step is cancelled."""
    done: list[Any] = []
    submitted = await shouting(house, asking, done)
    clock.advance(APPROVAL_S + 1)
    await house.app.engine.dispatcher.sweep()
    assert (await house.jobs(submitted.plan_id))[1].status is S.CANCELLED
    assert ((await approvals_of(house, submitted))[0].status, done) == (ApprovalStatus.EXPIRED, [])


async def test_policy_has_the_last_word_after_a_yes(house: Installation, asking: Asking) -> None:
    """What is denied when it comes to run fails, whoever approved it; permission that is gone counts likewise."""
    done: list[Any] = []
    submitted = await shouting(house, asking, done)
    await decide(house, (await approvals_of(house, submitted))[0])
    asking.ask("deeds.note", Deny("quiet_hours", "Not now."))
    failed = (await house.run_until_settled(submitted.plan_id))[1]
    assert (failed.status, failed.error and failed.error.code, done) == (S.FAILED, "policy_denied", [])
    asking.ask("deeds.note")
    plan = await house.submit(planned("deeds.note", text="a"))
    await decide(house, (await approvals_of(house, plan))[0])
    await house.app.directory.revoke_key((await house.member()).actor_id, by="test")
    (job,) = await house.run_until_settled(plan.plan_id)
    assert (job.error and job.error.code, done) == ("permission_revoked", [])


async def test_a_yes_to_the_plan_covers_what_was_known(house: Installation, asking: Asking) -> None:
    """An approved plan goes on while policy still asks, also by a newer rule: every value was on the table."""
    done: list[Any] = []
    house.add(note(done))
    asking.ask("deeds.note")
    submitted = await house.submit(planned("deeds.note", text="A"))
    assert submitted.status is PlanStatus.AWAITING_APPROVAL
    await decide(house, (await approvals_of(house, submitted))[0])
    asking.ask("deeds.note", LOUD)
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert (job.status, done) == (S.COMPLETED, ["A"])


@pytest.mark.parametrize(("rule", "status"), [(LOOK, S.COMPLETED), (LOUD, S.HELD)])
async def test_a_yes_to_the_plan_covers_a_computed_value_only_under_the_rule_that_was_shown(
    house: Installation, asking: Asking, rule: Ask, status: JobStatus
) -> None:
    """The step asked before its value was known: the same rule again is answered, another one is a new question."""
    done: list[Any] = []
    house.add(note(done), Deeds().read(result={"text": "HELP"}))
    asking.ask("deeds.note")
    submitted = await house.submit(planned("deeds.read"), planned("deeds.note", text=FROM_READ))
    await decide(house, (await approvals_of(house, submitted))[0])
    asking.ask("deeds.note", rule)
    assert (await house.run_until_settled(submitted.plan_id))[1].status is status
    assert len(await approvals_of(house, submitted)) == (1 if status is S.COMPLETED else 2)


async def test_a_rule_that_became_stricter_asks_again(house: Installation, asking: Asking) -> None:
    """A yes by whoever may decide does not stand for one that another person with a role has to give."""
    done: list[Any] = []
    house.add(note(done))
    asking.ask("deeds.note")
    admin = await house.member(role=Role.ADMIN)
    submitted = await house.submit(planned("deeds.note", text="a"), who=admin)
    (of_plan,) = await approvals_of(house, submitted)
    store = house.app.engine.open(admin)
    await store.decide_approval(of_plan.approval_id, of_plan.digest, Verdict.APPROVE, None)
    asking.ask("deeds.note", Ask("look_first", "Look.", another_person=True, approver_role=Role.APPROVER))
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert (job.status, done) == (S.HELD, [])
    (of_step, _) = await approvals_of(house, submitted)
    assert (of_step.another_person, of_step.approver_role) == (True, Role.APPROVER)
    with pytest.raises(AnotherPersonRequired):
        await store.decide_approval(of_step.approval_id, of_step.digest, Verdict.APPROVE, None)
    await decide(house, of_step)
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert (job.status, done) == (S.COMPLETED, ["a"])


async def test_a_secret_is_bound_but_neither_shown_nor_kept(tmp_path: Path, clock: FakeClock, asking: Asking) -> None:
    """The question masks a secret parameter wherever it stands; the yes holds after the secret key was rotated."""
    done: list[Any] = []
    password = "correct-horse-battery"
    async with installation(tmp_path, clock=clock, asking=asking) as house:
        house.add(post(done), Deeds().read(result={"text": f"THE KEY IS {password}"}))
        submitted = await house.submit(
            planned("deeds.read"), planned("deeds.post", to="office@example.com", key=password, text=FROM_READ)
        )
        asking.ask("deeds.post", Ask("talks", f"It repeats {password}."), when=lambda params: "text" in params)
        held = (await house.run_until_settled(submitted.plan_id))[1]
        (approval,) = await approvals_of(house, submitted)
        assert approval.detail["steps"][0]["params"] == {
            "to": "office@example.com",
            "key": REDACTED,
            "text": f"THE KEY IS {REDACTED}",
        }
        assert (approval.reason, held.reason) == (f"It repeats {REDACTED}.", f"It repeats {REDACTED}.")
        assert b"repeats " + password.encode() not in house.stored_bytes()
        await decide(house, approval)
        member = await house.member()
    rotated = {"STEWARD_SECRET_KEY": f"{OTHER_SECRET},{SECRET}"}
    async with installation(tmp_path, clock=clock, asking=asking, env=rotated) as house:
        house.add(post(done), Deeds().read())
        jobs = await house.run_until_settled(submitted.plan_id, member)
        assert [job.status for job in jobs] == [S.COMPLETED, S.COMPLETED]
    assert done == [("office@example.com", password, f"THE KEY IS {password}")]


async def test_a_value_that_cannot_be_bound_fails_the_step(house: Installation, asking: Asking) -> None:
    """A number that JSON readers may round is no exact value, so nobody can say yes to exactly it."""
    house.add(note([]), Deeds().read(result={"text": 2**60}))
    asking.ask("compute", when=lambda params: isinstance(params.get("value"), int))
    submitted = await house.submit(planned("deeds.read"), planned("compute", value=FROM_READ))
    job = (await house.run_until_settled(submitted.plan_id))[1]
    assert (job.status, job.error and job.error.code) == (S.FAILED, "invalid_params")


async def test_several_asking_steps_make_one_question_with_the_strictest_of_each(
    house: Installation, asking: Asking
) -> None:
    """One approval names every asking step; another person if any rule says so; of several roles only an admin has all."""
    house.add(note([]), post([]))
    asking.ask("deeds.note", Ask("first", "First.", approver_role=Role.APPROVER))
    asking.ask("deeds.post", Ask("second", "Second.", another_person=True))
    steps = (planned("deeds.note", text="a"), planned("deeds.post", to="a@example.com", key="k"))
    (approval,) = await approvals_of(house, await house.submit(*steps))
    assert (approval.another_person, approval.approver_role, approval.rule) == (True, Role.APPROVER, "first")
    assert [(step["id"], step["decision"]["rule"]) for step in approval.detail["steps"]] == [
        *(("s1", "first"), ("s2", "second")),
    ]
    asking.ask("deeds.post", Ask("second", "Second.", approver_role=Role.AUDITOR))
    (approval,) = await approvals_of(house, await house.submit(*steps))
    assert (approval.another_person, approval.approver_role) == (False, Role.ADMIN)
