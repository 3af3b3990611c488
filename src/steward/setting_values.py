"""Reads the text of one environment variable: one function per kind of value, used by ``steward.settings``.

Each takes the text as set and raises ``ValueError`` with the end of a sentence that begins with the variable's name. None
ever repeats the value: it may be a secret.
"""

import base64
import binascii
import json
import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from steward.rate_limit import RateLimit, RateLimits, RateRule
from steward.redis_address import redis_address
from steward.workspace import canonical_workspace_id

MIN_SECRET_CHARS: Final = 32
_MIN_DISTINCT_CHARS: Final = 8
_WEBHOOK_SECRET_BYTES: Final = range(24, 65)
"""What Standard Webhooks allows."""
_OBVIOUS: Final = re.compile(
    r"change.?me|your.?secret|dev.?secret|default|example|placeholder|password|insecure", re.IGNORECASE
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_HOST: Final = re.compile(r"[^\s/@?#*,\[\]\\]{1,253}|\[[0-9a-f:.]+\](:\d{1,5})?", re.IGNORECASE)
_DESTINATION: Final = re.compile(r"[^\s,=@]{1,2048}")
_BEARER: Final = re.compile(r"[A-Za-z0-9._~+/=-]{16,1024}")
_ORIGIN: Final = re.compile(r"https?://([a-z0-9.-]{1,253}|\[[0-9a-f:.]+\])(:[1-9]\d{0,4})?")
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
PUBLIC_KEY_ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "Ed25519"),
)
SECRET_ALGORITHMS: Final = ("HS256", "HS384", "HS512")


_RATE: Final = re.compile(rf"({'|'.join(RateRule)})=(?:off|([1-9][0-9]{{0,7}})/(second|minute|hour|day))")
_WINDOW_S: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
RATES: Final = (
    "plan=12000/minute,execute=12000/minute,preview=12000/minute,workspace_plan=12000/minute,"
    "workspace_execute=12000/minute,workspace_preview=12000/minute,session=600/minute,failed_logins=1000/minute"
)
"""Bounds on abuse, far above use."""
_MODULE: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


def items(text: str) -> tuple[str, ...]:
    """Return the parts between commas, trimmed, without blank ones."""
    return tuple(item for part in text.split(",") if (item := part.strip()))


def printable(text: str) -> str:
    """Return ``text`` if it has no control character, such as a line break that slipped in."""
    if _CONTROL.search(text):
        raise ValueError("must not contain control characters")
    return text


def home_folder(text: str) -> Path:
    """Return an absolute path; ``~`` is the user's home."""
    return Path(text.strip()).expanduser().absolute()


def database_url(text: str) -> str:
    """Return the URL of a SQLite file or of a PostgreSQL database; a SQLite without a file would lose everything."""
    if text.startswith(("postgresql://", "postgres://")):
        return _postgresql_url(text)
    if not re.fullmatch(r"sqlite:///[^?]+", text) or ":memory:" in text:
        raise ValueError(
            "must be 'sqlite:///' followed by the path of a file, or 'postgresql://user:password@host/database'"
        )
    return text


def _postgresql_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError("is not an address of the form postgresql://user:password@host:5432/database") from None
    if not parts.username or not parts.path.strip("/") or not (parts.hostname or "host=" in parts.query):
        raise ValueError("must name a user, a host and a database: postgresql://user:password@host:5432/database")
    return "postgresql" + text[text.index("://") :]


def redis_url(text: str) -> str:
    """Return the URL if it names a Redis server, or Sentinels."""
    redis_address(text)
    return text.strip()


def secret_keys(text: str) -> tuple[str, ...]:
    """Return the keys, first the one that seals; each long enough and not one that everybody would try."""
    keys = items(text)
    if not keys:
        raise ValueError("holds no key")
    for position, key in enumerate(keys, start=1):
        if len(key) < MIN_SECRET_CHARS:
            raise ValueError(f"key {position} is shorter than {MIN_SECRET_CHARS} characters")
        if len(set(key)) < _MIN_DISTINCT_CHARS or _OBVIOUS.search(key):
            raise ValueError(f"key {position} can be guessed; make one with 'openssl rand -base64 48'")
    return keys


def hosts(text: str) -> frozenset[str]:
    """Return host names or addresses in lower case."""
    names = items(text.lower())
    for position, name in enumerate(names, start=1):
        if not _HOST.fullmatch(name):
            raise ValueError(f"entry {position} is not a host name or address (no scheme, no path, no '*')")
    return frozenset(names)


def webhook_secrets(text: str) -> dict[str, str]:
    """Return destination to secret from a JSON object, or from ``destination=whsec_…`` items.

    A destination is a host or the beginning of a URL; the action that signs reads it in full.
    """
    if text.lstrip().startswith("{"):
        try:
            pairs = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError("starts like a JSON object but is not one") from None
    else:
        split = [item.rpartition("=whsec_") for item in items(text)]
        pairs = {destination: f"whsec_{secret}" for destination, _, secret in split}
    for position, (destination, secret) in enumerate(pairs.items(), start=1):
        if not _DESTINATION.fullmatch(destination):
            raise ValueError(f"entry {position} is not a host or URL with '=whsec_…' after it")
        if not _is_webhook_secret(secret):
            raise ValueError(f"the secret of entry {position} is not 'whsec_' and 24 to 64 bytes in base64")
    return pairs


def _is_webhook_secret(secret: Any) -> bool:
    if not isinstance(secret, str) or not secret.startswith("whsec_"):
        return False
    try:
        return len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) in _WEBHOOK_SECRET_BYTES
    except (binascii.Error, ValueError):
        return False


def smtp_url(text: str) -> str:
    """Return the URL if it names a mail server."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"smtp", "smtps"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("must look like smtp://user:password@host:587 or smtps://host:465")
    return text


def sender(text: str) -> str:
    """Return an address to send from, perhaps with a name before it; whoever sends reads it in full."""
    local, _, domain = text.strip().rstrip(">").rpartition("@")
    if not local or not domain:
        raise ValueError("must be an e-mail address")
    return text.strip()


def modules(text: str) -> tuple[str, ...]:
    """Return the names of Python modules."""
    names = items(text)
    if not all(_MODULE.fullmatch(name) for name in names):
        raise ValueError("must be names of Python modules, separated by commas")
    return names


def is_on(text: str) -> bool:
    """Say whether the switch is on: ``on`` in any case, and nothing else."""
    return text.strip().lower() == "on"


def workspaces(text: str) -> frozenset[str]:
    """Return workspace ids."""
    names = items(text)
    if not all(canonical_workspace_id(name) for name in names):
        raise ValueError("must be workspace ids, separated by commas")
    return frozenset(names)


def token(text: str) -> str:
    """Return a token that can be sent as ``Authorization: Bearer …`` and is long enough not to be guessed."""
    if not _BEARER.fullmatch(text):
        raise ValueError("must be at least 16 letters, digits or ._~+/=-")
    return text


def origins(text: str) -> tuple[str, ...]:
    """Return web origins as browsers send them: scheme, host and perhaps a port, and never a pattern."""
    names = items(text)
    for position, name in enumerate(names, start=1):
        if not _ORIGIN.fullmatch(name):
            raise ValueError(f"entry {position} is not an origin such as https://studio.example.com (no path, no '*')")
    return names


def algorithms(text: str) -> tuple[str, ...]:
    """Return names of signature algorithms that are known to be safe."""
    names = items(text)
    if not names or not set(names) <= {*PUBLIC_KEY_ALGORITHMS, *SECRET_ALGORITHMS}:
        raise ValueError(f"may list {', '.join((*PUBLIC_KEY_ALGORITHMS, *SECRET_ALGORITHMS))}")
    return names


def jwt_secret(text: str) -> str:
    """Return the shared secret if nobody can guess it."""
    if len(text.encode()) < MIN_SECRET_CHARS:
        raise ValueError(f"is shorter than {MIN_SECRET_CHARS} bytes")
    if len(set(text)) < _MIN_DISTINCT_CHARS or _OBVIOUS.search(text):
        raise ValueError("can be guessed; make one with 'openssl rand -base64 48'")
    return text


def key_source(text: str) -> str:
    """Return where a key set is: an https address (http on this machine), or the path of a file."""
    if "://" not in text:
        return text.strip()
    try:
        parts = urlsplit(text)
        safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
        usable = safe and bool(parts.hostname) and parts.port != 0 and not parts.username
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("must be an https:// address without a user name, or the path of a file")
    return text


def jwt_problem(
    issuer: str | None, audiences: tuple[str, ...], names: tuple[str, ...], source: str | None, secret: str | None
) -> str | None:
    """Return what is wrong with the JWT settings taken together, as a sentence; None: nothing."""
    if source is None and secret is None:
        given = issuer or audiences or names
        return "JWT_ISSUER, JWT_AUDIENCE and JWT_ALGORITHMS need JWT_JWKS or JWT_SECRET." if given else None
    if source is not None and secret is not None:
        return "JWT_JWKS and JWT_SECRET exclude each other: unset one of them."
    if issuer is None:
        return "JWT_ISSUER is not set: give the issuer ('iss') whose tokens are taken."
    if not audiences:
        return "JWT_AUDIENCE is not set: give the audience ('aud') that tokens for this installation name."
    fitting = PUBLIC_KEY_ALGORITHMS if secret is None else SECRET_ALGORITHMS
    if not set(names) <= set(fitting):
        kind = "JWT_JWKS" if secret is None else "JWT_SECRET"
        return f"JWT_ALGORITHMS: with {kind} only {', '.join(fitting)} can be used."
    return None


def rate_limits(text: str) -> RateLimits:
    """Return the rules that are on: those of ``text``, and the rest as in ``RATES``; ``off`` alone means none."""
    if text.strip() == "off":
        return {}
    rules = _rates(RATES) | _rates(text)
    return {rule: limit for rule, limit in rules.items() if limit is not None}


def _rates(text: str) -> dict[RateRule, RateLimit | None]:
    rates: dict[RateRule, RateLimit | None] = {}
    for position, item in enumerate(items(text), start=1):
        match = _RATE.fullmatch(item)
        if match is None:
            raise ValueError(
                f"entry {position} is not 'rule=number/second' (or minute, hour, day; number up to 99999999) or 'rule=off'; "
                f"rules are {', '.join(RateRule)}"
            )
        if match[1] in rates:
            raise ValueError(f"entry {position} names a rule for the second time")
        rates[RateRule(match[1])] = RateLimit(int(match[2]), _WINDOW_S[match[3]]) if match[2] else None
    return rates
