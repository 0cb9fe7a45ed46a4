"""Serving: the pointer to the live release, keys, meters, the audit log, feedback, and answers that may be given again."""

from alembic import op

from rungwise.data.schema import allowances, audit, feedback, keys, metadata, meters, release_moves, replies

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add what the second version lacks; a store made today has it already, since the first migration creates every table."""
    metadata.create_all(op.get_bind(), tables=[release_moves, keys, allowances, meters, audit, feedback, replies])
