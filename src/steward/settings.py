"""Every environment variable that the server reads, in one place: its name, default, meaning and what is a wrong value.

``Settings.load`` is the only door. A wrong value stops the start with one sentence that names the variable and never
repeats the value, which may be a secret. Variables that only the command line reads (``STEWARD_URL``,
``STEWARD_API_KEY``) are not here.
"""

import os
import secrets
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from steward import setting_values as values
from steward.errors import ConfigurationError
from steward.private_file import place_private, read_private
from steward.rate_limit import RateLimits
from steward.work_store import MIN_RETENTION_S, RETENTION_S

KEY_FILE: Final = "secret.key"
DATABASE_FILE: Final = "steward.db"
_REDIS_RETENTION_S: Final = 7 * 24 * 3600
_MAX_RETENTION_S: Final = 10 * 366 * 24 * 3600
_BLANK_COUNTS: Final = frozenset({"ACTION_ALLOWLIST", "METRICS_WORKSPACE_ALLOWLIST"})
"""Blank means "none of them" here; any other blank variable counts as unset."""
PRODUCTION: Final = frozenset({"production", "prod"})
_REFUSED: Final = {
    "ALLOW_ACTIONS_DEFAULT": "is not a setting of Steward: unset it and list the allowed actions in ACTION_ALLOWLIST.",
    "DEV_AUTH_MODE": "is not a setting of Steward: nobody gets in without a key, so unset it.",
}


def _setting(variable: str, default: Any, description: str, *, secret: bool = False, **bounds: Any) -> Any:
    """Return a field read from ``variable``; a secret one stays out of ``repr``."""
    return Field(default, validation_alias=variable, description=description, repr=not secret, **bounds)


def _reads(parse: Callable[[str], Any]) -> BeforeValidator:
    """Return a validator that refuses control characters and then reads the text with ``parse``."""
    return BeforeValidator(lambda text: parse(values.printable(text)))


class SettingRow(NamedTuple):
    """One line of the settings table in the documentation."""

    variable: str
    default: str
    help: str


class Settings(BaseSettings):
    """The installation's settings, checked. Make one with ``Settings.load``."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, case_sensitive=True, validate_default=False
    )

    home: Annotated[Path, _reads(values.home_folder)] = _setting(
        "STEWARD_HOME",
        ".steward",
        "Folder for the database, the workspaces' files and local keys.",
        validate_default=True,
    )
    database_url: Annotated[str, _reads(values.database_url)] = _setting(
        "DATABASE_URL",
        "",
        "Where everything is kept: sqlite:///file or postgresql://user:password@host/database. Unset: SQLite in STEWARD_HOME.",
        secret=True,
    )
    redis_url: Annotated[str | None, _reads(values.redis_url)] = _setting(
        "REDIS_URL",
        None,
        "Where work is kept: redis://user:password@host:6379/0, rediss:// with TLS, unix:///path, or Sentinels: "
        "redis+sentinel://user:password@host:26379,host:26379/service/0. Unset: in the database.",
        secret=True,
    )
    redis_effect_safety: Annotated[Literal["strict", "fast"], _reads(str.strip)] = _setting(
        "REDIS_EFFECT_SAFETY",
        "strict",
        "With Redis: 'strict' begins an effect that has no key only once its record is on Redis's disk; 'fast' does not "
        "wait, and a power cut may have such an effect happen twice.",
    )
    jobs_new_schema: Annotated[Literal["off", "on"] | None, _reads(str.strip)] = _setting(
        "AI_JOBS_NEW_SCHEMA",
        None,
        "While jobs in Redis are written under old keys and new: 'off' reads the old at this start, 'on' the new. Unset: as before.",
    )
    secret_keys: Annotated[tuple[str, ...], NoDecode, _reads(values.secret_keys)] = _setting(
        "STEWARD_SECRET_KEY",
        (),
        "Seals parameters and results and signs cursors. At least 32 characters; several, separated by commas, to rotate: "
        "the first seals, all open. Required, except that 'steward up' makes its own.",
        secret=True,
    )
    env: str = _setting(
        "STEWARD_ENV",
        "development",
        "A name for this installation, shown in logs. In 'production' no secret is made up: 'steward up' needs "
        "STEWARD_SECRET_KEY too.",
        pattern="^[a-z][a-z0-9_-]{0,31}$",
    )
    jwt_issuer: Annotated[str | None, _reads(str.strip)] = _setting(
        "JWT_ISSUER", None, "Whose tokens are taken beside API keys: their 'iss', exactly."
    )
    jwt_audiences: Annotated[tuple[str, ...], NoDecode, _reads(values.items)] = _setting(
        "JWT_AUDIENCE", (), "The 'aud' of tokens for this installation; several, separated by commas: any of them."
    )
    jwt_algorithms: Annotated[tuple[str, ...], NoDecode, _reads(values.algorithms)] = _setting(
        "JWT_ALGORITHMS", (), "Signature algorithms that are taken. Unset: RS256 and ES256, or HS256 with JWT_SECRET."
    )
    jwt_jwks: Annotated[str | None, _reads(values.key_source)] = _setting(
        "JWT_JWKS",
        None,
        "The issuer's public keys: an https:// address (http:// only on this machine) or a file. Turns tokens on.",
    )
    jwt_secret: Annotated[str | None, _reads(values.jwt_secret)] = _setting(
        "JWT_SECRET",
        None,
        "A secret of at least 32 bytes that the issuer signs with, instead of JWT_JWKS.",
        secret=True,
    )
    jwt_skew_s: int = _setting("JWT_SKEW_S", 30, "By how many seconds the issuer's clock may differ.", ge=0, le=60)
    cors_allow_origins: Annotated[tuple[str, ...], NoDecode, _reads(values.origins)] = _setting(
        "CORS_ALLOW_ORIGINS",
        (),
        "Origins whose pages may call the API with a Bearer credential, separated by commas. Unset: none.",
    )
    smtp_url: Annotated[str | None, _reads(values.smtp_url)] = _setting(
        "SMTP_URL",
        None,
        "Mail server for email.send: smtp://user:password@host:587 (STARTTLS, except on this machine) or "
        "smtps://user:password@host:465. Unset: email.send is disabled.",
        secret=True,
    )
    smtp_from: Annotated[str | None, _reads(values.sender)] = _setting(
        "SMTP_FROM", None, "The address that mail is sent from; the user name of SMTP_URL unless set."
    )
    webhook_secrets: Annotated[dict[str, str], NoDecode, _reads(values.webhook_secrets)] = _setting(
        "WEBHOOK_SECRETS",
        {},
        "Signing secrets of webhook.post by host or URL: host=whsec_… separated by commas, or a JSON object.",
        secret=True,
    )
    http_allow_hosts: Annotated[frozenset[str], NoDecode, _reads(values.hosts)] = _setting(
        "HTTP_ALLOW_HOSTS", frozenset(), "Hosts that actions may reach although their address is private or local."
    )
    ai_model: Annotated[tuple[str, str] | None, NoDecode, _reads(values.ai_model)] = _setting(
        "AI_MODEL",
        None,
        "The language model that plans and that llm.extract and llm.generate ask: openai:…, anthropic:… or google:… and the "
        "model's name. Unset: the built-in planner, and those two actions are disabled.",
    )
    ai_base_url: Annotated[str | None, _reads(values.ai_base_url)] = _setting(
        "AI_BASE_URL",
        None,
        "Where the model is, if not at its provider: with openai:… any server that speaks that protocol, such as "
        "http://localhost:11434/v1. HTTP is for this machine and private networks; the key goes along.",
    )
    ai_max_output_tokens: int = _setting(
        "AI_MAX_OUTPUT_TOKENS", 4096, "The most tokens that one answer of the model may have.", ge=64, le=200_000
    )
    ai_max_tokens_per_min: int | None = _setting(
        "AI_MAX_TOKENS_PER_MIN",
        None,
        "The most tokens that each workspace may have the model read and write within a minute, in all processes together. What "
        "a question may cost is reserved before it is asked. Unset: no limit.",
        ge=1000,
        le=1_000_000_000,
    )
    ai_max_cost_per_day: Decimal | None = _setting(
        "AI_MAX_COST_PER_DAY",
        None,
        "The most dollars that each workspace may spend on the model within 24 hours, in all processes together, reserved in the "
        "same way. Needs AI_PRICE_READ and AI_PRICE_WRITTEN. Unset: no limit.",
        gt=0,
        le=1_000_000,
    )
    ai_price_read: Decimal | None = _setting(
        "AI_PRICE_READ", None, "What a million tokens cost that the model reads, in dollars.", ge=0, le=100_000
    )
    ai_price_written: Decimal | None = _setting(
        "AI_PRICE_WRITTEN", None, "What a million tokens cost that the model writes, in dollars.", ge=0, le=100_000
    )
    ai_timeout_s: int = _setting(
        "AI_TIMEOUT_S", 60, "Seconds within which the model has to answer, all tries together.", ge=1, le=300
    )
    openai_api_key: Annotated[str | None, _reads(values.api_key)] = _setting(
        "OPENAI_API_KEY", None, "The key for openai:… models. Not needed with AI_BASE_URL.", secret=True
    )
    anthropic_api_key: Annotated[str | None, _reads(values.api_key)] = _setting(
        "ANTHROPIC_API_KEY", None, "The key for anthropic:… models.", secret=True
    )
    google_api_key: Annotated[str | None, _reads(values.api_key)] = _setting(
        "GOOGLE_API_KEY", None, "The key for google:… models.", secret=True
    )
    mcp_allow_hosts: Annotated[frozenset[str], NoDecode, _reads(values.hosts)] = _setting(
        "MCP_ALLOW_HOSTS", frozenset(), "Names, beside this machine's own, by which clients may address /mcp."
    )
    action_modules: Annotated[tuple[str, ...], NoDecode, _reads(values.modules)] = _setting(
        "STEWARD_ACTIONS", (), "Python modules with own actions, separated by commas."
    )
    action_allowlist: str | None = _setting(
        "ACTION_ALLOWLIST",
        None,
        "Actions that may run: '*', ids, or 'provider.*', separated by commas. Unset: every enabled one; blank: none.",
    )
    action_denylist: str | None = _setting(
        "ACTION_DENYLIST", None, "Actions that may not run, in the same form; it wins over the allowlist."
    )
    metrics_workspace_label: Annotated[bool, _reads(values.is_on)] = _setting(
        "METRICS_WORKSPACE_LABEL",
        default=False,
        description="'on' labels metrics with the workspace; anything else is off.",
    )
    metrics_workspace_allowlist: Annotated[frozenset[str] | None, NoDecode, _reads(values.workspaces)] = _setting(
        "METRICS_WORKSPACE_ALLOWLIST",
        None,
        "Workspaces with a label of their own; the others share 'other'. Unset: all. It never decides about access.",
    )
    metrics_token: Annotated[str | None, _reads(values.token)] = _setting(
        "METRICS_TOKEN", None, "Bearer token that /metrics asks for. Unset: /metrics is open.", secret=True
    )
    job_retention_s: int = _setting(
        "AI_JOB_RETENTION_S",
        RETENTION_S,
        "Seconds for which ended work is kept, at least a day. Unset, with Redis: 7 days.",
        ge=MIN_RETENTION_S,
        le=_MAX_RETENTION_S,
    )
    audit_retention_days: int = _setting(
        "AUDIT_RETENTION_DAYS", 365, "Days for which the audit is kept; what is older is dropped.", ge=1, le=3660
    )
    audit_mode: Literal["best_effort", "required"] = _setting(
        "AUDIT_MODE",
        "best_effort",
        "'required': nothing is executed and no write has its effect unless it is recorded first; while the audit cannot be "
        "written, executing is answered with 503. 'best_effort': recording never holds work up; a failure is counted and shown.",
    )
    body_limit_bytes: int = _setting(
        "STEWARD_BODY_LIMIT_BYTES", 1024 * 1024, "Largest request body in bytes.", ge=1024, le=100 * 1024 * 1024
    )
    rate_limits: Annotated[RateLimits, NoDecode, _reads(values.rate_limits)] = _setting(
        "STEWARD_RATE_LIMITS",
        values.RATES,
        "Requests that may be made, by rule: 'plan=60/minute,preview=off', with second, minute, hour or day. What is not named "
        "stays as it is; 'off' alone switches all off. Each process counts for itself.",
        validate_default=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic-settings'
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what ``load`` read and nothing else: no second, silent look at the process environment."""
        return (init_settings,)

    @classmethod
    def load(
        cls,
        env: Mapping[str, str] | None = None,
        *,
        allow_generated_secret: bool = False,
        secret_required: bool = True,
    ) -> Self:
        """Return the settings of ``env`` (the process's own unless given); raise ``ConfigurationError`` for a wrong one.

        ``allow_generated_secret``: without STEWARD_SECRET_KEY, use the key file in STEWARD_HOME and make it if need be.
        ``secret_required`` False: for commands that neither seal nor sign.
        """
        env = os.environ if env is None else env
        for variable, sentence in _REFUSED.items():
            if variable in env:
                raise ConfigurationError(f"{variable} {sentence}")
        source = EnvSettingsSource(cls, case_sensitive=True)
        source.env_vars = {name: text for name, text in env.items() if text.strip() or name in _BLANK_COUNTS}
        try:
            settings = cls(**source())
        except ValidationError as error:
            raise ConfigurationError(_sentence(error)) from None
        return settings._completed(allow_generated_secret=allow_generated_secret, secret_required=secret_required)

    def _completed(self, *, allow_generated_secret: bool, secret_required: bool) -> Self:
        known: dict[str, Any] = {}
        problem = values.jwt_problem(
            self.jwt_issuer, self.jwt_audiences, self.jwt_algorithms, self.jwt_jwks, self.jwt_secret
        )
        if problem is not None:
            raise ConfigurationError(problem)
        if self.ai_model is not None and not self.ai_key and not (self.ai_model[0] == "openai" and self.ai_base_url):
            raise ConfigurationError(
                f"{self.ai_model[0].upper()}_API_KEY is not set: give the key for the model that AI_MODEL names."
            )
        if self.ai_max_cost_per_day is not None and None in {self.ai_price_read, self.ai_price_written}:
            missing = "AI_PRICE_READ" if self.ai_price_read is None else "AI_PRICE_WRITTEN"
            raise ConfigurationError(
                f"{missing} is not set: AI_MAX_COST_PER_DAY needs to know what a million tokens cost."
            )
        if not self.database_url:
            known["database_url"] = f"sqlite:///{self.home / DATABASE_FILE}"
        if self.redis_url is not None and "job_retention_s" not in self.model_fields_set:
            known["job_retention_s"] = _REDIS_RETENTION_S
        if not self.secret_keys and allow_generated_secret and self.env in PRODUCTION:
            raise ConfigurationError(
                "STEWARD_SECRET_KEY is not set, and STEWARD_ENV says that this is production, where none is made up: give "
                "it at least 32 random characters, for example from 'openssl rand -base64 48'."
            )
        if not self.secret_keys and allow_generated_secret:
            known["secret_keys"] = (_key_of_home(self.home),)
        elif not self.secret_keys and secret_required:
            raise ConfigurationError(
                "STEWARD_SECRET_KEY is not set: give it at least 32 random characters, for example from "
                "'openssl rand -base64 48' (the key of a 'steward up' is in its STEWARD_HOME, in secret.key)."
            )
        return self.model_copy(update=known)

    def make_home(self) -> None:
        """Make the folder of STEWARD_HOME unless it is there; raise ``ConfigurationError`` if it cannot be."""
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"STEWARD_HOME cannot be made or used as a folder: {error.strerror}.") from error

    @property
    def ai_key(self) -> str | None:
        """The key for the provider that AI_MODEL names."""
        if self.ai_model is None:
            return None
        keys = {"openai": self.openai_api_key, "anthropic": self.anthropic_api_key, "google": self.google_api_key}
        return keys[self.ai_model[0]]

    @classmethod
    def table(cls) -> tuple[SettingRow, ...]:
        """Return every variable with its default and meaning, in reading order, for the documentation."""
        return tuple(
            SettingRow(str(field.validation_alias), _shown(field.default), field.description or "")
            for field in cls.model_fields.values()
        )


def _shown(default: Any) -> str:
    if default is False:
        return "off"
    return str(default) if default or default == 0 else "unset"


def _sentence(error: ValidationError) -> str:
    """Return one sentence about the first problem, without the value, which may be a secret."""
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    variable, reason = problem["loc"][0], problem["msg"]
    if problem["type"] == "value_error":  # one of ours: the end of a sentence
        return f"{variable} {reason.removeprefix('Value error, ')}."
    return f"{variable}: {reason[:1].lower()}{reason[1:]}."


def _key_of_home(home: Path) -> str:
    """Return the secret key kept in ``home``, made on first use; racing processes all get the same one."""
    path = home / KEY_FILE
    try:
        if (key := read_private(path)) is None:
            place_private(path, secrets.token_urlsafe(48))
            key = read_private(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"STEWARD_HOME: {path} cannot be used: {error}.") from error
    if key is None or len(key.strip()) < values.MIN_SECRET_CHARS:
        raise ConfigurationError(f"STEWARD_HOME: {path} does not hold a key; restore it from a backup.")
    return key.strip()
