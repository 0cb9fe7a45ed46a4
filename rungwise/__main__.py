"""`python -m rungwise` is the command line."""

from rungwise.cli import main

main()
