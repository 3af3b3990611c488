"""Jobs as the older software left them in Redis: good ones in every status, and all the odd things that time leaves behind.

``python -m chaos.legacy --url redis://127.0.0.1:6379/0 --jobs 100000`` fills a database to try the migration on. The same
seed plants the same data. Nothing here knows how today's software reads it: ``expected`` is what the contract says.
"""

import argparse
import json
import random
import sys
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from redis import Redis
from steward.job import JobStatus

QUEUE: Final = "ai:queue:pending"
UNKNOWN_ACTION: Final = ("fax", "transmit")
"""An action that no catalogue has."""
ACTORS: Final = tuple(f"user-{number}" for number in range(17))
"""Who asked for the old jobs."""
_BEGAN: Final = datetime(2025, 11, 3, 8, 0, tzinfo=UTC)
_DAY_S: Final = 24 * 3600
_BATCH: Final = 1_000
_STATUSES: Final = ("completed", "success", "failed", "error", "running", "pending")
_SHARES: Final = (40, 15, 15, 5, 5, 20)
_BECOMES: Final = {
    "completed": JobStatus.COMPLETED,
    "success": JobStatus.COMPLETED,
    "failed": JobStatus.FAILED,
    "error": JobStatus.FAILED,
    "running": JobStatus.UNKNOWN,
    "pending": JobStatus.PENDING,
}
_NO_WORKSPACES: Final = (
    "7f9c24e8-3b12-4d6f-9a01-5c2e8b7d4f30",  # too long by its dashes
    "ACME",
    "acme corp",
    "ünïcode",
    "a:b",
    "",
    None,
)
"""What stands as the workspace of records that are nobody's."""


@dataclass(frozen=True, slots=True)
class OldJob:
    """One job that can be moved."""

    key: str
    job_id: str
    workspace_id: str
    written: str
    """The status as it was written."""
    action: tuple[str, str]
    ttl_s: int | None = None
    readable: bool = True
    """Whether its parameters and result are JSON."""

    @property
    def expected(self) -> JobStatus:
        """What it reads as today, before a worker has looked at it."""
        if self.written == "pending" and self.action == UNKNOWN_ACTION:
            return JobStatus.FAILED
        return _BECOMES[self.written]


@dataclass(slots=True)
class Planted:
    """What was put there."""

    jobs: list[OldJob] = field(default_factory=list)
    invalid: dict[str, str] = field(default_factory=dict)
    """Keys that cannot be moved, and why."""
    queued: list[str] = field(default_factory=list)

    @property
    def left_behind(self) -> set[str]:
        """The keys that stay: nobody's, of the wrong type, or with something in them that is no JSON."""
        return {*self.invalid, *(job.key for job in self.jobs if not job.readable)}

    @property
    def movable(self) -> list[OldJob]:
        """The jobs that can be moved."""
        return [job for job in self.jobs if job.readable]

    def of(self, workspace_id: str) -> dict[str, OldJob]:
        """Return a workspace's movable jobs by their ids."""
        return {job.job_id: job for job in self.movable if job.workspace_id == workspace_id}


def plant(
    client: Any,
    *,
    jobs: int,
    workspaces: Sequence[str],
    seed: int = 1,
    odd: bool = True,
    url: str = "http://127.0.0.1:9/hook",
) -> Planted:
    """Fill a database with old jobs, spread over workspaces, and return what was planted.

    ``odd`` adds what cannot be moved, and what can but only just. ``url`` is where pending webhooks go.
    """
    chance, planted = random.Random(seed), Planted()
    pipeline = client.pipeline(transaction=False)
    for number, (job, fields) in enumerate(_good(chance, jobs, workspaces, url)):
        _put(pipeline, planted, job, fields)
        if number % _BATCH == 0:
            pipeline.execute()
    if odd:
        for job, fields in _odd(chance, workspaces[0], url):
            _put(pipeline, planted, job, fields)
        _twins(pipeline, planted)
        _nobodys(pipeline, planted, chance)
        _wrong_types(pipeline, planted)
        _leftovers(pipeline, planted, workspaces[0])
    pipeline.execute()
    return planted


def _put(pipeline: Any, planted: Planted, job: OldJob, fields: dict[str, str]) -> None:
    pipeline.hset(job.key, mapping=fields)
    if job.ttl_s is not None:
        pipeline.expire(job.key, job.ttl_s)
    if job.written == "pending":
        pipeline.rpush(QUEUE, job.job_id)
        planted.queued.append(job.job_id)
    planted.jobs.append(job)


def _good(
    chance: random.Random, count: int, workspaces: Sequence[str], url: str
) -> Iterator[tuple[OldJob, dict[str, str]]]:
    for number in range(count):
        job_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        status = chance.choices(_STATUSES, _SHARES)[0]
        action = UNKNOWN_ACTION if chance.random() < 0.1 else ("webhook", "post")
        old_shape = number % 20 == 7
        key = f"ai:job:{job_id}" if old_shape else f"ai:jobs:{job_id}"
        ttl_s = chance.randrange(2, 30) * _DAY_S if status in {"completed", "success"} and number % 5 == 0 else None
        job = OldJob(key, job_id, workspaces[number % len(workspaces)], status, action, ttl_s)
        yield job, _fields(job, chance, number, url)


def _fields(job: OldJob, chance: random.Random, number: int, url: str) -> dict[str, str]:
    """Return a record as it was written: times with an offset, and later fields only where they came to be."""
    enqueued = _BEGAN + timedelta(seconds=number, milliseconds=chance.randrange(1000))
    started, finished = enqueued + timedelta(seconds=2), enqueued + timedelta(seconds=3)
    ended = job.written not in {"pending", "running"}
    result: Any = {"status": 200, "note": "taken"} if job.written in {"completed", "success"} else {"error": "refused"}
    fields = {
        "job_id": job.job_id,
        "status": job.written,
        "action_provider": job.action[0],
        "action_name": job.action[1],
        "params": json.dumps({"url": url, "payload": {"label": f"old-{job.job_id}"}}),
        "workspace_id": job.workspace_id,
        "actor_id": ACTORS[number % len(ACTORS)],
        "result": json.dumps(result) if ended and number % 9 else "",
        "enqueued_at": enqueued.isoformat(),
    }
    if job.written != "pending":
        fields["started_at"] = started.isoformat()
    if ended:
        fields["finished_at"] = finished.isoformat()
    return fields


def _odd(chance: random.Random, workspace: str, url: str) -> Iterator[tuple[OldJob, dict[str, str]]]:
    """Yield jobs that can be moved, but only just."""

    def made(job_id: str, written: str = "completed", *, readable: bool = True) -> tuple[OldJob, dict[str, str]]:
        job = OldJob(f"ai:jobs:{job_id}", job_id, workspace, written, ("webhook", "post"), readable=readable)
        return job, _fields(job, chance, 1_000_000, url)

    for job_id in ("import:2024:17", f"{workspace}:1", "a:b:c:d", "0", "Z" * 128):
        yield made(job_id)
    job, fields = made("broken-params", "failed", readable=False)
    yield job, fields | {"params": '{"url": '}
    job, fields = made("broken-result", readable=False)
    yield job, fields | {"result": "{'status': 200}"}
    job, fields = made("no-times")
    yield job, {name: value for name, value in fields.items() if not name.endswith("_at")}
    job, fields = made("bare")
    yield job, {name: fields[name] for name in ("job_id", "status", "workspace_id")}
    job, fields = made("east")
    yield job, fields | {"enqueued_at": "2025-11-03T13:30:00.250000+05:30", "later": "a field that nobody knows"}


def _twins(pipeline: Any, planted: Planted) -> None:
    """Put one job under both of its old keys, and one pending id into the list a second time."""
    both = next(job for job in planted.jobs if job.key == f"ai:jobs:{job.job_id}" and job.written == "completed")
    pipeline.copy(both.key, f"ai:job:{both.job_id}")
    for job_id in planted.queued[:1]:
        pipeline.rpush(QUEUE, job_id)


def _nobodys(pipeline: Any, planted: Planted, chance: random.Random) -> None:
    for number, workspace in enumerate(_NO_WORKSPACES):
        job = OldJob(
            f"ai:jobs:nobodys-{number}", f"nobodys-{number}", workspace or "", "completed", ("webhook", "post")
        )
        fields = _fields(job, chance, number, "")
        if workspace is None:
            del fields["workspace_id"]
        pipeline.hset(job.key, mapping=fields)
        planted.invalid[job.key] = "workspace"


def _wrong_types(pipeline: Any, planted: Planted) -> None:
    pipeline.set("ai:jobs:a-string", "{}")
    pipeline.rpush("ai:jobs:a-list", "x")
    pipeline.sadd("ai:job:a-set", "x")
    pipeline.hset("ai:jobs:no-status", mapping={"job_id": "no-status", "workspace_id": "acme"})
    for key in ("ai:jobs:a-string", "ai:jobs:a-list", "ai:job:a-set"):
        planted.invalid[key] = "type"
    planted.invalid["ai:jobs:no-status"] = "status"


def _leftovers(pipeline: Any, planted: Planted, workspace: str) -> None:
    """Put what lies around beside jobs: a pending id without a record, names of requests, the place of an old backfill."""
    pipeline.rpush(QUEUE, "gone-long-ago")
    for job in planted.jobs[:3]:
        pipeline.set(f"ai:idempotency:{workspace}:request-{job.job_id}", job.job_id, ex=_DAY_S)
    pipeline.set("ai:backfill:cursor", "1234", ex=_DAY_S)
    pipeline.set("ai:backfill:last_job", "gone-long-ago", ex=_DAY_S)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m chaos.legacy", description=__doc__)
    parser.add_argument("--url", required=True, help="the Redis database to fill; it must be empty")
    parser.add_argument("--jobs", type=int, default=1_000, help="how many good ones (default 1000)")
    parser.add_argument("--workspaces", type=int, default=10, help="over how many workspaces (default 10)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plain", action="store_true", help="leave out what cannot be moved")
    chosen = parser.parse_args(arguments)
    client = Redis.from_url(chosen.url, protocol=2)
    if client.dbsize():
        sys.stderr.write("The database is not empty, and nothing is planted among the data of others.\n")
        return 2
    names = [f"old-{number:02}" for number in range(max(chosen.workspaces, 1))]
    planted = plant(client, jobs=max(chosen.jobs, 1), workspaces=names, seed=chosen.seed, odd=not chosen.plain)
    print(f"{len(planted.jobs)} jobs in {len(names)} workspaces, {len(planted.queued)} of them pending.")
    print(f"{len(planted.invalid)} keys cannot be moved.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
