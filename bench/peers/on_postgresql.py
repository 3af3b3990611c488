"""What the peers on PostgreSQL have in common: how they are measured, so that only what they are told differs.

It runs in a virtualenv of the peer's own and knows nothing of Steward. ``python procrastinate.py URL COUNT`` prints JSON.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import psycopg
import uvloop

BATCH = 100
SLOTS = 64
PAYLOAD: dict[str, Any] = {
    "to": "office@example.com",
    "subject": "The lift is repaired",
    "text": "The lift is repaired and may be used again. " * 5,
}


async def enqueue(count: int, one: Callable[[], Awaitable[Any]], many: Callable[[int], Awaitable[Any]]) -> list[float]:
    """Return the jobs per second that are put in place: one after the other, and a hundred at a time."""
    began = time.perf_counter()
    for _ in range(count // 4):
        await one()
    between = time.perf_counter()
    for _ in range(count // BATCH):
        await many(BATCH)
    return [count // 4 / (between - began), count / (time.perf_counter() - between)]


async def until_done(url: str, query: str, count: int, begun: Sequence[float]) -> float:
    """Return the jobs per second from the moment in which the first one began until the peer's own records have all."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while True:
            answer = await (await connection.execute(query.encode())).fetchone()
            if answer is not None and answer[0] >= count:
                return count / (time.perf_counter() - begun[0])
            await asyncio.sleep(0.05)


def run(measure: Callable[[str, int], Coroutine[Any, Any, list[float]]]) -> None:
    """Measure with the arguments of this process and print the rates."""
    url, count = sys.argv[1:]
    print(json.dumps(uvloop.run(measure(url, int(count)))))
