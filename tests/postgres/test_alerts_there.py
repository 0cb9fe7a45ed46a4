"""The same tests, on PostgreSQL."""

from tests.watch.alerts.test_alert_state import *  # noqa: F403
from tests.watch.alerts.test_sending import *  # noqa: F403
