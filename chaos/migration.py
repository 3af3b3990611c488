"""The keys of jobs are moved and moved back under load, processes die in each phase, and nobody notices.

``python -m chaos.migration`` plants jobs of the older software in a real Valkey, starts a server and two workers, and lets
readers, walkers and writers go on while the phases go forward and back. In each phase a process is killed: a server, a
worker, a backfill in its middle, and the command that goes back in its middle. Ends with 0 only if no read missed a job,
no list showed one twice or left one out, no status went stale, and every message arrived.

Every round leaves its jobs behind for the next, and a walk takes as long as the list, in which more are written. So a few
rounds are a stretch, which ends as a migration does: all is retired and judged. The next has new servers and old jobs.
"""

import argparse
import asyncio
import json
import logging
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import asdict
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

import httpx2
import structlog
from tests.redis_server import RedisServer

from chaos.house import WORKSPACE, House, open_house, playground
from chaos.legacy import ACTORS, UNKNOWN_ACTION, Planted, plant
from chaos.migration_report import Report, show
from chaos.onlookers import Onlookers
from chaos.process import Role, ended, start_command
from chaos.world import World, open_world
from steward.authenticators.api_key import mint_key
from steward.directory import LOCAL_ACTOR
from steward.errors import StewardError
from steward.identity import Role as Rank
from steward.job import FINAL, JobStatus
from steward.key_schema import Phase
from steward.schema_desk import By

OTHER: Final = "chaos-too"
BY: Final = By(LOCAL_ACTOR)
_WALKS: Final = 2
"""Whole walks that are waited for in each phase."""
_READERS: Final = 3
_PATIENCE_S: Final = 90.0
_LOOK_S: Final = 0.02
_NO_LIMIT: Final = 100_000
_OPEN: Final = frozenset(JobStatus) - FINAL - {JobStatus.UNKNOWN}
_STRETCH: Final = 4
"""Rounds on the same jobs."""
_CUT_OFF: Final = 128 + signal.SIGINT


class Migration:
    """One run in one house."""

    def __init__(self, house: House, planted: Planted, watched: Sequence[Onlookers], report: Report) -> None:
        """Play in a house whose work is in a Redis where jobs were planted."""
        self.house = house
        self.desk = house.app.schema
        self.planted = planted
        self.watched = watched
        self.report = report
        self.chance = random.Random(report.seed)
        self._server: BaseProcess | None = None
        self._workers: list[BaseProcess] = []

    async def play(self, rounds: int) -> None:
        """Move forward and back so often, then for good, and judge."""
        self._start_server()
        self._workers = [self._new_worker(), self._new_worker()]
        await self.house.ready()
        try:
            async with self._looked_on():
                for left in reversed(range(rounds)):
                    began = time.monotonic()
                    await self._round(last=not left)
                    self.report.played += 1
                    _tell(self.report.line(time.monotonic() - began, self.watched))
        finally:
            for watched in self.watched:
                self.report.add(watched)
        await self._quiet()
        await self._retire()
        await self._judge()
        codes = await self.house.stop()
        allowed = {0, -signal.SIGKILL}
        self.report.demand(set(codes) <= allowed, f"The processes ended with {codes}.")

    async def _round(self, *, last: bool) -> None:
        await self._in_phase(Phase.LEGACY_READ, self._kill_worker)
        await self._advance(Phase.NEW_READ)
        await self._in_phase(Phase.NEW_READ, self._kill_server)
        await self._back(Phase.LEGACY_READ)
        await self._in_phase(Phase.LEGACY_READ)
        await self._advance(Phase.NEW_READ)
        await self._kill_command("backfill", "--execute", "--batch", "5", "--rps", "200", "--restart")
        await self._backfill()
        await self._verify()
        await self._advance(Phase.NEW_ONLY)
        await self._in_phase(Phase.NEW_ONLY, self._kill_worker)
        await self._kill_command("back")
        if (await self.desk.status()).phase is Phase.NEW_ONLY:
            await self._back(Phase.NEW_READ)
        await self._in_phase(Phase.NEW_READ)
        if last:
            await self._backfill()
            await self._verify()
            await self._advance(Phase.NEW_ONLY)
            await self._in_phase(Phase.NEW_ONLY, self._kill_server)
        else:
            await self._back(Phase.LEGACY_READ)

    # -- what the operator does --------------------------------------------------------------------------------------

    async def _advance(self, to: Phase) -> None:
        status = await self.desk.advance(to, accept_invalid=True, by=BY)
        self._moved(status.phase, to)

    async def _back(self, to: Phase) -> None:
        status = await self.desk.back(by=BY)
        self._moved(status.phase, to)

    def _moved(self, reached: Phase, wanted: Phase) -> None:
        self.report.moves += 1
        self.report.demand(reached is wanted, f"The phase is {reached} and should be {wanted}.")

    async def _backfill(self) -> None:
        steps = self.desk.backfill(execute=True, by=BY, operations_per_s=_NO_LIMIT, batch=100)
        last = [step async for step in steps][-1]
        self.report.demand(last.finished and not last.errors, f"The backfill ended with {last}.")

    async def _verify(self) -> None:
        found = await self.desk.verify(by=BY)
        self.report.compared += found.compared
        self.report.missing += found.missing
        self.report.different += found.different
        for one in (*found.examples,) if found.missing or found.different else ():
            self.report.problems.append(f"A comparison found {one}.")

    async def _retire(self) -> None:
        steps = self.desk.retire(execute=True, by=BY, operations_per_s=_NO_LIMIT, batch=100)
        last = [step async for step in steps][-1]
        self.report.retired += last.removed
        self.report.demand(last.kept <= len(self.planted.left_behind), f"The retirement ended with {last}.")

    # -- who dies ----------------------------------------------------------------------------------------------------

    def _start_server(self) -> None:
        self._server = self.house.start(self.house.spec(Role.SERVE))

    def _new_worker(self) -> BaseProcess:
        return self.house.start(self.house.spec(Role.WORK, concurrency=4))

    async def _kill_server(self) -> None:
        assert self._server is not None
        await self._kill(self._server, "server")
        self._start_server()
        await self.house.ready()

    async def _kill_worker(self) -> None:
        await self._kill(self._workers.pop(0), "worker")
        self._workers.append(self._new_worker())

    async def _kill(self, process: BaseProcess, name: str) -> None:
        await asyncio.sleep(self.chance.random() / 5)  # anywhere in the middle of what it does
        process.kill()
        await ended(process)
        self._died(name)

    async def _kill_command(self, *words: str) -> None:
        """Start an operator's command and kill it in the middle of its work, or let it end if that is sooner."""
        before = await self._records()
        process = start_command(self.house.env, "schema", *words)
        await _until(lambda: process.exitcode is not None, partial(self._recorded_since, before))
        await asyncio.sleep(self.chance.random() / 20)
        process.kill()  # which is nothing to one that has ended
        if await ended(process) == -signal.SIGKILL:
            self._died(words[0])

    async def _recorded_since(self, before: int) -> bool:
        return await self._records() != before

    async def _records(self) -> int:
        page = await self.house.app.audit_log.query("system", limit=1)
        return page.records[0].sequence if page.records else 0

    def _died(self, name: str) -> None:
        self.report.kills[name] = self.report.kills.get(name, 0) + 1

    # -- who looks on ------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _looked_on(self) -> AsyncIterator[None]:
        """Let readers, walkers and a writer go on meanwhile."""
        url = f"{self.house.world.http_url}/hook"
        async with asyncio.TaskGroup() as together:
            for watched in self.watched:
                for _ in range(_READERS):
                    together.create_task(watched.read(random.Random(self.chance.random())))
                together.create_task(watched.walk())
                together.create_task(watched.write(url))
            try:
                yield
            finally:
                for watched in self.watched:
                    watched.going = False

    async def _in_phase(self, phase: Phase, death: Any = None) -> None:
        """Stay in a phase until everybody has looked hard, a process dying meanwhile."""
        status = await self.desk.status()
        self.report.demand(status.phase is phase, f"The phase is {status.phase} and should be {phase}.")
        if death is not None:
            await death()
        before = [one.done.copy() for one in self.watched]

        async def looked() -> bool:
            now = [one.done - was for one, was in zip(self.watched, before, strict=True)]
            return all(more["walks"] >= _WALKS and more["reads"] and more["writes"] for more in now)

        if not await _until(lambda: False, looked):
            self.report.problems.append(f"In {phase} nobody could look for {_PATIENCE_S:.0f} s.")

    async def _quiet(self) -> None:
        """Return once nothing is under way any more, or when the time is up."""
        for watched in self.watched:
            if not await _until(lambda: False, partial(self._at_rest, watched)):
                self.report.problems.append(f"{watched.workspace}: work is under way after {_PATIENCE_S:.0f} s.")

    async def _at_rest(self, watched: Onlookers) -> bool:
        for status in _OPEN:
            answer = await watched.client.get("/ai/jobs", params={"status": status, "limit": "1"})
            if answer.json()["jobs"]:
                return False
        return True

    # -- what must be true at the end --------------------------------------------------------------------------------

    async def _judge(self) -> None:
        report, messages = self.report, self.house.world.messages
        for watched in self.watched:
            found = await watched.statuses(watched.known)
            for job_id, wanted in self._wanted(watched).items():
                shown = None if found[job_id] is None else found[job_id]["status"]
                if shown != wanted:
                    report.lost += 1
                    report.problems.append(
                        f"{watched.workspace}: {job_id} is {shown} at the end and should be {wanted}."
                    )
        for label, keys in messages.items():
            report.repeated += len(keys) - len(set(keys))
            report.demand(len(set(keys)) == 1, f"{label} arrived under {len(set(keys))} keys.")

    def _wanted(self, watched: Onlookers) -> dict[str, JobStatus]:
        """Return how every job should have ended; note messages that did not arrive."""
        old, messages = self.planted.of(watched.workspace), self.house.world.messages
        labels = list(watched.labels)
        wanted = dict.fromkeys(watched.known, JobStatus.COMPLETED)
        for job_id, job in old.items():
            wanted[job_id] = job.expected
            if job.written == "pending" and job.action != UNKNOWN_ACTION:
                wanted[job_id] = JobStatus.COMPLETED
                labels.append(f"old-{job_id}")
        for label in labels:
            if not messages.get(label):
                self.report.lost += 1
                self.report.problems.append(f"{watched.workspace}: {label} never arrived.")
        return wanted


def _tell(sentence: str) -> None:
    """Say how far the run is: standard output is for the figures."""
    print(sentence, file=sys.stderr, flush=True)


async def _until(over: Callable[[], bool], holds: Callable[[], Awaitable[bool]]) -> bool:
    """Return whether something holds, once it does, or it is over, or the time is up."""
    deadline = time.monotonic() + _PATIENCE_S
    while not over() and time.monotonic() < deadline:
        if await holds():
            return True
        await asyncio.sleep(_LOOK_S)
    return False


async def measure(folder: Path, report: Report, *, jobs: int) -> None:
    """Play all rounds, a few at a time on the same jobs, and note in ``report`` what came of them."""
    began = time.monotonic()
    try:
        while report.played < report.rounds:
            place, rounds = folder / str(report.played + 1), min(_STRETCH, report.rounds - report.played)
            await _stretch(place, report, rounds=rounds, jobs=jobs)
    except (StewardError, httpx2.HTTPError, ExceptionGroup) as error:
        report.problems.append(f"The run broke off with {type(error).__name__}: {error}")
        raise
    finally:
        report.seconds = time.monotonic() - began


async def _stretch(folder: Path, report: Report, *, rounds: int, jobs: int) -> None:
    server = RedisServer("--appendonly", "yes", "--appendfsync", "everysec")
    try:
        with open_world(folder / "world", mail=False) as world, closing(server.client()) as client:
            url, seed = f"{world.http_url}/hook", report.seed + report.played
            planted = plant(client, jobs=jobs, workspaces=(WORKSPACE, OTHER), seed=seed, url=url)
            report.planted += len(planted.movable)
            report.invalid += len(planted.left_behind)
            _tell(f"Planted {len(planted.jobs)} old jobs for the next {rounds} of {report.rounds} rounds.")
            await _play(folder / "home", world, server.url(), planted, report, rounds=rounds)
    finally:
        server.stop()


async def _play(home: Path, world: World, redis_url: str, planted: Planted, report: Report, *, rounds: int) -> None:
    env = {"REDIS_URL": redis_url, "REDIS_EFFECT_SAFETY": "fast", "STEWARD_RATE_LIMITS": "off"}
    async with open_house(home, world, **env) as house:
        app, address = house.app, f"http://127.0.0.1:{house.port}"
        await app.directory.create_workspace(OTHER, "Chaos too", by=LOCAL_ACTOR)
        key, token = mint_key(app.ids, app.clock, OTHER, Rank.DEVELOPER, "chaos", None)
        await app.directory.add_key(key, by=LOCAL_ACTOR)
        for workspace in (WORKSPACE, OTHER):
            for actor in ACTORS:  # or they may run nothing any more
                await app.directory.set_member(workspace, actor, by=LOCAL_ACTOR, roles=frozenset({Rank.DEVELOPER}))
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx2.AsyncClient(base_url=address, headers=headers, timeout=10, trust_env=False) as other:
            clients = {WORKSPACE: house.client, OTHER: other}
            watched = [Onlookers(name, client, list(planted.of(name))) for name, client in clients.items()]
            await Migration(house, planted, watched, report).play(rounds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m chaos.migration", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="how often forward and back (default 1)")
    parser.add_argument("--jobs", type=int, default=150, help="how many old jobs (default 150)")
    parser.add_argument("--seed", type=int, default=None, help="for the old jobs and the deaths (default: by chance)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--folder", type=Path, help="play in this new folder and leave database and logs there")
    chosen = parser.parse_args(arguments)
    structlog.configure(  # standard output is for the figures
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    seed = random.SystemRandom().randrange(10_000) if chosen.seed is None else chosen.seed
    report, cut_off = Report(seed, max(chosen.rounds, 1)), False
    with playground(chosen.folder) as folder:
        try:
            asyncio.run(measure(folder, report, jobs=max(chosen.jobs, 20)))
        except KeyboardInterrupt:
            cut_off = True
    if chosen.json:
        print(json.dumps(asdict(report), indent=2))
    else:
        show(report)
    if cut_off:
        _tell(f"Cut off after {report.played} of {report.rounds} rounds; these are the counts so far.")
        return _CUT_OFF
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
