"""What each workspace had a language model read and write within the last minute, or has reserved."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "model_tokens",
        sa.Column("reservation", sa.String(length=64), nullable=False),
        sa.Column("workspace_id", sa.String(length=32), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("reservation", name=op.f("pk_model_tokens")),
    )
    op.create_index("ix_model_tokens_at", "model_tokens", ["at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_model_tokens_at", "model_tokens")
    op.drop_table("model_tokens")
