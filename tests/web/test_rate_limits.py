"""How often something may be asked for: by whom it is counted, what an answer says about it, and what a refusal costs."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.identity import Principal, Role
from steward.rate_limit import RateLimit, RateRule
from steward.web.rate_limits import RateLimiter
from steward.web.window_counters import WindowCounters
from tests.conftest import FakeClock
from tests.web.house import House, assert_problem, echo, open_house
from tests.web.test_sessions import OWN, browser

pytestmark = pytest.mark.anyio

PLAN = {"prompt": "echo hello"}
PREVIEW = {"action_id": "sample.echo", "params": {"text": "hello"}}
EXECUTE = {"actions": [echo()]}
UNKNOWN = "plan_" + "0" * 24
COSTLY: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "plan": [("/ai/plan", PLAN), (f"/ai/plans/{UNKNOWN}/revise", {"answers": {"text": "x"}})],
    "execute": [("/ai/execute", EXECUTE), ("/actions/execute", {"preview_id": UNKNOWN, "wait_ms": 0})],
    "preview": [("/actions/preview", PREVIEW)],
}
FREE = ("/ai/jobs", "/ai/plans", "/actions")


def house_with(home: Path, clock: FakeClock, rates: str) -> Any:
    """Return an installation with these rates, at the beginning of a minute."""
    return open_house(home, clock=clock, STEWARD_RATE_LIMITS=rates)


def left(answer: httpx2.Response, rule: str) -> tuple[int, int]:
    """Return how many requests an answer says are left by ``rule``, and for how many seconds."""
    match = re.search(rf'"{rule}";r=(\d+);t=(\d+)(,|$)', answer.headers["ratelimit"])
    assert match, answer.headers["ratelimit"]
    return int(match[1]), int(match[2])


def assert_refused(answer: httpx2.Response, rule: str) -> int:
    """Check that ``answer`` refuses by ``rule``, and return after how many seconds to come back."""
    document = assert_problem(answer, 429, "rate_limited")
    assert document["rule"] == rule
    wait_s = int(answer.headers["retry-after"])
    assert wait_s >= 1
    assert left(answer, rule) == (0, wait_s)
    assert f"wait {wait_s} s" in document["detail"]
    return wait_s


@pytest.mark.parametrize("rule", COSTLY)
async def test_w121_every_costly_route_is_limited_by_its_rule(tmp_path: Path, clock: FakeClock, rule: str) -> None:
    """Routes of one rule share its number; other rules, free routes and other credentials have theirs untouched."""
    async with house_with(tmp_path, clock, f"{rule}=4/minute") as house:
        client, colleague = await house.client(), await house.client()
        routes = COSTLY[rule]
        for turn in range(4):
            path, body = routes[turn % len(routes)]
            answer = await client.post(path, json=body)
            assert answer.status_code in {200, 202, 404}, answer.text
            assert left(answer, rule)[0] == 3 - turn
        for path, body in routes:
            assert_refused(await client.post(path, json=body), rule)
            assert (await colleague.post(path, json=body)).status_code != 429
        for other in COSTLY.keys() - {rule}:
            for path, body in COSTLY[other]:
                assert (await client.post(path, json=body)).status_code != 429
        for path in FREE:
            answer = await client.get(path)
            assert answer.status_code == 200
            assert "ratelimit" not in answer.headers


async def test_w121_a_workspace_is_limited_as_a_whole(tmp_path: Path, clock: FakeClock) -> None:
    """However many credentials it has; another workspace does not notice."""
    async with house_with(tmp_path, clock, "plan=3/minute,workspace_plan=4/minute") as house:
        first, second, stranger = await house.client(), await house.client(), await house.client("beta")
        for client in (first, first, second, second):
            assert (await client.post("/ai/plan", json=PLAN)).status_code == 200
        assert_refused(await first.post("/ai/plan", json=PLAN), "workspace_plan")
        answer = await stranger.post("/ai/plan", json=PLAN)
        assert answer.status_code == 200
        assert left(answer, "plan")[0] == 2
        assert left(answer, "workspace_plan")[0] == 3


async def test_of_two_rules_both_are_counted_or_neither(tmp_path: Path, clock: FakeClock) -> None:
    """What the workspace's rule refuses is not taken from the credential's, and the other way round."""
    async with house_with(tmp_path, clock, "plan=2/minute,workspace_plan=3/minute") as house:
        first, second = await house.client(), await house.client()
        for _ in range(2):
            await first.post("/ai/plan", json=PLAN)
        for _ in range(5):
            assert_refused(await first.post("/ai/plan", json=PLAN), "plan")
        answer = await second.post("/ai/plan", json=PLAN)
        assert answer.status_code == 200, "five refusals were taken from the workspace"
        for _ in range(5):
            refused = await second.post("/ai/plan", json=PLAN)
            assert_refused(refused, "workspace_plan")
            assert left(refused, "plan")[0] == 1, "a refusal was taken from the credential"


async def test_w123_headers_stand_on_every_answer_of_a_limited_route(tmp_path: Path, clock: FakeClock) -> None:
    """Success, bad query, bad body, wrong scope, too large: each is one request, and says so once."""
    async with house_with(tmp_path, clock, "plan=100/minute,workspace_plan=1000/hour") as house:
        client = await house.client()
        json_headers = {"Content-Type": "application/json"}
        asked: list[tuple[int, dict[str, Any]]] = [
            (200, {"json": PLAN}),
            (422, {"json": {"prompt": "x", "colour": "blue"}}),
            (422, {"json": PLAN, "params": {"colour": "blue"}}),
            (422, {"content": b"{", "headers": json_headers}),
            (403, {"json": {**PLAN, "workspace_id": "beta"}}),
            (413, {"content": b" " * (house.app.settings.body_limit_bytes + 1), "headers": json_headers}),
        ]
        for number, (status, parts) in enumerate(asked, start=1):
            answer = await client.post("/ai/plan", **parts)
            assert answer.status_code == status, answer.text
            assert answer.headers["ratelimit-policy"] == '"plan";q=100;w=60, "workspace_plan";q=1000;w=3600'
            assert answer.headers["ratelimit"] == (
                f'"plan";r={100 - number};t=60, "workspace_plan";r={1000 - number};t=1800'
            )


async def test_w123_who_waits_as_told_is_let_in(tmp_path: Path, clock: FakeClock) -> None:
    """``Retry-After`` is at least 1, also where a request is free every tenth of a second, and it is kept."""
    async with house_with(tmp_path, clock, "plan=600/minute,preview=3/hour") as house:
        client = await house.client()
        for _ in range(600):
            house.api.state.rate_limiter.request(RateRule.PLAN, await principal_of(client, house))
        clock.advance(60)  # everything of the minute before still counts, less with every tenth of a second
        assert assert_refused(await client.post("/ai/plan", json=PLAN), "plan") == 1
        clock.advance(1)
        assert (await client.post("/ai/plan", json=PLAN)).status_code == 200
        for _ in range(3):
            await client.post("/actions/preview", json=PREVIEW)
        wait_s = assert_refused(await client.post("/actions/preview", json=PREVIEW), "preview")
        clock.advance(wait_s)
        assert (await client.post("/actions/preview", json=PREVIEW)).status_code == 200


async def principal_of(client: httpx2.AsyncClient, house: House) -> Principal:
    """Return whom a client's credential stands for."""
    principal = await house.app.authenticator.authenticate(client.headers["authorization"].removeprefix("Bearer "))
    assert principal is not None
    return principal


async def test_w122_no_double_burst_at_the_edge_of_a_window(tmp_path: Path, clock: FakeClock) -> None:
    """All of a minute's requests in its last second leave one for the first seconds of the next, and then one in six."""
    async with house_with(tmp_path, clock, "plan=10/minute") as house:
        client = await house.client()
        clock.advance(59.5)
        for _ in range(10):
            assert (await client.post("/ai/plan", json=PLAN)).status_code == 200
        statuses = []
        for _ in range(30):
            clock.advance(1)
            statuses += [(await client.post("/ai/plan", json=PLAN)).status_code for _ in range(2)]
        assert [number // 2 for number, status in enumerate(statuses) if status == 200] == [0, 6, 12, 18, 24]


async def test_w122_nothing_counts_for_ever(tmp_path: Path, clock: FakeClock) -> None:
    """After two windows everything is as at the start, whether anybody asked meanwhile or not."""
    async with house_with(tmp_path, clock, "plan=2/second") as house:
        client = await house.client()
        for _ in range(3):
            answers = [await client.post("/ai/plan", json=PLAN) for _ in range(3)]
            assert [answer.status_code for answer in answers] == [200, 200, 429]
            clock.advance(2)


async def test_w122_any_number_at_once_get_what_there_is(tmp_path: Path, clock: FakeClock) -> None:
    """Of a hundred concurrent requests exactly as many pass as may."""
    async with house_with(tmp_path, clock, "preview=10/minute") as house:
        client = await house.client()
        asked = (client.post("/actions/preview", json=PREVIEW) for _ in range(100))
        statuses = [answer.status_code for answer in await asyncio.gather(*asked)]
        assert statuses.count(200) == 10
        assert statuses.count(429) == 90


async def unread() -> AsyncIterator[bytes]:
    """Yield a body that nobody may ask for."""
    raise AssertionError("the body was read")
    yield b""


async def test_w60_a_refusal_is_a_429_before_anything_is_read_or_done(tmp_path: Path, clock: FakeClock) -> None:
    """Also on ``/actions/execute``: never 500. A body that would be refused, or never arrives, makes no difference."""
    async with house_with(tmp_path, clock, "execute=1/minute,preview=1/minute") as house:
        client = await house.client()
        previewed = (await client.post("/actions/preview", json=PREVIEW)).json()
        assert_problem(await client.post("/actions/execute", json={}), 422, "invalid")
        run = {"preview_id": previewed["plan_id"], "wait_ms": 0}
        assert_refused(await client.post("/actions/execute", json=run), "execute")
        assert_refused(await client.post("/ai/execute", json=EXECUTE), "execute")
        for path in ("/actions/execute", "/ai/execute", "/actions/preview"):
            assert_problem(await client.post(path, content=unread()), 429, "rate_limited")
            assert_problem(await client.post(path, content=b"{", params={"colour": "blue"}), 429, "rate_limited")
        assert (await client.get("/ai/jobs")).json()["jobs"] == []
        assert len((await client.get("/ai/plans")).json()["plans"]) == 1


async def test_w121_failed_logins_are_limited_by_address(tmp_path: Path, clock: FakeClock) -> None:
    """401 turns into 429, on every route and for every kind of bad credential; other addresses are not concerned."""
    async with house_with(tmp_path, clock, "failed_logins=3/minute") as house:
        token = await house.key()
        guesser = await house.client_with(f"{token[:-52]}{'a' * 52}", "192.0.2.7")
        nobody = await house.client_with(None, "192.0.2.7")
        for client, path in ((guesser, "/ai/jobs"), (nobody, "/actions"), (guesser, "/ai/events")):
            assert_problem(await client.get(path), 401, "unauthenticated")
        for client, path in ((guesser, "/ai/jobs"), (nobody, "/ai/jobs")):
            wait_s = assert_refused(await client.get(path), "failed_logins")
        assert_refused(await guesser.post("/ai/plan", json=PLAN), "failed_logins")
        elsewhere = await house.client_with(None, "192.0.2.8")
        answer = await elsewhere.get("/ai/jobs")
        assert_problem(answer, 401, "unauthenticated")
        assert left(answer, "failed_logins")[0] == 2
        clock.advance(wait_s)
        assert_problem(await guesser.get("/ai/jobs"), 401, "unauthenticated")


async def test_a_valid_credential_is_never_refused_for_the_failures_of_others(tmp_path: Path, clock: FakeClock) -> None:
    """An address that many share, or that somebody borrows, keeps nobody out, and success costs it nothing."""
    async with house_with(tmp_path, clock, "failed_logins=1/day") as house:
        good = await house.client_with(await house.key(), "198.51.100.1")
        bad = await house.client_with("stw_nonsense", "198.51.100.1")
        for _ in range(3):
            assert (await good.get("/ai/jobs")).status_code == 200
        assert (await bad.get("/ai/jobs")).status_code == 401
        for _ in range(3):
            assert_refused(await bad.get("/ai/jobs"), "failed_logins")
            assert (await good.get("/ai/jobs")).status_code == 200
            assert (await good.post("/ai/plan", json=PLAN)).status_code == 200


async def test_what_a_proxy_says_about_the_address_is_not_believed(tmp_path: Path, clock: FakeClock) -> None:
    """A client that invents a forwarding address for every request stays one client."""
    async with house_with(tmp_path, clock, "failed_logins=2/minute") as house:
        client = await house.client_with(None, "203.0.113.5")
        answers = [
            await client.get(
                "/ai/jobs", headers={"X-Forwarded-For": each, "Forwarded": f"for={each}", "X-Real-IP": each}
            )
            for each in ("10.0.0.1", "10.0.0.2", "10.0.0.3")
        ]
        assert [answer.status_code for answer in answers] == [401, 401, 429]


async def test_the_metrics_token_cannot_be_guessed_at_leisure(tmp_path: Path, clock: FakeClock) -> None:
    """A wrong token for ``/metrics`` is a failed login too; the right one always opens."""
    rates = {"STEWARD_RATE_LIMITS": "failed_logins=1/minute", "METRICS_TOKEN": "m" * 16}
    async with open_house(tmp_path, clock=clock, **rates) as house:
        guesser, scraper = await house.client_with("n" * 16), await house.client_with("m" * 16)
        assert [(await guesser.get("/metrics")).status_code for _ in range(2)] == [401, 429]
        assert (await scraper.get("/metrics")).status_code == 200


async def test_refusals_are_counted_by_rule(tmp_path: Path, clock: FakeClock) -> None:
    """One for each refused request, and no request counts as a refusal of access."""
    async with house_with(tmp_path, clock, "plan=1/minute,failed_logins=1/minute") as house:
        client, nobody = await house.client(), await house.client_with(None)
        for _ in range(3):
            await client.post("/ai/plan", json=PLAN)
            await nobody.get("/ai/jobs")
        metrics = (await client.get("/metrics")).text
        assert 'http_rate_limited_total{rule="plan"} 2.0' in metrics
        assert 'http_rate_limited_total{rule="failed_logins"} 2.0' in metrics
        assert 'security_decisions_total{result="denied",workspace_id="unscoped"} 3.0' in metrics


async def test_a_rule_that_is_off_is_not_spoken_of(tmp_path: Path, clock: FakeClock) -> None:
    """Nothing is counted by it, and without any the headers are gone."""
    async with house_with(tmp_path / "some", clock, "plan=off") as house:
        answer = await (await house.client()).post("/ai/plan", json=PLAN)
        assert answer.headers["ratelimit"] == '"workspace_plan";r=11999;t=60'
    async with house_with(tmp_path / "none", clock, "off") as house:
        answer = await (await house.client()).post("/ai/plan", json=PLAN)
        assert not {"ratelimit", "ratelimit-policy"} & set(answer.headers)


async def test_the_description_says_which_routes_are_limited(house: House) -> None:
    """By which rule, that they may answer 429, and that every answer carries the headers."""
    document = (await (await house.client_with(None)).get("/openapi.json")).json()
    found = set()
    for path, item in document["paths"].items():
        for operation in item.values():
            if "x-rate-limit" in operation:
                found.add((operation["x-rate-limit"], path))
                for response in operation["responses"].values():
                    assert {"RateLimit", "RateLimit-Policy"} <= response["headers"].keys()
            if "401" in operation["responses"] and path != "/metrics":
                assert "Retry-After" in operation["responses"]["429"]["headers"]
    paths = {(rule, path.replace(UNKNOWN, "{plan_id}")) for rule, routes in COSTLY.items() for path, _ in routes}
    assert found == paths | {("session", "/session"), ("preview", "/policies/check")}


SOMEBODY = Principal("key_1", "acme", frozenset())


@given(
    st.integers(1, 40),
    st.sampled_from([1, 60, 3600]),
    st.lists(st.tuples(st.integers(0, 100), st.integers(1, 30)), max_size=20),
)
async def test_w123_the_advised_wait_is_right_to_the_second(
    amount: int, window_s: int, history: list[tuple[int, int]]
) -> None:
    """Whatever was asked before: a second too early is refused, as told is let in."""
    clock = FakeClock()
    limiter = RateLimiter({RateRule.PLAN: RateLimit(amount, window_s)}, clock)
    for percent, number in history:
        clock.advance(percent * window_s / 100)
        for _ in range(number):
            limiter.request(RateRule.PLAN, SOMEBODY)
    refused = None
    while refused is None:
        refused = limiter.request(RateRule.PLAN, SOMEBODY).refused
    wait_s = refused.retry_after_s
    assert wait_s is not None
    assert 1 <= wait_s <= 2 * window_s + 1
    clock.advance(wait_s - 1)
    assert wait_s == 1 or limiter.request(RateRule.PLAN, SOMEBODY).refused is not None
    clock.advance(1)
    assert limiter.request(RateRule.PLAN, SOMEBODY).refused is None


async def test_addresses_need_no_more_memory_than_there_are_buckets(clock: FakeClock) -> None:
    """Neighbours in one /64, and an IPv4 address in IPv6 clothes, are one client; so are all without an address."""
    limiter = RateLimiter({RateRule.FAILED_LOGINS: RateLimit(2, 60)}, clock)
    for same in (
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:2::"),
        ("192.0.2.7", "::ffff:192.0.2.7", "192.0.2.7"),
        ("testclient", None, ""),
    ):
        assert [limiter.failed_login(address).refused is None for address in same] == [True, True, False]
    apart = RateLimiter({RateRule.FAILED_LOGINS: RateLimit(1, 60)}, clock)
    refused = [apart.failed_login(f"2001:db8:{number:x}::1").refused is not None for number in range(200)]
    assert sum(refused) <= 5, "addresses that have nothing to do with each other share buckets only by chance"
    assert {len(apart._bucket(f"10.0.{number}.1")) for number in range(200)} == {4}


async def test_counters_are_bounded_and_the_least_recent_goes_first(clock: FakeClock) -> None:
    """However many ask: what is forgotten is what was counted longest ago."""
    counters = WindowCounters(clock, 10)
    for number in range(100):
        assert counters.acquire_sliding_window_entry(f"asker-{number}", 1, 60)
        assert len(counters) <= 10
    assert not counters.acquire_sliding_window_entry("asker-99", 1, 60)
    assert not counters.acquire_sliding_window_entry("asker-90", 1, 60)
    assert counters.acquire_sliding_window_entry("asker-0", 1, 60)


async def test_w121_sessions_are_opened_so_often_and_no_more(tmp_path: Path, clock: FakeClock) -> None:
    """With a key of which too many were opened none is; the answers say how many are left, and other requests go on."""
    async with house_with(tmp_path, clock, "session=2/minute") as house:
        client, key = await browser(house), await house.key()
        asking = {"Authorization": f"Bearer {key}", **OWN}
        for remaining in (1, 0):
            answer = await client.post("/session", headers=asking)
            assert answer.status_code == 200, answer.text
            assert left(answer, "session")[0] == remaining
        refused = await client.post("/session", headers=asking)
        assert_refused(refused, "session")
        assert "set-cookie" not in refused.headers
        other = {"Authorization": f"Bearer {await house.key()}", **OWN}
        assert (await client.post("/session", headers=other)).status_code == 200


async def test_asking_what_policy_would_say_counts_as_a_preview(tmp_path: Path, clock: FakeClock) -> None:
    """It decides like one."""
    async with house_with(tmp_path, clock, "preview=2/minute") as house:
        client = await house.client(role=Role.ADMIN)
        question = {"action_id": "sample.echo", "params": {"text": "hello"}}
        assert (await client.post("/actions/preview", json=PREVIEW)).status_code == 200
        answer = await client.post("/policies/check", json=question)
        assert (answer.status_code, left(answer, "preview")[0]) == (200, 0)
        assert_refused(await client.post("/policies/check", json=question), "preview")
