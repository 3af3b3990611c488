"""Settings: every wrong value stops the start with one sentence that names the variable and never repeats the value."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from steward.errors import ConfigurationError
from steward.rate_limit import RateLimit, RateRule
from steward.settings import Settings

KEY = "kYw8Qm2Zr5Tn1Bv7Hs4Jd9Lf3Gx6Pc0A"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def load(home: Path, **env: str) -> Settings:
    """Return settings for ``home`` and these variables."""
    return Settings.load({"STEWARD_HOME": str(home), "STEWARD_SECRET_KEY": KEY, **env})


def test_the_defaults_are_the_contract(tmp_path: Path) -> None:
    """With nothing but a home and a key: SQLite in it, lists unset, labels off, 30 days."""
    settings = load(tmp_path)
    assert settings.home == tmp_path
    assert settings.database_url == f"sqlite:///{tmp_path}/steward.db"
    assert settings.secret_keys == (KEY,)
    assert (settings.action_allowlist, settings.action_denylist) == (None, None)
    assert settings.metrics_workspace_label is False
    assert settings.metrics_workspace_allowlist is None
    assert settings.job_retention_s == 30 * 86400


def test_the_home_defaults_to_a_folder_here() -> None:
    """STEWARD_HOME unset or blank is ``./.steward``, made absolute."""
    for env in ({}, {"STEWARD_HOME": " "}):
        assert Settings.load(env, secret_required=False).home == Path.cwd() / ".steward"


def test_every_value_is_read(tmp_path: Path) -> None:
    """Each variable arrives in its field, lists trimmed and blanks dropped."""
    settings = load(
        tmp_path,
        STEWARD_ENV="staging",
        SMTP_URL="smtps://office:pa%3Ass@mail.example.com:465",
        SMTP_FROM="Office <office@example.com>",
        WEBHOOK_SECRETS=f"hooks.example.com={WHSEC}, other.example.com = {WHSEC}".replace(" = ", "="),
        HTTP_ALLOW_HOSTS=" LocalHost, 10.0.0.7 ,, [::1] ",
        STEWARD_ACTIONS="shop.actions, house",
        ACTION_ALLOWLIST=" , ",
        ACTION_DENYLIST="email.*",
        METRICS_WORKSPACE_LABEL=" ON ",
        METRICS_WORKSPACE_ALLOWLIST="acme,, beta ",
        METRICS_TOKEN="m" * 16,
        AI_JOB_RETENTION_S="86400",
        STEWARD_BODY_LIMIT_BYTES="2048",
        STEWARD_RATE_LIMITS=" plan=60/minute, preview=off,failed_logins=9/day ",
    )
    assert settings.env == "staging"
    assert settings.smtp_url == "smtps://office:pa%3Ass@mail.example.com:465"
    assert settings.smtp_from == "Office <office@example.com>"
    assert settings.webhook_secrets == {"hooks.example.com": WHSEC, "other.example.com": WHSEC}
    assert settings.http_allow_hosts == {"localhost", "10.0.0.7", "[::1]"}
    assert settings.action_modules == ("shop.actions", "house")
    assert settings.action_allowlist == " , "
    assert settings.action_denylist == "email.*"
    assert settings.metrics_workspace_label is True
    assert settings.metrics_workspace_allowlist == {"acme", "beta"}
    assert settings.metrics_token == "m" * 16
    assert settings.job_retention_s == 86400
    assert settings.body_limit_bytes == 2048
    assert settings.rate_limits == {
        RateRule.PLAN: RateLimit(60, 60),
        RateRule.EXECUTE: RateLimit(12_000, 60),
        RateRule.WORKSPACE_PLAN: RateLimit(12_000, 60),
        RateRule.WORKSPACE_EXECUTE: RateLimit(12_000, 60),
        RateRule.WORKSPACE_PREVIEW: RateLimit(12_000, 60),
        RateRule.SESSION: RateLimit(600, 60),
        RateRule.FAILED_LOGINS: RateLimit(9, 86_400),
    }
    assert load(tmp_path, STEWARD_RATE_LIMITS=" off ").rate_limits == {}


def test_webhook_secrets_may_be_a_json_object(tmp_path: Path) -> None:
    """The JSON form reads like the list form; a destination may be the beginning of a URL."""
    for text in (f'{{"https://hooks.example.com/a": "{WHSEC}"}}', f"https://hooks.example.com/a={WHSEC}"):
        assert load(tmp_path, WEBHOOK_SECRETS=text).webhook_secrets == {"https://hooks.example.com/a": WHSEC}


def test_blank_variables_count_as_unset_but_blank_lists_count(tmp_path: Path) -> None:
    """A blank SMTP_URL is no mail server; a blank allowlist is an allowlist of nothing."""
    settings = load(tmp_path, SMTP_URL="", METRICS_TOKEN=" ", AI_JOB_RETENTION_S="", REDIS_URL="", ACTION_ALLOWLIST="")
    assert settings.smtp_url is None
    assert settings.metrics_token is None
    assert settings.job_retention_s == 30 * 86400
    assert settings.action_allowlist == ""
    assert load(tmp_path, METRICS_WORKSPACE_ALLOWLIST=" ").metrics_workspace_allowlist == frozenset()


@pytest.mark.parametrize("flag", ["off", "true", "1", "yes", "onn", "o n"])
def test_only_on_switches_the_label_on(tmp_path: Path, flag: str) -> None:
    """Anything but ``on`` leaves the label off and does not stop the start."""
    assert load(tmp_path, METRICS_WORKSPACE_LABEL=flag).metrics_workspace_label is False


CANARY = "c4n4ryV4lue"
WRONG = [
    ("STEWARD_SECRET_KEY", f"{CANARY}short"),
    ("STEWARD_SECRET_KEY", f"{KEY},{CANARY}"),
    ("STEWARD_SECRET_KEY", f"{CANARY}-please-change-me-before-going-live"),
    ("STEWARD_SECRET_KEY", "a" * 64),
    ("STEWARD_SECRET_KEY", " , "),
    ("STEWARD_HOME", f"/tmp/{CANARY}\x00"),
    ("STEWARD_ENV", f"Prod {CANARY}"),
    ("STEWARD_ENV", "production\n"),
    ("DATABASE_URL", f"postgresql://steward:{CANARY}@db"),
    ("DATABASE_URL", f"postgresql://steward:{CANARY}@/steward"),
    ("DATABASE_URL", f"postgresql://steward:{CANARY}@db:port/steward"),
    ("DATABASE_URL", f"postgresql+asyncpg://steward:{CANARY}@db/steward"),
    ("DATABASE_URL", f"mysql://steward:{CANARY}@db/steward"),
    ("DATABASE_URL", "sqlite://"),
    ("DATABASE_URL", "sqlite:///:memory:"),
    ("SMTP_URL", f"https://office:{CANARY}@mail.example.com"),
    ("SMTP_URL", f"smtp://office:{CANARY}@"),
    ("SMTP_URL", f"smtp://office:{CANARY}@mail.example.com:mail"),
    ("SMTP_URL", f"smtp://office:{CANARY}@mail.example.com:99999"),
    ("SMTP_URL", f"smtp://office:{CANARY}@[::1"),
    ("SMTP_URL", f"smtp://office:{CANARY}@mail.example.com\r\nX"),
    ("SMTP_FROM", CANARY),
    ("SMTP_FROM", f"office@example.com\r\nBcc: {CANARY}@example.com"),
    ("WEBHOOK_SECRETS", CANARY),
    ("WEBHOOK_SECRETS", f"hooks.example.com={CANARY}"),
    ("WEBHOOK_SECRETS", f"hooks.example.com=whsec_{CANARY}"),
    ("WEBHOOK_SECRETS", f'{{"hooks.example.com": "{CANARY}"'),
    ("WEBHOOK_SECRETS", '{"hooks.example.com": 5}'),
    ("WEBHOOK_SECRETS", f"={WHSEC}"),
    ("WEBHOOK_SECRETS", f"https://office:{CANARY}@hooks.example.com/={WHSEC}"),
    ("WEBHOOK_SECRETS", "{" * 100_000),
    ("HTTP_ALLOW_HOSTS", "*"),
    ("HTTP_ALLOW_HOSTS", f"http://{CANARY}/"),
    ("STEWARD_ACTIONS", f"shop.actions; rm {CANARY}"),
    ("STEWARD_ACTIONS", "../shop"),
    ("METRICS_WORKSPACE_ALLOWLIST", f"acme,{CANARY} upper"),
    ("METRICS_TOKEN", "short"),
    ("METRICS_TOKEN", f"{CANARY} with a space in it"),
    ("AI_JOB_RETENTION_S", "86399"),
    ("AI_JOB_RETENTION_S", "a week"),
    ("AI_JOB_RETENTION_S", "9" * 30),
    ("AI_JOB_RETENTION_S", "86400.5"),
    ("STEWARD_BODY_LIMIT_BYTES", "0"),
    ("STEWARD_BODY_LIMIT_BYTES", "-1"),
    ("STEWARD_RATE_LIMITS", f"{CANARY}=3/minute"),
    ("STEWARD_RATE_LIMITS", f"plan={CANARY}"),
    ("STEWARD_RATE_LIMITS", "plan=0/minute"),
    ("STEWARD_RATE_LIMITS", "plan=-3/minute"),
    ("STEWARD_RATE_LIMITS", "plan=3/fortnight"),
    ("STEWARD_RATE_LIMITS", "plan=3/minute;execute=3/minute"),
    ("STEWARD_RATE_LIMITS", "plan=3/minute,plan=4/minute"),
    ("STEWARD_RATE_LIMITS", "plan=999999999/minute"),
    ("STEWARD_RATE_LIMITS", "plan=٣/minute"),
    ("REDIS_URL", f"http://:{CANARY}@localhost"),
    ("REDIS_URL", f"redis://:{CANARY}@"),
    ("REDIS_URL", f"redis://:{CANARY}@localhost:redis"),
    ("REDIS_URL", f"redis://localhost/{CANARY}"),
    ("REDIS_EFFECT_SAFETY", CANARY),
    ("AI_MODEL", CANARY),
    ("AI_JOBS_NEW_SCHEMA", CANARY),
    ("AI_MODEL", f"openai:{CANARY} and more"),
    ("AI_BASE_URL", f"https://user:{CANARY}@example.com/v1"),
    ("AI_BASE_URL", f"ftp://{CANARY}"),
    ("AI_MAX_OUTPUT_TOKENS", CANARY),
    ("AI_MAX_TOKENS_PER_MIN", "999"),
    ("AI_MAX_COST_PER_DAY", "0"),
    ("AI_PRICE_READ", "NaN"),
    ("AI_PRICE_WRITTEN", CANARY),
    ("AI_TIMEOUT_S", "0"),
    ("OPENAI_API_KEY", f"{CANARY}\u00e9"),
    ("ALLOW_ACTIONS_DEFAULT", CANARY),
    ("ALLOW_ACTIONS_DEFAULT", ""),
]


@pytest.mark.parametrize(
    ("variable", "value"), WRONG, ids=[f"{name}-{number}" for number, (name, _) in enumerate(WRONG)]
)
def test_a_wrong_value_stops_the_start_and_is_not_repeated(tmp_path: Path, variable: str, value: str) -> None:
    """One sentence, beginning with the variable, without any part of the value, no pydantic page behind it."""
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, **{variable: value})
    sentence = caught.value.detail
    assert sentence.startswith(variable)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert CANARY not in sentence
    assert caught.value.__cause__ is None


def test_c26_the_old_alias_names_its_successor(tmp_path: Path) -> None:
    """ALLOW_ACTIONS_DEFAULT is refused with the name of the variable to use."""
    with pytest.raises(ConfigurationError, match="ACTION_ALLOWLIST"):
        load(tmp_path, ALLOW_ACTIONS_DEFAULT="gmail.send")


@pytest.mark.parametrize("value", ["true", "1", "on", "yes", " True "])
def test_w57_no_setting_lets_anybody_in(tmp_path: Path, value: str) -> None:
    """DEV_AUTH_MODE stops the start rather than being ignored, whatever STEWARD_ENV says."""
    for env in ("development", "production"):
        with pytest.raises(ConfigurationError, match=r"^DEV_AUTH_MODE .*key"):
            load(tmp_path, DEV_AUTH_MODE=value, STEWARD_ENV=env)


def test_w59_no_secret_is_in_the_repr(tmp_path: Path) -> None:
    """A settings object in a log line or a traceback shows no key, password or token."""
    settings = load(
        tmp_path,
        SMTP_URL="smtp://office:hunter2hunter2@mail.example.com",
        WEBHOOK_SECRETS=f"hooks.example.com={WHSEC}",
        METRICS_TOKEN="metrics-token-here",
    )
    for shown in (repr(settings), str(settings)):
        for secret in (KEY, "hunter2hunter2", WHSEC, "metrics-token-here"):
            assert secret not in shown


def test_w56_a_server_without_a_secret_key_does_not_start(tmp_path: Path) -> None:
    """No built-in key: without STEWARD_SECRET_KEY the start is refused and nothing is written."""
    with pytest.raises(ConfigurationError, match="STEWARD_SECRET_KEY is not set"):
        Settings.load({"STEWARD_HOME": str(tmp_path)})
    assert list(tmp_path.iterdir()) == []


def test_several_keys_rotate_in_order(tmp_path: Path) -> None:
    """The first key seals; the order is kept."""
    other = KEY[::-1]
    assert load(tmp_path, STEWARD_SECRET_KEY=f"{KEY}, {other}").secret_keys == (KEY, other)


def test_a_generated_key_is_private_and_stays(tmp_path: Path) -> None:
    """``steward up`` makes a key once, mode 0600, and finds it again; a set variable wins."""
    env = {"STEWARD_HOME": str(tmp_path / "new" / "home")}
    first = Settings.load(env, allow_generated_secret=True)
    file = first.home / "secret.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert first.secret_keys == (file.read_text(),)
    assert len(first.secret_keys[0]) >= 32
    assert Settings.load(env, allow_generated_secret=True).secret_keys == first.secret_keys
    assert Settings.load({**env, "STEWARD_SECRET_KEY": KEY}, allow_generated_secret=True).secret_keys == (KEY,)
    assert [entry.name for entry in first.home.iterdir()] == ["secret.key"]


def test_racing_starts_share_one_generated_key(tmp_path: Path) -> None:
    """However many processes start at once on an empty home, all use the same key."""
    with ThreadPoolExecutor(16) as pool:
        keys = set(
            pool.map(
                lambda _: Settings.load({"STEWARD_HOME": str(tmp_path)}, allow_generated_secret=True).secret_keys,
                range(64),
            )
        )
    assert len(keys) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret.key"]


@pytest.mark.parametrize(("text", "mode"), [("", 0o600), ("short", 0o600), (KEY, 0o644)])
def test_a_key_file_that_is_damaged_or_open_to_others_is_refused(tmp_path: Path, text: str, mode: int) -> None:
    """It is neither used nor overwritten."""
    file = tmp_path / "secret.key"
    file.write_text(text)
    file.chmod(mode)
    with pytest.raises(ConfigurationError, match="STEWARD_HOME"):
        Settings.load({"STEWARD_HOME": str(tmp_path)}, allow_generated_secret=True)
    assert file.read_text() == text


def test_the_table_names_every_variable_with_a_sentence() -> None:
    """The documentation's table has each variable once, with a meaning."""
    rows = Settings.table()
    assert len({row.variable for row in rows}) == len(rows) == len(Settings.model_fields)
    assert all(row.help.endswith(".") and row.default for row in rows)


@pytest.mark.parametrize("env", ["production", "prod"])
def test_w56_in_production_no_secret_is_made_up(tmp_path: Path, env: str) -> None:
    """What ``steward up`` makes by itself elsewhere must be given there, also when a key file is left from before."""
    Settings.load({"STEWARD_HOME": str(tmp_path)}, allow_generated_secret=True)
    with pytest.raises(ConfigurationError, match="STEWARD_SECRET_KEY"):
        Settings.load({"STEWARD_HOME": str(tmp_path), "STEWARD_ENV": env}, allow_generated_secret=True)
    for weak in ("tiny", "a" * 64, "change-me-change-me-change-me-change-me", "dev-secret-key-0123456789-0123456789"):
        with pytest.raises(ConfigurationError, match="STEWARD_SECRET_KEY") as caught:
            load(tmp_path, STEWARD_ENV=env, STEWARD_SECRET_KEY=weak)
        assert weak not in caught.value.detail
    assert load(tmp_path, STEWARD_ENV=env).secret_keys == (KEY,)


def test_token_settings_are_read(tmp_path: Path) -> None:
    """Each variable arrives in its field."""
    settings = load(
        tmp_path,
        JWT_ISSUER=" https://login.example.com/ ",
        JWT_AUDIENCE="steward, https://steward.example.com",
        JWT_ALGORITHMS="ES256,Ed25519",
        JWT_JWKS="https://login.example.com/jwks",
        JWT_SKEW_S="60",
        CORS_ALLOW_ORIGINS="https://studio.example.com, http://localhost:5173",
    )
    assert settings.jwt_issuer == "https://login.example.com/"
    assert settings.jwt_audiences == ("steward", "https://steward.example.com")
    assert settings.jwt_algorithms == ("ES256", "Ed25519")
    assert (settings.jwt_jwks, settings.jwt_secret, settings.jwt_skew_s) == ("https://login.example.com/jwks", None, 60)
    assert settings.cors_allow_origins == ("https://studio.example.com", "http://localhost:5173")


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "https://*.example.com",
        "https://a.example.com/",
        "a.example.com",
        "null",
        "HTTPS://A.example.com",
        "https://a:0",
    ],
)
def test_an_origin_is_exact(tmp_path: Path, origin: str) -> None:
    """No pattern, no path, nothing that a browser would not send."""
    with pytest.raises(ConfigurationError, match="CORS_ALLOW_ORIGINS"):
        load(tmp_path, CORS_ALLOW_ORIGINS=f"https://good.example.com,{origin}")
