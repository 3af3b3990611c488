"""Whose a key is, and signatures under how far the archiver has come and which policies a workspace has."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workspaces", sa.Column("policies_signed", sa.Text(), nullable=True))
    op.add_column("audit_cursors", sa.Column("voucher", sa.Text(), nullable=True))
    op.add_column("api_keys", sa.Column("owner", sa.String(length=64), nullable=True))
    op.create_index(
        "ix_api_keys_owner",
        "api_keys",
        ["owner"],
        unique=False,
        sqlite_where=sa.text("owner IS NOT NULL"),
        postgresql_where=sa.text("owner IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_api_keys_owner", "api_keys")
    op.drop_column("api_keys", "owner")
    op.drop_column("audit_cursors", "voucher")
    op.drop_column("workspaces", "policies_signed")
