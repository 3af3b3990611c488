"""An upgrade without a pause: workers of two versions side by side on the same work, and then the older one leaves."""

import asyncio
import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

import steward
from steward.job import JobStatus
from tests.cli.conftest import Process, environment
from tests.cli.conftest import steward as run
from tests.installation import SECRET, installation, planned

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(120)]
OLD: Final = "0.0.9"
_JOBS: Final = 4


def _older_version(folder: Path) -> Path:
    """Return a folder with this code as another version, as an installation that was not upgraded yet has it."""
    shutil.copytree(Path(steward.__file__).parent, folder / "steward", ignore=shutil.ignore_patterns("__pycache__"))
    about = folder / f"steward-{OLD}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: steward\nVersion: {OLD}\n")
    return folder


async def test_two_versions_work_side_by_side_and_the_older_one_leaves(tmp_path: Path) -> None:
    """Both hold a job at the same time; the older one is told to stop, ends its own, and every job is done exactly once."""
    home, here = tmp_path / "home", str(Path(__file__).parent)
    common = {"STEWARD_SECRET_KEY": SECRET, "STEWARD_ACTIONS": "upgrade_actions", "REPORT_FOLDER": str(tmp_path)}
    new = environment(home, **common, PYTHONPATH=here)
    old = environment(home, **common, PYTHONPATH=f"{_older_version(tmp_path / 'old')}:{here}")
    assert OLD in run(old, "version").stdout
    assert OLD not in run(new, "version").stdout
    for name in ("reports", "gate"):
        os.mkfifo(tmp_path / name)
    with ExitStack() as running:
        reports = running.enter_context(os.fdopen(os.open(tmp_path / "reports", os.O_RDWR), "rb", buffering=0))
        gate = running.enter_context(os.fdopen(os.open(tmp_path / "gate", os.O_RDWR), "wb", buffering=0))

        async def taken(count: int) -> list[tuple[int, str]]:
            lines = [(await asyncio.to_thread(reports.readline)).decode().split() for _ in range(count)]
            return [(int(pid), job_id) for pid, job_id in lines]

        workers = [Process.start(env, "worker", "--concurrency", "1") for env in (old, new)]
        for process in workers:
            running.callback(process.close)
            await asyncio.to_thread(process.log.wait_for, "The worker started.")
        async with installation(home, env={"STEWARD_ACTIONS": "tests.deploy.upgrade_actions"}) as house:
            who = await house.member()
            submitted = await house.submit(*(planned("upgrade.step") for _ in range(_JOBS)))
            first = await taken(2)
            assert {pid for pid, _ in first} == {process.popen.pid for process in workers}
            workers[0].popen.terminate()
            gate.write(b"." * _JOBS)
            rest = await taken(_JOBS - 2)
            jobs = await house.until(submitted.plan_id, {JobStatus.COMPLETED}, who)
        assert await asyncio.to_thread(workers[0].ended) == 0, workers[0].log.text
        assert sorted(job_id for _, job_id in first + rest) == sorted(job.job_id for job in jobs)
        assert [job.attempts for job in jobs] == [1] * _JOBS
