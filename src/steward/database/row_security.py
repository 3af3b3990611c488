"""Row-level security: the second lock on what belongs to a workspace, kept by PostgreSQL itself.

Two roles. The one that DATABASE_URL logs in with owns the tables: it migrates them, hands out work and keeps house for all
workspaces. ``steward_app`` owns nothing and cannot log in: whatever is done for a tenant is done in its name, and it sees and
touches only rows whose ``workspace_id`` is the one that the transaction was opened for. If none was set it sees nothing.

``secure`` brings any schema into that shape and may be run again; ``gaps`` says what is missing. A table with a column
``workspace_id`` is covered as soon as there is one.
"""

from typing import Any, Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from steward.errors import ConfigurationError

ROLE: Final = "steward_app"
WORKSPACE_SETTING: Final = "steward.workspace"
TENANTS_WORK: Final = ("queues", "plans", "jobs", "approvals", "idempotency", "events", "starts", "spendings", "spent")
"""The tables that a tenant's own operations work on. The directory and the audit answer for all workspaces."""
_MINE: Final = f"workspace_id = current_setting('{WORKSPACE_SETTING}', true)"

_TABLES: Final = text(
    "SELECT c.relname AS name, c.relrowsecurity AND c.relforcerowsecurity AS forced,"
    " (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname IN ('tenant', 'installation')) AS rules"
    " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'workspace_id' AND NOT a.attisdropped"
    " WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace ORDER BY c.relname"
)
"""Tables that hold rows of a workspace, and what protects them."""
_ROLE: Final = text(
    "SELECT (SELECT count(*) FROM pg_roles WHERE rolname = :role) AS there,"
    " (SELECT count(*) FROM pg_roles WHERE rolname = :role AND (rolsuper OR rolbypassrls OR rolcanlogin)) AS too_strong,"
    " (SELECT count(*) FROM pg_roles r WHERE rolname = :role AND pg_has_role(current_user, r.oid, 'MEMBER')) AS mine,"
    " current_user AS me"
)
_UNSORTED: Final = text(
    "SELECT c.relname AS table, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type"
    " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_collation l ON l.oid = a.attcollation"
    " WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace"
    " AND a.attnum > 0 AND NOT a.attisdropped AND l.collname <> 'C' AND c.relname <> 'alembic_version'"
)
"""Columns of text that do not sort by their bytes, as ids and pages need it, whatever language the database is in."""


def gaps(connection: Connection) -> list[str]:
    """Return what keeps row-level security from being in force, as sentences; none: it is."""
    role: Any = connection.execute(_ROLE, {"role": ROLE}).one()
    found = []
    if not role.there:
        found.append(f"There is no role {ROLE}.")
    elif not role.mine:
        found.append(f"The user {role.me} is not a member of {ROLE}.")
    if role.too_strong:
        found.append(f"The role {ROLE} can log in or pass by row-level security.")
    open_tables = [row.name for row in connection.execute(_TABLES) if not row.forced or row.rules != 2]  # noqa: PLR2004
    if open_tables:
        found.append(f"Tables without row-level security: {', '.join(open_tables)}.")
    return found


def remedy(user: str) -> str:
    """Return what an administrator of the server has to run once."""
    return f'CREATE ROLE {ROLE} NOLOGIN; GRANT {ROLE} TO "{user}";'


def secure(connection: Connection) -> None:
    """Put row-level security in force on every table of a workspace's rows, and let text sort by its bytes."""
    for row in connection.execute(_UNSORTED).all():
        connection.execute(text(f'ALTER TABLE "{row.table}" ALTER COLUMN "{row.column}" TYPE {row.type} COLLATE "C"'))
    _provide_role(connection)
    for row in connection.execute(_TABLES).all():
        for statement in (
            "ALTER TABLE {t} ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE {t} FORCE ROW LEVEL SECURITY",
            "DROP POLICY IF EXISTS tenant ON {t}",
            "DROP POLICY IF EXISTS installation ON {t}",
            f"CREATE POLICY tenant ON {{t}} TO {ROLE} USING ({_MINE}) WITH CHECK ({_MINE})",
            "CREATE POLICY installation ON {t} TO CURRENT_USER USING (true) WITH CHECK (true)",
        ):
            connection.execute(text(statement.format(t=f'"{row.name}"')))
    schema = connection.execute(text("SELECT quote_ident(current_schema())")).scalar_one()
    connection.execute(text(f"GRANT USAGE ON SCHEMA {schema} TO {ROLE}"))
    connection.execute(text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(TENANTS_WORK)} TO {ROLE}"))
    connection.execute(text(f"GRANT USAGE, SELECT ON SEQUENCE events_position_seq TO {ROLE}"))


def _provide_role(connection: Connection) -> None:
    """Make the role if it is not there; raise ``ConfigurationError`` if an administrator has to."""
    role: Any = connection.execute(_ROLE, {"role": ROLE}).one()
    if role.too_strong:
        raise ConfigurationError(f"The role {ROLE} must not log in nor pass by row-level security; take that from it.")
    try:
        if not role.there:
            connection.execute(text(f"CREATE ROLE {ROLE} NOLOGIN"))
        if not role.mine:
            connection.execute(text(f"GRANT {ROLE} TO CURRENT_USER"))
    except ProgrammingError as error:
        raise ConfigurationError(
            f"The user of DATABASE_URL may not make the role {ROLE}; let an administrator run: {remedy(role.me)}"
        ) from error
