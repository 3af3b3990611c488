"""Any provider's model, through pydantic-ai, which is imported on the first question: that takes seconds.

The model is given no tool but the one that carries its answer, so an answer that calls another one is merely wrong.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import structlog

from steward.errors import ConfigurationError, FarEndFailed, FarEndTimedOut, StewardError
from steward.language_model import (
    TRIES,
    LanguageModel,
    ModelAnswer,
    ModelBudget,
    Question,
    Try,
    Unfit,
    anything,
    unheard,
)

if TYPE_CHECKING:
    import httpx2
    from pydantic_ai.models import Model

_log = structlog.get_logger("steward.language_model")
_FAILED: Final = "The language model failed to answer; try again shortly, or have an operator look at AI_MODEL."
_UNUSABLE: Final = "The language model gave no answer that can be used; try again, or say it in other words."
_LATE: Final = "The language model did not answer in time; try again, or ask for less at a time."
_MAX_TOKENS: Final = 10**12
_ANSWER: Final = "answer"

TokenCount = Callable[[int, int], None]
"""Is told how many tokens a question cost: read, and written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAddress:
    """Which model, where, and with what key."""

    provider: str
    model: str
    key: str
    base_url: str | None = None

    def __repr__(self) -> str:
        """Return the name alone: the key is a secret."""
        return f"{self.provider}:{self.model}"


class AnyProviderModel(LanguageModel):
    """Asks one model of one provider."""

    def __init__(
        self,
        address: ModelAddress,
        *,
        budget: ModelBudget,
        max_output_tokens: int,
        timeout_s: float,
        count: TokenCount,
    ) -> None:
        """Use these; raise ``ConfigurationError`` if the libraries for it are not installed."""
        if find_spec("pydantic_ai") is None:
            raise ConfigurationError("AI_MODEL needs more libraries: install 'steward[ai]', or unset it.")
        self._address = address
        self._budget = budget
        self._max_output_tokens = max_output_tokens
        self._timeout_s = timeout_s
        self._count = count
        self._making = asyncio.Lock()
        self._made: tuple[Model, httpx2.AsyncClient] | None = None

    @property
    def name(self) -> str:
        """Which model it is, as ``provider:model``."""
        return repr(self._address)

    async def ask(
        self, question: Question, fits: Callable[[Any], None] = anything, tell: Callable[[Try], None] = unheard
    ) -> ModelAnswer:
        """Return an answer that ``fits``, asked for at most ``TRIES`` times, all within the time that is set."""
        model = await self._model()
        from steward.language_models.reserving import Reserving  # noqa: PLC0415 - takes seconds

        asked = Reserving(model, self._budget, question.workspace_id, self._max_output_tokens, tell)
        try:
            async with asyncio.timeout(self._timeout_s):
                value = await self._run(asked, question, fits)
        except StewardError:
            raise
        except Exception as error:  # noqa: BLE001 - a hostile answer can break a provider's library in any way
            raise self._told(error) from None
        finally:
            self._count(min(asked.tokens_in, _MAX_TOKENS), min(asked.tokens_out, _MAX_TOKENS))
        return ModelAnswer(
            value=value, tokens_in=min(asked.tokens_in, _MAX_TOKENS), tokens_out=min(asked.tokens_out, _MAX_TOKENS)
        )

    async def aclose(self) -> None:
        """Close its connections."""
        if self._made is not None:
            await self._made[1].aclose()

    async def _model(self) -> "Model":
        async with self._making:
            if self._made is None:
                self._made = await asyncio.to_thread(self._make)
            return self._made[0]

    def _make(self) -> "tuple[Model, httpx2.AsyncClient]":
        import steward.language_models.reserving  # noqa: F401, PLC0415 - in this thread, beside the event loop
        from steward.language_models.provider import bounded_client, provider_model  # noqa: PLC0415

        http, to = bounded_client(self._timeout_s), self._address
        return provider_model(to.provider, to.model, to.key, to.base_url, http), http

    async def _run(self, model: "Model", question: Question, fits: Callable[[Any], None]) -> Any:
        from pydantic_ai import Agent, ModelRetry, StructuredDict, ToolOutput  # noqa: PLC0415
        from pydantic_ai.usage import UsageLimits  # noqa: PLC0415

        kind: Any = str
        if question.schema is not None:
            kind = ToolOutput(StructuredDict(dict(question.schema), name=_ANSWER), name=_ANSWER, strict=False)
        agent: Any = Agent(model, output_type=kind, instructions=question.instructions, retries=TRIES - 1)

        @agent.output_validator
        def fitting(value: Any) -> Any:
            self._keep_secrets(value)
            try:
                fits(value)
            except Unfit as why:
                raise ModelRetry(str(why)) from None
            return value

        run = await agent.run(
            question.text,
            model_settings={"max_tokens": self._max_output_tokens, "temperature": 0.0},
            usage_limits=UsageLimits(request_limit=TRIES),
        )
        return run.output

    def _keep_secrets(self, value: Any) -> None:
        """Refuse an answer in which the key comes back: it would be kept and shown."""
        if self._address.key and self._address.key in str(value):
            raise FarEndFailed(_UNUSABLE, code="model_answer_unusable")

    def _told(self, error: Exception) -> StewardError:
        """Return what is said about an error: nothing of what the provider said."""
        from pydantic_ai.exceptions import (  # noqa: PLC0415
            ModelRequestTimeout,
            ModelTimeoutError,
            UnexpectedModelBehavior,
            UsageLimitExceeded,
        )

        _log.warning("A question to the language model failed.", action="model_failed", kind=type(error).__name__)
        if isinstance(error, (TimeoutError, ModelTimeoutError, ModelRequestTimeout)):
            return FarEndTimedOut(_LATE, code="model_timed_out")
        if isinstance(error, (UnexpectedModelBehavior, UsageLimitExceeded)):
            return FarEndFailed(_UNUSABLE, code="model_answer_unusable")
        return FarEndFailed(_FAILED, code="model_failed")
