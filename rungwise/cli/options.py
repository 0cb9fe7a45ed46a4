"""Options and output that several verbs share."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from rungwise.core.errors import UsageError
from rungwise.data.spec import FILE

F = TypeVar("F", bound=Callable[..., Any])

DATA_ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet", ".csv.gz", ".tsv.gz", ".jsonl.gz", ".ndjson", ".ndjson.gz")

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout and nothing else there.")


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(document, ensure_ascii=False, allow_nan=False))


def say(text: str = "") -> None:
    """A line for people, on stdout."""
    click.echo(text)


def warn(text: str) -> None:
    """A line for people that is not part of the answer, on stderr."""
    click.echo(text, file=sys.stderr)


def project_directory(source: str, project: str | None) -> tuple[Path, Path | None]:
    """Where the project is, and the data file when the source is one.

    A folder with rungwise.yaml is a project; a data file gets one beside it, named
    after the file. Raises UsageError for anything else.
    """
    path = Path(source)
    if path.is_dir():
        if not (path / FILE).exists():
            raise UsageError(f"{path} holds no {FILE}. Type: rungwise init {path} --task classify --from DATA.csv")
        return path, None
    if path.is_file() or path.name.lower().endswith(DATA_ENDINGS):
        if not path.exists():
            raise UsageError(f"there is no file {path}{_nearest(path)}")
        return Path(project) if project else path.with_name(path.name.split(".")[0]), path
    raise UsageError(f"{path} is neither a project nor a data file{_nearest(path)}")


def _nearest(path: Path) -> str:
    import difflib

    try:
        names = [one.name for one in (path.parent if str(path.parent) else Path()).iterdir()]
    except OSError:
        return f": the folder {path.parent} does not exist"
    near = difflib.get_close_matches(path.name, names, n=1)
    return f". Did you mean '{path.with_name(near[0])}'?" if near else ". Type: rungwise --help"
