"""Why a job or plan is where it is: one reason, since when, when it may change, and who can change it."""

from datetime import timedelta
from typing import Any

import pytest

from steward.caps import Activity, Room, Start
from steward.clock import rfc3339
from steward.explain import explain_job, explain_plan
from steward.job import HeldFor, JobError, JobStatus
from steward.plan import PlanRecord, PlanStatus
from steward.workspace import Cap
from tests.test_job_rules import EARLIER, NOW, job

S, P = JobStatus, PlanStatus
LATER = NOW + timedelta(minutes=5)
BROKEN = JobError("refused", "The far end said no.")


@pytest.mark.parametrize(
    ("changes", "code", "words", "change", "who"),
    [
        ({"status": S.PENDING}, "no_free_worker", "waits for a free worker", None, "operator"),
        ({"status": S.RUNNING, "lease_until": LATER}, "running", "is running it", LATER, "worker"),
        ({"status": S.COMPLETED}, "completed", "done", None, None),
        ({"status": S.FAILED, "error": BROKEN}, "refused", "The far end said no.", None, "retry"),
        ({"status": S.UNKNOWN, "error": BROKEN}, "refused", "may or may not have happened", None, "resolve"),
        ({"status": S.SKIPPED, "reason": "Its condition was false."}, "skipped", "Its condition was false.", None, None),
        ({"status": S.CANCELLED, "reason": "Its plan was cancelled."}, "cancelled", "Its plan was cancelled.", None, None),
        ({"status": S.SCHEDULED, "not_before": LATER, "attempts": 0}, "not_yet_due", "its start", LATER, "clock"),
        (
            {"status": S.SCHEDULED, "not_before": LATER, "attempts": 1, "error": BROKEN},
            "not_yet_due", "its next attempt. The last attempt said: The far end said no.", LATER, "clock",
        ),
        ({"status": S.SCHEDULED, "not_before": EARLIER}, "not_yet_due", "waits for", NOW, "clock"),
        (
            {"status": S.HELD, "held_for": HeldFor.APPROVAL, "reason": "It goes outside."},
            "awaiting_approval", "It goes outside.", None, "approver",
        ),
        ({"status": S.HELD, "held_for": HeldFor.DRIFT, "reason": "It changed."}, "drifted", "It changed.", None, "make the plan again"),
        ({"status": S.WAITING}, "about_to_start", "about to become ready", None, None),
    ],
)  # fmt: skip
def test_a_jobs_reason(changes: dict[str, Any], code: str, words: str, change: Any, who: str | None) -> None:
    """Each state has one reason, a sentence, and somebody who can change it where anybody can."""
    told = explain_job(job(**changes), [], NOW)
    assert set(told) == {"status", "reason", "since", "next_change_at", "who"}
    assert (told["status"], told["reason"]["code"]) == (changes["status"], code)
    assert words in told["reason"]["text"]
    assert told["next_change_at"] == (None if change is None else rfc3339(change))
    assert told["who"] is None if who is None else who in told["who"]
    assert told["since"] is not None


def test_a_waiting_job_names_the_step_it_needs() -> None:
    """Of several the first that is not completed."""
    steps = [
        job(step_id="s1", status=S.COMPLETED),
        job(step_id="s2", status=S.UNKNOWN, action_id="deeds.do"),
        job(step_id="s3", status=S.RUNNING),
    ]
    told = explain_job(job(step_id="s4", status=S.WAITING, depends_on=("s1", "s2", "s3")), steps, NOW)
    assert told["reason"] == {"code": "waiting_on_step", "text": "It needs step s2 (deeds.do), which is unknown."}
    assert told["who"] == "step s2"


def test_what_was_cancelled_because_of_a_failed_step_names_it() -> None:
    """However far away it is; what a person cancelled names nobody, since nothing brings it back."""
    steps = [
        job(step_id="s1", status=S.FAILED),
        job(step_id="s2", status=S.CANCELLED, depends_on=("s1",), reason="It needs step s1, which ended as failed."),
    ]
    along = job(
        step_id="s3", status=S.CANCELLED, depends_on=("s2",), reason="It needs step s2, which ended as cancelled."
    )
    assert explain_job(along, steps, NOW)["who"] == "anyone who may execute: retry step s1"
    by_hand = job(step_id="s3", status=S.CANCELLED, depends_on=("s2",), reason="It was cancelled.")
    assert explain_job(by_hand, steps, NOW)["who"] is None


def test_every_state_can_be_explained() -> None:
    """No state is without a sentence."""
    for status in S:
        assert explain_job(job(status=status), [], NOW)["reason"]["text"].endswith(".")


def plan(status: PlanStatus, effect: str = "allow", rule: str = "action_denylist", **document: Any) -> PlanRecord:
    """Return a plan of one step with this decision; ``document`` says otherwise."""
    decision = {"effect": effect, "reason": "It is on the denylist.", "rule": rule}
    steps = [{"id": "s1", "action_id": "deeds.do", "decision": decision}]
    return PlanRecord(
        plan_id="plan_1",
        workspace_id="acme",
        actor_id="key_1",
        status=status,
        digest="0" * 64,
        document={"steps": steps, "meta": {}, "explanation": "Asked for as one action."} | document,
        body_sealed=None,
        created_at=EARLIER,
        expires_at=LATER,
        request_id="req-1",
    )


@pytest.mark.parametrize("status", list(P))
def test_every_plan_state_can_be_explained(status: PlanStatus) -> None:
    """With and without jobs."""
    for jobs in ([], [job(status=S.RUNNING)]):
        told = explain_plan(plan(status), jobs, NOW)
        assert told["status"] == status
        assert told["reason"]["text"]


def test_a_denied_step_comes_first() -> None:
    """A draft that cannot be executed says which step is in the way, and who can help."""
    told = explain_plan(plan(P.DRAFT, "deny"), [], NOW)
    assert told["reason"]["code"] == "policy_denied"
    assert told["reason"]["text"] == "Step s1 (deeds.do) is denied: It is on the denylist."
    assert told["who"] == "an operator"


def test_who_can_help_with_a_denial_is_whoever_made_the_rule() -> None:
    """A workspace's own policy is its admins' to change."""
    assert explain_plan(plan(P.DRAFT, "deny", "workspace/no_posts"), [], NOW)["who"] == "an admin of the workspace"


def test_what_policy_kept_out_of_a_plan_is_no_missing_answer() -> None:
    """A plan without a step, because what was asked for may not be done, was refused; nobody is told to answer."""
    denied = {"action_id": "deeds.do", "effect": "deny", "reason": "Not here.", "rule": "workspace/no_posts"}
    told = explain_plan(
        plan(P.NEEDS_INPUT, steps=[], meta={"denied": [denied]}, explanation="It may not be done."), [], NOW
    )
    assert told["reason"] == {"code": "policy_denied", "text": "It may not be done."}
    assert told["who"] == "an admin of the workspace"


def test_a_running_plan_names_the_step_that_holds_it_up() -> None:
    """An unknown outcome before a running one before a waiting one."""
    jobs = [
        job(step_id="s1", status=S.RUNNING),
        job(step_id="s2", status=S.UNKNOWN),
        job(step_id="s3", status=S.WAITING),
    ]
    told = explain_plan(plan(P.RUNNING), jobs, NOW)
    assert (told["status"], told["step"], told["reason"]["code"]) == (P.RUNNING, "s2", "outcome_unknown")
    assert told["reason"]["text"].startswith("Step s2: ")


def test_a_draft_says_when_it_expires() -> None:
    """That is its next change."""
    assert explain_plan(plan(P.DRAFT), [], NOW)["next_change_at"] == rfc3339(LATER)
    assert explain_plan(plan(P.COMPLETED), [], NOW)["next_change_at"] is None


def test_a_ready_job_that_a_cap_keeps_names_the_rule() -> None:
    """Asked as the claim asks: the rule, when it has room by itself, and who can change it."""
    started = (Start("email.send", LATER, 3),)
    room = Room({"email.*": Cap(per_minute=3)}, Activity(started=started), NOW)
    told = explain_job(job(status=S.PENDING, action_id="email.send"), [], NOW, room=room)
    assert told["reason"]["code"] == "capped"
    assert "at most 3 jobs of 'email.*' may start in a minute" in told["reason"]["text"]
    assert told["next_change_at"] == rfc3339(LATER)
    assert "admin" in told["who"]
    other = explain_job(job(status=S.PENDING, action_id="file.read"), [], NOW, room=room)
    assert other["reason"]["code"] == "no_free_worker"
