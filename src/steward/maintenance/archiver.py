"""Takes what happened to work into the audit: reads events after its position and appends what they tell, in one operation.

It sleeps until the store's bell rings, and then lets a moment pass, so that a crowd of events costs few commits. Several
processes may do it at once: whoever moves the position first has appended, the others find nothing left to do.

An event that cannot be read is recorded as that, and the archiver goes on: whatever the audit is required for is recorded
before it is done, and to wait for what can never be read would keep the records of everybody from ever being made.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from steward.action import Catalogue
from steward.audit import AuditEntry
from steward.audit_log import AuditLog
from steward.event import Event, EventType
from steward.maintenance import Duty
from steward.plan import PlanRecord
from steward.recorder import Recorder
from steward.work_store import Dispatcher

BATCH: Final = 1_000
"""How many events are recorded in one transaction at most."""
PIECE: Final = 50
"""How many are read and looked through at a time: a job that is picked up meanwhile waits for no more of them."""
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
_UNTOLD: Final = frozenset({EventType.JOB_STARTED, EventType.JOB_RELEASED})
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
                await asyncio.sleep(_BREATH_S)
                await listener.wait(_LONGEST_SLEEP_S)

    async def _archive(self) -> int:
        done, after, more = 0, await self._log.position(), True
        while more:
            entries, count, upto, more = await self._gather(after)
            if not count:
                break
            if await self._log.archive(entries, after=after, upto=upto):
                done, after = done + count, upto
            else:
                after = await self._log.position()
        return done

    async def _gather(self, after: int) -> tuple[list[AuditEntry], int, int, bool]:
        """Return what is recorded of the next events, how many those are, up to where, and whether there may be more."""
        entries: list[AuditEntry] = []
        count = 0
        while count < BATCH:
            events = await self._dispatcher.events_after(after, limit=PIECE)
            if events:
                entries += await self._entries(events)
                count, after = count + len(events), events[-1].position
            if len(events) < PIECE:
                return entries, count, after, False
        return entries, count, after, True

    async def _entries(self, events: Sequence[Event]) -> list[AuditEntry]:
        ids = sorted({event.plan_id for event in events if event.type in _PLANS and event.plan_id})
        plans = {plan.plan_id: plan for plan in await self._dispatcher.plans(ids)} if ids else {}
        return [
            self._entry(event, self._known(event) or await self._look_up(event), plans)
            for event in events
            if _is_told(event)
        ]

    def _entry(self, event: Event, asked: _Asked, plans: Mapping[str, PlanRecord]) -> AuditEntry:
        data = event.data
        facts = {name: value for name, value in data.items() if name in _FACTS and value is not None}
        if event.actor_id is None and asked.actor_id is not None:
            facts["on_behalf_of"] = asked.actor_id
        action_id, rule, request_id = (_text(data.get(name)) for name in ("action_id", "rule", "request_id"))
        plan = plans.get(event.plan_id or "") if event.type in _PLANS else None
        return AuditEntry(
            workspace_id=event.workspace_id,
            kind=event.type,
            at=event.at,
            actor_id=event.actor_id,
            acting_as=self._account(action_id),
            action_id=action_id,
            plan_id=event.plan_id,
            job_id=event.job_id,
            result=_WORDS.get(event.type) or str(data.get("error_code") or data.get("status") or ""),
            rule=rule,
            request_id=request_id or asked.request_id,
            source=f"work/{event.position}",
            facts=facts,
            view=None if plan is None else plan_view(plan),
            comparable=plan is not None,
        )

    def _account(self, action_id: str | None) -> str | None:
        """Return the account in whose name an action is seen at its far end."""
        action = None if action_id is None else self._catalogue.get(action_id)
        return None if action is None else action.definition.acting_as

    def _known(self, event: Event) -> _Asked | None:
        """Return who had the event's plan executed, if the event says so or it is remembered."""
        if event.plan_id is None or event.type is EventType.PLAN_DRAFTED:
            return _NOBODY
        if event.type is EventType.PLAN_SUBMITTED:
            return self._remember(event.plan_id, _Asked(event.actor_id, _text(event.data.get("request_id"))))
        return self._asked.get(event.plan_id)

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


def _is_told(event: Event) -> bool:
    """Say whether an event is recorded: that a job became ready or was claimed says nothing that its outcome does not."""
    return event.type not in _UNTOLD or "error_code" in event.data


def archiver(dispatcher: Dispatcher, log: AuditLog, catalogue: Catalogue, recorder: Recorder) -> Duty:
    """Return the duty."""
    return Duty("archiver", 1.0, Archiver(dispatcher, log, catalogue, recorder).run)
