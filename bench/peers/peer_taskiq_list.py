"""taskiq on a list: 64 at a time and a result backend, but no acknowledgement, so a worker that dies loses what it had taken."""

import os
import sys
from pathlib import Path
from typing import Any

from peer_taskiq import URL, enqueue, enqueue_many
from ran import ran
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

__all__ = ["body", "broker", "connect", "enqueue", "enqueue_many", "work"]

broker = ListQueueBroker(URL).with_result_backend(RedisAsyncResultBackend(URL))


@broker.task
async def body(p: Any) -> Any:
    """Do the job."""
    return ran(p)


async def connect(_: str) -> Any:
    """Return what enqueues."""
    await broker.startup()
    return body


def work(_: str) -> None:
    """Become its own worker."""
    os.chdir(Path(__file__).parent)
    more = ("-w", "1", "--max-async-tasks", "64")
    os.execv(sys.executable, [sys.executable, "-m", "taskiq", "worker", "peer_taskiq_list:broker", *more])
