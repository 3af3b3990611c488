"""The published description under attack: schemathesis makes requests from it, right and wrong ones, and judges the answers.

It must find no server error, no undocumented status, content type or header, no answer that breaks its schema, nothing
accepted that the description rules out, and nothing answered without a credential. ``FUZZ_SCALE=20`` makes it twenty
times as long.
"""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.service import ASKS, SCALE, Service

ROOT = Path(__file__).parent.parent.parent
SECONDS = 40
SEEDS = 25


def jobs(service: Service, **request: Any) -> str:
    """Return the ids of some new jobs, separated by commas."""
    with service.client() as client:
        answers = [client.post("/ai/execute", json=request) for _ in range(SEEDS)]
    return ",".join(answer.json()["job_ids"][0] for answer in answers)


def approvals(service: Service) -> str:
    """Return some new approvals with their digests, separated by commas."""
    jobs(service, actions=[{"action_id": "sample.count", "params": {"text": ASKS}}])
    with service.client() as client:
        waiting = client.get("/ai/approvals").json()["approvals"]
    return ",".join(f"{approval['approval_id']}:{approval['digest']}" for approval in waiting)


@pytest.mark.slow
@pytest.mark.timeout(SECONDS * SCALE + 120)
def test_no_request_breaks_the_published_description(service: Service, tmp_path: Path) -> None:
    """Examples, the edges of every schema, random requests and random histories: schemathesis has nothing to say."""
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file"]
    command += [str(Path(__file__).with_name("schemathesis.toml")), "run", f"{service.address}/openapi.json"]
    command += ["--max-time", str(SECONDS * SCALE), "--max-failures", "20"]
    doubt = {"action_id": "sample.doubt", "params": {"text": "hello"}}
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "FUZZED_TOKEN": service.token,
        "FUZZED_WORKSPACE": "acme",
        "FUZZED_ACTOR": service.actor,
        "FUZZED_APPROVALS": approvals(service),
        "FUZZED_UNKNOWN": jobs(service, actions=[doubt]),
        "FUZZED_SCHEDULED": jobs(service, actions=[doubt], run_at=f"{datetime.now(UTC) + timedelta(days=9):%FT%TZ}"),
    }
    ran = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-2_000:]
    assert "Tested: 55" in ran.stdout, ran.stdout[-3_000:]
    with service.client() as client:
        counted = client.get("/metrics").text
    succeeded = set(re.findall(r'http_requests_total\{endpoint="([^"]+)",method="(\w+)",status_code="20[02]"', counted))
    enough = 21  # of the 24 about work: chance decides which, but a run that reaches less has tested refusals only
    assert len(succeeded) >= enough, f"only these were ever answered with success: {sorted(succeeded)}"
    print(ran.stdout[ran.stdout.rindex("= SUMMARY =") :])  # noqa: T201 - shown by pytest -rP
