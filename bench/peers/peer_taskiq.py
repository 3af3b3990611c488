"""taskiq: a stream, which acknowledges, and a result backend; 64 at a time."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from ran import ran
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

URL = os.environ.get("PEERS_URL", "redis://127.0.0.1/0")
broker = RedisStreamBroker(URL).with_result_backend(RedisAsyncResultBackend(URL))


@broker.task
async def body(p: Any) -> Any:
    """Do the job."""
    return ran(p)


async def connect(_: str) -> Any:
    """Return what enqueues."""
    await broker.startup()
    return body


async def enqueue(task: Any, p: Any) -> None:
    """Enqueue one."""
    await task.kiq(p)


async def enqueue_many(task: Any, ps: list[Any]) -> None:
    """Enqueue some; it has no call for that."""
    await asyncio.gather(*(enqueue(task, p) for p in ps))


def become_worker(of: str) -> None:
    """Become the worker of a broker, which is named as its command line wants it."""
    os.chdir(Path(__file__).parent)
    more = ("-w", "1", "--max-async-tasks", "64")
    os.execv(sys.executable, [sys.executable, "-m", "taskiq", "worker", of, *more])


def work(_: str) -> None:
    """Become its own worker."""
    become_worker("peer_taskiq:broker")
