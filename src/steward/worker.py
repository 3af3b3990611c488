"""The worker: claims fairly, runs attempts side by side, keeps their leases alive, settles, and stops gracefully.

It never polls: an idle worker sleeps until the store's bell rings or until something it knows of becomes due.
"""

import asyncio
import os
import secrets
import socket
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import stamina
import structlog

from steward.attempt import Attempt, Held, LeaseLost
from steward.errors import StoreUnavailable
from steward.job import HEARTBEAT_S, LEASE_S, Completed, Outcome
from steward.quickly import quickly
from steward.rooms import Rooms
from steward.together import Together
from steward.work_store import Answer, Claimed, Granted, Lease, Listener, Refused, Settlement

_log = structlog.get_logger("steward.worker")
_LONGEST_SLEEP_S: Final = 60.0
_STORE_DOWN_S: Final = 1.0
_OVERDUE_S: Final = 1.0
"""How long to leave a lease that has run out to the sweep, which rings when it has released the job."""
_LAST_WORDS_S: Final = 2.0
"""How long a worker that must not wait any more gives its attempts to write down how they stand."""
_PATIENT: Final = stamina.AsyncRetryingCaller(attempts=None, timeout=LEASE_S * 6)
GRACE_S: Final = 20.0
"""How long a stopping worker lets effects under way finish, in seconds."""
_make_settlement: Final = quickly(Settlement)


def _word(outcome: Outcome) -> str:
    return type(outcome).__name__


def _cannot_settle(error: BaseException) -> None:
    _log.error("An attempt could not be settled.", action="settle_failed", kind=type(error).__name__)


def _is_cancelled(answer: Answer) -> bool:
    """Say whether somebody has asked to cancel a job; one whose record cannot be read now goes on, as its lease does."""
    try:
        return isinstance(answer, Granted) and answer.job.cancel_requested
    except Exception as error:  # noqa: BLE001 - a heart that stops would lose every lease
        _log.warning("A job's record is damaged.", action="unreadable_record", kind=type(error).__name__)
        return False


def new_worker_id() -> str:
    """Return a name for this worker that tells machine and process."""
    return f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(3)}"


class Worker:
    """Runs jobs until told to stop."""

    def __init__(self, rooms: Rooms, *, concurrency: int = 16, worker_id: str | None = None) -> None:
        """Run at most ``concurrency`` attempts at a time."""
        self._rooms = rooms
        self._concurrency = concurrency
        self._at_once = -(-concurrency // rooms.dispatcher.parts)
        self._worker_id = worker_id or new_worker_id()
        self._attempts: dict[Attempt, asyncio.Task[None]] = {}
        self._settling: set[Attempt] = set()
        self._slot_freed = asyncio.Event()
        self._asleep: asyncio.Timeout | None = None
        self._loop: asyncio.AbstractEventLoop  # in which it runs
        self._settlement = Together(self._settle_all)

    @property
    def busy(self) -> int:
        """How many attempts are under way."""
        return len(self._attempts) + len(self._settling)

    async def run(self, stop: asyncio.Event, *, grace_s: float = GRACE_S) -> None:
        """Work until ``stop`` is set; then hand back what has no effect yet, and finish or give up the rest in ``grace_s``."""
        _log.info("The worker started.", action="worker_started", worker_id=self._worker_id)
        self._loop = asyncio.get_running_loop()
        heartbeat = self._loop.create_task(self._heartbeat())
        try:
            with self._rooms.dispatcher.listen() as listener:
                await self._claim_until(stop, listener)
            await self._drain(grace_s)
        finally:
            await asyncio.sleep(0)  # as in _drain
            for task in (heartbeat, *self._attempts.values()):
                task.cancel()
            await self._at_rest(_LAST_WORDS_S)
            await asyncio.wait((heartbeat,), timeout=_LAST_WORDS_S)
        _log.info("The worker stopped.", action="worker_stopped", worker_id=self._worker_id)

    @property
    def _free(self) -> int:
        """How many jobs there is room for. An attempt that is only being written down leaves its room to the next.

        So what follows is claimed behind that, and not a round trip later. If nothing can be written down, it ends.
        """
        return self._concurrency - max(len(self._attempts), self.busy - self._concurrency)

    # -- claiming ----------------------------------------------------------------------------------------------------

    async def _claim_until(self, stop: asyncio.Event, listener: Listener) -> None:
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(self._sleep_no_more)
        try:
            while not stop.is_set():
                free = self._free
                if free <= 0:
                    self._slot_freed.clear()
                    await self._sleep(stop, self._slot_freed.wait())
                    continue
                asked = min(free, self._at_once)
                claimed = await self._claim(asked)
                for lease in () if claimed is None else claimed.leases:
                    self._start(lease)
                if self.busy == 1:
                    for attempt in self._attempts:
                        attempt.alone = True
                await asyncio.sleep(0)  # they begin before this goes on
                if claimed is None:
                    await self._sleep(stop, listener.wait(_STORE_DOWN_S))
                elif len(claimed.leases) < asked:  # that was all: to ask again would only keep these attempts waiting
                    await self._sleep(stop, listener.wait(self._sleep_s(claimed)))
        finally:
            stopping.cancel()

    async def _sleep(self, stop: asyncio.Event, waiting: Awaitable[bool]) -> None:
        """Wait for something, but no longer than until the worker is told to stop; without a task that would have to be woken."""
        try:
            async with asyncio.timeout(0 if stop.is_set() else None) as self._asleep:
                await waiting
        except TimeoutError:
            return
        finally:
            self._asleep = None

    def _sleep_no_more(self, _: object) -> None:
        if self._asleep is not None and not self._asleep.expired():
            self._asleep.reschedule(0)

    async def _claim(self, free: int) -> Claimed | None:
        """Return what was claimed; None when the store is away (what it had granted comes back when the leases end)."""
        try:
            caps = await self._rooms.directory.list_caps()
            if not self._attempts:
                self._loop.call_soon(self._rooms.standings.look_ahead)  # while the claim is under way
            return await self._rooms.dispatcher.claim(self._worker_id, limit=free, caps=caps)
        except StoreUnavailable:
            _log.warning("The store is away; trying again.", action="claim_failed", worker_id=self._worker_id)
            return None

    def _sleep_s(self, claimed: Claimed) -> float:
        if claimed.next_at is None:
            return _LONGEST_SLEEP_S
        left = (claimed.next_at - self._rooms.clock.now()).total_seconds()
        return min(max(left, 0.01), _LONGEST_SLEEP_S) if left > 0 else _OVERDUE_S

    # -- running -----------------------------------------------------------------------------------------------------

    def _start(self, lease: Lease) -> None:
        attempt = Attempt(lease, self._rooms)
        self._attempts[attempt] = self._loop.create_task(self._attempt(attempt), name=lease.job.job_id)

    async def _attempt(self, attempt: Attempt) -> None:
        job = attempt.job
        structlog.contextvars.bind_contextvars(  # of this attempt's task alone
            job_id=job.job_id, plan_id=job.plan_id, workspace_id=job.workspace_id, request_id=job.request_id
        )
        try:
            outcome = await attempt.run()
            if isinstance(outcome, (Held, LeaseLost)):
                _log.info("Nothing to settle.", action="attempt_left", why=type(outcome).__name__)
            else:
                self._settle(attempt, outcome)
        except Exception as error:  # noqa: BLE001 - the next must go on
            _cannot_settle(error)
        finally:
            del self._attempts[attempt]
            self._slot_freed.set()

    async def _settle_all(self, settlements: Sequence[Settlement]) -> Sequence[Answer]:
        """Write down how attempts ended, trying again while the store is away: the effects may have happened."""
        try:
            return await self._rooms.dispatcher.settle(settlements)
        except StoreUnavailable:  # only now: what counts and waits between tries costs as much as settling a few
            return await _PATIENT(StoreUnavailable, self._rooms.dispatcher.settle, settlements)

    def _settle(self, attempt: Attempt, outcome: Outcome) -> None:
        """Have it written down how an attempt ended. Its task is over with that: a crowd of them need not be woken for an answer."""
        self._settling.add(attempt)
        answer = self._settlement(_make_settlement(attempt.ref, outcome))
        answer.add_done_callback(partial(self._settled, attempt, outcome))

    def _settled(self, attempt: Attempt, outcome: Outcome, answer: "asyncio.Future[Answer]") -> None:
        self._settling.discard(attempt)
        self._slot_freed.set()
        if (error := answer.exception()) is not None:
            _cannot_settle(error)
        elif not isinstance(granted := answer.result(), Granted):
            _log.warning(
                "The lease was lost before it could be settled.", action="settle_refused", outcome=_word(outcome)
            )
        elif not isinstance(outcome, Completed):  # which the events, the audit and the counters tell already
            _log.info("Settled.", action="job_settled", outcome=_word(outcome), status=granted.job.status)

    async def _heartbeat(self) -> None:
        """Renew every lease; pass on cancels; give up attempts whose lease is gone before they have an effect."""
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            running = [*self._attempts, *self._settling]
            if not running:
                continue
            try:
                answers = await self._rooms.dispatcher.renew([attempt.ref for attempt in running])
            except Exception as error:  # noqa: BLE001 - a heart that stops would lose every lease
                _log.warning("The leases were not renewed.", action="renew_failed", kind=type(error).__name__)
                continue
            for attempt, answer in zip(running, answers, strict=True):
                attempt.cancel_asked = _is_cancelled(answer)
                task = self._attempts.get(attempt)
                if task is None:  # it has ended meanwhile
                    continue
                if (attempt.cancel_asked or isinstance(answer, Refused)) and not attempt.effect_under_way:
                    task.cancel()

    # -- stopping ----------------------------------------------------------------------------------------------------

    async def _drain(self, grace_s: float) -> None:
        await asyncio.sleep(0)  # a task cancelled before its first step could not hand its job back
        for attempt, task in self._attempts.items():
            if not attempt.effect_under_way:
                task.cancel()
        await self._at_rest(grace_s)
        if self._attempts:
            for task in self._attempts.values():
                task.cancel()
            await self._at_rest(LEASE_S)

    async def _at_rest(self, patience_s: float) -> None:
        """Return when every attempt has ended and is written down, but no later than in so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while self.busy:
                    self._slot_freed.clear()
                    await self._slot_freed.wait()
