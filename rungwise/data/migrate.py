"""Brings a store's schema up to date with alembic."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

from rungwise.core.errors import StoreError


def upgrade(connection: Connection) -> None:
    """Run every migration that the store has not seen, in the open transaction. Raises StoreError when a newer version wrote it."""
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreError(
            f"this store was written by another version of Rungwise ({error}). Upgrade with: pip install -U rungwise"
        ) from error
