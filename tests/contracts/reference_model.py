"""The contract once more, as a small in-memory model that is obviously right: dictionaries, no order, no speed.

It is told what the walk did and keeps what the store must show. Where the contract leaves a choice (which ready job a
claim takes) the walk tells the model what the engine chose, and the model checks that it was allowed.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from steward.action import RetryMode
from steward.job import FINAL, LEASE_S, JobStatus
from steward.plan import PlanStatus
from tests.contracts.reference_records import ModelApproval, ModelJob, ModelPlan, Refusal

S, P = JobStatus, PlanStatus
LOST = {S.FAILED, S.CANCELLED, S.SKIPPED}
NOT_STARTED = {S.WAITING, S.HELD, S.SCHEDULED, S.PENDING}
LIVE = {P.RUNNING, P.AWAITING_APPROVAL}
DAY_S = 24 * 3600


class Model:
    """All workspaces' work."""

    def __init__(self, now: datetime) -> None:
        """Start empty at ``now``."""
        self.now = now
        self.jobs: dict[str, ModelJob] = {}
        self.plans: dict[str, ModelPlan] = {}
        self.approvals: dict[str, ModelApproval] = {}
        self.claims: dict[tuple[str, str], tuple[str, str]] = {}
        """(workspace, request key) to (payload, plan id)."""

    # What is there.

    def in_state(self, *states: JobStatus) -> list[ModelJob]:
        """Return the jobs in any of these states."""
        return [job for job in self.jobs.values() if job.status in states]

    def ready(self) -> set[str]:
        """Return the ids of the jobs that a claim may take."""
        return {job.job_id for job in self.jobs.values() if job.status is S.PENDING or job.is_due(self.now)}

    def plan_status(self, plan: ModelPlan) -> PlanStatus:
        """Return how a plan reads: a draft past its time reads as expired."""
        stale = plan.status is P.DRAFT and plan.expires_at is not None and plan.expires_at <= self.now
        return P.EXPIRED if stale else plan.status

    def dependents(self, job: ModelJob) -> list[ModelJob]:
        """Return the jobs that need this one."""
        return [other for other in self.jobs.values() if job.job_id in other.needs]

    def members(self, plan: ModelPlan) -> list[ModelJob]:
        """Return all jobs of a plan, children included."""
        return [job for job in self.jobs.values() if job.plan_id == plan.plan_id]

    # People.

    def draft(self, plan: ModelPlan) -> None:
        """Keep a draft."""
        self.plans[plan.plan_id] = plan

    def submit(
        self, plan: ModelPlan, jobs: list[ModelJob], key: str | None, payload: str, approval: ModelApproval | None
    ) -> tuple[str, bool]:
        """Return the id of the plan that stands for this request, and whether it is a duplicate."""
        claim = (plan.workspace, key or "")
        if key is not None and claim in self.claims:
            if self.claims[claim][0] != payload:
                raise Refusal("IdempotencyKeyReused")
            return self.claims[claim][1], True
        known = self.plans.get(plan.plan_id)
        if known is not None and known.job_ids:
            if key is not None:
                self.claims[claim] = (payload, plan.plan_id)
            return plan.plan_id, True
        if known is not None and self.plan_status(known) is P.EXPIRED:
            raise Refusal("PlanExpired")
        if known is not None and known.status is not P.DRAFT:
            raise Refusal("IllegalTransition")
        if key is not None:
            self.claims[claim] = (payload, plan.plan_id)
        plan.status, plan.job_ids = (P.AWAITING_APPROVAL if approval else P.RUNNING), [job.job_id for job in jobs]
        self.plans[plan.plan_id] = plan
        for job in jobs:
            self.jobs[job.job_id] = job
            job.left, job.status = job.budget, S.HELD if approval else self._beginning(job)
        if approval:
            plan.approval_id = approval.approval_id
            self.approvals[approval.approval_id] = approval
        return plan.plan_id, False

    def decide(self, approval: ModelApproval, who: str, *, yes: bool) -> None:
        """Approve or reject; one's own decision again changes nothing."""
        said = "approved" if yes else "rejected"
        if (approval.status, approval.decided_by) == (said, who):
            return None
        if approval.status != "pending" or approval.expires_at <= self.now:
            raise Refusal("IllegalTransition")
        if yes and approval.never == who:
            raise Refusal("AnotherPersonRequired")
        approval.status, approval.decided_by = said, who
        if not yes:
            return self._turn_down(approval, P.REJECTED)
        if approval.job_id is None:
            self.plans[approval.plan_id].status = P.RUNNING
        for job in self._held(approval):
            job.status = self._beginning(job)
        return None

    def cancel_job(self, job: ModelJob) -> None:
        """Cancel, or ask to stop."""
        if job.status is S.RUNNING:
            job.cancel_requested = True
        elif job.status in {S.SCHEDULED, S.PENDING} and job.is_doubtful():
            self._end(job, S.UNKNOWN)
        elif job.status in NOT_STARTED:
            was_held = job.status is S.HELD
            self._end(job, S.CANCELLED)
            if was_held:
                self._withdraw(job.plan_id, job.job_id)
        else:
            raise Refusal("IllegalTransition")

    def cancel_plan(self, plan: ModelPlan) -> None:
        """Cancel what has not started, ask the rest to stop."""
        status = self.plan_status(plan)
        if status is P.DRAFT:
            plan.status, plan.ended_at = P.CANCELLED, self.now
        elif status in LIVE:
            self._withdraw(plan.plan_id, None)
            for job in self.members(plan):
                if job.status in {*NOT_STARTED, S.RUNNING}:
                    self.cancel_job(job)
        else:
            raise Refusal("IllegalTransition")

    def retry(self, job: ModelJob) -> None:
        """Give a failed job a fresh budget and revive what its failure cancelled."""
        if job.status is not S.FAILED:
            raise Refusal("IllegalTransition")
        job.status, job.left = S.PENDING, job.budget
        revived = True
        while revived:
            revived = False
            for other in self.in_state(S.CANCELLED):
                below = other.revivable and other.plan_id == job.plan_id
                if below and not any(self.jobs[need].status in LOST for need in other.needs):
                    other.status, other.revivable, revived = S.WAITING, False, True
        plan = self.plans[job.plan_id]
        plan.status, plan.ended_at = P.RUNNING, None

    def resolve(self, job: ModelJob, *, completed: bool) -> None:
        """Settle a doubt."""
        if job.status is not S.UNKNOWN:
            raise Refusal("IllegalTransition")
        if not completed:
            job.first_dispatched_at = None
        self._end(job, S.COMPLETED if completed else S.FAILED)

    # Workers.

    def claim(self, taken: Iterable[str], limit: int, cap: int | None = None) -> None:
        """Take note of what a claim gave out: it must have been ready, and as much as there was.

        ``cap``: how many of each workspace may run.
        """
        chosen, ready = list(taken), self.ready()
        assert len(set(chosen)) == len(chosen)
        assert set(chosen) <= ready
        may_start = Counter(self.jobs[job_id].workspace for job_id in ready)
        if cap is not None:
            running = Counter(job.workspace for job in self.in_state(S.RUNNING))
            may_start = Counter({name: min(n, max(cap - running[name], 0)) for name, n in may_start.items()})
            assert all(
                n <= may_start[name] for name, n in Counter(self.jobs[each].workspace for each in chosen).items()
            )
        assert len(chosen) == min(limit, may_start.total())
        for job in self.in_state(S.SCHEDULED):
            if job.is_due(self.now):
                job.status = S.PENDING
        for job_id in chosen:
            job = self.jobs[job_id]
            job.status, job.fence, job.left = S.RUNNING, job.fence + 1, job.left - 1
            job.dispatched_at, job.lease_until = None, self.now + timedelta(seconds=LEASE_S)

    def dispatch(self, job: ModelJob, fence: int) -> str:
        """Return ``granted`` or the reason of the refusal."""
        if not job.holds(fence, self.now):
            return "fence"
        if job.dispatched_at is not None:
            return "granted"
        if job.cancel_requested:
            return "cancelled"
        job.dispatched_at, job.lease_until = self.now, self.now + timedelta(seconds=LEASE_S)
        if job.first_dispatched_at is None or job.retry is not RetryMode.KEYED:
            job.first_dispatched_at = self.now
        return "granted"

    def settle(
        self, job: ModelJob, end: JobStatus, *, not_before: datetime | None = None, doubtful: bool = False
    ) -> None:
        """End an attempt; ``scheduled`` with a time means try again, ``pending`` handed back."""
        if end in {S.SCHEDULED, S.PENDING} and job.cancel_requested:
            handed_back_in_doubt = not_before is None and job.is_doubtful()
            end = S.UNKNOWN if doubtful or handed_back_in_doubt else S.CANCELLED
            not_before = None
        elif end is S.PENDING and not_before is None:
            job.left += 1
        if (
            (end is S.FAILED or not_before is not None)
            and not doubtful
            and job.first_dispatched_at == job.dispatched_at
        ):
            job.first_dispatched_at = None
        if end in {S.SCHEDULED, S.PENDING}:
            job.not_before = not_before
            late = not_before is not None and not_before > self.now
            job.leave(S.SCHEDULED if late else S.PENDING)
        else:
            self._end(job, end)

    def defer(self, job: ModelJob, not_before: datetime) -> None:
        """Put an attempt off that had no effect and does not count."""
        if job.cancel_requested:
            return self._end(job, S.UNKNOWN if job.is_doubtful() else S.CANCELLED)
        job.left, job.not_before = job.left + 1, not_before
        return job.leave(S.SCHEDULED)

    def expand(self, job: ModelJob, children: list[ModelJob]) -> None:
        """Put children in place; the job waits for them."""
        for child in children:
            child.left = child.budget
            self.jobs[child.job_id] = child
        job.expanded, job.needs = True, tuple(child.job_id for child in children)
        job.leave(S.WAITING if children else S.PENDING)

    def hold(self, job: ModelJob, approval: ModelApproval | None) -> None:
        """Take a job off the floor."""
        job.left += 1
        job.leave(S.HELD)
        if approval is not None:
            self.approvals[approval.approval_id] = approval

    # The installation.

    def sweep(self) -> tuple[int, int, int]:
        """Recover and expire; return how many leases, approvals and drafts."""
        lost = [job for job in self.in_state(S.RUNNING) if job.lease_until and job.lease_until <= self.now]
        for job in lost:
            self._lose(job)
        late = [one for one in self.approvals.values() if one.status == "pending" and one.expires_at <= self.now]
        for approval in late:
            approval.status = "expired"
            self._turn_down(approval, P.EXPIRED)
        stale = [plan for plan in self.plans.values() if self.plan_status(plan) is not plan.status]
        for plan in stale:
            plan.status, plan.ended_at = P.EXPIRED, self.now
        return len(lost), len(late), len(stale)

    def purge(self, retention_s: float) -> int:
        """Forget what ended long ago; return how many plans."""
        gone = 0
        for plan in list(self.plans.values()):
            kept_s = DAY_S if plan.status is P.EXPIRED and not plan.job_ids else retention_s
            if plan.ended_at is None or plan.ended_at + timedelta(seconds=kept_s) >= self.now:
                continue
            gone += 1
            del self.plans[plan.plan_id]
            self.jobs = {key: job for key, job in self.jobs.items() if job.plan_id != plan.plan_id}
            self.approvals = {key: one for key, one in self.approvals.items() if one.plan_id != plan.plan_id}
            self.claims = {key: claim for key, claim in self.claims.items() if claim[1] != plan.plan_id}
        return gone

    # Rules that several verbs share.

    def _beginning(self, job: ModelJob) -> JobStatus:
        if any(self.jobs[need].status is not S.COMPLETED for need in job.needs):
            return S.WAITING
        return S.SCHEDULED if job.not_before is not None and job.not_before > self.now else S.PENDING

    def _held(self, approval: ModelApproval) -> list[ModelJob]:
        jobs = self.members(self.plans[approval.plan_id]) if approval.job_id is None else [self.jobs[approval.job_id]]
        return [job for job in jobs if job.status is S.HELD]

    def _turn_down(self, approval: ModelApproval, end: PlanStatus) -> None:
        plan = self.plans[approval.plan_id]
        if approval.job_id is None:
            plan.status, plan.ended_at = end, self.now
        for job in self._held(approval):
            if job.status is S.HELD:
                self._end(job, S.CANCELLED)

    def _withdraw(self, plan_id: str, job_id: str | None) -> None:
        """Take pending questions back: all of a plan, or those that are about nothing held any more."""
        for approval in self.approvals.values():
            concerned = approval.plan_id == plan_id and approval.status == "pending"
            if concerned and (job_id is None or not self._held(approval)):
                approval.status = "cancelled"

    def _lose(self, job: ModelJob) -> None:
        doubtful = job.is_doubtful()
        if job.cancel_requested and not doubtful:
            return self._end(job, S.CANCELLED)
        since = job.first_dispatched_at or self.now
        valid = job.retry is RetryMode.KEYED and self.now < since + timedelta(seconds=job.key_valid_s)
        if job.left > 0 and (not doubtful or valid or job.retry is RetryMode.PROBE):
            return self.settle(job, S.PENDING, not_before=self.now, doubtful=doubtful)
        return self.settle(job, S.UNKNOWN if doubtful else S.FAILED)

    def _end(self, job: ModelJob, status: JobStatus, *, revivable: bool = False) -> None:
        """End a job (or leave it in doubt) with everything that follows for others and for the plan."""
        job.leave(status)
        job.revivable = revivable
        for other in self.dependents(job):
            if other.status not in {S.WAITING, S.HELD}:
                continue
            if status is S.COMPLETED and other.status is S.WAITING and self._beginning(other) is not S.WAITING:
                other.status = S.PENDING
            elif status in {S.FAILED, S.CANCELLED}:
                self._end(other, S.CANCELLED, revivable=revivable or status is S.FAILED)
            elif status is S.SKIPPED:
                self._end(other, S.SKIPPED)
        self._close(self.plans[job.plan_id])

    def _close(self, plan: ModelPlan) -> None:
        states = {job.status for job in self.members(plan)}
        if plan.status not in LIVE or not states <= FINAL:
            return
        worst = P.CANCELLED if S.CANCELLED in states else P.COMPLETED
        plan.status, plan.ended_at = P.FAILED if S.FAILED in states else worst, self.now
