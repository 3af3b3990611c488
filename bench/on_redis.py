"""Steward on Redis beside the bare client and the fastest job libraries, on one server, in rounds that take turns.

``python bench/run.py --engine redis`` needs no server: it starts Valkey from a Python wheel, as the tests do. Everything is
on: record, index, names, events, leases, fairness, the record of each effect.
"""

import asyncio
import gc
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parent.parent))

import more_workers
import over_http
from drains import PAUSE_S, SLOTS, seen_to_end
from figure import Figure, median, percentile_99
from peers.environments import BARE, OTHERS, PEERS, contest
from peers_payload import single_plans, whole_plans
from samples import CLOCK, DONE, IDS, SOMEBODY
from tests.redis_server import RedisServer

from installation import Installation, installation
from steward.plan import MAX_STEPS
from steward.work_store import Lease, Settlement, WorkEngine, WorkStore
from steward.work_stores.redis import open_redis_engine

ROUNDS: Final = 5
OTHER_ROUNDS: Final = 2
"""In so many of them, the first, those take part that are not among the five fastest."""
_LOOK_S: Final = 0.002
_LONE: Final = 40
_LOOKED_AT: Final = 5
"""Workspaces whose jobs are listed."""
_LOOKS: Final = 1_000
_SETTINGS: Final = ("--appendonly", "no", "--hash-max-listpack-value", "1024")


@contextmanager
def _server() -> Iterator[RedisServer]:
    server = RedisServer(*_SETTINGS)
    try:
        yield server
    finally:
        server.stop()


async def _drain_a_moment(engine: WorkEngine, limit: int = SLOTS) -> tuple[Lease, ...]:
    """Claim, dispatch and settle once; return what was claimed."""
    dispatcher = engine.dispatcher
    leases = (await dispatcher.claim("bench", limit=limit)).leases
    if leases:
        await dispatcher.dispatch([lease.ref for lease in leases])
        await dispatcher.settle([Settlement(lease.ref, DONE) for lease in leases])
    return leases


async def _store(url: str, singles: int, batched: int) -> dict[str, float]:
    """Return what the store alone does: plans of one step, plans of a hundred, a hundred callers, and carrying them out."""
    async with open_redis_engine(url, clock=CLOCK, ids=IDS, safety="fast") as engine:
        store = engine.open(SOMEBODY)
        rates: dict[str, float] = {}
        work = single_plans(singles)
        began = time.perf_counter()
        for submission in work:
            await store.submit(submission)
        rates["single"] = singles / (time.perf_counter() - began)
        work = whole_plans(batched // 100, 100)
        began = time.perf_counter()
        for submission in work:
            await store.submit(submission)
        rates["batch"] = batched / (time.perf_counter() - began)
        began, done = time.perf_counter(), 0
        while some := await _drain_a_moment(engine):
            done += len(some)
        rates["carry out"] = done / (time.perf_counter() - began)
        work = single_plans(singles)
        began = time.perf_counter()
        for first in range(0, singles, 100):
            await asyncio.gather(*(store.submit(submission) for submission in work[first : first + 100]))
        rates["crowd"] = singles / (time.perf_counter() - began)
        return rates


async def _worker(url: str, folder: Path, jobs: int, lone: int) -> dict[str, Any]:
    """Return what ``steward worker`` does with 64 slots, as a process of its own: draining, and lone jobs when it is idle."""
    async with installation(folder, REDIS_URL=url, REDIS_EFFECT_SAFETY="fast") as here:
        names, noted = [f"drain {number}" for number in range(jobs)], folder / "ran"
        await here.submit(["get ready"])  # the peers have done so, too, when their batches come
        gc.freeze()  # as a process does when it has started
        began = time.perf_counter()
        plans = [await here.submit(names[start : start + MAX_STEPS]) for start in range(0, jobs, MAX_STEPS)]
        submitted = jobs / (time.perf_counter() - began)
        worker = subprocess.Popen(  # noqa: ASYNC220 - it is waited for by what it does
            [str(Path(sys.executable).with_name("steward")), "worker", "--concurrency", str(SLOTS)],
            env={**os.environ, **here.environment, "PYTHONPATH": str(Path(__file__).parent), "NOOP_RAN": str(noted)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            store = here.app.engine.open(here.principal)
            for plan in plans:
                await seen_to_end(store, plan.plan_id)
            ran = [job.result["at"] for plan in plans for job in await store.plan_jobs(plan.plan_id)]
            waits = [await _lone(here, number, noted) for number in range(lone)]
        finally:
            worker.terminate()
            worker.wait()
        asked, there = zip(*waits, strict=True)
        return {"through": submitted, "drain": (jobs - 1) / (max(ran) - min(ran)), "waits": asked, "there": there}


def _ran(noted: Path) -> int:
    """Return how many jobs have run."""
    return noted.stat().st_size


async def _lone(here: Installation, number: int, noted: Path) -> tuple[float, float]:
    """Return milliseconds until a lone job runs, since it was asked for and since it was there.

    It is watched as the libraries' jobs are, by a look at a file: to ask the store would keep the worker waiting.
    """
    await asyncio.sleep(PAUSE_S)
    before = _ran(noted)
    asked = time.perf_counter()
    submitted = await here.submit([f"lone {number}"])
    there = time.perf_counter()
    while _ran(noted) == before:  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_S)
    await here.ended(submitted.plan_id)
    job = await here.app.engine.open(here.principal).get_job(submitted.job_ids[0])
    assert job is not None
    return (job.result["at"] - asked) * 1000, (job.result["at"] - there) * 1000


async def _rounds(folder: Path, sizes: tuple[int, int, int], *, every: bool) -> dict[str, dict[str, list[Any]]]:
    """Let everybody take turns, and return what each measured in each round."""
    singles, batched, lone = sizes
    found: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    with _server() as server:
        admin = server.client()
        for number in range(ROUNDS):
            others = OTHERS if every and number < OTHER_ROUNDS else ()
            for name in (*BARE, *PEERS, *others):
                admin.flushall()
                for what, value in contest(name, server.url(), folder, sizes).items():
                    found[name][what].append(value)
            admin.flushall()
            home = folder / str(number)
            mine = await _store(server.url(1), singles, batched)
            admin.flushall()  # the libraries' drains have nothing of others beside them, and are of as many jobs
            mine |= await _worker(server.url(2), home, singles + batched, lone)
            for what, value in mine.items():
                found["steward"][what].append(value)
        admin.close()
    return found


def _compared(found: dict[str, dict[str, list[Any]]]) -> Iterator[Figure]:
    """Yield each rate beside that of the bare client in the same rounds, ours first."""
    rows = [
        ("submit, plans of one step, one at a time (store)", "single", "single", "raw"),
        ("submit, plans of 100 steps (store), jobs", "batch", "batch", "raw_batch"),
        ("submit, plans of one step, 100 callers (store)", "crowd", "batch", "raw_batch"),
        (f"submit, plans of {MAX_STEPS} steps, through the orchestrator, jobs", "through", "batch", "raw_batch"),
        (f"claim, dispatch and settle, {SLOTS} at a time (store)", "carry out", "drain", "raw"),
        (f"drain by 'steward worker', {SLOTS} slots", "drain", "drain", "raw"),
    ]
    for what, ours, theirs, bare in rows:
        pairs = zip(found["steward"][ours], found[bare][theirs], strict=True)
        ratio = median([one / other for one, other in pairs])
        value = median(found["steward"][ours])
        yield Figure(what, value, "/s", bare, value / ratio)
    beside = [name for name in (*PEERS, *OTHERS) if name in found]
    for name in (*beside, "raw_batch"):
        for what in ("single", "batch", "drain"):
            bare = "raw_batch" if what == "batch" else "raw"
            ratio = median([one / other for one, other in zip(found[name][what], found[bare][what], strict=False)])
            value = median(found[name][what])
            yield Figure(f"{name}: {what}", value, "/s", bare, value / ratio)
    for name in ("steward", *BARE, *beside):
        waits = [wait for some in found[name]["waits"] for wait in some]
        yield Figure(f"{name}: from asking to running, idle, median", median(waits), "ms")
        yield Figure(f"{name}: from asking to running, idle, 99 %", percentile_99(waits), "ms")
    there = [wait for some in found["steward"]["there"] for wait in some]
    yield Figure("steward: from being submitted to running, idle, median", median(there), "ms")
    yield Figure("steward: from being submitted to running, idle, 99 %", percentile_99(there), "ms")


async def _bytes(jobs: int) -> list[Figure]:
    """Return what a job takes in memory, queued and finished, events apart; each on a server that has held nothing else."""
    figures = []
    for what, work in (
        ("in a plan of 100", whole_plans(jobs // 100, 100)),
        ("in a plan of its own", single_plans(jobs)),
    ):
        with _server() as server:
            admin = server.client()
            async with open_redis_engine(server.url(), clock=CLOCK, ids=IDS, safety="fast") as engine:
                await engine.open(SOMEBODY).submit(whole_plans(1, 100)[0])  # so that the server knows every script
                while await _drain_a_moment(engine):
                    pass
                before = admin.info("memory")["used_memory"]
                for submission in work:
                    await engine.open(SOMEBODY).submit(submission)
                for state in ("queued", "finished"):
                    events = sum(admin.memory_usage(key, samples=0) or 0 for key in ("ai:events", "ai:events:bench"))
                    held = admin.info("memory")["used_memory"] - before
                    figures.append(Figure(f"bytes of a {state} job {what}", (held - events) / jobs, "B"))
                    figures.append(Figure(f"bytes of its events so far, {what}", events / jobs, "B"))
                    while await _drain_a_moment(engine, 200):
                        pass
            admin.close()
    return figures


async def _fairness(url: str, flood: int) -> list[Figure]:
    """Return how long lone jobs of others wait while one workspace's flood is worked on."""
    async with open_redis_engine(url, clock=CLOCK, ids=IDS, safety="fast") as engine:
        for submission in whole_plans(flood // 500, 500):
            await engine.open(SOMEBODY).submit(submission)
        waits = []
        for number in range(_LONE):
            other = replace(SOMEBODY, workspace_id=f"lone{number}")
            working = asyncio.create_task(_drain_a_moment(engine))  # what is in flight when the lone job comes
            await asyncio.sleep(0)
            began = time.perf_counter()
            await engine.open(other).submit(single_plans(1)[0])
            taken = await working
            if all(lease.job.workspace_id != other.workspace_id for lease in taken):
                taken = (await engine.dispatcher.claim("bench", limit=SLOTS)).leases
                assert any(lease.job.workspace_id == other.workspace_id for lease in taken)
            waits.append((time.perf_counter() - began) * 1000)
            await engine.dispatcher.settle([Settlement(lease.ref, DONE) for lease in taken])
    what = f"a lone job is claimed behind another workspace's {flood:,}"
    return [Figure(f"{what}, median", median(waits), "ms"), Figure(f"{what}, worst", max(waits), "ms")]


async def _filled(stack: AsyncExitStack, jobs: int) -> list[WorkStore]:
    """Return some of the workspaces of a server of their own, which has so many jobs, a thousand in each workspace."""
    url = stack.enter_context(_server()).url()
    engine = await stack.enter_async_context(open_redis_engine(url, clock=CLOCK, ids=IDS, safety="fast"))
    stores = [engine.open(replace(SOMEBODY, workspace_id=f"w{number}")) for number in range(jobs // 1_000)]
    for store in stores:
        for submission in whole_plans(10, 100):
            await store.submit(submission)
    return stores[:: max(len(stores) // _LOOKED_AT, 1)][:_LOOKED_AT]


async def _listing(few: int, many: int) -> Figure:
    """Return what a page costs among ``many`` jobs, beside one among ``few``; the two take turns.

    As many workspaces are looked at on both sides, for what was seen lately need not be made again.
    """
    costs: dict[int, list[float]] = {few: [], many: []}
    async with AsyncExitStack() as stack:
        sides = {jobs: await _filled(stack, jobs) for jobs in costs}
        for number in range(_LOOKS):
            for jobs, stores in sides.items() if number % 2 else reversed(sides.items()):
                began = time.perf_counter()
                await stores[number // 2 % len(stores)].list_jobs(limit=50)
                costs[jobs].append((time.perf_counter() - began) * 1_000_000)
    return Figure(f"a page of 50 among {many:,} jobs", median(costs[many]), "µs", f"among {few:,}", median(costs[few]))


async def measure(folder: Path, scale: int, *, long: bool, every: bool) -> list[Figure]:
    """Return everything that is measured on Redis."""
    found = await _rounds(folder, (2_000 // scale, 4_000 // scale, max(60 // scale, 2)), every=every)
    figures = [*_compared(found), *await _bytes(10_000 // scale)]
    with _server() as server:
        admin = server.client()
        admin.config_resetstat()
        figures += await _fairness(server.url(), 100_000 // scale)
        calls = admin.info("commandstats")
        walks = sum(calls.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("scan", "keys"))
        figures.append(Figure("SCAN and KEYS meanwhile", walks, "calls"))
        figures += await more_workers.measure(server.url(2), admin, folder / "more", 10_000 // scale, ROUNDS)
        admin.close()
        home = folder / "http"
        home.mkdir()
        elsewhere = {"REDIS_URL": server.url(1), "REDIS_EFFECT_SAFETY": "fast"}
        figures += await asyncio.to_thread(over_http.measure, home, 500 // scale, **elsewhere)
    figures.append(await _listing(10_000, 1_000_000 if long else 100_000 // scale))
    return figures
