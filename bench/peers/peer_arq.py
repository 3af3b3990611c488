"""arq: 64 at a time; it polls, here every 10 ms instead of every 500."""

import asyncio
from typing import Any

import uvloop
from arq.connections import RedisSettings, create_pool
from arq.worker import Worker
from ran import ran


async def body(_: Any, p: Any) -> Any:
    """Do the job."""
    return ran(p)


async def connect(url: str) -> Any:
    """Return the pool."""
    return await create_pool(RedisSettings.from_dsn(url))


async def enqueue(pool: Any, p: Any) -> None:
    """Enqueue one."""
    await pool.enqueue_job("body", p)


async def enqueue_many(pool: Any, ps: list[Any]) -> None:
    """Enqueue some; it has no call for that."""
    await asyncio.gather(*(enqueue(pool, p) for p in ps))


def work(url: str) -> None:
    """Work until killed."""
    asyncio.set_event_loop(uvloop.new_event_loop())
    Worker(functions=[body], redis_settings=RedisSettings.from_dsn(url), max_jobs=64, poll_delay=0.01).run()
