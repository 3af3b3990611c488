"""The guard on outgoing HTTP: which addresses, which names, and that the checked address is the one used."""

import gzip
import ssl
from collections.abc import Callable, Sequence

import pytest

from steward.action import ActionFailed
from steward.actions.guarded_http import Answer, GuardedHttp
from steward.actions.public_address import is_public
from steward.errors import ConfigurationError, FarEndFailed, FarEndTimedOut
from tests.actions.servers import Send, Site, never, web_server

pytestmark = pytest.mark.anyio


class Names:
    """A resolver with a fixed answer for each time a name is asked for; it keeps what was asked."""

    def __init__(self, **answers: list[list[str]]) -> None:
        """Take the answers of each name in turn, its dots written as underscores; the last one is repeated."""
        self.answers = {name.replace("_", "."): turns for name, turns in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Return the next answer for ``host``."""
        turns = self.answers[host]
        answer = turns[min(self.asked.count(host), len(turns) - 1)]
        self.asked.append(host)
        return answer


async def get(
    http: GuardedHttp, url: str, *, max_bytes: int = 1000, timeout_s: float = 5, max_redirects: int = 0
) -> Answer:
    """Fetch ``url``."""
    return await http.send("GET", url, max_bytes=max_bytes, timeout_s=timeout_s, max_redirects=max_redirects)


async def refusal(http: GuardedHttp, url: str, *, max_redirects: int = 0) -> ActionFailed:
    """Fetch and return the ``ActionFailed`` that must come."""
    with pytest.raises(ActionFailed) as caught:
        await get(http, url, max_redirects=max_redirects)
    return caught.value


PRIVATE = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "168.63.129.16",
    "169.254.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1",
    "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::",
    "2002:a9fe:a9fe::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "2606:4700::1%1",
    "", "localhost", "127.1", "2130706433",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_w70_addresses_that_are_not_public(address: str) -> None:
    """Private, local, special and metadata addresses are not public in any written form; nor is what is no address."""
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_that_are_public(address: str) -> None:
    """Ordinary addresses of the internet are public, also inside IPv6 forms."""
    assert is_public(address)


@pytest.mark.parametrize("address", PRIVATE[:-4])
async def test_w70_a_name_that_resolves_to_a_private_address_is_refused(address: str) -> None:
    """Every address of a name must be public, not just the first."""
    for answer in ([address], ["93.184.216.34", address]):
        refused = await refusal(
            GuardedHttp(frozenset(), resolve=Names(api_example_com=[answer])), "https://api.example.com/"
        )
        assert (refused.code, refused.retryable) == ("address_refused", False)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/", "http://localhost/", "http://LOCALHOST./", "http://[::1]/", "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/meta-data/", "http://169.254.169.254./", "http://[64:ff9b::7f00:1]/",
        "http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://017700000001/", "http://127.1/",
        "http://0177.0.0.1/", "http://127.0.0.1.0x1/", "http://1.2.3.4.5/", "http://0/", "http://[::1%25lo]/",
        "http://\uff11\uff12\uff17.0.0.1/", "http://127\u30020\u30020\u30021/", "http://loc\u24d0lhost/",
        "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "javascript:alert(1)", "//example.com/",
        "example.com", "", "http://", "http:///path", "http://user@example.com/", "http://user:pass@example.com/",
        "http://127.0.0.1\\@example.com/", "http://example.com:0/", "http://example.com:99999/", "http://exa mple.com/",
        "http://exam\nple.com/", "http://example..com/", "http://.example.com/", "http://" + "a" * 254 + "/",
        "http://example.com/" + "a" * 2048, "http://[example.com]/", "http://-/", "http://%31%32%37.0.0.1/",
    ],
)  # fmt: skip
async def test_w70_odd_urls_are_refused(url: str) -> None:
    """Other schemes, user names, odd spellings of a host and unreadable URLs are refused before anything is sent."""
    refused = await refusal(GuardedHttp(frozenset()), url)
    assert (refused.code, refused.retryable) == ("address_refused", False)


async def test_the_checked_address_is_the_one_connected_to() -> None:
    """A name is resolved once per request; Host stays the name; what it would resolve to next does not matter."""
    site = Site({"/": (200, {}, b"here")})
    async with web_server(site) as port:
        names = Names(api_example_com=[["127.0.0.1"], ["192.0.2.1"]])
        http = GuardedHttp(frozenset({f"api.example.com:{port}"}), resolve=names)
        answer = await get(http, f"http://API.example.com.:{port}/")
    assert answer.body == b"here"
    assert names.asked == ["api.example.com"]
    assert site.requests[0].headers["host"].lower().replace(".:", ":") == f"api.example.com:{port}"


async def test_w70_a_name_that_turns_private_is_refused_at_the_next_request() -> None:
    """Each request is checked anew: a name that was fine a moment ago gets nothing once it points inside."""
    names = Names(api_example_com=[["192.0.2.1"]], good_example_com=[["127.0.0.1"]])
    site = Site({"/": (302, {"location": "http://api.example.com/"}, b"")})
    async with web_server(site) as port:
        http = GuardedHttp(frozenset({"good.example.com"}), resolve=names)
        refused = await refusal(http, f"http://good.example.com:{port}/", max_redirects=5)
    assert refused.code == "address_refused"
    assert names.asked == ["good.example.com", "api.example.com"]


@pytest.mark.parametrize(
    "location",
    ["http://127.0.0.1:{port}/inside", "http://[::1]/", "//localhost:{port}/", "file:///etc/passwd", "http://u:p@x/"],
)
async def test_w70_redirects_are_checked_at_each_hop(location: str) -> None:
    """A redirect to an inner address, or with another scheme, is not followed."""
    site = Site({"/inside": (200, {}, b"secret")})
    async with web_server(site) as port:
        site.answers["/"] = (302, {"location": location.format(port=port)}, b"")
        http = GuardedHttp(
            frozenset({"good.example.com"}), resolve=Names(good_example_com=[["127.0.0.1"]], localhost=[["127.0.0.1"]])
        )
        refused = await refusal(http, f"http://good.example.com:{port}/", max_redirects=5)
    assert refused.code == "address_refused"
    assert [request.path for request in site.requests] == ["/"]


async def test_redirects_are_followed_a_few_times_and_relative_to_the_name() -> None:
    """Up to the limit redirects lead on under the same name; a loop ends with a clear failure."""
    site = Site({f"/{hop}": (302, {"location": f"{hop + 1}"}, b"x" * 100_000) for hop in range(5)})
    site.answers |= {"/5": (200, {}, b"arrived"), "/loop": (307, {"location": "/loop"}, b"")}
    async with web_server(site) as port:
        http = GuardedHttp(frozenset({"good.example.com"}), resolve=Names(good_example_com=[["127.0.0.1"]]))
        answer = await get(http, f"http://good.example.com:{port}/0", max_redirects=5)
        assert answer.body == b"arrived"
        assert {request.headers["host"] for request in site.requests} == {f"good.example.com:{port}"}
        refused = await refusal(http, f"http://good.example.com:{port}/loop", max_redirects=5)
        assert (refused.code, refused.retryable) == ("too_many_redirects", False)
        assert (await get(http, f"http://good.example.com:{port}/loop")).status == 307


async def test_tls_is_checked_for_the_name_although_the_address_is_dialled(
    certified: Callable[..., ssl.SSLContext], trusting: ssl.SSLContext
) -> None:
    """The certificate must be for the name in the URL; one for another name, or one nobody trusts, is refused."""
    site = Site({"/": (200, {}, b"private")})
    names = Names(good_example_com=[["127.0.0.1"]], other_example_com=[["127.0.0.1"]])
    allowed = frozenset({"good.example.com", "other.example.com"})
    async with web_server(site, tls=certified("good.example.com")) as port:
        http = GuardedHttp(allowed, resolve=names, ssl_context=trusting)
        assert (await get(http, f"https://good.example.com:{port}/")).body == b"private"
        wrong_name = await refusal(http, f"https://other.example.com:{port}/")
        untrusted = await refusal(GuardedHttp(allowed, resolve=names), f"https://good.example.com:{port}/")
    assert (wrong_name.code, wrong_name.retryable) == ("tls_failed", False)
    assert untrusted.code == "tls_failed"
    assert len(site.requests) == 1


async def test_exceptions_are_for_exactly_the_host_and_port_named() -> None:
    """``host`` opens every port of that host, ``host:port`` one port; other names for the same address stay shut."""
    site = Site({"/": (200, {}, b"inside")})
    async with web_server(site) as port, web_server(site) as other:
        one_port = GuardedHttp(frozenset({f"127.0.0.1:{port}"}))
        assert (await get(one_port, f"http://127.0.0.1:{port}/")).body == b"inside"
        assert (await refusal(one_port, f"http://127.0.0.1:{other}/")).code == "address_refused"
        assert (await refusal(one_port, f"http://localhost:{port}/")).code == "address_refused"
        every_port = GuardedHttp(frozenset({"LocalHost"}))
        assert (await get(every_port, f"http://localhost:{port}/")).body == b"inside"
        assert (await get(every_port, f"http://localhost:{other}/")).body == b"inside"


async def test_ipv6_literals_can_be_allowed() -> None:
    """``::1`` and ``[::1]:port`` are exceptions like any other."""
    async with web_server(Site({"/": (200, {}, b"six")}), host="::1") as port:
        for entry in ("::1", f"[::1]:{port}"):
            assert (await get(GuardedHttp(frozenset({entry})), f"http://[::1]:{port}/")).body == b"six"


@pytest.mark.parametrize(
    "entry", ["", "http://intranet", "intranet/path", "user@intranet", "intranet:x", "*", "2130706433", "a b"]
)
def test_a_malformed_exception_names_its_setting(entry: str) -> None:
    """The start is refused with the variable's name."""
    with pytest.raises(ConfigurationError, match="HTTP_ALLOW_HOSTS"):
        GuardedHttp(frozenset({entry}))


async def test_the_body_is_capped_while_reading_and_never_unpacked() -> None:
    """An endless or swelling body costs no more than was asked for."""

    async def endless(site: Site, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})
        await site.released.wait()

    bomb = gzip.compress(bytes(10_000_000))
    site = Site(
        {"/endless": endless, "/bomb": (200, {"content-encoding": "gzip"}, bomb), "/exact": (200, {}, b"x" * 1000)}
    )
    async with web_server(site) as port:
        http = GuardedHttp(frozenset({"127.0.0.1"}))
        answer = await get(http, f"http://127.0.0.1:{port}/endless")
        assert (len(answer.body), answer.truncated) == (1000, True)
        answer = await get(http, f"http://127.0.0.1:{port}/bomb", max_bytes=50_000)
        assert answer.body == bomb
        answer = await get(http, f"http://127.0.0.1:{port}/exact")
        assert (len(answer.body), answer.truncated) == (1000, False)
    assert {request.headers["accept-encoding"] for request in site.requests} == {"identity"}


async def test_silence_and_broken_connections_are_told_apart_from_refused_ones() -> None:
    """Not reached: certainly not sent. Reached but no answer: it may have arrived."""

    async def break_off(site: Site, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})

    http = GuardedHttp(frozenset({"127.0.0.1"}))
    async with web_server(Site({"/": never, "/broken": break_off})) as port:
        with pytest.raises(FarEndTimedOut):
            await get(http, f"http://127.0.0.1:{port}/", timeout_s=0.1)
        with pytest.raises(FarEndFailed):
            await get(http, f"http://127.0.0.1:{port}/broken")
    gone = await refusal(http, f"http://127.0.0.1:{port}/")
    assert (gone.code, gone.retryable) == ("connection_failed", True)


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    """A name with several addresses is reached through whichever accepts."""
    async with web_server(Site({"/": (200, {}, b"here")})) as port:
        names = Names(api_example_com=[["::1", "127.0.0.2", "127.0.0.1"]])
        answer = await get(
            GuardedHttp(frozenset({"api.example.com"}), resolve=names), f"http://api.example.com:{port}/"
        )
    assert answer.body == b"here"


async def test_a_name_without_an_address_is_a_clear_failure() -> None:
    """It says which name; nothing was sent."""

    async def nothing(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    refused = await refusal(GuardedHttp(frozenset(), resolve=nothing), "http://missing.example.com/")
    assert refused.code == "name_not_resolved"
    assert "missing.example.com" in refused.detail


async def test_proxies_in_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would resolve names by itself and undo the check."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with web_server(Site({"/": (200, {}, b"direct")})) as port:
        assert (await get(GuardedHttp(frozenset({"127.0.0.1"})), f"http://127.0.0.1:{port}/")).body == b"direct"
