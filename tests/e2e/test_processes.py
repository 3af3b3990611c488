"""A server and two workers, each a process of its own, on one STEWARD_HOME: killed, recovered, woken, stopped."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from steward.authenticators.api_key import mint_key
from steward.directory import LOCAL_ACTOR
from steward.identity import Role
from steward.job import JobStatus
from tests.cli.conftest import Process, environment
from tests.installation import SECRET, installation

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(150)]
S = JobStatus


class Reports:
    """What the actions report, read in order from a named pipe."""

    def __init__(self, folder: Path) -> None:
        """Make the pipe, and let each kind of action hang once."""
        os.mkfifo(folder / "reports")
        for name in ("keyed", "once", "look"):
            (folder / f"hang-{name}").touch()
        self._pipe = os.fdopen(os.open(folder / "reports", os.O_RDWR), "rb", buffering=0)

    def close(self) -> None:
        """Close the pipe."""
        self._pipe.close()

    async def take(self, count: int) -> list[tuple[str, int, str]]:
        """Return the next ``count`` reports: action, process and key, in any order."""
        lines = [(await asyncio.to_thread(self._pipe.readline)).decode().split() for _ in range(count)]
        return sorted((name, int(pid), key) for name, pid, key in lines)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a folder that no process has used yet."""
    return tmp_path / "home"


@pytest.fixture
def reports(tmp_path: Path) -> Iterator[Reports]:
    """Return what the actions of this test's processes report."""
    with closing(Reports(tmp_path)) as opened:
        yield opened


async def test_w127_w129_a_killed_worker_loses_nothing_and_nothing_is_repeated_blindly(
    home: Path, tmp_path: Path, reports: Reports
) -> None:
    """Killed in the middle of three jobs, with another worker idle beside it.

    The read and the keyed write are done by the other one, the write under the same key; what nobody may repeat was done
    once and waits for a person. Work that comes later wakes the idle worker at once. All of it starts together on an
    empty folder, and stops when asked to.
    """
    env = environment(
        home,
        STEWARD_SECRET_KEY=SECRET,
        STEWARD_ACTIONS="process_actions",
        PYTHONPATH=str(Path(__file__).parent),
        REPORT_FOLDER=str(tmp_path),
    )
    with ExitStack() as running:

        def start(*arguments: str) -> Process:
            process = Process.start(env, *arguments)
            running.callback(process.close)
            return process

        server, doomed = start("serve", "--port", "0"), start("worker", "--concurrency", "3")
        url = await asyncio.to_thread(server.url)
        await asyncio.to_thread(doomed.log.wait_for, "The worker started.")
        async with installation(home) as house:
            who = await house.member()
            key, token = mint_key(house.app.ids, house.app.clock, "acme", Role.DEVELOPER, "office", None)
            await house.app.directory.add_key(key, by=LOCAL_ACTOR)

            async def execute(*action_ids: str) -> str:
                body = {"actions": [{"action_id": action_id, "params": {}} for action_id in action_ids]}
                async with httpx2.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}) as client:
                    answer: Any = (await client.post("/ai/execute", json=body)).raise_for_status().json()
                return answer["plan_id"]

            plan_id = await execute("process.keyed", "process.once", "process.look")
            first = await reports.take(3)
            assert {pid for _, pid, _ in first} == {doomed.popen.pid}
            other = start("worker", "--concurrency", "3")
            await asyncio.to_thread(other.log.wait_for, "The worker started.")

            doomed.popen.send_signal(signal.SIGKILL)
            again = await reports.take(2)
            jobs = await house.until(plan_id, {S.COMPLETED, S.UNKNOWN}, who)
            assert [(job.status, job.attempts) for job in jobs] == [(S.COMPLETED, 2), (S.UNKNOWN, 1), (S.COMPLETED, 2)]
            keys = {name: effect_key for name, _, effect_key in first}
            assert again == [(name, other.popen.pid, keys[name]) for name in ("keyed", "look")]

            async with asyncio.timeout(10):  # an idle worker sleeps for up to a minute
                later = await execute("process.look")
                (report,) = await reports.take(1)
                await house.until(later, {S.COMPLETED}, who)
            assert report[:2] == ("look", other.popen.pid)
            await house.app.engine.open(who).resolve_job(jobs[1].job_id, "completed", "The office has it.")
            plan = await house.app.orchestrator.show_plan(who, plan_id)
            assert plan["status"] == "completed"

        for process in (server, other):
            process.popen.terminate()
            assert await asyncio.to_thread(process.ended) == 0, process.log.text
    assert list((home / "bells").iterdir()) == []
