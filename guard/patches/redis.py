"""What the engine on Redis does so that nothing is half done, done twice, or lost."""

from typing import Final

from guard.mutation import Mutation

_ENGINE: Final = "src/steward/work_stores/redis"
_SHARED: Final = f"{_ENGINE}/lua/shared"
_RESENDING: Final = ("tests/redis/test_resending.py",)
_CONTRACTS: Final = "tests/contracts"

REDIS: Final = (
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
        find="if last.outcome == word and whole(last.fence) == fence then return job end",
        put="return nil",
        tests=_RESENDING,
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
        name="redis-before-the-disk",
        removes="an effect that nobody could repeat waits until its record is on disk",
        file=f"{_ENGINE}/dispatcher.py",
        find="        if told != _DECLINED and self._durability.waits and any(map(_doubtful, told)):\n",
        put="        if False:\n",
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
