"""A chain that is continued before its lock: where it is thought to end costs or spares time, and never a record."""

import asyncio
from typing import Any

import pytest

from steward.audit_logs import sql
from steward.audit_logs.sql import SqlAuditLog
from steward.database import Database
from steward.database.audit_chain import Tail
from steward.event import EventType
from steward.vault import Vault
from tests.audit.conftest import MakeEntry
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio

_DAY_S = 24 * 3600


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> list[Tail]:
    """Return the tails that had to be put behind another place than they were thought to."""
    found: list[Tail] = []
    real = Tail.moved

    def noted(tail: Tail, *where: Any) -> Tail:
        found.append(tail)
        return real(tail, *where)

    monkeypatch.setattr(Tail, "moved", noted)
    return found


@pytest.fixture
def other(database: Database, vault: Vault, clock: FakeClock) -> SqlAuditLog:
    """Return the same log as another process has it."""
    return SqlAuditLog(database, vault, clock)


async def test_who_left_a_chain_goes_on_from_there_and_who_did_not_finds_its_end(
    log: SqlAuditLog, other: SqlAuditLog, entry: MakeEntry, moved: list[Tail]
) -> None:
    """Of two processes, the one that appended last puts nothing behind another place under the lock; the chain stays whole."""
    for _ in "12":
        await log.append([entry(), entry(workspace_id="rival")])
    assert moved == []
    await other.append([entry()])
    assert len(moved) == 1
    assert await other.archive([entry(view="a"), entry(view="b")], after=0, upto=7)
    assert len(moved) == 1
    assert not await log.archive([entry()], after=0, upto=9)
    assert len(moved) == 1
    assert await log.archive([entry(view="c"), entry(workspace_id="rival")], after=7, upto=9)
    assert len(moved) == 2
    verdict = await log.verify("acme")
    assert (verdict.sound, verdict.records) == (True, 6)


async def test_what_others_do_to_a_chain_in_between_does_not_break_it(
    log: SqlAuditLog, other: SqlAuditLog, database: Database, clock: FakeClock, entry: MakeEntry
) -> None:
    """An erasure, records that the retention drops up to the last, and a change that fails in the middle."""
    draft, plan = (
        entry(kind=kind, plan_id="plan_a", view="all", comparable=True)
        for kind in (EventType.PLAN_DRAFTED, EventType.PLAN_SUBMITTED)
    )
    await log.append([draft])
    await other.erase("acme", [1], by="key_b")
    await log.append([plan])
    assert (await log.verify("acme")).sound
    clock.advance(2 * _DAY_S)
    assert await other.purge(_DAY_S) == 3
    await log.append([plan, entry()])
    await other.append([plan])
    with pytest.raises(ValueError):
        await database.write(lambda connection: [sql.append(connection, [entry()]), int("")])
    await log.append([entry(view="z")])
    verdict = await log.verify("acme")
    assert (verdict.sound, verdict.records) == (True, 4)
    page = await log.query("acme", limit=9)
    assert [record.sequence for record in page.records] == [7, 6, 5, 4]


async def test_many_who_append_and_archive_at_once_make_whole_chains(
    log: SqlAuditLog, other: SqlAuditLog, entry: MakeEntry
) -> None:
    """Two processes race for the archiver's place while both append: each record is there once, and one archiver has won."""
    won = await asyncio.gather(
        *(one.archive([entry(view=n)] * 20, after=0, upto=5) for n, one in enumerate((log, other))),
        *(one.append([entry(), entry(workspace_id="rival")]) for one in (log, other) * 5),
    )
    assert set(won[:2]) == {False, True}
    for workspace_id, records in (("acme", 30), ("rival", 10)):
        verdict = await log.verify(workspace_id)
        assert (verdict.sound, verdict.records) == (True, records)


async def test_no_more_ends_are_kept_in_mind_than_may_be(
    log: SqlAuditLog, entry: MakeEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installation may have any number of workspaces; what was forgotten is read."""
    monkeypatch.setattr(sql, "_REMEMBERED", 4)
    for n in range(20):
        await log.append([entry(workspace_id=f"w{n}")])
    assert len(log._ends) <= 6
    await log.append([entry(workspace_id="w0"), entry(workspace_id="w19")])
    assert (await log.verify("w0")).sound
    assert (await log.verify("w19")).sound
