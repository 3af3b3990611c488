"""What was shown of the plans that a process has put in place itself is at hand for its archiver: what the file holds, or it is asked."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from steward.digest import canonical_json
from steward.errors import ApprovalMismatch
from steward.event import EventType
from steward.plan import UNREADABLE_DOCUMENT, PlanStatus, shown_of_plan
from steward.work_stores.sql.event_rows import EventRow
from steward.work_stores.sql.recent_plans import RecentPlans
from steward.work_stores.sql.rows import encode
from tests.conftest import FakeClock
from tests.contracts.builders import BETA, World, opened, request_claim
from tests.test_digest import JSON

pytestmark = pytest.mark.anyio


def spoil(tmp_path: Path) -> None:
    """Make every plan in the file another one."""
    with closing(sqlite3.connect(tmp_path / "steward.db")) as raw, raw:
        raw.execute("UPDATE plans SET document = '{}'")


async def test_what_is_at_hand_is_what_the_file_holds(tmp_path: Path, clock: FakeClock) -> None:
    """Of drafts, of what was executed at once and of what was a draft before; the file is not asked for it."""
    async with opened(tmp_path, clock) as here, opened(tmp_path, clock) as reader:
        with here.dispatcher.hear_events():
            draft = here.plan(
                document={"intent": "é\n", "steps": [{"id": "s1", "params": {"b": [1.0], "a": {"ä": None}}}]}
            )
            await here.alpha.draft(draft)
            taken = here.plan()
            await here.alpha.draft(taken)
            await here.submit(plan=taken)
            one, other = await here.submit(), await here.submit(who=BETA)
            named = {
                ("alpha", draft.plan_id),
                ("alpha", taken.plan_id),
                ("alpha", one.plan_id),
                ("beta", other.plan_id),
            }
            in_file = await reader.dispatcher.shown_plans(named)
            assert in_file.keys() == named
            spoil(tmp_path)
            assert await here.dispatcher.shown_plans(named) == in_file
        assert await here.dispatcher.shown_plans(named) != in_file, "the last reader has gone"


async def test_no_other_workspaces_plan_and_none_that_is_not_there_is_told_of(tmp_path: Path, clock: FakeClock) -> None:
    """A plan is found under its own workspace; what was refused, and what came as a duplicate, was never put in place."""
    async with opened(tmp_path, clock) as here:
        with here.dispatcher.hear_events():
            foreign = here.plan(document={"intent": "as if it were alpha's"})
            await here.submit(plan=foreign, who=BETA)
            assert await here.dispatcher.shown_plans({("alpha", foreign.plan_id)}) == {}
            assert len(await here.dispatcher.shown_plans({("beta", foreign.plan_id)})) == 1
            known, twin = here.plan(), here.plan()
            await here.submit(plan=known, claims=[request_claim("once")])
            await here.submit(plan=twin, claims=[request_claim("once")])
            assert await here.dispatcher.shown_plans({("alpha", twin.plan_id)}) == {}


async def test_a_drafts_own_document_is_told_of(tmp_path: Path, clock: FakeClock) -> None:
    """Whatever somebody who executes it brings along, refused or not: what is kept in the file is the draft's."""
    async with opened(tmp_path, clock) as here:
        with here.dispatcher.hear_events():
            draft = here.plan(document={"intent": "as it was shown"})
            await here.alpha.draft(draft)
            key = "alpha", draft.plan_id
            shown = {key: draft.shown()}
            for digest, refusal in (("e" * 64, ApprovalMismatch), (draft.digest, None)):
                brought = here.plan(plan_id=draft.plan_id, digest=digest, document={"intent": "something else"})
                if refusal is None:
                    await here.submit(plan=brought)
                else:
                    with pytest.raises(refusal):
                        await here.submit(plan=brought)
                assert await here.dispatcher.shown_plans({key}) == shown


async def test_what_others_have_put_in_place_is_read(tmp_path: Path, clock: FakeClock) -> None:
    """Together with what is at hand."""
    async with opened(tmp_path, clock) as here, opened(tmp_path, clock) as there:
        with here.dispatcher.hear_events():
            own, others = here.plan(), here.plan(document={"intent": "another process's"})
            await here.submit(plan=own)
            await there.submit(plan=others)
            named = {("alpha", own.plan_id), ("alpha", others.plan_id), ("alpha", "plan_nobody_has")}
            found = await here.dispatcher.shown_plans(named)
        assert found == {("alpha", plan.plan_id): plan.shown() for plan in (own, others)}


async def test_nobody_who_has_a_plan_in_hand_can_change_what_is_told_of_it(tmp_path: Path, clock: FakeClock) -> None:
    """It is what was committed."""
    async with opened(tmp_path, clock) as here:
        with here.dispatcher.hear_events():
            params: dict[str, Any] = {"to": ["ann"]}
            plan = here.plan(document={"steps": [{"id": "s1", "params": params}]})
            shown = plan.shown()
            await here.submit(plan=plan)
            params["to"].append("eve")
            assert await here.dispatcher.shown_plans({("alpha", plan.plan_id)}) == {("alpha", plan.plan_id): shown}


def test_no_more_is_kept_than_there_is_room_for(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest goes first, and what has no room at all is not kept."""
    world = World(None, clock)  # pyrefly: ignore[bad-argument-type] - it makes plans alone
    plans = [world.plan() for _ in range(9)]
    monkeypatch.setattr("steward.work_stores.sql.recent_plans._MOST_CHARS", 3 * len(plans[0].shown()))
    recent, named = RecentPlans(), [("alpha", plan.plan_id) for plan in plans]
    for _ in range(2):
        recent.add([("alpha", plan) for plan in plans])
        assert list(recent.shown(named)) == named[-3:]
    large = world.plan(document={"intent": "x" * 9_999})
    recent.add([("alpha", large)])
    assert recent.shown([*named, ("alpha", large.plan_id)]) == {}
    recent.add([("alpha", plans[0])])
    assert list(recent.shown(named)) == named[:1]


@given(JSON, JSON, JSON)
def test_what_is_shown_is_canonical(intent: Any, params: Any, depends_on: Any) -> None:
    """It is the canonical JSON of the parts that are shown, whatever they are."""
    step = {"id": "s1", "action_id": "a.b", "acting_as": None, "depends_on": depends_on, "params": params}
    whole = {"digest": "d", "intent": intent, "prompt": None, "steps": [step]}
    assert shown_of_plan("d", {"intent": intent, "steps": [{**step, "effect": "write"}]}).encode() == canonical_json(
        whole
    )


@pytest.mark.parametrize(
    "document", [{"steps": 5}, {"steps": ["s1"]}, {"steps": [], "prompt": 2**53}, {"intent": float("inf")}]
)
def test_of_a_damaged_document_it_is_shown_that_it_cannot_be_read(document: dict[str, Any]) -> None:
    """Whatever it holds."""
    assert shown_of_plan("d", document) == shown_of_plan("d", UNREADABLE_DOCUMENT)
    assert shown_of_plan(5, document) == shown_of_plan("", UNREADABLE_DOCUMENT)  # pyrefly: ignore[bad-argument-type]


@pytest.mark.parametrize(
    "facts", [{"status": PlanStatus.RUNNING}, {"actions": ("a.b",)}, {"n": 1.5}, {"n": float("inf")}, {"step_id": "s1"}]
)
def test_facts_are_what_json_gives_back(facts: dict[str, Any]) -> None:
    """Also of an event that was never read: the same values of the same types."""
    row = EventRow("acme", 1, EventType.PLAN_SUBMITTED.value, 0, None, None, None, encode(facts), facts)
    read = row.as_read(7)
    (value,) = read.data.values()
    assert type(value) in {str, int, float, list, type(None)}
    assert encode(read.data) == row.data
    assert read.position == 7
