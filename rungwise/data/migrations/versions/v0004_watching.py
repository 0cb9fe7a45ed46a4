"""Watching: readings, alerts, the review queue, costs that no trace tells of, and re-climbs."""

from alembic import op

from rungwise.data import schema

revision = "0004"
down_revision = "0003"

_NEW = ("readings", "looks", "sketches", "alerts", "deliveries", "reviews", "review_verdicts", "costs", "reclimbs", "reclimb_steps")


def upgrade() -> None:
    """Add what the third version lacks; a store made today has it already, since the first migration creates every table."""
    schema.metadata.create_all(op.get_bind(), tables=[schema.metadata.tables[name] for name in _NEW])
