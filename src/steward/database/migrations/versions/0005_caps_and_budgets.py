"""What caps and budgets of a workspace count: starts of the last minute, and effects of the budget's window."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_workspaces_set",
        "workspaces",
        ["workspace_id"],
        unique=False,
        sqlite_where=sa.text("settings != '{}'"),
        postgresql_where=sa.text("settings != '{}'"),
    )
    op.add_column("queues", sa.Column("capped", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index(
        "ix_jobs_ready",
        "jobs",
        ["workspace_id", "action_id", "job_id"],
        unique=False,
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_table(
        "starts",
        sa.Column("workspace_id", sa.String(length=32), nullable=False),
        sa.Column("until", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("action_id", sa.String(length=100), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "until", "action_id", name=op.f("pk_starts")),
    )
    op.create_table(
        "spendings",
        sa.Column("workspace_id", sa.String(length=32), nullable=False),
        sa.Column("budget", sa.String(length=32), nullable=False),
        sa.Column("unit", sa.String(length=64), nullable=False),
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("fence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "budget", "unit", "job_id", "fence", name=op.f("pk_spendings")),
    )
    op.create_index("ix_spendings_oldest", "spendings", ["workspace_id", "budget", "at"], unique=False)
    op.create_index("ix_spendings_job", "spendings", ["job_id", "fence"], unique=False)
    op.create_table(
        "spent",
        sa.Column("workspace_id", sa.String(length=32), nullable=False),
        sa.Column("budget", sa.String(length=32), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("promised_at", sa.BigInteger(), nullable=False),
        sa.Column("promised", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "budget", name=op.f("pk_spent")),
    )


def downgrade() -> None:
    op.drop_table("spent")
    op.drop_index("ix_spendings_job", "spendings")
    op.drop_index("ix_spendings_oldest", "spendings")
    op.drop_table("spendings")
    op.drop_table("starts")
    op.drop_index("ix_jobs_ready", "jobs")
    op.drop_column("queues", "capped")
    op.drop_index("ix_workspaces_set", "workspaces")
