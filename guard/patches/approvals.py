"""What a person's yes is worth: to one digest, by the right person, in time, for exactly these values."""

from typing import Final

from guard.mutation import Mutation

_CONTROL: Final = "src/steward/work_stores/sql/control.py"
_STEP: Final = "src/steward/step_approval.py"
_SUITE: Final = ("tests/contracts/test_hold.py", "tests/contracts/test_hold_and_approvals.py")
_ATTACKS: Final = "tests/security/test_approvals.py"

_LATER: Final = "tests/worker/test_replanning.py"

APPROVALS: Final = (
    Mutation(
        name="a-yes-covers-what-is-planned-later",
        removes="a yes to a plan is none to a step that was planned during its run",
        file=_STEP,
        find="approval.status is not ApprovalStatus.APPROVED or self._unplanned:",
        put="approval.status is not ApprovalStatus.APPROVED:",
        tests=(f"{_LATER}::test_a_yes_to_the_plan_is_none_to_what_is_planned_later",),
    ),
    Mutation(
        name="what-is-planned-later-is-trusted",
        removes="a step that was planned during the run is as untrusted as what its author had read",
        file="src/steward/replanning.py",
        find="earlier={INPUTS: read}, authored_after=self.authored_after",
        put="earlier={INPUTS: read}, authored_after=()",
        tests=(f"{_LATER}::test_what_was_read_says_what_is_read_next",),
    ),
    Mutation(
        name="what-is-planned-later-runs-as-trusted",
        removes="a worker takes a step that was planned during the run for what its author had read",
        file="src/steward/step_children.py",
        find="            authored_after=authored_after,\n            vault=vault,",
        put="            authored_after=(),\n            vault=vault,",
        tests=(_LATER,),
    ),
    Mutation(
        name="planning-without-an-end",
        removes="what is planned during a run plans no further steps",
        file="src/steward/replanning.py",
        find="            if step.action_id == REPLAN or step.for_each is not None:",
        put="            if False:",
        tests=(f"{_LATER}::test_what_may_not_be_planned_fails_the_step_and_puts_nothing_in_place",),
    ),
    Mutation(
        name="results-of-later-steps-are-trusted",
        removes="what steps returned that were planned after reading is untrusted",
        file="src/steward/step_values.py",
        find='            return Gathered(done, {"": Label.UNTRUSTED})',
        put='            return Gathered(done, {"": Label.TRUSTED})',
        tests=(f"{_LATER}::test_what_was_read_says_what_is_read_next",),
    ),
    Mutation(
        name="a-yes-for-ever",
        removes="a yes does not last for ever once its step was begun",
        file="src/steward/step_approval.py",
        find="        fresh = [approval for approval in approvals if self._still_holds(approval, now)]",
        put="        fresh = list(approvals)",
        tests=("tests/worker/test_step_approval.py::test_a_yes_does_not_last_for_ever",),
    ),
    Mutation(
        name="a-second-key-is-a-second-person",
        removes="a key counts as its owner where another person must approve",
        file="src/steward/directories/sql/keys.py",
        find="        return frozenset({actor_id, person, *found})",
        put="        return frozenset({actor_id})",
        tests=("tests/security/test_approvals.py",),
    ),
    Mutation(
        name="a-key-of-nobody-is-another-person",
        removes="a key that names no owner is not another person",
        file="src/steward/persons.py",
        find="        if await directory.person_of(principal.actor_id) is None:",
        put="        if False:",
        tests=("tests/security/test_approvals.py::test_a_key_that_names_nobody_is_not_another_person",),
    ),
    Mutation(
        name="any-digest-approves",
        removes="a decision names the digest that was shown",
        file=_CONTROL,
        find="    if row.digest != digest:\n",
        put="    if False:\n",
        tests=(*_SUITE, _ATTACKS),
    ),
    Mutation(
        name="own-plan-approved",
        removes="another person approves where the rule says so",
        file=_CONTROL,
        find="    if row.another_person:\n",
        put="    if False:\n",
        tests=(*_SUITE, _ATTACKS),
    ),
    Mutation(
        name="any-role-approves",
        removes="an approver has the role that the rule names",
        file=_CONTROL,
        find="    if not role_suffices(principal.roles, role):\n",
        put="    if False:\n",
        tests=(*_SUITE, "tests/web/test_approvals.py"),
    ),
    Mutation(
        name="approvals-never-expire",
        removes="an approval past its time cannot be given",
        file=_CONTROL,
        find="if row.status != ApprovalStatus.PENDING or row.expires_at <= work.now:",
        put="if row.status != ApprovalStatus.PENDING:",
        tests=(*_SUITE, _ATTACKS),
    ),
    Mutation(
        name="decided-again",
        removes="an approval is decided once",
        file=_CONTROL,
        find="if row.status != ApprovalStatus.PENDING or row.expires_at <= work.now:",
        put="if row.expires_at <= work.now:",
        tests=(*_SUITE, _ATTACKS),
    ),
    Mutation(
        name="other-values-run",
        removes="a step runs with the values that were approved",
        file=_STEP,
        find="        if given and given[0].digest not in digests:\n",
        put="        if False:\n",
        tests=("tests/worker/test_step_approval.py",),
    ),
    Mutation(
        name="plan-yes-covers-all",
        removes="a yes to the plan does not cover what was not known",
        file=_STEP,
        find="        return self._seen(approval) and approval.digest == self.plan.digest and self._strict_enough(approval)\n",
        put="        return self._strict_enough(approval)\n",
        tests=("tests/worker/test_step_approval.py",),
    ),
    Mutation(
        name="old-yes-for-stricter-rule",
        removes="a rule that became stricter asks again",
        file=_STEP,
        find="        return not alone and role_suffices(roles, self.decision.approver_role)\n",
        put="        return True\n",
        tests=("tests/worker/test_step_approval.py",),
    ),
)
