"""The load run in its short form, and proof that its watch over the event loop would notice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from chaos.load import STORE_MS
from chaos.watch import LoopWatch
from sqlalchemy import Connection

from steward.database import Database

ROOT = Path(__file__).parent.parent
COUNT = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000) SELECT max(i) FROM n"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_w126_hundreds_of_clients_lose_nothing_while_the_server_is_replaced() -> None:
    """No error; each accepted job ran once; resumed streams missed nothing; the store never kept the event loop."""
    command = [sys.executable, "-m", "chaos.load", "--clients", "200", "--seconds", "5", "--json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=230)
    assert ended.stdout, ended.stderr[-4000:]
    report = json.loads(ended.stdout)
    assert report["problems"] == []
    assert report["accepted"] == report["ran"] > 0
    assert min(report["asked"].values()) > 0
    assert report["events"] > 0 < report["resumed"]
    assert max(loop["store_ms"] for loop in report["loops"]) <= STORE_MS
    assert ended.returncode == 0


def count(connection: Connection) -> None:
    """Keep the database busy for longer than a loop may wait."""
    connection.exec_driver_sql(COUNT).one()


@pytest.mark.anyio
async def test_a_store_that_keeps_the_loop_is_noticed(tmp_path: Path) -> None:
    """The same query is seen when it runs on the loop's own thread, and not when it runs beside it."""
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    try:
        beside, on_it = LoopWatch(), LoopWatch()
        beside.start()
        await database.read(count)
        assert beside.stop().store_ms <= STORE_MS
        on_it.start()
        database.read_sync(count)
        seen = on_it.stop()
    finally:
        await database.aclose()
    assert seen.store_ms > STORE_MS
    assert seen.store_where == "Database.read_sync"
