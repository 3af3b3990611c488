"""Every table, in one place: the directory's, the work store's and the audit's.

Times are whole milliseconds since 1970-01-01 UTC; JSON is text in UTF-8; what is sealed is bytes.
"""

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text
from sqlalchemy.sql import false, text
from sqlalchemy.sql.elements import TextClause

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"},
)

_Id = String(64)
_Workspace = String(32)
_Time = BigInteger


def _where(condition: TextClause) -> dict[str, Any]:
    """Return the option of an index that holds only some of the rows."""
    return {"sqlite_where": condition, "postgresql_where": condition}


workspaces = Table(
    "workspaces",
    metadata,
    Column("workspace_id", _Workspace, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", _Time, nullable=False),
    Column("settings", Text, nullable=False, server_default="{}"),
    # Which policies the workspace has, signed; nothing: none was ever put here.
    Column("policies_signed", Text),
    # The few that say something, so that those with caps are found among any number.
    Index("ix_workspaces_set", "workspace_id", **_where(text("settings != '{}'"))),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", _Id, primary_key=True),
    Column("workspace_id", _Workspace, nullable=False),
    Column("role", String(16), nullable=False),
    Column("name", Text, nullable=False),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("created_at", _Time, nullable=False),
    Column("expires_at", _Time),
    Column("revoked_at", _Time),
    Column("last_used_at", _Time),
    # The key that took over when this one was rotated.
    Column("replaced_by", _Id),
    # The person it was made for; nothing: it cannot be told.
    Column("owner", _Id),
    Index("ix_api_keys_workspace", "workspace_id", "key_id"),
    Index("ix_api_keys_owner", "owner", **_where(text("owner IS NOT NULL"))),
)

members = Table(
    "members",
    metadata,
    Column("workspace_id", _Workspace, primary_key=True),
    Column("actor_id", _Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("roles", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    # Whether an admin set the roles.
    Column("pinned", Boolean, nullable=False),
    Column("created_at", _Time, nullable=False),
    Column("last_seen_at", _Time),
    Column("disabled_at", _Time),
)

tickets = Table(
    "tickets",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("key_id", _Id, nullable=False),
    Column("workspace_id", _Workspace, nullable=False),
    Column("expires_at", _Time, nullable=False),
    Index("ix_tickets_expiry", "expires_at"),
)

policies = Table(
    "policies",
    metadata,
    Column("workspace_id", _Workspace, primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("text", Text, nullable=False),
    Column("changed_by", _Id, nullable=False),
    Column("changed_at", _Time, nullable=False),
)

queues = Table(
    "queues",
    metadata,
    Column("workspace_id", _Workspace, primary_key=True),
    # Ready jobs; kept in step with jobs.status so that depth costs one row, however deep the queue.
    Column("depth", Integer, nullable=False),
    # Number of the workspace's newest event, and of the oldest that the log still has.
    Column("event_sequence", BigInteger, nullable=False),
    Column("event_floor", BigInteger, nullable=False),
    # When it was last served, as a count and never a clock: least recently served goes first.
    Column("turn", BigInteger, nullable=False),
    # Whether the last claim left ready jobs to it because of a cap, so that a job that ends has to ring.
    Column("capped", Boolean, nullable=False, server_default=false()),
    Index("ix_queues_ready", "turn", **_where(text("depth > 0"))),
)

starts = Table(
    "starts",
    metadata,
    Column("workspace_id", _Workspace, primary_key=True),
    Column("until", _Time, primary_key=True, autoincrement=False),
    Column("action_id", String(100), primary_key=True),
    Column("number", Integer, nullable=False),
)

spendings = Table(
    "spendings",
    metadata,
    Column("workspace_id", _Workspace, primary_key=True),
    Column("budget", String(32), primary_key=True),
    # What counts once: a job's effect, or a recipient (its keyed hash, never the address).
    Column("unit", String(64), primary_key=True),
    Column("job_id", _Id, primary_key=True),
    Column("fence", Integer, primary_key=True, autoincrement=False),
    Column("at", _Time, nullable=False),
    Index("ix_spendings_oldest", "workspace_id", "budget", "at"),
    Index("ix_spendings_job", "job_id", "fence"),
)

spent = Table(
    "spent",
    metadata,
    Column("workspace_id", _Workspace, primary_key=True),
    Column("budget", String(32), primary_key=True),
    # Distinct units in spendings; kept in step so that a dispatch need not count them.
    Column("total", Integer, nullable=False),
    # The reservation whose end the last job that was put off waits for, and how many wait for others of that moment.
    Column("promised_at", _Time, nullable=False),
    Column("promised", Integer, nullable=False),
)

plans = Table(
    "plans",
    metadata,
    Column("plan_id", _Id, primary_key=True),
    Column("workspace_id", _Workspace, nullable=False),
    Column("actor_id", _Id, nullable=False),
    Column("status", String(24), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("document", Text, nullable=False),
    Column("body_sealed", LargeBinary),
    Column("created_at", _Time, nullable=False),
    Column("expires_at", _Time),
    Column("finished_at", _Time),
    Column("request_id", Text, nullable=False),
    Column("approval_id", _Id),
    Column("job_ids", Text, nullable=False),
    # Jobs that are not in a final state; the plan ends when it reaches 0.
    Column("open_jobs", Integer, nullable=False),
    Index("ix_plans_newest", "workspace_id", "plan_id"),
    Index("ix_plans_status", "workspace_id", "status", "plan_id"),
    Index("ix_plans_expiry", "expires_at", **_where(text("expires_at IS NOT NULL"))),
    Index("ix_plans_finished", "finished_at", **_where(text("finished_at IS NOT NULL"))),
)

jobs = Table(
    "jobs",
    metadata,
    Column("job_id", _Id, primary_key=True),
    Column("workspace_id", _Workspace, nullable=False),
    Column("plan_id", _Id, nullable=False),
    Column("step_id", String(48), nullable=False),
    Column("position", Integer, nullable=False),
    Column("action_id", String(100), nullable=False),
    Column("actor_id", _Id, nullable=False),
    Column("status", String(16), nullable=False),
    Column("held_for", String(16)),
    Column("definition_hash", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("params_sealed", LargeBinary),
    Column("depends_on", Text, nullable=False),
    # Job ids that need this one, and how many of its own needs are not yet completed.
    Column("dependents", Text, nullable=False),
    Column("waiting_on", Integer, nullable=False),
    Column("effect", String(8), nullable=False),
    Column("retry", String(8), nullable=False),
    Column("effect_key", Text, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("attempt_budget", Integer, nullable=False),
    Column("key_valid_ms", BigInteger, nullable=False),
    Column("worker_id", Text),
    # When the attempt under way was claimed, and until when it holds.
    Column("claimed_at", _Time),
    Column("lease_until", _Time),
    Column("first_dispatched_at", _Time),
    Column("dispatched_at", _Time),
    Column("cancel_requested", Boolean, nullable=False),
    Column("not_before", _Time),
    Column("enqueued_at", _Time, nullable=False),
    Column("started_at", _Time),
    Column("finished_at", _Time),
    Column("result", Text),
    Column("result_sealed", LargeBinary),
    Column("error", Text),
    Column("reason", Text),
    # The step whose failure cancelled this one; None: a person did, or it is not cancelled.
    Column("cause", String(48)),
    Column("labels", Text, nullable=False),
    Column("result_labels", Text, nullable=False),
    Column("authored_after", Text, nullable=False),
    Column("parent_step_id", String(48)),
    Column("expanded", Boolean, nullable=False),
    Column("history", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Index("ix_jobs_newest", "workspace_id", "job_id"),
    Index("ix_jobs_status", "workspace_id", "status", "job_id"),
    Index("ix_jobs_plan", "plan_id", "position"),
    # For workspaces with caps, whose oldest jobs may have to wait while others go on.
    Index("ix_jobs_ready", "workspace_id", "action_id", "job_id", **_where(text("status = 'pending'"))),
    Index(
        "ix_jobs_due",
        "not_before",
        "workspace_id",
        **_where(text("status = 'scheduled'")),
    ),
    Index("ix_jobs_due_here", "workspace_id", "not_before", **_where(text("status = 'scheduled'"))),
    Index(
        "ix_jobs_leased",
        "lease_until",
        **_where(text("status = 'running'")),
    ),
)

approvals = Table(
    "approvals",
    metadata,
    Column("approval_id", _Id, primary_key=True),
    Column("workspace_id", _Workspace, nullable=False),
    Column("plan_id", _Id, nullable=False),
    Column("job_id", _Id),
    Column("digest", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("requested_by", _Id, nullable=False),
    Column("created_at", _Time, nullable=False),
    Column("expires_at", _Time, nullable=False),
    Column("decided_by", _Id),
    Column("decided_at", _Time),
    Column("comment", Text),
    Column("another_person", Boolean, nullable=False, server_default=false()),
    Column("approver_role", String(16)),
    Index("ix_approvals_inbox", "workspace_id", "status", "approval_id"),
    Index("ix_approvals_plan", "plan_id"),
    Index("ix_approvals_expiry", "expires_at", **_where(text("status = 'pending'"))),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("workspace_id", _Workspace, primary_key=True),
    Column("namespace", String(8), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("payload_digest", String(64), nullable=False),
    Column("plan_id", _Id, nullable=False),
    Column("job_id", _Id),
    Index("ix_idempotency_plan", "plan_id"),
)

events = Table(
    "events",
    metadata,
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("workspace_id", _Workspace, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("type", String(32), nullable=False),
    Column("at", _Time, nullable=False),
    Column("actor_id", _Id),
    Column("plan_id", _Id),
    Column("job_id", _Id),
    Column("data", Text, nullable=False),
    Index("ix_events_workspace", "workspace_id", "sequence", unique=True),
    Index("ix_events_plan", "plan_id", "sequence"),
    sqlite_autoincrement=True,
)

audit_records = Table(
    "audit_records",
    metadata,
    Column("workspace_id", _Workspace, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(32), nullable=False),
    Column("at", _Time, nullable=False),
    Column("actor_id", Text),
    Column("acting_as", Text),
    Column("action_id", Text),
    Column("plan_id", Text),
    Column("job_id", Text),
    Column("result", Text, nullable=False),
    Column("rule", Text),
    Column("request_id", Text),
    Column("source", Text),
    Column("facts", Text, nullable=False),
    Column("commitment", String(64)),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("ix_audit_records_plan", "workspace_id", "plan_id", "sequence"),
    Index("ix_audit_records_kind", "workspace_id", "kind", "sequence"),
    Index(
        "ix_audit_records_actor",
        "workspace_id",
        "actor_id",
        "sequence",
        **_where(text("actor_id IS NOT NULL")),
    ),
)

# What may have to be erased one day, apart from the chain: a record goes on to be sound without it.
audit_views = Table(
    "audit_views",
    metadata,
    Column("workspace_id", _Workspace, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("salt", String(64), nullable=False),
    Column("view", Text, nullable=False),
)

audit_heads = Table(
    "audit_heads",
    metadata,
    Column("workspace_id", _Workspace, primary_key=True),
    # Where the next record goes on from.
    Column("sequence", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("sealed", BigInteger, nullable=False),  # up to where the chain is signed
    Column("checkpoints", BigInteger, nullable=False),  # and by how many of them
    Index("ix_audit_heads_unsealed", "workspace_id", **_where(text("sequence > sealed"))),
)

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("workspace_id", _Workspace, primary_key=True),
    # "reached": the chain had come this far; "begins": what stood before was dropped, and rightly.
    Column("purpose", String(8), primary_key=True),
    # 1, 2, 3… of those that reached; of one that begins: the first that is left after it.
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("at", _Time, nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("signature", String(128), nullable=False),
    Index("ix_audit_checkpoints_sequence", "workspace_id", "sequence"),
)

# Public keys, kept for good: what a key signed can be checked after it was rotated away.
audit_keys = Table(
    "audit_keys",
    metadata,
    Column("key_id", String(16), primary_key=True),
    Column("public_key", String(64), nullable=False),
    Column("created_at", _Time, nullable=False),
    Column("endorsed_by", String(16)),  # the key that vouches for it
    Column("endorsement", String(128)),  # and that one's signature
)

audit_cursors = Table(
    "audit_cursors",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("position", BigInteger, nullable=False),  # how far the archiver has read what happened elsewhere
    Column("voucher", Text),
)

model_tokens = Table(
    "model_tokens",
    metadata,
    Column("reservation", _Id, primary_key=True),
    Column("workspace_id", _Workspace, nullable=False),
    Column("at", _Time, nullable=False),
    Column("tokens", BigInteger, key="amount", nullable=False),
    Index("ix_model_tokens_at", "at"),
)

model_costs = Table(
    "model_costs",
    metadata,
    Column("reservation", _Id, primary_key=True),
    Column("workspace_id", _Workspace, nullable=False),
    Column("at", _Time, nullable=False),
    Column("micros", BigInteger, key="amount", nullable=False),  # millionths of a dollar
    Index("ix_model_costs_at", "at"),
)
