"""Whoever waits for something to change hears of it here; how a ring reaches other processes is each bell's own.

A ring is only a hint ("look again"), so a lost one costs at most a listener's own time-out. All that is inside it is whom
it is about, so that what happens in one workspace does not wake those who follow another.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from steward.listener import Listener

EVERYBODY: Final = ""
MOST_NAMED: Final = 8
"""A ring about more than this is about everybody."""
_BETWEEN: Final = ","


class Bell:
    """Rings the listeners of a topic in this process; an heir carries the ring to others. Use from one event loop."""

    def __init__(self) -> None:
        """Begin with nobody listening."""
        self._listeners: dict[str, dict[Listener, str]] = {}
        self._pending: dict[str, set[str]] = {}
        self._closed = False

    @contextlib.contextmanager
    def listen(self, topic: str, about: str = EVERYBODY) -> Iterator[Listener]:
        """Yield a listener for ``topic``, heard of by other processes while at least one is open.

        ``about`` is whose rings it hears beside those about everybody; blank: all.
        """
        listener = Listener()
        group = self._listeners.setdefault(topic, {})
        if not group:
            self._attend(topic)
        group[listener] = about
        try:
            yield listener
        finally:
            del group[listener]
            if not group:
                self._leave(topic)

    def ring(self, topic: str, about: str = EVERYBODY) -> None:
        """Wake listeners of ``topic`` here at once, and elsewhere at the end of this turn of the event loop.

        ``about``: whom it concerns; blank: everybody.
        """
        self._sound(topic, {about})
        if not self._closed:
            if not self._pending:
                asyncio.get_running_loop().call_soon(self._flush)
            self._pending.setdefault(topic, set()).add(about)

    def close(self) -> None:
        """Hear and tell nothing more of other processes."""
        self._closed = True

    def _sound(self, topic: str, concerned: set[str]) -> None:
        for listener, about in self._listeners.get(topic, {}).items():
            if about in concerned or EVERYBODY in concerned or about == EVERYBODY:
                listener.ring()

    def _flush(self) -> None:
        pending, self._pending = self._pending, {}
        if not self._closed:
            self._tell(pending)

    def _attend(self, topic: str) -> None:
        """Begin to hear rings for ``topic`` from elsewhere."""

    def _leave(self, topic: str) -> None:
        """Stop hearing them."""

    def _tell(self, pending: Mapping[str, set[str]]) -> None:
        """Carry rings to other processes: whom they concern, by topic."""


def written(concerned: set[str]) -> str:
    """Return what a ring says of whom it is about."""
    few = EVERYBODY not in concerned and len(concerned) <= MOST_NAMED
    return _BETWEEN.join(sorted(concerned)) if few else EVERYBODY


def read(rings: Iterable[str]) -> set[str]:
    """Return whom these rings are about."""
    return {name for ring in rings for name in ring.split(_BETWEEN)}
