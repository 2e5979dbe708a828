"""Alembic's entry: runs on the connection that `include.nce.ledger.migrate` hands over, and on no other."""

from __future__ import annotations

from alembic import context

from include.nce.ledger.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
