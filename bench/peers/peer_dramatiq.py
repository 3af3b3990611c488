"""Dramatiq: one process of eight threads, its default, with results kept."""

import os
import sys
from pathlib import Path
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend
from ran import ran

URL = os.environ.get("PEERS_URL", "redis://127.0.0.1/0")
broker = RedisBroker(url=URL)
broker.add_middleware(Results(backend=RedisBackend(url=URL)))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True)
def body(p: Any) -> Any:
    """Do the job."""
    return ran(p)


async def connect(_: str) -> Any:
    """Return what enqueues."""
    return body


async def enqueue(actor: Any, p: Any) -> None:
    """Enqueue one."""
    actor.send(p)


async def enqueue_many(actor: Any, ps: list[Any]) -> None:
    """Enqueue some; it has no call for that."""
    for p in ps:
        actor.send(p)


def work(_: str) -> None:
    """Become its own worker."""
    os.chdir(Path(__file__).parent)
    os.execv(sys.executable, [sys.executable, "-m", "dramatiq", "peer_dramatiq", "-p", "1", "-t", "8"])
