"""What several verbs of `rungwise data` say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from rungwise.cli.options import say
from rungwise.core.progress import Progress


def data_progress(*, silent: bool) -> AbstractContextManager[Callable[[Progress], None]]:
    """Bars on stderr in a terminal; nothing elsewhere."""
    from rich.console import Console

    from rungwise.cli.progress_view import progress_view

    return progress_view(Console(stderr=True), silent=silent)


def say_quarantined(quarantined: Mapping[str, int], directory: str) -> None:
    """How many rows were set aside and why."""
    if not quarantined:
        return
    say(f"  {sum(quarantined.values()):,} rows set aside:")
    for reason, count in quarantined.items():
        say(f"    {count:>9,}  {reason}")
    say(f"  See them with: rungwise data quarantine {directory}")
