"""Whoever can write to the database but has no secret key: every change of a stored chain is found, and its place named.

Two thousand random mutations of one chain, each undone before the next. What an attacker of this kind does get away with
(putting the whole database back to an earlier state) is not found from inside; the last test shows what finds it.
"""

import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from steward import chain
from steward.audit import AuditEntry, AuditVerdict
from steward.audit_logs.checking import Check
from steward.audit_logs.rows import entry_of, rows_after
from steward.audit_logs.sealing import seal
from steward.audit_logs.sql import SqlAuditLog
from steward.database import Database
from steward.database.migrate import upgrade
from steward.database.public_keys import trusted_keys
from steward.vault import Vault
from tests.conftest import FakeClock
from tests.installation import OTHER_SECRET, SECRET

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
MUTATIONS = 2_000
COUNT = 30
FIELDS = [
    *("kind", "at", "actor_id", "acting_as", "action_id", "plan_id", "job_id", "result", "rule", "request_id"),
    *("source", "facts", "commitment", "previous", "hash"),
]


@dataclass
class Chain:
    """A stored chain, the connection on which it is tampered with, and where its checkpoints stand."""

    connection: Connection
    vault: Vault
    places: list[int]
    random: random.Random

    def run(self, statement: str, **values: Any) -> None:
        """Write past everything."""
        self.connection.execute(text(statement), values)

    def verdict(self, noted: tuple[int, str] | None = None) -> AuditVerdict:
        """Check the chain as it stands."""
        return Check(self.connection, "acme", trusted_keys(self.connection, self.vault), noted).run()

    def any(self) -> int:
        """Return some record's sequence."""
        return self.random.randint(1, COUNT)

    def stretch(self, sequence: int) -> int:
        """Return the first record that nothing vouches for once the checkpoint after ``sequence`` does not."""
        return max([place for place in self.places if place < sequence], default=0) + 1

    def rehash(self, first: int, last: int | None = None) -> None:
        """Make the hashes from ``first`` on fit again, and the end of the chain with them if ``last`` is not given."""
        rows = rows_after(self.connection, "acme", first - 2, 1000) if first > 1 else []
        previous = rows[0].hash if rows else chain.GENESIS
        for row in rows_after(self.connection, "acme", first - 1, 1000):
            if last is not None and row.sequence > last:
                return
            digest = chain.digest(chain.body(entry_of(row), "acme", row.sequence, row.commitment))
            own_hash = chain.link(previous, digest)
            values = {"s": row.sequence, "p": previous, "h": own_hash}
            self.run(
                "UPDATE audit_records SET previous = :p, hash = :h WHERE workspace_id = 'acme' AND sequence = :s",
                **values,
            )
            previous = own_hash
        self.run("UPDATE audit_heads SET hash = :h WHERE workspace_id = 'acme'", h=previous)


def other(old: Any, dice: random.Random) -> Any:
    """Return something else in place of a value."""
    if isinstance(old, int):
        return old + dice.choice([-1, 1, 1000])
    if isinstance(old, str) and len(old) == 64:
        return old[::-1] if old[::-1] != old else "f" * 64
    if isinstance(old, str) and old.startswith("{"):
        return dice.choice(['{"n":-1}', "{}", "not json", "[]", ""])
    return dice.choice(["", "x", f"{old}x", "\u0000", "é"]) if isinstance(old, str) else "put in"


def changed_field(it: Chain) -> int:
    """Change one field of one record."""
    sequence, name = it.any(), it.random.choice(FIELDS)
    (row,) = rows_after(it.connection, "acme", sequence - 1, 1)
    new = other(getattr(row, name), it.random)
    it.run(f"UPDATE audit_records SET {name} = :v WHERE workspace_id = 'acme' AND sequence = :s", v=new, s=sequence)
    return sequence


def emptied_field(it: Chain) -> int:
    """Take a field away, or put bytes there that are no text."""
    sequence = it.any()
    value = it.random.choice(["NULL", "CAST(x'ff' AS TEXT)", "x'00'"])
    it.run(f"UPDATE audit_records SET actor_id = {value} WHERE workspace_id = 'acme' AND sequence = :s", s=sequence)
    return sequence


def written_anew(it: Chain) -> int:
    """Change a record and its own hash with it."""
    sequence = it.any()
    it.run("UPDATE audit_records SET result = 'else' WHERE workspace_id = 'acme' AND sequence = :s", s=sequence)
    it.rehash(sequence, sequence)
    return sequence


def rewritten_stretch(it: Chain) -> int:
    """Change a record and every hash after it, the end of the chain included."""
    sequence = it.any()
    it.run("UPDATE audit_records SET result = 'else' WHERE workspace_id = 'acme' AND sequence = :s", s=sequence)
    it.rehash(sequence)
    return it.stretch(sequence)


def deleted(it: Chain) -> int:
    """Delete one record, or several."""
    first = it.any()
    last = it.random.choice([first, min(first + 3, COUNT)])
    it.run("DELETE FROM audit_records WHERE workspace_id = 'acme' AND sequence BETWEEN :a AND :b", a=first, b=last)
    return first


def deleted_and_closed_up(it: Chain) -> int:
    """Delete a record, number the rest anew and make all hashes fit."""
    sequence = it.random.randint(1, COUNT - 1)
    it.run("DELETE FROM audit_records WHERE workspace_id = 'acme' AND sequence = :s", s=sequence)
    for later in range(sequence + 1, COUNT + 1):
        for table in ("audit_records", "audit_views"):
            it.run(f"DELETE FROM {table} WHERE workspace_id = 'acme' AND sequence = :s", s=later - 1)
            it.run(
                f"UPDATE {table} SET sequence = :n WHERE workspace_id = 'acme' AND sequence = :s", n=later - 1, s=later
            )
    it.run("UPDATE audit_heads SET sequence = :n WHERE workspace_id = 'acme'", n=COUNT - 1)
    it.rehash(sequence)
    return it.stretch(sequence)


def cut_tail(it: Chain) -> int:
    """Cut the end off and say that the chain ended there."""
    first = it.any()
    it.run("DELETE FROM audit_records WHERE workspace_id = 'acme' AND sequence >= :s", s=first)
    it.run("DELETE FROM audit_views WHERE workspace_id = 'acme' AND sequence >= :s", s=first)
    last = next(iter(rows_after(it.connection, "acme", first - 2, 1)), None) if first > 1 else None
    it.run(
        "UPDATE audit_heads SET sequence = :n, hash = :h WHERE workspace_id = 'acme'",
        n=first - 1,
        h=chain.GENESIS if last is None else last.hash,
    )
    if it.random.random() < 0.5:
        it.run("DELETE FROM audit_checkpoints WHERE workspace_id = 'acme' AND sequence >= :s", s=first)
        return it.stretch(first)
    return first


def swapped(it: Chain) -> int:
    """Let two records change places."""
    one, two = sorted(it.random.sample(range(1, COUNT + 1), 2))
    for old, new in ((one, -1), (two, one), (-1, two)):
        it.run("UPDATE audit_records SET sequence = :n WHERE workspace_id = 'acme' AND sequence = :s", s=old, n=new)
    return one


def inserted_at_the_end(it: Chain) -> int:
    """Add a record that goes on from the last."""
    columns = ", ".join(name for name in FIELDS if name not in {"source", "hash", "previous"})
    it.run(
        f"INSERT INTO audit_records (workspace_id, sequence, source, previous, hash, {columns}) SELECT workspace_id, :n,"
        f" 'new', hash, hash, {columns} FROM audit_records WHERE workspace_id = 'acme' AND sequence = :s",
        n=COUNT + 1,
        s=COUNT,
    )
    if it.random.random() < 0.5:
        it.rehash(COUNT + 1, COUNT + 1)
    return COUNT + 1


def moved_away(it: Chain) -> int:
    """Give a record to another workspace, or another number."""
    sequence = it.any()
    change = it.random.choice(["workspace_id = 'rival', sequence = 900", "sequence = 900", "sequence = 'x'"])
    it.run(f"UPDATE audit_records SET {change} WHERE workspace_id = 'acme' AND sequence = :s", s=sequence)
    return sequence


def tampered_view(it: Chain) -> int:
    """Change a view or its salt, or show one where there was none."""
    sequence = it.any()
    if sequence % 3 == 0:
        name = it.random.choice(["view", "salt"])
        it.run(f"UPDATE audit_views SET {name} = '\"x\"' WHERE workspace_id = 'acme' AND sequence = :s", s=sequence)
    else:
        it.run("INSERT INTO audit_views VALUES ('acme', :s, 'salt', '{}')", s=sequence)
    return sequence


def deleted_view(it: Chain) -> int:
    """Delete a view, as if it had been erased."""
    sequence = it.random.randrange(3, COUNT + 1, 3)
    it.run("DELETE FROM audit_views WHERE workspace_id = 'acme' AND sequence = :s", s=sequence)
    return sequence


def loose_view(it: Chain) -> int:
    """Show a view of a record that is not there."""
    it.run("INSERT INTO audit_views VALUES ('acme', 800, 'salt', '{}')")
    return 800


def edited_checkpoint(it: Chain) -> int:
    """Change one field of a checkpoint."""
    number = it.random.randint(1, len(it.places))
    change = it.random.choice(
        [
            *("sequence = sequence + 1", "sequence = 'x'", "hash = :f", "at = at + 1", "at = 'never'", "number = 700"),
            *("key_id = 'x'", "signature = 'x'", "signature = :f", "purpose = 'begins'", "workspace_id = 'elsewhere'"),
        ]
    )
    it.run(
        f"UPDATE audit_checkpoints SET {change} WHERE workspace_id = 'acme' AND number = :n",
        n=number,
        **({"f": "f" * 64} if ":f" in change else {}),
    )
    return it.stretch(it.places[number - 1])


def deleted_checkpoint(it: Chain) -> int:
    """Delete a checkpoint."""
    number = it.random.randint(1, len(it.places))
    it.run("DELETE FROM audit_checkpoints WHERE workspace_id = 'acme' AND number = :n", n=number)
    return it.stretch(it.places[number - 1])


def added_checkpoint(it: Chain) -> int:
    """Add a checkpoint: a copy of another, or one of another workspace."""
    whose = it.random.choice(["acme", "rival"])
    it.run(
        "INSERT INTO audit_checkpoints SELECT 'acme', purpose, :n, sequence, hash, at, key_id, signature"
        " FROM audit_checkpoints WHERE workspace_id = :w AND number = 1",
        n=len(it.places) + 1,
        w=whose,
    )
    return COUNT + 1


def edited_head(it: Chain) -> int:
    """Change what is stated about the end of the chain."""
    change, first_bad = it.random.choice(
        [
            ("sequence = sequence + 5", COUNT + 1),
            ("sequence = sequence - 5", COUNT - 4),
            ("hash = substr(hash, 2) || 'z'", COUNT),
            ("sealed = sealed - 1", COUNT + 1),
            ("checkpoints = checkpoints - 1", COUNT + 1),
            ("checkpoints = 'x'", COUNT + 1),
        ]
    )
    it.run(f"UPDATE audit_heads SET {change} WHERE workspace_id = 'acme'")
    return first_bad


def deleted_head(it: Chain) -> int:
    """Delete the statement about the end."""
    it.run("DELETE FROM audit_heads WHERE workspace_id = 'acme'")
    return COUNT + 1


def signed_with_another_key(it: Chain) -> int:
    """Rewrite a record and sign everything anew, with a key that is put into the table of keys."""
    sequence, impostor = it.any(), Vault([OTHER_SECRET])
    it.run("UPDATE audit_records SET result = 'else' WHERE workspace_id = 'acme' AND sequence = :s", s=sequence)
    it.rehash(sequence)
    it.run("DELETE FROM audit_checkpoints WHERE workspace_id = 'acme'")
    it.run("UPDATE audit_heads SET sealed = 0, checkpoints = 0 WHERE workspace_id = 'acme'")
    seal(it.connection, impostor, 0)
    key_id, public_key = next(iter(impostor.public_keys.items()))
    vouching = it.random.choice([None, key_id, next(iter(it.vault.public_keys))])
    it.run("INSERT INTO audit_keys VALUES (:k, :p, 0, :e, 'ff')", k=key_id, p=public_key, e=vouching)
    return 1


TAMPERING: list[Callable[[Chain], int]] = [
    *(changed_field, changed_field, changed_field, emptied_field, written_anew, rewritten_stretch, deleted),
    *(
        deleted_and_closed_up,
        cut_tail,
        swapped,
        inserted_at_the_end,
        moved_away,
        tampered_view,
        loose_view,
        deleted_view,
    ),
    *(edited_checkpoint, edited_checkpoint, deleted_checkpoint, added_checkpoint, edited_head, deleted_head),
    signed_with_another_key,
]


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
