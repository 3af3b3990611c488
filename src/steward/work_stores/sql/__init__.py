"""The work store on SQLAlchemy Core: SQLite, with zero services."""

from steward.work_stores.sql.store import SqlWorkEngine, open_sql_engine

__all__ = ["SqlWorkEngine", "open_sql_engine"]
