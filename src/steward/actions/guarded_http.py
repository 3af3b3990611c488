"""The only way out for HTTP: every address is checked after resolution, and the checked address is the one connected to.

A request to ``https://name/`` is sent to the address that was checked, with ``Host``, TLS server name and certificate
check still for ``name``. So a name that resolves differently a moment later changes nothing, and each redirect is a new
request with a new check. Nothing is taken from the environment: no proxy, no ``.netrc``.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import httpx2

from steward.action import ActionFailed
from steward.actions.public_address import is_public
from steward.errors import ConfigurationError, FarEndFailed, FarEndTimedOut

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host name; raises ``OSError`` if it has none."""

MAX_URL_CHARS: Final = 2048
_CONNECT_S: Final = 5.0
_MAX_ADDRESSES: Final = 3
_MAX_PORT: Final = 65_535
_NAME: Final = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_][a-z0-9_-]{0,62})*")
_NUMBER: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def refused(detail: str) -> ActionFailed:
    """Return the refusal of an address: nothing was sent, and trying again would not help."""
    return ActionFailed("address_refused", detail)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the body at most as long as was asked for, exactly as sent."""

    status: int
    headers: httpx2.Headers
    body: bytes
    truncated: bool


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """Return the addresses the operating system finds for ``host``, best first."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def parse_url(text: str) -> httpx2.URL:
    """Return ``text`` as a URL that may be sent to: http or https, no user name, a plainly written host.

    Raises ``ActionFailed`` (``address_refused``) that says which rule it breaks.
    """
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL as error:
        raise refused("The address is not a URL that can be read.") from error
    if len(text) > MAX_URL_CHARS:
        raise refused(f"The address is longer than {MAX_URL_CHARS} characters.")
    if url.scheme not in _DEFAULT_PORTS:
        raise refused("Only http:// and https:// addresses can be reached.")
    if url.userinfo:
        raise refused("The address holds a user name or password; leave it out.")
    if url.port is not None and not 0 < url.port <= _MAX_PORT:
        raise refused("The port of the address is not between 1 and 65535.")
    host_of(url)
    return url


def host_of(url: httpx2.URL) -> str:
    """Return the host in one spelling: lower case, no trailing dot, IDNA as ASCII; raise ``ActionFailed`` for odd ones."""
    host = url.raw_host.decode("ascii").lower().removesuffix(".")
    if _is_literal(host) and "%" not in host:
        return str(ip_address(host))
    if not _NAME.fullmatch(host):
        raise refused("The host of the address is not a valid name.")
    if _NUMBER.fullmatch(host):
        raise refused("The host of the address is a number in disguise; write it as four decimal numbers.")
    return host


def _allowed(entries: Iterable[str]) -> frozenset[tuple[str, int | None]]:
    """Return the exceptions as (host, port); port None means every port."""
    allowed = set()
    for entry in entries:
        text = f"[{entry}]" if entry.count(":") > 1 and "[" not in entry else entry
        try:
            parts = urlsplit(f"//{text}")
            host, port = parts.hostname or "", parts.port
            if parts.netloc != text or "@" in text:
                raise ValueError(text)  # noqa: TRY301 - one sentence for every kind of malformed entry
            shown = f"[{host}]" if ":" in host else host
            allowed.add((host_of(httpx2.URL(f"http://{shown}")), port))
        except (ValueError, httpx2.InvalidURL, ActionFailed) as error:
            raise ConfigurationError(
                f"HTTP_ALLOW_HOSTS: {entry[:100]!r} is neither a host nor host:port; write for example 'intranet:8080'."
            ) from error
    return frozenset(allowed)


@cache
def _public_trust() -> ssl.SSLContext:
    """Return TLS settings that trust the public authorities; reading them takes a while, so once is enough."""
    return httpx2.create_ssl_context(trust_env=False)


class _CheckedTransport(httpx2.AsyncBaseTransport):
    """Sends each request to an address that was checked a moment before."""

    def __init__(self, allowed: frozenset[tuple[str, int | None]], resolve: Resolver, context: ssl.SSLContext) -> None:
        """Keep the exceptions, the resolver and the TLS settings. No connection is ever reused for another name."""
        self._allowed = allowed
        self._resolve = resolve
        self._inner = httpx2.AsyncHTTPTransport(
            verify=context, trust_env=False, limits=httpx2.Limits(max_keepalive_connections=0)
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Check, then try the checked addresses in order until one accepts the connection."""
        url = parse_url(str(request.url))
        host = host_of(url)
        failure: httpx2.TransportError | None = None
        for address in (await self._addresses(host, url.port or _DEFAULT_PORTS[url.scheme]))[:_MAX_ADDRESSES]:
            checked = httpx2.Request(
                request.method,
                url.copy_with(host=address),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
            try:
                return await self._inner.handle_async_request(checked)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                failure = error
        raise failure or httpx2.ConnectError("the name has no address")

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        try:
            async with asyncio.timeout(_CONNECT_S):
                addresses = [host] if _is_literal(host) else await self._resolve(host, port)
        except (OSError, UnicodeError) as error:  # TimeoutError is an OSError
            again = not isinstance(error, socket.gaierror) or error.errno == socket.EAI_AGAIN
            raise ActionFailed(
                "name_not_resolved", f"The name '{host}' cannot be resolved.", retryable=again
            ) from error
        exempt = (host, None) in self._allowed or (host, port) in self._allowed
        if not exempt and not all(is_public(address) for address in addresses):
            raise refused(
                f"'{host}' is, or resolves to, an address that is not public. HTTP_ALLOW_HOSTS can make an exception."
            )
        return addresses

    async def aclose(self) -> None:
        """Close what is still open."""
        await self._inner.aclose()


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_tls_problem(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False


async def _read(response: httpx2.Response, max_bytes: int) -> Answer:
    """Read at most ``max_bytes`` of the body as it comes; no decompression, so nothing can swell."""
    body = bytearray()
    async with aclosing(response.aiter_raw()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > max_bytes:
                break
    return Answer(response.status_code, response.headers, bytes(body[:max_bytes]), len(body) > max_bytes)


class GuardedHttp:
    """Sends single requests to public addresses, and to the hosts that a setting allows."""

    def __init__(
        self,
        allow_hosts: frozenset[str],
        *,
        resolve: Resolver = system_resolver,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """Take the exceptions (``host`` or ``host:port``); raise ``ConfigurationError`` for one that cannot be read."""
        self._allowed = _allowed(allow_hosts)
        self._resolve = resolve
        self._ssl_context = ssl_context

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        max_bytes: int,
        timeout_s: float,
        max_redirects: int = 0,
    ) -> Answer:
        """Send one request and return the answer, following at most ``max_redirects``, all within ``timeout_s`` seconds.

        Raises ``ActionFailed`` while certainly nothing was sent (``address_refused``, ``name_not_resolved``,
        ``connection_failed``, ``tls_failed``) and for ``too_many_redirects``; ``FarEndTimedOut`` or ``FarEndFailed``
        where the request may have arrived.
        """
        parse_url(url)
        try:
            async with (
                asyncio.timeout(timeout_s),
                httpx2.AsyncClient(
                    transport=_CheckedTransport(self._allowed, self._resolve, self._ssl_context or _public_trust()),
                    trust_env=False,
                    timeout=httpx2.Timeout(timeout_s, connect=min(_CONNECT_S, timeout_s)),
                    headers={"User-Agent": "Steward", "Accept": "*/*", "Accept-Encoding": "identity"},
                ) as client,
            ):
                request = client.build_request(method, url, headers=headers, content=content or None)
                return await _follow(client, request, max_bytes, max_redirects)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            if _is_tls_problem(error):
                raise ActionFailed(
                    "tls_failed", "The server's certificate or TLS settings were not accepted."
                ) from error
            raise ActionFailed("connection_failed", "The server could not be reached.", retryable=True) from error
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise FarEndTimedOut(f"The server did not answer within {timeout_s:g} s.") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise FarEndFailed(
                f"The server broke off or answered with something other than HTTP ({type(error).__name__})."
            ) from error


async def _follow(client: httpx2.AsyncClient, request: httpx2.Request, max_bytes: int, max_redirects: int) -> Answer:
    for _ in range(max_redirects + 1):
        response = await client.send(request, stream=True, follow_redirects=False)
        try:
            if not max_redirects or response.next_request is None:
                return await _read(response, max_bytes)
            request = response.next_request
        finally:
            await response.aclose()
    raise ActionFailed("too_many_redirects", f"The address redirects more than {max_redirects} times.")
