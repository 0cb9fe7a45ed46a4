"""The same tests, on PostgreSQL."""

from tests.data.test_ledger import *  # noqa: F403
