"""The same tests, on PostgreSQL."""

from tests.data.test_keys import *  # noqa: F403

del test_neither_the_database_nor_any_file_but_the_master_key_helps_to_make_a_key  # noqa: F821 - it reads the file
