"""The text of a PDF, page by page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rungwise.data.lines import CELL_CAP, Damaged
from rungwise.data.sources import Extracted

_HYPHEN = re.compile("[\x02\ufffe]\r?\n?")  # how PDFium writes a hyphen at the end of a line within a word
_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\ufffe\uffff]")
_SEAM = "\n\n"
_NEWLINE = re.compile("\r\n?")
_PASSWORD, _UNSUPPORTED_SECURITY = 4, 5
"""FPDF_ERR_PASSWORD and FPDF_ERR_SECURITY (PDFium, public/fpdfview.h)."""


def pdf_text(path: Path, cap: int = CELL_CAP) -> Extracted:
    """The text of a PDF, its pages parted by an empty line, the title that it names, and where each page begins.

    Raises Damaged with the reason code when it needs a password, is broken, has no page, or is a scan without any text.
    """
    import pypdfium2

    try:
        with pypdfium2.PdfDocument(path) as document:
            title = _clean(str(document.get_metadata_dict().get("Title") or "")).strip()
            texts = _pages(document, cap)
    except pypdfium2.PdfiumError as error:
        code = getattr(error, "err_code", None)
        if code in (_PASSWORD, _UNSUPPORTED_SECURITY):
            hint = "Save it without one"
            raise Damaged("refused:password", "the PDF is protected by a password.", hint=hint) from error
        raise Damaged("malformed:pdf", f"not a readable PDF ({error}).", hint="Open it and save it again") from error
    return Extracted(_SEAM.join(filter(None, texts)), title or None, _starts(texts))


def _starts(texts: Sequence[str]) -> tuple[int, ...]:
    """Where each page begins; one without text begins where the next one does."""
    starts, at = [], 0
    for text in texts:
        starts.append(at)
        at += len(text) + len(_SEAM) if text else 0
    whole = max(0, at - len(_SEAM))
    return tuple(min(start, whole) for start in starts)


def _pages(document: Any, cap: int) -> list[str]:
    if len(document) == 0:
        raise Damaged("malformed:pdf", "the PDF has no page.", hint="Open it and save it again")
    texts, size, drawn = [], 0, False
    for number in range(len(document)):
        page = document[number]
        shown = page.get_textpage()
        texts.append(_clean(shown.get_text_bounded()).strip())
        drawn = drawn or (not texts[-1] and next(iter(page.get_objects(max_depth=2)), None) is not None)
        shown.close()
        page.close()
        size += len(texts[-1]) + 1
        if size > cap:
            raise Damaged("malformed:too_long", f"the text is longer than {cap:,} characters.", hint="Cut it into parts")
    if not any(texts):
        scan = "the PDF holds pictures and no text, as a scan does."
        raise Damaged("malformed:no_text", scan if drawn else "the PDF holds no text.", hint="Run text recognition on it first")
    return texts


def _clean(text: str) -> str:
    """Words that were parted at the end of a line are one again; what is no character is left out."""
    text = _NEWLINE.sub("\n", _HYPHEN.sub("", text))
    return _CONTROL.sub("", text).encode("utf-8", "ignore").decode()
