"""The same tests, on PostgreSQL."""

from tests.data.versions.test_erasure import *  # noqa: F403

del test_killed_anywhere_the_same_command_ends_it  # noqa: F821 - it copies the folder, and a copy shares the store
