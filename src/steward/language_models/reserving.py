"""A model that takes the most that a request may cost from the workspace's budget before the request leaves."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import stamina
from pydantic_ai.exceptions import ModelHTTPError, ModelRateLimitError, ModelServerError, ModelUnavailableError
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings
from pydantic_core import to_json

from steward.errors import StewardError
from steward.language_model import ModelBudget, Tokens, Try

_AROUND: Final = 500
"""Tokens that a provider may put around what it is sent."""
_TRANSIENT: Final = (ModelRateLimitError, ModelUnavailableError, ModelServerError)

_GIVING: Final[set[asyncio.Future[None]]] = set()
"""What is being given back: the event loop alone would not keep it."""


class Reserving(WrapperModel):
    """Reserves before each request and settles after it.

    A token stands for at least one byte, so the bytes of a request are more than its tokens, whatever the model. A provider that
    answers with an error has made no tokens; of any other failure, and of a question that is cancelled on its way, nobody knows, and
    the reservation stands.
    """

    def __init__(
        self,
        wrapped: Model,
        budget: ModelBudget,
        workspace_id: str,
        max_output_tokens: int,
        tell: Callable[[Try], None],
    ) -> None:
        """Take what the requests of one question cost from ``workspace_id``, and tell of each before and after it."""
        super().__init__(wrapped)
        self._budget = budget
        self._workspace_id = workspace_id
        self._max_output_tokens = max_output_tokens
        self._tell = tell
        self._number = 0
        self.tokens_in = 0
        self.tokens_out = 0

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Return the answer; raise ``RateLimited`` if the budget does not allow the request."""
        most = Tokens(_most_tokens(messages, model_request_parameters), self._max_output_tokens)
        reservation = await self._reserved(most)
        self._number += 1
        self._say(answered=False)
        try:
            answer = await self._answer(messages, model_settings, model_request_parameters)
        except ModelHTTPError:
            await self._budget.settle(reservation, Tokens())
            raise
        tokens_in, tokens_out = max(answer.usage.input_tokens, 0), max(answer.usage.output_tokens, 0)
        if tokens_in + tokens_out:  # a server that does not count is believed to have used it all
            await self._budget.settle(reservation, Tokens(tokens_in, tokens_out))
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
        self._say(answered=True)
        return answer

    def _say(self, *, answered: bool) -> None:
        self._tell(Try(number=self._number, used=Tokens(self.tokens_in, self.tokens_out), answered=answered))

    async def _reserved(self, most: Tokens) -> str:
        """Return the reservation; if nobody waits any more when it is made, give it back: nothing has left."""
        making = asyncio.ensure_future(self._budget.reserve(self._workspace_id, most))
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:  # and again at whatever is awaited here
            giving = asyncio.ensure_future(self._give_back(making))
            _GIVING.add(giving)
            giving.add_done_callback(_GIVING.discard)
            raise

    async def _give_back(self, making: asyncio.Future[str]) -> None:
        with suppress(StewardError):
            await self._budget.settle(await making, Tokens())

    async def _answer(self, *request: Any) -> ModelResponse:
        """Return the answer, asked for once more after an error that may pass by itself."""
        async for attempt in stamina.retry_context(on=_TRANSIENT, attempts=2, wait_initial=0.2, wait_max=1.0):
            with attempt:
                return await self.wrapped.request(*request)
        raise AssertionError("it returned or raised")


def _most_tokens(messages: list[ModelMessage], parameters: ModelRequestParameters) -> int:
    tools = [[tool.name, tool.description, tool.parameters_json_schema] for tool in parameters.output_tools]
    return len(ModelMessagesTypeAdapter.dump_json(messages)) + len(to_json(tools)) + _AROUND
