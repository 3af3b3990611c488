"""Docket: 64 at a time; it looks for what is due every 5 ms instead of every 250."""

from datetime import timedelta
from typing import Any

import uvloop
from docket import Docket, Worker
from ran import ran


async def body(p: dict[str, Any]) -> None:
    """Do the job."""
    ran(p)


async def connect(url: str) -> Any:
    """Return the docket."""
    docket = Docket(name="bench", url=url)
    await docket.__aenter__()
    docket.register(body)
    return docket


async def enqueue(docket: Any, p: Any) -> None:
    """Enqueue one."""
    await docket.add(body)(p)


async def enqueue_many(docket: Any, ps: list[Any]) -> None:
    """Enqueue some, one after the other."""
    for p in ps:
        await enqueue(docket, p)


def work(url: str) -> None:
    """Work until killed."""

    async def run() -> None:
        settings = {"concurrency": 64, "minimum_check_interval": timedelta(milliseconds=5)}
        async with Worker(await connect(url), **settings) as worker:
            await worker.run_forever()

    uvloop.run(run())
