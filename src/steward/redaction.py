"""The one redaction for previews, results, errors, logs and events: what looks secret is masked, the rest stays as it is.

A value is masked for either of two reasons: the key it stands under names a secret, or the text itself looks like one
(a key with a known prefix, a bearer token, a private key, a password in an address or an assignment). Names, e-mail
addresses and hosts stay visible, because a preview must be faithful about where things go. Masking is a last line of
defence, not access control: what is known to be secret by its declared role is sealed and never gets here.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

REDACTED: Final = "***REDACTED***"
MAX_TEXT_CHARS: Final = 256 * 1024
"""A longer text is masked whole: four times the largest result that Steward keeps."""
_MAX_DEPTH: Final = 64
_MAX_PASSES: Final = 4
_KNOWN_KEYS: Final = 4_096
_MAX_KNOWN_CHARS: Final = 64
_ATOMS: Final = frozenset({str, int, float, bool, type(None)})
"""What most values are, and what a look at the type alone tells: to ask whether something is a ``Mapping`` takes many times longer."""

# --- keys ---------------------------------------------------------------------------------------------------------

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NOT_WORD: Final = re.compile(r"[^a-z0-9]+")
_KEY_KINDS: Final = "api|private|access|signing|encryption|shared|master|ssh|account|license"
_COMPOUND: Final = re.compile(rf"(?:{_KEY_KINDS})keys?|session(?:id|key)")
_SENSITIVE: Final = re.compile(
    r"password|passwd|passphrase|passcode|authori[sz]ation|bearer|credential|cookie|signature"
    rf"|secret(?!ar)|sessionid|sessionkey|(?:{_KEY_KINDS})key(?!board|word|note)"
)
_SENSITIVE_WORD: Final = re.compile(
    r"(?:o|x|http|basic|proxy)?auth(?:n|z|data|info|header|code|key)?\d*|pwd|jwt|t?otp|csrf|xsrf|sig"
)
_COUNTING: Final = frozenset(
    {
        "max",
        "min",
        "total",
        "prompt",
        "completion",
        "input",
        "output",
        "used",
        "limit",
        "count",
        "budget",
        "per",
        "cached",
    }
)


def _words(key: str) -> list[str]:
    spaced = _CAMEL.sub(" ", unicodedata.normalize("NFKC", key))
    return _NOT_WORD.sub(" ", spaced.casefold()).split()


def _names_a_token(words: list[str]) -> bool:
    """Say whether a word means a secret token; counts of language-model tokens and tokenizers are none."""
    for word in words:
        if "token" not in word or word.startswith("tokeni"):
            continue
        counted = word.endswith("tokens") and (
            word.removesuffix("tokens") in _COUNTING or words[-1] in {"in", "out"} or not _COUNTING.isdisjoint(words)
        )
        described = word == "token" and words[-1] in {"count", "limit", "budget", "usage", "type", "length"}
        if not counted and not described:
            return True
    return False


def is_sensitive_key(key: str) -> bool:
    """Say whether a key names a secret, in any spelling: ``apiKey``, ``X-API-Key``, ``client secret``, ``DB_PASSWORD``."""
    words = _words(key)
    return (
        _SENSITIVE.search("".join(words)) is not None
        or any(_SENSITIVE_WORD.fullmatch(word) for word in words)
        or words[-1:] == ["pass"]
        or _names_a_token(words)
    )


def _names_headers(key: str) -> bool:
    """Say whether a key stands for the headers of a request."""
    return _words(key)[-1:] == ["headers"]


# --- text ---------------------------------------------------------------------------------------------------------
# Every pattern is linear: it starts only at a fixed prefix or at the start of a run, and its repeats are possessive
# (``++``), bounded, or cannot fail after them.

_PEM: Final = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?"
    r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
    re.DOTALL,
)
_JWT: Final = re.compile(
    r"(?<![A-Za-z0-9_-])((?>[A-Za-z0-9_-]*?(?=eyJ)))[A-Za-z0-9_-]++\.[A-Za-z0-9_-]++\.[A-Za-z0-9_-]++(?:\.[A-Za-z0-9_-]++){0,2}"
)
_PREFIXED: Final = re.compile(
    r"stw_[A-Za-z0-9]++_[A-Za-z0-9_-]+"
    r"|gh[pousr]_[A-Za-z0-9]{8,}|github_pat_\w{8,}|glpat-[\w-]{8,}|(?:AKIA|ASIA)[A-Z0-9]{12,}"
    r"|whsec_[A-Za-z0-9+/=_-]{4,}|xox[a-z]-[A-Za-z0-9-]{4,}|[srp]k_(?:live|test)_\w{6,}|AIza[\w-]{30,}"
)
_SK: Final = re.compile(r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{4,}")
_URL_PASSWORD: Final = re.compile(r'(://[^\s/:@?#"<>]*+:)[^\s/?#"<>]*@')
_BEARER: Final = re.compile(r"""(bearer\s++(?:tokens?\s++)?)(?!of\b)[^\s"',;]++""", re.IGNORECASE)
_ASSIGNED: Final = re.compile(r"""(?<![\w-])([\w-]++(?:[ ][\w-]++)?)\\{0,3}["'`]?\s*+(?::=|=>|[:=])\s*+""")
_QUOTED: Final = re.compile(
    r"""(?P<open>["'`])(?:(?!(?P=open))[^\\]|\\.)*+(?P<close>(?P=open))|(?P<esc>\\{1,3}["'`]).*?(?P<end>(?P=esc))""",
    re.DOTALL,
)
_UNQUOTED: Final = re.compile(r"""["'`][^\r\n]*|(?:[^\s&",;]|[,;](?!\s|\Z))++""")
_HEADER_LINE: Final = re.compile(r'[^\r\n"]+')
_CREDENTIALS: Final = re.compile(r"""(?i:digest)[ \t][^\r\n]*|(?:[A-Za-z][\w-]{0,30}+[ \t]++)?[^\s"',;]++""")


def _mask_sk(match: re.Match[str]) -> str:
    """Mask a key, but leave hyphenated words such as ``sk-learn``: a key is long or holds a digit or a capital."""
    body = match[0][3:]
    return REDACTED if len(body) >= 20 or not body.islower() or any(c.isdigit() for c in body) else match[0]  # noqa: PLR2004


def _assigned_value(name: str, text: str, start: int) -> tuple[str, int] | None:
    """Return what to put for the secret assigned at ``start`` and where it ends; None if no value stands there."""
    quoted = _QUOTED.match(text, start)
    if quoted:
        quote = quoted["open"] or quoted["esc"]
        return f"{quote}{REDACTED}{quote}", quoted.end()
    last = name.rsplit(" ", 1)[-1].casefold()
    shape = _HEADER_LINE if "cookie" in last else _CREDENTIALS if "auth" in last else _UNQUOTED
    plain = shape.match(text, start) or _UNQUOTED.match(text, start)
    return (REDACTED, plain.end()) if plain else None


def _secret_name(name: str) -> bool:
    """Say whether the word, or the two words, before a ``:`` or ``=`` name a secret."""
    last = name.rsplit(" ", 1)[-1]
    return is_sensitive_key(last) or (" " in name and _COMPOUND.fullmatch("".join(_words(name))) is not None)


def _mask_assignments(text: str) -> str:
    parts, done, at = [], 0, 0
    while found := _ASSIGNED.search(text, at):
        at = found.end()
        masked = _assigned_value(found[1], text, at) if _secret_name(found[1]) else None
        if masked:
            parts += [text[done:at], masked[0]]
            done = at = masked[1]
    return "".join([*parts, text[done:]])


def _may_hold_a_key(text: str) -> bool:
    """Say whether ``_PREFIXED`` may find something. Looking for a few letters is many times as fast as looking for a pattern."""
    return "_" in text or "-" in text or "AKIA" in text or "ASIA" in text or "AIza" in text


def _mask_once(text: str) -> str:
    if "-----BEGIN" in text:
        text = _PEM.sub(REDACTED, text)
    if "eyJ" in text:
        text = _JWT.sub(rf"\1{REDACTED}", text)
    if _may_hold_a_key(text):
        text = _PREFIXED.sub(REDACTED, text)
    if "sk-" in text:
        text = _SK.sub(_mask_sk, text)
    if "@" in text:
        text = _URL_PASSWORD.sub(rf"\1{REDACTED}@", text)
    if ":" in text or "=" in text:
        text = _mask_assignments(text)  # first: in "bearer api_key: x" the word after "bearer" is no secret
    if "bearer" in text.lower():
        text = _BEARER.sub(rf"\1{REDACTED}", text)
    return text


def redact_text(text: str) -> str:
    """Return ``text`` with everything masked that looks like a secret; never raises, linear in the length.

    Masking is repeated until nothing more is found, so a second call changes nothing. A text that is longer than
    ``MAX_TEXT_CHARS``, or that keeps showing new secrets, is masked whole.
    """
    for _ in range(_MAX_PASSES):
        if len(text) > MAX_TEXT_CHARS:
            return REDACTED
        masked = _mask_once(text)
        if masked == text:
            return text
        text = masked
    return REDACTED


# --- values -------------------------------------------------------------------------------------------------------


def _judge_key(key: str) -> tuple[str, bool]:
    """Return a key as it is shown, and whether it names a secret."""
    return redact_text(key), is_sensitive_key(key)


_judge_usual_key: Final = lru_cache(_KNOWN_KEYS)(_judge_key)
"""The same, remembered: the keys of results and log lines are few and come again and again."""


def redact_under(key: str, value: Any) -> Any:
    """Return what ``redact`` makes of a value that stands under this key, and of nothing beside it."""
    if not isinstance(value, str):
        return next(iter(redact({key: value}).values()))
    judge = _judge_usual_key if len(key) <= _MAX_KNOWN_CHARS else _judge_key
    _, secret = judge(key)
    return REDACTED if secret else redact_text(str(value))


def _redact_mapping(value: Mapping[Any, Any], depth: int) -> dict[Any, Any]:
    out: dict[Any, Any] = {}
    named = ""
    if "value" in value:
        named = next((value[key] for key in ("name", "key", "header") if isinstance(value.get(key), str)), "")
    for key, item in value.items():
        if isinstance(key, str):
            judge = _judge_usual_key if len(key) <= _MAX_KNOWN_CHARS else _judge_key
            plain_key, secret = judge(key)
            secret = secret or (key == "value" and is_sensitive_key(named))
        else:
            plain_key, secret = _redact(key, _MAX_DEPTH), False
        if type(item) not in _ATOMS and isinstance(item, Mapping) and isinstance(key, str) and _names_headers(key):
            # any header may carry a credential, whatever it is called
            out[plain_key] = {
                redact_text(str(name)): REDACTED if isinstance(text, str) else _redact(text, depth)
                for name, text in item.items()
            }
            continue
        # None, True and False under a secret's name tell only whether there is one.
        out[plain_key] = (
            REDACTED if secret and item is not None and not isinstance(item, bool) else _redact(item, depth)
        )
    return out


def _redact(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return redact_text(str(value))
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if not isinstance(value, (dict, list, tuple, Mapping)):
        return f"<{type(value).__name__}>"
    if depth == _MAX_DEPTH:
        return REDACTED
    if isinstance(value, (dict, Mapping)):
        return _redact_mapping(value, depth + 1)
    return [_redact(item, depth + 1) for item in value]


def texts_in(value: Any) -> Iterator[str]:
    """Yield every text inside a JSON value that is not empty."""
    if isinstance(value, str):
        yield from [value] if value else []
    elif isinstance(value, (Mapping, list)):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from texts_in(item)


def mask_text(text: str, secrets: Iterable[str]) -> str:
    """Return ``text`` with these exact secrets masked, the longest first."""
    if not secrets:
        return text
    for secret in sorted({secret for secret in secrets if secret}, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    return text


def mask(value: Any, secrets: Collection[str]) -> Any:
    """Return a JSON value with these exact secrets masked wherever they stand in a text, keys included."""
    if not secrets:
        return value
    if isinstance(value, str):
        return mask_text(value, secrets)
    if isinstance(value, Mapping):
        return {mask_text(str(key), secrets): mask(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [mask(item, secrets) for item in value]
    return value


def redact(value: Any) -> Any:
    """Return a deep copy of a JSON value with secrets masked; the input is left alone and nothing is ever raised.

    What is not JSON (bytes, say) becomes a placeholder naming its type, and what is nested beyond 64 levels is masked.
    Redacting twice gives the same as redacting once.
    """
    return _redact(value, 0)
