"""What a person's yes is worth: to one digest, by the right person, in time, for exactly these values."""

from typing import Final

from guard.mutation import Mutation

_CONTROL: Final = "src/steward/work_stores/sql/control.py"
_STEP: Final = "src/steward/step_approval.py"
_SUITE: Final = ("tests/contracts/test_hold.py", "tests/contracts/test_hold_and_approvals.py")
_ATTACKS: Final = "tests/security/test_approvals.py"

APPROVALS: Final = (
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
