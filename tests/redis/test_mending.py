"""Whatever is derived can be lost: it is worked out anew from the records, and then everything is as it was."""

from typing import Any

import pytest

from steward.work_stores.redis import RedisWorkEngine
from steward.work_stores.redis.keys import KEYS, key
from tests.contracts.builders import BETA, World
from tests.redis.history import live

pytestmark = pytest.mark.anyio

RECORDS = ("job", "plan", "approval", "action_name", "request_name", "workspace", "installation", "starts", "schema")
SPENT = ("all_events", "spendings", "units", "promises", "budgets", "claimed")


def _derived(raw: Any) -> dict[bytes, Any]:
    """Return everything that is derived, with what it holds."""
    kept = tuple(KEYS[name].partition("%")[0].encode() for name in (*RECORDS, *SPENT))
    found: dict[bytes, Any] = {}
    for name in raw.scan_iter():
        if not name.startswith(kept):
            read = {
                b"zset": lambda name: raw.zrange(name, 0, -1, withscores=True),
                b"list": lambda name: sorted(raw.lrange(name, 0, -1)),
                b"hash": raw.hgetall,
            }
            found[name] = read[raw.type(name)](name)
    return found


async def test_what_is_lost_is_worked_out_anew(engine: RedisWorkEngine, world: World, raw: Any) -> None:
    """With every index, queue, lease, schedule and count gone, mending brings back each of them as it was."""
    await live(world)
    before, shown = _derived(raw), (await world.visible(), await world.visible(BETA))
    assert {name.split(b":")[1] for name in before} == {
        *(b"index", b"queue", b"ready", b"running", b"scheduled", b"due", b"leases", b"expiry", b"ended")
    }
    raw.delete(*before)
    assert (await world.visible())["jobs"].jobs == ()
    await engine.mend()
    assert _derived(raw) == before
    assert (await world.visible(), await world.visible(BETA)) == shown


async def test_what_stands_somewhere_in_error_is_taken_out(engine: RedisWorkEngine, world: World, raw: Any) -> None:
    """Members without a record, in the wrong place, twice in the line, and wrong counts are put right."""
    await live(world)
    before = _derived(raw)
    ids = [job.job_id for job in (await world.visible())["jobs"].jobs]
    for index in ("pending", "running", "failed"):
        raw.zadd(key("jobs_in", "alpha", index), dict.fromkeys([*ids, "job_nobody"], 0))
    raw.zadd(key("ready", "alpha", "email.send"), dict.fromkeys([*ids, "job_nobody"], 0))
    raw.zadd(key("leases"), {"alpha job_nobody": 1, f"alpha {ids[0]}": 1})
    raw.zadd(key("plans_in", "alpha", "running"), {"plan_x": 0})
    raw.zadd(key("drafts"), {"alpha plan_nobody": 1})
    raw.rpush(key("ring"), "alpha", "alpha", "nowhere")
    raw.hset(key("running", "alpha"), "email.send", 77)
    await engine.mend()
    assert _derived(raw) == before


async def test_mending_a_sound_store_changes_nothing(engine: RedisWorkEngine, world: World, raw: Any) -> None:
    """However often; and it says how many records it looked at."""
    await live(world)
    before = _derived(raw)
    looked = await engine.mend()
    assert (looked.seen > 20, looked.differences) == (True, {})
    assert _derived(raw) == before


async def test_a_claim_passes_by_what_stands_in_line_in_error(world: World, raw: Any) -> None:
    """A ready job without a record, and a workspace in the line without jobs, are taken out by the claim that meets them."""
    submitted = await world.submit()
    raw.zadd(key("jobs_in", "alpha", "pending"), {"job_0nobody": 0})
    raw.lpush(key("ring"), "nowhere")
    taken = [lease.job.job_id for lease in await world.claim(2)]
    assert taken == list(submitted.job_ids)
    assert (raw.lrange(key("ring"), 0, -1), raw.zcard(key("jobs_in", "alpha", "pending"))) == ([], 0)
