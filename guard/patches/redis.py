"""What the engine on Redis does so that nothing is half done, done twice, or lost."""

from typing import Final

from guard.mutation import Mutation

_ENGINE: Final = "src/steward/work_stores/redis"
_SHARED: Final = f"{_ENGINE}/lua/shared"
_RESENDING: Final = ("tests/redis/test_resending.py",)
_DAMAGED: Final = ("tests/redis/test_damaged_fields.py",)
_CONTRACTS: Final = "tests/contracts"
_SCRIPTS: Final = f"{_ENGINE}/scripts.py"
_TENANCY: Final = (f"{_CONTRACTS}/test_tenancy.py",)
_PARTS: Final = '[part.strip() for part in found[2].split(",")]'


def _without_workspace(*keys: str) -> str:
    """Return what makes these keys in scripts without the workspace, which is the first part of each."""
    which = f"{{{', '.join(map(repr, keys))}}}"
    return (
        f"""["''" if not n and found[1] in {which} else part.strip() for n, part in enumerate(found[2].split(","))]"""
    )


REDIS: Final = (
    Mutation(
        name="redis-fence-given-twice",
        removes="of two who were given the same fence, because a server forgot the first, one may begin",
        file="src/steward/work_stores/redis/lua/dispatch.lua",
        find="  if claimed_at ~= '' and redis.pcall('HGET', key, 'claimed_at') ~= claimed_at then return KNOWN end\n",
        put="",
        tests=("tests/redis/test_durability.py",),
    ),
    Mutation(
        name="redis-fence-given-twice-fully",
        removes="the same where a budget counts",
        file="src/steward/work_stores/redis/lua/dispatch_fully.lua",
        find=" and (claimed_at == '' or job.claimed_at == claimed_at)",
        put="",
        tests=("tests/redis/test_durability.py",),
    ),
    Mutation(
        name="redis-sweep-by-an-old-look",
        removes="a lost lease whose job was dispatched since the sweep looked is looked at again",
        file="src/steward/work_stores/redis/lua/settle_fully.lua",
        find="is_over and tonumber(job.dispatched_at or '') == dispatched_at",
        put="is_over",
        tests=("tests/redis/test_wrong_clocks.py",),
    ),
    Mutation(
        name="redis-types-not-checked",
        removes="a script checks what it will write to before it writes",
        file=f"{_SHARED}/flush.lua",
        find="  check_types()\n  for _, command",
        put="  for _, command",
        tests=("tests/redis/test_damage.py",),
    ),
    Mutation(
        name="redis-any-fence",
        removes="only the current lease may act on a job",
        file=f"{_SHARED}/transitions.lua",
        find="job and job.fence == fence and job.status == 'running'",
        put="job and job.status == 'running'",
        tests=(f"{_CONTRACTS}/test_dispatch_and_fence.py",),
    ),
    Mutation(
        name="redis-settled-twice",
        removes="a settlement that is sent again is known",
        file=f"{_SHARED}/transitions.lua",
        find="if type(last) == 'table' and last.outcome == word and last.fence == number_of(fence) then return job end",
        put="return nil",
        tests=_RESENDING,
    ),
    Mutation(
        name="redis-record-says-whose-it-is",
        removes="a job whose record says another workspace stays in that of its key",
        file=f"{_SHARED}/rows.lua",
        find="fields.workspace_id, fields[id_field] = workspace, id",
        put="fields[id_field] = id",
        tests=_DAMAGED,
    ),
    Mutation(
        name="redis-claimed-for-another",
        removes="a ready job whose record says another workspace is not leased for that one",
        file=f"{_ENGINE}/lua/claim.lua",
        find="own ~= id or whose ~= of.workspace or status",
        put="own ~= id or status",
        tests=_DAMAGED,
    ),
    Mutation(
        name="redis-fence-too-long",
        removes="a fence that is the same after one more claim is not given out",
        file=f"{_SHARED}/call.lua",
        find="return #value < 16 and value:find",
        put="return value:find",
        tests=_DAMAGED,
    ),
    Mutation(
        name="redis-claimed-twice",
        removes="a claim that is sent again gives the same leases",
        file=f"{_ENGINE}/lua/claim_fully.lua",
        find="  if list[1] ~= claim_id then return false end\n",
        put="  if list[1] then return false end\n",
        tests=_RESENDING,
    ),
    Mutation(
        name="redis-any-payload",
        removes="a name stands for one payload",
        file=f"{_SHARED}/names.lua",
        find="if not (' ' .. name.digests .. ' '):find(' ' .. kept .. ' ', 1, true) then",
        put="if false then",
        tests=(f"{_CONTRACTS}/test_idempotency.py",),
    ),
    Mutation(
        name="redis-names-in-company",
        removes="of two submissions that go to Redis together, the second knows the names of the first",
        file=f"{_ENGINE}/lua/submit_ones.lua",
        find="if taken[key] then return false end",
        put="if false then return false end",
        tests=("tests/redis/test_company.py",),
    ),
    Mutation(
        name="redis-before-the-disk",
        removes="an effect that nobody could repeat waits until its record is on disk",
        file=f"{_ENGINE}/dispatcher.py",
        find="return self._durability.waits and any(map(must_not_be_forgotten, jobs))",
        put="return False",
        tests=("tests/redis/test_durability.py",),
    ),
    Mutation(
        name="redis-that-evicts",
        removes="a Redis that throws keys away is refused",
        file=f"{_ENGINE}/durability.py",
        find='    if policy != "noeviction":\n',
        put="    if False:\n",
        tests=("tests/redis/test_durability.py",),
    ),
    Mutation(
        name="redis-jobs-of-any-workspace",
        removes="a job's key has its workspace in it",
        file=_SCRIPTS,
        find=_PARTS,
        put=_without_workspace("job"),
        tests=_TENANCY,
        at_least=3,
    ),
    Mutation(
        name="redis-list-jobs-of-all",
        removes="the index of a workspace's jobs is its own",
        file=_SCRIPTS,
        find=_PARTS,
        put=_without_workspace("job", "jobs", "jobs_in"),
        tests=(
            f"{_CONTRACTS}/test_tenancy.py::test_w47_listings_show_only_ones_own",
            f"{_CONTRACTS}/test_listing.py::test_w38_a_small_workspace_among_many_foreign_jobs",
            f"{_CONTRACTS}/test_listing.py::test_w47_no_combination_returns_a_foreign_job",
        ),
        at_least=3,
    ),
    Mutation(
        name="redis-names-of-any-workspace",
        removes="a name that a client gives has its workspace in its key",
        file=f"{_ENGINE}/keys.py",
        find='"request_name": "ai:request:%s:%s"',
        put='"request_name": "ai:request:%.0s:%s"',
        also=(('"action_name": "ai:idempotency:%s:%s"', '"action_name": "ai:idempotency:%.0s:%s"'),),
        tests=(f"{_CONTRACTS}/test_idempotency.py::test_w20_workspaces_are_separate_namespaces",),
    ),
    Mutation(
        name="redis-spent-by-everybody",
        removes="what others reserved is not counted",
        file=_SCRIPTS,
        find=_PARTS,
        put=_without_workspace("units"),
        tests=(f"{_CONTRACTS}/test_budgets.py::test_budgets_are_the_workspaces_own",),
    ),
    Mutation(
        name="redis-running-of-everybody",
        removes="running jobs of other workspaces are not counted",
        file=_SCRIPTS,
        find=_PARTS,
        put=_without_workspace("running"),
        tests=(f"{_CONTRACTS}/test_caps.py",),
    ),
    Mutation(
        name="redis-starts-of-everybody",
        removes="starts of other workspaces are not counted",
        file=_SCRIPTS,
        find=_PARTS,
        put=_without_workspace("starts"),
        tests=(f"{_CONTRACTS}/test_caps.py",),
    ),
    Mutation(
        name="redis-phase-by-anybody",
        removes="the phase is moved from the one that was looked at, and from no other",
        file=f"{_ENGINE}/lua/schema_move.lua",
        find="if (is or '') ~= from and (is or 'new-only') ~= from then return 0 end\n",
        put="",
        tests=("tests/migration/test_phases.py::test_w120_of_several_who_move_the_phase_at_once_one_does",),
    ),
    Mutation(
        name="work-left-behind",
        removes="work is not left behind when REDIS_URL is set",
        file="src/steward/work_home.py",
        find="        if not moves and await in_database.holds_work():\n",
        put="        if False:\n",
        tests=("tests/redis/test_work_home.py",),
    ),
    Mutation(
        name="work-left-in-redis",
        removes="work is not left behind when REDIS_URL is unset",
        file="src/steward/work_home.py",
        find="                if not await engine.holds_work():\n",
        put="                if True:\n",
        tests=("tests/redis/test_work_home.py",),
    ),
)
