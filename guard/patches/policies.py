"""What keeps policy closed: errors, the schema, and the workspace that a rule belongs to."""

from typing import Final

from guard.mutation import Mutation

_CEDAR: Final = "src/steward/policies/cedar.py"
_TEXT: Final = "src/steward/policies/cedar_text.py"
_STORED: Final = "src/steward/policies/cedar_policies.py"

_LABELS: Final = "tests/worker/test_label_laundering.py"

POLICIES: Final = (
    Mutation(
        name="compute-forgets-a-place",
        removes="what is stored of a value says that it was picked by a place",
        file="src/steward/shape.py",
        find="    settled = settled or path + SETTLED in labels\n",
        put="",
        tests=(_LABELS,),
    ),
    Mutation(
        name="a-function-forgets-a-place",
        removes="what is made of a value that was picked by a place names nothing",
        file="src/steward/shape.py",
        find="        return self.settle() if any(part.placed for part in parts) else self",
        put="        return self",
        tests=(_LABELS,),
    ),
    Mutation(
        name="a-list-written-out-names",
        removes="a list that is written out puts each value in its place",
        file="src/steward/expression.py",
        find="            items = items.settle()  # its author put each in its place",
        put="            pass",
        tests=(_LABELS,),
    ),
    Mutation(
        name="each-forgets-a-place",
        removes="an element of a list that was picked by a place is not named in its own job",
        file="src/steward/step_values.py",
        find="    return {SHAPES: kept} if kept else {}",
        put="    return {}",
        tests=(_LABELS,),
    ),
    Mutation(
        name="asking-about-a-place-names",
        removes="what a provider is asked about something picked by a place names nothing",
        file="src/steward/dataflow.py",
        find="        found |= dict.fromkeys(marked, Label.SYSTEM)",
        put="        pass",
        tests=(_LABELS,),
    ),
    Mutation(
        name="policy-errors-ignored",
        removes="an answer with an error in it denies",
        file=_CEDAR,
        find="if errors := [*attended.diagnostics.errors, *unattended.diagnostics.errors]:",
        put="if errors := []:",
        tests=("tests/policies/test_fail_closed.py",),
    ),
    Mutation(
        name="policy-without-schema",
        removes="every question goes with the schema",
        file=_CEDAR,
        find="self._entities_of(principal), schema=self._ground.language.schema",
        put="self._entities_of(principal), schema=None",
        tests=("tests/policies/test_fail_closed.py",),
    ),
    Mutation(
        name="policy-asked-once",
        removes="an action's unattended twin is asked about",
        file=_CEDAR,
        find="names = (action_id, twin(action_id)) if twice else (action_id,)",
        put="names = (action_id,)",
        tests=("tests/policies/test_default_rules.py", "tests/worker/test_policy.py"),
    ),
    Mutation(
        name="policy-of-any-workspace",
        removes="a policy decides for its own workspace alone",
        file=_CEDAR,
        find="if principal.workspace_id != self._ground.workspace_id:",
        put="if False:",
        tests=("tests/policies/test_default_rules.py",),
    ),
    Mutation(
        name="policy-not-bound",
        removes="a workspace's rule is bound to its workspace",
        file=_TEXT,
        find="resource=pst.ScopeEq(pst.EntityUid(_WORKSPACE, workspace_id))",
        put="resource=policy.resource",
        tests=("tests/policies/test_workspace_policies.py",),
    ),
    Mutation(
        name="policy-names-another-workspace",
        removes="a workspace's policy names no other",
        file=_TEXT,
        find="    if named - {workspace_id}:\n",
        put="    if False:\n",
        tests=("tests/policies/test_workspace_policies.py",),
    ),
    Mutation(
        name="policy-may-permit",
        removes="a workspace's policy can only forbid",
        file=_TEXT,
        find='    if policy.effect != "forbid":\n',
        put="    if False:\n",
        tests=(
            "tests/policies/test_workspace_policies.py",
            "tests/web/test_policies.py",
            "tests/policies/test_policies_of.py",
        ),
    ),
    Mutation(
        name="policies-of-any-workspace",
        removes="a workspace's policies are listed inside it",
        file="src/steward/database/policy_seal.py",
        find="workspaces.outerjoin(policies, policies.c.workspace_id == workspaces.c.workspace_id)",
        put="workspaces.outerjoin(policies, policies.c.workspace_id == policies.c.workspace_id)",
        tests=(
            "tests/policies/test_policies_of.py::test_a_workspaces_policies_are_its_own",
            "tests/policies/test_policies_of.py::test_a_policy_that_cannot_be_read_denies_everything_in_its_workspace",
            "tests/web/test_policies.py::test_a_policy_refuses_what_it_forbids_at_every_door",
            "tests/web/test_policies.py::test_w48_a_foreign_policy_is_an_unknown_one",
            "tests/worker/test_policy.py::test_a_denied_step_is_not_submitted",
        ),
        at_least=3,
    ),
    Mutation(
        name="policies-removed-from-any-workspace",
        removes="a policy is removed inside its workspace",
        file="src/steward/directories/sql/policies.py",
        find="    return policies.c.workspace_id == workspace_id, policies.c.name == name",
        put="    return policies.c.name == name, policies.c.name == name",
        tests=("tests/policies/test_policies_of.py", "tests/web/test_policies.py"),
    ),
    Mutation(
        name="policies-of-another-taken",
        removes="what the directory returns is looked at once more",
        file=_STORED,
        find="        if any(policy.workspace_id != workspace_id for policy in own):\n",
        put="        if False:\n",
        tests=("tests/policies/test_policies_of.py",),
    ),
    Mutation(
        name="policy-unreadable-ignored",
        removes="a policy that cannot be read denies everything",
        file=_STORED,
        find="            return UnreadablePolicy(\n                f\"This workspace's policy '{name}' cannot be read, so nothing may run.\",\n",
        put="            continue\n            UnreadablePolicy(\n                f\"This workspace's policy '{name}' cannot be read, so nothing may run.\",\n",
        tests=("tests/policies/test_policies_of.py",),
    ),
    Mutation(
        name="policy-stack",
        removes="texts are read on a stack that no text can overflow",
        file=_TEXT,
        find="_STACK_BYTES: Final = 128 * 1024 * 1024",
        put="_STACK_BYTES: Final = 4 * 1024 * 1024",
        tests=("tests/security/test_policy_bombs.py",),
    ),
    Mutation(
        name="policy-brackets",
        removes="brackets are bounded before they are read",
        file=_TEXT,
        find='    elif sum(map(text.count, "([{")) > MAX_OPENINGS:\n',
        put="    elif False:\n",
        tests=("tests/security/test_policy_bombs.py",),
    ),
    Mutation(
        name="blank-is-everything",
        removes="an allowlist that is set and blank allows nothing",
        file="src/steward/policies/lists.py",
        find="self._allowed = None if allowlist is None else",
        put='self._allowed = None if not (allowlist or "").strip(", ") else',
        tests=("tests/test_policy_lists.py::test_w145_an_allowlist_of_blanks_allows_nothing",),
    ),
    Mutation(
        name="outside-is-inside",
        removes="mail goes to the own domains only, where that rule holds",
        file="src/steward/policies/default/2-never.cedar",
        find="  resource.own_domains.containsAll(context.recipient_domains) &&\n",
        put="",
        tests=(
            "tests/policies/test_default_rules.py::test_w82_anything_else_is_outside_and_the_refusal_tells_no_domain",
        ),
    ),
)
