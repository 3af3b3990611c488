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
    Mutation(
        name="old-copy-goes-stale",
        removes="every change of a job is made to its old copy too",
        file="src/steward/work_stores/redis/lua/shared/flush.lua",
        find="  if kind == 'job' then mirror(row, old) end\n",
        put="",
        tests=("tests/migration/test_dual_write.py::test_w24_both_copies_are_equal_after_every_transition",),
    ),
    Mutation(
        name="retires-without-a-twin",
        removes="an old key goes only if its new twin is there",
        file="src/steward/work_stores/redis/lua/retire_jobs.lua",
        find="if phase() == 'new-only' and is_twin and",
        put="if phase() == 'new-only' and",
        tests=("tests/migration/test_phases.py::test_w33_an_old_key_stays_whose_twin_goes_in_the_last_moment",),
    ),
    Mutation(
        name="backfill-takes-what-has-changed",
        removes="a record that changed since it was read is read again",
        file="src/steward/work_stores/redis/lua/migrate_job.lua",
        find="  if expected[flat[i]] ~= flat[i + 1] then return 'changed' end\n",
        put="",
        tests=("tests/migration/test_backfill.py::test_w132_an_update_in_the_middle_wins",),
    ),
    Mutation(
        name="one-place-for-all-filters",
        removes="a run over one workspace keeps its place for itself",
        file="src/steward/work_stores/redis/legacy/migrating.py",
        find="f\"backfill:{workspace_id or '*'}\"",
        put='"backfill"',
        tests=("tests/migration/test_backfill.py::test_w134_each_filter_has_a_progress_of_its_own",),
    ),
    Mutation(
        name="the-place-is-passed",
        removes="a run that is limited goes on where it stopped",
        file="src/steward/work_stores/redis/legacy/migrating.py",
        find="            if self._execute and done and not self._tally.errors:\n",
        put="            if self._execute:\n",
        tests=("tests/migration/test_backfill.py::test_w133_limited_runs_come_to_the_end",),
    ),
    Mutation(
        name="time-to-live-forgotten",
        removes="a time to live goes along",
        file="src/steward/work_stores/redis/lua/migrate_job.lua",
        find="if left > 0 then\n",
        put="if false then\n",
        tests=("tests/migration/test_backfill.py::test_w136_a_time_to_live_and_an_id_with_colons_are_kept",),
    ),
)
