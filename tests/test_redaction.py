"""What the one redaction masks, what it leaves alone, and that nothing it is given can hurt it."""

import copy
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.plan import PlannedAction, PlanResult
from steward.redaction import MAX_TEXT_CHARS, REDACTED, is_sensitive_key, redact, redact_text, redact_under

SENSITIVE_KEYS = [
    "password", "passwd", "passphrase", "token", "x_token", "accessToken", "refresh_token", "REFRESH-TOKEN",
    "authorization", "Authorization", "api_key", "apikey", "apiKey", "APIKey", "x-api-key", "X-API-Key",
    "secret", "client_secret", "clientSecret", "bearer", "bearerToken", "private_key", "privateKey",
    "access_key", "AWS_SECRET_ACCESS_KEY", "credential", "credentials", "cookie", "Set-Cookie", "session_id",
    "sessionId", "JSESSIONID", "signature", "webhook-signature", "auth", "oauth", "proxyAuth", "smtp_pass",
    "DB_PASSWORD", "pwd", "jwt", "csrf_token", "tokens", "pass\u200bword", "ＰＡＳＳＷＯＲＤ"
]  # fmt: skip
HARMLESS_KEYS = [
    "author", "authors", "authored_after", "authority", "authorized_by", "tokens_in", "tokens_out",
    "max_tokens", "maxTokens", "total_tokens", "AI_MAX_OUTPUT_TOKENS", "token_count", "token_type",
    "tokenizer", "keyboard", "keyword", "api_keyword", "subject", "key", "key_id", "idempotency_key",
    "secretary", "compass", "workspace_id", "to", "text", "url", "path", "name", "passage", "session"
]  # fmt: skip
BODY = "ZQ7WM2XV9LR4TN6BK8JD"
PLANTED = [
    "Authorization: Bearer {}",
    "authorization: Basic {}==",
    "Bearer {}",
    "bearer token {}",
    "stw_01kb2w_{}",
    "sk-{}",
    "sk-proj-{}",
    "ghp_{}",
    "github_pat_{}",
    "AKIA0123456789{}",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIi{}.sig{}",
    "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\n{}",
    "postgres://user:{}@db.example.com/main",
    "redis://:pre@fix{}@cache.example.com",
    "password={}",
    "password = '{}'",
    "passphrase: `{}`",
    "api_key: {}",
    "API key: {}",
    "https://example.com/?page=1&access_token={}&x=2",
    '{{"client_secret": "x\\"{}", "n": 1}}',
    r"{{\"apiKey\": \"{}\"}}",
    "whsec_{}",
    "xoxb-{}",
    "Cookie: theme=dark; sid={}",
    'Authorization: Digest username="u", response="{}"',
    'password="{}',
]


@pytest.mark.parametrize("key", SENSITIVE_KEYS)
def test_a_value_under_a_sensitive_key_is_masked(key: str) -> None:
    """However the key is spelt, whatever the value's shape."""
    assert redact({"deep": [{key: "plain"}]}) == {"deep": [{key: REDACTED}]}
    assert redact({key: {"nested": ["plain"]}}) == {key: REDACTED}


@pytest.mark.parametrize("key", HARMLESS_KEYS)
def test_a_harmless_key_keeps_its_value(key: str) -> None:
    """Words that merely contain or resemble a sensitive word are left alone."""
    assert redact({key: "plain", "n": {key: 7}}) == {key: "plain", "n": {key: 7}}


def test_w140_every_form_that_once_passed_is_masked() -> None:
    """``apiKey``, ``client_secret``, ``x_token``, secrets inside strings; no word is left beside a visible token."""
    given_value = {
        "apiKey": "k1",
        "client_secret": "k2",
        "x_token": "k3",
        "note": "Authorization: Bearer abc",
        "log": "sent with Bearer xyz, then stw_01kb_s3cr3t",
    }
    assert redact(given_value) == {
        "apiKey": REDACTED,
        "client_secret": REDACTED,
        "x_token": REDACTED,
        "note": f"Authorization: {REDACTED}",
        "log": f"sent with Bearer {REDACTED}, then {REDACTED}",
    }


def test_w139_a_redacted_plan_is_redacted_and_the_executable_one_is_not_touched() -> None:
    """``safe_dict`` masks at any depth; the plan itself keeps what it needs to run."""
    headers = {"X-Api-Key": "visible?", "Accept": "text/plain"}
    step = PlannedAction(
        action_id="webhook.post", params={"url": "https://u:pw12345@example.com/h", "headers": headers}
    )
    plan = PlanResult(prompt="post with token=abc123", intent="Post.", steps=[step], explanation="Posts.")
    safe = plan.safe_dict()
    assert safe["prompt"] == f"post with token={REDACTED}"
    assert safe["steps"][0]["params"] == {
        "url": f"https://u:{REDACTED}@example.com/h",
        "headers": {"X-Api-Key": REDACTED, "Accept": REDACTED},
    }
    assert plan.steps[0].params["headers"]["X-Api-Key"] == "visible?"


@pytest.mark.parametrize("form", PLANTED)
@given(before=st.text(max_size=30), after=st.text(max_size=30))
def test_a_planted_secret_never_survives(form: str, before: str, after: str) -> None:
    """Whatever text stands around it, in a value, in a key, at any depth."""
    planted = f"{before} {form.replace('{{', '{').replace('}}', '}').replace('{}', BODY)} {after}"
    assert BODY not in redact_text(planted)
    assert BODY not in repr(redact({"a": [{"b": planted}], planted: 1}))


def test_a_header_given_as_name_and_value_is_masked() -> None:
    """A pair of ``name`` and ``value`` counts like a key and its value."""
    pair = {"name": "X-Api-Key", "value": "plain"}
    assert redact([pair]) == [{"name": "X-Api-Key", "value": REDACTED}]
    assert redact([{"name": "Accept", "value": "plain"}]) == [{"name": "Accept", "value": "plain"}]


@pytest.mark.parametrize(
    "text",
    [
        "Please write to office@example.com and cc accounts@example.org about the max_tokens=5 setting.",
        "The bearer of this letter manages the task-management and risk-assessment desk; sk-learn too.",
        "author: the office, subject: hello, keyboard: azerty, tokens_in: 12, secretary: present",
        "https://example.com:8443/path?email=office@example.com&page=2#top",
        "See https://example.com/a and mail a@example.com: it is fine.",
        "eyJ alone, AKIA alone, ghp_ alone, token of thanks, the secret of success: work.",
        REDACTED,
        "",
    ],
)
def test_harmless_text_is_unchanged(text: str) -> None:
    """Destinations, names and ordinary prose stay exactly as they were."""
    assert redact_text(text) == text


WORDS = st.sampled_from(
    [
        "office@example.com",
        "author",
        "tokens",
        "keyboard",
        "https://example.com/a",
        "task-sk-report",
        "€5",
        "naïve",
        "12:30",
    ]
)


@given(st.lists(WORDS).map(" ".join))
def test_ordinary_words_are_unchanged(text: str) -> None:
    """No combination of ordinary words looks like a secret."""
    assert redact_text(text) == text


FRAGMENTS = st.sampled_from(
    [
        *(form.replace("{}", BODY) for form in PLANTED),
        "token=",
        "Bearer ",
        "://",
        '"',
        "\\",
        "'",
        "eyJ",
        ".",
        "@",
        ":",
        "sk-",
    ]
)
HOSTILE = st.lists(st.one_of(FRAGMENTS, st.text(max_size=8)), max_size=12).map("".join)
SURROGATES = st.text(st.characters(codec=None), max_size=20)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | HOSTILE | SURROGATES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.one_of(HOSTILE, st.sampled_from(SENSITIVE_KEYS + HARMLESS_KEYS)), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(JSON_VALUES)
def test_redaction_is_idempotent_and_leaves_its_input_alone(value: Any) -> None:
    """Redacting twice is redacting once, and what was given is as it was."""
    before = copy.deepcopy(value)
    once = redact(value)
    assert redact(once) == once
    assert value == before


@given(st.sampled_from(["value", "name", "apiKey", "headers", "x" * 100]) | st.text(), JSON_VALUES | HOSTILE)
def test_a_value_under_a_key_is_redacted_as_where_it_stands_alone(key: str, value: Any) -> None:
    """The short way to the same."""
    assert [redact_under(key, value)] == list(redact({key: value}).values())


@given(HOSTILE)
def test_text_redaction_is_idempotent(text: str) -> None:
    """Also for text glued together from pieces of secrets."""
    once = redact_text(text)
    assert redact_text(once) == once


def test_deep_nesting_does_not_raise_and_hides_what_it_does_not_reach() -> None:
    """Beyond the depth limit everything is masked, and the rest of the document is kept."""
    deep: Any = "Bearer abc"
    for level in range(5000):
        deep = {"a": deep} if level % 2 else [deep]
    out = redact({"ok": 1, "deep": deep})
    assert out["ok"] == 1
    assert "abc" not in repr(out)
    assert redact(out) == out


def test_what_is_not_json_becomes_a_placeholder() -> None:
    """Bytes, sets and objects never show their content; tuples become lists; numbers and booleans stay."""
    out = redact({"b": b"secret", "s": {1}, "o": object(), "t": (1, True, None), 5: "n", b"k": 1})
    assert out == {"b": "<bytes>", "s": "<set>", "o": "<object>", "t": [1, True, None], 5: "n", "<bytes>": 1}


def test_whether_a_secret_is_set_may_be_shown() -> None:
    """None and booleans under a sensitive key tell nothing; numbers do."""
    assert redact({"password": None, "has_token": True, "passcode": 1234}) == {
        "password": None,
        "has_token": True,
        "passcode": REDACTED,
    }


@pytest.mark.parametrize(
    "piece",
    ["eyJ", "eyJa.", "sk-", "stw_", "stw_a_", "://:", "://a:@", "token='", 'token=\\"', "a: ", "a ", "bearer ", "-", " ", "\\",
     "-----BEGIN PRIVATE KEY-----", "AKIA0123456789ABCDEFsk-abcdefgh1", "authorization: a ", "x", "[:=", '"password":"\\'],
)  # fmt: skip
def test_time_is_linear_in_hostile_text(piece: str) -> None:
    """A quarter of a million hostile characters take well under two seconds of processor time."""
    text = piece * (MAX_TEXT_CHARS // len(piece))
    started = time.process_time()
    redact_text(text)
    assert time.process_time() - started < 2


def test_text_beyond_the_bound_is_masked_whole() -> None:
    """What is too long to look through is not shown."""
    assert redact_text("a" * (MAX_TEXT_CHARS + 1)) == REDACTED
    assert redact_text("a" * MAX_TEXT_CHARS) == "a" * MAX_TEXT_CHARS


@given(st.text())
def test_any_key_can_be_judged(key: str) -> None:
    """No key raises, and a sensitive word in it is found behind any prefix."""
    is_sensitive_key(key)
    assert is_sensitive_key(f"{key}_password")


def test_the_values_of_headers_are_masked_whatever_their_names() -> None:
    """A header may carry a credential under any name; the names stay, and so does everything else."""
    shown = redact(
        {"url": "https://far.example/", "headers": {"X-Team": "s3cr3t", "X-Room": "blue"}, "payload": {"X-Team": "red"}}
    )
    assert shown["headers"] == {"X-Team": REDACTED, "X-Room": REDACTED}
    assert (shown["url"], shown["payload"]) == ("https://far.example/", {"X-Team": "red"})
    assert redact(shown) == shown
