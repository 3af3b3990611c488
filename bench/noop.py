"""An action that does nothing, so that what is measured is everything around it. Its result says when it ran."""

import asyncio
import os
import time
from typing import Annotated, Final

from steward.actions import Content, action

begun: list[float] = []
"""When each ran in this process."""
_noted: Final = os.environ.get("NOOP_RAN")
_note: Final = None if _noted is None else os.open(_noted, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
"""Where each leaves a byte, so that another process sees that it ran without asking anybody."""


@action("bench.noop", effect="write", retry="keyed", sentences=["do nothing about {name:text}"])
async def noop(name: Annotated[str, Content]) -> dict[str, float]:  # noqa: ARG001 - what it would be about
    """Do nothing."""
    begun.append(time.perf_counter())
    if _note is not None:
        os.write(_note, b".")
    return {"at": begun[-1]}  # of the machine, so another process can compare


@action("bench.wait", effect="write", retry="keyed", sentences=["wait about {name:text}"])
async def wait(name: Annotated[str, Content]) -> dict[str, float]:  # noqa: ARG001 - what it would be about
    """Take five milliseconds, as a far end nearby does."""
    await asyncio.sleep(0.005)
    return {"at": time.perf_counter()}


@action("bench.pause", effect="write", retry="keyed", sentences=["pause about {name:text}"])
async def pause(name: Annotated[str, Content]) -> dict[str, float]:  # noqa: ARG001 - what it would be about
    """Take a tenth of a second, so that somebody can watch."""
    await asyncio.sleep(0.1)
    return {"at": time.perf_counter()}
