"""``http.get`` against a real web server."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from steward.action import ActionContext, ActionFailed
from steward.actions.guarded_http import GuardedHttp
from steward.actions.http_get import HttpGet
from steward.plan import MAX_RESULT_BYTES
from steward.provenance import Label
from tests.actions.conftest import attempt, fits
from tests.actions.servers import Site, never, web_server

pytestmark = pytest.mark.anyio
ACTION = HttpGet(GuardedHttp(frozenset({"127.0.0.1"})))


async def fetch(answer: Any, **params: Any) -> dict[str, Any]:
    """Serve ``answer`` and return what the action makes of it; the result must fit its own schema and the size limit."""
    async with web_server(Site({"/": answer})) as port:
        result = await ACTION.run({"url": f"http://127.0.0.1:{port}/", **params}, attempt())
    Draft202012Validator(dict(ACTION.definition.output_schema)).validate(result)
    assert len(json.dumps(result, ensure_ascii=False).encode()) <= MAX_RESULT_BYTES
    return result


async def test_text_is_returned_with_its_type() -> None:
    """Status, content type and text come back; a page is not JSON."""
    assert await fetch((200, {"content-type": "text/html; charset=iso-8859-1"}, "<p>Grüße</p>".encode("latin-1"))) == {
        "status": 200,
        "content_type": "text/html; charset=iso-8859-1",
        "text": "<p>Grüße</p>",
        "truncated": False,
    }


@pytest.mark.parametrize("kind", ["application/json", "Application/Problem+JSON; charset=utf-8"])
async def test_json_is_returned_as_text_and_as_data(kind: str) -> None:
    """A JSON answer has both forms."""
    result = await fetch((200, {"content-type": kind}, b'{"a": [1, "\xc3\xbc"]}'))
    assert result["json"] == {"a": [1, "ü"]}
    assert result["text"] == '{"a": [1, "ü"]}'


@pytest.mark.parametrize("body", [b"{broken", b"NaN", b'"\\ud800"', b"[" * 30_000, b"1" * 30_000, b""])
async def test_json_that_cannot_be_used_stays_text(body: bytes) -> None:
    """Malformed, endless, or beyond what JSON can carry: only the text is returned."""
    result = await fetch((200, {"content-type": "application/json"}, body))
    assert "json" not in result
    assert result["text"] == body.decode()


async def test_an_error_status_is_a_result() -> None:
    """What the server said is returned, whatever the status: the reader decides."""
    assert (await fetch((503, {"content-type": "text/plain"}, b"later")))["status"] == 503


async def test_a_long_page_is_cut_and_says_so() -> None:
    """At most ``max_bytes`` are read, the result always fits, and cut JSON is not taken for data."""
    page = (200, {"content-type": "text/plain"}, b"x" * 200_000)
    assert len((await fetch(page))["text"]) == 32 * 1024
    assert (await fetch(page, max_bytes=10)) | {"content_type": ""} == {
        "status": 200,
        "content_type": "",
        "text": "x" * 10,
        "truncated": True,
    }
    assert (await fetch((200, {"content-type": "text/plain"}, b"\0" * 60_000), max_bytes=65_536))["truncated"]
    cut = await fetch((200, {"content-type": "application/json"}, b"[1, 2, 3]"), max_bytes=6)
    assert "json" not in cut


@pytest.mark.parametrize("charset", ["punycode", "unicode_escape", "utf-7", "zlib", "no-such", '"', "utf-16"])
async def test_a_strange_charset_does_no_harm(charset: str) -> None:
    """Whatever the server claims, the text comes back as something JSON can carry."""
    result = await fetch((200, {"content-type": f"text/plain; charset={charset}"}, b"a\\ud800b\xd8\x00\xff"))
    assert result["text"].encode()


@pytest.mark.parametrize(
    "headers", [{"content-type": "image/png"}, {"content-type": "text/plain", "content-encoding": "gzip"}]
)
async def test_what_is_not_text_is_refused(headers: dict[str, str]) -> None:
    """Pictures, and compression nobody asked for, are a clear failure."""
    with pytest.raises(ActionFailed) as caught:
        await fetch((200, headers, b"\x89PNG"))
    assert (caught.value.code, caught.value.retryable) == ("not_text", False)


async def test_silence_may_be_tried_again(context: ActionContext) -> None:
    """A read that gets no answer in time changes nothing and is retryable."""
    async with web_server(Site({"/": never})) as port:
        action = HttpGet(GuardedHttp(frozenset({"127.0.0.1"})), timeout_s=0.1)
        with pytest.raises(ActionFailed) as caught:
            await action.run({"url": f"http://127.0.0.1:{port}/"}, context)
    assert (caught.value.code, caught.value.retryable) == ("far_end_timed_out", True)


async def test_w70_inner_addresses_are_refused(context: ActionContext) -> None:
    """Without an exception this machine cannot be read."""
    site = Site({"/": (200, {}, b"secret")})
    async with web_server(site) as port:
        with pytest.raises(ActionFailed) as caught:
            await HttpGet(GuardedHttp(frozenset())).run({"url": f"http://127.0.0.1:{port}/"}, context)
    assert caught.value.code == "address_refused"
    assert site.requests == []


def test_everything_that_comes_back_is_untrusted() -> None:
    """A page's author decides every field of the result."""
    definition = ACTION.definition
    assert {definition.label_of(field) for field in definition.output_schema["properties"]} == {Label.UNTRUSTED}
    assert definition.role_of("url") == "destination"


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"url": "ftp://example.com"},
        {"url": "http://exa mple.com"},
        {"url": "http://example.com\n"},
        {"url": 3},
        {"url": "http://example.com/" + "a" * 2048},
        {"url": "http://example.com", "max_bytes": 0},
        {"url": "http://example.com", "max_bytes": 65_537},
        {"url": "http://example.com", "method": "DELETE"},
    ],
)
def test_w68_the_schema_stops_what_does_not_fit(params: dict[str, Any]) -> None:
    """Other schemes, blanks, sizes out of range and unknown parameters fail the plan check."""
    assert not fits(ACTION.definition, params)
    assert fits(ACTION.definition, {"url": "HTTPS://example.com/a?b#c", "max_bytes": 65_536})
