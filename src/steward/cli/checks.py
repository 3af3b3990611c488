"""What ``steward doctor`` looks at: each check is one function that answers ok, warn or fail, and how to mend it.

Checks change nothing, unless a repair is asked for. They look at this machine's settings, home and database, and at the server from outside.
"""

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from steward.errors import POLICY_REMEDY, ConfigurationError, StewardError

if TYPE_CHECKING:
    from steward.settings import Settings

_LITTLE_DISK_BYTES: Final = 1024**3
_NO_DISK_BYTES: Final = 100 * 1024**2
_CLOCK_SKEW_MS: Final = 60_000
_SMTP_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    check: str
    level: Literal["ok", "warn", "fail"]
    text: str
    fix: str = ""
    counts: dict[str, int] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it for ``--json``."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def examine(*, repair: bool = False) -> Iterator[Finding]:
    """Yield what is found, in the order in which things depend on each other; ``repair``: what is derived is put right."""
    from steward.settings import Settings

    try:
        settings = Settings.load(secret_required=False)
    except ConfigurationError as error:
        yield Finding("settings", "fail", error.detail, "Correct or unset the variable.")
        return
    yield Finding("settings", "ok", "Every variable that is set can be used.")
    yield _home(settings.home)
    yield _secret_key(settings)
    yield from _database(settings)
    if settings.redis_url is not None:
        from steward.cli.redis_checks import examine_redis

        yield from asyncio.run(examine_redis(settings, repair=repair))
    elif repair:
        yield Finding(
            "derived", "ok", "Work is in the database, which keeps its own indexes: there is nothing to repair."
        )
    yield _disk(settings.home)
    yield _actions(settings)
    yield asyncio.run(_mail(settings))
    yield _server()


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if place.exists())


def _home(home: Path) -> Finding:
    from os import R_OK, W_OK, X_OK, access

    nearest = _existing(home)
    if not nearest.is_dir() or not access(nearest, R_OK | W_OK | X_OK):
        return Finding("home", "fail", f"{nearest} cannot be written to.", "Change its owner, or set STEWARD_HOME.")
    if nearest != home:
        return Finding("home", "ok", f"{home} does not exist yet; 'steward up' makes it.")
    if home.stat().st_mode & 0o077:
        return Finding("home", "warn", f"{home} can be read by other users of this machine.", f"chmod 700 {home}")
    return Finding("home", "ok", f"{home} is there, for you alone.")


def _secret_key(settings: "Settings") -> Finding:
    from steward.private_file import read_private
    from steward.settings import KEY_FILE, PRODUCTION

    if settings.env in PRODUCTION and not settings.secret_keys:
        sentence = "STEWARD_SECRET_KEY is not set, and STEWARD_ENV says that this is production: nothing starts."
        return Finding("secret key", "fail", sentence, "Set it, for example to 'openssl rand -base64 48'.")
    path = settings.home / KEY_FILE
    try:
        kept = (read_private(path) or "").strip()
    except OSError as error:
        return Finding("secret key", "fail", f"{error}.", f"chmod 600 {path}")
    if settings.secret_keys and kept and kept not in settings.secret_keys:
        return Finding(
            "secret key",
            "warn",
            f"STEWARD_SECRET_KEY is set, and {path} holds another key: what was sealed with that one cannot be opened.",
            "Add the file's key after a comma to STEWARD_SECRET_KEY, or remove the file.",
        )
    if settings.secret_keys:
        return Finding("secret key", "ok", f"STEWARD_SECRET_KEY holds {len(settings.secret_keys)}.")
    if kept:
        return Finding(
            "secret key", "ok", f"'steward up' uses the one in {path}; 'serve' and 'worker' need the variable."
        )
    return Finding(
        "secret key",
        "ok",
        "None is here; 'steward up' makes one for a new database, 'serve' and 'worker' need STEWARD_SECRET_KEY.",
    )


def _database(settings: "Settings") -> Iterator[Finding]:
    """Look into the database without creating, migrating or locking it."""
    import sqlalchemy
    from sqlalchemy.exc import DatabaseError

    if not settings.database_url.startswith("sqlite"):
        from steward.cli.postgresql_checks import examine_postgresql

        yield from examine_postgresql(settings.database_url, partial(genuine, settings=settings))
        return
    file = Path(settings.database_url.removeprefix("sqlite:///"))
    if not file.exists():
        yield Finding("database", "ok", f"{file} does not exist yet; the first start makes it.")
        return
    engine = sqlalchemy.create_engine(f"sqlite:///file:{file}?mode=ro&uri=true")
    try:
        with engine.connect() as connection:
            yield _integrity(connection)
            yield schema(connection)
            yield clock(connection)
            yield genuine(connection, settings)
    except DatabaseError as error:
        yield Finding("database", "fail", f"{file} cannot be read: {error.orig}.", "Restore it from a backup.")
    finally:
        engine.dispose()


def _integrity(connection: Any) -> Finding:
    verdict = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
    if verdict == "ok":
        return Finding("database", "ok", "It is whole.")
    return Finding("database", "fail", f"It is damaged: {verdict}.", "Stop Steward and restore a backup.")


def schema(connection: Any) -> Finding:
    """Say whether the database is at this version's migration."""
    from steward.database.migrate import HEAD, current_revision

    revision = current_revision(connection)
    if revision == HEAD:
        return Finding("schema", "ok", f"It is this version's ({HEAD}).")
    if revision is None or revision < HEAD:
        found = "There is none yet" if revision is None else f"It is at {revision}"
        return Finding("schema", "warn", f"{found}, this version needs {HEAD}.", "The next start brings it up.")
    return Finding("schema", "fail", f"It is of a newer Steward ({revision}).", "Run the newer version.")


def clock(connection: Any) -> Finding:
    """Say whether this machine's time is behind what was recorded."""
    from sqlalchemy import func, select

    from steward.clock import from_milliseconds, milliseconds, rfc3339
    from steward.database.migrate import HEAD, current_revision
    from steward.database.tables import events

    newest = None
    if current_revision(connection) == HEAD:
        newest = connection.execute(select(func.max(events.c.at))).scalar()
    now = datetime.now(UTC)
    if newest is not None and newest > milliseconds(now) + _CLOCK_SKEW_MS:
        return Finding(
            "clock",
            "fail",
            f"It shows {rfc3339(now)}, but something was recorded at {rfc3339(from_milliseconds(newest))}.",
            "Set the machine's clock (NTP); deadlines are wrong until then.",
        )
    return Finding("clock", "ok", f"{rfc3339(now)}, not before anything that was recorded.")


def genuine(connection: Any, settings: "Settings") -> Finding:
    """Say whether policies, and how far the archiver has come, are as Steward put them there."""
    from sqlalchemy import select

    from steward.audit_logs.cursor import is_doubtful
    from steward.database.migrate import HEAD, current_revision
    from steward.database.policy_seal import own_policies
    from steward.database.public_keys import trusted_keys
    from steward.database.tables import workspaces
    from steward.private_file import read_private
    from steward.settings import KEY_FILE
    from steward.vault import Vault

    kept = (read_private(settings.home / KEY_FILE) or "").strip()
    secrets = settings.secret_keys or ((kept,) if kept else ())
    if not secrets or current_revision(connection) != HEAD:
        return Finding(
            "signatures",
            "ok",
            "They cannot be checked here without the database's secret key and this version's schema.",
        )
    trusted = trusted_keys(connection, Vault(secrets))
    for workspace_id in connection.execute(select(workspaces.c.workspace_id)).scalars().all():
        if doubt := own_policies(connection, workspace_id, trusted).doubt:
            said = f"Nothing runs in workspace {workspace_id}: {doubt}"
            return Finding("signatures", "fail", said, f"{POLICY_REMEDY} And find out who can write to the database.")
    if is_doubtful(connection, trusted):
        said = "How far the audit has come was changed by somebody else; a running server mends it."
        return Finding("signatures", "fail", said, "Find out who can write to the database.")
    return Finding("signatures", "ok", "Policies, and how far the audit has come, are as Steward put them there.")


def _disk(home: Path) -> Finding:
    free = shutil.disk_usage(_existing(home)).free
    shown = f"{free // 1024**2} MB free where {home} is."
    if free < _NO_DISK_BYTES:
        return Finding("disk", "fail", shown, "Make room; writes will fail soon.")
    return Finding("disk", "warn" if free < _LITTLE_DISK_BYTES else "ok", shown, "")


def _actions(settings: "Settings") -> Finding:
    """Build the catalogue and both lists as a start would."""
    from steward.bootstrap import build_catalogue, unasked_model
    from steward.clock import SystemClock
    from steward.policies.lists import ListPolicy

    try:
        catalogue = build_catalogue(settings, SystemClock(), unasked_model(settings))
        policy = ListPolicy(catalogue, settings.action_allowlist, settings.action_denylist)
    except StewardError as error:
        return Finding("actions", "fail", error.detail, "Correct or unset the variable.")
    idle = [f"{variable}: {', '.join(entries)}" for variable, entries in policy.idle_entries().items()]
    if idle:
        return Finding("actions", "warn", f"Entries that match no action: {'; '.join(idle)}.", "Correct the spelling.")
    found = catalogue.definitions()
    runnable = sum(policy.can_execute(definition.id) for definition in found)
    lacking = [definition.id for definition in found if not definition.enabled]
    said = f" Without a setting that they need: {', '.join(lacking)}." if lacking else ""
    if runnable:
        return Finding("actions", "ok", f"{runnable} of {len(found)} may run.{said}")
    fix = "Extend ACTION_ALLOWLIST, or give what 'steward actions list' says that an action needs."
    return Finding("actions", "warn", f"No action may run.{said}", fix)


async def _mail(settings: "Settings") -> Finding:
    """Connect and log in to the mail server; send nothing."""
    if settings.smtp_url is None:
        return Finding("mail", "warn", "SMTP_URL is not set, so email.send is disabled.", "Set SMTP_URL and SMTP_FROM.")
    import aiosmtplib

    from steward.actions.smtp import SmtpSecurity, smtp_account

    try:
        account = smtp_account(settings.smtp_url, settings.smtp_from)
    except ConfigurationError as error:
        return Finding("mail", "fail", error.detail, "Correct the variable.")
    where = f"{account.host} port {account.port}"
    client = aiosmtplib.SMTP(
        hostname=account.host,
        port=account.port,
        username=account.username,
        password=account.password,
        use_tls=account.security is SmtpSecurity.TLS,
        start_tls=account.security is SmtpSecurity.STARTTLS,
        timeout=_SMTP_TIMEOUT_S,
    )
    try:
        async with client:
            return Finding("mail", "ok", f"{where} answers.")
    except aiosmtplib.SMTPAuthenticationError:
        return Finding("mail", "fail", f"{where} refuses the user name or password.", "Correct them in SMTP_URL.")
    except (aiosmtplib.SMTPException, OSError) as error:
        return Finding("mail", "fail", f"{where} cannot be used ({type(error).__name__}).", "Check SMTP_URL.")


def _server() -> Finding:
    from steward.cli.client import Client
    from steward.cli.exits import CommandFailed

    try:
        with Client.here() as client:
            status, answer = client.ready()
            if status != HTTPStatus.OK:
                return Finding(
                    "server", "fail", f"{client.url} is not ready: {answer.get('detail', status)}", "See its log."
                )
            client.get("/actions")
            return Finding("server", "ok", f"{client.url} is ready and accepts your key.")
    except CommandFailed as failed:
        return Finding("server", "warn", failed.sentence, failed.advice)
