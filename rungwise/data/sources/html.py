"""The text of an HTML page: what a reader sees, without what surrounds it, as Markdown-like blocks."""

from __future__ import annotations

import codecs
import re
from typing import Any

from rungwise.core.errors import UsageError
from rungwise.data.lines import text_decoder


def _words(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


_NOT_TEXT = _words(
    "applet area audio base button canvas datalist embed frame frameset head iframe img input link map meta nav noembed noframes",
    "noscript object option optgroup param script select source style svg template textarea track video",
)
"""Elements with nothing to read in them, or only ways to other pages (HTML Living Standard, sections 4.2 to 4.12)."""

_ASIDE_ROLES = frozenset({"navigation", "banner", "contentinfo", "search", "menu", "menubar", "dialog", "alertdialog"})
_SECTIONS = frozenset({"article", "main", "section", "blockquote"})
_PARAGRAPHS = _words(
    "address article aside blockquote body center dd details dialog div dl dt fieldset figcaption figure footer form",
    "h1 h2 h3 h4 h5 h6 header hgroup hr html legend main ol p pre section summary table ul",
)
_LINES = frozenset({"br", "caption", "li", "tbody", "tfoot", "thead", "tr"})
_CELLS = frozenset({"td", "th"})
_HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}

_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE)
_SPACE = re.compile(r"[ \t\n\f\r]+")


def decode_html(data: bytes, encoding: str | None = None) -> str:
    """The characters of a page, as browsers find them: by mark, by what was said (`encoding`), by <meta>, UTF-8, windows-1252.

    Source: HTML Living Standard, 13.2.3; ISO-8859-1 and ASCII mean windows-1252 there, and bytes that fit nothing become U+FFFD.
    """
    for mark, unicode in ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if data.startswith(mark):
            return data[len(mark) :].decode(unicode, "replace")
    declared = _CHARSET.search(data[:4096])
    names: tuple[str | None, ...] = (encoding, declared[1].decode() if declared else None, "utf-8")
    for name in names:
        label = (name or "").lower().replace("_", "-")
        if not label or (name is not encoding and label.startswith("utf-16")):  # a <meta> that can be read is not in UTF-16
            continue
        label = "cp1252" if label in ("iso-8859-1", "latin-1", "latin1", "ascii", "us-ascii") else label
        try:
            return str(text_decoder(label).decode(data, True))
        except (UsageError, UnicodeError):
            continue
    return data.decode("cp1252", "replace")


def html_text(page: str) -> tuple[str, str | None]:
    """The text of a page and its title.

    Headings begin with #, items of lists with -, cells of a table are parted by |, and preformatted text keeps its lines.
    Scripts, styles, forms' fields, navigation and what the page hides are left out. Nothing is run and nothing is fetched.
    """
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(page)
    title = tree.css_first("title")
    blocks = _Blocks()
    node: Any = tree.body
    body = 0 if node is None else node.mem_id
    while node is not None:  # down, across, up: recursion would end at Python's depth
        down = node.child if _open(node, blocks) else None
        if down is not None:
            node = down
            continue
        while True:
            _close(node, blocks)
            if node.mem_id == body:  # equality of nodes would compare their HTML
                node = None
                break
            if node.next is not None:
                node = node.next
                break
            node = node.parent
    named = _SPACE.sub(" ", title.text()).strip() if title is not None else ""
    return blocks.text(), named or blocks.heading or None


class _Blocks:
    """Text as it grows: runs of it with the breaks between them."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.gap, self.prefix, self.heading = 0, "", ""
        self.preformatted = 0
        self.titled = False

    def part(self, gap: int) -> None:
        """At least so many newlines before whatever comes next."""
        self.gap = max(self.gap, gap)

    def add(self, text: str) -> None:
        if not self.preformatted:
            text = _SPACE.sub(" ", text)
            if self.gap or not self.parts or self.parts[-1].endswith((" ", "\n")):
                text = text.lstrip(" ")
        if not text or (self.gap and not text.strip()):
            return
        if self.gap and self.parts:
            self.parts[-1] = self.parts[-1].rstrip(" \t\n")
            self.parts.append("\n" * self.gap)
        self.parts.append(self.prefix + text)
        if self.prefix == "# " and not self.heading:
            self.titled = True
        if self.titled:
            self.heading += text
        self.gap, self.prefix = 0, ""

    def text(self) -> str:
        return "".join(self.parts).strip()


def _open(node: Any, blocks: _Blocks) -> bool:
    """What an element begins; whether to go into it."""
    tag = node.tag or "-"  # what stands between <? and ?> has none
    if tag == "-text":
        blocks.add(node.text_content or "")
        return False
    if tag in _NOT_TEXT or tag.startswith(("-", "_", "!")) or _aside(node, tag):
        return False
    if tag in _PARAGRAPHS:
        blocks.part(2 if tag != "div" else 1)
    elif tag in _LINES:
        blocks.part(1)
    elif tag in _CELLS and node.prev is not None and blocks.parts and not blocks.gap:
        blocks.add(" | ")
    if tag in _HEADINGS:
        blocks.prefix = _HEADINGS[tag]
    elif tag == "li":
        blocks.prefix = "- "
    elif tag == "pre":
        blocks.preformatted += 1
    return True


def _close(node: Any, blocks: _Blocks) -> None:
    tag = node.tag
    if tag in _PARAGRAPHS:
        blocks.part(2 if tag != "div" else 1)
        blocks.preformatted -= tag == "pre" and blocks.preformatted > 0
    elif tag in _LINES:
        blocks.part(1)
    if tag in _HEADINGS or tag == "li":
        blocks.prefix = ""
        blocks.titled = blocks.titled and tag != "h1"


def _aside(node: Any, tag: str) -> bool:
    """Whether an element is there for getting around or is not shown."""
    if tag == "footer":
        parent = node.parent
        return parent is None or parent.tag not in _SECTIONS
    if tag == "header":
        return node.css_first("h1, h2") is None
    attributes = node.attributes
    if not attributes:
        return False
    style = (attributes.get("style") or "").replace(" ", "").lower()
    return "hidden" in attributes or "display:none" in style or (attributes.get("role") or "").lower() in _ASIDE_ROLES
