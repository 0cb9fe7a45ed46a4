"""What a person can say about how a source is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from rungwise.data.lines import Unpacking


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one piece may cost. Each is far beyond ordinary data; a piece that meets one goes to the quarantine.

    `document_bytes`, `document_seconds` and `document_memory_bytes` hold for each HTML and PDF file (`document_bytes` for
    each text too); `page_bytes`, `page_seconds` and `redirects` for each URL; `unpacking` for each packed table.
    """

    document_bytes: int = 100_000_000
    document_seconds: float = 60.0
    document_memory_bytes: int = 2 * 2**30
    page_bytes: int = 100_000_000
    page_seconds: float = 60.0
    redirects: int = 5
    unpacking: Unpacking = field(default_factory=Unpacking)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Every kind takes all of them and heeds those that concern it.

    `encoding` is that of tables and text files ("latin-1"); `subset` names one of several configurations of a dataset folder;
    `allow_hosts` names hosts ("wiki.local" or "wiki.local:8080") that may have a private address; `cache` is the folder where web
    pages are kept between runs, so that the next asks only for what changed.
    """

    encoding: str | None = None
    subset: str | None = None
    allow_hosts: tuple[str, ...] = ()
    cache: Path | None = None
    limits: Limits = field(default_factory=Limits)
