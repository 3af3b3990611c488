"""Moving work to another engine, or back: whether anything here still counts, and that numbers go on where they stood."""

from steward.database.sql import Sql
from steward.event import LogEnds
from steward.work_stores.sql import moving_statements as statements
from steward.work_stores.sql.transaction import Work


def holds_work(sql: Sql) -> bool:
    """Say whether anything is under way here, or a request would be known again; drafts do not count."""
    return bool(sql.scalar(statements.HOLDS_WORK))


def log_ends(sql: Sql) -> LogEnds:
    """Return where the log stands."""
    sequences = {row.workspace_id: row.event_sequence for row in sql.all(statements.SEQUENCES)}
    return LogEnds(sql.scalar(statements.NEWEST) or 0, sequences)


def continue_after(work: Work, ends: LogEnds) -> None:
    """Let the log go on after another one: nothing that comes has a number that stood for something else."""
    if ends.position > (work.sql.scalar(statements.NEWEST) or 0):
        work.sql.run(statements.AT, {"position": ends.position})
        work.sql.run(statements.FREE, {"position": ends.position})
    for workspace_id, sequence in ends.sequences.items():
        work.sql.run(statements.BEGIN_AFTER, {"w": workspace_id, "sequence": sequence})
