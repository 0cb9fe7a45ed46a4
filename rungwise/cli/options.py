"""Options and output that several verbs share."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from rungwise.core.errors import UsageError
from rungwise.data.spec import FILE
from rungwise.project import Project

F = TypeVar("F", bound=Callable[..., Any])

DATA_ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet", ".csv.gz", ".tsv.gz", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".tab", ".pq")

_HALF = re.compile("[\ud800-\udfff]")

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout and nothing else there.")


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json_line(document))


def json_line(document: Any) -> str:
    """JSON data on one line, as it reads; where half a character stands in it, which cannot be written, with escapes."""
    line = json.dumps(document, ensure_ascii=False, allow_nan=False)
    return json.dumps(document, allow_nan=False) if _HALF.search(line) else line


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
    from rungwise.data.indexes import is_index

    path = Path(source)
    for folder in (path, Path(project or "")):
        if is_index(folder):
            raise UsageError(f"{folder} is a search index and holds nothing else. Choose another folder for the project")
    if path.is_dir():
        return _existing_project(path, project), None
    if not path.is_file():
        what = "there is no file" if path.name.lower().endswith(DATA_ENDINGS) else "there is no project and no data file"
        raise UsageError(f"{what} {path}{_nearest(path)}")
    if not path.name.lower().endswith(DATA_ENDINGS):
        raise UsageError(f"{path} is not a data file that can be read: its name must end in one of {' '.join(DATA_ENDINGS)}")
    folder = Path(project) if project else path.with_name(path.name.split(".")[0] or "project")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"the project cannot be made in {folder}, which is a file. Choose a folder: --project {folder}-project")
    return folder, path


def _existing_project(path: Path, project: str | None) -> Path:
    if project is not None and Path(project).resolve() != path.resolve():
        raise UsageError(f"{path} is a project already, so --project {project} cannot be another. Leave one of them out")
    if (path / FILE).exists() or Project(path).data.exists():
        return path
    beside = sorted(one.parent.name for one in path.glob(f"*/{FILE}"))
    data = sorted(one.name for one in path.iterdir() if one.name.lower().endswith(DATA_ENDINGS))
    if beside:
        raise UsageError(f"{path} holds no {FILE}, but the project '{beside[0]}'. Name it: {path / beside[0]}")
    if data:
        raise UsageError(f"{path} holds no {FILE}, but the data file '{data[0]}'. Name it: {path / data[0]}")
    raise UsageError(f"{path} holds no {FILE}. Type: rungwise init {path} --task classify --from DATA.csv")


def _nearest(path: Path) -> str:
    import difflib

    try:
        names = [one.name for one in path.parent.iterdir()]
    except OSError:
        return f": the folder {path.parent} does not exist"
    near = difflib.get_close_matches(path.name, names, n=1)
    return f". Did you mean '{path.with_name(near[0])}'?" if near else ". Check the path, or type: rungwise --help"
