"""Makes the client of one provider. The only module that knows which providers there are; importing it takes seconds.

Every client speaks through one bounded HTTP client of ours: no redirects (a key must not travel), an answer of limited size,
no repeats behind our back (each would have to be paid for).
"""

from collections.abc import AsyncIterator
from typing import Any, Final

import httpx2
from pydantic_ai.models import Model

_OPENAI: Final = "https://api.openai.com/v1"
_ANTHROPIC: Final = "https://api.anthropic.com"
_GOOGLE: Final = "https://generativelanguage.googleapis.com"
_MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024


class TooLong(httpx2.ReadError):
    """An answer is longer than any that could be used."""


class _Bounded(httpx2.AsyncByteStream):
    """A body that ends with an error where it becomes too long."""

    def __init__(self, body: Any) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = _MAX_ANSWER_BYTES
        async for part in self._body:
            left -= len(part)
            if left < 0:
                raise TooLong("The answer is too long.")
            yield part

    async def aclose(self) -> None:
        await self._body.aclose()


class _BoundedTransport(httpx2.AsyncHTTPTransport):
    """Asks for answers as they are, so that none grows when it is unpacked, and reads only so much of them."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["accept-encoding"] = "identity"
        answer = await super().handle_async_request(request)
        if answer.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
            await answer.aclose()
            raise TooLong("The answer is compressed although none was asked for.")
        answer.stream = _Bounded(answer.stream)
        return answer


def bounded_client(timeout_s: float) -> httpx2.AsyncClient:
    """Return the HTTP client that all providers' libraries are given."""
    return httpx2.AsyncClient(transport=_BoundedTransport(), timeout=timeout_s, follow_redirects=False, trust_env=False)


def provider_model(provider: str, model: str, key: str, base_url: str | None, http: httpx2.AsyncClient) -> Model:
    """Return the library's model."""
    match provider:
        case "anthropic":
            from anthropic import AsyncAnthropic  # noqa: PLC0415 - only the provider that is used
            from pydantic_ai.models.anthropic import AnthropicModel  # noqa: PLC0415
            from pydantic_ai.providers.anthropic import AnthropicProvider  # noqa: PLC0415

            claude = AsyncAnthropic(api_key=key, base_url=base_url or _ANTHROPIC, max_retries=0, http_client=http)
            return AnthropicModel(model, provider=AnthropicProvider(anthropic_client=claude))
        case "google":
            from pydantic_ai.models.google import GoogleModel  # noqa: PLC0415
            from pydantic_ai.providers.google import GoogleProvider  # noqa: PLC0415

            return GoogleModel(
                model, provider=GoogleProvider(api_key=key, base_url=base_url or _GOOGLE, http_client=http)
            )
        case _:
            from openai import AsyncOpenAI  # noqa: PLC0415
            from pydantic_ai.models.openai import OpenAIChatModel  # noqa: PLC0415
            from pydantic_ai.providers.openai import OpenAIProvider  # noqa: PLC0415

            client = AsyncOpenAI(api_key=key or "none", base_url=base_url or _OPENAI, max_retries=0, http_client=http)
            return OpenAIChatModel(model, provider=OpenAIProvider(openai_client=client))
