"""Evidence: what subscriptions were before, and the rest of what only grows guarded like history.

A subscription's history begins with what the latest survey read, where an earlier one was not kept.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
GUARDED = ("campaign_versions", "plans", "plan_lines", "commands", "subscription_history")
FACTS = (
    "subscription_id",
    "customer_id",
    "offer_id",
    "offer_name",
    "kind",
    "status",
    "seats",
    "auto_renew",
    "is_trial",
    "term",
    "billing",
    "parent_id",
    "partner_mpn_id",
    "migrated_from_id",
    "order_id",
    "suspension_reasons",
)
MOMENTS = ("term_end_at", "created_at", "cancellable_until_at")


def upgrade() -> None:
    op.create_table(
        "subscription_history",
        sa.Column("history_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("subscription_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("facts", JSONB(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign", "partner"],
            ["partners.campaign", "partners.partner"],
            name="fk_subscription_history_campaign_partner",
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_subscription_history_run_id"),
        sa.PrimaryKeyConstraint("history_id", name="pk_subscription_history"),
    )
    op.create_index(
        "ix_subscription_history_of_partner",
        "subscription_history",
        ["campaign", "partner", "subscription_id", "history_id"],
    )
    op.create_index("ix_subscription_history_subscription_id", "subscription_history", ["subscription_id"])
    facts = [f"'{name}', {name}" for name in FACTS]
    facts += [
        f"'{name}', to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24\\:MI\\:SS\"Z\"')"
        for name in MOMENTS
    ]
    op.execute(
        "INSERT INTO subscription_history (campaign, partner, subscription_id, run_id, facts, at)"  # noqa: S608
        " SELECT campaign, partner, subscription_id, run_id,"
        f" jsonb_build_object({', '.join(facts)}), surveyed_at"
        " FROM subscriptions ORDER BY campaign, partner, subscription_id"
    )
    for table in GUARDED:
        op.execute(
            f"CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    op.drop_table("subscription_history")
    for table in GUARDED[:-1]:
        op.execute(f"DROP TRIGGER only_grows ON {table}")
