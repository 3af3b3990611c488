"""Brings a database to this version's schema, in one transaction at the start of every process.

``HEAD`` names the newest migration, so that the usual start (nothing to do) need not even load Alembic. Migrations are
files in ``migrations/versions``. An empty database is made from ``tables.py`` at once; a test proves that the migrations
add up to exactly that.
"""

from pathlib import Path
from typing import Final

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, text

from steward.database.engine import Database
from steward.database.row_security import gaps, secure
from steward.database.tables import metadata
from steward.errors import ConfigurationError, StoreUnavailable

HEAD: Final = "0008"
_version: Final = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
"""Alembic's own table, as Alembic makes it."""
_AWAY: Final = (
    "The database cannot be opened or reached: see that it is there and lets this account in, and that DATABASE_URL "
    "(STEWARD_HOME, where that is unset) says where it is."
)
_MIGRATIONS: Final = Path(__file__).parent / "migrations"


def current_revision(connection: Connection) -> str | None:
    """Return the migration this database stands at; None if it has never been migrated."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(database: Database) -> None:
    """Apply every missing migration; raise ``ConfigurationError`` if the database is of a newer Steward than this one.

    Where there is none it only reads, so that a process can start while another one writes. A database that is not to be had
    is ``StoreUnavailable``, with a word on which setting names it.
    """
    try:
        if not database.read_sync(_is_ready):
            database.run_sync(_upgrade)
    except StoreUnavailable as away:
        raise StoreUnavailable(_AWAY) from away


def _is_ready(connection: Connection) -> bool:
    return current_revision(connection) == HEAD and not (_is_postgresql(connection) and gaps(connection))


def _is_postgresql(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"


def _upgrade(connection: Connection) -> None:
    revision = current_revision(connection)
    if revision is not None and revision > HEAD:
        raise ConfigurationError(
            f"DATABASE_URL points to a database of a newer Steward (schema {revision}, this one knows {HEAD}); "
            "run the newer version, or restore a backup from before the upgrade."
        )
    if revision is None and not inspect(connection).get_table_names():
        metadata.create_all(connection)
        _version.create(connection)
        connection.execute(_version.insert(), {"version_num": HEAD})
    elif revision != HEAD:
        migrate(connection)
        return
    if _is_postgresql(connection):
        secure(connection)


def migrate(connection: Connection) -> None:
    """Apply every missing migration, from wherever the database stands."""
    from alembic import command  # noqa: PLC0415 - costs a fifth of a second that other starts save
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    if _is_postgresql(connection):
        secure(connection)
