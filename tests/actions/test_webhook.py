"""``webhook.post`` against a real receiver, its signatures checked with the reference implementation."""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from steward.action import ActionContext, ActionFailed
from steward.actions.guarded_http import GuardedHttp
from steward.actions.webhook import WebhookPost
from steward.errors import ConfigurationError, FarEndFailed, FarEndTimedOut
from tests.actions.conftest import attempt, fits
from tests.actions.servers import Send, Site, never, web_server
from tests.conftest import FakeClock

pytestmark = pytest.mark.anyio
HTTP = GuardedHttp(frozenset({"127.0.0.1", "localhost"}))
PAYLOAD = {"text": "Grüße", "n": 1}


def secret(fill: bytes) -> str:
    """Return a well-formed secret."""
    return "whsec_" + base64.b64encode(fill * 32).decode()


def now() -> FakeClock:
    """Return a clock at the machine's time, which the reference implementation compares with."""
    return FakeClock(datetime.now(UTC))


async def post(site: Site, secrets: dict[str, str], path: str = "/", **params: Any) -> Any:
    """Run the receiver, post to it, and return the result; ``{port}`` in a destination is the receiver's."""
    async with web_server(site) as port:
        known = {destination.format(port=port): key for destination, key in secrets.items()}
        action = WebhookPost(HTTP, known, clock=now())
        return await action.run({"url": f"http://127.0.0.1:{port}{path}", "payload": PAYLOAD, **params}, attempt())


async def failure(answer: Any, clock: FakeClock | None = None) -> ActionFailed:
    """Post to a receiver with this answer and return the ``ActionFailed`` that must come."""
    async with web_server(Site({"/": answer})) as port:
        with pytest.raises(ActionFailed) as caught:
            await WebhookPost(HTTP, {}, clock=clock).run({"url": f"http://127.0.0.1:{port}/", "payload": {}}, attempt())
    return caught.value


async def test_w71_the_signature_verifies_and_covers_id_time_and_body() -> None:
    """The receiver's own library accepts the message, and refuses it with another body, id, time or secret."""
    site = Site({"/": (200, {}, b"ok")})
    result = await post(site, {"127.0.0.1": secret(b"a")})
    [request] = site.requests
    assert result == {"status": 200, "response": "ok"}
    assert Webhook(secret(b"a")).verify(request.body, request.headers) == PAYLOAD
    assert request.headers["webhook-id"] == "job_1"
    assert request.headers["content-type"] == "application/json"
    stamp = str(int(request.headers["webhook-timestamp"]) + 1)
    for body, headers, key in (
        (request.body + b" ", request.headers, secret(b"a")),
        (request.body, request.headers | {"webhook-id": "job_2"}, secret(b"a")),
        (request.body, request.headers | {"webhook-timestamp": stamp}, secret(b"a")),
        (request.body, request.headers, secret(b"b")),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(key).verify(body, headers)


async def test_each_attempt_carries_the_same_id_and_body() -> None:
    """A receiver can tell a repeat; only the time stamp, and so the signature, moves on."""
    site, clock = Site({"/": (200, {}, b"")}), now()
    async with web_server(site) as port:
        action = WebhookPost(HTTP, {"127.0.0.1": secret(b"a")}, clock=clock)
        await action.run({"url": f"http://127.0.0.1:{port}/", "payload": {"b": 1, "a": 2}}, attempt())
        clock.advance(90)
        await action.run({"url": f"http://127.0.0.1:{port}/", "payload": {"a": 2, "b": 1}}, attempt())
    first, second = site.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 90
    assert action.definition.retry == "keyed"


@pytest.mark.parametrize(
    ("destination", "path", "signed"),
    [
        ("127.0.0.1", "/a", True),
        ("127.0.0.1:{port}", "/a", True),
        ("http://127.0.0.1:{port}", "/a", True),
        ("http://127.0.0.1:{port}/a", "/a", True),
        ("http://127.0.0.1:{port}/a/", "/a/b", True),
        ("http://127.0.0.1:{port}/a", "/ab", False),
        ("http://127.0.0.1:{port}/a", "/", False),
        ("https://127.0.0.1:{port}/a", "/a", False),
        ("http://127.0.0.1/a", "/a", False),
        ("127.0.0.1:1", "/a", False),
        ("localhost", "/a", False),
        ("127.0.0.1.example.com", "/a", False),
    ],
)
async def test_w71_a_secret_signs_for_its_own_destination_only(destination: str, path: str, *, signed: bool) -> None:
    """A message to any other host, port, scheme or path goes unsigned: no receiver gets another's signature."""
    site = Site({path: (200, {}, b"")})
    await post(site, {destination: secret(b"a")}, path)
    headers = site.requests[0].headers
    assert ("webhook-signature" in headers) is signed
    assert {"webhook-id", "webhook-timestamp"} <= set(headers)


async def test_the_closest_secret_wins() -> None:
    """A URL prefix outranks its host, and a longer prefix a shorter one."""
    site = Site({"/a/b": (200, {}, b"")})
    keys = {
        "127.0.0.1": secret(b"h"),
        "http://127.0.0.1:{port}/a/b": secret(b"b"),
        "http://127.0.0.1:{port}/a": secret(b"a"),
    }
    await post(site, keys, "/a/b")
    Webhook(secret(b"b")).verify(site.requests[0].body, site.requests[0].headers)


@pytest.mark.parametrize(
    ("destination", "key"),
    [
        ("hooks.example.com", "whsec_short"),
        ("hooks.example.com", "whsec_" + "!" * 40),
        ("hooks.example.com", secret(b"a").removeprefix("whsec_")),
        ("hooks.example.com", "whsec_" + base64.b64encode(b"x" * 65).decode()),
        ("", secret(b"a")),
        ("hooks.example.com/path", secret(b"a")),
        ("http://user@hooks.example.com", secret(b"a")),
        ("https://hooks.example.com/?q", secret(b"a")),
        ("hooks.example.com:x", secret(b"a")),
    ],
)
def test_a_malformed_secret_names_its_setting_and_stays_secret(destination: str, key: str) -> None:
    """The start is refused with the variable's name and the entry's position, never its value."""
    with pytest.raises(ConfigurationError, match="WEBHOOK_SECRETS: entry 1") as caught:
        WebhookPost(HTTP, {destination: key})
    assert key.removeprefix("whsec_") not in caught.value.detail
    assert not caught.value.__context__ or caught.value.__suppress_context__


@pytest.mark.parametrize("status", [200, 201, 204, 299])
async def test_any_2xx_is_success(status: int) -> None:
    """Only these count as delivered."""
    assert (await post(Site({"/": (status, {}, b"")}), {}))["status"] == status


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(status, False) for status in (301, 302, 400, 401, 404, 410, 422)]
    + [(status, True) for status in (408, 409, 425, 429, 500, 501, 503, 599)],
)
async def test_other_answers_are_failures(status: int, *, retryable: bool) -> None:
    """Refusals and redirects are final; busy, early, conflicting and broken receivers are tried again."""
    failed = await failure((status, {"location": "http://127.0.0.1/"}, b"x"))
    assert (failed.code, failed.retryable, failed.retry_after_s) == (f"http_{status}", retryable, None)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("99999999", 3600),
        ("9" * 5000, 3600),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("Wed, 04 Mar 2026 09:31:00 GMT", 60),
        ("Wed, 04 Mar 2026 09:00:00 GMT", 0),
        ("Wed, 04 Mar 9999 09:00:00 GMT", 3600),
        ("Wed, 99 Mar 2026 09:00:00 GMT", None),
    ],
)
async def test_w87_advice_to_wait_is_honoured_within_bounds(value: str, seconds: float | None) -> None:
    """Retry-After in either form is passed on, at most an hour; what cannot be read is ignored."""
    assert (await failure((503, {"retry-after": value}, b""), FakeClock())).retry_after_s == seconds


async def test_w72_the_answer_is_bounded_and_redacted() -> None:
    """At most 500 characters of the answer are kept, the rest is not even read, and secrets in it are masked."""

    async def endless(site: Site, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        body = b"password=hunter2 \xff\0" + b"x" * 5000
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await site.released.wait()

    response = (await post(Site({"/": endless}), {}))["response"]
    assert len(response) == 500
    assert "hunter2" not in response
    assert "\0" not in response


async def test_no_answer_is_not_a_failure(context: ActionContext) -> None:
    """A message that left and got no answer may have arrived; the repeat is safe because it carries the same id."""

    async def break_off(site: Site, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})

    site = Site({"/silent": never, "/broken": break_off})
    async with web_server(site) as port:
        action = WebhookPost(HTTP, {}, timeout_s=0.1)
        for path, expected in (("silent", FarEndTimedOut), ("broken", FarEndFailed)):
            with pytest.raises(expected):
                await action.run({"url": f"http://127.0.0.1:{port}/{path}", "payload": {}}, context)
    assert len(site.requests) == 2


async def test_own_headers_are_sent() -> None:
    """Ordinary headers of the caller arrive."""
    site = Site({"/": (200, {}, b"")})
    await post(site, {}, headers={"X-Tenant": "acme", "Authorization": "Bearer abc"})
    assert site.requests[0].headers["x-tenant"] == "acme"
    assert site.requests[0].headers["authorization"] == "Bearer abc"


OURS = [
    "Host",
    "content-type",
    "Content-Length",
    "CONTENT-ENCODING",
    "webhook-id",
    "Webhook-Signature",
    "webhook-timestamp",
]
OURS += ["Transfer-Encoding", "Connection", "Expect", "Upgrade", "Proxy-Authorization", "User-Agent"]


@pytest.mark.parametrize(
    "headers",
    [{name: "x"} for name in OURS]
    + [{"X-A": bad} for bad in ("a\r\nHost: b", "a\nb", "a\0b", "ü", "a\n")]
    + [{bad: "x"} for bad in ("X A", "X-A\r\nB", "X:A", "", "X-ü", "X" * 65, "X-A\n")],
)
async def test_w73_headers_cannot_smuggle_or_override(headers: dict[str, str], context: ActionContext) -> None:
    """Those of the connection, content and signature are Steward's; line breaks and odd characters are refused."""
    site = Site({"/": (200, {}, b"")})
    async with web_server(site) as port:
        params = {"url": f"http://127.0.0.1:{port}/", "payload": {}, "headers": headers}
        with pytest.raises(ActionFailed) as caught:
            await WebhookPost(HTTP, {}).run(params, context)
    assert (caught.value.code, caught.value.retryable) == ("invalid_params", False)
    assert site.requests == []


@pytest.mark.parametrize("payload", [{"a": float("nan")}, {"a": "\ud800"}, {"a": "x" * 300_000}])
async def test_payloads_that_cannot_be_sent_are_refused(payload: dict[str, Any], context: ActionContext) -> None:
    """What JSON cannot carry, or is too large, never leaves."""
    with pytest.raises(ActionFailed) as caught:
        await WebhookPost(HTTP, {}).run({"url": "http://127.0.0.1:1/", "payload": payload}, context)
    assert caught.value.code == "invalid_params"


async def test_w70_inner_addresses_are_refused(context: ActionContext) -> None:
    """Without an exception nothing is posted to this machine."""
    site = Site({"/": (200, {}, b"")})
    async with web_server(site) as port:
        with pytest.raises(ActionFailed) as caught:
            await WebhookPost(GuardedHttp(frozenset()), {}).run(
                {"url": f"http://127.0.0.1:{port}/", "payload": {}}, context
            )
    assert caught.value.code == "address_refused"
    assert site.requests == []


def test_w68_the_schema_stops_what_does_not_fit() -> None:
    """Unknown parameters, methods, payloads that are no object and malformed headers fail the plan check."""
    definition, good = WebhookPost(HTTP, {}).definition, {"url": "https://example.com/a", "payload": {"a": 1}}
    assert fits(definition, good)
    assert fits(definition, {**good, "headers": {"X-A": "b"}})
    for wrong in (
        {"method": "DELETE"}, {"payload": "text"}, {"payload": None}, {"url": "file:///etc/passwd"}, {"url": "https://a\n"},
        {"headers": {"X-A": "a\nb"}}, {"headers": {"X-A\n": "b"}}, {"headers": {"X-A": 1}},
        {"headers": {f"X-{number}": "a" for number in range(21)}},
    ):  # fmt: skip
        assert not fits(definition, {**good, **wrong}), wrong
