"""Appending to the chains: order, one chain per workspace, nothing twice, and nothing without the transaction around it."""

from typing import Any

import pytest
from sqlalchemy import Connection, select

from steward import chain
from steward.database import Database
from steward.database.audit_chain import End, Tails, append
from steward.database.tables import audit_heads, audit_records, audit_views
from steward.digest import CanonicalJson, canonical_json
from steward.errors import Invalid
from steward.event import EventType
from tests.audit.conftest import MakeEntry

pytestmark = pytest.mark.anyio


async def rows(database: Database, table: Any) -> list[Any]:
    """Return what stands in a table."""
    return await database.read(lambda connection: list(connection.execute(select(table))))


async def test_each_record_goes_on_from_the_one_before(database: Database, entry: MakeEntry) -> None:
    """Sequences count from 1 in each workspace, and each hash is made of the one before and the record's own digest."""
    entries = [entry(workspace_id=name, facts={"n": n}) for n, name in enumerate(["acme", "rival", "acme"])]
    assert await database.write(lambda connection: append(connection, entries[:1])) == 1
    assert await database.write(lambda connection: append(connection, entries[1:])) == 2
    found = [row for row in await rows(database, audit_records) if row.workspace_id == "acme"]
    assert [(row.sequence, row.facts) for row in found] == [(1, '{"n":0}'), (2, '{"n":2}')]
    first, second = found
    assert first.previous == chain.GENESIS
    assert second.previous == first.hash
    digest = chain.digest(chain.body(entries[2], "acme", 2, None))
    assert second.hash == chain.link(first.hash, digest)
    heads = {row.workspace_id: (row.sequence, row.hash) for row in await rows(database, audit_heads)}
    assert heads["acme"] == (2, second.hash)
    assert heads["rival"][0] == 1


async def test_no_text_in_a_record_is_taken_for_its_place(database: Database, entry: MakeEntry) -> None:
    """A record is drafted before its place is known, and its hash is that of what is kept, whatever its texts look like."""
    odd = ',"sequence":0,"'
    entries = [entry(actor_id=odd, result=odd, source=odd, facts={odd: odd}, view=view) for view in (None, odd)]
    await database.write(lambda connection: append(connection, entries))
    previous = chain.GENESIS
    for sequence, row in enumerate(await rows(database, audit_records), 1):
        body = chain.body(entries[sequence - 1], "acme", sequence, row.commitment)
        assert (row.sequence, row.facts, row.source) == (sequence, body["facts"], odd)
        assert row.hash == chain.link(previous, chain.digest(body))
        previous = row.hash


async def test_a_view_may_be_canonical_already(database: Database, entry: MakeEntry) -> None:
    """It is kept as if it had been given as what it says."""
    view = {"to": "ann@example.com", "n": [1]}
    both = [entry(view=one) for one in (view, CanonicalJson(canonical_json(view).decode()))]
    await database.write(lambda connection: append(connection, both))
    assert [kept.view for kept in await rows(database, audit_views)] == ['{"n":[1],"to":"ann@example.com"}'] * 2


async def test_a_view_stands_beside_the_chain_under_a_salt_of_its_own(database: Database, entry: MakeEntry) -> None:
    """The record holds a commitment that differs for equal views, so nobody can guess a view from it."""
    same = [entry(view={"to": "ann@example.com"}) for _ in range(2)]
    await database.write(lambda connection: append(connection, same))
    views = await rows(database, audit_views)
    records = await rows(database, audit_records)
    assert [chain.commitment(view.salt, view.view) for view in views] == [row.commitment for row in records]
    assert len({row.commitment for row in records}) == 2
    assert "ann@example.com" not in str(records)


async def test_a_transaction_that_fails_leaves_no_record(database: Database, entry: MakeEntry) -> None:
    """The fact and its record stand or fall together; the chain goes on as if nothing had been."""

    def change(connection: Connection) -> None:
        append(connection, [entry(view="gone")])
        raise ValueError("the change failed")

    with pytest.raises(ValueError, match="the change failed"):
        await database.write(change)
    assert await rows(database, audit_records) == await rows(database, audit_views) == []
    with pytest.raises(Invalid):
        await database.write(lambda connection: append(connection, [entry(), entry(facts={"n": 2**60})]))
    assert await database.write(lambda connection: append(connection, [entry()])) == 1
    assert [row.sequence for row in await rows(database, audit_records)] == [1]


@pytest.mark.parametrize("right", [True, False])
async def test_where_a_chain_is_thought_to_end_is_looked_at_again(
    database: Database, entry: MakeEntry, right: bool
) -> None:
    """Records that were put behind a place stand behind the last one all the same, whoever appended it meanwhile."""
    await database.write(lambda connection: append(connection, [entry(), entry()]))
    second = (await rows(database, audit_records))[-1]
    tails = Tails({"acme": End(2, second.hash) if right else End(1, second.previous)})
    entries = [entry(facts={"n": n}, view={"n": n}) for n in range(3)]
    for one in entries:
        tails.add(one)

    def given_up(connection: Connection) -> None:
        tails.append(connection)
        raise ValueError

    with pytest.raises(ValueError):
        await database.write(given_up)
    ends = await database.write(tails.append)
    found = (await rows(database, audit_records))[2:]
    previous = second.hash
    for sequence, (one, row) in enumerate(zip(entries, found, strict=True), 3):
        own = chain.digest(chain.body(one, "acme", sequence, row.commitment))
        assert (row.sequence, row.previous, row.hash) == (sequence, previous, chain.link(previous, own))
        previous = row.hash
    views = await rows(database, audit_views)
    assert [chain.commitment(view.salt, view.view) for view in views] == [row.commitment for row in found]
    assert ends == {"acme": End(5, previous)}


async def test_a_plan_keeps_the_salt_of_its_draft(database: Database, entry: MakeEntry) -> None:
    """What was shown and what was run have equal commitments if they are equal, in one append or in two."""
    shown, run = (
        entry(kind=kind, plan_id="plan_a", view="all", comparable=True)
        for kind in (EventType.PLAN_DRAFTED, EventType.PLAN_SUBMITTED)
    )
    again = run._replace(plan_id="plan_b")
    await database.write(lambda connection: append(connection, [shown, run, shown._replace(plan_id="plan_b")]))
    last = (await rows(database, audit_records))[-1]
    tails = Tails({"acme": End(last.sequence, last.hash)})
    tails.add(again)
    await database.write(tails.append)
    one, two, three, four = [row.commitment for row in await rows(database, audit_records)]
    assert (one, three) == (two, four)
    assert one != three
