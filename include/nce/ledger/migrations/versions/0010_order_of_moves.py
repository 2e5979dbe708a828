"""The order in which things happened is the database's: what failed after a release, what was decided after
an undo. Clocks of several machines cannot say it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "conversions", sa.Column("moved_no", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column("decisions", sa.Column("moved_no", sa.BigInteger(), nullable=True))
    # The entry with which each got into its state; of several with the same state in a row the first.
    op.execute(
        """
        UPDATE conversions SET moved_no = entered.history_id FROM (
            SELECT conversion_id, min(history_id) AS history_id FROM (
                SELECT conversion_id, history_id,
                       coalesce(max(history_id) FILTER (WHERE state <> now_in) OVER whole, 0) AS left_another
                FROM conversion_history JOIN (
                    SELECT conversion_id, state AS now_in FROM conversions
                ) AS standing USING (conversion_id)
                WINDOW whole AS (PARTITION BY conversion_id)
            ) AS entries
            WHERE history_id > left_another GROUP BY conversion_id
        ) AS entered WHERE entered.conversion_id = conversions.conversion_id
        """
    )


def downgrade() -> None:
    op.drop_column("decisions", "moved_no")
    op.drop_column("conversions", "moved_no")
