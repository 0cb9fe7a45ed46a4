"""A Hugging Face dataset folder on disk: data files with a card, or what `save_to_disk` wrote. Nothing is fetched."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rungwise.core.errors import BadData
from rungwise.data.columnar import arrow_rows, parquet_rows
from rungwise.data.lines import require_file
from rungwise.data.readers import PATIENCE, TABLE_ENDINGS, Quarantined, Read, Row, checked_rows, table_kind, tolerated
from rungwise.data.sources import Piece
from rungwise.data.sources.card import Card, Patterns, fits, has_header, read_card
from rungwise.data.sources.files import files_of, fingerprint, printable
from rungwise.data.sources.folder import TYPES
from rungwise.data.sources.options import Options
from rungwise.data.sources.table import table_rows, unreadable
from rungwise.data.sources.values import plain_rows

ENDINGS = (*TABLE_ENDINGS, ".arrow")

_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
"""Words in the names of files and folders that name a split, between anything that is no letter.

Source: huggingface.co/docs/hub/datasets-file-names-and-splits.
"""

_SHARD = re.compile(r"(?:^|/)data/([^/]+?)-\d{5}-of-\d{5}[^/]*$")
_NOT_DATA = frozenset({"dataset_dict.json", "dataset_info.json", "dataset_infos.json", "state.json"})


def is_dataset_folder(folder: Path) -> bool:
    """Whether a folder is one of data files: saved by a dataset library, with a card, or without any document in it."""
    if (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file():
        return True
    names = [found[0] for found in files_of(folder, inside=_blobs(folder)) if not isinstance(found, Quarantined)]
    data = any(table_kind(Path(name)) in ENDINGS for name in names)
    documents = any(Path(name).suffix.lower() in TYPES and Path(name).stem.lower() not in _ABOUT for name in names)
    return data and (has_header(folder) or not documents)


_ABOUT = frozenset({"readme", "license", "licence", "changelog", "citation", "notice", "source"})


def open_hub(location: str, options: Options) -> Hub:
    """The dataset in a folder. Raises BadData when there is none, UnknownName or UsageError about its subset."""
    path = Path(location)
    if not path.is_dir():
        require_file(path)
        raise BadData("this is a file, not a dataset folder.", where=location, hint="Name the folder that it stands in")
    card = read_card(path)
    return Hub(path, options, card, card.patterns(options.subset))


@dataclass(frozen=True, slots=True)
class Hub:
    """Data files by their paths in the folder. The split that the structure says becomes the cell `split`, where a row has none."""

    path: Path
    options: Options
    card: Card
    patterns: Patterns | None
    kind = "hub"

    @property
    def location(self) -> str:
        """The absolute path."""
        return printable(str(self.path.absolute()))

    @property
    def licence(self) -> str | None:
        """As the card says."""
        return self.card.licence

    @property
    def languages(self) -> tuple[str, ...]:
        """As the card says."""
        return self.card.languages

    def pieces(self) -> Iterator[Piece | Quarantined]:
        """Its data files by name. Documents in it are about the data and no rows."""
        if self.card.broken:
            yield Quarantined("README.md", self.card.broken, "malformed:card")
        for found in files_of(self.path, inside=_blobs(self.path)):
            if isinstance(found, Quarantined):
                yield found
                continue
            name, path = found
            kind = table_kind(Path(name))
            if kind in ENDINGS and (self.patterns is None or self._listed(name)):
                yield self._piece(name, path)
            elif kind == ".json" and path.name not in _NOT_DATA:
                reason = "JSON files are not read: write one object a line, and call it .jsonl"
                yield Quarantined(name, reason, "unsupported:format")

    def _listed(self, name: str) -> bool:
        return any(fits(pattern, name) for pattern, _ in self.patterns or ())

    def _piece(self, name: str, path: Path) -> Piece | Quarantined:
        try:
            return Piece(name, path, fingerprint(path, self.options.encoding, self.split_of(name)))
        except OSError as error:
            return Quarantined(name, f"it cannot be read: {error.strerror}.", "malformed:unreadable")

    def split_of(self, name: str) -> str | None:
        """The split of a data file: as the card lists it, by the folder that `save_to_disk` made, or by its name."""
        if self.patterns is not None:
            return next((split for pattern, split in self.patterns if fits(pattern, name)), None)
        saved = self._saved_splits()
        if saved:
            return name.partition("/")[0] if name.partition("/")[0] in saved else None
        shard = _SHARD.search(name)
        if shard is not None:
            return _SPLITS.get(shard[1], shard[1])
        words = [word for part in reversed(name.split("/")) for word in re.split(r"[^A-Za-z]+", part.lower())]
        return next((_SPLITS[word] for word in words if word in _SPLITS), None)

    def _saved_splits(self) -> frozenset[str]:
        try:
            listed = json.loads((self.path / "dataset_dict.json").read_bytes())["splits"]
            return frozenset(name for name in listed if isinstance(name, str))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return frozenset()

    def read(self, piece: Piece) -> Read:
        """Its rows with their split; class numbers as the names of the classes where the file says them."""
        try:
            require_file(piece.path)
        except BadData as error:
            return unreadable(piece.name, error)
        kind = table_kind(piece.path)
        if kind == ".arrow" or kind in (".parquet", ".pq"):
            read = Read(iter(()), patience=PATIENCE)
            unpacking = self.options.limits.unpacking
            cells = (
                arrow_rows(piece.path, read.columns)
                if kind == ".arrow"
                else parquet_rows(piece.path, read.columns, unpacking, labelled=True)
            )
            read.rows = checked_rows(cells, piece.name, read)
            read = plain_rows(tolerated(read, piece.name))
        else:
            read = table_rows(piece, self.options)
        split = self.split_of(piece.name)
        return read if split is None else _with_split(read, split)


def _with_split(read: Read, split: str) -> Read:
    def rows(found: Iterator[Row]) -> Iterator[Row]:
        for place, cells in found:
            cells.setdefault("split", split)
            if "split" not in read.columns:
                read.columns.append("split")
            yield place, cells

    read.rows = rows(read.rows)
    return read


def _blobs(folder: Path) -> Path | None:
    """Where the links of a folder in the hub's own cache lead: `datasets--x--y/blobs` beside `snapshots/REVISION`."""
    repository = folder.absolute().parent.parent
    known = folder.absolute().parent.name == "snapshots" and repository.name.startswith("datasets--")
    return repository if known else None
