"""The same tests, on PostgreSQL."""

from tests.data.test_feedback import *  # noqa: F403
