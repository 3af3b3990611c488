"""Time for second thoughts: what cannot be undone waits before it goes out, and a cancel in that time surely wins."""

import random
from pathlib import Path
from typing import Annotated, Any

import pytest

from steward.actions import Content, Destination, action
from steward.approval import Verdict
from steward.errors import IllegalTransition
from steward.explain import explain_job
from steward.identity import Role
from steward.job import JobStatus
from steward.orchestrator import RequestedAction
from steward.policy import Ask
from steward.work_store import Submitted
from steward.workspace import WorkspaceSettings
from tests.asking import Asking
from tests.conftest import FakeClock
from tests.installation import Installation, installation, planned
from tests.soak import rounds

pytestmark = pytest.mark.anyio
S = JobStatus
WINDOW_S = 60


def sending(sent: list[str], *groups: str, reversibility: str = "irreversible") -> Any:
    """Return a message that cannot be taken back."""

    @action("post.send", effect="write", retry="keyed", groups=groups, reversibility=reversibility)
    async def send(to: Annotated[str, Destination], text: Annotated[str, Content]) -> dict[str, str]:
        """Send."""
        sent.append(text)
        return {"to": to}

    return send


async def waits(house: Installation, window_s: int = WINDOW_S) -> None:
    """Let the workspace have time for second thoughts."""
    await house.member()
    await house.app.directory.change_settings("acme", WorkspaceSettings(undo_window_s=window_s), by="test")


async def sent_off(house: Installation) -> Submitted:
    """Submit a message and let a worker come to it."""
    submitted = await house.submit(planned("post.send", to="a@example.com", text="hello"))
    await house.run_until_settled(submitted.plan_id)
    return submitted


async def test_it_waits_and_then_goes_out_once(house: Installation, clock: FakeClock) -> None:
    """Scheduled, with the moment and who can do what; the attempt does not count; then it is done."""
    sent: list[str] = []
    house.add(sending(sent, "external"))
    await waits(house)
    submitted = await sent_off(house)
    (job,) = await house.jobs(submitted.plan_id)
    assert (job.status, job.attempts, job.first_dispatched_at, sent) == (S.SCHEDULED, 0, None, [])
    assert job.not_before is not None
    assert (job.not_before - clock.now()).total_seconds() == WINDOW_S
    told = explain_job(job, [job], clock.now())
    assert (told["reason"]["code"], "cancel" in told["who"]) == ("undo_window", True)
    clock.advance(WINDOW_S)
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert (job.status, job.attempts, job.error, sent) == (S.COMPLETED, 1, None, ["hello"])


@pytest.mark.parametrize(
    ("groups", "reversibility", "window_s"),
    [((), "irreversible", 60), (("external",), "reversible", 60), (("external",), "irreversible", 0)],
)
async def test_nothing_else_waits(
    house: Installation, groups: tuple[str, ...], reversibility: str, window_s: int
) -> None:
    """What stays inside, what can be taken back, and everything where the workspace wants no wait."""
    sent: list[str] = []
    house.add(sending(sent, *groups, reversibility=reversibility))
    await waits(house, window_s)
    submitted = await sent_off(house)
    assert ((await house.jobs(submitted.plan_id))[0].status, sent) == (S.COMPLETED, ["hello"])


async def test_the_wait_comes_after_the_yes(tmp_path: Path, clock: FakeClock) -> None:
    """First a person decides, then there is time to take it back."""
    sent: list[str] = []
    asking = Asking()
    asking.ask("post.send", Ask("look", "Look."))
    async with installation(tmp_path, clock=clock, asking=asking) as house:
        house.add(sending(sent, "external"))
        await waits(house)
        submitted = await sent_off(house)
        store = house.app.engine.open(await house.member(role=Role.APPROVER))
        (asked,) = await store.plan_approvals(submitted.plan_id)
        await store.decide_approval(asked.approval_id, asked.digest, Verdict.APPROVE, None)
        (job,) = await house.run_until_settled(submitted.plan_id)
        assert (job.status, sent) == (S.SCHEDULED, [])


async def test_of_a_cancel_and_a_dispatch_one_wins(house: Installation, clock: FakeClock) -> None:
    """At whatever moment somebody cancels, it is either cancelled or sent, and never both or neither."""
    sent: list[str] = []
    house.add(sending(sent, "external"))
    await waits(house)
    chance, ends = random.Random(7), set()
    who = await house.member()
    store = house.app.engine.open(who)
    for number in range(rounds(25, 500)):
        submitted = await house.app.orchestrator.execute_actions(
            who,
            [RequestedAction(planned("post.send", to="a@example.com", text=str(number)))],
            run_at=None,
            idempotency_key=None,
            request_id="req-1",
        )
        (job_id,) = submitted.job_ids
        await house.run_until_settled(submitted.plan_id)
        clock.advance(chance.choice((0, WINDOW_S - 1, WINDOW_S, WINDOW_S + 1)))
        waits_for = chance.randrange(4)
        async with house.worker():
            with store.listen() as listener:
                for _ in range(waits_for):  # so far into the worker's turn
                    if (await house.job(job_id)).status in {S.COMPLETED, S.CANCELLED}:
                        break
                    await listener.wait(0.002)
            try:
                await store.cancel_job(job_id)
            except IllegalTransition:
                assert str(number) in sent
            (job,) = await house.until(submitted.plan_id, {S.COMPLETED, S.CANCELLED})
        assert (job.status is S.COMPLETED, job.status is S.CANCELLED) == (str(number) in sent, str(number) not in sent)
        ends.add(job.status)
    assert len(sent) == len(set(sent))
    assert ends == {S.COMPLETED, S.CANCELLED}
