"""Procrastinate, as its documentation has it: tasks that do nothing, deferred one by one and in batches, and one worker."""

import asyncio
import sys
import time
from pathlib import Path
from secrets import token_hex
from typing import Any

_here = str(Path(__file__).parent)
sys.path.remove(_here)  # this file has the name of what it imports
import procrastinate  # noqa: E402 # pyrefly: ignore[missing-import]

sys.path.append(_here)
from on_postgresql import BATCH, PAYLOAD, SLOTS, enqueue, run, until_done  # noqa: E402

_DONE = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'"


async def measure(url: str, count: int) -> list[float]:
    """Return the rates of one job at a time, of batches, and of a worker."""
    app, begun = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url)), list[float]()

    @app.task(name="nothing")
    async def nothing(**_: Any) -> dict[str, bool]:
        begun.append(time.perf_counter())
        return {"ok": True}

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        rates = await enqueue(
            count,
            lambda: nothing.configure(queueing_lock=token_hex(16)).defer_async(**PAYLOAD),
            lambda number: nothing.batch_defer_async(*[PAYLOAD] * number),
        )
        worker = asyncio.create_task(app.run_worker_async(concurrency=SLOTS, install_signal_handlers=False))
        rates.append(await until_done(url, _DONE, count + count // 4 - count % BATCH, begun))
        worker.cancel()
        await asyncio.wait([worker])
    return rates


if __name__ == "__main__":
    run(measure)
