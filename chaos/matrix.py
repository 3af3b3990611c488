"""The crash matrix: processes die at every named point, with every kind of effect, and at the end everything must add up.

``python -m chaos.matrix`` dies once in every cell and takes about half a minute; ``--kills 200`` goes round until it has
that many, and ``--engine`` says where work lives. Ends with 0 only if nothing is lost, nothing is done twice, nothing says
more than is known, and every death costs its job less than two lease times.
"""

import argparse
import asyncio
import json
import random
import signal
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from chaos.engines import Engine, Ground, open_ground
from chaos.house import House, Promise, at_rest, open_house, playground
from chaos.points import IN_SERVER, Mark, Point, read_mark
from chaos.process import Role, ended
from chaos.verdict import RECOVERY_S, Kind, Story, about_death, judge, recovery_s
from chaos.world import open_world
from steward.logs import configure_logs

_IN_STEPS: Final = [point for point in Point if point not in IN_SERVER and point is not Point.MID_EXPAND]
_OF_EXPAND: Final = [Point.AFTER_CLAIM, Point.BEFORE_SETTLE, Point.MID_EXPAND, Point.AFTER_SETTLE]
NO_DEATH: Final = "none"
_WORKERS: Final = 3
_AT_ONCE: Final = 2 * _WORKERS
"""How many plans of one cell are under way at most: on a slow machine a death would come behind a long queue."""
_PATIENCE: Final = 150
"""How many plans a process may survive that is to die of one: by then nothing passes the place of its trap."""
_NOT_YET_S: Final = 0.4
"""How long a plan has to find the process that is to die of it before the next one is submitted, in seconds."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One death: where, and in a step of which kind."""

    point: Point
    kind: Kind


CELLS: Final = (
    *(Cell(point, kind) for point in _IN_STEPS for kind in (Kind.KEYED, Kind.PROBE, Kind.NONE)),
    *(Cell(point, Kind.FAN) for point in _OF_EXPAND),
    *(Cell(point, Kind.KEYED) for point in sorted(IN_SERVER)),
)


@dataclass(slots=True)
class Row:
    """What became of the plans that a death at one point hit (or none did)."""

    kills: int = 0
    plans: int = 0
    completed: int = 0
    unknown: int = 0
    lost: int = 0
    twice: int = 0
    wrong: int = 0
    repeats: int = 0
    recovery_s: float = 0.0

    def add(self, other: "Row") -> None:
        """Add up; of the recoveries the slowest counts."""
        slowest = max(self.recovery_s, other.recovery_s)
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))
        self.recovery_s = slowest


@dataclass(slots=True)
class Report:
    """What a run measured. Everything in ``problems`` is a sentence, and there must be none."""

    seed: int
    engine: Engine = Engine.SQLITE
    seconds: float = 0.0
    cells: int = 0
    """Different deaths: points by kinds."""
    rows: dict[str, Row] = field(default_factory=dict)
    longest_wait_s: float = 0.0
    """The longest for which a client had to go on asking for an answer."""
    problems: list[str] = field(default_factory=list)

    @property
    def total(self) -> Row:
        """All rows together."""
        total = Row()
        for row in self.rows.values():
            total.add(row)
        return total


@dataclass(slots=True)
class Run:
    """The deaths still to die in one house, and those that were died."""

    house: House
    split: bool
    """A server and workers as processes of their own; else one process that is both."""
    left: list[Cell]
    died: list[tuple[Cell, Mark]] = field(default_factory=list)
    asked: list[asyncio.Task[Promise]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    async def play(self) -> None:
        """Let processes die until none is left to, then let others finish; a run that does not end so is a problem."""
        try:
            await self._play()
        except Exception as error:  # noqa: BLE001 - the plans are judged all the same
            self.problems += [f"The run broke off with {type(one).__name__}: {one}" for one in _causes(error)]

    async def _play(self) -> None:
        if self.split:
            of_server = [cell for cell in self.left if cell.point in IN_SERVER]
            others = [cell for cell in self.left if cell.point not in IN_SERVER]
            async with asyncio.TaskGroup() as together:
                together.create_task(self._deaths(Role.SERVE, of_server, then_live=True))
                for _ in range(_WORKERS):
                    together.create_task(self._deaths(Role.WORK, others))
        else:
            await self._deaths(Role.UP, self.left, then_live=True)
        self.house.start(self.house.spec(Role.WORK, concurrency=4))
        await asyncio.gather(*self.asked)
        await self.house.settled()
        codes = await self.house.stop()
        self.problems += [f"A process ended with {code}." for code in codes if code not in {0, -signal.SIGKILL}]

    async def _deaths(self, role: Role, cells: list[Cell], *, then_live: bool = False) -> None:
        while cells:
            await self._death(role, cells.pop())
        if then_live:
            self.house.start(self.house.spec(role))
            await self.house.ready()

    async def _death(self, role: Role, cell: Cell) -> None:
        """Start a process that dies in one cell, and submit plans until it has."""
        trap = self.house.trap(cell.point, cell.kind)
        death = asyncio.create_task(ended(self.house.start(self.house.spec(role, trap=trap))))
        asked: list[asyncio.Task[Promise]] = []
        process = self.house.processes[-1]
        while not death.done():
            if len(asked) > _PATIENCE:
                process.kill()
            if len([True for task in asked if await self._under_way(task)]) < _AT_ONCE:
                asked.append(asyncio.create_task(self.house.promise(cell.kind)))
            await asyncio.wait({death}, timeout=_NOT_YET_S)
        self.asked += asked
        mark = read_mark(trap.mark)
        if death.result() == -signal.SIGKILL and mark is not None:
            self.died.append((cell, mark))
        else:
            said = self.house.last_words(role)
            self.problems.append(f"A process that was to die {cell.point} ended with {death.result()}, saying: {said}")

    async def _under_way(self, asked: asyncio.Task[Promise]) -> bool:
        return not asked.done() or not at_rest(await self.house.jobs(asked.result()))

    async def judge(self, report: Report) -> None:
        """Add up what became of every plan of this house."""
        report.problems += self.problems
        for promise in self.house.promises:
            story = await self.house.story(promise)
            marks = [mark for _, mark in self.died if mark.plan_id == promise.plan_id]
            where = f"{promise.kind} plan {promise.plan_id}, death: {' and '.join(m.point for m in marks) or NO_DEATH}"
            verdict = judge(story)
            wrong = [*verdict.wrong, *(said for mark in marks for said in self._after_death(story, mark, report))]
            row = report.rows.setdefault(marks[0].point if marks else NO_DEATH, Row())
            row.add(
                Row(
                    plans=1,
                    completed=int(verdict.ending == "completed"),
                    unknown=int(verdict.ending == "unknown"),
                    lost=len(verdict.lost),
                    twice=len(verdict.twice),
                    wrong=len(wrong),
                    repeats=verdict.repeats,
                )
            )
            report.longest_wait_s = max(report.longest_wait_s, promise.waited_s)
            report.problems += [f"{where}: {said}" for said in (*verdict.lost, *verdict.twice, *wrong)]
        for cell, _ in self.died:
            report.rows.setdefault(cell.point, Row()).kills += 1
        await self._books(report)

    @staticmethod
    def _after_death(story: Story, mark: Mark, report: Report) -> list[str]:
        """Note how long a death left its job out of hand; return what was wrong about it."""
        hit = next((job for job in story.jobs if job.job_id == mark.job_id), None)
        if hit is None:
            return [f"Job {mark.job_id}, which a process died of, is gone."]
        took = recovery_s(hit, mark)
        report.rows.setdefault(mark.point, Row()).add(Row(recovery_s=took))
        late = [f"It was out of hand for {took:.1f} s."] if took >= RECOVERY_S else []
        return [*about_death(hit, mark), *late]

    async def _books(self, report: Report) -> None:
        """Check that the store holds what was asked for and nothing else, and that no event is missing."""
        plans, wanted = await self.house.plan_count(), len(self.house.promises)
        if plans != wanted:
            report.problems.append(f"The store holds {plans} plans, and {wanted} were asked for.")
        if missing := await self.house.missing_events():
            report.problems.append(f"{missing} events are missing in the log.")


def _causes(error: BaseException) -> list[BaseException]:
    """Return what went wrong, where several things did each of them."""
    together = isinstance(error, BaseExceptionGroup)
    return [one for each in error.exceptions for one in _causes(each)] if together else [error]


def deaths(kills: int, seed: int) -> list[Cell]:
    """Return ``kills`` cells in a random order, every cell once before any comes again."""
    chance, chosen = random.Random(seed), list[Cell]()
    while len(chosen) < kills:
        chosen += chance.sample(CELLS, min(len(CELLS), kills - len(chosen)))
    return chosen


async def measure(folder: Path, kills: int, seed: int, ground: Ground) -> Report:
    """Play the deaths, a third of them in a house where one process is server and worker, and report."""
    report, began, chosen = Report(seed, ground.engine), time.monotonic(), deaths(kills, seed)
    report.cells = len(set(chosen))
    with open_world(folder / "world") as world:
        async with AsyncExitStack() as stack:
            houses = [
                await stack.enter_async_context(open_house(folder / name, world, **ground.place()))
                for name in ("split", "up")
            ]
            runs = [Run(houses[0], True, chosen[: -kills // 3]), Run(houses[1], False, chosen[-kills // 3 :])]
            await asyncio.gather(*(run.play() for run in runs))
            for run in runs:
                await run.judge(report)
    if report.total.kills < kills:
        report.problems.append(f"Only {report.total.kills} of {kills} processes died where they were to.")
    report.seconds = time.monotonic() - began
    return report


def show(report: Report) -> None:
    """Print the table and the problems."""
    what = f"{report.cells} different deaths, {report.seconds:.0f} s"
    table = Table(title=f"Crash matrix on {report.engine}, seed {report.seed}: {what}")
    for name in ("a process dies", "kills", "plans", "completed", "unknown", "lost", "twice", "wrong"):
        table.add_column(name, justify="left" if name == "a process dies" else "right")
    table.add_column("same key again", justify="right")
    table.add_column("slowest recovery", justify="right")
    order: dict[str, int] = {point: place for place, point in enumerate(Point)}
    lines = sorted(report.rows.items(), key=lambda line: order.get(line[0], len(order)))
    for name, row in (*lines, ("all", report.total)):
        counts = (row.kills, row.plans, row.completed, row.unknown, row.lost, row.twice, row.wrong, row.repeats)
        table.add_row(name, *map(str, counts), f"{row.recovery_s:.1f} s", end_section=name == lines[-1][0])
    console = Console(width=130)
    console.print(table)
    console.print(
        f"The longest wait for an answer was {report.longest_wait_s:.1f} s. Problems: {len(report.problems)}."
    )
    for problem in report.problems:
        console.print(f"- {problem}", markup=False)


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m chaos.matrix", description=__doc__)
    parser.add_argument("--kills", type=int, default=len(CELLS), help=f"how many processes die (default {len(CELLS)})")
    parser.add_argument("--engine", choices=[*Engine, "all"], default=Engine.SQLITE, help="where work lives")
    parser.add_argument("--seed", type=int, default=None, help="for the order of the deaths (default: by chance)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--folder", type=Path, help="play in this new folder and leave databases and logs there")
    chosen = parser.parse_args()
    seed = random.SystemRandom().randrange(10_000) if chosen.seed is None else chosen.seed
    reports = []
    configure_logs()
    with playground(chosen.folder) as folder:
        for engine in Engine if chosen.engine == "all" else [Engine(chosen.engine)]:
            with open_ground(engine) as ground:
                reports.append(asyncio.run(measure(folder / engine, max(chosen.kills, 3), seed, ground)))
            if not chosen.json:
                show(reports[-1])
    if chosen.json:
        print(json.dumps([{**asdict(report), "total": asdict(report.total)} for report in reports], indent=2))
    return 1 if any(report.problems for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
