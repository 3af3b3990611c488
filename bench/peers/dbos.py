"""DBOS, as its documentation has it: workflows that do nothing, enqueued by its client, and one process that runs them."""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

_here = str(Path(__file__).parent)
sys.path.remove(_here)  # this file has the name of what it imports
from dbos import DBOS, DBOSClient, run_dbos_database_migrations  # noqa: E402 # pyrefly: ignore[missing-import]

sys.path.append(_here)
from on_postgresql import BATCH, PAYLOAD, SLOTS, enqueue, run, until_done  # noqa: E402

_DONE = "SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS'"
_POLL_S = 0.05
"""Twenty times as often as it would by itself."""


async def measure(url: str, count: int) -> list[float]:
    """Return the rates of one workflow at a time, of a hundred at once, and of a process that runs them."""
    address, begun = url.replace("postgresql://", "postgresql+psycopg://"), list[float]()
    run_dbos_database_migrations(address)
    client = DBOSClient(system_database_url=address)

    async def one() -> Any:
        return await client.enqueue_async({"workflow_name": "nothing", "queue_name": "queue"}, PAYLOAD)

    async def many(number: int) -> None:
        await asyncio.gather(*(one() for _ in range(number)))

    rates = await enqueue(count, one, many)
    DBOS(config={"name": "bench", "system_database_url": address, "log_level": "WARNING"})

    @DBOS.workflow(name="nothing")
    async def _nothing(_: dict[str, Any]) -> dict[str, bool]:
        begun.append(time.perf_counter())
        return {"ok": True}

    DBOS.launch()
    await DBOS.register_queue_async(
        "queue", worker_concurrency=SLOTS, polling_interval_sec=_POLL_S, on_conflict="always_update"
    )
    rates.append(await until_done(url, _DONE, count + count // 4 - count % BATCH, begun))
    DBOS.destroy()
    client.destroy()
    return rates


if __name__ == "__main__":
    run(measure)
