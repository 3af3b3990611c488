"""A model that takes the most that a request may cost from the workspace's budget before the request leaves."""

from typing import Any, Final

import stamina
from pydantic_ai.exceptions import ModelHTTPError, ModelRateLimitError, ModelServerError, ModelUnavailableError
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings
from pydantic_core import to_json

from steward.language_model import ModelBudget, Tokens

_AROUND: Final = 500
"""Tokens that a provider may put around what it is sent."""
_TRANSIENT: Final = (ModelRateLimitError, ModelUnavailableError, ModelServerError)


class Reserving(WrapperModel):
    """Reserves before each request and settles after it.

    A token stands for at least one byte, so the bytes of a request are more than its tokens, whatever the model. A provider that
    answers with an error has made no tokens; of any other failure nobody knows, and the reservation stands.
    """

    def __init__(self, wrapped: Model, budget: ModelBudget, workspace_id: str, max_output_tokens: int) -> None:
        """Take what the requests of one question cost from ``workspace_id``."""
        super().__init__(wrapped)
        self._budget = budget
        self._workspace_id = workspace_id
        self._max_output_tokens = max_output_tokens
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
        reservation = await self._budget.reserve(self._workspace_id, most)
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
        return answer

    async def _answer(self, *request: Any) -> ModelResponse:
        """Return the answer, asked for once more after an error that may pass by itself."""
        async for attempt in stamina.retry_context(on=_TRANSIENT, attempts=2, wait_initial=0.2, wait_max=1.0):
            with attempt:
                return await self.wrapped.request(*request)
        raise AssertionError("it returned or raised")


def _most_tokens(messages: list[ModelMessage], parameters: ModelRequestParameters) -> int:
    tools = [[tool.name, tool.description, tool.parameters_json_schema] for tool in parameters.output_tools]
    return len(ModelMessagesTypeAdapter.dump_json(messages)) + len(to_json(tools)) + _AROUND
