"""Actions that behave in every way that the web room must answer for. Loaded by name, like anybody's own actions."""

import asyncio
from typing import Annotated

from steward.action import ActionContext, ActionFailed, OutcomeUnknown
from steward.actions import Content, action

EXECUTIONS: list[str] = []
"""The idempotency key of every execution of ``sample.count``."""


@action("sample.echo", effect="read", sentences=["echo {text:text}"])
def echo(text: Annotated[str, Content]) -> dict[str, str]:
    """Give back what it was given."""
    return {"text": text}


@action("sample.count", effect="write", retry="keyed")
def count(text: Annotated[str, Content], ctx: ActionContext) -> dict[str, int]:
    """Remember that it ran."""
    EXECUTIONS.append(ctx.idempotency_key)
    return {"length": len(text)}


@action("sample.refuse", effect="write", retry="none")
def refuse(text: Annotated[str, Content]) -> None:
    """Fail for good, without an effect."""
    raise ActionFailed("refused_by_far_end", f"The far end does not want {len(text)} characters.")


@action("sample.doubt", effect="write", retry="none")
def doubt(text: Annotated[str, Content]) -> None:
    """End without anybody knowing whether it happened."""
    raise OutcomeUnknown("no_answer", f"The line went dead after {len(text)} characters.")


@action("sample.hang", effect="read", timeout_s=0.05, max_attempts=1)
async def hang(text: Annotated[str, Content]) -> str:
    """Never end by itself."""
    await asyncio.Event().wait()
    return text
