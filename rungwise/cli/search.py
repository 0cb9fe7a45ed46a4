"""`rungwise search`: what an index finds, for one query or a file of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rungwise.cli.options import as_json, json_line, print_json, say
from rungwise.core.content import Passage
from rungwise.core.errors import BadData, UsageError

if TYPE_CHECKING:
    from rungwise.project.index import Index

Find = Callable[[Sequence[str]], Iterator[tuple[Passage, ...]]]

SHOWN = 300
"""Characters of a hit that people are shown; --json has all of them."""


@click.command()
@click.argument("directory", metavar="DIR")
@click.argument("query", required=False)
@click.option("--k", "k", default=10, show_default=True, type=click.IntRange(1, 10_000), help="How many hits.")
@click.option("--mode", type=click.Choice(["lexical", "dense", "hybrid"]), default=None, help="By words, by meaning, or by both.")
@click.option("--rerank", is_flag=True, help="Put the first hits in a better order.")
@click.option("--where", multiple=True, metavar="CONDITION", help="A condition on a field: language=en, year>=2020. Repeatable.")
@click.option("--tenant", default=None, metavar="NAME", help="Whose documents are searched.")
@click.option("--input", "source", default=None, metavar="FILE.jsonl", help='Queries, one object a line: {"id", "text"}.')
@click.option("--output", "target", default=None, metavar="FILE.jsonl", help="Where the hits go.")
@as_json
def search(directory: str, query: str | None, source: str | None, target: str | None, **options: Any) -> int:
    """Search the index in DIR."""
    from rungwise.project.index import Index

    if source is not None and query is not None:
        raise UsageError(f"a query and a file of queries cannot be searched together. Leave out '{query}' or --input")
    from rungwise.web import words

    index = Index(directory)
    how = index.how(mode=options["mode"], where=options["where"], tenant=options["tenant"])
    if source is not None:
        found = partial(index.search_many, k=options["k"], how=how, rerank=options["rerank"])
        return _search_file(index, found, Path(source), target, as_json=options["as_json"])
    if query is None:
        raise UsageError(f'what is looked for? Type: rungwise search {directory} "..." or give --input and --output')
    hits = index.search(query, options["k"], how, rerank=options["rerank"])
    if options["as_json"]:
        print_json({"query": query, "index": index.searched.id, "hits": [plain_hit(hit) for hit in hits]})
        return 0
    for rank, hit in enumerate(hits, start=1):
        say(f"{rank:>3}  {hit.score:.3f}  {words.one_line(hit.document)}, characters {hit.start:,} to {hit.end:,}")
        say(f"     {words.shortened(words.one_line(hit.text), SHOWN)}")
    if not hits:
        say("nothing found")
    return 0


def plain_hit(hit: Passage) -> Mapping[str, Any]:
    """A hit as JSON data."""
    return {
        "document": hit.document,
        "score": round(hit.score, 6),
        "start": hit.start,
        "end": hit.end,
        "text": hit.text,
        "version": hit.version,
    }


def _search_file(index: Index, find: Find, source: Path, target: str | None, *, as_json: bool) -> int:
    if target is None:
        raise UsageError(f"where should the hits go? Add: --output {source.stem}-run.jsonl")
    if Path(target).is_dir():
        raise UsageError(f"{target} is a folder. Name a file in it: --output {Path(target) / source.stem}-run.jsonl")
    if Path(target).exists() and source.exists() and Path(target).samefile(source):
        raise UsageError(f"the hits would overwrite the queries in {source}. Choose another --output")
    queries = list(_queries(source))
    found = find([text for _, text in queries])
    unfinished = Path(f"{target}.part")
    with unfinished.open("w", encoding="utf-8") as file:
        for (id, _), hits in zip(queries, found, strict=True):
            line = {"id": id, "hits": [plain_hit(hit) for hit in hits]}
            file.write(json_line(line) + "\n")
    unfinished.replace(target)
    if as_json:
        print_json({"output": target, "queries": len(queries), "index": index.searched.id})
    else:
        say(f"{len(queries):,} queries answered in {target}")
    return 0


def _queries(source: Path) -> Iterator[tuple[Any, str]]:
    """Each line's id (else its number) and text."""
    try:
        lines = source.read_text(encoding="utf-8-sig").split("\n")  # no other sign ends a line of JSON
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{source} cannot be read ({error})") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadData(f"not JSON ({error}).", where=f"{source}:{number}", hint='Write {"id": "q1", "text": "..."}') from error
        text = next((row[name] for name in ("text", "query", "question", "claim") if isinstance(row, dict) and name in row), None)
        if not isinstance(text, str):
            raise BadData("no query.", where=f"{source}:{number}", hint='Write {"id": "q1", "text": "..."}')
        id = row.get("id")
        if not isinstance(id, str | int | None):
            raise BadData("the id is neither text nor a whole number.", where=f"{source}:{number}")
        yield number if id is None else id, text
