"""Load: hundreds of clients at once on plan, execute, list and events, with the server replaced in the middle.

``python -m chaos.load`` takes a minute. Real processes, a server and a worker, on one SQLite file. In the middle both are
asked to stop (SIGTERM) and new ones take over. Ends with 0 only if there was no error, every accepted job ran exactly
once, every client that hung up and resumed saw every event exactly once, the store never kept the event loop for more
than 50 ms, and memory and connections stayed within bounds.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from chaos.clients import Crowd, Follower, Tenant, executes, lists, plans
from chaos.house import House, open_house, playground
from chaos.process import Role, ended
from chaos.world import open_world
from steward.authenticators.api_key import mint_key
from steward.directory import LOCAL_ACTOR
from steward.event import event_sequence
from steward.identity import Principal
from steward.identity import Role as Rank
from steward.job import FINAL, JobStatus
from steward.work_store import WorkStore

CLIENTS: Final = 500
SECONDS: Final = 60.0
WORKSPACES: Final = 25
KINDS: Final = 4
STORE_MS: Final = 50.0
"""The longest that the store may keep the event loop."""
GROWTH_MB: Final = 150.0
"""How much memory the server may need for its clients."""
FILES: Final = 64
"""How many files and sockets it may hold beside one per client."""
_PATIENCE_S: Final = 120.0
_STOP_S: Final = 20.0
_LOOK_S: Final = 0.05


@dataclass(slots=True)
class Size:
    """How large a process is at a moment."""

    memory_mb: float
    files: int

    @classmethod
    def of(cls, process: BaseProcess) -> "Size":
        """Return what the system says of a live process."""
        folder = Path(f"/proc/{process.pid}")
        pages = int((folder / "statm").read_text().split()[1])
        return cls(pages * 4096 / 1024**2, len(list((folder / "fd").iterdir())))


@dataclass(slots=True)
class Report:
    """What a load run counted. ``problems`` are sentences, and there must be none."""

    clients: int
    seconds: float
    asked: dict[str, int] = field(default_factory=dict)
    slowest_s: dict[str, float] = field(default_factory=dict)
    accepted: int = 0
    ran: int = 0
    resumed: int = 0
    events: int = 0
    stop_s: float = 0.0
    met_nobody: int = 0
    sizes: dict[str, Size] = field(default_factory=dict)
    loops: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def demand(self, so: bool, sentence: str) -> None:
        """Note ``sentence`` as a problem unless it is so."""
        if not so:
            self.problems.append(sentence)


class Load:
    """One run."""

    def __init__(self, house: House, clients: int, seconds: float) -> None:
        """Prepare a run in a house."""
        self.house = house
        self.report = Report(clients, seconds)
        self.crowd = Crowd(f"http://127.0.0.1:{house.port}", house.home / "lines.log")
        self.tenants: list[Tenant] = []
        self._principals: dict[str, Principal] = {}

    async def play(self) -> Report:
        """Return what was counted."""
        await self._tenants()
        server, worker = await self._open("first")
        self.report.sizes["first server, idle"] = Size.of(server)
        asking, following = self._clients(asyncio.get_running_loop())
        try:
            await asyncio.sleep(self.report.seconds / 2)
            self.report.sizes["first server, busy"] = Size.of(server)
            server, worker = await self._replace(server, worker)
            busy = asyncio.create_task(self._largest(server))
            await asyncio.gather(*asking)
            busy.cancel()
            await self._quiet()
        finally:
            for task in (*asking, *following):
                task.cancel()
            await asyncio.gather(*asking, *following, return_exceptions=True)
        await self._hung_up(server)
        for process in (server, worker):
            process.terminate()
            code = await ended(process)
            self.report.demand(code == 0, f"A process ended with {code}.")
        self._judge()
        return self.report

    async def _tenants(self) -> None:
        for number in range(WORKSPACES):
            app, name = self.house.app, f"load-{number:02}"
            await app.directory.create_workspace(name, name, by=LOCAL_ACTOR)
            key, token = mint_key(app.ids, app.clock, name, Rank.DEVELOPER, "load", None)
            await app.directory.add_key(key, by=LOCAL_ACTOR)
            self.tenants.append(Tenant(name, token))
            self._principals[name] = key.principal

    def _store(self, tenant: Tenant) -> WorkStore:
        return self.house.app.engine.open(self._principals[tenant.name])

    async def _open(self, name: str) -> tuple[BaseProcess, BaseProcess]:
        """Start a server and a worker; return them once the server is ready."""
        serve = replace(self.house.spec(Role.SERVE), watch=self.house.home / f"{name}.watch")
        processes = self.house.start(serve), self.house.start(self.house.spec(Role.WORK, concurrency=16))
        await self.house.ready()
        return processes

    def _clients(self, loop: asyncio.AbstractEventLoop) -> tuple[list[asyncio.Task[None]], list[asyncio.Task[None]]]:
        self.crowd.until = loop.time() + self.report.seconds
        asking, following = list[asyncio.Task[None]](), list[asyncio.Task[None]]()
        for number in range(self.report.clients):
            tenant = self.tenants[number // KINDS % WORKSPACES]
            match number % KINDS:
                case 0:
                    asking.append(loop.create_task(plans(self.crowd, tenant)))
                case 1:
                    asking.append(loop.create_task(executes(self.crowd, tenant)))
                case 2:
                    asking.append(loop.create_task(lists(self.crowd, tenant)))
                case _:
                    following.append(loop.create_task(Follower(self.crowd, tenant).follow()))
        return asking, following

    async def _replace(self, *old: BaseProcess) -> tuple[BaseProcess, BaseProcess]:
        """Ask server and worker to stop in the middle of it all; return the new ones."""
        self.crowd.restarting, began = True, time.monotonic()
        for process in old:
            process.terminate()
        codes = [await ended(process) for process in old]
        self.report.stop_s = time.monotonic() - began
        self.report.demand(not any(codes), f"Asked to stop, the processes ended with {codes}.")
        self.report.demand(self.report.stop_s < _STOP_S, f"It took {self.report.stop_s:.1f} s to stop.")
        new = await self._open("second")
        self.crowd.restarting = False
        return new

    async def _largest(self, server: BaseProcess) -> None:
        """Note the server's largest size while clients are there."""
        sizes = self.report.sizes
        largest = sizes["second server, busy"] = Size.of(server)
        while True:
            now = Size.of(server)
            largest.memory_mb = max(largest.memory_mb, now.memory_mb)
            largest.files = max(largest.files, now.files)
            await asyncio.sleep(0.5)

    async def _quiet(self) -> None:
        """Return once every job has ended and every follower has seen every event, or when the time is up."""
        deadline = time.monotonic() + _PATIENCE_S
        for tenant in self.tenants:
            store = self._store(tenant)
            with store.listen() as bell:
                while await _open_jobs(store) and time.monotonic() < deadline:
                    await bell.wait(1.0)
            last = event_sequence((await store.events_after(None, limit=1)).last_event_id) or 0
            await _until(partial(_all_saw, tenant, last), deadline)
            for follower in tenant.followers:
                self.report.demand(follower.seen == last, f"{tenant.name}: saw {follower.seen} of {last} events.")
            self.report.events += last

    async def _hung_up(self, server: BaseProcess) -> None:
        """Note the server's size once the clients are gone."""
        most, deadline = self.report.sizes["first server, idle"].files + FILES, time.monotonic() + _STOP_S
        await _until(lambda: Size.of(server).files <= most, deadline)
        self.report.sizes["second server, clients gone"] = Size.of(server)

    def _judge(self) -> None:
        report, crowd = self.report, self.crowd
        report.asked, report.slowest_s = dict(crowd.asked), crowd.slowest_s
        report.accepted, report.resumed, report.met_nobody = len(crowd.labels), crowd.resumed, crowd.again
        report.problems += crowd.errors
        lines = Counter(crowd.log.read_text().split()) if crowd.log.exists() else Counter[str]()
        report.ran = lines.total()
        report.demand(lines == Counter(crowd.labels), "What ran is not what was accepted, each once.")
        report.demand(set(report.asked) == {"plan", "execute", "list", "events"}, f"Only {report.asked} was done.")
        report.demand(not crowd.unanswered, f"{crowd.unanswered} accepted requests were cut off before their answer.")
        for name in ("first", "second"):
            seen = json.loads((self.house.home / f"{name}.watch").read_text())
            report.loops.append(seen)
            kept = f"The store kept the loop for {seen['store_ms']:.0f} ms in {seen['store_where']}."
            report.demand(seen["looks"] > 0 and seen["store_ms"] <= STORE_MS, kept)
        idle, gone = report.sizes["first server, idle"], report.sizes["second server, clients gone"]
        for size in report.sizes.values():
            report.demand(size.memory_mb - idle.memory_mb < GROWTH_MB, f"{size} is much more than {idle}.")
            report.demand(size.files - idle.files < report.clients + FILES, f"{size} is much more than {idle}.")
        report.demand(gone.files < idle.files + FILES, f"{gone}, though nobody is connected; at the start {idle}.")


async def _until(holds: Callable[[], bool], deadline: float) -> None:
    """Return once something holds, or when the time is up."""
    while not holds():
        if time.monotonic() > deadline:
            return
        await asyncio.sleep(_LOOK_S)


def _all_saw(tenant: Tenant, last: int) -> bool:
    return all(follower.seen >= last for follower in tenant.followers)


async def _open_jobs(store: WorkStore) -> bool:
    """Say whether a job has not ended."""
    for status in JobStatus:
        if status not in FINAL and (await store.list_jobs(limit=1, status=status)).jobs:
            return True
    return False


async def measure(folder: Path, clients: int, seconds: float) -> Report:
    """Play one run and report."""
    with open_world(folder / "world", mail=False) as world:
        async with open_house(folder / "home", world) as house:
            return await Load(house, clients, seconds).play()


def show(report: Report) -> None:
    """Print the tables and the problems."""
    console, table = Console(width=110), Table(title=f"{report.clients} clients, {report.seconds:.0f} s")
    for name in ("what", "count", "a second", "slowest"):
        table.add_column(name, justify="left" if name == "what" else "right")
    for kind, count in sorted(report.asked.items()):
        slowest = f"{report.slowest_s[kind]:.2f} s" if kind in report.slowest_s else ""
        table.add_row(kind, str(count), f"{count / report.seconds:.0f}", slowest)
    console.print(table)
    sizes = Table("server", "memory", "open files")
    for name, size in report.sizes.items():
        sizes.add_row(name, f"{size.memory_mb:.0f} MB", str(size.files))
    console.print(sizes)
    console.print(
        f"{report.accepted} jobs accepted, {report.ran} ran. {report.events} events, followed on {report.resumed} streams."
        f" Stopped in {report.stop_s:.1f} s; {report.met_nobody} requests met no server meanwhile and asked again."
    )
    for name, seen in zip(("first", "second"), report.loops, strict=False):
        console.print(
            f"The store kept the {name} server's loop for at most {seen['store_ms']:.0f} ms; the loop came round"
            f" {seen['late_ms']:.0f} ms late at worst, whoever kept it."
        )
    console.print(f"Problems: {len(report.problems)}.")
    for problem in report.problems:
        console.print(f"- {problem}", markup=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m chaos.load", description=__doc__)
    parser.add_argument("--clients", type=int, default=CLIENTS, help=f"how many at once (default {CLIENTS})")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"for how long (default {SECONDS:.0f})")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--folder", type=Path, help="play in this new folder and leave database and logs there")
    chosen = parser.parse_args(arguments)
    with playground(chosen.folder) as folder:
        report = asyncio.run(measure(folder, chosen.clients, chosen.seconds))
    if chosen.json:
        print(json.dumps(asdict(report), indent=2))
    else:
        show(report)
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
