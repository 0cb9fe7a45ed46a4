"""Versions of data: packs that are being written, tags, erased rows, and the record behind each row of a dataset."""

import sqlalchemy as sa
from alembic import op

from rungwise.data.schema import erased, metadata, moves, pending_packs, tags

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what the first version lacks; a store made today has it already, since the first migration creates every table."""
    connection = op.get_bind()
    metadata.create_all(connection, tables=[pending_packs, moves, tags, erased])
    if "record" not in {column["name"] for column in sa.inspect(connection).get_columns("members")}:
        op.add_column("members", sa.Column("record", sa.Text))
