"""Own actions, as a user would write them, for what the built-in ones never do: wait for a sign, end in doubt, break."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

from steward.action import ActionFailed, OutcomeUnknown
from steward.actions import Content, action


@action("odd.wait", effect="read", sentences=["wait for {name:text}"])
async def wait(name: Annotated[str, Content]) -> str:
    """Wait until somebody writes into the named pipe."""
    pipe = os.open(Path(os.environ["ODD_FOLDER"]) / name, os.O_RDONLY | os.O_NONBLOCK)
    came = asyncio.Event()
    asyncio.get_running_loop().add_reader(pipe, came.set)
    try:
        await came.wait()
    finally:
        asyncio.get_running_loop().remove_reader(pipe)
        os.close(pipe)
    return f"{name} came"


@action("odd.hang", effect="read", sentences=["hang on {name:text}"])
def hang(name: Annotated[str, Content]) -> str:
    """Block a thread, as badly written code does, until somebody opens the named pipe for writing."""
    return (Path(os.environ["ODD_FOLDER"]) / name).read_text()


@action("odd.doubt", effect="write", retry="none", sentences=["doubt {text:text}"])
def doubt(text: Annotated[str, Content]) -> None:
    """End without knowing whether it happened."""
    raise OutcomeUnknown("no_answer", f"The far end fell silent after {len(text)} characters.")


@action("odd.refuse", effect="write", retry="none", sentences=["refuse {text:text}"])
def refuse(text: Annotated[str, Content]) -> None:
    """Fail for certain."""
    raise ActionFailed("no_thanks", f"The far end declined {len(text)} characters.")


@action("odd.say", effect="read", sentences=["say {text:text} to {whom:name}"])
def say(text: Annotated[str, Content], whom: Annotated[str, Content]) -> dict[str, str]:
    """Return a greeting."""
    return {"said": f"{text}, {whom}", "bell": "\x1b[31m\x07"}
