"""`rungwise ask`: one question, or a whole file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rungwise.cli.options import as_json, print_json, say, warn
from rungwise.core.errors import UsageError

if TYPE_CHECKING:
    from rungwise.project import Asked, Project
    from rungwise.project.index import Index

QUOTED = 200
"""Characters of a quotation that people are shown; --json has all of them."""

TABLES = (".csv", ".tsv", ".tab", ".parquet", ".pq", ".csv.gz", ".tsv.gz")


@click.command()
@click.argument("directory", metavar="PROJECT")
@click.argument("text", required=False)
@click.option("--passage", default=None, help="The passage that the question is about.")
@click.option("--tenant", default=None, metavar="NAME", help="Of an index of several tenants: whose documents answer.")
@click.option("--input", "source", default=None, metavar="FILE.jsonl", help="Answer every row of a file.")
@click.option("--output", "target", default=None, metavar="FILE.jsonl", help="Where the answers go.")
@as_json
def ask(directory: str, text: str | None, source: str | None, target: str | None, **options: Any) -> int:
    """Ask the chosen candidate of PROJECT, or the documents of an index.

    In batch, rows keep their fields and gain answer, confidence, candidate and
    seconds; a run that was killed goes on where it was.
    """
    from rungwise.data.indexes import is_index
    from rungwise.project import Project
    from rungwise.project.index import Index

    as_json, tenant = options["as_json"], options["tenant"]
    asked_of: Index | Project = Index(directory) if is_index(Path(directory)) else Project(directory)
    if tenant is not None and isinstance(asked_of, Project):
        raise UsageError(f"{directory} is a project and no index: it has no tenants. Leave out --tenant")
    whose = {"tenant": tenant} if tenant is not None else {}
    if source is not None:
        return _ask_file(asked_of, source, target, whose, as_json=as_json)
    if text is None:
        raise UsageError(f'what is the question? Type: rungwise ask {directory} "..." or give --input and --output')
    asked = asked_of.ask(text, passage=options["passage"], **whose)
    if as_json:
        print_json(_plain(asked))
    else:
        _tell(asked)
    return 0


def _plain(asked: Asked) -> dict[str, Any]:
    found = asked.response.passages
    cited = asked.response.citations
    return {
        "answer": asked.answer,
        "confidence": asked.confidence,
        "abstained": asked.response.abstained,
        "citations": [
            {"document": one.document, "start": one.start, "end": one.end, "quote": one.quote, "version": one.version}
            for one in cited
        ],
        "candidate": asked.candidate,
        "seconds": round(asked.seconds, 6),
        "passages": [{"document": one.document, "start": one.start, "end": one.end, "text": one.text} for one in found],
    }


def _tell(asked: Asked) -> None:
    from rungwise.web import words

    sure = f"  ({asked.confidence:.0%} sure)" if asked.confidence is not None else ""
    nothing = "(no answer: not sure enough)" if asked.response.abstained else "(no answer)"
    say(f"{words.printable(asked.answer) or nothing}{sure}")
    cited = asked.response.citations
    for one in cited:
        quote = "" if one.quote == asked.answer else f": {words.shortened(words.one_line(one.quote), QUOTED)}"
        say(f"  from {words.one_line(one.document)}, characters {one.start:,} to {one.end:,}{quote}")
    for passage in () if cited else asked.response.passages:
        if passage.document:
            say(f"  from {words.one_line(passage.document)}, characters {passage.start:,} to {passage.end:,}")


def _ask_file(asked_of: Project | Index, source: str, target: str | None, whose: Mapping[str, str], *, as_json: bool) -> int:
    if target is None:
        raise UsageError(f"where should the answers go? Add: --output {Path(source).stem}-answered.jsonl")
    if not Path(source).is_file():
        raise UsageError(f"there is no file {source}")
    if Path(source).name.lower().endswith(TABLES):
        raise UsageError(
            f"{source} is a table, and ask reads JSONL: one JSON object a line, with the fields of the data. Convert it first"
        )
    with _counting(silent=as_json) as count:
        counts = asked_of.ask_file(Path(source), Path(target), say=count, **whose)
    if as_json:
        print_json({"output": target, "rows": counts.rows, "answered": counts.answered, "failed": counts.failed})
    else:
        from rungwise.web import words

        say(f"{words.count(counts.answered, 'answer')} in {target}")
    if counts.failed:
        warn(f"{counts.failed:,} rows could not be read: each says why in its 'error' field")
    return 1 if counts.failed else 0


@contextmanager
def _counting(*, silent: bool) -> Iterator[Callable[[int], None]]:
    """Tells on a terminal how many rows are done; the number of rows to come is not known in a stream."""
    from rich.console import Console

    console = Console(stderr=True)
    if silent or not console.is_terminal:
        yield lambda done: None
        return
    with console.status("answering") as status:
        yield lambda done: status.update(f"answered {done:,} rows")
