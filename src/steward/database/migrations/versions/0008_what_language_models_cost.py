"""What each workspace spent on a language model within the last day, or has reserved."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "model_costs",
        sa.Column("reservation", sa.String(length=64), nullable=False),
        sa.Column("workspace_id", sa.String(length=32), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("micros", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("reservation", name=op.f("pk_model_costs")),
    )
    op.create_index("ix_model_costs_at", "model_costs", ["at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_model_costs_at", "model_costs")
    op.drop_table("model_costs")
