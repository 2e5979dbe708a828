"""The calls counted on Partner Center's rate limits, so that all processes and machines share them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "call_budgets",
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("limit_name", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=True),
        sa.Column("window_seconds", sa.Float(), nullable=True),
        sa.Column("taken_ms", sa.ARRAY(sa.BigInteger()), server_default="{}", nullable=False),
        sa.Column("booked_ms", sa.ARRAY(sa.BigInteger()), server_default="{}", nullable=False),
        sa.Column("paused_until_at", MOMENT, nullable=True),
        sa.Column("throttled_at", MOMENT, nullable=True),
        sa.Column("used_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("provider_id", "limit_name", "tenant_id", name="pk_call_budgets"),
    )


def downgrade() -> None:
    op.drop_table("call_budgets")
