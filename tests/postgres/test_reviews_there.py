"""The same tests, on PostgreSQL."""

from tests.data.test_desk import *  # noqa: F403
from tests.data.test_reviews import *  # noqa: F403
