"""The directory in the SQL database, one file for each thing that it keeps."""

from steward.directories.sql.directory import SqlDirectory

__all__ = ["SqlDirectory"]
