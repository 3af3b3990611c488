"""The single truth for work, as a contract: what every engine promises, complete enough to implement one from it.

Every verb is one atomic operation that also appends its events; after an error nothing has changed. Deadlines are judged
by the engine's own clock. All ids are checked for shape by the caller. A ``WorkStore`` is opened *for a principal* and
has no method that takes a workspace: what belongs to another workspace does not exist for it. The ``Dispatcher`` is the
installation's own face, for workers and maintenance. Resending is safe: submit is idempotent by plan id and by idempotency
claims, settle and dispatch by job and fence.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Protocol

from steward.approval import Approval, ApprovalStatus, Verdict
from steward.caps import NO_BUDGETS, NO_CAPS, Activity, Budgets, Caps
from steward.digest import CanonicalJson
from steward.event import Event
from steward.identity import Principal
from steward.job import Difference, HeldFor, Job, JobStatus, NewJob, Outcome
from steward.plan import PlanRecord, PlanStatus
from steward.spending import NO_SPENDING, Spending
from steward.work_answers import Answer, Granted, LeaseRef, Refused, make_ref
from steward.work_pages import ApprovalPage, EventPage, JobPage, PlanPage

__all__ = ["Granted", "Refused"]
MAX_PAGE: Final = 100
DRAFT_S: Final = 3600
MAX_DRAFTS: Final = 1_000
APPROVAL_S: Final = 72 * 3600
RETENTION_S: Final = 30 * 24 * 3600
MIN_RETENTION_S: Final = 24 * 3600


@dataclass(frozen=True, slots=True)
class IdempotencyClaim:
    """A client's own name for a request (``request``) or for one action of it (``action``), with what it stands for."""

    namespace: Literal["request", "action"]
    key: str
    payload_digests: tuple[str, ...]
    """What the payload is known by, of at most 64 characters: the first is kept, and the same key is refused unless what was kept is among them."""
    step_index: int = 0
    """``action`` only: which job it names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Everything that ``submit`` puts in place at once."""

    plan: PlanRecord
    """Its status is ignored: the store sets it."""
    jobs: tuple[NewJob, ...]
    """One per step, in step order."""
    idempotency: tuple[IdempotencyClaim, ...] = ()
    approval: Approval | None = None
    """Given: every job is held for it and the plan is ``awaiting_approval``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """What became of a submission; a duplicate carries the original's ids in the same positions."""

    plan_id: str
    status: PlanStatus
    job_ids: tuple[str, ...]
    duplicate: bool
    approval_id: str | None
    queue_depth: int
    """Ready jobs of this workspace afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A claimed job: the record as claimed, its sealed parameters, and the sealed results of the steps it depends on."""

    job: Job
    params_sealed: bytes
    inputs_sealed: Mapping[str, bytes | None]
    """Step id to sealed result, for each step in ``depends_on`` (after an expansion: each child)."""
    input_labels: Mapping[str, Mapping[str, Any]]
    store: "WorkStore"
    """Opened for the job's own actor and workspace."""
    record: Any = None
    """As in ``ref``."""

    @property
    def ref(self) -> LeaseRef:
        """What to show to the dispatcher."""
        job = self.job
        return make_ref(job.workspace_id, job.job_id, job.fence, self.record)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """The leases taken, and when something will become ready by itself (None: nothing is scheduled or leased)."""

    leases: tuple[Lease, ...]
    next_at: datetime | None


@dataclass(frozen=True, slots=True)
class Settlement:
    """How one attempt ended."""

    ref: LeaseRef
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What one sweep did, by count."""

    leases_lost: int = 0
    approvals_expired: int = 0
    drafts_expired: int = 0


class Listener(Protocol):
    """Hears that something changed, in this process or another one on the same store."""

    async def wait(self, timeout_s: float) -> bool:
        """Return True at once if something changed since the last wait, else when it does; False after ``timeout_s``."""
        ...


class WorkStore(Protocol):
    """Work of one workspace, for one principal. Unknown and foreign are the same: None from a get, ``NotFound`` from a verb."""

    @property
    def principal(self) -> Principal:
        """Whom it was opened for."""
        ...

    async def draft(self, plan: PlanRecord) -> None:
        """Keep a plan that nobody has executed (``draft`` or ``needs_input``), until its ``expires_at``.

        Appends ``plan.drafted``. Beyond ``MAX_DRAFTS`` the workspace's oldest drafts become ``expired``.
        """
        ...

    async def submit(self, submission: Submission) -> Submitted:
        """Put plan, jobs, idempotency records, approval and events in place, or nothing.

        In this order: (1) known idempotency claims: another digest raises ``IdempotencyKeyReused``; the ``request`` claim, or
        an ``action`` claim for every job, known: the original is returned with ``duplicate``; some jobs' claims known
        and other jobs new or unnamed raises ``IdempotencyMixed``. (2) The plan id known: a live draft is taken over; one past ``expires_at`` or expired raises
        ``PlanExpired``; one already executed is returned as duplicate, and the request claim recorded for it;
        anything else raises ``IllegalTransition``; a draft whose digest is another raises ``ApprovalMismatch``.
        (3) Jobs become ``held`` if there is an approval, else ``waiting`` if they depend on a step, ``scheduled`` if
        ``not_before`` lies ahead, ``pending`` otherwise. Appends ``plan.submitted`` (and ``approval.requested``).
        A job's ``actor_id`` and the approval's ``requested_by`` are the principal's.
        """
        ...

    async def find(self, claims: Sequence[IdempotencyClaim]) -> Submitted | None:
        """Return the original of a request by its idempotency claims alone, as a duplicate; None if none is known.

        Refuses reused and mixed claims as ``submit`` does; changes nothing.
        """
        ...

    async def decide_approval(
        self,
        approval_id: str,
        digest: str,
        verdict: Verdict,
        comment: str | None,
        *,
        same_person: frozenset[str] = frozenset(),
    ) -> Approval:
        """Record a decision once and release or cancel what it held, in the same operation.

        In this order. Another digest: ``ApprovalMismatch``. Decided by the same actor with the same verdict: returned as
        it was decided, nothing changes. Not pending or past ``expires_at``: ``IllegalTransition``. Approve:
        ``AnotherPersonRequired`` for who executed or made the plan if it says ``another_person``,
        ``ApproverRoleRequired`` without its ``approver_role``; ``same_person`` are further ids of who decides; jobs held for it become ``waiting``, ``scheduled`` or
        ``pending`` as after submit. Reject takes neither: they become ``cancelled``, a plan approval makes the plan
        ``rejected``. The comment is kept redacted.
        """
        ...

    async def cancel_job(self, job_id: str) -> Job:
        """Cancel a job and, for the same reason, the steps that need it.

        Not started: ``cancelled``; between attempts, when an earlier one may have had its effect: ``unknown`` (error
        ``cancelled_in_doubt``), so that somebody looks. Running: ``cancel_requested``, honoured before dispatch, never in mid-effect.
        Ended or unknown: ``IllegalTransition``.
        """
        ...

    async def cancel_plan(self, plan_id: str) -> PlanRecord:
        """Cancel every step not yet started and ask running ones to stop; a draft becomes ``cancelled``.

        Ended: ``IllegalTransition``. The plan ends when its running steps do.
        """
        ...

    async def retry_job(self, job_id: str) -> Job:
        """Give a failed job a fresh budget of attempts, revive the steps its failure cancelled, and the plan with them.

        Not ``failed``: ``IllegalTransition`` (an unknown outcome is resolved first, never blindly repeated). A cancelled
        dependent is revived to ``waiting`` only if no other step it needs is failed, cancelled or skipped.
        """
        ...

    async def resolve_job(self, job_id: str, outcome: Literal["completed", "failed"], note: str) -> Job:
        """Settle an unknown outcome by hand; dependents are released or cancelled. Not ``unknown``: ``IllegalTransition``.

        Failed by hand settles the doubt (``first_dispatched_at`` is cleared). Completed by hand has the result ``{"resolved": "completed", "note": …}``; failed the error ``resolved_failed``.
        """
        ...

    async def get_plan(self, plan_id: str) -> PlanRecord | None:
        """Return one plan; a draft past its time reads as ``expired``."""
        ...

    async def get_job(self, job_id: str) -> Job | None:
        """Return one job."""
        ...

    async def get_approval(self, approval_id: str) -> Approval | None:
        """Return one approval."""
        ...

    async def plan_jobs(self, plan_id: str) -> tuple[Job, ...]:
        """Return the plan's jobs in step order, children after their parent; none for an unknown plan."""
        ...

    async def list_jobs(
        self, *, limit: int, after: str | None = None, status: JobStatus | None = None, plan_id: str | None = None
    ) -> JobPage:
        """Return up to ``limit`` jobs older than job id ``after``, newest first.

        A walk from the first page to the last returns every job that existed throughout exactly once, whatever happens
        meanwhile; its cost does not depend on other workspaces or on how many jobs there are.
        """
        ...

    async def list_plans(self, *, limit: int, after: str | None = None, status: PlanStatus | None = None) -> PlanPage:
        """Return up to ``limit`` plans older than plan id ``after``, newest first; as ``list_jobs``."""
        ...

    async def list_approvals(
        self, *, limit: int, after: str | None = None, status: ApprovalStatus = ApprovalStatus.PENDING
    ) -> ApprovalPage:
        """Return up to ``limit`` approvals with this status older than approval id ``after``, newest first; as ``list_jobs``."""
        ...

    async def plan_approvals(self, plan_id: str) -> tuple[Approval, ...]:
        """Return the approvals of a plan and of its steps, newest first; none for an unknown plan."""
        ...

    async def queue_depth(self) -> int:
        """Return how many jobs of this workspace are ready."""
        ...

    async def events_after(self, event_id: str | None, *, limit: int, plan_id: str | None = None) -> EventPage:
        """Return up to ``limit`` events after ``event_id``, oldest first; None: only ``last_event_id``, the newest there is."""
        ...

    async def activity(self, budgets: Budgets = NO_BUDGETS) -> Activity:
        """Return what caps and these budgets count now: what runs, what started within the last minute, what is used."""
        ...

    def listen(self) -> AbstractContextManager[Listener]:
        """Return a listener that hears of new events (perhaps also other workspaces': a ring is only a hint)."""
        ...


class Dispatcher(Protocol):
    """The installation's face: hands out work, takes it back, keeps house."""

    piece: int
    """How many events are best read at a time, so that nobody who waits for the store, or for the loop, notices."""

    @property
    def parts(self) -> int:
        """In how many parts a busy worker best fills its slots, so that it works on one while the store does on another."""
        ...

    async def claim(self, worker_id: str, *, limit: int, caps: Mapping[str, Caps] = NO_CAPS) -> Claimed:
        """Take up to ``limit`` ready jobs, fairly between workspaces, oldest first within one.

        ``caps``, by workspace, are never overstepped, whoever else claims: what runs and what started is counted in the
        same operation. A job that a cap keeps stays ``pending`` and is passed over, and nobody else waits for it; when
        one of its workspace ends, listeners are woken, and ``next_at`` covers the end of a minute.

        Due scheduled jobs become ready first. Each claimed job: ``running``, fence + 1, attempts + 1, a lease of
        ``LEASE_S``, ``dispatched_at`` cleared, ``started_at`` set on the first. A workspace that was served goes to the
        end of the line, so one with a single job never waits behind another's flood. Appends ``job.started``.
        """
        ...

    async def dispatch(
        self, refs: Sequence[LeaseRef], spends: Mapping[LeaseRef, Spending] = NO_SPENDING
    ) -> tuple[Answer, ...]:
        """Record, just before it, that the effect may now happen. Only a granted lease may go on to have one.

        Refused: ``fence`` when the lease is not current or has run out, ``cancelled`` when a cancel was asked for,
        ``budget`` when what the effect ``spends`` does not fit into its workspace's budgets: it is reserved in the same
        operation, from all of them or none, and never more than there is. Sets ``dispatched_at``, and
        ``first_dispatched_at`` unless it is set and the job is ``keyed`` (a ``probe`` or ``none`` job is dispatched again
        only once earlier doubt is settled); extends the lease, appends ``job.dispatched``. Again: granted, nothing changes.
        """
        ...

    async def renew(self, refs: Sequence[LeaseRef]) -> tuple[Answer, ...]:
        """Extend current leases by ``LEASE_S`` from now; the granted record shows ``cancel_requested``."""
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> tuple[Answer, ...]:
        """End attempts. A stale fence is refused and changes nothing; each settlement stands alone.

        The current fence counts even when its lease has run out, as long as no sweep took it; the same settlement again
        is granted again. ``TryAgain`` makes the job ``scheduled`` (``pending`` if its time has come), ``Deferred`` too
        and ``HandedBack`` ``pending``, both with attempts - 1; any of a job whose cancel was asked for makes it
        ``cancelled`` instead, or ``unknown`` if doubtful. An attempt that ended without doubt (``Failed``, ``TryAgain``
        not ``doubtful``) clears the ``first_dispatched_at`` that it set itself; what it had reserved is given back.

        Completed releases the dependents whose every dependency is completed; failed and cancelled cancel the dependents,
        skipped skips them, transitively; unknown leaves them waiting. Parameters are dropped on completed, skipped and
        cancelled by a person; they stay sealed where a retry may need them. When no job of the plan is open
        the plan ends: ``failed`` if any job failed, else ``cancelled`` if any was cancelled, else ``completed``; sealed
        bodies and results are then dropped unless it failed. An expanded step waits for its children, which
        wait for one another where they depend on one another, and start otherwise; more than ``MAX_JOBS_PER_PLAN`` jobs, or an id that exists, raises ``Conflict``.
        """
        ...

    async def hold(
        self,
        ref: LeaseRef,
        held_for: HeldFor,
        reason: str,
        approval: Approval | None,
        differences: Sequence[Difference] = (),
    ) -> Answer:
        """Take a running, undispatched job off the floor until a person decides. The attempt does not count, but keeps ``differences``.

        The approval is of this job and its ``requested_by`` the job's actor, whatever it says. Appends ``job.held`` (and ``approval.requested``).
        Refused: ``fence``, also once dispatched; ``cancelled`` when a cancel was asked for.
        """
        ...

    async def sweep(self) -> Swept:
        """Recover lost leases by ``after_lost_lease``, expire approvals (plan ``expired``, held jobs ``cancelled``) and drafts."""
        ...

    async def purge(self, retention_s: int, *, archived: int | None = None) -> int:
        """Delete plans that ended longer ago than ``retention_s``, and drafts a day after they expired, with all that belongs to
        them. Nothing live is touched, nor a plan with an event past position ``archived``. Returns how many plans went.
        """
        ...

    async def depth(self) -> Mapping[str, int]:
        """Return ready jobs by workspace, for metrics."""
        ...

    async def events_after(self, position: int, *, limit: int) -> tuple[Event, ...]:
        """Return events of all workspaces after ``position``, in commit order; of ``BY_THE_WAY``, all that tell anything, or are last."""
        ...

    def hear_events(self) -> AbstractContextManager[Listener]:
        """Return a listener that hears of any workspace's new events."""
        ...

    async def shown_plans(self, named: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], CanonicalJson]:
        """Return what was ``shown`` of those of these plans that there are, each by its workspace and id, for readers of ``events_after``."""
        ...

    def listen(self) -> AbstractContextManager[Listener]:
        """Return a listener that hears when jobs become ready."""
        ...


class WorkEngine(Protocol):
    """One opened engine, from which both faces come."""

    def open(self, principal: Principal) -> WorkStore:
        """Return the work of the principal's workspace."""
        ...

    @property
    def dispatcher(self) -> Dispatcher:
        """The installation's face."""
        ...

    async def ping(self) -> None:
        """Return if the store answers; raise ``StoreUnavailable`` within 2 s otherwise."""
        ...
