"""The same tests, on PostgreSQL."""

from tests.serve.test_served_limits import *  # noqa: F403
