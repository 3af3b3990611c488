"""Every SQL statement of the work store, by name, with its purpose; ``limit_statements`` has those of caps and budgets.

All take named parameters (``:w`` workspace, ``:now`` milliseconds). Statements on behalf of a principal always filter by
workspace; the dispatcher's find rows by job id and check the workspace of the lease.
"""

from functools import lru_cache

from sqlalchemy import (
    Boolean,
    String,
    Update,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    not_,
    or_,
    select,
    update,
)

from steward.approval import ApprovalStatus
from steward.database.sql import among, unindexed, upsert
from steward.database.tables import approvals, events, idempotency, jobs, plans, queues
from steward.database.under_way import mark_under_way
from steward.job import JobStatus
from steward.plan import PlanStatus
from steward.work_stores.sql.event_rows import EVENT_COLUMNS

W = bindparam("w")
_UNUSED = or_(plans.c.status == PlanStatus.DRAFT, plans.c.status == PlanStatus.NEEDS_INPUT)

# -- jobs ------------------------------------------------------------------------------------------------------------

ADD_JOBS = insert(jobs)
"""Put new jobs in place."""


@lru_cache(maxsize=256)
def save_job(changed: tuple[str, ...]) -> Update:
    """Return the statement that writes back what changed about a job: fewer columns, fewer indexes to keep."""
    return update(jobs).where(jobs.c.job_id == bindparam("job_id")).values({name: bindparam(name) for name in changed})


JOB = select(jobs).where(jobs.c.workspace_id == W, jobs.c.job_id == bindparam("job_id"))
"""One job of a workspace."""

JOBS_BY_ID = select(jobs).where(among(jobs.c.job_id, "ids"))
"""Some jobs, for a dispatcher that checks the workspace of each."""

JOBS_OF_PLAN = (
    select(jobs).where(jobs.c.workspace_id == W, jobs.c.plan_id == bindparam("plan_id")).order_by(jobs.c.position)
)
"""All jobs of a plan, in step order."""

STATUSES_OF_PLAN = select(jobs.c.status).where(jobs.c.plan_id == bindparam("plan_id")).distinct()
"""Which states the jobs of a plan are in, to tell how it ended."""

SEALED_RESULTS = select(jobs.c.plan_id, jobs.c.step_id, jobs.c.result_sealed, jobs.c.result_labels).where(
    among(jobs.c.plan_id, "plans"), among(jobs.c.step_id, "steps")
)
"""Results that claimed jobs refer to."""

DROP_SEALED_RESULTS = update(jobs).where(jobs.c.plan_id == bindparam("key")).values(result_sealed=None)
"""Forget the full results of a plan that ended."""

_NEWEST = (jobs.c.workspace_id == W, jobs.c.job_id < bindparam("after"))
_PAGE = bindparam("limit")
LIST_JOBS = select(jobs).where(*_NEWEST).order_by(jobs.c.job_id.desc()).limit(_PAGE)
"""A page of a workspace's jobs, newest first: a walk down one index."""

LIST_JOBS_BY_STATUS = (
    select(jobs).where(*_NEWEST, jobs.c.status == bindparam("status")).order_by(jobs.c.job_id.desc()).limit(_PAGE)
)
"""The same, of one status."""

LIST_JOBS_OF_PLAN = (
    select(jobs)
    # the planner stays on the plan's own short index
    .where(unindexed(jobs.c.workspace_id) == W, jobs.c.plan_id == bindparam("plan_id"))
    .where(jobs.c.job_id < bindparam("after"))
    .where(case((bindparam("status", type_=String).is_(None), True), else_=jobs.c.status == bindparam("status")))
    .order_by(jobs.c.job_id.desc())
    .limit(_PAGE)
)
"""The same, of one plan and perhaps one status."""

_SCHEDULED = jobs.c.status == literal_column(f"'{JobStatus.SCHEDULED}'")
DUE_WORKSPACES = (
    # the planner stays on the index that begins with the time: only what is due is looked at
    select(unindexed(jobs.c.workspace_id)).where(_SCHEDULED, jobs.c.not_before <= bindparam("now")).distinct()
)
"""Workspaces in which a scheduled job's time has come."""

DUE_JOBS = (
    select(jobs)
    .where(_SCHEDULED, jobs.c.workspace_id == W, jobs.c.not_before <= bindparam("now"))
    .order_by(jobs.c.not_before)
    .limit(_PAGE)
)
"""A workspace's scheduled jobs whose time has come, the longest due first."""

READY_JOBS = (
    select(jobs)
    .where(jobs.c.workspace_id == W, jobs.c.status == JobStatus.PENDING)
    .order_by(jobs.c.job_id)
    .limit(_PAGE)
)
"""A workspace's ready jobs, oldest first."""

_PENDING = jobs.c.status == literal_column(f"'{JobStatus.PENDING}'")
_READY_HERE = (_PENDING, jobs.c.workspace_id == W)
READY_ACTIONS = select(jobs.c.action_id).where(*_READY_HERE).distinct()
"""Which actions a workspace has ready jobs of."""

READY_JOBS_OF_ACTION = (
    select(jobs).where(*_READY_HERE, jobs.c.action_id == bindparam("action_id")).order_by(jobs.c.job_id).limit(_PAGE)
)
"""A workspace's ready jobs of one action, oldest first."""

RUNNING_BY_ACTION = (
    select(jobs.c.action_id, func.count().label("number"))
    .where(jobs.c.workspace_id == W, jobs.c.status == JobStatus.RUNNING)
    .group_by(jobs.c.action_id)
)
"""How many jobs of each action a workspace has running."""

LOST_LEASES = (
    select(jobs)
    .where(jobs.c.status == literal_column(f"'{JobStatus.RUNNING}'"), jobs.c.lease_until <= bindparam("now"))
    .order_by(jobs.c.lease_until)
    .limit(_PAGE)
)
"""Running jobs whose worker did not renew in time."""

NEXT_DUE = select(func.min(jobs.c.not_before)).where(_SCHEDULED)
"""When the next scheduled job becomes ready."""

NEXT_LEASE_END = select(func.min(jobs.c.lease_until)).where(jobs.c.status == literal_column(f"'{JobStatus.RUNNING}'"))
"""When the next lease runs out."""

# -- queues: depth, fairness and event numbers, a row per workspace ----------------------------------------------------

_bump = upsert(queues).values(
    workspace_id=W, depth=bindparam("depth"), event_sequence=bindparam("events"), event_floor=0, turn=0
)
BUMP_QUEUE = _bump.on_conflict_do_update(
    index_elements=["workspace_id"],
    set_={
        "depth": queues.c.depth + _bump.excluded.depth,
        "event_sequence": queues.c.event_sequence + _bump.excluded.event_sequence,
    },
).returning(queues.c.depth, queues.c.event_sequence, queues.c.capped, mark_under_way())
"""Change a workspace's ready count and take numbers for its events; also makes the row."""

READY_QUEUES = (
    select(queues.c.workspace_id, queues.c.depth, queues.c.event_sequence, queues.c.capped, mark_under_way())
    .where(literal_column("queues.depth > 0"))
    .order_by(queues.c.turn)
    .limit(_PAGE)
    .with_for_update(skip_locked=True)
)
"""Workspaces that have ready jobs, least recently served first; those in others' hands at this moment are passed over."""

OTHER_READY_QUEUES = READY_QUEUES.where(not_(among(queues.c.workspace_id, "but")))
"""The same, without some that have nothing to give."""

SET_DEPTH = update(queues).where(queues.c.workspace_id == bindparam("key")).values(depth=bindparam("new_depth"))
"""Mend a ready count."""

QUEUE = select(queues).where(queues.c.workspace_id == W)
"""A workspace's row."""

DEPTHS = select(queues.c.workspace_id, queues.c.depth).where(literal_column("queues.depth > 0"))
"""Ready jobs by workspace."""

# -- plans -----------------------------------------------------------------------------------------------------------

ADD_PLAN = insert(plans)
"""Put a new plan in place."""

PLANS = select(plans).where(plans.c.workspace_id == W, among(plans.c.plan_id, "ids"))
"""Some plans of a workspace."""

PLANS_SHOWN = select(plans.c.workspace_id, plans.c.plan_id, plans.c.digest, plans.c.document).where(
    among(plans.c.plan_id, "ids")
)
"""What is shown of some plans, for the installation's own readers."""

START_PLAN = (
    update(plans)
    .where(plans.c.plan_id == bindparam("key"))
    .values(
        status=bindparam("new_status"),
        approval_id=bindparam("approval"),
        job_ids=bindparam("jobs"),
        open_jobs=bindparam("open"),
        expires_at=None,
    )
)
"""Take a draft over when it is executed."""

OPEN_JOBS = select(plans.c.plan_id, plans.c.open_jobs, plans.c.status, plans.c.job_ids).where(
    plans.c.plan_id.in_(select(jobs.c.plan_id).where(among(jobs.c.job_id, "ids")))
)
"""What the plans of some jobs count."""

CHANGE_OPEN_JOBS = (
    update(plans)
    .where(plans.c.plan_id == bindparam("key"))
    .values(open_jobs=plans.c.open_jobs + bindparam("delta"))
    .returning(plans.c.plan_id, plans.c.open_jobs, plans.c.status, plans.c.job_ids)
)
"""Count jobs that ended or came back; 0 means the plan ends."""

SET_PLAN_STATUS = (
    update(plans)
    .where(plans.c.plan_id == bindparam("key"))
    .values(
        status=bindparam("new_status"),
        finished_at=bindparam("finished"),
        body_sealed=case((bindparam("keep_body", type_=Boolean), plans.c.body_sealed)),
    )
)
"""Move a plan; what it would execute is forgotten unless it may go on."""

_OLDER_PLANS = (plans.c.workspace_id == W, plans.c.plan_id < bindparam("after"))
LIST_PLANS = select(plans).where(*_OLDER_PLANS).order_by(plans.c.plan_id.desc()).limit(_PAGE)
"""A page of a workspace's plans, newest first."""

LIST_PLANS_BY_STATUS = (
    select(plans)
    .where(*_OLDER_PLANS, plans.c.status == bindparam("status"))
    .order_by(plans.c.plan_id.desc())
    .limit(_PAGE)
)
"""The same, of one status."""

_OVERDUE = and_(_UNUSED, plans.c.expires_at <= bindparam("now"))
LIST_LIVE_DRAFTS = LIST_PLANS_BY_STATUS.where(not_(_OVERDUE))
"""The same, for a status that reads as expired once its time is over."""

LIST_EXPIRED_PLANS = (
    select(plans)
    .where(*_OLDER_PLANS, or_(plans.c.status == PlanStatus.EXPIRED, _OVERDUE))
    .order_by(plans.c.plan_id.desc())
    .limit(_PAGE)
)
"""The same, for expired ones: those marked so and those whose time is over."""

EXCESS_DRAFTS = (
    select(plans.c.plan_id, plans.c.workspace_id)
    .where(plans.c.workspace_id == W, _UNUSED)
    .order_by(plans.c.plan_id.desc())
    .offset(bindparam("keep"))
    .limit(100)
)
"""A workspace's oldest drafts beyond those it may keep."""

OLD_DRAFTS = (
    select(plans.c.plan_id, plans.c.workspace_id).where(plans.c.expires_at <= bindparam("now"), _UNUSED).limit(_PAGE)
)
"""Drafts whose time is over."""

ENDED_PLANS = (
    select(plans.c.plan_id, plans.c.workspace_id)
    .where(plans.c.finished_at <= bindparam("before"), plans.c.open_jobs == 0)
    .order_by(plans.c.finished_at)
    .limit(_PAGE)
)
"""Plans that ended long enough ago to go."""

STALE_DRAFTS = (
    select(plans.c.plan_id, plans.c.workspace_id)
    .where(plans.c.finished_at <= bindparam("before"), plans.c.status == PlanStatus.EXPIRED, plans.c.job_ids == "[]")
    .order_by(plans.c.finished_at)
    .limit(_PAGE)
)
"""Drafts that expired, never executed, long enough ago to go."""

# -- approvals -------------------------------------------------------------------------------------------------------

ADD_APPROVAL = insert(approvals)
"""Ask a person."""

APPROVAL = select(approvals).where(approvals.c.workspace_id == W, approvals.c.approval_id == bindparam("approval_id"))
"""One approval of a workspace."""

PENDING_APPROVALS_OF_PLAN = select(approvals).where(
    approvals.c.plan_id == bindparam("plan_id"), approvals.c.status == ApprovalStatus.PENDING
)
"""What a plan still waits for."""

SAVE_APPROVAL = (
    update(approvals)
    .where(approvals.c.approval_id == bindparam("key"))
    .values(
        status=bindparam("new_status"),
        decided_by=bindparam("by"),
        decided_at=bindparam("at"),
        comment=bindparam("comment"),
    )
)
"""Record a decision."""

LIST_APPROVALS = (
    select(approvals)
    .where(
        approvals.c.workspace_id == W,
        approvals.c.status == bindparam("status"),
        approvals.c.approval_id < bindparam("after"),
    )
    .order_by(approvals.c.approval_id.desc())
    .limit(_PAGE)
)
"""A page of approvals with one status, newest first."""

APPROVALS_OF_PLAN = (
    select(approvals)
    .where(approvals.c.workspace_id == W, approvals.c.plan_id == bindparam("plan_id"))
    .order_by(approvals.c.approval_id.desc())
)
"""What was asked about a plan and its steps, newest first."""

OLD_APPROVALS = (
    select(approvals)
    .where(
        approvals.c.status == literal_column(f"'{ApprovalStatus.PENDING}'"), approvals.c.expires_at <= bindparam("now")
    )
    .limit(_PAGE)
)
"""Approvals nobody gave in time."""

# -- idempotency -----------------------------------------------------------------------------------------------------

CLAIMED = select(idempotency).where(
    idempotency.c.workspace_id == W,
    or_(idempotency.c.namespace == "request", idempotency.c.namespace == "action"),
    among(idempotency.c.key, "keys"),
)
"""Which of a request's own names are known, in either namespace."""

ADD_CLAIM = insert(idempotency)
"""Remember a name that a request has of its own."""

# -- events ----------------------------------------------------------------------------------------------------------

ADD_EVENTS = insert(events).values({name: bindparam(name) for name in EVENT_COLUMNS}).inline()
"""Append facts."""

_LATER = (events.c.workspace_id == W, events.c.sequence > bindparam("after"))
EVENTS_AFTER = select(events).where(*_LATER).order_by(events.c.sequence).limit(_PAGE)
"""A workspace's events after one of them."""

EVENTS_OF_PLAN_AFTER = (
    select(events)
    .where(unindexed(events.c.workspace_id) == W, events.c.plan_id == bindparam("plan_id"))
    .where(events.c.sequence > bindparam("after"))
    .order_by(events.c.sequence)
    .limit(_PAGE)
)
"""The same, of one plan."""

# -- retention -------------------------------------------------------------------------------------------------------

RAISE_FLOOR = (
    update(queues)
    .where(queues.c.workspace_id == bindparam("key"), queues.c.event_floor < bindparam("floor"))
    .values(event_floor=bindparam("floor"))
)
"""Remember how far a workspace's log no longer reaches back."""

UNREAD_PLANS = (
    select(events.c.plan_id)
    .where(among(events.c.plan_id, "plans"), events.c.position > bindparam("archived"))
    .distinct()
)
"""Which of some plans have an event that the archiver has not read."""

LAST_EVENTS_OF_PLANS = (
    select(events.c.workspace_id, func.max(events.c.sequence).label("last"))
    .where(among(events.c.plan_id, "plans"))
    .group_by(events.c.workspace_id)
)
"""The newest events about to go, by workspace."""

DELETE_PLANS = tuple(
    delete(table).where(among(table.c.plan_id, "plans")) for table in (events, idempotency, approvals, jobs, plans)
)
"""Delete plans with all that belongs to them."""
