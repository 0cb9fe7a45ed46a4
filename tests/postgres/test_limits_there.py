"""The same tests, on PostgreSQL."""

from tests.serve.test_limits import *  # noqa: F403
