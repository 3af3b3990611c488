"""Where the keys come from that an identity provider signs with: a shared secret, a file, or the provider's own address.

A key set is fetched when it is first needed, again every ten minutes, and once for a key that it does not hold, but never
more often than every thirty seconds, whoever asks. While the provider does not answer, the keys of the last answer are
used for an hour; after that its tokens cannot be checked, which is an outage and not the caller's fault.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import httpx2
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, Key, OctKey, OKPKey, RSAKey
from pydantic_core import from_json

from steward.clock import Clock
from steward.errors import ConfigurationError, StoreUnavailable

REFRESH: Final = timedelta(minutes=10)
RETRY: Final = timedelta(seconds=30)
USABLE: Final = timedelta(hours=1)
"""How old an answer may become while no newer one can be had."""
_TIMEOUT_S: Final = 5.0
_MAX_BYTES: Final = 256 * 1024
_MAX_KEYS: Final = 100
_MIN_RSA_BITS: Final = 2048
_BASE64_BITS: Final = 6
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_log = structlog.get_logger("steward.auth")


class SigningKeys(Protocol):
    """Finds the key that a token says it is signed with."""

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """Return the key; None if there is none for this id and algorithm. Raises ``StoreUnavailable`` in an outage."""
        ...


class SharedSecret:
    """One secret that the provider has too."""

    def __init__(self, secret: str) -> None:
        """Take the secret."""
        self._key = OctKey.import_key(secret.encode())

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """Return the secret, whatever the token calls it; None for an algorithm that is not made for secrets."""
        del kid
        return self._key if algorithm.startswith("HS") else None


class KeySet:
    """The provider's public keys, remembered."""

    def __init__(self, fetch: Callable[[], Awaitable[Any]], clock: Clock) -> None:
        """Take how the set is fetched, as parsed JSON, and the clock by which it ages."""
        self._fetch = fetch
        self._clock = clock
        self._keys: tuple[Key, ...] = ()
        self._fetched_at: datetime | None = None
        self._asked_at: datetime | None = None
        self._asking = asyncio.Lock()

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """Return the key; None if there is none for this id and algorithm. Raises ``StoreUnavailable`` in an outage."""
        found = self._find(kid, algorithm)
        if self._older_than(self._fetched_at, REFRESH) or found is None:
            await self._ask(wait=found is None)
            found = self._find(kid, algorithm)
        if self._older_than(self._fetched_at, USABLE):
            raise StoreUnavailable("The identity provider's keys cannot be had; try again shortly.", code="issuer_away")
        return found

    def _older_than(self, moment: datetime | None, age: timedelta) -> bool:
        return moment is None or abs(self._clock.now() - moment) >= age  # a clock that went back counts as well

    def _find(self, kid: str | None, algorithm: str) -> Key | None:
        """Return the key of this id; without an id, the only one that fits the algorithm."""
        fitting = [key for key in self._keys if _fits(key, algorithm) and kid in {None, key.kid}]
        return fitting[0] if len(fitting) == 1 else None

    async def _ask(self, *, wait: bool) -> None:
        """Fetch the set unless somebody has just tried; whoever has a key already does not ``wait`` for another's try."""
        if self._asking.locked() and not wait:
            return
        async with self._asking:
            if not self._older_than(self._asked_at, RETRY):
                return
            self._asked_at = self._clock.now()
            try:
                self._keys = _public_keys(await self._fetch())
                self._fetched_at = self._clock.now()
            except (OSError, ValueError, httpx2.HTTPError, TimeoutError, JoseError) as error:
                _log.warning("The identity provider's keys cannot be had.", action="jwks", cause=type(error).__name__)


def key_set(source: str, clock: Clock) -> KeySet:
    """Return the key set at an address or in a file; raise ``ConfigurationError`` for a file that cannot be used."""
    if "://" in source:
        return KeySet(lambda: _download(source), clock)
    file = Path(source).expanduser()

    async def read() -> Any:
        return from_json(await asyncio.to_thread(file.read_bytes))

    try:
        _public_keys(from_json(file.read_bytes()))
    except (OSError, ValueError, JoseError) as error:
        raise ConfigurationError(f"JWT_JWKS: {file} does not hold a set of public keys that can be used.") from error
    return KeySet(read, clock)


async def _download(url: str) -> Any:
    """Return the JSON at ``url``, of limited size, without following anybody elsewhere."""
    local = urlsplit(url).hostname in _LOOPBACK
    body = bytearray()
    trust = await asyncio.to_thread(httpx2.create_ssl_context, trust_env=not local)  # as long as many requests take
    async with (
        asyncio.timeout(_TIMEOUT_S),
        httpx2.AsyncClient(verify=trust, trust_env=not local, timeout=_TIMEOUT_S) as client,
        client.stream("GET", url, headers={"Accept": "application/json"}) as response,
    ):
        if not response.is_success:
            raise ValueError("not a success")
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > _MAX_BYTES:
                raise ValueError("too large")
    return from_json(bytes(body))


def _public_keys(document: Any) -> tuple[Key, ...]:
    """Return the keys of a set that may check signatures; one that nobody understands harms no other."""
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("not a key set")  # noqa: TRY004 - whatever is wrong with what was fetched is one kind of error
    keys = []
    for item in listed[:_MAX_KEYS]:
        if not isinstance(item, dict) or not _is_strong(item) or item.get("use", "sig") != "sig":
            continue
        try:
            keys.append(JWKRegistry.import_key(item))
        except (JoseError, ValueError, TypeError, KeyError, AttributeError):
            continue
    if not keys:
        raise ValueError("no key that can be used")
    return tuple(keys)


def _is_strong(item: Mapping[str, Any]) -> bool:
    """Say whether it is a public key that nobody can break; never a secret, which all who read the set could sign with."""
    if item.get("kty") == "RSA":
        return isinstance(item.get("n"), str) and len(item["n"]) * _BASE64_BITS >= _MIN_RSA_BITS
    return item.get("kty") in {"EC", "OKP"}


def _fits(key: Key, algorithm: str) -> bool:
    """Say whether a key is of the kind that ``algorithm`` uses, and not made for another one."""
    if key.alg not in {None, algorithm}:
        return False
    match algorithm[:2]:
        case "RS" | "PS":
            return isinstance(key, RSAKey)
        case "ES":
            return isinstance(key, ECKey)
        case _:
            return isinstance(key, OKPKey) and algorithm == key.curve_name
