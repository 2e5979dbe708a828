"""Waves that began, partners that went ahead of theirs, stops and releases of a campaign."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
EVENT = sa.Enum(
    "wave_begun",
    "went_ahead",
    "stopped",
    "released",
    "eased",
    name="event",
    native_enum=False,
    create_constraint=True,
    length=40,
)


def upgrade() -> None:
    op.create_table(
        "campaign_events",
        sa.Column("event_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("event", EVENT, nullable=False),
        sa.Column("wave", sa.Integer(), nullable=True),
        sa.Column("partners", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("figures", JSONB(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(event = 'wave_begun') = (wave IS NOT NULL)", name="a_wave_has_a_number"),
        sa.PrimaryKeyConstraint("event_id", name="pk_campaign_events"),
        sa.UniqueConstraint("campaign", "wave", name="uq_campaign_events_campaign_wave"),
    )
    op.create_index("ix_campaign_events_campaign_event_id", "campaign_events", ["campaign", "event_id"])
    op.execute(
        "CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON campaign_events"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def downgrade() -> None:
    op.drop_table("campaign_events")
