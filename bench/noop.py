"""An action that does nothing, so that what is measured is everything around it. It notes when it ran."""

import asyncio
import time
from typing import Annotated

from steward.actions import Content, action

STARTED: dict[str, float] = {}
ALL_STARTED = asyncio.Event()
EXPECTED = [0]


@action("bench.noop", effect="write", retry="keyed", sentences=["do nothing about {name:text}"])
async def noop(name: Annotated[str, Content]) -> dict[str, str]:
    """Do nothing."""
    STARTED[name] = time.perf_counter()
    if len(STARTED) == EXPECTED[0]:
        ALL_STARTED.set()
    return {"name": name}


@action("bench.wait", effect="write", retry="keyed", sentences=["wait about {name:text}"])
async def wait(name: Annotated[str, Content]) -> dict[str, str]:
    """Take five milliseconds, as a far end nearby does."""
    await asyncio.sleep(0.005)
    return {"name": name}
