"""Whose ledger this is: one row, written by the first use, that nobody changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
KIND = sa.Enum("production", "rehearsal", name="kind", native_enum=False, create_constraint=True, length=40)


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("one_row", sa.Boolean(), nullable=False),
        sa.Column("kind", KIND, nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("one_row", name="single"),
        sa.PrimaryKeyConstraint("one_row", name="pk_account"),
    )
    op.execute(
        "CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON account"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def downgrade() -> None:
    op.drop_table("account")
