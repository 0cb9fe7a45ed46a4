"""The first schema."""

from alembic import op

from rungwise.data.schema import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table of the first version."""
    metadata.create_all(op.get_bind())
