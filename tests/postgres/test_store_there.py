"""The same tests, on PostgreSQL."""

from tests.data.test_store import *  # noqa: F403
