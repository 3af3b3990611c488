"""The dispatcher's verbs on leases: claim, dispatch, renew, settle, hold.

Whatever keeps a job from being claimed (a needed step, a person, a time, another worker) is a state of its own, but for its
workspace's caps, whose condition stands in ``steward.caps``. So the claim looks for one state, ``pending``, and asks the
caps; ``explain`` reads the state and asks the same caps: the two cannot drift apart.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final

from pydantic_core import from_json

from steward.action import RetryMode
from steward.approval import Approval
from steward.caps import Caps
from steward.clock import from_milliseconds
from steward.database.sql import DAMAGE
from steward.event import EventType
from steward.job import LEASE_S, Difference, HeldFor, Job, JobStatus
from steward.quickly import quickly
from steward.spending import Spending
from steward.work_store import Answer, Claimed, Granted, Lease, LeaseRef, Refused, Settlement, WorkStore
from steward.work_stores.sql import statements, turn_statements
from steward.work_stores.sql.budgets import reserve
from steward.work_stores.sql.capped import within_caps
from steward.work_stores.sql.rows import JobRow, approval_row, encode, texts, to_job
from steward.work_stores.sql.transaction import Work
from steward.work_stores.sql.transitions import OUTCOME_WORDS, apply, set_aside

_DUE_AT_ONCE: Final = 100
"""Most due jobs of one workspace made ready by one claim."""
_IN_OTHER_HANDS_MS: Final = 10
_LEASE_MS: Final = round(timedelta(seconds=LEASE_S) / timedelta(milliseconds=1))

_make_lease: Final = quickly(Lease)

Opener = Callable[[JobRow], WorkStore]


def claim(work: Work, worker_id: str, limit: int, opener: Opener, caps: Mapping[str, Caps]) -> Claimed:
    """Take up to ``limit`` ready jobs, a fair share from each workspace that has some and may start more."""
    last_turn = work.sql.ask(turn_statements.LAST_TURN)
    first_end = work.sql.ask(statements.NEXT_LEASE_END)
    asked = work.sql.ask(statements.READY_QUEUES, {"limit": limit})
    due_in = work.sql.scalars(statements.DUE_WORKSPACES, {"now": work.now})
    next_due, line, turn = work.sql.ask(statements.NEXT_DUE), asked(), last_turn()[0][0] or 0
    work.have_locked(line)
    passed_over = False
    if due_in:
        passed_over = not _promote_due(work, due_in)
        next_due, line = work.sql.ask(statements.NEXT_DUE), _line(work, limit, ())
    taken: list[JobRow] = []
    capped: dict[str, int | None] = {}
    while line:
        left = limit - len(taken)
        for workspace_id, rows in _offered(work, _deal(line, left), caps, capped):
            turn += 1
            taken += _take(work, workspace_id, rows, worker_id, turn, capped=workspace_id in capped)
        work.flush()
        all_offered = len(line) < left and sum(queue.depth for queue in line) <= left
        line = () if all_offered or len(taken) >= limit else _line(work, limit - len(taken), capped)
    leases = _leases(work, taken, opener)
    if not taken and not work.sql.one_writer:
        passed_over = (
            passed_over or work.sql.first(turn_statements.MORE_READY, {"but": encode(list(capped))}) is not None
        )
    if not taken and passed_over:  # others are at those workspaces: their turn takes no time
        return Claimed(leases=(), next_at=from_milliseconds(work.now + _IN_OTHER_HANDS_MS))
    ours = work.now + _LEASE_MS if taken else None
    moments = (next_due()[0][0], first_end()[0][0], ours, *capped.values())
    next_at = min((moment for moment in moments if moment is not None), default=None)
    return Claimed(leases=leases, next_at=None if next_at is None else from_milliseconds(next_at))


def _line(work: Work, limit: int, but: Collection[str]) -> list[Any]:
    """Return the workspaces with ready jobs, least recently served first, without those whose caps leave nothing."""
    if but:
        line = work.sql.all(statements.OTHER_READY_QUEUES, {"limit": limit, "but": encode(list(but))})
    else:
        line = work.sql.all(statements.READY_QUEUES, {"limit": limit})
    work.have_locked(line)
    return line


def _promote_due(work: Work, due_in: Sequence[str]) -> bool:
    """Make due jobs ready, some of every workspace: one's flood that falls due must not hide another's single job.

    Returns whether it was one's turn in all of them.
    """
    free = work.lock_free(due_in)
    for workspace_id in free:
        due = {"w": workspace_id, "now": work.now, "limit": _DUE_AT_ONCE}
        for row in work.adopt(work.sql.all(statements.DUE_JOBS, due)):
            work.move(row, JobStatus.PENDING, EventType.JOB_RELEASED)
    work.flush()
    return len(free) == len(due_in)


def _deal(line: Sequence[Any], limit: int) -> list[tuple[str, int]]:
    """Deal ``limit`` slots one by one round the line; return the shares in the order in which the next round begins.

    Whoever would have been dealt the next slot comes first next time, so no place in the line is better than another.
    """
    left = {queue.workspace_id: queue.depth for queue in line}
    shares = dict.fromkeys(left, 0)
    waiting, served_out = deque(left), []
    for _ in range(limit):
        if not waiting:
            break
        workspace_id = waiting.popleft()
        shares[workspace_id] += 1
        left[workspace_id] -= 1
        (waiting if left[workspace_id] else served_out).append(workspace_id)
    return [(workspace_id, shares[workspace_id]) for workspace_id in (*waiting, *served_out)]


def _offered(
    work: Work, shares: Sequence[tuple[str, int]], caps: Mapping[str, Caps], capped: dict[str, int | None]
) -> Iterator[tuple[str, list[JobRow]]]:
    """Yield each workspace's oldest ready jobs that its caps allow, up to its share; all are asked for before any is waited for.

    Where they allow less than its share it goes into ``capped``, with the time at which they will allow more.
    """
    asked = {
        workspace_id: work.sql.ask(statements.READY_JOBS, {"w": workspace_id, "limit": share})
        for workspace_id, share in shares
        if not caps.get(workspace_id)
    }
    for workspace_id, share in shares:
        if workspace_id in asked:
            found = asked[workspace_id]()
        else:
            found = within_caps(work, workspace_id, share, caps[workspace_id], capped)
        yield workspace_id, work.adopt(found)


def _take(
    work: Work, workspace_id: str, rows: Sequence[JobRow], worker_id: str, turn: int, *, capped: bool
) -> list[JobRow]:
    """Claim a workspace's jobs, and send it to the end of the line; return those that were claimed."""
    taken = []
    for row in rows:
        try:
            row.fence, row.attempts = row.fence + 1, row.attempts + 1
        except TypeError:
            set_aside(work, row)
            continue
        taken.append(row)
        work.move(row, JobStatus.RUNNING, EventType.JOB_STARTED)
        row.worker_id, row.claimed_at, row.lease_until = worker_id, work.now, work.now + _LEASE_MS
        row.not_before = None
        row.started_at = row.started_at or work.now
    work.sql.run(turn_statements.SET_TURN, {"key": workspace_id, "new_turn": turn, "now_capped": capped})
    if not rows and not capped:  # the count was wrong: mend it rather than come back for ever
        work.mend_depth(workspace_id)
    return taken


def _readable(work: Work, rows: Sequence[JobRow]) -> dict[str, Job]:
    """Return the records of claimed jobs by their ids; one that cannot be read is put aside."""
    jobs = {}
    for row in rows:
        try:
            jobs[row.job_id] = to_job(row)
        except DAMAGE:
            set_aside(work, row)
    return jobs


def _leases(work: Work, rows: list[JobRow], opener: Opener) -> tuple[Lease, ...]:
    jobs = _readable(work, rows)
    rows = [row for row in rows if row.job_id in jobs]
    needs = {row.job_id: texts(row.depends_on) for row in rows}
    results: dict[tuple[str, str], Any] = {}
    if any(needs.values()):
        found = work.sql.all(
            statements.SEALED_RESULTS,
            {
                "plans": encode(sorted({row.plan_id for row in rows if needs[row.job_id]})),
                "steps": encode(sorted({step for steps in needs.values() for step in steps})),
            },
        )
        results = {(item.plan_id, item.step_id): item for item in found}
    leases, stores = [], {}  # a crowd of one actor's jobs shares a store
    for row in rows:
        whose = (row.workspace_id, row.actor_id)
        store = stores.get(whose) or stores.setdefault(whose, opener(row))
        inputs = {step: results[row.plan_id, step] for step in needs[row.job_id]} if needs[row.job_id] else {}
        leases.append(
            _make_lease(
                job=jobs[row.job_id],
                params_sealed=row.params_sealed or b"",
                inputs_sealed={step: item.result_sealed for step, item in inputs.items()},
                input_labels={step: from_json(item.result_labels) for step, item in inputs.items()},
                store=store,
            )
        )
    return tuple(leases)


def _leased(work: Work, ref: LeaseRef) -> JobRow | None:
    """Return the job that a lease names if it is still the current one."""
    row = work.job_by_id(ref.job_id)
    if row is None or row.workspace_id != ref.workspace_id or row.fence != ref.fence:
        return None
    return row if row.status == JobStatus.RUNNING else None


def dispatch(work: Work, refs: Sequence[LeaseRef], spends: Mapping[LeaseRef, Spending]) -> tuple[Answer, ...]:
    """Write the dispatch records of good leases whose effects their workspaces' budgets have room for."""
    answers: list[Answer] = []
    work.lock(ref.workspace_id for ref in refs)
    work.expect(ref.job_id for ref in refs)
    for ref in refs:
        row = _leased(work, ref)
        if row is None or (row.lease_until or 0) <= work.now:
            answers.append(Refused("fence"))
        elif row.dispatched_at is not None:
            answers.append(Granted(partial(to_job, row)))
        elif row.cancel_requested:
            answers.append(Refused("cancelled"))
        elif spends and ref in spends and (refused := reserve(work, row, spends[ref])) is not None:
            answers.append(refused)
        else:
            row.dispatched_at, row.lease_until = work.now, work.now + _LEASE_MS
            if row.first_dispatched_at is None or row.retry != RetryMode.KEYED:
                row.first_dispatched_at = work.now
            work.touch(row)
            work.note_job(EventType.JOB_DISPATCHED, row)
            answers.append(Granted(partial(to_job, row)))
    return tuple(answers)


def renew(work: Work, refs: Sequence[LeaseRef]) -> tuple[Answer, ...]:
    """Extend good leases."""
    answers: list[Answer] = []
    work.lock(ref.workspace_id for ref in refs)
    work.expect(ref.job_id for ref in refs)
    for ref in refs:
        row = _leased(work, ref)
        if row is None:
            answers.append(Refused("fence"))
            continue
        row.lease_until = work.now + _LEASE_MS
        work.touch(row)
        answers.append(Granted(partial(to_job, row)))
    return tuple(answers)


def settle(work: Work, settlements: Sequence[Settlement]) -> tuple[Answer, ...]:
    """End attempts; a lease that is no longer good is refused, a settlement already made is granted again."""
    answers: list[Answer] = []
    work.lock(settlement.ref.workspace_id for settlement in settlements)
    work.expect((settlement.ref.job_id for settlement in settlements), ends=True)
    for settlement in settlements:
        row = _leased(work, settlement.ref)
        if row is not None:
            apply(work, row, settlement.outcome)
            answers.append(Granted(partial(to_job, row)))
        else:
            answers.append(_settled_before(work, settlement))
    return tuple(answers)


def _settled_before(work: Work, settlement: Settlement) -> Answer:
    ref = settlement.ref
    row = work.job_by_id(ref.job_id)
    if row is not None and row.workspace_id == ref.workspace_id and row.fence == ref.fence:
        history = from_json(row.history)
        word = OUTCOME_WORDS[type(settlement.outcome)]
        if history and history[-1]["fence"] == ref.fence and history[-1]["outcome"] == word:
            return Granted(partial(to_job, row))
    return Refused("fence")


def hold(
    work: Work,
    ref: LeaseRef,
    held_for: HeldFor,
    reason: str,
    *,
    approval: Approval | None,
    differences: Sequence[Difference],
) -> Answer:
    """Put a claimed job aside until a person decides."""
    work.lock([ref.workspace_id])
    row = _leased(work, ref)
    if row is None or row.dispatched_at is not None:
        return Refused("fence")
    if row.cancel_requested:
        return Refused("cancelled")
    work.end_attempt(row, "held", differences=differences)
    row.attempts -= 1
    work.move(row, JobStatus.HELD, EventType.JOB_HELD, held_for=held_for)
    row.held_for, row.reason = held_for, reason
    if approval is not None:
        asked = approval_row(approval)
        asked.workspace_id, asked.plan_id, asked.job_id = row.workspace_id, row.plan_id, row.job_id
        asked.requested_by = row.actor_id
        work.sql.run_for_each(statements.ADD_APPROVAL, [asked])
        work.note(EventType.APPROVAL_REQUESTED, row.workspace_id, row.plan_id, row.job_id, None, asked.facts())
    return Granted(partial(to_job, row))
