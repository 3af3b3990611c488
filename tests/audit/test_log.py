"""The audit log: pages, checks, keys, retention, and that nothing is lost between an entry and its record."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select, text, update

from steward.audit import AuditEntry, AuditKind
from steward.audit_logs.sql import SqlAuditLog
from steward.database import Database
from steward.database.audit_chain import append
from steward.database.migrate import upgrade
from steward.database.tables import audit_checkpoints, audit_records, audit_views
from steward.vault import Vault
from tests.audit.conftest import MakeEntry
from tests.conftest import FakeClock
from tests.installation import OTHER_SECRET, SECRET
from tests.test_digest import JSON

pytestmark = pytest.mark.anyio
DAY_S = 24 * 3600
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
MAYBE = st.none() | TEXT
NAMES = ("actor_id", "acting_as", "action_id", "plan_id", "job_id", "rule", "request_id")


async def sequences(log: SqlAuditLog, limit: int, **filters: Any) -> list[list[int]]:
    """Walk through every page and return the sequences on each."""
    pages, before = [], None
    while True:
        page = await log.query("acme", limit=limit, before=before, **filters)
        pages.append([record.sequence for record in page.records])
        before = page.next_before
        if before is None:
            return pages


async def test_w103_pages_are_stable_and_the_last_one_says_so(log: SqlAuditLog, entry: MakeEntry) -> None:
    """Records that come during a walk do not move it, and a last page that is exactly full has no page after it."""
    await log.append([entry(source=f"x/{n}") for n in range(6)])
    first = await log.query("acme", limit=3)
    await log.append([entry(source="x/new")])
    second = await log.query("acme", limit=3, before=first.next_before)
    assert [record.sequence for record in (*first.records, *second.records)] == [6, 5, 4, 3, 2, 1]
    assert second.next_before is None
    assert await sequences(log, 7) == [[7, 6, 5, 4, 3, 2, 1]]
    assert await sequences(log, 100) == [[7, 6, 5, 4, 3, 2, 1]]
    assert (await log.query("nobody", limit=5)).records == ()


async def test_a_filter_narrows_and_a_workspace_sees_its_own(log: SqlAuditLog, entry: MakeEntry) -> None:
    """By kind, by who did it and by plan, alone and together."""
    await log.append(
        [
            entry(kind="job.completed", plan_id="plan_1"),
            entry(kind="job.failed", plan_id="plan_1"),
            entry(kind="job.completed", plan_id="plan_2", actor_id="key_b"),
            entry(kind="job.completed", plan_id="plan_1", workspace_id="rival"),
        ]
    )
    assert await sequences(log, 10, kind="job.completed") == [[3, 1]]
    assert await sequences(log, 1, plan_id="plan_1") == [[2], [1]]
    assert await sequences(log, 10, actor_id="key_b") == [[3]]
    assert await sequences(log, 10, kind="job.failed", actor_id="key_b") == [[]]


ENTRIES = st.builds(
    AuditEntry,
    workspace_id=st.just("acme"),
    kind=st.sampled_from([*AuditKind, "job.completed"]),
    at=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    result=TEXT,
    facts=st.dictionaries(TEXT, JSON, max_size=3),
    view=JSON,
    **dict.fromkeys(NAMES, MAYBE),
)


@pytest.mark.slow
@settings(
    # how fast entries are made up says nothing but how busy the machine is
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
    max_examples=60,
)
@given(given_entry=ENTRIES)
def test_an_entry_comes_back_as_it_was_given(tmp_path_factory: pytest.TempPathFactory, given_entry: AuditEntry) -> None:
    """Every field, whatever JSON and Unicode it holds, and the chain is sound with it; time is kept to the millisecond."""
    clock = FakeClock()

    async def round_trip() -> None:
        database = Database(f"sqlite:///{tmp_path_factory.mktemp('trip') / 'test.db'}")
        try:
            upgrade(database)
            log = SqlAuditLog(database, Vault([SECRET]), clock)
            await log.append([given_entry])
            (record,) = (await log.query("acme", limit=1)).records
            for name in (*NAMES, "workspace_id", "kind", "result", "facts", "view"):
                assert getattr(record.entry, name) == getattr(given_entry, name)
            assert abs(record.entry.at - given_entry.at) <= timedelta(milliseconds=1)
            assert (await log.verify("acme")).sound
        finally:
            await database.aclose()

    asyncio.run(round_trip())


async def test_appends_at_the_same_moment_make_one_chain(log: SqlAuditLog, entry: MakeEntry) -> None:
    """Fifty writers at once: every record has its place, each goes on from the one before."""
    await asyncio.gather(*(log.append([entry(source=f"x/{n}"), entry()]) for n in range(50)))
    verdict = await log.verify("acme")
    assert verdict.sound, verdict
    assert verdict.records == verdict.head == verdict.sealed == 100


# -- signatures -------------------------------------------------------------------------------------------------------


async def test_what_others_appended_is_signed_at_the_next_turn(
    log: SqlAuditLog, database: Database, entry: MakeEntry
) -> None:
    """A record of the directory's own transaction is sound at once and signed by ``seal``, which then finds nothing more."""
    await database.write(lambda connection: append(connection, [entry(), entry(workspace_id="rival")]))
    verdict = await log.verify("acme")
    assert (verdict.sound, verdict.sealed) == (True, 0)
    assert await log.seal() == 2
    assert await log.seal() == 0
    assert (await log.verify("acme")).sealed == 1


async def test_after_a_rotation_old_signatures_count_and_those_of_strangers_do_not(
    database: Database, clock: FakeClock, entry: MakeEntry
) -> None:
    """The new key vouches for the old one at the start where both are given; from then on the old one may go."""
    await SqlAuditLog(database, Vault([SECRET]), clock).append([entry()])
    stranger = SqlAuditLog(database, Vault([OTHER_SECRET]), clock)
    assert (await stranger.verify("acme")).first_bad == 1, "a key that nobody vouched for"
    both = SqlAuditLog(database, Vault([OTHER_SECRET, SECRET]), clock)
    await both.append([entry()])
    assert (await both.verify("acme")).sound
    alone = SqlAuditLog(database, Vault([OTHER_SECRET]), clock)
    await alone.append([entry()])
    verdict = await alone.verify("acme")
    assert (verdict.sound, verdict.checkpoints) == (True, 3)
    third = SqlAuditLog(database, Vault(["a third secret key for tests, long enough", OTHER_SECRET]), clock)
    assert (await third.verify("acme")).sound
    only_third = SqlAuditLog(database, Vault(["a third secret key for tests, long enough"]), clock)
    assert (await only_third.verify("acme")).sound, "the first one, two rotations later"
    assert len(await only_third.public_keys()) == 3


# -- retention --------------------------------------------------------------------------------------------------------


async def test_w104_old_records_go_and_the_chain_stays_sound(
    log: SqlAuditLog, database: Database, entry: MakeEntry, clock: FakeClock
) -> None:
    """What is older than the retention is dropped with its views; a signed statement says where the chain now begins."""
    for day in range(10):
        await log.append([entry(view={"day": day}, source=f"x/{day}/{n}") for n in range(2)])
        clock.advance(DAY_S)
    before = await log.verify("acme")
    assert await log.purge(5 * DAY_S) == 10
    verdict = await log.verify("acme", (before.head, before.hash))
    assert verdict.sound, verdict
    assert (verdict.begins, verdict.records, verdict.head) == (11, 10, 20)
    left = await database.read(lambda c: sorted(c.execute(select(audit_views.c.sequence)).scalars()))
    assert left == list(range(11, 21))
    assert await log.purge(5 * DAY_S) == 0
    clock.advance(100 * DAY_S)
    assert await log.purge(5 * DAY_S) == 10
    empty = await log.verify("acme")
    assert (empty.sound, empty.records, empty.begins) == (True, 0, 21)
    await log.append([entry()])
    again = await log.verify("acme")
    assert (again.sound, again.records, again.head) == (True, 1, 21)


async def test_w104_a_clock_that_jumps_leaves_the_chain_in_order(
    log: SqlAuditLog, entry: MakeEntry, clock: FakeClock
) -> None:
    """Set ahead by a year and back again: records stand as they were made, the check is sound, and none is dropped early."""
    for seconds in (365 * DAY_S, -365 * DAY_S, 0):
        await log.append([entry(view={"at": seconds})])
        clock.advance(seconds)
    assert await sequences(log, 2) == [[3, 2], [1]]
    assert (await log.verify("acme")).sound
    assert await log.purge(30 * DAY_S) == 0
    clock.advance(31 * DAY_S)
    assert await log.purge(30 * DAY_S) == 1, "the second says that it is of next year, and nothing behind it goes"
    left = await log.verify("acme")
    assert (left.sound, left.begins, left.records) == (True, 2, 2)
    clock.advance(365 * DAY_S)
    assert await log.purge(30 * DAY_S) == 2
    assert (await log.verify("acme")).sound


async def test_w104_nobody_gets_rid_of_a_record_by_making_it_look_old(
    log: SqlAuditLog, database: Database, entry: MakeEntry, clock: FakeClock
) -> None:
    """A beginning that is not sound is not dropped, and the check goes on to name it."""
    await log.append([entry(), entry(), entry()])
    clock.advance(DAY_S)
    third = audit_records.c.sequence <= 2
    await database.write(lambda c: c.execute(update(audit_records).where(third).values(at=0)).close())
    assert await log.purge(30 * DAY_S) == 0
    assert (await log.verify("acme")).first_bad == 1


async def test_w104_a_forged_beginning_does_not_count(log: SqlAuditLog, database: Database, entry: MakeEntry) -> None:
    """Records cut off at the front are missing unless a signed statement says that they were dropped."""
    await log.append([entry(), entry()])
    await log.append([entry()])

    def cut(connection: Connection) -> None:
        connection.execute(text("DELETE FROM audit_records WHERE sequence <= 2"))
        connection.execute(text("UPDATE audit_checkpoints SET purpose = 'begins', number = 2 WHERE number = 1"))

    await database.write(cut)
    verdict = await log.verify("acme")
    assert (verdict.sound, verdict.first_bad) == (False, 1)
    kept = await database.read(lambda c: c.execute(select(audit_checkpoints.c.purpose)).scalars().all())
    assert sorted(kept) == ["begins", "reached"]


# -- decisions --------------------------------------------------------------------------------------------------------


async def test_decisions_come_back_one_by_one(log: SqlAuditLog, entry: MakeEntry, clock: FakeClock) -> None:
    """With what they looked at, by whom and under which rules, also those that stand in one entry; older ones are left out."""

    def told(step: str, *also: str) -> dict[str, Any]:
        said = {"action_id": "email.send", "effect": "ask", "rule": "external", "facts": {"domains": ["example.com"]}}
        return {
            "moment": "submit",
            "version": "v1",
            "roles": ["developer"],
            "decisions": [{"step": step, **said, **({"also": also} if also else {})}],
        }

    await log.append([entry(kind=AuditKind.DECIDED, facts=told("old"))])
    clock.advance(60)
    await log.append([entry(), entry(kind=AuditKind.DECIDED, facts=told("s1", "s2", "s3"), plan_id="plan_1")])
    found = [decision async for decision in log.decisions("acme", clock.now())]
    assert [(decision.step, decision.effect, decision.rule, decision.version) for decision in found] == [
        ("s1", "ask", "external", "v1"),
        ("s2", "ask", "external", "v1"),
        ("s3", "ask", "external", "v1"),
    ]
    assert found[0].facts == {"domains": ["example.com"]}
    assert found[0].roles == ("developer",)
    assert [decision async for decision in log.decisions("rival", clock.now())] == []


async def test_the_keys_are_kept_once(tmp_path: Path, clock: FakeClock) -> None:
    """A start with the same secret key writes nothing, so that it need not wait for another process's write."""
    database = Database(f"sqlite:///{tmp_path / 'test.db'}")
    upgrade(database)
    SqlAuditLog(database, Vault([SECRET]), clock)
    count = text("SELECT count(*), max(created_at) FROM audit_keys")
    before = await database.read(lambda connection: connection.execute(count).one())
    clock.advance(60)
    SqlAuditLog(database, Vault([SECRET]), clock)
    assert await database.read(lambda connection: connection.execute(count).one()) == before
    await database.aclose()
