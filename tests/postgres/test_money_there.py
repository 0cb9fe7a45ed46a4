"""The same tests, on PostgreSQL."""

from tests.data.test_noted_costs import *  # noqa: F403
from tests.data.traces.test_sums_by_day import *  # noqa: F403
from tests.watch.test_account import *  # noqa: F403
