"""Takes what happened to work into the audit: reads events after its position and appends what they tell, in one operation.

It sleeps until the store's bell rings, and then lets a moment pass, so that a crowd of events costs few commits. Several
processes may do it at once: whoever moves the position first has appended, the others find nothing left to do.

An event that cannot be read is recorded as that, and the archiver goes on: whatever the audit is required for is recorded
before it is done, and to wait for what can never be read would keep the records of everybody from ever being made.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from steward.action import Catalogue
from steward.audit import AuditEntry
from steward.audit_log import AuditLog
from steward.event import BY_THE_WAY, Event, EventType
from steward.maintenance import Duty
from steward.mouthfuls import in_mouthfuls
from steward.plan import PlanRecord
from steward.recorder import Recorder
from steward.work_store import Dispatcher

BATCH: Final = 1_000
"""How many events are recorded in one transaction at most."""
_BREATH_S: Final = 0.5
"""How long events are left to gather."""
_LONGEST_SLEEP_S: Final = 5.0
"""How long a record of the directory may stay unsigned; a ring may be lost as well."""
_REMEMBERED: Final = 10_000
_PLANS: Final = frozenset({EventType.PLAN_DRAFTED, EventType.PLAN_SUBMITTED})
_FACTS: Final = frozenset(
    {
        *("step_id", "attempt", "status", "error_code", "approval_id", "jobs", "actions", "held_for", "cause"),
        *("children", "duration_ms"),
    }
)
"""What is recorded of an event's data: words, numbers and ids, never values."""
_WORDS: Final = {
    EventType.JOB_DISPATCHED: "dispatched",
    EventType.JOB_RETRY_SCHEDULED: "will_retry",
    EventType.JOB_RETRIED: "retried",
    EventType.JOB_EXPANDED: "expanded",
    EventType.JOB_CANCEL_REQUESTED: "cancel_requested",
    EventType.APPROVAL_REQUESTED: "asked",
    EventType.APPROVAL_EXPIRED: "expired",
    EventType.PLAN_RESUMED: "resumed",
    EventType.UNREADABLE: "unreadable",
}


class _Asked(NamedTuple):
    """Who had a plan executed, and in which request."""

    actor_id: str | None
    request_id: str | None


_NOBODY: Final = _Asked(None, None)


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

    def __init__(self, dispatcher: Dispatcher, log: AuditLog, catalogue: Catalogue, recorder: Recorder) -> None:
        """Read from ``dispatcher`` and write to ``log``; ``recorder`` is told how it goes."""
        self._dispatcher = dispatcher
        self._log = log
        self._catalogue = catalogue
        self._recorder = recorder
        self._asked: OrderedDict[str, _Asked] = OrderedDict()

    async def turn(self) -> int:
        """Archive all there is and sign what is unsigned; return how many events this process archived."""
        try:
            done = await self._archive()
            await self._log.seal()
        except Exception as error:
            self._recorder.failed("archiver", error)
            raise
        self._recorder.succeeded("archiver")
        return done

    async def run(self) -> None:
        """Take turns for ever, woken by the store."""
        with self._dispatcher.hear_events() as listener:
            while True:
                await self.turn()
                await listener.wait(_LONGEST_SLEEP_S)
                await asyncio.sleep(_BREATH_S)

    async def _archive(self) -> int:
        """Archive all there is; what comes next is read and put into words while the last batch is written."""
        done, after = 0, await self._log.position()
        batch = await self._read(after)
        while batch.count:
            writing = asyncio.create_task(self._log.archive(batch.entries, after=after, upto=batch.upto))
            try:
                following = await self._read(batch.upto) if batch.more else _NOTHING
            finally:
                ours = await writing
            if ours:
                done, after, batch = done + batch.count, batch.upto, following
            else:
                after = await self._log.position()
                behind = batch.more or after < batch.upto  # who was first may have seen less
                batch = await self._read(after) if behind else _NOTHING
        return done

    async def _read(self, after: int) -> _Batch:
        """Return what is recorded of the next events."""
        entries: list[AuditEntry] = []
        count, more, piece = 0, True, self._dispatcher.piece
        while more and count < BATCH:
            events = await self._dispatcher.events_after(after, limit=piece)
            entries += await self._entries(events)
            count, more = count + len(events), len(events) == piece
            after = events[-1].position if events else after
        return _Batch(entries, count, after, more)

    async def _entries(self, events: Sequence[Event]) -> list[AuditEntry]:
        named = {(event.workspace_id, event.plan_id) for event in events if event.type in _PLANS and event.plan_id}
        plans = {plan.plan_id: plan for plan in await self._dispatcher.plans(named)} if named else {}
        account = cache(self._account)
        entries: list[AuditEntry] = []
        async for some in in_mouthfuls(events):
            for event in some:
                if event.type not in BY_THE_WAY or "error_code" in event.data:
                    asked = self._known(event) or await self._look_up(event)
                    entries.append(_entry(event, asked, account, plans))
        return entries

    def _account(self, action_id: str) -> str | None:
        """Return the account in whose name an action is seen at its far end."""
        action = self._catalogue.get(action_id)
        return None if action is None else action.definition.acting_as

    def _known(self, event: Event) -> _Asked | None:
        """Return who had the event's plan executed, if the event says so or it is remembered."""
        plan_id = event.plan_id
        if plan_id is None or (kind := event.type) is EventType.PLAN_DRAFTED:
            return _NOBODY
        if kind is EventType.PLAN_SUBMITTED:
            return self._remember(plan_id, _Asked(event.actor_id, _text(event.data.get("request_id"))))
        return self._asked.get(plan_id)

    async def _look_up(self, event: Event) -> _Asked:
        """Return the same from the record of that."""
        assert event.plan_id is not None, "who asked for what is no plan's is known"
        page = await self._log.query(event.workspace_id, limit=1, kind=EventType.PLAN_SUBMITTED, plan_id=event.plan_id)
        found = page.records[0].entry if page.records else None
        return self._remember(event.plan_id, _NOBODY if found is None else _Asked(found.actor_id, found.request_id))

    def _remember(self, plan_id: str, asked: _Asked) -> _Asked:
        self._asked[plan_id] = asked
        while len(self._asked) > _REMEMBERED:
            self._asked.popitem(last=False)
        return asked


def _entry(
    event: Event, asked: _Asked, account: Callable[[str], str | None], plans: Mapping[str, PlanRecord]
) -> AuditEntry:
    """Return what is recorded of an event. It is done for each, so the order of fields stands for their names."""
    _, workspace_id, kind, at, actor_id, plan_id, job_id, data, position = event
    facts = {name: value for name, value in data.items() if name in _FACTS and value is not None}
    if actor_id is None and asked.actor_id is not None:
        facts["on_behalf_of"] = asked.actor_id
    action_id = _text(data.get("action_id"))
    acting_as = None if action_id is None else account(action_id)
    result = _WORDS.get(kind) or str(data.get("error_code") or data.get("status") or "")
    rule = _text(data["rule"]) if "rule" in data else None
    request_id = (_text(data["request_id"]) if "request_id" in data else None) or asked.request_id
    plan = plans.get(plan_id) if plan_id is not None and kind in _PLANS else None
    view, comparable = (None, False) if plan is None else (plan_view(plan), True)
    source = f"work/{position}"
    # fmt: off
    return AuditEntry(
        workspace_id, kind, at, actor_id, acting_as, action_id, plan_id, job_id,
        result, rule, request_id, source, facts, view, comparable,
    )
    # fmt: on


def plan_view(plan: PlanRecord) -> dict[str, Any]:
    """Return what was shown of a plan, and so what was asked for: the same of a draft and of its execution."""
    document = plan.document
    steps = [
        {name: step.get(name) for name in ("id", "action_id", "params", "depends_on", "acting_as")}
        for step in document.get("steps", ())
    ]
    return {
        "digest": plan.digest,
        "prompt": document.get("prompt"),
        "intent": document.get("intent"),
        "steps": steps,
    }


def _text(value: object) -> str | None:
    """Return what an event says if it is a text, as all that is kept in a column is."""
    return value if isinstance(value, str) else None


def archiver(dispatcher: Dispatcher, log: AuditLog, catalogue: Catalogue, recorder: Recorder) -> Duty:
    """Return the duty."""
    return Duty("archiver", 1.0, Archiver(dispatcher, log, catalogue, recorder).run)
