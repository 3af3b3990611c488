"""What ``REDIS_URL`` can say: one server, with TLS or without, a socket on this machine, or Sentinels that know which server.

Nothing is connected here. What is not understood is refused, and no option turns the check of a certificate off.
"""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_TLS_FILES: Final = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
_SENTINEL_LOGIN: Final = frozenset({"sentinel_username", "sentinel_password"})
_DATABASE: Final = re.compile(r"(?:/(\d{0,5}))?", re.ASCII)
_SERVICE: Final = re.compile(r"/([A-Za-z0-9._-]+)(?:/(\d{0,5}))?", re.ASCII)
_FORMS: Final = (
    "must look like redis://user:password@host:6379/0, rediss://host:6379/0, unix:///path or "
    "redis+sentinel://host:26379,host:26379/service/0"
)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where work is kept, read from ``REDIS_URL``."""

    hosts: tuple[tuple[str, int], ...]
    """The server; or the Sentinels, if ``service`` is set. Empty with ``socket``."""
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    socket: str | None = None
    service: str | None = None
    options: dict[str, str] = field(default_factory=dict, repr=False)
    """Files for TLS and the login at the Sentinels, by the names that the client library has for them."""

    @property
    def tls_files(self) -> dict[str, str]:
        """Return the files that TLS needs beside the machine's own authorities."""
        return {name: value for name, value in self.options.items() if name in _TLS_FILES}

    @property
    def sentinel_login(self) -> dict[str, str]:
        """Return user name and password for the Sentinels themselves."""
        wanted = {name.removeprefix("sentinel_"): self.options.get(name) for name in _SENTINEL_LOGIN}
        return {name: value for name, value in wanted.items() if value}


def redis_address(text: str) -> RedisAddress:
    """Return what the URL says; ``ValueError`` with the end of a sentence, without the URL, if it says nothing usable."""
    try:
        scheme, _, rest = text.strip().partition("://")
        location, _, query = rest.partition("?")
        login_and_hosts, slash, path = location.partition("/") if scheme == "unix" else _split(location)
        login, _, hosts = login_and_hosts.rpartition("@")
        options = dict(parse_qsl(query, strict_parsing=True)) if query else {}
        address = _address(scheme, hosts, slash + path, login, options)
    except ValueError:
        raise ValueError(_FORMS) from None
    allowed = (_TLS_FILES if address.tls else frozenset()) | (_SENTINEL_LOGIN if address.service else frozenset())
    if unknown := set(options) - allowed - ({"db"} if scheme == "unix" else set()):
        what = ", ".join(sorted(allowed)) or "none"
        named = "an option" if len(unknown) == 1 else "options"
        raise ValueError(f"has {named} after '?' that cannot be used here (what can: {what})")
    return address


def _split(location: str) -> tuple[str, str, str]:
    """Return login and hosts, and the path: a password may hold a slash, what follows the last '@' may not."""
    login, at, rest = location.rpartition("@")
    hosts, slash, path = rest.partition("/")
    return f"{login}{at}{hosts}", slash, path


def _address(scheme: str, hosts: str, path: str, login: str, options: dict[str, str]) -> RedisAddress:
    user, _, password = login.partition(":")
    who = (unquote(user) or None, unquote(password) or None)
    if scheme == "unix":
        if hosts or len(path) < len("/x"):
            raise ValueError
        return RedisAddress((), int(options.get("db", 0)), *who, socket=unquote(path), options=options)
    if scheme in {"redis", "rediss"}:
        if (match := _DATABASE.fullmatch(path)) is None:
            raise ValueError
        tls = scheme == "rediss"
        return RedisAddress((_host(hosts, _PORT),), int(match[1] or 0), *who, tls=tls, options=options)
    if scheme not in {"redis+sentinel", "rediss+sentinel"} or (match := _SERVICE.fullmatch(path)) is None:
        raise ValueError
    sentinels = tuple(_host(one, _SENTINEL_PORT) for one in hosts.split(","))
    tls = scheme.startswith("rediss")
    return RedisAddress(sentinels, int(match[2] or 0), *who, tls=tls, service=match[1], options=options)


def _host(text: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.port == 0 or parts.netloc != text or "," in text:
        raise ValueError
    return parts.hostname, parts.port or port
