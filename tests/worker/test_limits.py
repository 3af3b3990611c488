"""What a workspace set for itself, from its settings to the worker: caps, budgets, and how a job that must wait looks."""

import asyncio
import hashlib
from datetime import timedelta
from typing import Annotated, Any

import pytest

from steward.action import Action, ActionFailed, RetryMode
from steward.actions import Content, Destination, action
from steward.directory import LOCAL_ACTOR
from steward.explain import explain_job
from steward.job import Job, JobStatus
from steward.usage import room_of, usage_of
from steward.workspace import Budget, Cap, WorkspaceSettings
from tests.conftest import FakeClock
from tests.installation import Installation, planned
from tests.worker.deeds import Deeds

pytestmark = pytest.mark.anyio
S = JobStatus


def letter(sent: list[str], fails: list[Exception]) -> Action:
    """Return an own action that sends messages; it fails for certain while it is told to."""

    @action("post.send", effect="write", retry="keyed", groups=["message"])
    async def send(to: Annotated[list[str], Destination], text: Annotated[str, Content]) -> None:
        if fails:
            raise fails.pop(0)
        sent.extend(to)

    return send


async def allow(house: Installation, **settings: Any) -> None:
    """Set a workspace's settings."""
    await house.member()
    await house.app.directory.change_settings("acme", WorkspaceSettings(**settings), by=LOCAL_ACTOR)


def daily(limit: int) -> Budget:
    """Return a budget for a day."""
    return Budget(limit=limit, window_s=86_400)


def to(*people: str) -> Any:
    """Return a step that writes to people."""
    return planned("post.send", to=list(people), text="hello")


async def run(house: Installation, *steps: Any) -> tuple[Job, ...]:
    """Submit steps as a plan and let a worker do what it can."""
    submitted = await house.submit(*steps)
    return await house.run_until_settled(submitted.plan_id)


async def test_over_budget_a_job_waits_for_its_time_and_then_goes(house: Installation, clock: FakeClock) -> None:
    """It says so, the attempt does not count, and nothing was sent."""
    sent: list[str] = []
    house.add(letter(sent, []))
    await allow(house, budgets={"messages_out": daily(1)})
    (first,) = await run(house, to("ann@x.example"))
    (second,) = await run(house, to("ben@x.example"))
    assert (first.status, sent) == (S.COMPLETED, ["ann@x.example"])
    assert (second.status, second.attempts) == (S.SCHEDULED, 0)
    assert second.error is not None
    assert second.error.code == "budget_exceeded"
    assert second.not_before == clock.now() + timedelta(days=1)
    told = explain_job(second, [second], clock.now())
    assert told["reason"] == {"code": "budget_exceeded", "text": second.error.detail}
    assert "admin" in told["who"]
    clock.advance(86_400)
    jobs = await house.run_until_settled(second.plan_id)
    assert ([job.status for job in jobs], sent) == ([S.COMPLETED], ["ann@x.example", "ben@x.example"])


async def test_what_can_never_fit_fails(house: Installation) -> None:
    """More new people than the budget ever holds: it is not tried for ever."""
    sent: list[str] = []
    house.add(letter(sent, []))
    await allow(house, budgets={"outside_recipients": daily(1)}, own_domains=["acme.example"])
    (job,) = await run(house, to("ann@x.example", "ben@x.example"))
    assert job.status is S.FAILED
    assert job.error is not None
    assert job.error.code == "budget_exceeded"
    (inside,) = await run(house, to("ann@acme.example", "ben@acme.example"))
    assert (inside.status, sent) == (S.COMPLETED, ["ann@acme.example", "ben@acme.example"])


async def test_what_certainly_failed_is_not_spent(house: Installation) -> None:
    """The next one goes out under the same budget."""
    sent: list[str] = []
    house.add(letter(sent, [ActionFailed("refused", "No.")]))
    await allow(house, budgets={"messages_out": daily(1)})
    (refused,) = await run(house, to("ann@x.example"))
    (job,) = await run(house, to("ben@x.example"))
    assert (refused.status, job.status, sent) == (S.FAILED, S.COMPLETED, ["ben@x.example"])


async def test_recipients_are_kept_as_keyed_hashes_only(house: Installation) -> None:
    """Neither the address nor a plain hash of it stands anywhere in the budget's records."""
    house.add(letter([], []))
    await allow(house, budgets={"outside_recipients": daily(9)})
    who = "somebody.unmistakable@x.example"
    submitted = await house.submit(planned("post.send", to=[who], text="hello"))
    await house.run_until_settled(submitted.plan_id)
    rows = await house.app.database.read(lambda connection: connection.exec_driver_sql("SELECT * FROM spendings").all())
    assert len(rows) == 1
    assert who not in str(rows)
    assert hashlib.sha256(who.encode()).hexdigest() not in str(rows)
    (mac, *_) = house.app.vault.macs({"recipient": who}, workspace_id="acme")
    assert mac in str(rows)


async def test_a_cap_set_by_an_admin_holds_for_the_worker(house: Installation) -> None:
    """No more run at the same time than the settings say, and the others are told what keeps them."""
    entered: asyncio.Queue[str] = asyncio.Queue()
    go_on = asyncio.Event()

    @action("deeds.slow", effect="write", retry="keyed")
    async def slow(text: Annotated[str, Content]) -> None:
        entered.put_nowait(text)
        await go_on.wait()

    house.add(slow)
    await allow(house, caps={"deeds.*": Cap(max_running=2)})
    store = house.app.engine.open(await house.member())
    submitted = await house.submit(*[planned("deeds.slow", text=str(n)) for n in range(4)])
    async with house.worker(concurrency=8):
        assert {await asyncio.wait_for(entered.get(), 20) for _ in range(2)} == {"0", "1"}
        jobs = await store.plan_jobs(submitted.plan_id)
        assert [job.status for job in jobs] == [S.RUNNING, S.RUNNING, S.PENDING, S.PENDING]
        room = await room_of(house.app.directory, store, house.clock.now())
        told = explain_job(jobs[2], jobs, house.clock.now(), room=room)
        assert told["reason"]["code"] == "capped"
        assert "at most 2 jobs of 'deeds.*'" in told["reason"]["text"]
        assert "admin" in told["who"]
        usage = await usage_of(house.app.directory, store, house.clock.now())
        assert usage["caps"] == [{"pattern": "deeds.*", "kind": "max_running", "limit": 2, "used": 2, "free_at": None}]
        assert entered.empty()
        go_on.set()
        await house.until(submitted.plan_id, {S.COMPLETED})
    assert entered.qsize() == 2


async def test_two_workers_share_a_cap(house: Installation) -> None:
    """And whoever waits for room is woken when a job of the other one ends."""
    deeds = Deeds(hangs=1)
    house.add(deeds.write("deeds.slow", RetryMode.KEYED))
    await allow(house, caps={"*": Cap(max_running=1)})
    submitted = await house.submit(*[planned("deeds.slow", text=str(n)) for n in range(3)])
    async with house.worker(), house.worker():
        await asyncio.wait_for(deeds.began.wait(), 20)
        assert len(deeds.done) == 1
        deeds.go_on.set()
        await house.until(submitted.plan_id, {S.COMPLETED})


async def test_usage_says_what_is_used(house: Installation, clock: FakeClock) -> None:
    """Every rule with its limit and how much of it is used, of the own workspace alone."""
    house.add(letter([], []))
    await allow(
        house,
        caps={"post.*": Cap(per_minute=1)},
        budgets={"messages_out": daily(5), "outside_recipients": daily(7), "webhook_calls": daily(3)},
    )
    await run(house, to("ann@x.example", "ben@x.example"))
    store = house.app.engine.open(await house.member())
    assert await usage_of(house.app.directory, store, clock.now()) == {
        "workspace_id": "acme",
        "running": 0,
        "caps": [
            {
                "pattern": "post.*",
                "kind": "per_minute",
                "limit": 1,
                "used": 1,
                "free_at": "2026-03-04T09:31:00.000Z",
            }
        ],
        "budgets": [
            {"budget": "messages_out", "limit": 5, "window_s": 86_400, "used": 1},
            {"budget": "outside_recipients", "limit": 7, "window_s": 86_400, "used": 2},
            {"budget": "webhook_calls", "limit": 3, "window_s": 86_400, "used": 0},
        ],
    }
    stranger = house.app.engine.open(await house.member("beta"))
    assert (await usage_of(house.app.directory, stranger, clock.now()))["budgets"] == []
