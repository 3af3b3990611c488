"""The fault runs: nobody dies, but something that Steward leans on is taken away for a while, each in a house of its own.

Each is a function of a new folder that returns what it counted; ``chaos.faults`` runs them side by side.
"""

import asyncio
import json
import os
import resource
import signal
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

from chaos.engines import Ground
from chaos.house import House, Promise, open_house, with_notes
from chaos.points import Mark, Point, read_mark
from chaos.process import Role, ended
from chaos.tally import Tally, tally
from chaos.verdict import RECOVERY_S, Kind, recovery_s
from chaos.world import mail_server, open_world
from steward.job import HEARTBEAT_S, LEASE_S

EFFECTS: Final = (Kind.KEYED, Kind.PROBE, Kind.NONE)
LOOK_S: Final = 0.05
LIMIT_S: Final = 60.0
_UNAVAILABLE_S: Final = 2.0
"""A store that is away is to be answered with 503 within this, in seconds."""
_SLACK_S: Final = 3.0
"""What a busy machine may add to it."""
_HOUR_S: Final = 3600
_SWEEP_S: Final = LEASE_S / 2
"""How far apart the looks at lost leases are, in seconds."""


async def fact(holds: Callable[[], bool], what: str) -> None:
    """Return once something holds."""
    deadline = time.monotonic() + LIMIT_S
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"It did not come to this within {LIMIT_S:.0f} s: {what}.")
        await asyncio.sleep(LOOK_S)


async def promise_each(house: House, count: int, kinds: Sequence[Kind] = EFFECTS) -> list[Promise]:
    """Submit ``count`` plans of each kind, side by side."""
    return await asyncio.gather(*(house.promise(kind) for _ in range(count) for kind in kinds))


# -- a worker is paused ------------------------------------------------------------------------------------------------


async def _pause_one(house: House, point: Point, kind: Kind) -> Mark:
    """Start a worker that stops (and does not die) at a point, and submit plans until it has."""
    trap = house.trap(point, kind, number=signal.SIGSTOP)
    house.start(with_notes(house.spec(Role.WORK, trap=trap), house.home / "notes"))
    deadline = time.monotonic() + LIMIT_S
    while (mark := read_mark(trap.mark)) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"No worker stopped {point}.")
        await house.promise(kind)
        await asyncio.sleep(LOOK_S * 4)
    return mark


def _said_to(house: House, mark: Mark) -> list[tuple[str, str]]:
    """Return (verb, answer) of what the process of a mark was answered about its job."""
    path = house.home / "notes" / f"{mark.pid}.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [(line["verb"], line["said"]) for line in lines if line["job_id"] == mark.job_id]


def _refusal(house: House, mark: Mark) -> str:
    """Return which verb the one who slept was refused; blank: none yet, or something else was granted."""
    said = _said_to(house, mark)
    before = [("dispatch", "granted")] if mark.point == Point.AFTER_EFFECT else []
    after = said[len(before) :]
    return after[0][0] if said[: len(before)] == before and after and {word for _, word in after} == {"fence"} else ""


async def paused_workers(folder: Path, ground: Ground, *, long: bool) -> Tally:
    """Workers sleep past their leases, others finish their jobs, and then they wake up in the middle of it."""
    points = (Point.BEFORE_DISPATCH, Point.AFTER_EFFECT)
    cells = [(point, kind) for point in points for kind in EFFECTS] * (3 if long else 1)
    with open_world(folder / "world") as world:
        async with open_house(folder / "home", world, **ground.place()) as house:
            house.start(house.spec(Role.SERVE))
            await house.ready()
            marks = await asyncio.gather(*(_pause_one(house, point, kind) for point, kind in cells))
            house.start(house.spec(Role.WORK, concurrency=4))
            await house.settled()
            for mark in marks:
                os.kill(mark.pid, signal.SIGCONT)
            with suppress(TimeoutError):
                await fact(lambda: all(_refusal(house, mark) for mark in marks), "all were refused")
            counts = await tally("a worker sleeps past its lease, then wakes", house)
            for mark in marks:
                said = _said_to(house, mark)
                counts.demand(bool(_refusal(house, mark)), f"Who slept {mark.point} was answered {said}.")
            refused = [_refusal(house, mark) for mark in marks]
            counts.seen = (
                f"{len(marks)} woke: {refused.count('dispatch')} dispatches and {refused.count('settle')} "
                "settlements refused"
            )
            doubted = sum(point is Point.AFTER_EFFECT and kind is Kind.NONE for point, kind in cells)
            counts.demand(counts.unknown == doubted, f"{counts.unknown} are unknown, {doubted} should be.")
            return counts


async def killed_alone(folder: Path, ground: Ground, *, long: bool) -> Tally:
    """A worker is killed in the middle of the only job there is; another, who has nothing to do, takes it over in time."""
    with open_world(folder / "world") as world:
        async with open_house(folder / "home", world, **ground.place()) as house:
            house.start(house.spec(Role.SERVE))
            house.start(house.spec(Role.WORK))
            await house.ready()
            slowest, deaths = 0.0, 3 if long else 1
            for _ in range(deaths):
                trap = house.trap(Point.MID_EFFECT, Kind.KEYED)
                dying = house.start(house.spec(Role.WORK, trap=trap))
                deadline = time.monotonic() + LIMIT_S
                while (mark := read_mark(trap.mark)) is None:  # sooner or later it gets one before the other does
                    if time.monotonic() > deadline:
                        raise TimeoutError("The worker that is to die got no job.")
                    await house.settled([await house.promise(Kind.KEYED)], within_s=1.0)
                await ended(dying)
                house.processes.remove(dying)
                await house.settled()
                (hit,) = [job for one in house.promises for job in await house.jobs(one) if job.job_id == mark.job_id]
                slowest = max(slowest, recovery_s(hit, mark))
            counts = await tally("a worker is killed, and the queue is idle", house)
            counts.demand(0 < slowest < RECOVERY_S, f"The job was out of hand for {slowest:.1f} s.")
            counts.seen = f"{deaths} taken over, the slowest after {slowest:.1f} s"
            return counts


# -- the clock ---------------------------------------------------------------------------------------------------------


async def stepping_clock(folder: Path, ground: Ground, *, long: bool) -> Tally:
    """The machine's clock jumps an hour ahead and back (and, in the long form, back and ahead) while effects are under way."""
    with open_world(folder / "world") as world:
        async with open_house(folder / "home", world, **ground.place()) as house:
            offset = folder / "offset"
            offset.write_text("0")
            for role in (Role.SERVE, Role.WORK, Role.WORK):
                house.start(replace(house.spec(role, concurrency=4), clock_offset=offset))
            await house.ready()
            steps = (_HOUR_S, 0, -_HOUR_S, 0) if long else (_HOUR_S, 0)
            world.slow_s = 2 * _SWEEP_S
            for seconds in steps:
                asked = asyncio.create_task(promise_each(house, 2))
                await asyncio.sleep(
                    HEARTBEAT_S
                )  # effects are under way, and the next sweep is nearer than the next heartbeat
                fresh = offset.with_suffix(".new")
                fresh.write_text(str(seconds))
                fresh.replace(offset)
                await asked
                await house.settled()
            counts = await tally("the machine's clock jumps", house)
            counts.seen = f"{len(steps)} jumps of an hour under way"
            return counts


async def wrong_clocks(folder: Path, ground: Ground, *, long: bool) -> Tally:
    """One worker's clock is an hour ahead, another's an hour behind, the server's and a third's are right.

    Without a common clock a lease protects nobody, so this is not asked of actions with a probe.
    """
    with open_world(folder / "world") as world:
        async with open_house(folder / "home", world, **ground.place()) as house:
            house.start(house.spec(Role.SERVE))
            house.start(house.spec(Role.WORK, concurrency=4))
            for name, seconds in (("ahead", _HOUR_S), ("behind", -_HOUR_S)):
                offset = folder / name
                offset.write_text(str(seconds))
                house.start(replace(house.spec(Role.WORK, concurrency=4), clock_offset=offset))
            await house.ready()
            began = time.monotonic()
            while time.monotonic() - began < (30 if long else 8):  # longer than the sweeps of all of them are apart
                await promise_each(house, 2, [Kind.KEYED, Kind.NONE])
            await house.settled()
            counts = await tally("processes disagree about the time", house)
            counts.seen = "workers an hour ahead, an hour behind and right"
            return counts


# -- the disk ----------------------------------------------------------------------------------------------------------


def _allow_files_of(processes: Sequence[BaseProcess], size: int) -> None:
    """Let no file of these processes grow past ``size`` bytes; what they write beyond fails as on a full disk."""
    for process in processes:
        assert process.pid is not None
        _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, hard))


def refusals(house: House) -> int:
    """Return how many submits were answered with 503."""
    return sum(promise.unavailable for promise in house.promises)


def refused_since(house: House, before: int) -> bool:
    """Say whether there are more than before."""
    return refusals(house) > before


async def full_disk(folder: Path, ground: Ground, *, long: bool) -> Tally:
    """For a while nothing more can be written to disk, neither by the server nor by the worker."""
    with open_world(folder / "world") as world:
        async with open_house(folder / "home", world, **ground.place()) as house:
            processes = [house.start(house.spec(role, concurrency=4)) for role in (Role.SERVE, Role.WORK)]
            await house.ready()
            for _ in range(5 if long else 1):
                await promise_each(house, 2)
                _allow_files_of(processes, 4096)
                before = refusals(house)
                asked = asyncio.create_task(promise_each(house, 4))
                await fact(partial(refused_since, house, before), "a submit was answered with 503")
                await asyncio.sleep(LEASE_S + 2 if long else 2.0)  # the long form outlasts the leases
                _allow_files_of(processes, resource.RLIM_INFINITY)
                await asked
                await house.settled()
            counts = await tally("the disk is full", house)
            counts.seen = f"{refusals(house)} answers 503 while nothing could be written"
            return counts


async def locked_database(folder: Path, ground: Ground, *, long: bool) -> Tally:
    """Another program holds SQLite's write lock for far longer than Steward waits for it."""
    with open_world(folder / "world") as world:
        async with open_house(folder / "home", world, **ground.place()) as house:
            for role in (Role.SERVE, Role.WORK):
                house.start(house.spec(role, concurrency=4))
            await house.ready()
            for _ in range(3 if long else 1):
                running = asyncio.create_task(promise_each(house, 4))
                await asyncio.sleep(LOOK_S)
                with closing(sqlite3.connect(house.home / "steward.db", isolation_level=None, timeout=30)) as other:
                    other.execute("BEGIN IMMEDIATE")
                    asked = asyncio.create_task(promise_each(house, 4))
                    await asyncio.sleep(6.0)
                    other.execute("ROLLBACK")
                await asyncio.gather(asked, running)
                await house.settled()
            counts = await tally("the database is locked by another program", house)
            answers = house.seconds_of_503()
            counts.demand(len(answers) > 0, "Nothing was answered with 503.")
            slowest = max(answers, default=0.0)
            counts.seen = f"{len(answers)} answers 503, the slowest after {slowest:.2f} s"
            counts.demand(slowest < _UNAVAILABLE_S + _SLACK_S, f"A 503 took {slowest:.2f} s.")
            return counts


# -- the far ends ------------------------------------------------------------------------------------------------------


async def absent_mail_server(folder: Path, ground: Ground, *, long: bool) -> Tally:
    """The mail server is away when mails are due, and comes back."""
    with open_world(folder / "world", mail=False) as world:
        async with open_house(folder / "home", world, **ground.place()) as house:
            for role in (Role.SERVE, Role.WORK):
                house.start(house.spec(role, concurrency=4))
            await house.ready()
            asked = await promise_each(house, 10 if long else 3, [Kind.NONE])
            tried = 0
            while tried < 2:
                tried = min([len((await house.jobs(promise))[0].history) for promise in asked])
                await asyncio.sleep(LOOK_S)
            with mail_server(world):
                await house.settled()
                counts = await tally("the mail server is away, then back", house)
            counts.demand(counts.unknown == 0, f"{counts.unknown} are unknown, though nothing was handed over.")
            counts.seen = f"every mail tried at least {tried} times in vain, then sent once"
            return counts


async def hanging_receiver(folder: Path, ground: Ground, *, long: bool) -> Tally:
    """A receiver takes messages and does not answer; other work goes on beside it."""
    with open_world(folder / "world") as world:
        async with open_house(folder / "home", world, **ground.place()) as house:
            for role in (Role.SERVE, Role.WORK):
                house.start(house.spec(role, concurrency=8))
            await house.ready()
            world.hang.set()
            asked = await promise_each(house, 6 if long else 2, [Kind.KEYED])
            await fact(
                lambda: all(world.messages[promise.labels[0]] for promise in asked), "every message arrived and hangs"
            )
            world.hang.clear()
            others = await promise_each(house, 2)
            await house.settled(others, within_s=10.0)
            waiting = sum([not (await house.story(promise)).first.finished_at for promise in asked])
            await house.settled()
            again = [len(world.messages[promise.labels[0]]) for promise in asked]
            counts = await tally("a receiver takes messages and hangs", house)
            counts.demand(waiting == len(asked), "What hangs did not hang for long enough to tell.")
            counts.demand(min(again) > 1, "A message that was not answered was not repeated.")
            counts.seen = f"{len(asked)} messages repeated under their keys; {len(others)} other plans done meanwhile"
            return counts


async def silent_mail_server(folder: Path, ground: Ground) -> Tally:
    """A mail server takes whole mails and never says so. Takes as long as Steward waits for its verdict: a minute."""
    with open_world(folder / "world") as world:
        async with open_house(folder / "home", world, **ground.place()) as house:
            for role in (Role.SERVE, Role.WORK):
                house.start(house.spec(role, concurrency=4))
            await house.ready()
            world.silent.set()
            asked = await promise_each(house, 3, [Kind.NONE])
            await fact(lambda: all(world.mails[promise.labels[0]] for promise in asked), "every mail arrived")
            await house.settled()
            world.let_go.set()
            counts = await tally("a mail server takes mails and never answers", house)
            counts.demand(counts.unknown == len(asked), f"{counts.unknown} of {len(asked)} are unknown.")
            counts.seen = "taken once each, unknown with evidence"
            return counts


# -- many at once ------------------------------------------------------------------------------------------------------


async def crowd(folder: Path, ground: Ground, *, long: bool) -> Tally:
    """A server and two workers share one store under load."""
    clients, rounds = 8, 25 if long else 4
    with open_world(folder / "world") as world:
        async with open_house(folder / "home", world, **ground.place()) as house:
            for role in (Role.SERVE, Role.WORK, Role.WORK):
                house.start(house.spec(role, concurrency=16))
            await house.ready()
            began = time.monotonic()

            async def client() -> None:
                for _ in range(rounds):
                    for kind in Kind:
                        await house.promise(kind)

            await asyncio.gather(*(client() for _ in range(clients)))
            await house.settled()
            took = time.monotonic() - began
            counts = await tally("two workers and a server under load", house)
            counts.demand(counts.unknown == 0, f"{counts.unknown} are unknown, and nothing went wrong.")
            counts.seen = f"{clients} clients, {counts.plans / took:.0f} plans a second"
            return counts
