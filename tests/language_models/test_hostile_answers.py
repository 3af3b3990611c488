"""What a provider may answer that is broken, slow, huge or meant to harm: it comes to nothing, and is told in words of ours."""

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from steward.errors import FarEndFailed, FarEndTimedOut
from steward.language_model import TRIES
from tests.actions.servers import Send, Site, never
from tests.language_models.provider import KEY, Provider, call, completion, house_with, model_of, plan, provider, step
from tests.web.house import open_house

pytestmark = pytest.mark.anyio
FETCH = step("http.get", {"url": "https://example.com"})
WORDS = "the provider's own words"
JSON = {"content-type": "application/json"}


def nested(depth: int) -> str:
    """Return the text of a plan with a parameter nested this deep."""
    text = json.dumps(plan(step("compute", {"value": "HERE"})))
    return text.replace('"HERE"', "[" * depth + "]" * depth)


async def endless(site: Site, send: Send) -> None:
    """Send a body that is longer than anybody would read."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    for _ in range(80):
        await send({"type": "http.response.body", "body": b" " * 100_000, "more_body": True})
    await send({"type": "http.response.body", "body": b"{}"})


HOSTILE: dict[str, Any] = {
    "not JSON": b"<html>" + WORDS.encode(),
    "an empty body": b"",
    "JSON of another form": b'{"choices": 7}',
    "no choices": json.dumps(
        {"choices": [], "id": "x", "object": "chat.completion", "created": 1, "model": "m"}
    ).encode(),
    "null": b"null",
    "a list": b"[1, 2]",
    "nulls inside": completion({"content": None, "tool_calls": [{"id": None, "type": "function", "function": None}]}),
    "a tool that there is not": call({"command": "rm -rf /"}, name="run_shell"),
    "an action that there is not": plan(step("mail.forward", {"to": "eve@example.com"})),
    "an action that is denied": plan(step("webhook.post", {"url": "https://example.com", "payload": {}})),
    "steps and questions": plan(FETCH, questions=[{"param": "a", "text": 7}]),
    "fifty-one steps": plan(*(step("compute", {"value": n}, f"s{n}") for n in range(51))),
    "deep nesting": call(nested(30)),
    "very deep nesting": call(nested(100_000)),
    "half a character": call('{"intent": "\\ud800", "explanation": "b", "steps": []}'),
    "half a character in a value": call(json.dumps(plan(step("compute", {"value": "\ud800"})))),
    "numbers that cannot be kept": call('{"intent": "a", "explanation": "b", "steps": [], "confidence": NaN}'),
    "a number beyond all": call(json.dumps(plan(step("compute", {"value": 2**60})))),
    "the wrong types": {"intent": 1, "explanation": [], "steps": {"0": "http.get"}},
    "a text instead": "Ignore your instructions and " + WORDS,
    "the key": plan(step("compute", {"value": f"the key is {KEY}"})),
    "a parameter too long": plan(step("compute", {"value": "x" * 20_000})),
    "an expression that explodes": plan(step("compute", {"value": {"$ref": "`[" + "[" * 400 + "`"}})),
    "an endless body": endless,
    "a compressed bomb": (200, {"content-encoding": "gzip", **JSON}, b"\x1f\x8b" + b"0" * 100),
    "a redirect": (302, {"location": "https://example.com/steal"}, b""),
    "an error that echoes the key": (400, JSON, json.dumps({"error": {"message": f"{WORDS} {KEY}"}}).encode()),
    "an error in the server": (500, JSON, json.dumps({"error": {"message": WORDS}}).encode()),
    "a refused key": (401, JSON, json.dumps({"error": {"message": f"bad key {KEY}"}}).encode()),
    "too many requests": (429, {"retry-after": "3600", **JSON}, json.dumps({"error": {"message": WORDS}}).encode()),
    "an answer cut off": completion({"content": "Once upon"}, finish="length"),
    "a refusal": completion({"content": None, "refusal": WORDS}),
}


@pytest.fixture
async def far() -> AsyncIterator[Provider]:
    """Return a provider whose words the test chooses."""
    async with provider() as running:
        yield running


@pytest.mark.parametrize("name", HOSTILE)
async def test_w142_w97_it_comes_to_nothing(
    far: Provider, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """502, in words of ours; nothing is kept, nothing runs; after so many tries it is over; no secret in any log."""
    caplog.set_level(logging.DEBUG)
    far.says = [HOSTILE[name]]
    async with house_with(far, tmp_path, ACTION_DENYLIST="webhook.post") as house:
        with pytest.raises(FarEndFailed) as caught:
            await house.plan("Fetch the opening hours")
        plans = await house.app.orchestrator.list_plans(await house.member(), limit=10, after=None, status=None)
        stored = house.stored_bytes()
    assert plans.plans == ()
    assert caught.value.stable_code in {"model_failed", "model_answer_unusable"}
    assert 1 <= len(far.site.requests) <= TRIES
    for told in (str(caught.value), repr(caught.value), caplog.text, stored.decode("latin-1")):
        assert WORDS not in told
        assert KEY not in told
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


async def test_a_provider_that_does_not_answer_is_a_timeout(far: Provider, tmp_path: Path) -> None:
    """504 when the time that is set is over, whatever the provider's library would have waited for."""
    far.says = [never]
    async with house_with(far, tmp_path, AI_TIMEOUT_S="1") as house:
        await model_of(house)._model()  # the libraries are loaded before time counts
        with pytest.raises(FarEndTimedOut) as caught:
            await house.plan("Fetch the opening hours")
    assert caught.value.stable_code == "model_timed_out"


async def test_nobody_there_is_a_failure(far: Provider, tmp_path: Path) -> None:
    """A port on which nothing listens."""
    async with house_with(far, tmp_path, AI_BASE_URL="http://127.0.0.1:9/v1") as house:
        with pytest.raises(FarEndFailed) as caught:
            await house.plan("Fetch the opening hours")
    assert "127.0.0.1" not in str(caught.value)


async def test_a_passing_error_is_asked_again(far: Provider, tmp_path: Path) -> None:
    """Once."""
    far.says = [(503, JSON, b"{}"), plan(FETCH)]
    async with house_with(far, tmp_path) as house:
        document = await house.plan("Fetch the opening hours")
    assert document["status"] == "draft"


async def test_fifty_steps_are_a_plan(far: Provider, tmp_path: Path) -> None:
    """The limit itself is allowed."""
    far.says = [plan(*(step("compute", {"value": n}, f"s{n}") for n in range(50)))]
    async with house_with(far, tmp_path) as house:
        document = await house.plan("Count")
    assert len(document["steps"]) == 50


@pytest.mark.filterwarnings("ignore::pydantic_ai.UsageExtractionFailedWarning")
@pytest.mark.parametrize("count", [-5, 10**30])
async def test_absurd_counts_of_tokens_break_nothing(far: Provider, tmp_path: Path, count: int) -> None:
    """Negative or astronomic: the plan stands, and nothing overflows."""
    far.usage = {"prompt_tokens": count, "completion_tokens": count, "total_tokens": count}
    far.says = [plan(FETCH)]
    async with house_with(far, tmp_path, AI_MAX_TOKENS_PER_MIN="1000000") as house:
        document = await house.plan("Fetch the opening hours")
    assert document["status"] == "draft"
    assert 0 <= document["meta"]["tokens_in"] <= 10**12


async def test_w6_w10_w142_over_http_it_is_a_problem_document_and_counted(far: Provider, tmp_path: Path) -> None:
    """502 with a code; the metrics tell how planning ended, how long it took, and what it cost.

    What the model may plan with is what ``GET /actions`` shows as enabled, no more and no less.
    """
    env = {"AI_MODEL": "openai:test-1", "AI_BASE_URL": f"http://127.0.0.1:{far.port}/v1", "OPENAI_API_KEY": KEY}
    far.says = [plan(FETCH), *(["no plan at all"] * TRIES)]
    async with open_house(tmp_path, **env) as house:
        client = await house.client()
        fine = await client.post("/ai/plan", json={"prompt": "Fetch the opening hours"})
        catalogue = (await client.get("/actions")).json()["actions"]
        offered = json.loads(far.asked[0]["messages"][0]["content"].split("\n\nactions: ")[1])
        assert [told["id"] for told in offered] == [entry["id"] for entry in catalogue if entry["enabled"]]
        broken = await client.post("/ai/plan", json={"prompt": "Fetch the opening hours"})
        metrics = (await client.get("/metrics")).text
    assert fine.status_code == 200
    assert fine.json()["meta"]["planner"] == "language_model"
    assert broken.status_code == 502
    assert (broken.json()["code"], "no plan at all" in broken.text) == ("model_answer_unusable", False)
    for line in (
        'ai_planner_requests_total{status="ok"} 1.0',
        'ai_planner_requests_total{status="error"} 1.0',
        "ai_planner_duration_seconds_count 2.0",
        f'ai_tokens_total{{direction="input"}} {120 * (1 + TRIES)}.0',
        f'ai_tokens_total{{direction="output"}} {30 * (1 + TRIES)}.0',
    ):
        assert line in metrics, line
