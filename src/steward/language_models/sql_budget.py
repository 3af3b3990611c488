"""The token budget in the database, where API and workers share it.

A reservation is a row, made in a write that takes turns with every other one: two that together are one too many cannot
both be made. Rows count for a minute; one that is never settled, because its process was killed, counts in full for that long.
"""

import math
import secrets
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select, update

from steward.clock import Clock, milliseconds
from steward.database import Database
from steward.database.tables import model_tokens
from steward.errors import RateLimited

_WINDOW_MS: Final = 60_000
_MOST: Final = 2**53 - 1


class SqlTokenBudget:
    """At most so many tokens within any minute, for each workspace."""

    def __init__(self, database: Database, clock: Clock, per_minute: int) -> None:
        """Count in ``database``."""
        self._database = database
        self._clock = clock
        self._per_minute = per_minute

    async def reserve(self, workspace_id: str, tokens: int) -> str:
        """Take ``tokens`` and return the reservation's id; raise ``RateLimited`` if there are not as many left."""
        if tokens > self._per_minute:
            raise RateLimited(
                f"This may take up to {tokens} tokens, and AI_MAX_TOKENS_PER_MIN allows {self._per_minute}: ask for less, or "
                "have an operator raise it.",
                code="token_budget_exceeded",
                retry_after_s=_WINDOW_MS // 1000,
            )
        now = milliseconds(self._clock.now())
        reservation = secrets.token_hex(16)

        def take(connection: Connection) -> int | None:
            connection.execute(delete(model_tokens).where(model_tokens.c.at <= now - _WINDOW_MS))
            counted = (
                select(model_tokens.c.at, model_tokens.c.tokens)
                .where(model_tokens.c.workspace_id == workspace_id)
                .order_by(model_tokens.c.at)
            )
            wait_ms = _wait_ms(connection.execute(counted).all(), tokens - self._per_minute, now)
            if wait_ms is None:
                row = {"reservation": reservation, "workspace_id": workspace_id, "at": now, "tokens": tokens}
                connection.execute(insert(model_tokens).values(row))
            return wait_ms

        wait_ms = await self._database.write(take)
        if wait_ms is not None:
            raise RateLimited(
                f"The workspace's {self._per_minute} tokens of the language model for a minute are used up or reserved; try "
                "again later.",
                code="token_budget_exceeded",
                retry_after_s=max(math.ceil(wait_ms / 1000), 1),
            )
        return reservation

    async def settle(self, reservation: str, tokens: int) -> None:
        """Replace a reservation by what was used in truth."""
        used = min(max(tokens, 0), _MOST)
        change = update(model_tokens).where(model_tokens.c.reservation == reservation).values(tokens=used)
        await self._database.write(lambda connection: connection.execute(change) and None)


def _wait_ms(rows: Any, excess: int, now: int) -> int | None:
    """Return how long until enough of ``rows``, the oldest first, no longer count; None: there is room now."""
    too_many = sum(row.tokens for row in rows) + excess
    if too_many <= 0:
        return None
    for row in rows:
        too_many -= row.tokens
        if too_many <= 0:
            return row.at + _WINDOW_MS - now
    return _WINDOW_MS


class NoBudget:
    """Where AI_MAX_TOKENS_PER_MIN is not set."""

    async def reserve(self, workspace_id: str, tokens: int) -> str:  # noqa: ARG002 - the contract's
        """Let it pass."""
        return ""

    async def settle(self, reservation: str, tokens: int) -> None:
        """Forget it."""
