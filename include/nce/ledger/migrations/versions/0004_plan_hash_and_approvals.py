"""A plan's hash, what it stands for, and who approved it; conversions know the plan whose terms they have.

Plans made before have no hash: nothing of them is bought any more, the partner is planned again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
STATES = (
    "planned",
    "sent",
    "unknown",
    "accepted",
    "hands_off",
    "covered",
    "converted",
    "refused",
    "failed",
    "held",
    "waiting",
    "by_others",
    "stranded",
)


def upgrade() -> None:
    op.add_column("plans", sa.Column("hash", sa.Text(), nullable=False, server_default=""))
    op.alter_column("plans", "hash", server_default=None)
    op.add_column("plans", sa.Column("follows_plan_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key("fk_plans_follows_plan_id", "plans", "plans", ["follows_plan_id"], ["plan_id"])
    op.create_index("ix_plans_campaign_partner_hash", "plans", ["campaign", "partner", "hash"])
    for column in ("legacy_term", "legacy_billing", "product_and_sku", "fingerprint"):
        op.add_column("plan_lines", sa.Column(column, sa.Text(), nullable=True))
    op.add_column("conversions", sa.Column("plan_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key("fk_conversions_plan_id", "conversions", "plans", ["plan_id"], ["plan_id"])
    op.create_table(
        "approvals",
        sa.Column("approval_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("plan_hash", sa.Text(), nullable=False),
        sa.Column(
            "word",
            sa.Enum(
                "approved", "rejected", name="word", native_enum=False, create_constraint=True, length=40
            ),
            nullable=False,
        ),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign", "partner"],
            ["partners.campaign", "partners.partner"],
            name="fk_approvals_campaign_partner",
        ),
        sa.PrimaryKeyConstraint("approval_id", name="pk_approvals"),
    )
    op.create_index(
        "ix_approvals_campaign_partner_plan_hash_approval_id",
        "approvals",
        ["campaign", "partner", "plan_hash", "approval_id"],
    )
    op.execute(
        "CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON approvals"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    _hold_states_to((*STATES[:11], "drifted", *STATES[11:]))


def downgrade() -> None:
    _hold_states_to(STATES)
    op.drop_table("approvals")
    op.drop_constraint("fk_conversions_plan_id", "conversions")
    op.drop_column("conversions", "plan_id")
    for column in ("fingerprint", "product_and_sku", "legacy_billing", "legacy_term"):
        op.drop_column("plan_lines", column)
    op.drop_index("ix_plans_campaign_partner_hash", "plans")
    op.drop_constraint("fk_plans_follows_plan_id", "plans")
    op.drop_column("plans", "follows_plan_id")
    op.drop_column("plans", "hash")


def _hold_states_to(states: tuple[str, ...]) -> None:
    known = ", ".join(f"'{state}'" for state in states)
    for table in ("conversions", "conversion_history"):
        op.drop_constraint(op.f(f"ck_{table}_state"), table, type_="check")
        op.create_check_constraint(op.f(f"ck_{table}_state"), table, f"state IN ({known})")
