"""Alembic's entry: runs on the connection that ``verifier.store.schema`` hands over; there is no ini file."""

from alembic import context

from verifier.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
