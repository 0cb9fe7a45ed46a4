"""Schema migrations, oldest first; alembic runs them."""
