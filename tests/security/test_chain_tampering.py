"""Whoever can write to the database but has no secret key: every change of a stored chain is found, and its place named.

Two thousand random mutations of one chain, each undone before the next. What an attacker of this kind does get away with
(putting the whole database back to an earlier state) is not found from inside; the last test shows what finds it.
"""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from steward.audit import AuditEntry
from steward.audit_logs.rows import rows_after
from steward.audit_logs.sql import SqlAuditLog
from steward.database import Database
from steward.database.migrate import upgrade
from steward.vault import Vault
from tests.conftest import FakeClock
from tests.installation import SECRET
from tests.security.tampering import COUNT, TAMPERING, Chain

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
MUTATIONS = 2_000


@pytest.fixture
async def database(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Database]:
    """Return a database with a chain of records, some with views, signed every few, and one of another workspace."""
    opened = Database(f"sqlite:///{tmp_path / 'test.db'}")
    upgrade(opened)
    log, dice = SqlAuditLog(opened, Vault([SECRET]), clock), random.Random(7)
    done = 0
    while done < COUNT:
        many = min(dice.randint(1, 7), COUNT - done)
        told_now = [told(clock, n) for n in range(done + 1, done + many + 1)]
        await log.archive(told_now, after=done, upto=done + many)
        done += many
    await log.append([AuditEntry(workspace_id="rival", kind="key.created", at=clock.now(), actor_id="key_b")])
    yield opened
    await opened.aclose()


def told(clock: FakeClock, n: int) -> AuditEntry:
    """Return the n-th entry of the chain; every third has a view."""
    return AuditEntry(
        workspace_id="acme",
        kind="job.completed",
        at=clock.now(),
        actor_id="key_a",
        acting_as="desk",
        action_id="email.send",
        plan_id=f"plan_{n // 5}",
        job_id=f"job_{n}",
        result="completed",
        rule="default",
        request_id=f"req_{n}",
        source=f"work/{n}",
        facts={"n": n, "texts": ["a", "é"]},
        view={"to": f"person{n}@example.com"} if n % 3 == 0 else None,
    )


def chain_on(connection: Connection, seed: int) -> Chain:
    """Return the chain of the database that ``connection`` is open on."""
    found = connection.execute(
        text("SELECT sequence FROM audit_checkpoints WHERE workspace_id = 'acme' ORDER BY number")
    )
    return Chain(connection, Vault([SECRET]), list(found.scalars()), random.Random(seed))


async def test_every_one_of_two_thousand_mutations_is_named(database: Database) -> None:
    """Changed, written anew, deleted, moved, added, cut off, signed by others: the first bad record is the right one."""

    def tamper(connection: Connection) -> list[str]:
        it = chain_on(connection, 20_260_304)
        assert it.verdict().sound
        missed = []
        for number in range(MUTATIONS):
            mutation = TAMPERING[number % len(TAMPERING)]
            connection.exec_driver_sql("SAVEPOINT before")
            expected = mutation(it)
            verdict = it.verdict()
            if verdict.sound or verdict.first_bad != expected or not verdict.problem:
                missed.append(f"{number} {mutation.__name__}: expected {expected}, got {verdict}")
            connection.exec_driver_sql("ROLLBACK TO before")
            connection.exec_driver_sql("RELEASE before")
        assert it.verdict().sound
        return missed

    missed = await database.write(tamper)
    assert missed == [], f"{len(missed)} missed, such as: " + "\n".join(missed[:8])


async def test_erasing_a_view_with_its_salt_leaves_the_chain_sound(database: Database, clock: FakeClock) -> None:
    """What is personal can go at any time: the record still says that there was something, and nobody can guess what."""
    log = SqlAuditLog(database, Vault([SECRET]), clock)
    theirs = AuditEntry(workspace_id="rival", kind="key.created", at=clock.now(), actor_id="key_b", view={"n": 1})
    await log.append([theirs] * 3)
    await log.erase("acme", range(3, COUNT + 1, 3), by="key_a")
    assert (await log.verify("rival")).sound
    verdict = await log.verify("acme")
    assert verdict.sound
    assert verdict.records == COUNT + 1
    raw = await database.read(lambda c: str(c.execute(text("SELECT * FROM audit_records")).all()))
    assert "@example.com" not in raw


async def test_putting_everything_back_to_an_earlier_state_is_found_by_what_was_noted(database: Database) -> None:
    """From inside an earlier state looks sound; a sequence and hash noted outside tell that the chain had come further."""

    def roll_back(connection: Connection) -> None:
        it = chain_on(connection, 1)
        before = it.verdict()
        assert before.sound
        noted = (before.head, before.hash)
        assert it.verdict(noted).sound
        place = it.places[-2]
        (last,) = rows_after(connection, "acme", place - 1, 1)
        for table in ("audit_records", "audit_views", "audit_checkpoints"):
            it.run(f"DELETE FROM {table} WHERE workspace_id = 'acme' AND sequence > :s", s=place)
        it.run(
            "UPDATE audit_heads SET sequence = :s, sealed = :s, hash = :h, checkpoints = :c WHERE workspace_id = 'acme'",
            s=place,
            h=last.hash,
            c=len(it.places) - 1,
        )
        assert it.verdict().sound
        found = it.verdict(noted)
        assert not found.sound
        assert found.first_bad == place + 1
        wrong = it.verdict((place, "0" * 64))
        assert not wrong.sound

    await database.write(roll_back)
