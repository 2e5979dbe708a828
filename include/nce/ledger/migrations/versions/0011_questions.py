"""Questions as they were shown, the answers to them, and which runs a run of `nce_campaign` starts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
KIND = sa.Enum(
    "approve_plan",
    "approve_undo",
    "confirm_rerun",
    name="kind",
    native_enum=False,
    create_constraint=True,
    length=40,
)
HISTORY = ("questions", "question_answers", "start_lists")


def upgrade() -> None:
    op.create_table(
        "questions",
        sa.Column("question_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", KIND, nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("question_id", name="pk_questions"),
    )
    op.create_index("ix_questions_run_id_kind_question_id", "questions", ["run_id", "kind", "question_id"])
    op.create_table(
        "question_answers",
        sa.Column("answer_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("question_id", sa.BigInteger(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("approved", sa.Boolean(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("given_at", MOMENT, nullable=False),
        sa.Column("refused", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["question_id"], ["questions.question_id"], name="fk_question_answers_question_id"
        ),
        sa.PrimaryKeyConstraint("answer_id", name="pk_question_answers"),
    )
    op.create_index(
        "uq_question_answers_counts",
        "question_answers",
        ["question_id"],
        unique=True,
        postgresql_where=sa.text("refused = ''"),
    )
    op.create_table(
        "start_lists",
        sa.Column("list_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("again", sa.Boolean(), nullable=False),
        sa.Column("asks", sa.Boolean(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("orders", postgresql.JSONB(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("list_id", name="pk_start_lists"),
    )
    op.create_index("ix_start_lists_run_id_list_id", "start_lists", ["run_id", "list_id"])
    for table in HISTORY:
        op.execute(
            f"CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    for table in ("start_lists", "question_answers", "questions"):
        op.drop_table(table)
