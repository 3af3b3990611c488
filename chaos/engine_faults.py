"""The fault runs in which the server that work lives on is killed, cut off, out of memory or without power.

Each starts a server of its own, for what is done to it would reach every other run.
"""

import asyncio
import random
from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final, Literal

from tests.redis_server import RedisServer
from tests.sentinel import sentinels

from chaos.cutting import open_line
from chaos.engines import Engine, Ground, open_ground
from chaos.fault_runs import fact, promise_each, refusals, refused_since
from chaos.house import House, Promise, open_house
from chaos.power import Marks
from chaos.process import Role
from chaos.tally import Tally, tally
from chaos.verdict import Kind, judge
from chaos.world import World, open_world
from steward.job import LEASE_S

_UNDER_WAY_S: Final = 0.3
_BYTES_OF_A_CONNECTION: Final = 20_000


def _kill(ground: Ground) -> None:
    """Kill the server of an engine."""
    if isinstance(ground.server, RedisServer):
        ground.server.kill()
    else:
        ground.postgresql.stop("immediate")


def _start_again(ground: Ground) -> None:
    (ground.redis if ground.engine is Engine.REDIS else ground.postgresql).start()


_OTHERWISE_S: Final = 0.03
"""How long after an effect has arrived the power may go: not just then, when a server may have told but half of what is on its disk."""
_SURE_OF_A_CUT = 4
"""Power cuts after which something must have been on its way to the disk, whatever the moment."""


async def _staffed(house: House, workers: int = 2) -> None:
    """Start a server and workers, one of whom is at work when this returns."""
    for role in (Role.SERVE, *[Role.WORK] * workers):
        house.start(house.spec(role, concurrency=4))
    await house.ready()
    await house.settled([await house.promise(Kind.KEYED)])


async def killed_server(folder: Path, ground: Ground, *, long: bool) -> Tally:
    """The server is killed in the middle of work, is away until somebody was told so, and comes back with what it kept."""
    with open_world(folder / "world") as world, open_ground(ground.engine) as own:
        async with open_house(folder / "home", world, **own.place()) as house:
            await _staffed(house)
            rounds = 6 if long else 2
            for _ in range(rounds):
                asked = asyncio.create_task(promise_each(house, 6))
                await asyncio.sleep(_UNDER_WAY_S)
                before = refusals(house)
                await asyncio.to_thread(_kill, own)
                late = asyncio.create_task(promise_each(house, 1))
                await fact(partial(refused_since, house, before), "a submit was answered with 503")
                await asyncio.sleep(LEASE_S + 2 if long else 1.0)  # the long form outlasts the leases
                await asyncio.to_thread(_start_again, own)
                await asyncio.gather(asked, late)
                await house.settled()
            counts = await tally(f"the server of {ground.engine} is killed and comes back", house)
            counts.seen = f"{rounds} kills, {refusals(house)} answers 503 meanwhile"
            return counts


async def cut_connections(folder: Path, ground: Ground, *, long: bool) -> Tally:
    """Every connection to the server is cut again and again, in the middle of a command or of its answer."""
    with open_world(folder / "world") as world:
        async with open_house(folder / "home", world, **ground.place()) as house:
            port = (ground.redis if ground.engine is Engine.REDIS else ground.postgresql).port
            async with open_line(port, mean=_BYTES_OF_A_CONNECTION, seed=random.randrange(10_000)) as line:
                house.env = {name: text.replace(f":{port}/", f":{line.port}/") for name, text in house.env.items()}
                await _staffed(house, workers=1)  # whose start is not what is tried
                line.bad = True
                for _ in range(12 if long else 2):
                    await promise_each(house, 6)
                line.bad = False
                line.cut_all()
                await house.settled()
                counts = await tally("connections are cut in the middle", house)
            counts.seen = f"{line.asking} cut in a command, {line.answering} in its answer"
            counts.demand(line.asking > 0 < line.answering, "Too little was cut to tell anything.")
            return counts


async def out_of_memory(folder: Path, ground: Ground, *, long: bool) -> Tally:
    """For a while Redis takes nothing more, because it may not use more memory (``noeviction``)."""
    with open_world(folder / "world") as world, open_ground(ground.engine) as own:
        async with open_house(folder / "home", world, **own.place()) as house:
            await _staffed(house)
            rounds = 5 if long else 1
            with closing(own.redis.client()) as plain:
                for _ in range(rounds):
                    running = asyncio.create_task(promise_each(house, 4))
                    await asyncio.sleep(_UNDER_WAY_S)
                    plain.config_set("maxmemory", "1")
                    before = refusals(house)
                    asked = asyncio.create_task(promise_each(house, 4))
                    await fact(partial(refused_since, house, before), "a submit was answered with 503")
                    await asyncio.sleep(LEASE_S + 2 if long else 1.0)
                    plain.config_set("maxmemory", "0")
                    await asyncio.gather(running, asked)
                    await house.settled()
            counts = await tally("Redis is out of memory", house)
            counts.seen = f"{refusals(house)} answers 503 while Redis took nothing"
            return counts


# -- the power goes ----------------------------------------------------------------------------------------------------


async def _power_cut(folder: Path, safety: Literal["strict", "fast"], rounds: int) -> Tally:
    """Take from Redis what was not on disk, in the middle of work; count what that cost, as it may, and what it may not."""
    with open_world(folder / "world") as world, open_ground(Engine.REDIS) as own:
        async with open_house(folder / "home", world, REDIS_EFFECT_SAFETY=safety, **own.place()) as house:
            await _staffed(house)
            gone, chance = 0, random.Random()
            for _ in range(rounds):
                marks = Marks(own.redis)
                asked = asyncio.create_task(promise_each(house, 8))
                await fact(partial(_arrived_since, world, world.arrived() + chance.randint(1, 12)), "effects arrived")
                await asyncio.sleep(chance.uniform(0, _OTHERWISE_S))
                gone += await asyncio.to_thread(marks.cut)
                await asyncio.to_thread(own.redis.start)
                await asked
                await house.settled(await _known(house))
            counts = await _counted(f"a power cut, {safety}, everysec", house, strict=safety == "strict")
            counts.demand(gone > 0 or rounds < _SURE_OF_A_CUT, "Nothing was on its way to the disk.")
            counts.seen = f"{rounds} cuts took {gone:,} bytes; {counts.seen}"
            return counts


async def failover(folder: Path, ground: Ground, *, long: bool) -> Tally:
    """The primary is killed in the middle of work, and Sentinels let a replica take over."""
    del ground
    rounds = 2 if long else 1  # with two replicas, there is none left to wait for after the second
    with open_world(folder / "world") as world, sentinels(replicas=rounds + 1) as watched:
        async with open_house(folder / "home", world, REDIS_URL=watched.url) as house:
            await _staffed(house)
            for _ in range(rounds):
                asked = asyncio.create_task(promise_each(house, 8))
                await fact(partial(_arrived_since, world, world.arrived() + random.randint(1, 12)), "effects arrived")
                await asyncio.to_thread(watched.primary().kill)
                await asyncio.to_thread(watched.failed_over)
                await asked
                await house.settled(await _known(house))
            counts = await _counted("a failover by Sentinels", house, strict=True)
            counts.seen = f"{rounds} failovers; {counts.seen}"
            return counts


async def _counted(fault: str, house: House, *, strict: bool) -> Tally:
    """Stop the house's processes and count what a server that forgot something cost, as it may, and what it may not."""
    codes = await house.stop()
    counts = Tally(fault, plans=len(house.promises))
    counts.demand(not any(codes), f"The processes ended with {codes}.")
    forgotten, again = await _judged(house, counts)
    blind = again[Kind.PROBE] + again[Kind.NONE]
    counts.demand(not (strict and blind), f"{blind} effects were repeated blindly.")
    counts.seen = (
        f"{forgotten} accepted plans gone; repeated: {again[Kind.NONE]} none, {again[Kind.PROBE]} probe, "
        f"{again[Kind.KEYED]} keyed under another key; {refusals(house)} answers 503"
    )
    return counts


def _arrived_since(world: World, enough: int) -> bool:
    return world.arrived() >= enough


async def _known(house: House) -> list[Promise]:
    """Return the promises whose plans the store still knows."""
    return [promise for promise in house.promises if await house.jobs(promise)]


async def _judged(house: House, counts: Tally) -> tuple[int, Counter[Kind]]:
    """Judge what the store still knows; return how many accepted plans are gone, and repeated effects by kind."""
    again, forgotten = Counter[Kind](), 0
    for promise in house.promises:
        story = await house.story(promise)
        again[promise.kind] += sum(seen.effects > 1 for seen in story.seen.values())
        if not story.jobs:
            forgotten += 1
            continue
        verdict = judge(story)
        counts.completed += verdict.ending == "completed"
        counts.unknown += verdict.ending == "unknown"
        counts.lost += len(verdict.lost)
        said = (*verdict.lost, *verdict.wrong)
        counts.wrong += len(verdict.wrong)
        counts.problems += [f"{promise.kind} plan {promise.plan_id}: {sentence}" for sentence in said]
    return forgotten, again


async def power_cut_strict(folder: Path, ground: Ground, *, long: bool) -> Tally:
    """The power goes; no effect that could not be repeated is repeated."""
    del ground
    return await _power_cut(folder, "strict", 8 if long else 2)


async def power_cut_fast(folder: Path, ground: Ground, *, long: bool) -> Tally:
    """The power goes, where Redis was told not to wait for its disk; what that costs is counted."""
    del ground
    return await _power_cut(folder, "fast", 8 if long else 1)
