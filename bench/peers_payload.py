"""The peers' payload as work for the store: a job whose sealed parameters are as long as their JSON, and its name."""

import itertools
import json
from dataclasses import replace

from samples import IDS, submissions

from steward.job import NewJob
from steward.work_store import IdempotencyClaim, Submission

_NUMBERS = itertools.count()
_PARAMS = 28 + len(
    json.dumps(
        {
            "to": "user000000@example.com",
            "subject": "Your weekly report",
            "text": "Dear customer, the report that you asked for is ready. It covers seven days and lists each message. "
            * 2,
            "i": 0,
        }
    )
)
"""Sealing adds a nonce and a tag."""


def single_plans(count: int) -> list[Submission]:
    """Return plans of one step, each named by the client."""
    return whole_plans(count, 1)


def whole_plans(count: int, steps: int) -> list[Submission]:
    """Return plans of so many steps, each step named by the client."""
    return [_plan(steps) for _ in range(count)]


def _plan(steps: int) -> Submission:
    (sample,) = submissions(1)
    jobs = tuple(_job(sample.jobs[0], number) for number in range(steps)) if steps > 1 else (_alone(sample.jobs[0]),)
    claims = tuple(
        IdempotencyClaim("action", f"order-{next(_NUMBERS):010d}", ("d" * 64,), number) for number in range(steps)
    )
    plan = replace(sample.plan, document={"prompt": "reports", "steps": []}, body_sealed=None)
    return Submission(plan=plan, jobs=jobs, idempotency=claims)


def _alone(sample: NewJob) -> NewJob:
    return replace(sample, step_id="s0", params_sealed=bytes(_PARAMS))


def _job(sample: NewJob, number: int) -> NewJob:
    return replace(_alone(sample), job_id=IDS.new("job"), step_id=f"s{number}")
