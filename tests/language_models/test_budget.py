"""The token budget: reserved before a question leaves, settled after it, never overshot by any number of askers."""

import asyncio
import sys
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import func, select

from steward.database.tables import model_costs, model_tokens
from steward.errors import FarEndFailed, RateLimited
from steward.language_model import ModelBudget, Question, Tokens
from steward.language_models.sql_budget import Price, SqlModelBudget, money_per_day, tokens_per_minute
from tests.conftest import FakeClock
from tests.installation import Installation
from tests.language_models.provider import house_with, model_of, plan, provider, step

pytestmark = pytest.mark.anyio
FETCH = step("http.get", {"url": "https://example.com"})
LIMIT = 40_000


@dataclass
class TokensOnly:
    """A budget for those who read and write nothing, but say how much."""

    whole: SqlModelBudget

    async def reserve(self, workspace_id: str, tokens: int) -> str:
        """Reserve so many."""
        return await self.whole.reserve(workspace_id, Tokens(tokens))

    async def settle(self, reservation: str, tokens: int) -> None:
        """Settle so many."""
        await self.whole.settle(reservation, Tokens(0, tokens))


async def counted(house: Installation) -> int:
    """Return the tokens that count now, reserved or used."""
    total = select(func.coalesce(func.sum(model_tokens.c.amount), 0))
    return await house.app.database.read(lambda connection: int(connection.execute(total).scalar_one()))


def budget(house: Installation, limit: int = LIMIT) -> "TokensOnly":
    """Return the budget of an installation, as one more process has it."""
    return TokensOnly(SqlModelBudget(house.app.database, house.clock, [tokens_per_minute(limit)]))


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


async def test_w142_planning_beyond_the_budget_is_429_and_asks_nobody(tmp_path: Path, clock: FakeClock) -> None:
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


@dataclass
class Late:
    """A budget that takes its time to say that a reservation is made."""

    whole: ModelBudget
    made: asyncio.Event = field(default_factory=asyncio.Event)
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def reserve(self, workspace_id: str, most: Tokens) -> str:
        """Reserve at once, and say so once the gate is open."""
        reservation = await self.whole.reserve(workspace_id, most)
        self.made.set()
        await self.gate.wait()
        return reservation

    async def settle(self, reservation: str, used: Tokens) -> None:
        """Settle, and say so."""
        await self.whole.settle(reservation, used)
        self.settled.set()


async def test_what_nobody_waits_for_before_it_leaves_costs_nothing(tmp_path: Path, clock: FakeClock) -> None:
    """A question that is cancelled while its reservation is being made is never sent, and the reservation is given back."""
    async with (
        provider("a word") as far,
        house_with(far, tmp_path, clock, AI_MAX_TOKENS_PER_MIN=str(LIMIT)) as house,
    ):
        model = model_of(house)
        late = model._budget = Late(model._budget)
        asked = asyncio.create_task(model.ask(Question(workspace_id="acme", instructions="Say a word.", text="x")))
        await late.made.wait()
        assert await counted(house) > 4096
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        late.gate.set()
        await late.settled.wait()
        assert (await counted(house), far.site.requests) == (0, [])


PRICE = Price(Decimal("1.25"), Decimal(10))
"""Dollars for a million tokens, as a provider has it on its page."""


async def spent(house: Installation) -> int:
    """Return the millionths of dollars that count now, reserved or spent."""
    total = select(func.coalesce(func.sum(model_costs.c.amount), 0))
    return await house.app.database.read(lambda connection: int(connection.execute(total).scalar_one()))


def money(house: Installation, dollars: str) -> SqlModelBudget:
    """Return a budget of so many dollars, beside more tokens than matter, as one more process has it."""
    limits = [tokens_per_minute(10**9), money_per_day(Decimal(dollars), PRICE)]
    return SqlModelBudget(house.app.database, house.clock, limits)


def test_a_price_is_rounded_up_and_never_down() -> None:
    """In millionths of a dollar: what a million tokens cost in dollars is what one costs in those."""
    assert PRICE.of(Tokens(1_000_000, 0)) == 1_250_000
    assert PRICE.of(Tokens(0, 1_000_000)) == 10_000_000
    assert PRICE.of(Tokens(1, 0)) == 2
    assert PRICE.of(Tokens()) == 0


async def test_money_is_reserved_and_settled_like_tokens(tmp_path: Path, clock: FakeClock) -> None:
    """What was spent comes back after a day, not before; a refused question takes nothing of either budget."""
    async with provider() as far, house_with(far, tmp_path, clock) as house:
        ours = money(house, "0.02")
        first = await ours.reserve("acme", Tokens(0, 2_000))  # two cents
        with pytest.raises(RateLimited) as caught:
            await ours.reserve("acme", Tokens(1, 0))
        assert caught.value.stable_code == "money_budget_exceeded"
        assert caught.value.retry_after_s == 24 * 3600
        assert (await spent(house), await counted(house)) == (20_000, 2_000)
        await ours.reserve("other", Tokens(0, 2_000))
        await ours.settle(first, Tokens(800, 500))
        assert await spent(house) == 6_000 + 20_000
        await ours.reserve("acme", Tokens(0, 1_400))
        clock.advance(24 * 3600)
        await ours.reserve("acme", Tokens(0, 2_000))
        with pytest.raises(RateLimited, match="AI_MAX_COST_PER_DAY"):
            await ours.reserve("acme", Tokens(0, 2_001))


async def test_64_at_once_never_spend_more_than_there_is(tmp_path: Path, clock: FakeClock) -> None:
    """Two processes' worth of budgets on one database, asked by 64 at once: what is reserved and what is spent stays below."""
    async with provider() as far, house_with(far, tmp_path, clock) as house:
        budgets = [money(house, "0.10"), money(house, "0.10")]
        asked = [budgets[n % 2].reserve("acme", Tokens(1_000, 1_000)) for n in range(64)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        taken = [one for one in answers if isinstance(one, str)]
        assert all(isinstance(one, RateLimited) for one in answers if not isinstance(one, str))
        assert (len(taken), await spent(house)) == (8, 8 * 11_250)
        await asyncio.gather(*(budgets[0].settle(one, Tokens(900, 10)) for one in taken))
        assert await spent(house) == 8 * 1_225


_ASKER = """
import asyncio, sys
from decimal import Decimal
from steward.clock import SystemClock
from steward.database import Database
from steward.errors import RateLimited
from steward.language_model import Tokens
from steward.language_models.sql_budget import Price, SqlModelBudget, money_per_day

async def main():
    database = Database(sys.argv[1])
    ours = SqlModelBudget(database, SystemClock(), [money_per_day(Decimal("0.10"), Price(Decimal("1.25"), Decimal(10)))])
    print("ready", flush=True)
    sys.stdin.readline()
    asked = (ours.reserve("acme", Tokens(1_000, 1_000)) for _ in range(16))
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(one, (str, RateLimited)) for one in answers), answers
    print(sum(isinstance(one, str) for one in answers))
    await database.aclose()

asyncio.run(main())
"""


async def test_processes_that_ask_at_once_never_spend_more_than_there_is(tmp_path: Path) -> None:
    """Three processes on one database, let go at the same moment: together they reserve what there is, and no more."""
    async with provider() as far, house_with(far, tmp_path) as house:
        url, pipe = house.app.settings.database_url, asyncio.subprocess.PIPE
        askers = [
            await asyncio.create_subprocess_exec(sys.executable, "-c", _ASKER, url, stdin=pipe, stdout=pipe)
            for _ in range(3)
        ]
        for asker in askers:
            assert asker.stdout is not None
            assert await asker.stdout.readline() == b"ready\n"
        told = await asyncio.gather(*(asker.communicate(b"go\n") for asker in askers))
        assert sum(int(out) for out, _ in told) == 8
        assert await spent(house) == 8 * 11_250


async def test_w142_planning_beyond_the_money_is_429_and_asks_nobody(tmp_path: Path, clock: FakeClock) -> None:
    """The provider hears nothing of it; with more money it is asked, and what it cost is counted."""
    prices = {"AI_PRICE_READ": "1.25", "AI_PRICE_WRITTEN": "10"}
    async with (
        provider(plan(FETCH)) as far,
        house_with(far, tmp_path / "poor", clock, AI_MAX_COST_PER_DAY="0.01", **prices) as house,
    ):
        with pytest.raises(RateLimited) as caught:
            await house.plan("Fetch the opening hours")
        assert (caught.value.stable_code, far.site.requests) == ("money_budget_exceeded", [])
    async with (
        provider(plan(FETCH)) as far,
        house_with(far, tmp_path / "rich", clock, AI_MAX_COST_PER_DAY="1", **prices) as house,
    ):
        await house.plan("Fetch the opening hours")
        assert await spent(house) == 450  # 120 read, 30 written
