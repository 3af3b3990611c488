"""Every key and channel of the Redis engine, by name. No other module and no script spells one: scripts are given these.

``%s`` stands for the workspace, and then for an id, a status, an action or a name. Nothing but jobs begins with ``ai:job:``, and
nothing at all with ``ai:jobs:``, so that whoever looks for jobs by pattern finds jobs.
"""

from typing import Final

KEYS: Final[dict[str, str]] = {
    # What is kept: hashes, and the names that clients give to requests and actions.
    "job": "ai:job:%s:%s",
    "plan": "ai:plan:%s:%s",
    "approval": "ai:approval:%s:%s",
    "action_name": "ai:idempotency:%s:%s",
    "request_name": "ai:request:%s:%s",
    # Derived: sorted sets of ids in the order of their time, whole and by status. The pending jobs are the ready queue.
    "jobs": "ai:index:jobs:%s",
    "jobs_in": "ai:index:jobs:%s:%s",
    "plans": "ai:index:plans:%s",
    "plans_in": "ai:index:plans:%s:%s",
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
