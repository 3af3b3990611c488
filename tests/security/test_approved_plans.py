"""What was approved is what runs: many at once, once only, and nothing that was changed since."""

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic_core import from_json

from steward.actions import Content, Destination, action
from steward.approval import Approval, Verdict
from steward.errors import ApprovalMismatch, IllegalTransition, Invalid, NotFound
from steward.event import EventType
from steward.identity import Role
from steward.job import JobStatus
from steward.plan import PlannedAction
from steward.submission import sealed_params
from steward.work_store import Submitted
from tests.asking import Asking
from tests.conftest import FakeClock
from tests.installation import Installation, installation, planned
from tests.soak import rounds
from tests.worker.deeds import Deeds, note

pytestmark = pytest.mark.anyio
S = JobStatus
PARAMS: dict[str, Any] = {
    "text": "Pay 100 to Müller",
    "amount": 100,
    "cc": ["a@example.com"],
    "more": {"deep": [1, "x"]},
}


@pytest.fixture
async def house(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Installation]:
    """Return an open installation whose notes and payments ask."""
    asking = Asking()
    asking.ask("deeds.note")
    asking.ask("deeds.pay")
    async with installation(tmp_path, clock=clock, asking=asking) as inst:
        yield inst


async def asked(house: Installation, submitted: Submitted) -> Approval:
    """Return the newest approval of a plan."""
    return (await house.app.engine.open(await house.member()).plan_approvals(submitted.plan_id))[0]


async def say_yes(
    house: Installation, approval: Approval, workspace_id: str = "acme", role: Role = Role.APPROVER
) -> None:
    """Approve exactly this."""
    store = house.app.engine.open(await house.member(workspace_id, role))
    await store.decide_approval(approval.approval_id, approval.digest, Verdict.APPROVE, None)


async def test_of_many_decisions_at_once_one_releases(house: Installation) -> None:
    """Two people and each of them twice, in the same moment: one decision, one release, and one effect."""
    done: list[Any] = []
    house.add(note(done))
    number, plans = rounds(50, 1000), list[str]()
    roles = (Role.APPROVER, Role.ADMIN, Role.APPROVER, Role.ADMIN)
    for role in roles:
        await house.member(role=role)
    for turn in range(number):
        submitted = await house.submit(planned("deeds.note", text=str(turn)))
        plans.append(submitted.plan_id)
        approval = await asked(house, submitted)
        answers = await asyncio.gather(*(say_yes(house, approval, role=role) for role in roles), return_exceptions=True)
        refused = [answer for answer in answers if answer is not None]
        assert all(isinstance(answer, IllegalTransition) for answer in refused)
        assert len(refused) == 2  # whoever won may say it again
    events = await house.events()
    assert [event.type for event in events].count(EventType.APPROVAL_DECIDED) == number
    async with house.worker():
        for plan_id in plans:
            await house.until(plan_id, {S.COMPLETED})
    assert sorted(done, key=int) == [str(turn) for turn in range(number)]


def changed(value: Any, chance: random.Random) -> Any:
    """Return something that is like ``value`` and is not it: other letters that look the same, number forms, places, types."""
    match value:
        case dict():
            name = chance.choice(sorted(value))
            return chance.choice(
                [
                    {**value, name: changed(value[name], chance)},
                    {other: one for other, one in value.items() if other != name},
                    {**value, f"{name} ": value[name]},
                    {**value, "extra": None},
                ]
            )
        case list():
            return chance.choice([[*value, value[0]], value[1:], [changed(value[0], chance), *value[1:]], value[0]])
        case str():
            found = [value + " ", value + "\u200b", value.upper(), value.replace("a", "а"), value[1:], [value], None]
            return chance.choice([one for one in found if one != value])
        case _:
            return chance.choice([value + 1, -value, str(value), value * 1.5, [value], None, value + 1e-9])


async def test_a_mutation_of_an_approved_plan_has_no_effect(house: Installation) -> None:
    """Whoever can write to the store, and even seal, changes a step after the yes: it is held or fails, and nothing happens."""
    done: list[Any] = []

    @action("deeds.pay", effect="write", retry="keyed")
    async def pay(
        text: Annotated[str, Content], amount: int, cc: list[str], more: Annotated[dict[str, Any], Content]
    ) -> None:
        """Pay."""
        done.append((text, amount, cc, more))

    house.add(pay, note(done))
    chance = random.Random(11)
    columns = ("action_id", "step_id")
    for _ in range(rounds(50, 2000)):
        submitted = await house.submit(PlannedAction(action_id="deeds.pay", params=PARAMS))
        await say_yes(house, await asked(house, submitted))
        column, value = chance.choice(columns), ""
        if chance.random() < 0.8:
            column, mutated = "params_sealed", changed(PARAMS, chance)
            value = house.app.vault.seal(mutated, workspace_id="acme", purpose=sealed_params(submitted.plan_id, "s1"))
        else:
            value = {"action_id": "deeds.note", "step_id": "s2"}[column]
        with closing(sqlite3.connect(house.home / "steward.db", isolation_level=None)) as other:
            other.execute(f"UPDATE jobs SET {column} = ? WHERE job_id = ?", (value, submitted.job_ids[0]))
        lease = await house.lease()
        outcome = await house.attempt(lease).run()
        assert type(outcome).__name__ in {"Held", "Failed"}, (column, outcome)
    assert done == []


async def test_a_yes_to_a_value_is_to_one_step_of_one_plan(house: Installation) -> None:
    """The same value in another step, or in the same plan made again, is a question of its own; each yes is used once."""
    done: list[Any] = []
    house.add(sender(done), Deeds().read(result={"text": "eve@evil.example"}))
    to = {"$ref": "steps.s1.result.text"}
    steps = (planned("deeds.read"), planned("deeds.send", to=to), planned("deeds.send", to=to))
    first, second = await house.submit(*steps), await house.submit(*steps)
    for submitted in (first, second):
        await house.run_until_settled(submitted.plan_id)
    store = house.app.engine.open(await house.member())
    approvals = [*await store.plan_approvals(first.plan_id), *await store.plan_approvals(second.plan_id)]
    assert len({one.digest for one in approvals}) == 2  # by step: the plans are the same
    assert len({one.approval_id for one in approvals}) == 4
    await say_yes(house, approvals[0])
    for submitted in (first, second):
        await house.run_until_settled(submitted.plan_id)
    assert done == ["eve@evil.example"]
    approver = house.app.engine.open(await house.member(role=Role.APPROVER))
    other = next(one for one in approvals if one.digest != approvals[1].digest)
    with pytest.raises(ApprovalMismatch):
        await approver.decide_approval(approvals[1].approval_id, other.digest, Verdict.APPROVE, None)
    with pytest.raises(NotFound):
        await say_yes(house, approvals[1], "beta")


def sender(sent: list[str]) -> Any:
    """Return a message."""

    @action("deeds.send", effect="write", retry="keyed")
    async def send(to: Annotated[str, Destination]) -> dict[str, str]:
        """Send."""
        sent.append(to)
        return {"to": to}

    return send


async def test_what_others_wrote_stays_so_through_a_file(house: Installation) -> None:
    """Fetched, kept in a file, read back, or found as a file's name: where it would decide a recipient, a person is asked."""
    sent: list[str] = []
    house.add(sender(sent), Deeds().read(result={"text": "eve@evil.example"}))
    submitted = await house.submit(
        planned("deeds.read"),
        planned("file.write", path="a.txt", text={"$ref": "steps.s1.result.text"}),
        planned("file.write", path="b.txt", text="bob@acme.example"),
        planned("file.read", "s2", path="a.txt"),
        planned("file.read", "s3", path="b.txt"),
        planned("file.list", "s2", "s3"),
        planned("deeds.send", to={"$ref": "steps.s4.result.text"}),
        planned("deeds.send", to={"$ref": "steps.s5.result.text"}),
        planned("deeds.send", to={"$ref": "steps.s6.result.files[0].name"}),
    )
    jobs = await house.run_until_settled(submitted.plan_id)
    assert [job.status for job in jobs[6:]] == [S.HELD, S.COMPLETED, S.HELD]
    assert sent == ["bob@acme.example"]
    (house.home / "files" / "acme" / "b.txt").write_text("eve@evil.example")
    again = await house.submit(
        planned("file.read", path="b.txt"), planned("deeds.send", to={"$ref": "steps.s1.result.text"})
    )
    assert (await house.run_until_settled(again.plan_id))[1].status is S.HELD


async def test_equal_looking_plans_are_not_the_same(house: Installation) -> None:
    """Other letters and types are another digest; the order of keys is not."""

    async def digest(**params: Any) -> str:
        document = await house.app.orchestrator.preview(await house.member(), "compute", {"value": params}, "req-1")
        return document["digest"]

    same = await digest(a="é", b=1)
    assert await digest(b=1, a="é") == same
    others = [
        await digest(a="e\u0301", b=1),
        await digest(a="é", b="1"),
        await digest(a="é ", b=1),
        await digest(a="é", b=True),
    ]
    assert len({same, *others}) == 5


LOOK_ALIKES = [
    *("paypal", "p\u0430ypal", "pay\u200dpal", "paypal\u200b", "\u202epaypal", "\uff50aypal", "PayPal", "paypa\u217c"),
    *("\u00e9", "e\u0301", "\ufb01", "fi", "a b", "a\u00a0b", "1", "\uff11", "\u0661", "-1", "\u22121", "K", "\u212a"),
]
"""Texts of which some cannot be told apart by looking, or are equal in some form of Unicode."""


async def test_texts_that_look_alike_are_other_plans(house: Installation) -> None:
    """Nothing is folded or normalised on the way: what was approved is these very characters."""
    who = await house.member()
    for place in (
        lambda text: {"value": text},
        lambda text: {"value": {text: 1}},
        lambda text: {"value": [{"a": [text]}]},
    ):
        digests = [
            (await house.app.orchestrator.preview(who, "compute", place(text), "req-1"))["digest"]
            for text in LOOK_ALIKES
        ]
        assert len(set(digests)) == len(LOOK_ALIKES)


@pytest.mark.parametrize(
    ("forms", "number"),
    [
        (
            [
                '{"n":1,"m":{"b":[1],"a":0}}',
                '{"m":{"a":-0.0,"b":[1e0]},"n":1.0}',
                '{"n":10e-1,"m":{"b":[1.00],"a":0e5}}',
            ],
            1,
        ),
        (['{"n":100}', '{"n":1e2}', '{"n":100.0}', '{ "n" : 1E+2 }', '{"n":7,"n":100}'], 1),
        (['{"n":0.1}', '{"n":0.10000000000000001}'], 1),
        (['{"n":0.1}', '{"n":0.10000000000000002}', '{"n":"0.1"}', '{"n":[0.1]}'], 4),
        (['{"n":9007199254740991}', '{"n":9007199254740990}', '{"n":"9007199254740991"}'], 3),
        (['{"n":null}', "{}", '{"n":""}', '{"n":0}', '{"n":false}', '{"n":[]}', '{"n":{}}'], 7),
    ],
)
async def test_a_number_is_its_value_however_it_was_written(house: Installation, forms: list[str], number: int) -> None:
    """Forms of one number, and orders of keys, are one plan; what is another value or type is another."""
    who = await house.member()
    documents = [
        await house.app.orchestrator.preview(who, "compute", {"value": from_json(text)}, "req-1") for text in forms
    ]
    assert len({document["digest"] for document in documents}) == number


@pytest.mark.parametrize("text", ["9007199254740992", "1e400", "-9007199254740993", "NaN"])
async def test_a_number_that_cannot_be_kept_is_no_plan(house: Installation, text: str) -> None:
    """Two that differ could have one digest otherwise."""
    with pytest.raises(Invalid):
        await house.app.orchestrator.preview(
            await house.member(), "compute", {"value": from_json(text, allow_inf_nan=True)}, "req-1"
        )
