"""What the API answers about the migration of keys, as models for the published schema."""

from typing import Annotated, Literal

from pydantic import Field

from steward.web.answers import Answer

Count = Annotated[int, Field(ge=0)]
PhaseName = Literal["legacy-read", "new-read", "new-only"]


class SchemaStatus(Answer):
    """How the migration stands, for all processes together."""

    phase: PhaseName
    legacy_jobs: Count
    """Old records known of."""
    current_jobs: Count
    adopted: bool
    """Whether every old job is in the index."""
    verified: bool
    """Whether the last comparison found nothing missing or different."""
    read_paths: dict[str, dict[str, Count]]
    """By phase: how many reads found a job under its new key, its old one, or not at all."""
    errors: dict[str, Annotated[float, Field(ge=0)]]
    """By phase: the share of reads and writes that failed."""
    p99_ms: dict[str, Annotated[float, Field(ge=0)]]
    """By phase: within how many milliseconds 99 of 100 calls of the store were answered."""
    recorded: bool
    """Whether a phase was ever recorded; not before a start found jobs."""
    request_id: str


class SchemaDifference(Answer):
    """A job whose two copies do not agree."""

    workspace_id: str
    """``invalid`` where the record names none."""
    job_id: str
    kind: Literal["missing", "different", "extra", "invalid"]
    fields: list[str]


class SchemaVerified(Answer):
    """What a comparison of both copies of every job found."""

    clean: bool
    """Whether nothing is missing, different, extra or invalid."""
    compared: Count
    missing: Count
    different: Count
    extra: Count
    invalid: Count
    by_workspace: dict[str, dict[str, Count]]
    examples: Annotated[list[SchemaDifference], Field(max_length=20)]
    request_id: str
