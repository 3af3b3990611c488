"""streaQ: 64 at a time, as many fetched ahead (its default), on uvloop."""

import os
from typing import Any

from ran import ran
from streaq import Worker

worker = Worker(
    redis_url=os.environ.get("PEERS_URL", "redis://127.0.0.1/0"), concurrency=64, anyio_kwargs={"use_uvloop": True}
)


@worker.task
async def body(p: Any) -> Any:
    """Do the job."""
    return ran(p)


async def connect(_: str) -> Any:
    """Return what enqueues."""
    await worker.__aenter__()
    return body


async def enqueue(task: Any, p: Any) -> None:
    """Enqueue one."""
    await task.enqueue(p)


async def enqueue_many(task: Any, ps: list[Any]) -> None:
    """Enqueue some in one pipeline."""
    await worker.enqueue_many([task.enqueue(p) for p in ps])


def work(_: str) -> None:
    """Work until killed."""
    worker.run_sync()
