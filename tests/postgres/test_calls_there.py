"""The same tests, on PostgreSQL."""

from tests.data.test_calls import *  # noqa: F403
