"""The same tests, on PostgreSQL."""

from tests.watch.test_voices import *  # noqa: F403
