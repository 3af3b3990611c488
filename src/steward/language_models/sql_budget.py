"""The budgets of language models in the database, where API and workers share them: tokens in a minute, money in a day.

A reservation is a row for each limit, made in a write that takes turns with every other one: two that together are one too many
cannot both be made. A row counts as long as its limit looks back; one that is never settled, because its process was killed, counts
in full for that long.
"""

import math
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from typing import Any, Final

from sqlalchemy import Connection, Table, delete, func, insert, select, update

from steward.clock import Clock, milliseconds
from steward.database import Database
from steward.database.tables import model_costs, model_tokens
from steward.errors import RateLimited
from steward.language_model import Tokens

_MINUTE_MS: Final = 60_000
_DAY_MS: Final = 24 * 3600 * 1000
_MOST: Final = 2**53 - 1
_MILLION: Final = Decimal(1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most so much within a time, for each workspace."""

    table: Table
    window_ms: int
    most: int
    measure: Callable[[Tokens], int]
    code: str
    never: Callable[[int], str]
    """What to say of a question that costs more than there ever is."""
    later: str
    """What to say of one that costs more than is left."""


def tokens_per_minute(limit: int) -> Limit:
    """Return the limit on what is read and written within any minute."""
    return Limit(
        table=model_tokens,
        window_ms=_MINUTE_MS,
        most=limit,
        measure=lambda tokens: tokens.total,
        code="token_budget_exceeded",
        never=lambda tokens: (
            f"This may take up to {tokens} tokens, and AI_MAX_TOKENS_PER_MIN allows {limit}: ask for less, or have an operator "
            "raise it."
        ),
        later=f"The workspace's {limit} tokens of the language model for a minute are used up or reserved; try again later.",
    )


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens cost, in dollars. So it is millionths of a dollar for one."""

    read: Decimal
    written: Decimal

    def of(self, tokens: Tokens) -> int:
        """Return the price in millionths of a dollar, rounded up."""
        return int((tokens.read * self.read + tokens.written * self.written).to_integral_value(ROUND_UP))


def money_per_day(limit: Decimal, price: Price) -> Limit:
    """Return the limit on what is spent within any 24 hours, in dollars."""
    return Limit(
        table=model_costs,
        window_ms=_DAY_MS,
        most=int(limit * _MILLION),
        measure=price.of,
        code="money_budget_exceeded",
        never=lambda cost: (
            f"This may cost up to ${cost / _MILLION:.4f}, and AI_MAX_COST_PER_DAY allows ${limit}: ask for less, or have an operator "
            "raise it."
        ),
        later=f"The workspace's ${limit} for the language model within 24 hours are spent or reserved; try again later.",
    )


class SqlModelBudget:
    """Keeps all of these limits: a question is asked if it fits into every one of them."""

    def __init__(self, database: Database, clock: Clock, limits: Sequence[Limit]) -> None:
        """Count in ``database``."""
        self._database = database
        self._clock = clock
        self._limits = tuple(limits)

    async def reserve(self, workspace_id: str, most: Tokens) -> str:
        """Take the most that a question may cost and return the reservation's id; raise ``RateLimited`` if less is left."""
        for limit in self._limits:
            if limit.measure(most) > limit.most:
                said = limit.never(limit.measure(most))
                raise RateLimited(said, code=limit.code, retry_after_s=limit.window_ms // 1000)
        now, reservation = milliseconds(self._clock.now()), secrets.token_hex(16)

        def take(connection: Connection) -> tuple[Limit, int] | None:
            waits = [(limit, _wait_ms(connection, limit, workspace_id, most, now)) for limit in self._limits]
            found = max(
                ((limit, wait) for limit, wait in waits if wait is not None), key=lambda one: one[1], default=None
            )
            for limit in self._limits if found is None else ():
                row = {
                    "reservation": reservation,
                    "workspace_id": workspace_id,
                    "at": now,
                    "amount": limit.measure(most),
                }
                connection.execute(insert(limit.table).values(row))
            return found

        refused = await self._database.write(take)
        if refused is not None:
            limit, wait_ms = refused
            raise RateLimited(limit.later, code=limit.code, retry_after_s=max(math.ceil(wait_ms / 1000), 1))
        return reservation

    async def settle(self, reservation: str, used: Tokens) -> None:
        """Replace a reservation by what was used in truth."""

        def replace(connection: Connection) -> None:
            for limit in self._limits:
                amount = min(max(limit.measure(used), 0), _MOST)
                change = update(limit.table).where(limit.table.c.reservation == reservation).values(amount=amount)
                connection.execute(change)

        await self._database.write(replace)


def _wait_ms(connection: Connection, limit: Limit, workspace_id: str, most: Tokens, now: int) -> int | None:
    """Return how long until what a question may cost fits into a limit; None: there is room now."""
    table = limit.table
    connection.execute(delete(table).where(table.c.at <= now - limit.window_ms))
    own = table.c.workspace_id == workspace_id
    used = int(connection.execute(select(func.coalesce(func.sum(table.c.amount), 0)).where(own)).scalar_one())
    too_many = used + limit.measure(most) - limit.most
    if too_many <= 0:
        return None
    rows: Sequence[Any] = connection.execute(select(table.c.at, table.c.amount).where(own).order_by(table.c.at)).all()
    for row in rows:
        too_many -= row.amount
        if too_many <= 0:
            return row.at + limit.window_ms - now
    return limit.window_ms


class NoBudget:
    """Where neither AI_MAX_TOKENS_PER_MIN nor AI_MAX_COST_PER_DAY is set."""

    async def reserve(self, workspace_id: str, most: Tokens) -> str:  # noqa: ARG002 - the contract's
        """Let it pass."""
        return ""

    async def settle(self, reservation: str, used: Tokens) -> None:
        """Forget it."""
