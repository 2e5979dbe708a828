"""Conversions can be taken back: undo cases, what a person approved, and the two states that follow.

Downgrading is refused by PostgreSQL while a conversion is being undone or is undone: its history cannot be
told in the older words.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"
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
    "drifted",
    "by_others",
    "stranded",
)
CASE_STATES = ("open", "undoing", "too_late", "person_decides", "double_covered", "undone", "closed")
HISTORY = ("undo_lines", "undo_events", "undo_plans", "undo_answers")


def _one_of(name: str, *values: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=40)


def _recorded_at() -> sa.Column[datetime]:
    return sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False)


def _hold_states_to(*states: str) -> None:
    for table in ("conversions", "conversion_history"):
        name = op.f(f"ck_{table}_state")
        op.drop_constraint(name, table)
        op.create_check_constraint(name, table, sa.column("state").in_(states))


def upgrade() -> None:
    _hold_states_to(*STATES, "undoing", "undone")
    op.add_column("conversions", sa.Column("undoable_until_at", MOMENT, nullable=True))
    op.create_table(
        "undo_cases",
        sa.Column("case_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("base_id", sa.Text(), nullable=False),
        sa.Column("cause", _one_of("cause", "opt_out", "operator"), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("opened_by", sa.Text(), nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.Column("opt_out_received_at", MOMENT, nullable=True),
        sa.Column("state", _one_of("state", *CASE_STATES), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("until_at", MOMENT, nullable=True),
        sa.Column("closed_at", MOMENT, nullable=True),
        _recorded_at(),
        sa.ForeignKeyConstraint(
            ["campaign", "partner"],
            ["partners.campaign", "partners.partner"],
            name="fk_undo_cases_campaign_partner",
        ),
        sa.PrimaryKeyConstraint("case_id", name="pk_undo_cases"),
    )
    op.create_index(
        "uq_undo_cases_open",
        "undo_cases",
        ["customer_id", "base_id"],
        unique=True,
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_index(
        "ix_undo_cases_campaign_partner_case_id", "undo_cases", ["campaign", "partner", "case_id"]
    )
    op.create_table(
        "undo_lines",
        sa.Column("case_id", sa.BigInteger(), nullable=False),
        sa.Column("conversion_id", sa.BigInteger(), nullable=False),
        _recorded_at(),
        sa.ForeignKeyConstraint(["case_id"], ["undo_cases.case_id"], name="fk_undo_lines_case_id"),
        sa.ForeignKeyConstraint(
            ["conversion_id"], ["conversions.conversion_id"], name="fk_undo_lines_conversion_id"
        ),
        sa.PrimaryKeyConstraint("case_id", "conversion_id", name="pk_undo_lines"),
    )
    op.create_index("ix_undo_lines_conversion_id", "undo_lines", ["conversion_id"])
    op.create_table(
        "undo_events",
        sa.Column("event_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("case_id", sa.BigInteger(), nullable=False),
        sa.Column("state", _one_of("state", *CASE_STATES), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        _recorded_at(),
        sa.ForeignKeyConstraint(["case_id"], ["undo_cases.case_id"], name="fk_undo_events_case_id"),
        sa.PrimaryKeyConstraint("event_id", name="pk_undo_events"),
    )
    op.create_index("ix_undo_events_case_id_event_id", "undo_events", ["case_id", "event_id"])
    op.create_table(
        "undo_plans",
        sa.Column("plan_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("lines", JSONB(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        _recorded_at(),
        sa.ForeignKeyConstraint(
            ["campaign", "partner"],
            ["partners.campaign", "partners.partner"],
            name="fk_undo_plans_campaign_partner",
        ),
        sa.PrimaryKeyConstraint("plan_id", name="pk_undo_plans"),
    )
    op.create_index("ix_undo_plans_run_id_plan_id", "undo_plans", ["run_id", "plan_id"])
    op.create_table(
        "undo_answers",
        sa.Column("answer_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("approved", sa.Boolean(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        _recorded_at(),
        sa.ForeignKeyConstraint(["plan_id"], ["undo_plans.plan_id"], name="fk_undo_answers_plan_id"),
        sa.PrimaryKeyConstraint("answer_id", name="pk_undo_answers"),
    )
    op.create_index("ix_undo_answers_plan_id_answer_id", "undo_answers", ["plan_id", "answer_id"])
    for table in HISTORY:
        op.execute(
            f"CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    for table in ("undo_answers", "undo_plans", "undo_events", "undo_lines", "undo_cases"):
        op.drop_table(table)
    op.drop_column("conversions", "undoable_until_at")
    _hold_states_to(*STATES)
