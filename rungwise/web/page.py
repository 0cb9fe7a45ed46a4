"""One HTML page that opens from disk, without network and without script: how a template becomes one."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup, escape

from rungwise.core.record import short
from rungwise.web import words

LONGEST_TEXT = 400  # characters of a row or an answer that are shown
_LONG_NAME = re.compile(r"\w{16,}")  # a label that may have to break, and should do so after an underscore


def render_page(template: str, styles: Sequence[str], context: Mapping[str, Any]) -> str:
    """A template with its style sheets in the page itself. Equal contexts give equal bytes."""
    style = "\n".join(map(_asset, styles))
    page = _environment().get_template(template).render(**context, words=words, style=Markup(style), csp=_policy(style))
    return words.printable(page)


def _policy(style: str) -> str:
    """A content security policy under which nothing runs and nothing is loaded but the page's own style."""
    pinned = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{pinned}'; img-src data:; base-uri 'none'; form-action 'none'"


@cache
def _asset(name: str) -> str:
    return files("rungwise.web").joinpath("assets", name).read_text(encoding="utf-8").strip()


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("rungwise.web", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"prose": _prose, "bidi": _bidi, "usd": words.usd, "seconds": words.seconds, "spend": words.spend}
    environment.filters |= {"short": short, "rows": lambda number: words.count(number, "row")}
    return environment


def _prose(text: str) -> Markup:
    """A sentence whose figures are not torn from their units at a line end."""
    return Markup(re.sub(r"(\d) (%|ms|s|min|h|d)\b", "\\1\u00a0\\2", str(escape(text)).replace(" %", "\u00a0%")))


def _bidi(text: str) -> Markup:
    """Text that somebody wrote, isolated so that its direction cannot turn the page around."""
    shown = escape(words.shortened(text, LONGEST_TEXT))
    breakable = _LONG_NAME.sub(lambda name: name[0].replace("_", "_<wbr>"), shown)
    return Markup(f'<bdi dir="auto">{breakable}</bdi>')
