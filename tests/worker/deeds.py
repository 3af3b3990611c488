"""Own actions that write down every effect they have, and that can be made to hang, fail or doubt."""

import asyncio
import threading
from dataclasses import dataclass, field
from typing import Annotated, Any

from steward.action import Action, ActionContext, DidNotHappen, ProbeAnswer, RetryMode
from steward.actions import Content, Destination, Secret, action


@dataclass
class Deeds:
    """What happened in the world, and what the actions are told to do next."""

    done: list[str] = field(default_factory=list)
    """The idempotency key of every effect, in order."""
    fails: list[Exception] = field(default_factory=list)
    """Raised one by one, before any effect."""
    hangs: int = 0
    """How many attempts hang after their effect, until the loop cancels them."""
    probe: ProbeAnswer = field(default_factory=DidNotHappen)
    probes: int = 0
    began: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    gate: threading.Event = field(default_factory=threading.Event)

    def write(self, action_id: str, mode: RetryMode, *, timeout_s: float = 5.0, max_attempts: int = 5) -> Action:
        """Return an asynchronous write of one retry mode, whose parameter is ``text``."""

        def ask() -> ProbeAnswer:
            self.probes += 1
            return self.probe

        @action(
            action_id,
            effect="write",
            retry=mode.value,
            probe=ask if mode is RetryMode.PROBE else None,
            timeout_s=timeout_s,
            max_attempts=max_attempts,
        )
        async def write(text: Annotated[str, Content], ctx: ActionContext) -> dict[str, str]:
            if self.fails:
                raise self.fails.pop(0)
            self.done.append(ctx.idempotency_key)
            if self.hangs:
                self.hangs -= 1
                self.began.set()
                await self.go_on.wait()
            return {"said": text}

        return write

    def blocking(self, action_id: str, mode: RetryMode, *, timeout_s: float) -> Action:
        """Return a synchronous write that blocks its thread until the gate opens, and only then has its effect."""
        loop = asyncio.get_running_loop()

        @action(action_id, effect="write", retry=mode.value, timeout_s=timeout_s)
        def block(text: Annotated[str, Content], ctx: ActionContext) -> dict[str, str]:
            loop.call_soon_threadsafe(self.began.set)
            self.gate.wait(20)
            self.done.append(ctx.idempotency_key)
            return {"said": text}

        return block

    def read(self, action_id: str = "deeds.read", *, timeout_s: float = 5.0, result: Any = None) -> Action:
        """Return a read that gives back ``result`` (or hangs while told to)."""

        @action(action_id, effect="read", timeout_s=timeout_s)
        async def read() -> Any:
            if self.fails:
                raise self.fails.pop(0)
            if self.hangs:
                self.hangs -= 1
                self.began.set()
                await self.go_on.wait()
            return result

        return read


def note(done: list[Any]) -> Action:
    """Return a keyed write that appends its text to ``done``."""

    @action("deeds.note", effect="write", retry="keyed", sentences=["note {text:text}"])
    async def note(text: Annotated[str, Content]) -> dict[str, str]:
        done.append(text)
        return {"text": text}

    return note


def post(done: list[Any]) -> Action:
    """Return a write with a destination, a secret and content."""

    @action(
        "deeds.post", effect="write", retry="keyed", sentences=["deliver {text:text} to {to:email} with key {key:word}"]
    )
    async def post(
        to: Annotated[str, Destination], key: Annotated[str, Secret], text: Annotated[str, Content] = "hello"
    ) -> dict[str, str]:
        done.append((to, key, text))
        return {"to": to}

    return post
