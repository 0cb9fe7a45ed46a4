"""Which version of Rungwise this is."""

__version__ = "0.1.0"
