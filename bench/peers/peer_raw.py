"""The bare client: one script to enqueue, one to take as many as there is room for, one for each that is done.

A job is a hash, the queue a list, what is under way a sorted set. No index, no events, no names, no tenants.
"""

import asyncio
import itertools
import json
import os
import time
from typing import Any

import uvloop
from ran import ran

from redis import asyncio as aioredis

PUT = (
    "redis.call('HSET', 'job:' .. ARGV[1], 'payload', ARGV[2], 'state', 'queued') redis.call('LPUSH', 'queue', ARGV[1])"
)
TAKE = """local taken = {}
for _, id in ipairs(redis.call('RPOP', 'queue', ARGV[1]) or {}) do
  redis.call('ZADD', 'leases', ARGV[2], id)
  taken[#taken + 1] = { id, redis.call('HGET', 'job:' .. id, 'payload') }
end
return taken"""
END = """for i = 1, #ARGV, 2 do
  redis.call('HSET', 'job:' .. ARGV[i], 'state', 'done', 'result', ARGV[i + 1])
  redis.call('ZREM', 'leases', ARGV[i])
  redis.call('EXPIRE', 'job:' .. ARGV[i], 3600)
end"""
SLOTS, IDLE_S = 64, 0.002
TOGETHER = False
_numbers = itertools.count()
_own = os.urandom(6).hex()


def _arguments(p: Any) -> tuple[str, str]:
    return f"{_own}{next(_numbers):012x}", json.dumps(p)


async def connect(url: str) -> Any:
    """Return the client and the name of the script that enqueues."""
    client = aioredis.Redis.from_url(url)
    return client, await client.script_load(PUT)


async def enqueue(handle: Any, p: Any) -> None:
    """Enqueue one."""
    client, put = handle
    await client.evalsha(put, 0, *_arguments(p))


async def enqueue_many(handle: Any, ps: list[Any]) -> None:
    """Enqueue some in one pipeline."""
    client, put = handle
    pipeline = client.pipeline(transaction=False)
    for p in ps:
        pipeline.evalsha(put, 0, *_arguments(p))
    await pipeline.execute()


def work(url: str, *, together: bool = TOGETHER) -> None:
    """Work until killed; ``together``: what is done during a round trip is told in one call."""
    uvloop.run(_work(url, together))


async def _work(url: str, together: bool) -> None:
    client = aioredis.Redis.from_url(url)
    take, end = await client.script_load(TAKE), await client.script_load(END)
    free, changed, done, running = SLOTS, asyncio.Event(), [], set()

    async def carry_out(job_id: bytes, p: bytes) -> None:
        nonlocal free
        ended = (job_id, json.dumps(ran(json.loads(p))))
        if together:
            done.extend(ended)
        else:
            await client.evalsha(end, 0, *ended)
        free += 1
        changed.set()

    while True:
        if done:
            ended, done[:] = done[:], []
            await client.evalsha(end, 0, *ended)
        taken = await client.evalsha(take, 0, free, time.time() + 30) if free else []
        free -= len(taken)
        for job_id, p in taken:
            task = asyncio.create_task(carry_out(job_id, p))
            running.add(task)
            task.add_done_callback(running.discard)
        if not taken and free == SLOTS:
            await asyncio.sleep(IDLE_S)
        else:
            await changed.wait()
            changed.clear()
