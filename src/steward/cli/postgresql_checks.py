"""What ``steward doctor`` looks at in a PostgreSQL database: can it be reached, is it ready, do the tenants' locks hold."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from steward.cli.checks import Finding, clock, schema

_CLOCK_SKEW_S: Final = 1.0


def examine_postgresql(url: str, *more: Callable[[Any], Finding]) -> Iterator[Finding]:
    """Yield what is found, and what ``more`` looks at; nothing is made, migrated or locked."""
    import sqlalchemy
    from sqlalchemy.exc import DBAPIError

    from steward.database.postgres import driver_url

    address = driver_url(url)
    where = f"{address.database} on {address.host or address.query.get('host')}"
    engine = sqlalchemy.create_engine(
        address, connect_args={"connect_timeout": 5}, isolation_level="AUTOCOMMIT", paramstyle="format"
    )
    try:
        with engine.connect() as connection:
            version = connection.exec_driver_sql("SHOW server_version").scalar()
            yield Finding("database", "ok", f"{where} answers: PostgreSQL {version}.")
            yield schema(connection)
            yield _row_security(connection)
            yield clock(connection)
            yield from (look(connection) for look in more)
            yield _same_clock(connection)
    except DBAPIError as error:
        why = str(error.orig).strip().splitlines()[-1]
        yield Finding("database", "fail", f"{where} cannot be used: {why}", "Check DATABASE_URL and the server.")
    finally:
        engine.dispose()


def _row_security(connection: Any) -> Finding:
    from steward.database.migrate import HEAD, current_revision
    from steward.database.row_security import gaps, remedy

    missing, revision = gaps(connection), current_revision(connection)
    if revision is None and not missing:
        return Finding("row-level security", "ok", "There are no tables yet; the next start puts it in force.")
    if not missing:
        return Finding("row-level security", "ok", "It is in force on every table of a workspace's rows.")
    user = connection.exec_driver_sql("SELECT current_user").scalar()
    if revision != HEAD and not any("role" in sentence for sentence in missing):
        return Finding("row-level security", "ok", "The next start puts it in force.")
    return Finding("row-level security", "fail", " ".join(missing), f"As an administrator: {remedy(user)}")


def _same_clock(connection: Any) -> Finding:
    there: datetime = connection.exec_driver_sql("SELECT clock_timestamp()").scalar()
    apart = abs((there - datetime.now(UTC)).total_seconds())
    if apart > _CLOCK_SKEW_S:
        return Finding(
            "server clock",
            "fail",
            f"It is {apart:.1f} s from this machine's.",
            "Set both clocks (NTP); leases need it.",
        )
    return Finding("server clock", "ok", "It agrees with this machine's.")
