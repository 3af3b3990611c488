"""Every key and channel of the Redis engine, by name. No other module and no script spells one: scripts are given these.

``%s`` stands for the workspace, and then for an id, a status, an action or a name. Nothing but jobs begins with ``ai:job:``, and
nothing but jobs of the older software with ``ai:jobs:``, so that whoever looks for jobs by pattern finds jobs.

What a key is, is told by its segments and their shape, never by a pattern: ``classify`` is the one place. Where a workspace
and an id, or an id with a colon, would both fit, the record itself has to say.
"""

from dataclasses import dataclass
from typing import Final

from steward.key_schema import is_job_id
from steward.workspace import canonical_workspace_id

KEYS: Final[dict[str, str]] = {
    # What is kept: hashes, and the names that clients give to requests and actions.
    "job": "ai:job:%s:%s",
    "old_job": "ai:jobs:%s",
    "older_job": "ai:job:%s",  # read, never written
    "plan": "ai:plan:%s:%s",
    "approval": "ai:approval:%s:%s",
    "action_name": "ai:idempotency:%s:%s",
    "request_name": "ai:request:%s:%s",
    # Derived: sorted sets of ids in the order of their time, whole and by status. The pending jobs are the ready queue.
    "jobs": "ai:index:jobs:%s",
    "jobs_in": "ai:index:jobs:%s:%s",
    "plans": "ai:index:plans:%s",
    "plans_in": "ai:index:plans:%s:%s",
    "old_jobs": "ai:index:old:%s",  # those with ids of the older software: by when they were enqueued
    "old_jobs_in": "ai:index:old:%s:%s",
    "approvals_in": "ai:index:approvals:%s:%s",
    "home": "ai:home:plans",  # a hash: which workspace a plan belongs to, for the installation's own readers
    # Derived: the rotating line of workspaces that have ready jobs, a list; and within one, the ready jobs of each action.
    "ring": "ai:queue:pending",
    "ready": "ai:ready:%s:%s",
    "ready_actions": "ai:ready:%s",
    # What caps and budgets count: running jobs by action, claims of the last minute, and what was spent, by whom, on what.
    "running": "ai:running:%s",
    "starts": "ai:starts:%s",
    "spendings": "ai:spendings:%s:%s",
    "units": "ai:units:%s:%s",
    "promises": "ai:promises:%s:%s",
    "budgets": "ai:budgets",
    # Derived: what will happen by itself, by time. Members are "workspace id", but for `due`, which has workspaces.
    "scheduled": "ai:scheduled:%s",
    "due": "ai:due",
    "leases": "ai:leases",
    "undecided": "ai:expiry:approvals",
    "drafts": "ai:expiry:drafts",
    "ended": "ai:ended:plans",
    "stale": "ai:ended:drafts",
    # Events: a stream per workspace, the order over all of them, and where their numbers stand.
    "events": "ai:events:%s",
    "all_events": "ai:events",
    "workspace": "ai:workspace:%s",
    "installation": "ai:installation",
    # The migration from the older software's keys: where it stands, what reads found and took, and how far walks have come.
    "schema": "ai:schema",
    "schema_calls": "ai:schema:calls",
    "schema_walk": "ai:schema:walk:%s",
    # What a worker's last claim took, in case it asks again; forgotten after a minute.
    "claimed": "ai:claimed:%s",
    # Channels, on which nothing is kept.
    "quiet_bell": "ai:bell:quiet",  # nobody speaks on it
    "work_bell": "ai:bell:work",
    "events_bell": "ai:bell:events:%s",
}


def key(name: str, *parts: str) -> str:
    """Return the key with this name, for a workspace and an id or whatever else it has in it."""
    return KEYS[name] % parts


@dataclass(frozen=True, slots=True)
class Found:
    """What a key may be by its name: an old record, a current one, or (an id may have a colon) either."""

    name: str
    old_id: str | None = None
    workspace_id: str | None = None
    job_id: str | None = None


def classify(name: str) -> Found | None:
    """Return what a key may be by its name; None: not a job's, or not one with a valid id."""
    old, older = KEYS["old_job"] % "", KEYS["older_job"] % ""
    if name.startswith(old):
        job_id = name.removeprefix(old)
        return Found(name, old_id=job_id) if is_job_id(job_id) else None
    if not name.startswith(older):
        return None
    rest = name.removeprefix(older)
    workspace_id, _, job_id = rest.partition(":")
    old_id = rest if is_job_id(rest) else None
    if canonical_workspace_id(workspace_id) is None or not is_job_id(job_id):
        return None if old_id is None else Found(name, old_id=old_id)
    return Found(name, old_id, workspace_id, job_id)
