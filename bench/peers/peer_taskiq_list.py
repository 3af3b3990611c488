"""taskiq on a list: 64 at a time and a result backend, but no acknowledgement, so a worker that dies loses what it had taken."""

from typing import Any

from peer_taskiq import URL, become_worker, enqueue, enqueue_many
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
    become_worker("peer_taskiq_list:broker")
