"""A provider of language models on this machine: it speaks the protocols of three, and says what a test has it say."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steward.language_models.any_provider import AnyProviderModel
from steward.planners.language_model import ModelPlanner
from tests.actions.servers import Send, Site, web_server
from tests.conftest import FakeClock
from tests.installation import Installation, installation

KEY = "sk-tests-0123456789abcdef"
USAGE = {"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150}


def completion(message: dict[str, Any], usage: Any = USAGE, finish: str = "stop") -> bytes:
    """Return a chat completion as OpenAI's protocol has it."""
    return json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_790_000_000,
            "model": "test-1",
            "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}],
            "usage": usage,
        }
    ).encode()


def call(arguments: Any, name: str = "answer") -> dict[str, Any]:
    """Return a message that calls a tool; ``arguments`` as they are if they are text."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    function = {"name": name, "arguments": text}
    return {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}


def plan(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a plan as a model answers it."""
    return {"intent": "Do it.", "explanation": "It is what was asked for.", "steps": list(steps), **more}


def step(action_id: str, params: dict[str, Any], step_id: str = "s1", **more: Any) -> dict[str, Any]:
    """Return a step of such a plan."""
    return {"id": step_id, "action_id": action_id, "params": params, **more}


Says = Any
"""A JSON value (the arguments of the answer), a message, bytes, (status, headers, bytes), or a function that answers."""


@dataclass
class Provider:
    """What the provider says, one after the other, the last again and again; and what it was asked."""

    says: list[Says] = field(default_factory=list)
    usage: Any = field(default_factory=lambda: dict(USAGE))
    site: Site = field(default_factory=lambda: Site({}))
    port: int = 0
    gate: asyncio.Event | None = None
    """Every answer waits for it, if there is one."""
    arrived: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    @property
    def asked(self) -> list[dict[str, Any]]:
        """The bodies of all requests."""
        return [json.loads(request.body) for request in self.site.requests]

    @property
    def text(self) -> str:
        """All that was ever sent to the provider."""
        return b"\n".join(request.body for request in self.site.requests).decode()

    async def answer(self, site: Site, send: Send) -> None:
        """Answer one request."""
        number = len(site.requests)
        said = self.says[min(number, len(self.says)) - 1]
        self.arrived.release()
        if self.gate is not None:
            await self.gate.wait()
        if callable(said):
            await said(site, send)
            return
        if isinstance(said, tuple):
            status, headers, body = said
        else:
            body = said if isinstance(said, bytes) else self._spoken(site.requests[-1].path, said)
            status, headers = 200, {"content-type": "application/json"}
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    def _spoken(self, path: str, said: Any) -> bytes:
        if path == "/v1/messages":
            content = [{"type": "tool_use", "id": "toolu_1", "name": "answer", "input": said}]
            usage = {"input_tokens": 120, "output_tokens": 30}
            return json.dumps(
                {
                    "id": "msg_1",
                    "type": "message",
                    "role": "assistant",
                    "model": "test-1",
                    "content": content,
                    "stop_reason": "tool_use",
                    "stop_sequence": None,
                    "usage": usage,
                }
            ).encode()
        if path.endswith(":generateContent"):
            part = {"functionCall": {"name": "answer", "args": said}}
            return json.dumps(
                {
                    "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}],
                    "usageMetadata": {"promptTokenCount": 120, "candidatesTokenCount": 30, "totalTokenCount": 150},
                }
            ).encode()
        if isinstance(said, str):
            return completion({"content": said}, self.usage)
        message = said if "tool_calls" in said or "content" in said else call(said)
        return completion(message, self.usage)


@contextlib.asynccontextmanager
async def provider(*says: Says) -> AsyncIterator[Provider]:
    """Run a provider that says these things."""
    running = Provider(list(says))
    paths = ("/v1/chat/completions", "/v1/messages", "/v1beta/models/test-1:generateContent")
    running.site.answers.update(dict.fromkeys(paths, running.answer))
    async with web_server(running.site) as port:
        running.port = port
        yield running


def model_of(house: Installation) -> AnyProviderModel:
    """Return the model that an installation asks."""
    planner = house.app.planner
    assert isinstance(planner, ModelPlanner)
    assert isinstance(planner._model, AnyProviderModel)
    return planner._model


@contextlib.asynccontextmanager
async def house_with(
    running: Provider, home: Path, clock: FakeClock | None = None, **env: str
) -> AsyncIterator[Installation]:
    """Open an installation that asks this provider."""
    settings = {
        "AI_MODEL": "openai:test-1",
        "AI_BASE_URL": f"http://127.0.0.1:{running.port}/v1",
        "OPENAI_API_KEY": KEY,
        **env,
    }
    async with installation(home, clock=clock or FakeClock(), env=settings) as house:
        yield house
