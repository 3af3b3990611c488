"""A language model answers one question at a time, in text or as JSON; it has no tools and no memory.

Whoever asks says what a fitting answer is. An answer that does not fit is sent back with the reason a bounded number of
times. What it costs is taken from the workspace's budget before the question leaves.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

TRIES: Final = 3
"""How often one question is asked until the answer fits."""


class Unfit(ValueError):
    """An answer cannot be used. Its sentence is for the model, which is asked again."""


def anything(answer: Any) -> None:
    """Take every answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a model is asked."""

    workspace_id: str
    """Whose budget it is taken from."""
    instructions: str
    """What it is to do, in the words of Steward."""
    text: str
    """What it is to do that with; the model is told that this is data."""
    schema: Mapping[str, Any] | None = None
    """JSON Schema of the object that it is to answer with; None: text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """What came back: an object where a schema was given, else text."""

    value: Any
    tokens_in: int
    """Of all tries together."""
    tokens_out: int


@dataclass(frozen=True, slots=True)
class Tokens:
    """How much a model reads and writes."""

    read: int = 0
    written: int = 0

    @property
    def total(self) -> int:
        """Both together."""
        return self.read + self.written


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One of the times that a question is asked."""

    number: int
    """From 1."""
    used: Tokens
    """So far."""
    answered: bool
    """Whether something has come back, fitting or not."""


def unheard(one: Try) -> None:
    """Tell nobody."""


class LanguageModel(Protocol):
    """Answers questions. Safe to use concurrently."""

    @property
    def name(self) -> str:
        """Which model it is, as ``provider:model``."""
        ...

    async def ask(
        self, question: Question, fits: Callable[[Any], None] = anything, tell: Callable[[Try], None] = unheard
    ) -> ModelAnswer:
        """Return an answer that ``fits``, which raises ``Unfit`` for any other; ``tell`` hears of each try, twice.

        Raises ``RateLimited`` when the workspace's budget does not allow it, ``FarEndTimedOut``, or ``FarEndFailed``;
        none of them repeats a word of the provider's, nor any secret.
        """
        ...

    async def aclose(self) -> None:
        """Close its connections."""
        ...


class ModelBudget(Protocol):
    """What every workspace may have a model read and write, and spend on it, however many processes ask."""

    async def reserve(self, workspace_id: str, most: Tokens) -> str:
        """Take the most that a question may cost and return the reservation's id; raise ``RateLimited`` if less is left."""
        ...

    async def settle(self, reservation: str, used: Tokens) -> None:
        """Replace a reservation by what was used in truth."""
        ...
