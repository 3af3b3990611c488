"""RQ: its worker that does not fork for each job; it does one job at a time."""

from typing import Any

from ran import ran
from rq import Queue, SimpleWorker

from redis import Redis


def body(p: Any) -> Any:
    """Do the job."""
    return ran(p)


async def connect(url: str) -> Any:
    """Return the queue."""
    return Queue(connection=Redis.from_url(url))


async def enqueue(queue: Any, p: Any) -> None:
    """Enqueue one."""
    queue.enqueue(body, p)


async def enqueue_many(queue: Any, ps: list[Any]) -> None:
    """Enqueue some in one pipeline."""
    queue.enqueue_many([Queue.prepare_data(body, (p,)) for p in ps])


def work(url: str) -> None:
    """Work until killed."""
    connection = Redis.from_url(url)
    SimpleWorker([Queue(connection=connection)], connection=connection).work(logging_level="WARNING")
