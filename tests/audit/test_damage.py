"""A damaged event or plan in each place that work can live in: the archiver says so and goes on, and so do the readers of events."""

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import text, update

from steward.action import RetryMode
from steward.database.tables import events, plans
from steward.event import EventType
from steward.ids import namesake
from steward.maintenance.archiver import Archiver
from steward.work_stores.redis.keys import key
from tests.conftest import FakeClock
from tests.installation import Installation, installation, planned
from tests.postgresql import server
from tests.redis_server import shared_server
from tests.worker.deeds import Deeds

pytestmark = pytest.mark.anyio
ODD: Final = ({"data": "{broken"}, {"type": "job.dreamt"}, {"at": "9" * 18}, {"data": "[]", "type": "plan.submitted"})
"""What is written into events."""


class _Sql:
    """An installation whose work is in its database."""

    def __init__(self, house: Installation) -> None:
        self._house = house

    async def damage_event(self, sequence: int, values: dict[str, str]) -> None:
        """Write into an event past the store."""
        where = events.c.workspace_id == "acme", events.c.sequence == sequence
        statement = update(events).where(*where).values({name: _as_kept(name, value) for name, value in values.items()})
        await self._house.app.database.write(lambda connection: connection.execute(statement).close())

    async def damage_plan(self, plan_id: str, document: str) -> None:
        """Write into a plan past the store."""
        statement = update(plans).where(plans.c.plan_id == plan_id).values(document=document)
        await self._house.app.database.write(lambda connection: connection.execute(statement).close())


class _Redis:
    """One whose work is in Redis."""

    def __init__(self, database: int) -> None:
        self._database = database

    async def damage_event(self, sequence: int, values: dict[str, str]) -> None:
        """Make the stream anew, because an entry cannot be changed."""
        name = key("events", "acme")
        with closing(shared_server().client(self._database)) as raw:
            entries = raw.xrange(name)
            raw.delete(name)
            for at, fields in entries:
                odd = values if int(at.split(b"-")[0]) == sequence else {}
                raw.xadd(name, fields | {word.encode(): value.encode() for word, value in odd.items()}, id=at)

    async def damage_plan(self, plan_id: str, document: str) -> None:
        """Write past the store into a plan that its only job carries: the document stands last."""
        name = key("job", "acme", namesake(plan_id, "job"))
        with closing(shared_server().client(self._database)) as raw:
            form, at, digest, _ = raw.hget(name, "carried").split(b" ", 3)
            raw.hset(name, "carried", b" ".join((form, at, digest, document.encode())))


def _as_kept(name: str, value: str) -> Any:
    return int(value) if name == "at" else value


@pytest.fixture(params=["best_effort", "required"])
def mode(request: pytest.FixtureRequest) -> str:
    """Return whether the audit holds work up."""
    return request.param


@pytest.fixture(params=["sqlite", "postgresql", "redis"])
async def place(
    request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock, mode: str
) -> AsyncIterator[tuple[Installation, _Sql | _Redis]]:
    """Return an installation with its work in each place, and who damages that."""
    env = {"AUDIT_MODE": mode}
    name = server().lend() if request.param == "postgresql" else ""
    database = shared_server().new_database() if request.param == "redis" else 0
    if name:
        env["DATABASE_URL"] = server().url(name)
    elif request.param == "redis":
        env |= {"REDIS_URL": shared_server().url(database), "REDIS_EFFECT_SAFETY": "fast"}
    async with installation(tmp_path, clock=clock, env=env) as house:
        house.add(Deeds().write("deeds.write", RetryMode.KEYED))
        yield house, _Redis(database) if request.param == "redis" else _Sql(house)
    if name:
        server().give_back(name)


async def _turn(house: Installation) -> int:
    app = house.app
    return await Archiver(app.engine.dispatcher, app.audit_log, app.catalogue, app.recorder).turn()


async def test_w43_events_that_cannot_be_read_stop_neither_the_audit_nor_a_reader(
    place: tuple[Installation, Any],
) -> None:
    """In their places it is said that they cannot be read, once, in a sound chain; all others are on record."""
    house, vandal = place
    done = await house.submit(planned("deeds.write", text="one"))
    await house.run_until_settled(done.plan_id)
    whole = await house.events()
    places = (0, 1, 2, len(whole) - 1)  # the last one is what the archiver goes on from
    for at, values in zip(places, ODD, strict=True):
        await vandal.damage_event(at + 1, values)

    assert await _turn(house) == len(whole)
    assert await _turn(house) == 0
    seen = await house.events()
    assert [event.event_id for event in seen] == [event.event_id for event in whole]
    assert [at for at, event in enumerate(seen) if event.type is EventType.UNREADABLE] == list(places)
    assert all(event == whole[at] for at, event in enumerate(seen) if at not in places)
    records = (await house.app.audit_log.query("acme", limit=100, kind=EventType.UNREADABLE)).records
    assert [record.entry.source for record in reversed(records)] == [f"work/{whole[at].position}" for at in places]
    told = {(record.entry.result, record.entry.at, record.entry.plan_id) for record in records}
    assert told == {("unreadable", house.clock.now(), done.plan_id)}

    other = await house.submit(planned("deeds.write", text="two"), who=await house.member("beta"))
    assert await _turn(house) > 0
    assert (await house.app.audit_log.query("beta", limit=9, plan_id=other.plan_id)).records
    assert (await house.app.audit_log.verify("acme")).sound


@pytest.mark.parametrize("document", ["{broken", "5", '{"steps": ["s1"]}', '{"steps": [], "intent": 9007199254740993}'])
async def test_w43_a_plan_that_cannot_be_read_does_not_stop_the_audit(
    place: tuple[Installation, Any], document: str
) -> None:
    """That it was submitted is on record, with the statement that what it was cannot be read."""
    house, vandal = place
    done = await house.submit(planned("deeds.write", text="one"))
    await vandal.damage_plan(done.plan_id, document)
    assert await _turn(house) > 0
    (record,) = (await house.app.audit_log.query("acme", limit=9, kind=EventType.PLAN_SUBMITTED)).records
    assert "cannot be read" in record.entry.view["intent"]


@pytest.mark.parametrize("values", [{"data": "{broken"}, {"data": "[]"}, {"at": "9" * 18}])
async def test_an_event_by_the_way_that_cannot_be_read_is_on_record(
    place: tuple[Installation, Any], values: dict[str, str]
) -> None:
    """That a job was claimed leaves no record; that something was there which nobody can read any more does."""
    house, vandal = place
    done = await house.submit(planned("deeds.write", text="one"))
    await house.run_until_settled(done.plan_id)
    (started,) = (event for event in await house.events() if event.type is EventType.JOB_STARTED)
    await vandal.damage_event(int(started.event_id.removeprefix("evt_")), values)
    await _turn(house)
    (record,) = (await house.app.audit_log.query("acme", limit=100, kind=EventType.UNREADABLE)).records
    assert record.entry.source == f"work/{started.position}"


@pytest.mark.parametrize("name", ["at", "actor_id", "plan_id", "job_id"])
async def test_bytes_in_an_event_by_the_way_are_on_record(tmp_path: Path, clock: FakeClock, name: str) -> None:
    """SQLite keeps anything anywhere: what is no time or no text is seen although the rest of the event is whole."""
    async with installation(tmp_path, clock=clock) as house:
        house.add(Deeds().write("deeds.write", RetryMode.KEYED))
        done = await house.submit(planned("deeds.write", text="one"))
        await house.run_until_settled(done.plan_id)
        (started,) = (event for event in await house.events() if event.type is EventType.JOB_STARTED)
        damage = text(f"UPDATE events SET {name} = CAST('x' AS BLOB) WHERE position = {started.position}")
        await house.app.database.write(lambda connection: connection.execute(damage).close())
        await _turn(house)
        (record,) = (await house.app.audit_log.query("acme", limit=100, kind=EventType.UNREADABLE)).records
        assert record.entry.source == f"work/{started.position}"
