"""The same tests, on PostgreSQL."""

from tests.release.test_registry import *  # noqa: F403

del test_any_row_of_moves_ends_where_a_stack_would  # noqa: F821 - it makes many stores
del test_on_a_full_disk_nothing_is_half_released_and_it_goes_on_when_there_is_room  # noqa: F821 - it fills a file
