"""What keeps an effect from happening twice, unseen, unasked or against the rules."""

from typing import Final

from guard.mutation import Mutation

_CLAIM: Final = "src/steward/work_stores/sql/claim.py"
_SUBMIT: Final = "src/steward/work_stores/sql/submit.py"
_ATTEMPT: Final = "src/steward/attempt.py"
_FENCE: Final = (
    "tests/contracts/test_dispatch_and_fence.py",
    "tests/contracts/test_lost_leases.py",
    "tests/worker/test_effects.py",
)
_REFUSALS: Final = ("tests/worker/test_refusals.py",)
_IDEMPOTENCY: Final = ("tests/contracts/test_idempotency.py", "tests/test_orchestrator.py")
_DOUBT: Final = ("tests/test_job_rules.py", "tests/worker/test_effects.py", "tests/contracts/test_lost_leases.py")

EFFECTS: Final = (
    Mutation(
        name="no-fence",
        removes="an old fence can neither dispatch nor settle",
        file=_CLAIM,
        find="if row is None or row.workspace_id != ref.workspace_id or row.fence != ref.fence:\n        return None",
        put="if row is None or row.workspace_id != ref.workspace_id:\n        return None",
        tests=_FENCE,
    ),
    Mutation(
        name="dispatch-after-the-lease",
        removes="a lease that has run out is not dispatched",
        file=_CLAIM,
        find="if row is None or (row.lease_until or 0) <= work.now:",
        put="if row is None:",
        tests=_FENCE,
    ),
    Mutation(
        name="effect-before-the-record",
        removes="the dispatch record is written before the effect",
        file=_ATTEMPT,
        find="        if definition.effect is Effect.WRITE:\n            spending =",
        put="        if False:\n            spending =",
        tests=("tests/worker/test_effects.py",),
    ),
    Mutation(
        name="refused-dispatch-goes-on",
        removes="only a granted lease goes on to have an effect",
        file=_ATTEMPT,
        find="                return _refused(answer)\n            self.granted",
        put="                return await self._run_action(action, turn, context)\n            self.granted",
        tests=("tests/worker/test_effects.py", "tests/worker/test_refusals.py", "tests/worker/test_running.py"),
    ),
    Mutation(
        name="doubt-is-failure",
        removes="an effect that may have happened is unknown, not failed",
        file="src/steward/job.py",
        find="    return Unknown(error) if doubtful else Failed(error)",
        put="    return Failed(error)",
        tests=_DOUBT,
    ),
    Mutation(
        name="blind-second-send",
        removes="what nobody can repeat safely is never repeated in doubt",
        file="src/steward/job.py",
        find="        not doubtful or job.retry is RetryMode.PROBE",
        put="        True or job.retry is RetryMode.PROBE",
        tests=_DOUBT,
    ),
    Mutation(
        name="probe-not-asked",
        removes="a probed action is asked before a repeat",
        file=_ATTEMPT,
        find="            if known is not None:\n                return known\n",
        put="            del known\n",
        tests=("tests/worker/test_effects.py",),
    ),
    Mutation(
        name="drift-is-run",
        removes="what changed since it was checked is held",
        file=_ATTEMPT,
        find="return self.job.digest in digests or self.job.expanded",
        put="return True",
        tests=_REFUSALS,
    ),
    Mutation(
        name="secret-of-before-is-told",
        removes="what was secret when it was approved stays masked when the action no longer says so",
        file="src/steward/differences.py",
        find='or shown["params"].get(name) == REDACTED',
        put="or False",
        tests=_REFUSALS,
    ),
    Mutation(
        name="definition-not-bound",
        removes="the digest binds the definition of the action",
        file="src/steward/plan_check.py",
        find='        "definition": definition.definition_hash,\n',
        put="",
        tests=("tests/test_plan_check.py", "tests/test_orchestrator.py", *_REFUSALS),
    ),
    Mutation(
        name="permission-not-asked-again",
        removes="a revoked actor's jobs do not run",
        file=_ATTEMPT,
        find="if who is None or not who.may(Scope.EXECUTE):",
        put="who = who or Principal(self.job.actor_id, self.job.workspace_id, frozenset())\n        if False:",
        tests=_REFUSALS,
    ),
    Mutation(
        name="policy-not-asked-again",
        removes="policy decides again at dispatch",
        file=_ATTEMPT,
        find="        if isinstance(decision, Deny):\n",
        put="        if False:\n",
        tests=_REFUSALS,
    ),
    Mutation(
        name="denied-step-is-executed",
        removes="a plan with a denied step cannot be executed",
        file="src/steward/submission.py",
        find="    refuse_denied(checked)\n",
        put="",
        tests=("tests/test_orchestrator.py", "tests/web/test_actions.py"),
    ),
    Mutation(
        name="result-as-destination",
        removes="what others can write cannot decide a destination by itself",
        file="src/steward/policies/default/3-flow.cedar",
        find='["destination:U", "amount:U"]',
        put='["amount:U"]',
        tests=("tests/worker/test_language.py", "tests/policies/test_rule_sets.py"),
    ),
    Mutation(
        name="key-with-another-payload",
        removes="an idempotency key with another payload is refused",
        file=_SUBMIT,
        find="if row is not None and row.payload_digest not in claim.payload_digests:",
        put="if False:",
        tests=_IDEMPOTENCY,
    ),
    Mutation(
        name="known-and-new-mixed",
        removes="known and new names together are refused",
        file=_SUBMIT,
        find="        raise IdempotencyMixed\n",
        put="        return None\n",
        tests=_IDEMPOTENCY,
    ),
    Mutation(
        name="drafts-never-expire",
        removes="a draft past its time cannot be executed",
        file=_SUBMIT,
        find="    if status is PlanStatus.EXPIRED or (status is PlanStatus.DRAFT and overdue):\n",
        put="    if False:\n",
        tests=("tests/contracts/test_submit.py", "tests/test_orchestrator.py"),
    ),
    Mutation(
        name="needed-steps-are-ignored",
        removes="a step that needs others waits for all of them",
        file="src/steward/work_stores/sql/transitions.py",
        find="        if dependent.waiting_on == 0 and dependent.status",
        put="        if dependent.status",
        tests=("tests/contracts/test_settle.py::test_w131_dependents_start_when_all_they_need_is_completed",),
    ),
    Mutation(
        name="dependents-of-a-failure-stay",
        removes="what needs a step that failed is cancelled",
        file="src/steward/work_stores/sql/transitions.py",
        find="    work.move(row, JobStatus.FAILED, event, actor=actor, error_code=error.code)\n    drop_dependents(work, row, JobStatus.CANCELLED)\n",
        put="    work.move(row, JobStatus.FAILED, event, actor=actor, error_code=error.code)\n",
        tests=("tests/contracts/test_settle.py::test_w131_what_needs_a_step_that_was_not_done_is_cancelled",),
    ),
)
