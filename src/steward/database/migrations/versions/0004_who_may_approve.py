"""Who may approve: another person, or somebody with a role."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("approvals", sa.Column("another_person", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("approvals", sa.Column("approver_role", sa.String(length=16), nullable=True))


def downgrade() -> None:
    op.drop_column("approvals", "approver_role")
    op.drop_column("approvals", "another_person")
