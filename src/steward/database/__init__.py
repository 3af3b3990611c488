"""One synchronous SQL layer for the directory and the work store: tables, migrations, threads, the bells."""

from pathlib import Path

from steward.database.bell import Bell
from steward.database.doorbell import Doorbell
from steward.database.engine import Database

__all__ = ["Bell", "Database", "Doorbell", "bell_for"]


def bell_for(database: Database, home: Path | None) -> Bell:
    """Return how processes on this database wake each other; ``home``: where those of one machine have their sockets."""
    if database.url.startswith("sqlite"):
        return Doorbell(None if home is None else home / "bells")
    from steward.database.notices import Notices  # noqa: PLC0415 - brings the driver

    return Notices(database.url)
