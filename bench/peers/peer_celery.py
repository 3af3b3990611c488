"""Celery: one process of 64 threads with results kept, and no word to other workers: no gossip, mingle or heartbeat."""

import os
from typing import Any

from celery import Celery
from ran import ran

URL = os.environ.get("PEERS_URL", "redis://127.0.0.1/0")
app = Celery("bench", broker=URL, backend=URL)


@app.task
def body(p: Any) -> Any:
    """Do the job."""
    return ran(p)


async def connect(_: str) -> Any:
    """Return what enqueues, when its client is loaded and connected."""
    with app.producer_or_acquire() as producer:
        producer.channel.client.ping()
    app.backend.client.ping()
    return body


async def enqueue(task: Any, p: Any) -> None:
    """Enqueue one."""
    task.delay(p)


async def enqueue_many(task: Any, ps: list[Any]) -> None:
    """Enqueue some, one after the other."""
    for p in ps:
        task.delay(p)


def work(_: str) -> None:
    """Work until killed."""
    alone = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    app.worker_main(["worker", "-P", "threads", "-c", "64", "-l", "WARNING", *alone])
