"""The same tests, on PostgreSQL."""

from tests.data.versions.test_version import *  # noqa: F403
