"""The card of an exported dataset folder: the YAML header that dataset libraries read, and what people should know."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rungwise.core.record import short
from rungwise.data.readers import cell_text
from rungwise.data.versions.licences import read_licence
from rungwise.data.versions.version import SourceNote, Version, Versions

if TYPE_CHECKING:
    import pyarrow as pa

_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
"""size_categories as huggingface.co/docs/hub/datasets-cards lists them."""

_LANGUAGE_ROWS = 10_000
_LEAST_SHARE = 0.01
_SETTING_LETTERS = 300


@dataclass(frozen=True, kw_only=True)
class Part:
    """A split of the folder: rows, bytes in memory, and its files with the SHA-256 of their bytes."""

    split: str
    rows: int
    size: int
    files: Mapping[str, str]


def render_card(versions: Versions, version: Version, *, name: str, schema: pa.Schema, parts: Sequence[Part]) -> str:
    """README.md of an export. It depends on the version alone, so that the same version has the same card."""
    import yaml

    header = {
        "pretty_name": name,
        **_licence(version.sources),
        "language": _languages(versions, version),
        "size_categories": [_size(version.rows)],
        "configs": [{"config_name": "default", "data_files": _data_files(parts)}],
        "dataset_info": _info(schema, parts),
    }
    sections = [
        f"# {name}",
        f"Version `{version.id}` of the data (`rungwise.version`), {version.rows:,} rows, exported by Rungwise.",
        _sources(version),
        _curation(version),
        _quarantine(version),
        _digests(version, parts),
    ]
    top = yaml.safe_dump({key: value for key, value in header.items() if value}, sort_keys=False, allow_unicode=True, width=132)
    return f"---\n{top}---\n\n" + "\n\n".join(section for section in sections if section) + "\n"


def _licence(sources: Sequence[SourceNote]) -> dict[str, Any]:
    """One licence by its identifier in small letters; several, or one that nobody can know, under `other`."""
    found = list(dict.fromkeys(read_licence(source.licence) for source in sources))
    names = [one.name if one.known else "unknown" for one in found]
    if len(names) == 1 and " " not in names[0]:
        return {"license": names[0].lower()}
    return {"license": "other", "license_name": ", ".join(names)}


def _languages(versions: Versions, version: Version) -> list[str]:
    """The languages of at least 1 % of the rows, told from up to 10,000 of them that lie evenly."""
    import numpy as np

    from rungwise.curate.language import UNKNOWN, Language

    selection = versions.selection(version)
    rows = np.unique(np.linspace(0, len(selection) - 1, min(len(selection), _LANGUAGE_ROWS)).astype(np.int64))
    texts = [cell_text(text) or "" for text in versions.texts(selection.take(rows), version.columns.text)]
    step = Language()
    counts = step.counts([step.look(texts)]) if texts else {}
    return [code for code, count in counts.items() if code != UNKNOWN and count >= _LEAST_SHARE * len(texts)]


def _size(rows: int) -> str:
    return next((name for most, name in _SIZES if rows < most), "10M<n<100M" if rows < 10**8 else "n>100M")


def _data_files(parts: Sequence[Part]) -> list[dict[str, str]]:
    return [{"split": part.split, "path": f"data/{part.split}-*.parquet"} for part in parts]


def _info(schema: pa.Schema, parts: Sequence[Part]) -> dict[str, Any]:
    splits = [{"name": part.split, "num_bytes": part.size, "num_examples": part.rows} for part in parts]
    return {"features": [_feature(field) for field in schema], "splits": splits, "dataset_size": sum(part.size for part in parts)}


def _feature(field: pa.Field) -> dict[str, str]:
    kinds = {"double": "float64"}
    if hasattr(field.type, "value_type"):
        inner = str(field.type.value_type)
        return {"name": field.name, "list": kinds.get(inner, inner)}
    return {"name": field.name, "dtype": kinds.get(str(field.type), str(field.type))}


def _sources(version: Version) -> str:
    rows = [(_place(one.location), one.kind, f"{one.rows:,}", read_licence(one.licence).name) for one in version.sources]
    return "## Sources and licences\n\n" + _table(("source", "kind", "rows", "licence"), rows)


def _place(location: str) -> str:
    """Of a path its name, since where it lay on somebody's machine is no business of readers; of an address all but secrets."""
    parts = urlsplit(location)
    if parts.scheme in ("http", "https"):
        return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
    return location.rstrip("/").rpartition("/")[2]


def _curation(version: Version) -> str:
    """The steps with their settings and how many rows each set aside."""
    aside = Counter(dict.fromkeys(version.steps, 0))
    for reason, count in version.quarantined.items():
        aside[reason.partition(":")[0]] += count
    if not aside:
        return ""
    settings = {name: json.dumps(value, sort_keys=True, ensure_ascii=False) for name, value in version.steps.items()}
    rows = [(name, _cut(settings.get(name, "")), f"{count:,}") for name, count in aside.items()]
    return "## Curation\n\n" + _table(("step", "settings", "rows set aside"), rows)


def _cut(text: str) -> str:
    return text if len(text) <= _SETTING_LETTERS else text[:_SETTING_LETTERS] + "..."


def _quarantine(version: Version) -> str:
    if not version.quarantined:
        return ""
    counts = [(reason, f"{count:,}") for reason, count in version.quarantined.items()]
    return "## Set aside\n\n" + _table(("reason", "rows"), counts)


def _digests(version: Version, parts: Sequence[Part]) -> str:
    files = [(f"data/{name}", f"`{digest}`") for part in parts for name, digest in part.files.items()]
    own = [("version", f"`{version.id}`"), ("content", f"`{version.content}`")]
    drawn = ""
    if version.split_by:
        about = {name: value for name, value in version.split_by.items() if value is not None}
        drawn = f"\n\nHow the splits were drawn: `{json.dumps(about, sort_keys=True, ensure_ascii=False)}`"
    title = f"## Digests (SHA-256; people are shown the first 12 digits, such as {short(version.id)})"
    return title + "\n\n" + _table(("what", "digest"), [*own, *files]) + drawn


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(text) for text in line) + " |" for line in lines)


def _cell(text: str) -> str:
    """A text that does not break out of its table."""
    return " ".join(text.replace("|", "\\|").split())
