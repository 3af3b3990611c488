"""Attempts that begin together share what holds for their actor; whoever begins after a change is told of it."""

import asyncio

import pytest

from steward.directories.sql import SqlDirectory
from steward.directory import LOCAL_ACTOR
from steward.identity import Principal, Role
from steward.standing import Standings
from tests.conftest import FakeClock
from tests.databases import statements_of
from tests.installation import Installation

pytestmark = pytest.mark.anyio


class Counted(SqlDirectory):
    """A directory of a house that counts how often it is asked who somebody is, and answers late while its gate is shut."""

    def __init__(self, house: Installation) -> None:
        """Count from nought, with an open gate."""
        super().__init__(house.app.database, house.app.clock)
        self.asked = 0
        self.waits = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def principal_of(self, workspace_id: str, actor_id: str) -> Principal | None:
        """Return who somebody was when this was asked."""
        self.asked += 1
        found = await super().principal_of(workspace_id, actor_id)
        if not self.gate.is_set():
            self.waits.set()
        await self.gate.wait()
        return found


async def ask(standings: Standings, *actors: Principal) -> list[Principal | None]:
    """Return whom attempts of these actors, which begin in one turn of the loop, are told about."""
    told = await asyncio.gather(*(standings.of("acme", actor.actor_id) for actor in actors))
    return [standing.principal for standing in told]


async def test_a_crowd_costs_one_look_up_and_another_person_one_more(house: Installation) -> None:
    """Fifty who begin together are told the same at the price of one, and only about the one they asked about."""
    who, other, directory = await house.member(), await house.member(role=Role.ADMIN), Counted(house)
    standings = Standings(directory, house.app.policies)
    await ask(standings, who, other)  # from here on the directory and the policies answer from memory
    directory.asked = 0
    assert await ask(standings, *[who, other] * 25) == [who, other] * 25
    assert directory.asked == 2


async def test_a_revocation_is_seen_by_whoever_begins_next(house: Installation) -> None:
    """What was shared a moment ago is not told again."""
    who = await house.member()
    standings = Standings(house.app.directory, house.app.policies)
    await ask(standings, who)  # from here on directory and policies answer at once, and the answer is shared
    assert await ask(standings, who, who) == [who, who]
    await house.app.directory.revoke_key(who.actor_id, by=LOCAL_ACTOR)
    assert await ask(standings, who, who) == [None, None]


async def test_an_answer_that_was_waited_for_is_told_to_nobody_else(house: Installation) -> None:
    """It may be older than a revocation: whoever asks in the turn in which it comes asks anew."""
    who, directory = await house.member(), Counted(house)
    standings = Standings(directory, house.app.policies)
    await ask(standings, who)
    directory.gate.clear()
    early = asyncio.create_task(ask(standings, who))
    await directory.waits.wait()
    await directory.revoke_key(who.actor_id, by=LOCAL_ACTOR)
    directory.gate.set()
    late = asyncio.create_task(ask(standings, who))
    assert await early == [who]
    assert await late == [None]


async def test_a_crowd_that_has_to_wait_costs_one_look_up_too(house: Installation) -> None:
    """Those who begin while the first one's question is under way wait for its answer."""
    who, directory = await house.member(), Counted(house)
    standings = Standings(directory, house.app.policies)
    directory.gate.clear()
    crowd = asyncio.create_task(ask(standings, *[who] * 20))
    await directory.waits.wait()
    directory.gate.set()
    assert await crowd == [who] * 20
    assert directory.asked == 1


async def test_who_waits_for_one_that_gives_up_asks_for_itself(house: Installation) -> None:
    """No attempt hangs, or ends, because another one was stopped."""
    who, directory = await house.member(), Counted(house)
    standings = Standings(directory, house.app.policies)
    directory.gate.clear()
    first = asyncio.create_task(standings.of("acme", who.actor_id))
    others = asyncio.create_task(ask(standings, who, who))
    await directory.waits.wait()
    first.cancel()
    directory.gate.set()
    assert await others == [who, who]
    assert first.cancelled()


async def test_what_is_looked_up_ahead_is_there_when_it_is_asked_for(house: Installation, clock: FakeClock) -> None:
    """An idle worker that wakes up reads its last actor while it claims: then nobody waits for the database."""
    who = await house.member()
    standings = Standings(house.app.directory, house.app.policies)
    standings.look_ahead()  # of nobody
    await ask(standings, who)
    clock.advance(1)  # from here on nothing is remembered
    standings.look_ahead()
    assert standings._ahead is not None
    await standings._ahead
    with statements_of(house.app.database) as told:
        assert await ask(standings, who) == [who]
    assert told == []


async def test_what_was_looked_up_ahead_is_no_older_than_what_is_asked(house: Installation, clock: FakeClock) -> None:
    """Whoever was revoked here meanwhile may do nothing, and what could not be read ahead is asked for again."""
    who = await house.member()
    standings = Standings(house.app.directory, house.app.policies)
    await ask(standings, who)
    clock.advance(1)
    standings.look_ahead()
    await house.app.directory.revoke_key(who.actor_id, by=LOCAL_ACTOR)
    assert await ask(standings, who) == [None]
