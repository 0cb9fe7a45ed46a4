"""A folder of Markdown and text files, and the sections that are searched in them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from rungwise.core.content import Passage
from rungwise.core.errors import BadData
from rungwise.core.record import digest
from rungwise.data.lines import Damaged, Lines
from rungwise.data.readers import Quarantined

ENDINGS = (".md", ".markdown", ".txt")
"""The files that are read; others in the folder are named in the quarantine."""

SECTION_CAP = 1000
"""The longest section in characters; paragraphs under one heading are joined up to it."""

_HEADING = re.compile(r"(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*$")
_FENCE = re.compile(r"[ \t]{0,3}(```|~~~)")


@dataclass(frozen=True, slots=True)
class Document:
    """A text with its id: the path in the folder, with / between folders, the URL, or the id in a table.

    `fields` is what is known of it beside its text (title, type, columns of a table), to filter by; `pages` are the places
    where its pages begin, where it has some.
    """

    id: str
    text: str
    fields: Mapping[str, str] = field(default_factory=dict, hash=False)
    pages: tuple[int, ...] = ()

    @property
    def version(self) -> str:
        """SHA-256 in hex of the text, which spans in it are true of."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Documents:
    """The documents of a folder, by id, and the files that could not be read."""

    documents: tuple[Document, ...] = ()
    quarantine: tuple[Quarantined, ...] = ()

    @cached_property
    def id(self) -> str:
        """SHA-256 of the ids and texts: the input of every index made from them."""
        return digest([[document.id, document.text] for document in self.documents])


@dataclass(frozen=True, slots=True)
class Section:
    """A piece of a document: `text` is exactly its characters `start` to `end`; `headings` lead to it from the title down."""

    document: str
    start: int
    end: int
    text: str
    headings: tuple[str, ...] = ()

    @property
    def passage(self) -> Passage:
        """As a passage that a request or an answer carries."""
        return Passage(self.text, self.document, self.start, self.end)


def read_documents(folder: Path) -> Documents:
    """All .md and .txt files under a folder, hidden ones aside, in the order of their ids.

    Raises BadData when the folder is missing or holds none. A file in another encoding, empty or of another kind is quarantined.
    """
    if not folder.is_dir():
        raise BadData("there is no such folder of documents.", where=str(folder), hint="Check documents: in rungwise.yaml")
    documents, quarantine = [], []
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        id = path.relative_to(folder).as_posix()
        if not path.is_file() or any(part.startswith(".") for part in Path(id).parts):
            continue
        found = _text(path, id)
        if isinstance(found, str):
            documents.append(Document(id, found))
        else:
            quarantine.append(found)
    if not documents:
        raise BadData("no document could be read.", where=str(folder), hint=f"Put {', '.join(ENDINGS)} files in it")
    return Documents(tuple(documents), tuple(quarantine))


def _text(path: Path, id: str) -> str | Quarantined:
    if path.suffix.lower() not in ENDINGS:
        reason = f"files that end in '{path.suffix}' are not read (known: {' '.join(ENDINGS)})"
        return Quarantined(id, reason, "unsupported:format")
    try:
        # As everywhere: UTF-8, or UTF-16 by its mark, and the reason names line and byte.
        lines = list(Lines(iter([path.read_bytes()]), id, None))
    except Damaged as error:
        return Quarantined(id, str(error), error.code, error.raw)
    except OSError as error:
        return Quarantined(id, f"cannot be opened: {error.strerror}", "malformed:unreadable")
    text = "\n".join((line or "").removesuffix("\r") for line in lines)
    return text if text.strip() else Quarantined(id, "the file holds no text", "malformed:no_text")


def split_sections(document: Document, *, cap: int = SECTION_CAP) -> tuple[Section, ...]:
    """The document in sections of whole paragraphs, at most `cap` characters where a paragraph allows it, never over a heading.

    Every character that is not white space and not in a heading line is in exactly one section. A longer paragraph is cut
    at the end of a sentence, else at a space, else at `cap`. Code between fences counts as one paragraph.
    """
    sections: list[Section] = []
    held: tuple[int, int, tuple[str, ...]] | None = None
    for start, end, headings in _paragraphs(document.text, markdown=not document.id.lower().endswith(".txt")):
        if held is not None and held[2] == headings and end - held[0] <= cap:
            held = (held[0], end, headings)
            continue
        if held is not None:
            sections += _cut(document, held, cap)
        held = (start, end, headings)
    if held is not None:
        sections += _cut(document, held, cap)
    return tuple(sections)


def _paragraphs(text: str, *, markdown: bool) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """(start, end, headings) of each run of lines between blank lines or headings."""
    headings: list[tuple[int, str]] = []
    begin: int | None = None
    fenced, at, last = False, 0, 0
    for line in [*text.split("\n"), ""]:
        heading = _HEADING.match(line) if markdown and not fenced else None
        fenced = fenced != bool(markdown and _FENCE.match(line))
        breaks = heading is not None or (not line.strip() and not fenced) or at > len(text)
        if breaks and begin is not None:
            yield begin, last, tuple(name for _, name in headings)
            begin = None
        if heading is not None:
            level = len(heading[1])
            headings = [own for own in headings if own[0] < level] + [(level, heading[2])]
        elif line.strip():
            begin = at + len(line) - len(line.lstrip()) if begin is None else begin
            last = at + len(line.rstrip())
        at += len(line) + 1


def _cut(document: Document, piece: tuple[int, int, tuple[str, ...]], cap: int) -> Iterator[Section]:
    start, end, headings = piece
    while start < end:
        stop = end
        if end - start > cap:
            window = document.text[start : start + cap]
            sentence = max((match.end() for match in re.finditer(r"[.!?](?=\s)", window)), default=0)
            space = max((match.start() for match in re.finditer(r"\s", window)), default=0)
            stop = start + (sentence or space or cap)
        text = document.text[start:stop].rstrip()
        yield Section(document.id, start, start + len(text), text, headings)
        start = stop + len(document.text[stop:end]) - len(document.text[stop:end].lstrip())
