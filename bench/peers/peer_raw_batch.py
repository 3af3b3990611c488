"""As ``raw``, but what is done during a round trip is told in one call."""

from peer_raw import connect, enqueue, enqueue_many
from peer_raw import work as work_one_by_one

__all__ = ["connect", "enqueue", "enqueue_many", "work"]


def work(url: str) -> None:
    """Work until killed."""
    work_one_by_one(url, together=True)
