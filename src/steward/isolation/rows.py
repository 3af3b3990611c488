"""Everything that is stored of one workspace, read past every door: what the attacked side is compared by."""

import hashlib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, MetaData, select

from steward.database.engine import Database

_MOVES: Final = frozenset({"last_used_at", "last_seen_at", "turn"})
"""Columns that follow the workspace's own reading, or whose turn it is in the queue."""
_OF_RECORD: Final = "audit_"
Stored = Mapping[str, str]
"""A digest of each row and file, by table and key, or by path."""


async def stored(database: Database, files: Path, workspace_id: str, actors: AbstractSet[str]) -> Stored:
    """Return a digest of every row of a workspace in any table that names one, and of every file in its folder.

    The record of what happened follows the workspace's own work, sometimes a minute later, so of that only what is not
    about its own ``actors`` counts.
    """
    rows = await database.read(lambda connection: _rows(connection, workspace_id, actors), patient=True)
    return {**rows, **_files(files / workspace_id)}


def changed(before: Stored, after: Stored) -> list[str]:
    """Return a sentence for everything that was added, altered or removed, table by table."""
    told = [f"{name} was removed" for name in before.keys() - after.keys()]
    told += [f"{name} was added" for name in after.keys() - before.keys()]
    return sorted(
        told + [f"{name} was altered" for name in before.keys() & after.keys() if before[name] != after[name]]
    )


def _rows(connection: Connection, workspace_id: str, actors: AbstractSet[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    tables = MetaData()
    tables.reflect(connection)
    for table in tables.sorted_tables:
        of_record = table.name.startswith(_OF_RECORD)
        if "workspace_id" not in table.c or (of_record and "actor_id" not in table.c):
            continue
        keys = [column.name for column in table.primary_key] or [column.name for column in table.c]
        for row in connection.execute(select(table).where(table.c.workspace_id == workspace_id)).mappings():
            if of_record and row["actor_id"] in actors | {None}:
                continue
            key = "/".join(str(row[name]) for name in keys)
            kept = {name: value for name, value in row.items() if name not in _MOVES}
            found[f"{table.name} {key}"] = hashlib.sha256(repr(sorted(kept.items())).encode()).hexdigest()
    return found


def _files(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    return {f"file {path.relative_to(folder)}": hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
