"""SAQ: 64 at a time, on uvloop."""

import asyncio
from typing import Any

import uvloop
from ran import ran
from saq import Queue, Worker


async def body(_: Any, *, p: Any) -> Any:
    """Do the job."""
    return ran(p)


async def connect(url: str) -> Any:
    """Return the queue."""
    queue = Queue.from_url(url)
    await queue.connect()
    return queue


async def enqueue(queue: Any, p: Any) -> None:
    """Enqueue one."""
    await queue.enqueue("body", p=p)


async def enqueue_many(queue: Any, ps: list[Any]) -> None:
    """Enqueue some; it has no call for that."""
    await asyncio.gather(*(enqueue(queue, p) for p in ps))


def work(url: str) -> None:
    """Work until killed."""

    async def run() -> None:
        await Worker(await connect(url), [("body", body)], concurrency=64).start()

    uvloop.run(run())
