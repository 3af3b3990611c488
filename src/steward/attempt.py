"""One attempt of one job: from the lease to the outcome.

Claim is not dispatch. Everything that can be refused is refused first: the actor's permission now, the digest, the
parameters with real values in them, policy on those values. For a write the dispatch record is written just before the
effect, and only a granted lease goes on to have one.
"""

import asyncio
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from steward import differences
from steward.action import (
    Action,
    ActionContext,
    ActionDefinition,
    ActionFailed,
    CannotTell,
    Effect,
    Happened,
    Labelled,
    OutcomeUnknown,
    RetryMode,
    takes_stored,
)
from steward.approval import Approval
from steward.errors import FieldProblem, Invalid, StoreUnavailable
from steward.functions import ExpressionFailed
from steward.identity import Principal, Scope
from steward.job import (
    MAX_DIFFERENCES,
    Cancelled,
    Deferred,
    Difference,
    Expanded,
    Failed,
    HandedBack,
    HeldFor,
    Job,
    JobError,
    Outcome,
    Skipped,
    Unknown,
    after_failure,
    may_have_happened,
)
from steward.link_guard import guarded
from steward.plan import REPLAN
from steward.plan_check import destinations, schema_problems, step_digests
from steward.policy import Allow, Ask, Deny, Policy
from steward.provenance import Label
from steward.quickly import quickly
from steward.recorded import job_decided, record_first
from steward.redaction import mask_text, redact_text, texts_in
from steward.replanning import Replanning
from steward.results import completed
from steward.rooms import Rooms
from steward.second_thoughts import may_wait, undo_window
from steward.spending import may_spend
from steward.step_approval import Changed, StepNow
from steward.step_children import children
from steward.step_values import Each, Gathered, Given, NotNow, Ready
from steward.submission import sealed_params, sealed_result
from steward.usage import settings_of
from steward.vault import SealBroken
from steward.work_store import Granted, Lease, LeaseRef, Refused

_log = structlog.get_logger("steward.worker")
_MAX_DETAIL_CHARS: Final = 500
_make_context: Final = quickly(ActionContext)
_make_given: Final = quickly(Given)
_CANCELLED: Final = Cancelled("It was cancelled before it had any effect.")


@dataclass(frozen=True, slots=True)
class Held:
    """The job was put aside for a person; there is nothing to settle."""


@dataclass(frozen=True, slots=True)
class LeaseLost:
    """Somebody else has the job now; nothing may be written."""


def _refused(answer: Refused) -> Outcome | LeaseLost:
    """Return what becomes of an attempt whose effect may not happen (now)."""
    if answer.reason == "budget":
        error = JobError("budget_exceeded", answer.detail)
        return Failed(error) if answer.retry_at is None else Deferred(error, answer.retry_at)
    return _CANCELLED if answer.reason == "cancelled" else LeaseLost()


@dataclass(slots=True, eq=False)
class Attempt:
    """One attempt under way."""

    lease: Lease
    rooms: Rooms
    alone: bool = False
    """Whether nobody's attempt is under way beside it, so that there is no company for its questions."""
    job: Job = field(init=False)
    """The record as claimed."""
    ref: LeaseRef = field(init=False)
    """What to show to the dispatcher."""
    granted: Granted | None = None
    """What was answered to the dispatch record."""
    cancel_asked: bool = False
    secrets: frozenset[str] = frozenset()
    """The secret parameters' own texts, to be masked in whatever comes back."""
    effect_under_way: bool = False
    """Whether stopping now would leave something half done."""

    def __post_init__(self) -> None:
        """Start from the record as claimed."""
        self.job, self.ref = self.lease.job, self.lease.ref

    @property
    def _now(self) -> Job:
        """The record as it stands, with what is known of dispatches."""
        return self.job if self.granted is None else self.granted.job

    async def run(self) -> Outcome | Held | LeaseLost:
        """Return how it ended; whatever goes wrong, it ends. Cancelling it stands for "the worker must stop now"."""
        try:
            return self._with_earlier_doubt(await self._run())
        except asyncio.CancelledError:
            if not self.effect_under_way:
                return self._with_earlier_doubt(_CANCELLED) if self.cancel_asked else HandedBack()
            error = JobError("worker_stopped", "The worker was stopped in the middle of this attempt.", retryable=True)
            return after_failure(self._now, error, self.rooms.clock.now(), provably_not_done=False, retry_after_s=0.0)
        except StoreUnavailable:  # it comes only from before the effect
            return HandedBack()
        except Exception as error:  # noqa: BLE001 - an attempt must end, or its job would hang until the lease is lost
            where = "".join(traceback.format_tb(error.__traceback__))  # and not its words, which may hold parameters
            _log.error("An attempt broke down.", action="attempt_broke_down", where=where, **self._names())
            broken = JobError("internal_error", f"Steward itself failed with {type(error).__name__}.", retryable=True)
            return self._after(broken, provably_not_done=not self.effect_under_way)

    def _with_earlier_doubt(self, outcome: Outcome | Held | LeaseLost) -> Outcome | Held | LeaseLost:
        """Return ``outcome``, or unknown where it denies an effect that an earlier attempt may have had."""
        if not isinstance(outcome, (Failed, Cancelled)) or not may_have_happened(self._now, provably_not_done=True):
            return outcome
        if isinstance(outcome, Failed):
            return Unknown(outcome.error)
        return Unknown(JobError("cancelled", "It was cancelled, but an earlier attempt may have had its effect."))

    async def _run(self) -> Outcome | Held | LeaseLost:
        action = self.rooms.catalogue.get(self.job.action_id)
        if action is None:
            return Failed(JobError("unknown_action", f"There is no action '{self.job.action_id}' any more."))
        written = self._unsealed()
        if isinstance(written, Failed):
            return written
        if secret := action.definition.secrets:
            self.secrets = frozenset(texts_in([value for name, value in written.items() if name in secret]))
        standing = await self.rooms.standings.of(self.job.workspace_id, self.job.actor_id)
        who, policy = standing.principal, standing.policy
        if who is None or not who.may(Scope.EXECUTE):
            gone = "Whoever asked for this may no longer run actions in this workspace."
            return Failed(JobError("permission_revoked", gone))
        try:
            given = _make_given(self.job, written, self._inputs(), self.lease.input_labels)
        except SealBroken as error:
            return Failed(JobError("seal_broken", error.detail))
        if not self._is_as_checked(action.definition, written):
            return await self._drifted(action.definition, written)
        return await self._take(who, policy, action, given)

    async def _take(self, who: Principal, policy: Policy, action: Action, given: Given) -> Outcome | Held | LeaseLost:
        """Work out whether, how often and with what it runs, and do so."""
        try:
            turn = given.turn()
        except ExpressionFailed as error:
            return Failed(JobError("expression_failed", f"An expression of this step has no value: {error.detail}"))
        match turn:
            case NotNow():
                return Skipped("Its condition was false.")
            case Each():
                definition, vault, ids = action.definition, self.rooms.vault, self.rooms.ids
                return Expanded(children(self.job, definition, turn.turns, vault=vault, ids=ids))
            case Gathered():
                return self._completed(action.definition, turn.value, turn.labels)
            case _:
                turn = guarded(action.definition, turn)  # what everything from here on is about
                if takes_stored(action):
                    turn = turn.with_stored(await action.stored(turn.params, self._context(turn)))
                if stopped := await self._judge(who, policy, action.definition, turn):
                    return stopped
                if self.job.action_id == REPLAN:
                    action = Replanning(action.definition, self.rooms, self.lease, who, policy, turn)
                return await self._act(action, turn)

    # -- before the effect -------------------------------------------------------------------------------------------

    def _unsealed(self) -> dict[str, Any] | Failed:
        purpose = sealed_params(self.job.plan_id, self.job.step_id)
        try:
            return self.rooms.vault.unseal(
                self.lease.params_sealed, workspace_id=self.job.workspace_id, purpose=purpose
            )
        except SealBroken as error:
            return Failed(JobError("seal_broken", error.detail))

    def _inputs(self) -> dict[str, Any]:
        return {
            step_id: None
            if sealed is None
            else self.rooms.vault.unseal(
                sealed, workspace_id=self.job.workspace_id, purpose=sealed_result(self.job.plan_id, step_id)
            )
            for step_id, sealed in self.lease.inputs_sealed.items()
        }

    def _is_as_checked(self, definition: ActionDefinition, written: Mapping[str, Any]) -> bool:
        """Say whether the job is still what was checked."""
        digests = step_digests(
            definition,
            step_id=self.job.step_id,
            params=written,
            depends_on=self.job.depends_on,
            vault=self.rooms.vault,
            workspace_id=self.job.workspace_id,
        )
        return self.job.digest in digests or self.job.expanded

    async def _drifted(self, definition: ActionDefinition, written: Mapping[str, Any]) -> Held | LeaseLost | Cancelled:
        """Put the job aside: it is no longer what was checked."""
        what = "definition" if definition.definition_hash != self.job.definition_hash else "parameters"
        plan = await self.lease.store.get_plan(self.job.plan_id)
        changes = differences.from_plan(plan, self.job, definition, written)
        return await self._hold_drifted(f"The {what} of {definition.id} changed after this plan was checked.", changes)

    async def _judge(
        self, principal: Principal, policy: Policy, definition: ActionDefinition, turn: Ready
    ) -> Outcome | Held | LeaseLost | None:
        """Return why the step with its real values may not run, or None."""
        params = turn.params
        if problems := self._misfits(definition, params):
            said = "; ".join(f"{problem.pointer}: {problem.detail}" for problem in problems[:3])
            return Failed(JobError("invalid_params", f"With the values from earlier steps: {said}"))
        context = {"labels": turn.origins, "resolved": True, "authored_after": bool(self.job.authored_after)}
        decision = policy.decide(principal, definition.id, destinations(definition, params), context)
        if not isinstance(decision, Allow):  # that it was allowed is recorded by what follows
            now = self.rooms.clock.now()
            self.rooms.recorder.note(job_decided(principal, self.job, decision, policy.version, now))
        if isinstance(decision, Deny):
            return Failed(JobError("policy_denied", f"{decision.reason} (rule {decision.rule})"))
        if isinstance(decision, Ask) and (asked := await self._ask(definition, turn, decision)):
            return asked
        return await self._second_thoughts() if may_wait(definition) else None

    async def _second_thoughts(self) -> Deferred | None:
        """Return the wait that the step still has before it, if its workspace lets such steps wait."""
        settings = await settings_of(self.rooms.directory, self.job.workspace_id)
        return undo_window(self.job, settings, self.rooms.clock.now())

    def _misfits(self, definition: ActionDefinition, params: Mapping[str, Any]) -> list[FieldProblem]:
        """Return what does not fit the schema now; what looks like a reference now is a value like any other.

        Where everything is written out, its digest says that these are the values and the schema that were checked.
        """
        as_checked = not self.job.labels and self.job.parent_step_id is None
        return [] if as_checked else schema_problems(definition, params)

    async def _ask(
        self, definition: ActionDefinition, turn: Ready, decision: Ask
    ) -> Held | LeaseLost | Cancelled | Failed | None:
        """Put the job aside with a question unless a person's yes covers it as it is now; None: it does."""
        rooms, job, store = self.rooms, self.job, self.lease.store
        plan = await store.get_plan(job.plan_id)
        assert plan is not None, "a job lives no longer than its plan"
        step = StepNow(job=job, plan=plan, definition=definition, turn=turn, decision=decision, secrets=self.secrets)
        try:
            needed = step.needs(await store.plan_approvals(plan.plan_id), rooms.vault, rooms.ids, rooms.clock.now())
        except Invalid as error:
            return Failed(JobError("invalid_params", f"With the values from earlier steps: {error.detail}"))
        if isinstance(needed, Changed):
            return await self._hold_drifted("Its values changed after this step was approved.", needed.differences)
        return None if needed is None else await self._hold(HeldFor.APPROVAL, step.reason, needed)

    async def _hold_drifted(self, reason: str, changes: Sequence[Difference]) -> Held | LeaseLost | Cancelled:
        said = f"{reason}{differences.said(changes)}"
        return await self._hold(HeldFor.DRIFT, said, changes=changes[:MAX_DIFFERENCES])

    async def _hold(
        self, held_for: HeldFor, reason: str, approval: Approval | None = None, changes: Sequence[Difference] = ()
    ) -> Held | LeaseLost | Cancelled:
        answer = await self.rooms.dispatcher.hold(self.ref, held_for, reason, approval, changes)
        if isinstance(answer, Refused):
            return _CANCELLED if answer.reason == "cancelled" else LeaseLost()
        return Held()

    # -- the effect --------------------------------------------------------------------------------------------------

    async def _act(self, action: Action, turn: Ready) -> Outcome | LeaseLost:
        """Have the effect, after a probe and the dispatch record where they are due."""
        definition, params, context = action.definition, turn.params, self._context(turn)
        if definition.retry is RetryMode.PROBE and self.job.first_dispatched_at is not None:
            known = await self._probe(action, turn, context)
            if known is not None:
                return known
        recorder = self.rooms.recorder
        if recorder.required and (
            unrecorded := await record_first(recorder, self.job, definition, self.rooms.clock.now())
        ):
            return unrecorded
        if definition.effect is Effect.WRITE:
            spending = None
            if may_spend(definition):
                spending = await self.rooms.spending(self.job.workspace_id, definition, params)
            asked = (self.ref, spending)
            answer = await (self.rooms.dispatch_alone(asked) if self.alone else self.rooms.dispatch(asked))
            if isinstance(answer, Refused):
                return _refused(answer)
            self.granted = answer
            self.effect_under_way = True
        return await self._run_action(action, turn, context)

    async def _run_action(self, action: Action, turn: Ready, context: ActionContext) -> Outcome:
        definition = action.definition
        try:
            result = await self.rooms.limits.run(action, turn.params, context)
        except ActionFailed as failure:
            error = self._error(failure.code, failure.detail, retryable=failure.retryable)
            return self._after(error, provably_not_done=True, retry_after_s=failure.retry_after_s)
        except OutcomeUnknown as doubt:
            return self._after(self._error(doubt.code, doubt.evidence), provably_not_done=False)
        except TimeoutError:
            detail = f"It took longer than {definition.timeout_s:g} seconds."
            return self._after(JobError("timeout", detail, retryable=True), provably_not_done=False)
        except Exception as error:  # noqa: BLE001 - an action may raise anything; for a write it may have happened
            _log.warning("The action raised.", action="attempt_raised", kind=type(error).__name__, **self._names())
            detail = f"The action ended with {type(error).__name__}."
            return self._after(JobError("action_error", detail), provably_not_done=False)
        return self._returned(definition, turn, result)

    def _returned(self, definition: ActionDefinition, turn: Ready, result: Any) -> Outcome:
        if isinstance(result, Expanded) and self.job.action_id == REPLAN:
            return result
        own = result.labels if isinstance(result, Labelled) else None
        value = result.value if isinstance(result, Labelled) else result
        return self._completed(definition, value, turn.result_labels(definition, own))

    async def _probe(self, action: Action, turn: Ready, context: ActionContext) -> Outcome | None:
        """Return the outcome if the far end knows that an earlier attempt succeeded, or cannot tell; None: go ahead."""
        try:
            async with asyncio.timeout(action.definition.timeout_s):
                answer = await action.probe(turn.params, context)
        except Exception as error:  # noqa: BLE001 - asking has no effect; the doubt simply remains
            failure = JobError("probe_failed", f"Asking whether it happened ended with {type(error).__name__}.", True)
            return after_failure(self.job, failure, self.rooms.clock.now(), provably_not_done=True)
        match answer:
            case Happened():
                return self._returned(action.definition, turn, answer.result)
            case CannotTell():
                return Unknown(self._error("cannot_tell", answer.reason))
            case _:
                return None

    def _after(self, error: JobError, *, provably_not_done: bool, retry_after_s: float | None = None) -> Outcome:
        return after_failure(
            self._now, error, self.rooms.clock.now(), provably_not_done=provably_not_done, retry_after_s=retry_after_s
        )

    def _completed(self, definition: ActionDefinition, result: Any, labels: Mapping[str, Label]) -> Outcome:
        return completed(self.job, definition, result, labels, vault=self.rooms.vault, secrets=self.secrets)

    # -- words -------------------------------------------------------------------------------------------------------

    def _context(self, turn: Ready) -> ActionContext:
        return _make_context(
            workspace_id=self.job.workspace_id,
            actor_id=self.job.actor_id,
            plan_id=self.job.plan_id,
            job_id=self.job.job_id,
            step_id=self.job.step_id,
            attempt=self.job.attempts,
            idempotency_key=self.job.effect_key,
            request_id=self.job.request_id,
            labels=turn.labels,
        )

    def _error(self, code: str, detail: str, *, retryable: bool = False) -> JobError:
        said = (
            mask_text(str(detail), self.secrets)[:_MAX_DETAIL_CHARS].encode(errors="replace").decode()
        )  # half a character cannot be stored
        return JobError(code, redact_text(said), retryable)

    def _names(self) -> dict[str, str]:
        job = self.job
        return {"job_id": job.job_id, "plan_id": job.plan_id, "workspace_id": job.workspace_id}
