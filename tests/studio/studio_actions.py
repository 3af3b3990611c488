"""Own actions, as a user would write them, for what the built-in ones never do on demand: wait, doubt, fail, bring bad things."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

from steward.action import ActionFailed, OutcomeUnknown
from steward.actions import Content, action

HOSTILE = "<script>window.hit = 'script'</script><img src=x onerror=\"window.hit = 'img'\"> Bank \u202egro.live@ofni"


@action("sample.wait", effect="read", sentences=["wait for {name:text}"])
async def wait(name: Annotated[str, Content]) -> str:
    """Wait until somebody writes into the named pipe."""
    pipe = os.open(Path(os.environ["STUDIO_FOLDER"]) / name, os.O_RDONLY | os.O_NONBLOCK)
    came = asyncio.Event()
    asyncio.get_running_loop().add_reader(pipe, came.set)
    try:
        await came.wait()
    finally:
        asyncio.get_running_loop().remove_reader(pipe)
        os.close(pipe)
    return f"{name} came"


@action("sample.doubt", effect="write", retry="none", sentences=["doubt {text:text}"])
def doubt(text: Annotated[str, Content]) -> None:
    """End without knowing whether it happened."""
    raise OutcomeUnknown("no_answer", f"The far end fell silent after {len(text)} characters.")


@action("sample.refuse", effect="write", retry="none", sentences=["refuse {text:text}"])
def refuse(text: Annotated[str, Content]) -> None:
    """Fail until a file of this name is there."""
    if not (Path(os.environ["STUDIO_FOLDER"]) / text).exists():
        raise ActionFailed("no_thanks", "The far end declined.")


@action("sample.hostile", effect="read", sentences=["look into the letterbox"])
def hostile() -> str:
    """Return what a stranger wrote."""
    return HOSTILE
