"""The thin shells round dispatcher, store and actions in which a chaos process carries its trap.

Each calls what it stands for and looks at the trap before and after; everything else passes through untouched. The
dispatcher's shell also turns the result of ``chaos.fan`` into an expansion, which no built-in step makes yet.
"""

import asyncio
import json
import os
import signal
import threading
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from redis.asyncio.connection import AbstractConnection
from sqlalchemy import Connection, Engine, event, text

from chaos.deeds import FAN
from chaos.points import Point, Trap, labels_in
from steward.action import Action, ActionContext, ActionDefinition, Effect, ProbeAnswer
from steward.actions import ActionCatalogue
from steward.bootstrap import Application
from steward.caps import NO_CAPS, Caps
from steward.database import Database
from steward.database.pipe import Pipe
from steward.database.sqlite import Sqlite
from steward.errors import StoreUnavailable
from steward.identity import Principal
from steward.job import Completed, Expanded, Job, NewJob
from steward.orchestrator import Orchestrator
from steward.plan_check import step_digests
from steward.spending import NO_SPENDING, Spending
from steward.submission import sealed_params, sealed_result
from steward.work_store import (
    Answer,
    Claimed,
    Dispatcher,
    LeaseRef,
    Refused,
    Settlement,
    Submission,
    Submitted,
    WorkStore,
)
from steward.work_stores.redis import RedisWorkEngine, wire
from steward.work_stores.redis.scripts import script


class AtCommit:
    """Springs a trap inside a transaction: once the awaited job stands in it as it will, just before the commit."""

    def __init__(self, trap: Trap) -> None:
        """Listen to every commit of this process."""
        self._trap = trap
        self._awaited: tuple[str, str] | None = None
        event.listen(Engine, "commit", self._committing)
        self._in_file: Any = Sqlite._transaction  # noqa: SLF001 - it begins and commits what SQLAlchemy does not hear of
        Sqlite._transaction = self._committing_file()  # type: ignore[method-assign]  # noqa: SLF001
        self._end: Any = Pipe.send_end
        Pipe.send_end = self._ending()  # type: ignore[method-assign]

    def await_job(self, plan_id: str, job_id: str) -> None:
        """Spring when this job, no longer running, is about to be committed."""
        self._awaited = (plan_id, job_id)

    def _committing(self, connection: Connection) -> None:
        if self._awaited is None:
            return
        plan_id, job_id = self._awaited
        written = text("SELECT 1 FROM jobs WHERE job_id = :job_id AND status <> 'running'")
        if connection.execute(written, {"job_id": job_id}).first() is not None:
            self._trap.spring(plan_id, job_id)

    def _committing_file(self) -> Any:
        """Return what runs a transaction on a file's own connection."""

        @contextmanager
        def transaction(kind: Any, engine: Engine) -> Iterator[Any]:
            with self._in_file(kind, engine) as connection:
                yield connection
                if self._awaited is not None:
                    plan_id, job_id = self._awaited
                    written = "SELECT 1 FROM jobs WHERE job_id = ? AND status <> 'running'"
                    if connection.driver_connection.execute(written, (job_id,)).fetchone():
                        self._trap.spring(plan_id, job_id)

        return transaction

    def _ending(self) -> Any:
        """Return what ends a pipe: on PostgreSQL that is the commit."""

        def end(pipe: Any) -> None:
            if self._awaited is not None and pipe.error is None:
                plan_id, job_id = self._awaited
                written = b"SELECT 1 FROM jobs WHERE job_id = $1 AND status <> 'running'"
                if list(pipe.send(written, (job_id,))):
                    self._trap.spring(plan_id, job_id)
            self._end(pipe)

        return end


class InCommand:
    """Springs a trap in the middle of a command to Redis: the first half is out, and the rest never comes.

    What Redis has whole it runs whole, also after its client has died; that is the death after a verb.
    """

    def __init__(self, trap: Trap) -> None:
        """Stand in the way of every command of this process."""
        self._trap = trap
        self._awaited: tuple[str, str] | None = None
        self._verbs = {
            script(name).sha.encode() for name in ("submit", "submit_one", "settle", "settle_fully", "expand")
        }
        self._send: Any = AbstractConnection.send_packed_command
        self._write: Any = wire.Wire.write  # what is shared goes out here, and nowhere else
        AbstractConnection.send_packed_command = self._sending()  # type: ignore[method-assign]
        wire.Wire.write = self._writing()  # type: ignore[method-assign]

    def await_job(self, plan_id: str, job_id: str) -> None:
        """Spring when a script is sent that submits, settles or expands this job."""
        self._awaited = (plan_id, job_id)

    def _sending(self) -> Any:
        async def send(connection: Any, command: Any, check_health: bool = True) -> None:
            parts = [command] if isinstance(command, (bytes, str)) else list(command)
            whole = b"".join(part.encode() if isinstance(part, str) else part for part in parts)
            if awaited := self._is_in(whole):
                await self._send(connection, whole[: len(whole) // 2], check_health)
                self._trap.spring(*awaited)
            await self._send(connection, parts, check_health)

        return send

    def _writing(self) -> Any:
        def write(mine: Any, whole: bytes) -> None:
            if awaited := self._is_in(whole):
                socket = mine._transport.get_extra_info("socket")  # noqa: SLF001 - the loop would write later
                os.write(socket.fileno(), whole[: len(whole) // 2])
                self._trap.spring(*awaited)
            self._write(mine, whole)

        return write

    def _is_in(self, whole: bytes) -> tuple[str, str] | None:
        """Return the plan and job that are waited for, if this is the command that concerns them."""
        if self._awaited and self._awaited[1].encode() in whole and any(sha in whole for sha in self._verbs):
            return self._awaited
        return None


def _in_the_middle(app: Application, trap: Trap) -> AtCommit | InCommand:
    """Return what springs the trap in the middle of a write, as the engine of ``app`` writes."""
    return InCommand(trap) if isinstance(app.engine, RedisWorkEngine) else AtCommit(trap)


class TrappedAction:
    """An action whose process may die in the middle of it or just after it."""

    def __init__(self, inner: Action, trap: Trap) -> None:
        """Stand for ``inner``."""
        self._inner = inner
        self._trap = trap

    @property
    def definition(self) -> ActionDefinition:
        """The declaration of the action itself."""
        return self._inner.definition

    async def run(self, params: Mapping[str, Any], context: ActionContext) -> Any:
        """Do it."""
        what = (self.definition.id, context.attempt)
        if self._trap.meant_for(Point.MID_EFFECT, *what):
            for label in labels_in(dict(params)):
                self._trap.hand_over(label, context.plan_id, context.job_id)
        result = await self._inner.run(params, context)
        if self._trap.meant_for(Point.AFTER_EFFECT, *what):
            self._trap.spring(context.plan_id, context.job_id)
        return result

    async def probe(self, params: Mapping[str, Any], context: ActionContext) -> ProbeAnswer:
        """Ask the action's own probe."""
        return await self._inner.probe(params, context)


class TrappedDispatcher:
    """A dispatcher whose process may die around claim, dispatch record and settlement. It notes what it was refused."""

    def __init__(self, app: Application, trap: Trap | None, notes: Path | None) -> None:
        """Stand for the dispatcher of ``app``."""
        self._inner = app.engine.dispatcher
        self._app = app
        self._trap = trap
        self._notes = notes
        self._jobs: dict[str, Job] = {}
        in_transaction = trap is not None and trap.point in {Point.MID_SETTLE, Point.MID_EXPAND}
        self._at_commit = _in_the_middle(app, trap) if trap is not None and in_transaction else None

    def __getattr__(self, name: str) -> Any:
        """Pass on what has no point of its own."""
        return getattr(self._inner, name)

    async def claim(self, worker_id: str, *, limit: int, caps: Mapping[str, Caps] = NO_CAPS) -> Claimed:
        """Claim."""
        claimed = await self._inner.claim(worker_id, limit=limit, caps=caps)
        self._jobs |= {lease.job.job_id: lease.job for lease in claimed.leases}
        self._perhaps(Point.AFTER_CLAIM, [lease.job.job_id for lease in claimed.leases])
        return claimed

    async def dispatch(
        self, refs: Sequence[LeaseRef], spends: Mapping[LeaseRef, Spending] = NO_SPENDING
    ) -> tuple[Answer, ...]:
        """Write dispatch records."""
        job_ids = [ref.job_id for ref in refs]
        self._perhaps(Point.BEFORE_DISPATCH, job_ids)
        answers = await self._noted("dispatch", job_ids, self._inner.dispatch(refs, spends))
        self._perhaps(Point.AFTER_DISPATCH, job_ids)
        return answers

    async def settle(self, settlements: Sequence[Settlement]) -> tuple[Answer, ...]:
        """Settle."""
        job_ids = [settlement.ref.job_id for settlement in settlements]
        self._perhaps(Point.BEFORE_SETTLE, job_ids)
        self._perhaps(Point.MID_SETTLE, job_ids)
        self._perhaps(Point.MID_EXPAND, job_ids)
        settling = self._inner.settle([self._expanded(settlement) for settlement in settlements])
        answers = await self._noted("settle", job_ids, settling)
        self._perhaps(Point.AFTER_SETTLE, job_ids)
        return answers

    def _perhaps(self, point: Point, job_ids: Sequence[str]) -> None:
        for job in (self._jobs[job_id] for job_id in job_ids):
            if self._trap is None or job.expanded or not self._trap.meant_for(point, job.action_id, job.attempts):
                continue
            if self._at_commit is not None:
                self._at_commit.await_job(job.plan_id, job.job_id)
            else:
                self._trap.spring(job.plan_id, job.job_id)

    async def _noted(
        self, verb: str, job_ids: Sequence[str], answering: Awaitable[tuple[Answer, ...]]
    ) -> tuple[Answer, ...]:
        """Return the answers, written down if there is a folder for notes."""
        answers = await answering
        if self._notes is not None:
            with (self._notes / f"{os.getpid()}.jsonl").open("a") as lines:
                for job_id, answer in zip(job_ids, answers, strict=True):
                    said = answer.reason if isinstance(answer, Refused) else "granted"
                    lines.write(json.dumps({"verb": verb, "job_id": job_id, "said": said}) + "\n")
        return answers

    def _expanded(self, settlement: Settlement) -> Settlement:
        """Return the settlement, with a child for each label where a fan completed for the first time."""
        job, outcome = self._jobs[settlement.ref.job_id], settlement.outcome
        if job.action_id != FAN or job.expanded or not isinstance(outcome, Completed) or outcome.result_sealed is None:
            return settlement
        result = self._app.vault.unseal(
            outcome.result_sealed, workspace_id=job.workspace_id, purpose=sealed_result(job.plan_id, job.step_id)
        )
        children = tuple(
            self._child(
                job, f"{job.step_id}[{index}]", {"url": result["url"], "payload": {"label": label}, "headers": {}}
            )
            for index, label in enumerate(result["labels"])
        )
        return replace(settlement, outcome=Expanded(children))

    def _child(self, job: Job, step_id: str, params: dict[str, Any]) -> NewJob:
        action = self._app.catalogue.get("webhook.post")
        assert action is not None
        definition, vault = action.definition, self._app.vault
        digests = step_digests(
            definition, step_id=step_id, params=params, depends_on=(), vault=vault, workspace_id=job.workspace_id
        )
        return NewJob(
            job_id=self._app.ids.new("job"),
            step_id=step_id,
            action_id=definition.id,
            definition_hash=definition.definition_hash,
            digest=digests[0],
            params_sealed=vault.seal(
                params, workspace_id=job.workspace_id, purpose=sealed_params(job.plan_id, step_id)
            ),
            depends_on=(),
            effect=Effect(definition.effect),
            retry=definition.retry,
            max_attempts=definition.max_attempts,
            key_valid_s=definition.key_valid_s,
            parent_step_id=job.step_id,
        )


class TrappedStore:
    """A work store whose process may die in or just after a submit."""

    def __init__(self, inner: WorkStore, trap: Trap, at_commit: AtCommit | InCommand | None) -> None:
        """Stand for ``inner``."""
        self._inner = inner
        self._trap = trap
        self._at_commit = at_commit

    def __getattr__(self, name: str) -> Any:
        """Pass on what has no point of its own."""
        return getattr(self._inner, name)

    async def submit(self, submission: Submission) -> Submitted:
        """Submit."""
        first = submission.jobs[0]
        if self._at_commit is not None and self._trap.meant_for(Point.MID_SUBMIT, first.action_id, 1):
            self._at_commit.await_job(submission.plan.plan_id, first.job_id)
        done = await self._inner.submit(submission)
        if self._trap.meant_for(Point.AFTER_SUBMIT, first.action_id, 1):
            self._trap.spring(done.plan_id, done.job_ids[0])
        return done


class TrappedEngine:
    """An engine whose two faces carry the trap."""

    def __init__(self, app: Application, trap: Trap | None, notes: Path | None) -> None:
        """Stand for the engine of ``app``."""
        self._inner = app.engine
        self._trap = trap
        in_submit = trap is not None and trap.point is Point.MID_SUBMIT
        self._at_commit = _in_the_middle(app, trap) if trap is not None and in_submit else None
        self.dispatcher = cast("Dispatcher", TrappedDispatcher(app, trap, notes))

    def open(self, principal: Principal) -> WorkStore:
        """Return the work of the principal's workspace."""
        store = self._inner.open(principal)
        if self._trap is None:
            return store
        return cast("WorkStore", TrappedStore(store, self._trap, self._at_commit))

    async def ping(self) -> None:
        """Return if the store answers."""
        await self._inner.ping()


def with_trap(app: Application, trap: Trap | None, notes: Path | None) -> Application:
    """Return ``app`` with shells round what can die; without a trap they only expand and take notes."""
    if trap is not None and trap.signal == signal.SIGSTOP:
        trap = replace(trap, first=partial(finish_writing, app.database))
    engine = TrappedEngine(app, trap, notes)
    catalogue = ActionCatalogue()
    for definition in app.catalogue.definitions():
        action = app.catalogue.get(definition.id)
        assert action is not None
        catalogue.add(action if trap is None else TrappedAction(action, trap))
    orchestrator = Orchestrator(
        engine=engine,
        catalogue=catalogue,
        planner=app.planner,
        policies=app.policies,
        vault=app.vault,
        clock=app.clock,
        ids=app.ids,
        recorder=app.recorder,
    )
    return replace(app, engine=engine, catalogue=catalogue, orchestrator=orchestrator)


def finish_writing(database: Database) -> None:
    """Return once everything is written that this process has begun to write, a heartbeat say, and it holds no lock.

    Paused in the middle of that, it would keep SQLite's one lock, and everybody else would wait for it to wake up.
    """

    async def _write_nothing() -> None:
        with suppress(StoreUnavailable):  # then it holds nothing either
            await database.write(lambda _: None)

    writing = threading.Thread(target=asyncio.run, args=(_write_nothing(),))  # the loop of this thread stands still
    writing.start()
    writing.join()
