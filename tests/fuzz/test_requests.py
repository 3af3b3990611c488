"""Odd requests: bodies that are nearly JSON or JSON of odd kinds, and headers with any bytes that HTTP lets through."""

import json
from collections.abc import Iterator

import httpx2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.fuzz.service import Service, examples

pytestmark = pytest.mark.slow
JSON = {"Content-Type": "application/json"}
PATHS = st.sampled_from(
    ["/ai/plan", "/ai/execute", "/actions/preview", "/actions/execute", f"/ai/plans/plan_{'0' * 24}/revise"]
)
ODD_VALUES = st.sampled_from(
    [
        *("NaN", "Infinity", "-Infinity", "-0", "1e999", "-1e999", "1E400", "0x1", "01", "1.", "9" * 400, "9" * 5000),
        *(str(2**53), str(2**63), str(-(2**64)), "1e2", "5e-324", "0.1e1", "true", "null", "'x'", '""', "[]", "{}"),
        *(r'"\ud800"', r'"\udc00\ud800"', r'"\u0000"', '"\x00"', '"\t"', '"\u2028"', '"\ufeff"', r'"\uD83D\uDE00"'),
        *("[" * 200 + "]" * 200, "[" * 20_000, '{"a":' * 300 + "1" + "}" * 300, "//x", "/**/1", '"unclosed', ""),
        *('{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '{"$ref":"steps.s1.result"}', '{"__proto__":{}}', "[1,]", '{"a":1,}'),
    ]
)
FIELDS = st.sampled_from(
    [
        *("prompt", "context", "actions", "plan_id", "run_at", "params", "action_id", "preview_id", "wait_ms", "steps"),
        *("answers", "workspace_id", "actor_id", "client_request_id", "\u202e", "a" * 5000, "é"),
    ]
)
ODD_OBJECTS = st.lists(st.tuples(FIELDS, ODD_VALUES | st.text(max_size=20).map(json.dumps)), max_size=4).map(
    lambda pairs: "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in pairs) + "}"
)
STEPS = st.tuples(FIELDS, ODD_VALUES).map(
    lambda pair: f'{{"actions":[{{"action_id":"sample.echo","params":{{{json.dumps(pair[0])}:{pair[1] or 0}}}}}]}}'
)
PARAMS = ODD_VALUES.map(lambda value: f'{{"action_id":"sample.echo","params":{{"text":{value or 0}}}}}')
BODIES = st.one_of(
    ODD_OBJECTS,
    STEPS,
    PARAMS,
    ODD_VALUES,
    st.binary(max_size=60),
    st.text(max_size=60),
    st.binary(max_size=8).map(bytes),
)
HEADER_BYTES = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=140
).map(lambda text: text.strip().encode("latin-1"))
KEYS = st.one_of(
    HEADER_BYTES,
    st.from_regex(rb"\A[A-Za-z0-9._:-]{1,130}\Z"),
    st.from_regex(rb'\A"[A-Za-z0-9._:-]{0,3}"?\Z'),
    st.sampled_from([b"", b'"', b'""', b"a,b", b"a b", b"*", b"null", b"a" * 128, b"a" * 129, b"\xc3\xa9"]),
)
EVENT_IDS = st.one_of(
    HEADER_BYTES,
    st.from_regex(rb"\Aevt_[0-9]{15,17}\Z"),
    st.sampled_from([b"evt_0000000000000000", b"evt_9999999999999999", b"0", b"-1", b"evt_", b"evt_\xb2" + b"0" * 15]),
)


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[httpx2.Client]:
    """Return a client of the service."""
    with service.client() as opened:
        yield opened


def assert_plain(answer: httpx2.Response) -> None:
    """Check that an answer is a success or a whole problem document, with its marks; never a server error."""
    assert answer.status_code < 500, answer.text
    assert answer.headers["x-request-id"]
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        document = answer.json()
        assert document["status"] == answer.status_code
        assert document["request_id"] == answer.headers["x-request-id"]
        assert "Traceback" not in answer.text


@examples(250)
@given(path=PATHS, body=BODIES)
@example(path="/ai/plan", body='{"prompt":"list the files","prompt":"echo x"}')
def test_any_body_is_taken_or_plainly_refused(client: httpx2.Client, path: str, body: str | bytes) -> None:
    """No server error; and what is not exactly one JSON value, with each name once, is never taken."""
    raw = body if isinstance(body, bytes) else body.encode(errors="surrogatepass")
    answer = client.post(path, content=raw, headers=JSON)
    assert_plain(answer)
    if answer.status_code < 300:
        assert json.loads(raw, parse_constant=pytest.fail)


@examples(60)
@given(value=ODD_VALUES)
def test_what_is_taken_comes_out_as_it_went_in(client: httpx2.Client, value: str) -> None:
    """A parameter of odd but valid JSON is kept exactly, or refused."""
    answer = client.post(
        "/actions/preview", content=f'{{"action_id":"compute","params":{{"value":{value or 0}}}}}', headers=JSON
    )
    assert_plain(answer)
    if answer.status_code == 200:
        assert answer.json()["steps"][0]["params"]["value"] == json.loads(value or "0")


@examples(120)
@given(key=KEYS)
def test_any_idempotency_key_is_a_key_or_refused(client: httpx2.Client, key: bytes) -> None:
    """202 under the same ids each time, 400, or 422 if other tests used it; a key that is taken is taken in one spelling."""
    headers = [(b"Content-Type", b"application/json"), (b"Idempotency-Key", key)]
    body = b'{"actions":[{"action_id":"sample.echo","params":{"text":"hi"}}]}'
    first, again = (client.post("/ai/execute", content=body, headers=headers) for _ in range(2))
    assert_plain(first)
    assert first.status_code in {202, 400, 422}
    assert again.status_code == first.status_code
    if first.status_code == 202:
        assert again.json()["job_ids"] == first.json()["job_ids"]
        assert again.json()["duplicate"]


@examples(100)
@given(event_id=EVENT_IDS)
def test_any_last_event_id_opens_a_stream_or_is_refused(client: httpx2.Client, event_id: bytes) -> None:
    """A stream or 400 (or 429, when the last ones are still being closed)."""
    with client.stream("GET", "/ai/events", headers={b"Last-Event-ID": event_id}) as answer:
        assert answer.status_code in {200, 400, 429}
        if answer.status_code == 200:
            assert answer.headers["content-type"].startswith("text/event-stream")
            return
        answer.read()
    assert_plain(answer)


@examples(150)
@given(
    name=st.sampled_from(["Authorization", "Content-Type", "X-Request-ID", "Accept", "Cookie", "Range", "Forwarded"]),
    value=HEADER_BYTES
    | st.sampled_from([b"Bearer", b"Bearer stw_", b"bearer a b", b"Basic eDp5", b"bytes=0-", b"\xff"]),
)
def test_any_header_is_survived(service: Service, name: str, value: bytes) -> None:
    """Any bytes in a header give an ordinary answer; in ``Authorization`` they give 401."""
    with service.client("" if name == "Authorization" else None) as client:
        answer = client.get("/ai/jobs", headers={name.encode(): value})
    assert_plain(answer)
    assert answer.status_code == (401 if name == "Authorization" else 200)


CURSORS = st.text(max_size=60) | st.text("ABCDEFabcdef0123456789-_=", min_size=1, max_size=200)


@examples(120)
@given(cursor=CURSORS, listing=st.sampled_from(["/ai/jobs", "/ai/plans"]), status=st.none() | st.text(max_size=12))
def test_any_cursor_and_filter_is_refused_or_answered(
    client: httpx2.Client, cursor: str, listing: str, status: str | None
) -> None:
    """No made-up cursor is taken, whatever stands beside it."""
    filters = {} if status is None else {"status": status}
    answer = client.get(listing, params={"cursor": cursor, **filters})
    assert_plain(answer)
    assert answer.status_code == 400


@examples(60)
@given(place=st.integers(0, 300), letter=st.sampled_from("ABab01-_="))
def test_a_cursor_works_for_nobody_else_and_no_other_way(service: Service, place: int, letter: str) -> None:
    """A cursor of one workspace, changed in any place or shown by another workspace, is 400."""
    with service.client() as mine, service.client(service.other_token) as other:
        for _ in range(2):
            mine.post("/ai/plan", json={"prompt": "list the files"})
        cursor = mine.get("/ai/plans", params={"limit": 1}).json()["next_cursor"]
        place %= len(cursor)
        changed = cursor[:place] + letter + cursor[place + 1 :]
        assert mine.get("/ai/plans", params={"cursor": cursor, "limit": 1}).status_code == 200
        assert other.get("/ai/plans", params={"cursor": cursor, "limit": 1}).status_code == 400
        assert mine.get("/ai/jobs", params={"cursor": cursor}).status_code == 400
        if changed != cursor:
            assert mine.get("/ai/plans", params={"cursor": changed, "limit": 1}).status_code == 400
