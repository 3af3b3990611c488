"""The work that is measured: single-step plans as large as real ones, made before the clock starts."""

from datetime import timedelta

from steward.action import Effect, RetryMode
from steward.clock import SystemClock
from steward.identity import Principal, Role, scopes_of
from steward.ids import IdFactory, namesake
from steward.job import Completed, NewJob
from steward.plan import PlanRecord, PlanStatus
from steward.work_store import DRAFT_S, Submission

CLOCK = SystemClock()
IDS = IdFactory(CLOCK)
DONE = Completed({"ok": True}, bytes(120), {})
_DEVELOPER = frozenset({Role.DEVELOPER})
SOMEBODY = Principal("key_00000000000000000000bench", "bench", _DEVELOPER, scopes_of(_DEVELOPER))
_DOCUMENT = {
    "prompt": "send an email to office@example.com saying The lift is repaired",
    "intent": "Send an e-mail (to: office@example.com; text: The lift is repaired)",
    "steps": [
        {
            "id": "s1",
            "action_id": "email.send",
            "description": "Send an e-mail",
            "params": {"to": "office@example.com", "text": "The lift is repaired", "subject": "(no subject)"},
            "depends_on": [],
            "decision": {"effect": "allow", "reason": "It is an enabled action.", "rule": "catalogue"},
            "inputs": {},
            "effect": "write",
            "retry": "none",
        }
    ],
    "confidence": 1.0,
    "explanation": "Understood as email.send.",
    "meta": {"planner": "sentences", "model": None, "duration_ms": 1, "tokens_in": 0, "tokens_out": 0},
    "questions": [],
}


def submissions(count: int) -> list[Submission]:
    """Return ``count`` single-step plans of one workspace."""
    return [_submission() for _ in range(count)]


def _submission() -> Submission:
    now, plan_id = CLOCK.now(), IDS.new("plan")
    plan = PlanRecord(
        plan_id=plan_id,
        workspace_id=SOMEBODY.workspace_id,
        actor_id=SOMEBODY.actor_id,
        status=PlanStatus.DRAFT,
        digest="d" * 64,
        document=_DOCUMENT,
        body_sealed=bytes(400),
        created_at=now,
        expires_at=now + timedelta(seconds=DRAFT_S),
        request_id=IDS.new("req"),
    )
    job = NewJob(
        job_id=namesake(plan_id, "job"),
        step_id="s1",
        action_id="email.send",
        definition_hash="a" * 64,
        digest="b" * 64,
        params_sealed=bytes(200),
        depends_on=(),
        effect=Effect.WRITE,
        retry=RetryMode.NONE,
        max_attempts=5,
        key_valid_s=3600.0,
    )
    return Submission(plan=plan, jobs=(job,))
