"""``Dispatcher`` over Redis: the installation's face. Claims and settlements go in one round trip, however many."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import cache, partial
from typing import Any, Final, TypeVar

import structlog

from steward.approval import Approval
from steward.caps import NO_CAPS, Caps
from steward.clock import from_milliseconds, milliseconds
from steward.digest import CanonicalJson
from steward.event import Event
from steward.identity import Principal
from steward.job import LEASE_S, Difference, Expanded, HeldFor, Job, after_lost_lease, differences_as_text
from steward.quickly import quickly
from steward.spending import NO_SPENDING, Spending
from steward.work_store import Answer, Claimed, Granted, Lease, LeaseRef, Listener, Refused, Settlement, Swept
from steward.work_stores.redis.claims import (
    Claiming,
    Told,
    claimed,
    claims_of,
    completed,
    dispatched,
    ends_plainly,
    must_not_be_forgotten,
    named_in_claim,
)
from steward.work_stores.redis.durability import Durability
from steward.work_stores.redis.event_log import EventLog
from steward.work_stores.redis.job_records import DAMAGE, to_job
from steward.work_stores.redis.keys import key
from steward.work_stores.redis.plan_records import listed_plan
from steward.work_stores.redis.records import Values, approval_fields, bare
from steward.work_stores.redis.store import RedisWorkStore, Shared
from steward.work_stores.redis.submissions import (
    caps_arguments,
    expansion_arguments,
    flat,
    labels_of,
    moment_of,
    outcome_arguments,
    result_arguments,
    spending_arguments,
)
from steward.workspace import MAX_WINDOW_S

T = TypeVar("T")
_log = structlog.get_logger("steward.redis")
_make_lease: Final = quickly(Lease)
_DECLINED: Final = [b"known"]
_REFUSED: Final = (1, 3)
"""How long an answer is that refuses: a reason, or one with words and a time."""
_LEASE_MS: Final = round(timedelta(seconds=LEASE_S) / timedelta(milliseconds=1))
_BATCH: Final = 200
_PURGED_AT_ONCE: Final = 50
_DAY_MS: Final = 24 * 3600 * 1000


def _answer(values: Values) -> Answer:
    """Return a script's answer about one lease: a record, or why it is refused and perhaps until when."""
    match values:
        case [reason]:
            return Refused(reason.decode())
        case [reason, detail, retry_at]:
            return Refused(reason.decode(), detail.decode(), moment_of(retry_at))
        case _:
            return Granted(partial(to_job, values))


def _named(values: Values) -> tuple[Any, Any]:
    """Return the workspace and the id that a whole record says, readable or not."""
    job_id, workspace_id, *_ = values
    return workspace_id, job_id


def _name(ref: LeaseRef) -> tuple[Any, ...]:
    return (ref.workspace_id, ref.job_id, ref.fence)


def _claimed_fully(told: Sequence[Any]) -> Told:
    values, inputs, params = told
    return Told(to_job(values), params, inputs)


def _lease(told: Told, store: RedisWorkStore) -> Lease:
    inputs = told.inputs
    of_steps = [*zip(map(bytes.decode, inputs[::3]), inputs[1::3], inputs[2::3], strict=True)] if inputs else ()
    return _make_lease(
        job=told.job,
        params_sealed=bare(told.params_sealed or b""),
        inputs_sealed={step: bare(sealed) or None for step, sealed, _ in of_steps},
        input_labels={step: labels_of(labels) for step, _, labels in of_steps},
        store=store,
        record=told.job,
    )


class RedisDispatcher:
    """``Dispatcher`` over Redis; see the contract for what each verb promises."""

    piece = 100

    def __init__(self, shared: Shared, durability: Durability) -> None:
        """Serve the whole installation."""
        self._shared = shared
        self._server = shared.server
        self._durability = durability
        self._log = EventLog(shared.server)

    @property
    def _lease_end(self) -> int:
        return self._server.now + _LEASE_MS

    @property
    def parts(self) -> int:
        """Three: while Redis writes about one third of the slots, the worker is busy with another."""
        return 3

    async def claim(self, worker_id: str, *, limit: int, caps: Mapping[str, Caps] = NO_CAPS) -> Claimed:
        """Take ready jobs, fairly between workspaces and within their caps."""
        claim_id, now = self._shared.ids.new("claim"), self._server.now
        lease_end = now + _LEASE_MS
        asked = (worker_id, claim_id, limit, lease_end, now, *caps_arguments(caps, now))
        told = await self._server.run("claim", *asked)
        if told == _DECLINED:
            next_at, *taken = await self._server.run("claim_fully", *asked)
            jobs = await self._readable(taken, _claimed_fully, lambda one: _named(one[0]))
        else:
            next_at, began, *taken = told
            claiming = Claiming(worker_id, lease_end, int(began))
            jobs = await self._readable(taken, lambda one: claimed(one, claiming), named_in_claim)
        store_of = cache(self._store)  # many jobs of one claim are somebody's
        leases = [_lease(one, store_of(one.job.workspace_id, one.job.actor_id)) for one in jobs]
        return Claimed(leases=tuple(leases), next_at=moment_of(next_at))

    async def _readable(
        self, told: Iterable[Any], read: Callable[[Any], T], named: Callable[[Any], tuple[Any, Any]]
    ) -> list[T]:
        """Return what ``read`` makes of each job; one whose record cannot be read is put aside, so that it stops no other.

        ``named``: gives workspace and id of a job as it was told.
        """
        found: list[T] = []
        damaged: list[Any] = []
        for each in told:
            try:
                found.append(read(each))
            except DAMAGE:
                damaged += named(each)
        if damaged:
            _log.warning("Jobs' records are damaged.", action="unreadable_record", job_ids=str(damaged[1::2]))
            await self._server.run("set_aside", len(damaged) // 2, *damaged)
        return found

    def _store(self, workspace_id: str, actor_id: str) -> RedisWorkStore:
        return RedisWorkStore(self._shared, Principal(actor_id, workspace_id, frozenset(), frozenset()))

    async def dispatch(
        self, refs: Sequence[LeaseRef], spends: Mapping[LeaseRef, Spending] = NO_SPENDING
    ) -> tuple[Answer, ...]:
        """Record that effects may now happen, and reserve what they take; one that must not be forgotten waits for the disk."""
        lease_end, claims = self._lease_end, claims_of(refs)
        asked: list[Any]
        if claims is not None and not spends:
            asked = [lease_end, len(refs), *(part for ref in refs for part in self._claim(ref))]
            told = await self._server.run("dispatch", *asked)
            if told != _DECLINED and self._must_wait(claims):
                told = await self._durability.proven("dispatch", *asked)
            if told != _DECLINED:
                return tuple(map(dispatched, claims, told))
        asked = [lease_end, len(refs)]
        for ref in refs:
            asked += (*self._claim(ref), *spending_arguments(spends.get(ref)))
        told = await self._server.run("dispatch_fully", *asked)
        if self._must_wait(to_job(values) for values in told if len(values) not in _REFUSED):
            told = await self._durability.proven("dispatch_fully", *asked)
        return tuple(map(_answer, told))

    def _claim(self, ref: LeaseRef) -> tuple[Any, ...]:
        """Name a lease, and say when it was claimed where a server that forgot that, and gave its fence to another, must be found out."""
        claimed = ref.record
        if claimed is None or claimed.lease_until is None or not self._must_wait((claimed,)):
            return (*_name(ref), "")
        return (*_name(ref), milliseconds(claimed.lease_until) - _LEASE_MS)

    def _must_wait(self, jobs: Iterable[Job]) -> bool:
        """Say whether a record of effects has to be safe before they happen."""
        return self._durability.waits and any(map(must_not_be_forgotten, jobs))

    async def renew(self, refs: Sequence[LeaseRef]) -> tuple[Answer, ...]:
        """Extend leases."""
        named = (part for ref in refs for part in _name(ref))
        return tuple(map(_answer, await self._server.run("renew", self._lease_end, len(refs), *named)))

    async def settle(self, settlements: Sequence[Settlement]) -> tuple[Answer, ...]:
        """End attempts: all in one call, but for expansions, which may be refused and stand alone."""
        plain = [one for one in settlements if not isinstance(one.outcome, Expanded)]
        answers = iter(await self._end(plain) if plain else ())
        return tuple(
            [
                await self._expand(one.ref, one.outcome) if isinstance(one.outcome, Expanded) else next(answers)
                for one in settlements
            ]
        )

    async def _expand(self, ref: LeaseRef, outcome: Expanded) -> Answer:
        children = expansion_arguments(outcome, self._server.now)
        (told,) = await self._server.run("expand", *_name(ref), *children)
        return _answer(told)

    async def _end(self, settlements: Sequence[Settlement]) -> tuple[Answer, ...]:
        claims = claims_of([one.ref for one in settlements])
        if claims is not None and all(map(ends_plainly, claims, settlements)):
            ends = (part for one in settlements for part in (*_name(one.ref), *result_arguments(one.outcome)))
            told = await self._server.run("settle", len(settlements), *ends)
            if told != _DECLINED:
                return tuple(map(completed, claims, settlements, told))
        asked: list[Any] = [0, len(settlements)]
        for one in settlements:
            asked += (*_name(one.ref), *outcome_arguments(one.outcome))
        return tuple(map(_answer, await self._server.run("settle_fully", *asked)))

    async def _take_back(self, jobs: Sequence[Job]) -> tuple[Answer, ...]:
        """End attempts whose leases are lost, by what their jobs said when they were looked at; refused where they say more now."""
        asked: list[Any] = [1, len(jobs)]
        for job in jobs:
            named = job.workspace_id, job.job_id, job.fence
            seen = "" if job.dispatched_at is None else milliseconds(job.dispatched_at)
            follows = after_lost_lease(job, from_milliseconds(self._server.now))
            asked += (*named, seen, *outcome_arguments(follows))
        return tuple(map(_answer, await self._server.run("settle_fully", *asked)))

    async def hold(
        self,
        ref: LeaseRef,
        held_for: HeldFor,
        reason: str,
        approval: Approval | None,
        differences: Sequence[Difference] = (),
    ) -> Answer:
        """Put a claimed job aside."""
        asked = {} if approval is None else approval_fields(approval)
        kept = differences_as_text(differences) if differences else ""
        (told,) = await self._server.run("hold", *_name(ref), held_for.value, reason, kept, *flat(asked))
        return _answer(told)

    async def sweep(self) -> Swept:
        """Recover lost leases; expire approvals and drafts."""
        records = await self._server.run("lost_leases", _BATCH)
        lost = await self._readable(records, to_job, _named)
        taken = await self._take_back(lost) if lost else ()
        approvals, drafts = await self._server.run("expire", _BATCH)
        return Swept(
            leases_lost=sum(isinstance(answer, Granted) for answer in taken),
            approvals_expired=approvals,
            drafts_expired=drafts,
        )

    async def purge(self, retention_s: int, *, archived: int | None = None) -> int:
        """Delete plans that ended long ago."""
        gone = 0
        now = self._server.now
        before = (now - max(retention_s * 1000, _DAY_MS), now - _DAY_MS)
        read, spent = "" if archived is None else archived, now - MAX_WINDOW_S * 1000
        while batch := await self._server.run("purge", *before, _PURGED_AT_ONCE, read, spent):
            gone += batch
        return gone

    async def depth(self) -> Mapping[str, int]:
        """Return ready jobs by workspace."""
        found = await self._server.run("depth")
        pairs = zip(found[::2], found[1::2], strict=True)
        return {workspace.decode(): depth for workspace, depth in pairs if depth}

    async def events_after(self, position: int, *, limit: int) -> tuple[Event, ...]:
        """Return every workspace's events after a position."""
        return await self._log.after(position, limit)

    def hear_events(self) -> AbstractContextManager[Listener]:
        """Return a listener for events."""
        return self._server.bells.listen(key("events_bell", "*"))

    async def shown_plans(self, named: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], CanonicalJson]:
        """Return what was shown of some plans, each of a workspace."""
        found = await self._server.run("plans", len(named), *(part for pair in named for part in pair))
        plans = (listed_plan(values, self._server.now) for values in found)
        return {(plan.workspace_id, plan.plan_id): plan.shown() for plan in plans}

    def listen(self) -> AbstractContextManager[Listener]:
        """Return a listener for ready jobs."""
        return self._server.bells.listen(key("work_bell"))
