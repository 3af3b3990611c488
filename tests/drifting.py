"""A plan that is not as it was approved: what somebody does to it who can write to the database."""

import sqlite3
from contextlib import closing
from pathlib import Path


def let_drift(home: Path, plan_id: str, shown: str, instead: str) -> None:
    """Let a plan's document have shown ``instead`` where it showed ``shown``, and its steps have been checked like that."""
    with closing(sqlite3.connect(home / "steward.db", isolation_level=None)) as database:
        changed = "UPDATE plans SET document = replace(document, ?, ?) WHERE plan_id = ?"
        database.execute(changed, (shown, instead, plan_id))
        database.execute("UPDATE jobs SET digest = ? WHERE plan_id = ?", ("0" * 64, plan_id))
