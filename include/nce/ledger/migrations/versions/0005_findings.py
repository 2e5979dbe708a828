"""What was found when ledger and Partner Center were compared, and when each partner last was."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def _one_of(name: str, *values: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=40)


KIND = _one_of(
    "kind",
    "zero_coverage",
    "double_coverage",
    "nce_suspended",
    "nce_cancelled",
    "legacy_still_billed",
    "outcome_unknown",
    "stuck",
    "seats_short",
    "legacy_vanished",
    "ended_uncovered",
    "same_product_candidate",
    "converted_by_others",
    "legacy_seats_changed",
)
SEVERITY = _one_of("severity", "critical", "serious", "notice")
GAP = _one_of("gap", "none", "zero", "double")
OWNER = _one_of("owner", "nobody", "partner", "customer", "provider", "microsoft", "operator")
EVENT = _one_of("event", "opened", "changed", "resolved", "returned")


def upgrade() -> None:
    op.create_table(
        "comparisons",
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("lines", sa.Integer(), nullable=False),
        sa.Column("lines_unread", sa.Integer(), nullable=False),
        sa.Column("unread", sa.Text(), nullable=False),
        sa.Column("tried_at", MOMENT, nullable=False),
        sa.Column("compared_at", MOMENT, nullable=True),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign", "partner"],
            ["partners.campaign", "partners.partner"],
            name="fk_comparisons_campaign_partner",
        ),
        sa.PrimaryKeyConstraint("campaign", "partner", name="pk_comparisons"),
    )
    op.create_index("ix_comparisons_campaign_run_id", "comparisons", ["campaign", "run_id"])
    op.create_table(
        "findings",
        sa.Column("finding_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("subscription_id", sa.Text(), nullable=False),
        sa.Column("kind", KIND, nullable=False),
        sa.Column("severity", SEVERITY, nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("gap", GAP, nullable=False),
        sa.Column("owner", OWNER, nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("act_by_at", MOMENT, nullable=True),
        sa.Column("nce_subscription_id", sa.Text(), nullable=True),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("first_seen_at", MOMENT, nullable=False),
        sa.Column("since_at", MOMENT, nullable=False),
        sa.Column("last_seen_at", MOMENT, nullable=False),
        sa.Column("resolved_at", MOMENT, nullable=True),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign", "partner"],
            ["partners.campaign", "partners.partner"],
            name="fk_findings_campaign_partner",
        ),
        sa.PrimaryKeyConstraint("finding_id", name="pk_findings"),
        sa.UniqueConstraint(
            "campaign",
            "partner",
            "subscription_id",
            "kind",
            name="uq_findings_campaign_partner_subscription_id_kind",
        ),
    )
    op.create_index("ix_findings_campaign_rank_finding_id", "findings", ["campaign", "rank", "finding_id"])
    op.create_index(
        "ix_findings_open",
        "findings",
        ["campaign", "rank", "finding_id"],
        postgresql_where=sa.text("resolved_at IS NULL"),
    )
    op.create_index(
        "ix_findings_gaps",
        "findings",
        ["campaign", "partner"],
        postgresql_where=sa.text("resolved_at IS NULL AND gap <> 'none'"),
    )
    op.create_table(
        "finding_history",
        sa.Column("history_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("finding_id", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("event", EVENT, nullable=False),
        sa.Column("severity", SEVERITY, nullable=False),
        sa.Column("gap", GAP, nullable=False),
        sa.Column("owner", OWNER, nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["finding_id"], ["findings.finding_id"], name="fk_finding_history_finding_id"
        ),
        sa.PrimaryKeyConstraint("history_id", name="pk_finding_history"),
    )
    op.create_index(
        "ix_finding_history_finding_id_history_id", "finding_history", ["finding_id", "history_id"]
    )
    op.create_index("ix_finding_history_run_id_event", "finding_history", ["run_id", "event"])
    op.execute(
        "CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON finding_history"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def downgrade() -> None:
    for table in ("finding_history", "findings", "comparisons"):
        op.drop_table(table)
