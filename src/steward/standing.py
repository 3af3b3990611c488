"""Who somebody is now, and by which rules their work is judged now.

Attempts that begin in the same turn of the event loop share an answer, also one that has to be waited for: a crowd of one
person's jobs costs one look-up. Nobody who asks after that turn is told the same, so nobody is ever judged by what was true
before they asked.

A worker that wakes up looks ahead: what the directory says of whoever was asked about last is read while it claims, and so
is in the directory's short memory when it is needed, which is as long as the directory would have remembered it anyhow.
"""

import asyncio
from dataclasses import dataclass, field

from steward.directory import Directory
from steward.identity import Principal
from steward.policy import Policies, Policy


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds for an actor in a workspace."""

    principal: Principal | None
    """None: they may do nothing here any more."""
    policy: Policy


@dataclass(slots=True)
class _Question:
    """What is asked in this turn of the event loop."""

    answer: Standing | None = None
    waiting: list[asyncio.Future[Standing | None]] = field(default_factory=list)
    """Those who asked the same before it was answered; a future for each, so that one may stop waiting."""


class Standings:
    """Answers from the directory and the workspaces' policies. Use from one event loop."""

    def __init__(self, directory: Directory, policies: Policies) -> None:
        """Ask these."""
        self._directory = directory
        self._policies = policies
        self._questions: dict[tuple[str, str], _Question] = {}
        self._last: tuple[str, str] | None = None
        self._ahead: asyncio.Task[Standing] | None = None

    async def of(self, workspace_id: str, actor_id: str) -> Standing:
        """Return how an actor stands now."""
        question = self._questions.get((workspace_id, actor_id))
        if question is None:
            return await self._ask(workspace_id, actor_id)
        if question.answer is not None:
            return question.answer
        answer: asyncio.Future[Standing | None] = asyncio.get_running_loop().create_future()
        question.waiting.append(answer)
        return await answer or await self._ask(workspace_id, actor_id)

    def look_ahead(self) -> None:
        """Begin to read how whoever was asked about last stands now; nobody waits for it."""
        if self._last is not None and (self._ahead is None or self._ahead.done()):
            self._ahead = asyncio.create_task(self._read(*self._last))
            self._ahead.add_done_callback(_heeded)

    async def _read(self, workspace_id: str, actor_id: str) -> Standing:
        principal = await self._directory.principal_of(workspace_id, actor_id)  # beside each other they would be tasks
        return Standing(principal, await self._policies.of(workspace_id))

    async def _ask(self, workspace_id: str, actor_id: str) -> Standing:
        """Ask, and share the answer with whoever asks in this turn."""
        if not self._questions:
            asyncio.get_running_loop().call_soon(self._over)
        question = self._questions[workspace_id, actor_id] = _Question()
        try:
            self._last = workspace_id, actor_id
            question.answer = await self._read(workspace_id, actor_id)
            return question.answer
        finally:  # without an answer each asks for itself, and meets an error of its own
            if question.answer is None and self._questions.get((workspace_id, actor_id)) is question:
                del self._questions[workspace_id, actor_id]
            for answer in question.waiting:
                if not answer.done():
                    answer.set_result(question.answer)

    def _over(self) -> None:
        self._questions = {}


def _heeded(ahead: asyncio.Task[Standing]) -> None:
    """Take note of how it ended, so that an error is nobody's: whoever asks meets one of their own."""
    if not ahead.cancelled():
        ahead.exception()
