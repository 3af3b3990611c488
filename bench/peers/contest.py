"""One contestant in an environment of its own: ``contest.py NAME URL SINGLES BATCHED LONE`` prints its rates as JSON.

Jobs are enqueued one at a time and then a hundred at a time; a worker process of 64 slots drains them; then, with
that worker idle, lone jobs. Bodies note when they ran: the drain counts from the first to the last of them.
"""

import asyncio
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ran import moments, payload

GIVE_UP_S = 120.0
PAUSE_S = 0.02


async def _until(count: int) -> None:
    end = time.perf_counter() + GIVE_UP_S
    while len(moments()) < count:
        if time.perf_counter() > end:
            raise SystemExit(f"only {len(moments())} of {count} bodies ran")
        await asyncio.sleep(0.002 if count < GIVE_UP_S else 0.02)


async def _contest(name: str, url: str, singles: int, batched: int, lone: int) -> dict[str, object]:
    peer = importlib.import_module(f"peer_{name}")
    handle = await peer.connect(url)
    began = time.perf_counter()
    for number in range(singles):
        await peer.enqueue(handle, payload(number))
    one_at_a_time = singles / (time.perf_counter() - began)
    began = time.perf_counter()
    for first in range(0, batched, 100):
        await peer.enqueue_many(handle, [payload(number) for number in range(first, first + 100)])
    many = batched / (time.perf_counter() - began)
    worker = subprocess.Popen(  # noqa: ASYNC220 - it is waited for by what it does
        [sys.executable, __file__, name, url, "work"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        await _until(singles + batched)
        all_of_them = sorted(moments())
        drained = (len(all_of_them) - 1) / (all_of_them[-1] - all_of_them[0])
        waits = []
        for number in range(lone):
            await asyncio.sleep(PAUSE_S)
            asked = time.perf_counter()
            await peer.enqueue(handle, payload(number))
            await _until(singles + batched + number + 1)
            waits.append((moments()[-1] - asked) * 1000)
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
    return {"single": one_at_a_time, "batch": many, "drain": drained, "waits": waits}


def main() -> None:
    """Work, or measure and print."""
    sys.path.insert(0, str(Path(__file__).parent))
    name, url, *rest = sys.argv[1:]
    if rest == ["work"]:
        importlib.import_module(f"peer_{name}").work(url)
    else:
        singles, batched, lone = map(int, rest)
        print(json.dumps(asyncio.run(_contest(name, url, singles, batched, lone))))
        os._exit(0)  # some leave threads behind


if __name__ == "__main__":
    main()
