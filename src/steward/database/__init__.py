"""One synchronous SQL layer for the directory and the work store: tables, migrations, threads, the doorbell."""

from steward.database.doorbell import Doorbell
from steward.database.engine import Database

__all__ = ["Database", "Doorbell"]
