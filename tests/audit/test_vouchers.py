"""What stands beside the chains and could be changed quietly: the archiver's cursor, and the views of records."""

import tracemalloc
from pathlib import Path

import pytest
from sqlalchemy import text

from steward.audit_logs.sql import SqlAuditLog
from steward.database import Database
from steward.database.migrate import upgrade
from steward.vault import Vault
from tests.audit.conftest import MakeEntry
from tests.audit.test_archiver import archiver_of
from tests.conftest import FakeClock
from tests.installation import SECRET, Installation, installation, planned
from tests.worker.deeds import note

pytestmark = pytest.mark.anyio
OTHER_SECRET = "another-secret-key-of-more-than-thirty-two-characters"


async def tamper(database: Database, statement: str) -> None:
    """Write past everything."""
    await database.write(lambda connection: connection.execute(text(statement)).close())


async def plan_in(house: Installation) -> str:
    """Run a plan of one step to its end and return its id."""
    done = await house.submit(planned("deeds.note", text="hello"))
    await house.run_until_settled(done.plan_id)
    return done.plan_id


@pytest.mark.parametrize(
    "move",
    [
        "UPDATE audit_cursors SET position = position + 1000",
        "UPDATE audit_cursors SET position = 1000, voucher = NULL",
        "UPDATE audit_cursors SET position = position + 1, voucher = 'key.' || voucher",
    ],
)
async def test_a_cursor_that_somebody_moves_ahead_keeps_nothing_out_of_the_audit(
    tmp_path: Path, clock: FakeClock, move: str
) -> None:
    """The check names it; the archiver goes on from what the chains show, says so on record, and nothing comes twice."""
    async with installation(tmp_path, clock=clock) as house:
        house.add(note([]))
        app, first = house.app, await plan_in(house)
        await archiver_of(house).turn()
        await tamper(app.database, move)
        second = await plan_in(house)
        verdict = await app.audit_log.verify("acme")
        assert not verdict.sound
        assert "archiver" in verdict.problem
        await archiver_of(house).turn()
        for plan_id in (first, second):
            kinds = [r.entry.kind for r in (await app.audit_log.query("acme", limit=100, plan_id=plan_id)).records]
            assert kinds.count("plan.completed") == kinds.count("job.completed") == 1
        assert (await app.audit_log.verify("acme")).sound
        (told,) = (await app.audit_log.query("system", limit=9, kind="audit.cursor_distrusted")).records
        assert told.entry.result == "mended"


async def test_a_cursor_that_is_gone_is_made_anew(tmp_path: Path, clock: FakeClock) -> None:
    """From what the chains show."""
    async with installation(tmp_path, clock=clock) as house:
        house.add(note([]))
        plan_id = await plan_in(house)
        await archiver_of(house).turn()
        await tamper(house.app.database, "DELETE FROM audit_cursors")
        assert not (await house.app.audit_log.verify("acme")).sound
        await archiver_of(house).turn()
        assert (await house.app.audit_log.verify("acme")).sound
        records = (await house.app.audit_log.query("acme", limit=100, plan_id=plan_id)).records
        assert [r.entry.kind for r in records].count("job.completed") == 1


async def test_the_cursor_outlives_a_rotation(database: Database, clock: FakeClock, entry: MakeEntry) -> None:
    """What an earlier key signed counts once that key was vouched for, and no longer than it must."""
    await SqlAuditLog(database, Vault([SECRET]), clock).archive([entry(source="work/7")], after=0, upto=9)
    SqlAuditLog(database, Vault([OTHER_SECRET, SECRET]), clock)
    rotated = SqlAuditLog(database, Vault([OTHER_SECRET]), clock)
    assert await rotated.position() == 9
    assert (await rotated.verify("acme")).sound
    assert await rotated.archive([entry(source="work/10")], after=9, upto=12)
    assert await rotated.position() == 12


async def test_a_view_that_is_gone_without_an_erasure_on_record_is_named(
    log: SqlAuditLog, database: Database, entry: MakeEntry
) -> None:
    """What was erased rightly says so in the chain; what somebody deleted is the first record that is named."""
    await log.append([entry(view={"n": n}) for n in range(6)])
    await log.append([entry(workspace_id="rival", view={"n": n}) for n in range(6)])
    await log.erase("acme", [2, 5], by="key_a")
    assert (await log.verify("acme")).sound
    assert (await log.verify("rival")).sound
    await tamper(database, "DELETE FROM audit_views WHERE workspace_id = 'acme' AND sequence IN (4, 6)")
    verdict = await log.verify("acme")
    assert (verdict.sound, verdict.first_bad) == (False, 4)
    assert "view" in verdict.problem


async def test_what_is_erased_is_gone_in_its_own_workspace_alone(
    log: SqlAuditLog, database: Database, entry: MakeEntry
) -> None:
    """The record of the erasure tells who, and no other workspace misses anything."""
    await log.append([entry(view={"n": 1}), entry(workspace_id="rival", view={"n": 2})])
    await log.erase("acme", [1], by="key_a")
    erased, record = reversed((await log.query("acme", limit=9)).records)
    assert (erased.salt, erased.entry.view) == (None, None)
    assert (record.entry.kind, record.entry.actor_id, dict(record.entry.facts)) == (
        "view.erased",
        "key_a",
        {"records": [1]},
    )
    (kept,) = (await log.query("rival", limit=9)).records
    assert kept.entry.view == {"n": 2}
    assert (await log.verify("rival")).sound


@pytest.mark.slow
async def test_a_check_holds_no_more_for_a_long_chain(tmp_path: Path, clock: FakeClock, entry: MakeEntry) -> None:
    """Two and a half times as many checkpoints need hardly more memory than two full batches."""

    async def peak(many: int) -> int:
        database = Database(f"sqlite:///{tmp_path / f'{many}.db'}")
        upgrade(database)
        log = SqlAuditLog(database, Vault([SECRET]), clock)
        for _ in range(many):
            await log.append([entry()])
        tracemalloc.start()
        try:
            verdict = await log.verify("acme")
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            await database.aclose()
            assert (verdict.sound, verdict.checkpoints) == (True, many)

    await peak(1)  # compiles the statements
    few = await peak(1000)
    assert await peak(2500) < few * 1.2
