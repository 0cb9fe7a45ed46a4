"""The name of somebody who judged, approved or took something up, as it is kept."""

from __future__ import annotations

from rungwise.core.errors import UsageError

LONGEST = 200


def person(name: str) -> str:
    """The name without white space around it. Raises UsageError for one that is empty, too long, or no plain text in one line."""
    plain = name.strip()
    if not plain or len(plain) > LONGEST or not plain.isprintable():
        raise UsageError(f"say who it is: a name of at most {LONGEST} characters in one line")
    return plain
