"""Long work on the event loop in short pieces, so that whoever else has something to do there never waits for all of it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

_MOUTHFUL: Final = 50
"""A fraction of a millisecond's work, where one takes some microseconds."""


async def in_mouthfuls(things: Sequence[T]) -> AsyncIterator[Sequence[T]]:
    """Yield some of the things at a time, others having had their turn in between."""
    for start in range(0, len(things), _MOUTHFUL):
        if start:
            await asyncio.sleep(0)
        yield things[start : start + _MOUTHFUL]
