"""What the SQL engine's two faces share: a verb is run in one transaction, and once that is committed, told and rung."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

import structlog
from sqlalchemy import Connection

from steward.clock import Clock, milliseconds
from steward.database import Bell, Database
from steward.errors import Conflict, StewardError
from steward.event import EventSink, EventType
from steward.together import Together
from steward.work_store import Submitted
from steward.work_stores.sql.recent import Recent
from steward.work_stores.sql.submit import Asked, may_be_new, submit_all, submit_new
from steward.work_stores.sql.transaction import Work
from steward.work_stores.sql.turns import NoTurn, make_queues

T = TypeVar("T")
WORK: Final = "work"
EVENTS: Final = "events"
_GROUP: Final = 128
"""Most submissions in one transaction."""
_TURNS: Final = 5
"""Turns of the loop between the submissions of a crowd, where one transaction at a time is written: in a few turns an answer over
HTTP has left and the next request has come. A commit of four costs half as much again as a commit of one.
"""


def request_id() -> str | None:
    """Return which request this is done for, if any."""
    return structlog.contextvars.get_contextvars().get("request_id")


@dataclass(frozen=True, slots=True)
class Shared:
    """Database, bell and clock, and whoever is to be told."""

    database: Database
    bell: Bell
    clock: Clock
    sinks: tuple[EventSink, ...]
    submits: WeakValueDictionary[Any, Together[Asked, Submitted | StewardError]] = field(
        default_factory=WeakValueDictionary
    )
    """Submissions that come at the same moment, by workspace and loop, as long as somebody waits for one."""
    recent: Recent = field(default_factory=Recent)
    wanted: frozenset[str] = field(init=False)
    """Types of events that a sink wants to be told of; the others, most of a drain's, are not even made."""

    def __post_init__(self) -> None:
        """Ask the sinks what they want."""
        wanted = frozenset(str(kind) for sink in self.sinks for kind in getattr(sink, "wants", EventType))
        object.__setattr__(self, "wanted", wanted)

    @property
    def now(self) -> int:
        """The time in milliseconds by the store's clock."""
        return milliseconds(self.clock.now())

    async def change(self, verb: Callable[[Work], T], *, tenant: str | None = None) -> T:
        """Run a verb in one transaction, of one workspace if it is for a ``tenant``; once it is committed tell and ring."""
        asked_in = request_id()

        def run(connection: Connection) -> tuple[T, Work]:
            work = Work(connection, self.now, asked_in)
            if tenant is not None:
                work.lock([tenant], new=True)
            answer = verb(work)
            work.flush()
            return answer, work

        how = {"tenant": tenant, "locks": True, "piped": True, "patient": tenant is None}
        try:
            answer, _ = await self.database.write(run, self._announce, **how)
        except NoTurn as none:
            missing = none.workspaces
            await self.database.write(lambda connection: make_queues(connection, missing), **how)
            answer, _ = await self.database.write(run, self._announce, **how)
        return answer

    async def submit(self, asked: Asked) -> Submitted:
        """Put a submission in place, with the others that are waiting for this workspace."""
        workspace_id = asked.principal.workspace_id

        async def ask(group: Sequence[Asked]) -> Sequence[Submitted | StewardError]:
            if self.database.kind.writers > 1 and may_be_new(group):
                new = await self.submit_new(group, workspace_id)
                if new is not None:
                    return new
            return await self.change(lambda work: submit_all(work, group), tenant=workspace_id)

        here = (workspace_id, asyncio.get_running_loop())
        turns = _TURNS if self.database.kind.writers == 1 else 0
        together = self.submits.setdefault(here, Together(ask, most=_GROUP, turns=turns))
        answer = await together(asked)
        if isinstance(answer, StewardError):
            raise answer
        return answer

    async def submit_new(self, group: Sequence[Asked], workspace_id: str) -> list[Submitted] | None:
        """Put submissions in place unless something of them is known already: one trip to the server, the usual case."""

        def run(connection: Connection) -> tuple[Callable[[], list[Submitted] | None], Work]:
            work = Work(connection, self.now)
            return submit_new(work, group), work

        found: list[Submitted] | None = None

        def then(outcome: tuple[Callable[[], list[Submitted] | None], Work]) -> None:
            nonlocal found
            found = outcome[0]()
            self._announce(outcome)

        with suppress(Conflict):  # somebody else's, while this one waited for its turn
            await self.database.write(run, then, tenant=workspace_id, piped=True, quick=True)
        return found

    def _announce(self, outcome: tuple[Any, Work]) -> None:
        work = outcome[1]
        self.recent.add(work.committed, work.last_position, work.put_plans)
        for row in work.committed:
            if row.type in self.wanted:
                event = row.to_event()
                for sink in self.sinks:
                    sink(event)
        if work.became_ready:
            self.bell.ring(WORK)
        for workspace_id in {event.workspace_id for event in work.committed}:
            self.bell.ring(EVENTS, workspace_id)
