"""The token budget: reserved before a question leaves, settled after it, never overshot by any number of askers."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import func, select

from steward.database.tables import model_tokens
from steward.errors import FarEndFailed, RateLimited
from steward.language_model import Question
from steward.language_models.sql_budget import SqlTokenBudget
from tests.conftest import FakeClock
from tests.installation import Installation
from tests.language_models.provider import house_with, model_of, plan, provider, step

pytestmark = pytest.mark.anyio
FETCH = step("http.get", {"url": "https://example.com"})
LIMIT = 40_000


async def counted(house: Installation) -> int:
    """Return the tokens that count now, reserved or used."""
    total = select(func.coalesce(func.sum(model_tokens.c.tokens), 0))
    return await house.app.database.read(lambda connection: int(connection.execute(total).scalar_one()))


def budget(house: Installation, limit: int = LIMIT) -> SqlTokenBudget:
    """Return the budget of an installation, as one more process has it."""
    return SqlTokenBudget(house.app.database, house.clock, limit)


async def test_64_at_once_never_overshoot(tmp_path: Path, clock: FakeClock) -> None:
    """Of 64 questions at once only as many leave as fit with all that they may cost; the others are told when to come again."""
    async with provider("a word") as far:
        far.gate = asyncio.Event()
        async with house_with(far, tmp_path, clock, AI_MAX_TOKENS_PER_MIN=str(LIMIT)) as house:
            model = model_of(house)
            question = Question(workspace_id="acme", instructions="Say a word.", text="x" * 1000)
            asked = [asyncio.create_task(model.ask(question)) for _ in range(64)]
            for task in asked:
                task.add_done_callback(lambda _: far.arrived.release())
            for _ in asked:  # each has been refused or has arrived
                await far.arrived.acquire()
            refused = [task for task in asked if task.done()]
            reserved, open_now = await counted(house), len(far.site.requests)
            far.gate.set()
            answers = [await task for task in asked if task not in refused]
            used = await counted(house)
    assert all(isinstance(task.exception(), RateLimited) for task in refused)
    each = reserved // open_now
    assert each >= 1000 + 4096
    assert reserved <= LIMIT < reserved + each
    assert len(answers) == open_now == 64 - len(refused)
    assert used == sum(answer.tokens_in + answer.tokens_out for answer in answers) == 150 * open_now


async def test_what_is_used_up_comes_back_after_a_minute(tmp_path: Path, clock: FakeClock) -> None:
    """The wait that is told is the truth: a moment earlier it is still refused, and then it is not."""
    async with provider() as far, house_with(far, tmp_path, clock) as house:
        ours = budget(house, 1000)
        first = await ours.reserve("acme", 600)
        clock.advance(20)
        await ours.reserve("acme", 400)
        await ours.settle(first, 500)
        await ours.reserve("acme", 100)
        with pytest.raises(RateLimited) as caught:
            await ours.reserve("acme", 300)
        assert caught.value.stable_code == "token_budget_exceeded"
        assert caught.value.retry_after_s == 40
        clock.advance(39.9)
        with pytest.raises(RateLimited):
            await ours.reserve("acme", 300)
        clock.advance(0.1)
        await ours.reserve("acme", 300)


async def test_workspaces_do_not_share_it_and_processes_do(tmp_path: Path, clock: FakeClock) -> None:
    """Another workspace has its own; another process counts in the same table."""
    async with provider() as far, house_with(far, tmp_path, clock) as house:
        await budget(house).reserve("acme", LIMIT)
        await budget(house).reserve("other", LIMIT)
        with pytest.raises(RateLimited):
            await budget(house).reserve("acme", 1)


async def test_more_than_there_ever_is_says_so(tmp_path: Path, clock: FakeClock) -> None:
    """A question that can never fit names the setting instead of having somebody wait."""
    async with provider() as far, house_with(far, tmp_path, clock) as house:
        with pytest.raises(RateLimited, match="AI_MAX_TOKENS_PER_MIN") as caught:
            await budget(house).reserve("acme", LIMIT + 1)
        assert await counted(house) == 0
    assert caught.value.retry_after_s == 60


async def test_planning_beyond_the_budget_is_429_and_asks_nobody(tmp_path: Path, clock: FakeClock) -> None:
    """The provider hears nothing of it."""
    async with (
        provider(plan(FETCH)) as far,
        house_with(far, tmp_path, clock, AI_MAX_TOKENS_PER_MIN="1000") as house,
    ):
        with pytest.raises(RateLimited):
            await house.plan("Fetch the opening hours")
        assert far.site.requests == []


@pytest.mark.parametrize(
    ("says", "usage", "released"),
    [
        ((400, {"content-type": "application/json"}, b"{}"), None, True),
        (b"not JSON", None, False),
        (plan(FETCH), {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, False),
    ],
)
async def test_a_reservation_is_given_back_only_for_sure(
    tmp_path: Path, clock: FakeClock, says: object, usage: dict[str, int] | None, released: bool
) -> None:
    """An error of the provider's cost nothing; an answer that cannot be read, or that is not counted, may have cost all of it."""
    async with provider(says) as far:
        far.usage = usage or far.usage
        async with house_with(far, tmp_path, clock, AI_MAX_TOKENS_PER_MIN="1000000") as house:
            try:
                await house.plan("Fetch the opening hours")
            except FarEndFailed:
                assert usage is None
            assert (await counted(house) == 0) is released
