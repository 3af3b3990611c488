"""Own actions of the chaos runs: one to be asked before it is repeated, one that becomes several steps, and a quick one.

The book at the far end keeps every entry it is given, twice if it is told twice; only the probe keeps it right.
"""

from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final

import httpx2

from steward.action import ActionContext, ActionFailed, DidNotHappen, Happened, ProbeAnswer
from steward.actions import Content, Destination, action

FAN: Final = "chaos.fan"
LINE: Final = "chaos.line"
BOOK: Final = "chaos.book"
_PATIENCE_S: Final = 30.0


async def asked(url: Annotated[str, Destination], ctx: ActionContext) -> ProbeAnswer:
    """Ask the book whether it has the entry of this job."""
    async with httpx2.AsyncClient(timeout=_PATIENCE_S, trust_env=False) as client:
        answer = await client.get(f"{url}/{ctx.idempotency_key}")
    if answer.status_code == HTTPStatus.NOT_FOUND:
        return DidNotHappen()
    answer.raise_for_status()
    return Happened(answer.json())


@action(BOOK, effect="write", retry="probe", probe=asked)
async def book(url: Annotated[str, Destination], label: Annotated[str, Content], ctx: ActionContext) -> dict[str, Any]:
    """Enter a label in the book."""
    async with httpx2.AsyncClient(timeout=_PATIENCE_S, trust_env=False) as client:
        try:
            answer = await client.post(url, json={"label": label, "reference": ctx.idempotency_key})
        except httpx2.ConnectError as error:
            raise ActionFailed("book_closed", "The book could not be reached.", retryable=True) from error
    answer.raise_for_status()
    return answer.json()


@action(FAN, effect="read")
async def fan(url: Annotated[str, Destination], labels: Annotated[list[str], Content]) -> dict[str, Any]:
    """Say which messages to send; the dispatcher of a chaos process makes a child step of each."""
    return {"url": url, "labels": labels}


@action(LINE, effect="write")
async def line(path: Annotated[str, Destination], label: Annotated[str, Content]) -> dict[str, Any]:
    """Add a line to a file of this machine."""
    with Path(path).open("ab", buffering=0) as file:  # noqa: ASYNC230 - one short write, whole or not at all
        file.write(f"{label}\n".encode())
    return {"label": label}
