"""Own actions for processes that are killed: each reports every execution into a named pipe, and hangs the first time."""

import asyncio
import os
from pathlib import Path

from steward.action import ActionContext
from steward.actions import action


async def _report_and_hang_once(name: str, key: str) -> None:
    folder = Path(os.environ["REPORT_FOLDER"])
    pipe = os.open(folder / "reports", os.O_WRONLY)
    os.write(pipe, f"{name} {os.getpid()} {key}\n".encode())
    os.close(pipe)
    try:
        (folder / f"hang-{name}").unlink()
    except FileNotFoundError:
        return
    await asyncio.Event().wait()


@action("process.keyed", effect="write", retry="keyed")
async def keyed(ctx: ActionContext) -> str:
    """Do something that may be repeated with its key."""
    await _report_and_hang_once("keyed", ctx.idempotency_key)
    return "done"


@action("process.once", effect="write", retry="none")
async def once(ctx: ActionContext) -> str:
    """Do something that nobody may repeat."""
    await _report_and_hang_once("once", ctx.idempotency_key)
    return "done"


@action("process.look", effect="read")
async def look(ctx: ActionContext) -> str:
    """Look at something."""
    await _report_and_hang_once("look", ctx.idempotency_key)
    return "seen"
