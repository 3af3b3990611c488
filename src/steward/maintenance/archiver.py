"""Takes what happened to work into the audit: reads events after its position and appends what they tell, in one operation.

It sleeps until the store's bell rings, and then lets a moment pass, so that a crowd of events costs few commits. Several
processes may do it at once: whoever moves the position first has appended, the others find nothing left to do. So that they do
not all put the same into words, whoever finds that somebody else has moved the position leaves it to them as long as it moves.

An event that cannot be read is recorded as that, and the archiver goes on: whatever the audit is required for is recorded
before it is done, and to wait for what can never be read would keep the records of everybody from ever being made.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final, NamedTuple

from steward.action import Catalogue
from steward.audit import AuditEntry
from steward.audit_log import AuditLog
from steward.event import BY_THE_WAY, Event, EventType
from steward.maintenance import Duty
from steward.maintenance.telling import NOBODY, PLANS, Asked, Telling, text_or_none
from steward.mouthfuls import in_mouthfuls
from steward.recorder import Recorder
from steward.work_store import Dispatcher

BATCH: Final = 1_000
"""How many records are made in one transaction, and a piece of events' more at most."""
_BREATH_S: Final = 0.5
"""How long events are left to gather."""
_PATIENCE_S: Final = 1.5
"""How long it is left to others, who do not move the position."""
_LONGEST_SLEEP_S: Final = 5.0
"""How long a record of the directory may stay unsigned; a ring may be lost as well."""
_REMEMBERED: Final = 10_000


class _Batch(NamedTuple):
    """What is recorded of some events."""

    entries: Sequence[AuditEntry]
    count: int
    """Of the events."""
    upto: int
    """The last one's position."""
    more: bool
    """Whether there may be events behind it."""


_NOTHING: Final = _Batch((), 0, 0, more=False)


class Archiver:
    """Archives events in batches."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        log: AuditLog,
        catalogue: Catalogue,
        recorder: Recorder,
        *,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read from ``dispatcher`` and write to ``log``; ``recorder`` is told how it goes. ``seconds`` tells how time passes."""
        self._dispatcher = dispatcher
        self._log = log
        self._catalogue = catalogue
        self._recorder = recorder
        self._asked: OrderedDict[str | None, Asked] = OrderedDict()
        """Who had plans executed, as far as it is remembered."""
        self._seconds = seconds
        self._left: int | None = None
        """Where this process has left the position."""
        self._seen: tuple[int, float] | None = None
        """While others move the position: where it stood when it was looked at, and since when it stands there."""

    async def turn(self, *, unless_others: bool = False) -> int:
        """Archive all there is and sign what is unsigned; return how many events this process archived.

        ``unless_others``: nothing is done while others do it.
        """
        try:
            after = await self._log.position()
            if unless_others and self._is_theirs(after):
                done = 0
            else:
                done = await self._archive(after, until_others=unless_others)
                if not done:  # what is archived is signed with all else that is not
                    await self._log.seal()
        except Exception as error:
            self._recorder.failed("archiver", error)
            raise
        self._recorder.succeeded("archiver")
        return done

    async def run(self) -> None:
        """Take turns for ever, woken by the store, unless others do."""
        with self._dispatcher.hear_events() as listener:
            while True:
                await self.turn(unless_others=True)
                await listener.wait(_LONGEST_SLEEP_S if self._seen is None else _PATIENCE_S)
                await asyncio.sleep(_BREATH_S)

    def _is_theirs(self, position: int) -> bool:
        """Say whether others move the position: they have since this process did, and not so long ago."""
        if self._left in {None, position}:
            self._seen = None
            return False
        now = self._seconds()
        if self._seen is None or self._seen[0] != position:
            self._seen = position, now
        if now - self._seen[1] < _PATIENCE_S:
            return True
        self._seen = None
        return False

    async def _archive(self, after: int, *, until_others: bool) -> int:
        """Archive all there is; what comes next is read and put into words while the last batch is written.

        ``until_others``: no further than where somebody else is found to do it.
        """
        done = 0
        batch = await self._read(after)
        while batch.count:
            writing = asyncio.create_task(self._log.archive(batch.entries, after=after, upto=batch.upto))
            try:
                following = await self._read(batch.upto) if batch.more else _NOTHING
            finally:
                ours = await writing
            if ours:
                done, after, batch = done + batch.count, batch.upto, following
            elif until_others:
                self._seen = after, self._seconds()
                break
            else:
                after = await self._log.position()
                behind = batch.more or after < batch.upto  # who was first may have seen less
                batch = await self._read(after) if behind else _NOTHING
        self._left = after
        return done

    async def _read(self, after: int) -> _Batch:
        """Return what is recorded of the next events."""
        telling = Telling(cache(self._account))
        count, more, piece = 0, True, self._dispatcher.piece
        while more and len(telling) < BATCH:
            events = await self._dispatcher.events_after(after, limit=piece)
            await self._tell(events, telling)
            count, more = count + len(events), len(events) == piece
            after = events[-1].position if events else after
        return _Batch(telling.entries(), count, after, more)

    async def _tell(self, events: Sequence[Event], telling: Telling) -> None:
        named = {(event.workspace_id, event.plan_id) for event in events if event.type in PLANS and event.plan_id}
        plans = await self._dispatcher.shown_plans(named) if named else {}
        async for some in in_mouthfuls(events):
            for event in some:
                if event.type not in BY_THE_WAY or "error_code" in event.data:
                    asked = None if event.type in PLANS else self._asked.get(event.plan_id)
                    telling.add(event, asked or self._known(event) or await self._look_up(event), plans)

    def _account(self, action_id: str) -> str | None:
        """Return the account in whose name an action is seen at its far end."""
        action = self._catalogue.get(action_id)
        return None if action is None else action.definition.acting_as

    def _known(self, event: Event) -> Asked | None:
        """Return who had the event's plan executed, if the event says so."""
        plan_id = event.plan_id
        if plan_id is None or (kind := event.type) is EventType.PLAN_DRAFTED:
            return NOBODY
        if kind is EventType.PLAN_SUBMITTED:
            return self._remember(plan_id, Asked(event.actor_id, text_or_none(event.data.get("request_id"))))
        return None

    async def _look_up(self, event: Event) -> Asked:
        """Return the same from the record of that."""
        assert event.plan_id is not None, "who asked for what is no plan's is known"
        page = await self._log.query(event.workspace_id, limit=1, kind=EventType.PLAN_SUBMITTED, plan_id=event.plan_id)
        found = page.records[0].entry if page.records else None
        return self._remember(event.plan_id, NOBODY if found is None else Asked(found.actor_id, found.request_id))

    def _remember(self, plan_id: str, asked: Asked) -> Asked:
        self._asked[plan_id] = asked
        while len(self._asked) > _REMEMBERED:
            self._asked.popitem(last=False)
        return asked


def archiver(dispatcher: Dispatcher, log: AuditLog, catalogue: Catalogue, recorder: Recorder) -> Duty:
    """Return the duty."""
    return Duty("archiver", 1.0, Archiver(dispatcher, log, catalogue, recorder).run)
