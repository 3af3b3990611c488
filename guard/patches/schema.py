"""What keeps the migration of keys in the operator's hand, dry until told, and on record."""

from typing import Final

from guard.mutation import Mutation

_WALKS: Final = "src/steward/cli/schema_walks.py"
_COMMANDS: Final = ("tests/cli/test_schema.py",)

SCHEMA: Final = (
    Mutation(
        name="anybody-is-an-operator",
        removes="what concerns the whole installation takes an operator",
        file="src/steward/web/dependencies.py",
        find="        return principal.is_operator\n",
        put="        return True\n",
        tests=("tests/web/test_schema.py::test_only_an_operator_moves_keys", "tests/web/test_management.py"),
        at_least=2,
    ),
    Mutation(
        name="keys-moved-unrecorded",
        removes="a change of the key schema is recorded before it begins",
        file="src/steward/schema_desk.py",
        find="        await self._recorder.insist(self._entry(kind, by, BEGUN, facts))\n",
        put="",
        tests=("tests/web/test_schema.py::test_w29_phases_move_live_and_each_move_is_recorded",),
    ),
    Mutation(
        name="backfill-writes-unasked",
        removes="a backfill is a dry run unless told to write",
        file=_WALKS,
        find="    execute: Execute = False,\n    rps: Rps = 1000,\n    batch: Batch = 500,\n    max_keys",
        put="    execute: Execute = True,\n    rps: Rps = 1000,\n    batch: Batch = 500,\n    max_keys",
        tests=_COMMANDS,
    ),
    Mutation(
        name="retires-unasked",
        removes="a retirement is a dry run unless told to remove",
        file=_WALKS,
        find="    execute: Execute = False,\n    rps: Rps = 1000,\n    batch: Batch = 500,\n    accept_invalid",
        put="    execute: Execute = True,\n    rps: Rps = 1000,\n    batch: Batch = 500,\n    accept_invalid",
        tests=_COMMANDS,
    ),
    Mutation(
        name="backfill-always-well",
        removes="a backfill that could not move everything does not end with 0",
        file=_WALKS,
        find="    if last.skipped_invalid and not accept_invalid:\n",
        put="    if False:\n",
        tests=_COMMANDS,
    ),
    Mutation(
        name="verify-always-well",
        removes="a comparison that found a difference does not end with 0",
        file="src/steward/schema_views.py",
        find="    return not (found.missing or found.different or found.extra or (found.invalid and not accept_invalid))\n",
        put="    return True\n",
        tests=(*_COMMANDS, "tests/web/test_schema.py::test_w32_a_comparison_says_what_is_missing"),
    ),
)
