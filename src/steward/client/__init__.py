"""Steward from Python: ``Steward`` and, for asyncio, ``AsyncSteward``. It needs nothing of the server's own code.

Requests that can be repeated are: each execution carries an idempotency key from the first try on, so a lost answer never
makes a second plan. Lists are walked to their end, events are followed across lost connections, and a refusal is a
``Refused`` with what the server said.
"""

from steward.client.asynchronous import AsyncSteward
from steward.client.failures import ClientError, EventsLost, NoAnswer, Refused
from steward.client.synchronous import Steward

__all__ = ["AsyncSteward", "ClientError", "EventsLost", "NoAnswer", "Refused", "Steward"]
