"""Moving work to another engine, or back: whether anything here still counts, and that numbers go on where they stood."""

from sqlalchemy import Connection

from steward.database.sql import Sql
from steward.event import LogEnds
from steward.work_stores.sql import moving_statements as statements


def holds_work(sql: Sql) -> bool:
    """Say whether anything is under way here, or a request would be known again; drafts do not count."""
    return bool(sql.scalar(statements.HOLDS_WORK))


def log_ends(sql: Sql) -> LogEnds:
    """Return where the log stands."""
    sequences = {row.workspace_id: row.event_sequence for row in sql.all(statements.SEQUENCES)}
    return LogEnds(sql.scalar(statements.NEWEST) or 0, sequences)


def continue_after(connection: Connection, ends: LogEnds) -> None:
    """Let the log go on after another one: nothing that comes has a number that stood for something else."""
    sql, at = Sql(connection), {"position": ends.position}
    if ends.position > (sql.scalar(statements.NEWEST) or 0):
        if connection.dialect.name == "postgresql":
            connection.execute(statements.ADVANCE, at)
        else:
            sql.run(statements.AT, at)
            sql.run(statements.FREE, at)
    for workspace_id, sequence in ends.sequences.items():
        sql.run(statements.BEGIN_AFTER, {"w": workspace_id, "sequence": sequence})
