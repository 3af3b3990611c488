"""What the older software left in Redis, written as it wrote it: plain hashes, and a list of ids."""

import json
from typing import Any

from steward.work_stores.redis.keys import key

AT = "2026-01-31T09:30:00.123456+00:00"


def old_fields(job_id: str, workspace_id: str = "alpha", status: str = "completed", **changes: Any) -> dict[str, str]:
    """Return the fields of one job."""
    ended = status not in {"pending", "running"}
    fields = {
        "job_id": job_id,
        "status": status,
        "action_provider": "email",
        "action_name": "send",
        "params": json.dumps({"to": "a@example.com", "api_key": "hush-hush"}),
        "workspace_id": workspace_id,
        "actor_id": "user-1",
        "result": json.dumps({"sent": True}) if ended else "",
        "enqueued_at": AT,
    }
    if status != "pending":
        fields["started_at"] = AT.replace("30:00", "30:01")
    if ended:
        fields["finished_at"] = AT.replace("30:00", "30:02")
    return fields | changes


def plant(raw: Any, job_id: str, workspace_id: str = "alpha", status: str = "completed", **changes: Any) -> str:
    """Write one job and return its id."""
    raw.hset(key("old_job", job_id), mapping=old_fields(job_id, workspace_id, status, **changes))
    return job_id


def queue(raw: Any, *job_ids: str) -> None:
    """Put ids into the old queue."""
    raw.rpush(key("ring"), *job_ids)


def copy_of(raw: Any, job_id: str) -> dict[str, str]:
    """Return the old copy of a job; empty: there is none."""
    return {name.decode(): value.decode() for name, value in raw.hgetall(key("old_job", job_id)).items()}
