"""The ledger's first tables.

What grows only is guarded by a trigger: an UPDATE, DELETE or TRUNCATE there is refused by PostgreSQL itself.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def _one_of(name: str, *values: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=40)


ROUTE = _one_of("route", "migrate", "purchase")
STATE = _one_of(
    "state",
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
OUTCOME = _one_of(
    "outcome",
    "planned",
    "nothing_to_do",
    "converted",
    "scheduled",
    "opted_out",
    "partly_held",
    "blocked",
    "unresolved",
    "failed",
)
CHECK = _one_of("check", "check_mpa", "check_indirect_provider_link", "check_mpn_id", "check_customer_mca")
ANSWER = _one_of("answer", "satisfied", "missing", "waiting_for_microsoft", "cannot_tell")
OWNER = _one_of("owner", "nobody", "partner", "customer", "provider", "microsoft", "operator")

HISTORY = (
    "run_history",
    "check_history",
    "opt_out_rulings",
    "conversion_history",
    "command_events",
    "decisions",
)
TABLES = (
    "plan_lines",
    "command_events",
    "subscriptions",
    "run_history",
    "plans",
    "opt_out_rulings",
    "conversion_history",
    "commands",
    "checks",
    "check_history",
    "runs",
    "opt_outs",
    "decisions",
    "customers",
    "conversions",
    "partners",
    "campaign_versions",
)


def upgrade() -> None:
    op.create_table(
        "campaign_versions",
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("document", JSONB(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("campaign", "version", name="pk_campaign_versions"),
    )
    op.create_table(
        "partners",
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("mpn_id", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("province", sa.Text(), nullable=True),
        sa.Column("zone", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("enrolled_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("campaign", "partner", name="pk_partners"),
    )
    op.create_table(
        "conversions",
        sa.Column("conversion_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("legacy_id", sa.Text(), nullable=False),
        sa.Column("base_id", sa.Text(), nullable=False),
        sa.Column("route", ROUTE, nullable=False),
        sa.Column("state", STATE, nullable=False),
        sa.Column("seats", sa.Integer(), nullable=True),
        sa.Column("term", sa.Text(), nullable=True),
        sa.Column("billing", sa.Text(), nullable=True),
        sa.Column("offer_id", sa.Text(), nullable=False),
        sa.Column("expected_product_and_sku", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("migration_id", sa.Text(), nullable=True),
        sa.Column("cart_id", sa.Text(), nullable=True),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("nce_subscription_id", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("state_since_at", MOMENT, nullable=False),
        sa.Column("not_before_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "customer_id = lower(customer_id) AND legacy_id = lower(legacy_id)",
            name=op.f("ck_conversions_ids_are_lower_case"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign", "partner"],
            ["partners.campaign", "partners.partner"],
            name="fk_conversions_campaign_partner",
        ),
        sa.PrimaryKeyConstraint("conversion_id", name="pk_conversions"),
        sa.UniqueConstraint("customer_id", "legacy_id", name="uq_conversions_customer_id_legacy_id"),
    )
    op.create_index("ix_conversions_campaign_partner", "conversions", ["campaign", "partner"])
    op.create_index("ix_conversions_legacy_id", "conversions", ["legacy_id"])
    op.create_table(
        "customers",
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("surveyed_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign", "partner"],
            ["partners.campaign", "partners.partner"],
            name="fk_customers_campaign_partner",
        ),
        sa.PrimaryKeyConstraint("campaign", "partner", "customer_id", name="pk_customers"),
    )
    op.create_table(
        "decisions",
        sa.Column("decision_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("subscription_id", sa.Text(), nullable=False),
        sa.Column("kind", _one_of("kind", "confirm_conversion", "withdraw_confirmation"), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign", "partner"],
            ["partners.campaign", "partners.partner"],
            name="fk_decisions_campaign_partner",
        ),
        sa.PrimaryKeyConstraint("decision_id", name="pk_decisions"),
    )
    op.create_index(
        "ix_decisions_campaign_partner_subscription_id_decision_id",
        "decisions",
        ["campaign", "partner", "subscription_id", "decision_id"],
    )
    op.create_index("ix_decisions_subscription_id", "decisions", ["subscription_id"])
    op.create_table(
        "opt_outs",
        sa.Column("opt_out_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=True),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.Column("withdrawn_at", MOMENT, nullable=True),
        sa.Column("withdrawn_by", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(withdrawn_at IS NULL) = (withdrawn_by IS NULL)", name=op.f("ck_opt_outs_withdrawn_by_somebody")
        ),
        sa.ForeignKeyConstraint(
            ["campaign", "partner"],
            ["partners.campaign", "partners.partner"],
            name="fk_opt_outs_campaign_partner",
        ),
        sa.PrimaryKeyConstraint("opt_out_id", name="pk_opt_outs"),
        sa.UniqueConstraint(
            "campaign",
            "partner",
            "customer_id",
            "received_at",
            name="uq_opt_outs_campaign_partner_customer_id_received_at",
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index("ix_opt_outs_campaign_opt_out_id", "opt_outs", ["campaign", "opt_out_id"])
    op.create_table(
        "runs",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("opening", sa.Integer(), nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.Column("closed_at", MOMENT, nullable=True),
        sa.Column("outcome", OUTCOME, nullable=True),
        sa.Column("sentence", sa.Text(), server_default="", nullable=False),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign", "partner"],
            ["partners.campaign", "partners.partner"],
            name="fk_runs_campaign_partner",
        ),
        sa.PrimaryKeyConstraint("run_id", name="pk_runs"),
    )
    op.create_index("ix_runs_campaign_partner_opened_at", "runs", ["campaign", "partner", "opened_at"])
    op.create_table(
        "check_history",
        sa.Column("history_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("check", CHECK, nullable=False),
        sa.Column("answer", ANSWER, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("owner", OWNER, nullable=False),
        sa.Column("remedy", sa.Text(), nullable=False),
        sa.Column("code", sa.Integer(), nullable=True),
        sa.Column("missing_customers", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("customers", sa.Integer(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_check_history_run_id"),
        sa.PrimaryKeyConstraint("history_id", name="pk_check_history"),
    )
    op.create_index("ix_check_history_run_id_history_id", "check_history", ["run_id", "history_id"])
    op.create_table(
        "checks",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("check", CHECK, nullable=False),
        sa.Column("answer", ANSWER, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("owner", OWNER, nullable=False),
        sa.Column("remedy", sa.Text(), nullable=False),
        sa.Column("code", sa.Integer(), nullable=True),
        sa.Column("missing_customers", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("customers", sa.Integer(), nullable=False),
        sa.Column("since_at", MOMENT, nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_checks_run_id"),
        sa.PrimaryKeyConstraint("run_id", "check", name="pk_checks"),
    )
    op.create_table(
        "commands",
        sa.Column("command_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("conversion_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("payload", JSONB(), nullable=False),
        sa.Column("intended_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["conversion_id"], ["conversions.conversion_id"], name="fk_commands_conversion_id"
        ),
        sa.PrimaryKeyConstraint("command_id", name="pk_commands"),
        sa.UniqueConstraint("request_id", name="uq_commands_request_id"),
    )
    op.create_index(
        "ix_commands_conversion_id_kind_command_id", "commands", ["conversion_id", "kind", "command_id"]
    )
    op.create_table(
        "conversion_history",
        sa.Column("history_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("conversion_id", sa.BigInteger(), nullable=False),
        sa.Column("state", STATE, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("facts", JSONB(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["conversion_id"], ["conversions.conversion_id"], name="fk_conversion_history_conversion_id"
        ),
        sa.PrimaryKeyConstraint("history_id", name="pk_conversion_history"),
    )
    op.create_index(
        "ix_conversion_history_conversion_id_history_id",
        "conversion_history",
        ["conversion_id", "history_id"],
    )
    op.create_table(
        "opt_out_rulings",
        sa.Column("ruling_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("opening", sa.Integer(), nullable=False),
        sa.Column("verdict", _one_of("verdict", "none", "in_time", "late"), nullable=False),
        sa.Column("customers_in_time", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("customers_late", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("deadline_at", MOMENT, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_opt_out_rulings_run_id"),
        sa.PrimaryKeyConstraint("ruling_id", name="pk_opt_out_rulings"),
    )
    op.create_index("ix_opt_out_rulings_run_id_ruling_id", "opt_out_rulings", ["run_id", "ruling_id"])
    op.create_table(
        "plans",
        sa.Column("plan_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("campaign_version", sa.Integer(), nullable=False),
        sa.Column("tally", JSONB(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign", "partner"],
            ["partners.campaign", "partners.partner"],
            name="fk_plans_campaign_partner",
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_plans_run_id"),
        sa.PrimaryKeyConstraint("plan_id", name="pk_plans"),
        sa.UniqueConstraint("campaign", "partner", "number", name="uq_plans_campaign_partner_number"),
    )
    op.create_index("ix_plans_run_id_number", "plans", ["run_id", "number"])
    op.create_table(
        "run_history",
        sa.Column("history_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("opening", sa.Integer(), nullable=False),
        sa.Column("event", _one_of("event", "opened", "reopened", "closed"), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("outcome", OUTCOME, nullable=True),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_run_history_run_id"),
        sa.PrimaryKeyConstraint("history_id", name="pk_run_history"),
    )
    op.create_index("ix_run_history_run_id_history_id", "run_history", ["run_id", "history_id"])
    op.create_table(
        "subscriptions",
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("subscription_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("offer_id", sa.Text(), nullable=False),
        sa.Column("offer_name", sa.Text(), nullable=False),
        sa.Column("kind", _one_of("kind", "legacy", "nce", "azure", "software"), nullable=False),
        sa.Column(
            "status",
            _one_of("status", "active", "pending", "suspended", "expired", "deleted", "other"),
            nullable=False,
        ),
        sa.Column("seats", sa.Integer(), nullable=False),
        sa.Column("term_end_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=True),
        sa.Column("auto_renew", sa.Boolean(), nullable=False),
        sa.Column("is_trial", sa.Boolean(), nullable=False),
        sa.Column("term", sa.Text(), nullable=True),
        sa.Column("billing", sa.Text(), nullable=True),
        sa.Column("parent_id", sa.Text(), nullable=True),
        sa.Column("partner_mpn_id", sa.Text(), nullable=True),
        sa.Column("migrated_from_id", sa.Text(), nullable=True),
        sa.Column("cancellable_until_at", MOMENT, nullable=True),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("suspension_reasons", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("first_seen_term_end_at", MOMENT, nullable=True),
        sa.Column("first_seen_at", MOMENT, nullable=False),
        sa.Column("surveyed_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign", "partner"],
            ["partners.campaign", "partners.partner"],
            name="fk_subscriptions_campaign_partner",
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_subscriptions_run_id"),
        sa.PrimaryKeyConstraint("campaign", "partner", "subscription_id", name="pk_subscriptions"),
    )
    op.create_index("ix_subscriptions_subscription_id", "subscriptions", ["subscription_id"])
    op.create_table(
        "command_events",
        sa.Column("event_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("command_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "event",
            _one_of("event", "sending", "accepted", "refused", "lost", "found", "not_found"),
            nullable=False,
        ),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("code", sa.Integer(), nullable=True),
        sa.Column("correlation_id", sa.Text(), nullable=True),
        sa.Column("body", JSONB(), nullable=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["command_id"], ["commands.command_id"], name="fk_command_events_command_id"),
        sa.PrimaryKeyConstraint("event_id", name="pk_command_events"),
    )
    op.create_index("ix_command_events_command_id_event_id", "command_events", ["command_id", "event_id"])
    op.create_table(
        "plan_lines",
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("subscription_id", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("offer_id", sa.Text(), nullable=False),
        sa.Column("offer_name", sa.Text(), nullable=False),
        sa.Column("legacy_seats", sa.Integer(), nullable=False),
        sa.Column("term_end_at", MOMENT, nullable=True),
        sa.Column(
            "class",
            _one_of(
                "class",
                "exempt",
                "not_legacy",
                "renews_in_legacy",
                "lapses",
                "opted_out",
                "already_migrated",
                "held",
                "not_eligible",
                "scheduled",
                "due",
                "converted",
                "failed",
                "undone",
            ),
            nullable=False,
        ),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("owner", OWNER, nullable=False),
        sa.Column("remedy", sa.Text(), nullable=False),
        sa.Column("warning", sa.Text(), nullable=False),
        sa.Column("route", ROUTE, nullable=True),
        sa.Column("term", sa.Text(), nullable=True),
        sa.Column("billing", sa.Text(), nullable=True),
        sa.Column("seats", sa.Integer(), nullable=True),
        sa.Column("window_opens_at", MOMENT, nullable=True),
        sa.Column("last_safe_start_at", MOMENT, nullable=True),
        sa.Column("travels_with", sa.Text(), nullable=True),
        sa.Column("nce_subscription_id", sa.Text(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("batch_no", sa.Integer(), nullable=True),
        sa.Column("conversion_id", sa.BigInteger(), nullable=True),
        sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["conversion_id"], ["conversions.conversion_id"], name="fk_plan_lines_conversion_id"
        ),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.plan_id"], name="fk_plan_lines_plan_id"),
        sa.PrimaryKeyConstraint("plan_id", "subscription_id", name="pk_plan_lines"),
    )
    op.create_index("ix_plan_lines_conversion_id", "plan_lines", ["conversion_id"])
    op.create_index(
        "ix_plan_lines_plan_id_batch_no_position", "plan_lines", ["plan_id", "batch_no", "position"]
    )
    op.create_index("ix_plan_lines_subscription_id", "plan_lines", ["subscription_id"])
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'table % only grows: % refused', TG_TABLE_NAME, TG_OP; END $$"
    )
    for table in HISTORY:
        op.execute(
            f"CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
    op.execute("DROP FUNCTION refuse_change()")
