"""`rungwise index`: documents become a search index, and stay in step with it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rungwise.cli.data.words import data_progress
from rungwise.cli.options import as_json, print_json, say, warn
from rungwise.core.errors import UsageError
from rungwise.core.record import short

if TYPE_CHECKING:
    from rungwise.engines.search.building import Built

SETTINGS: Mapping[str, type | Mapping[str, type]] = {
    "chunking": {"method": str, "size": int, "overlap": int, "parent": int, "tokenizer": str},
    "words": {"language": str, "stop": bool, "stem": bool},
    "encoder": str,
    "tenant": str,
}
"""What a file of settings may hold: a value of a type, or further settings."""

_CALLED = {str: "a text", int: "a whole number", bool: "true or false"}


@click.command()
@click.argument("source", metavar="SOURCE", required=False)
@click.option("--into", "directory", required=True, metavar="DIR", help="The folder of the index; made if need be.")
@click.option("--id", "key", default=None, metavar="COLUMN", help="Of a table: the column with the document's id.")
@click.option("--text", default=None, metavar="COLUMN,...", help="Of a table: the columns with the text, in order.")
@click.option("--config", default=None, metavar="FILE.yaml", help="Settings: chunking, words, encoder, tenant.")
@click.option("--encoder", default=None, metavar="NAME", help="minilm, hashed, the folder of an encoder, or none.")
@click.option("--tenant", default=None, metavar="FIELD", help="The field that says whose a document is.")
@click.option("--keep", is_flag=True, help="Documents that SOURCE does not have stay in the index.")
@click.option("--kind", default=None, metavar="KIND", help="table, folder or web, where it cannot be told.")
@click.option("--encoding", default=None, help="Encoding of the files, if it is not UTF-8.")
@click.option("--allow-host", "allow_hosts", multiple=True, metavar="HOST", help="A private host that a URL may lead to.")
@click.option("--versions", is_flag=True, help="List the versions of the index.")
@click.option("--restore", default=None, metavar="VERSION", help="Search an earlier version again.")
@click.option("--snapshot", default=None, metavar="FOLDER", help="Copy the index to a new folder.")
@click.option("--compact", is_flag=True, help="Forget earlier versions and whatever was deleted.")
@click.option("--quiet", is_flag=True, help="No progress.")
@as_json
def index(source: str | None, directory: str, **options: Any) -> int:
    """Make a folder, a web page or a table searchable, or bring an index up to date with it.

    Only documents that changed are cut and encoded again. Killed anywhere, the same command goes on. Documents that cannot
    be read are named with the reason, and the exit code is 1.
    """
    from rungwise.project.index import Index, Wanted

    own = Index(directory)
    if source is None:
        return _keep_house(own, options)
    other = next((f"--{name}" for name in ("restore", "snapshot", "compact", "versions") if options[name]), None)
    if other is not None:
        raise UsageError(f"{other} looks after an index as it is, without a source. Leave out {source}, or {other}")
    settings = _settings(options["config"])
    wanted = Wanted(
        chunking=settings.get("chunking"),
        words=settings.get("words"),
        encoder=options["encoder"] or settings.get("encoder"),
        tenant=options["tenant"] or settings.get("tenant"),
        key=options["key"],
        text=tuple(name.strip() for name in (options["text"] or "").split(",") if name.strip()),
        keep=options["keep"],
        encoding=options["encoding"],
        kind=options["kind"],
        allow_hosts=options["allow_hosts"],
    )
    started = time.monotonic()
    with data_progress(silent=options["as_json"] or options["quiet"]) as listen:
        built = own.build(source, wanted, say=listen, on_wait=warn)
    seconds = time.monotonic() - started
    if options["as_json"]:
        print_json({**_plain(built), "seconds": round(seconds, 3)})
    else:
        _tell(built, directory, seconds)
    return 1 if built.quarantine else 0


def _settings(path: str | None) -> Mapping[str, Any]:
    """The settings of a YAML or JSON file. Raises UsageError for what is none."""
    if path is None:
        return {}
    import yaml

    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read as settings ({error}). It holds lines such as: encoder: minilm") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} holds no settings. It holds lines such as: encoder: minilm")
    _check(found, SETTINGS, path)
    return found


def _check(found: Mapping[Any, Any], known: Mapping[str, type | Mapping[str, type]], where: str) -> None:
    """Raise UnknownName for a setting that is none, UsageError for a value of another type."""
    from rungwise.core.errors import UnknownName

    for name, value in found.items():
        if name not in known:
            raise UnknownName("setting", str(name), known, where=where)
        wanted = known[name]
        if isinstance(wanted, type):
            if type(value) is not wanted:
                raise UsageError(f"{where}: {name} is {_CALLED[wanted]}, not {value!r}")
        elif not isinstance(value, dict):
            raise UsageError(f"{where}: {name} holds further settings ({', '.join(wanted)}), not {value!r}")
        else:
            _check(value, wanted, f"{where}, {name}")


def _plain(built: Built) -> dict[str, Any]:
    return {
        "index": built.version.id,
        "documents": built.version.documents,
        "chunks": built.version.chunks,
        "added": built.added,
        "changed": built.changed,
        "deleted": built.deleted,
        "unchanged": built.unchanged,
        "quarantined": dict(sorted(Counter(one.code for one in built.quarantine).items())),
        "quarantine": [{"place": one.place, "reason": one.reason, "code": one.code} for one in built.quarantine[:100]],
    }


def _tell(built: Built, directory: str, seconds: float) -> None:
    version = built.version
    moved = [(built.added, "new"), (built.changed, "changed"), (built.deleted, "gone"), (built.unchanged, "as before")]
    told = ", ".join(f"{count:,} {what}" for count, what in moved if count)
    say(f"{version.documents:,} documents in {version.chunks:,} chunks: version {short(version.id)} ({told}; {seconds:.1f} s)")
    for one in built.quarantine[:10]:
        say(f"  set aside {one.place}: {one.reason}")
    if len(built.quarantine) > 10:
        say(f"  and {len(built.quarantine) - 10:,} more; --json names the first hundred")
    say(f'Next: rungwise search {directory} "..."')


def _keep_house(own: Any, options: Mapping[str, Any]) -> int:
    """What can be done to an index without a source."""
    if options["restore"] is not None:
        done = {"index": own.restore(options["restore"])}
        told = f"version {short(done['index'])} is searched again"
    elif options["snapshot"] is not None:
        done = {"snapshot": str(own.snapshot(options["snapshot"]))}
        told = f"copied to {done['snapshot']}"
    elif options["compact"]:
        freed = own.compact()
        done = {"index": own.version().id, "freed_bytes": freed}
        told = f"compacted: {freed / 1e6:,.1f} MB freed; only version {short(done['index'])} is left"
    elif options["versions"]:
        head = own.version().id
        done = {"index": head, "versions": list(own.trail())}
        told = "\n".join(f"{short(id)}{'  (searched)' if id == head else ''}" for id in own.trail())
    else:
        raise UsageError(f"what is to be indexed? Type: rungwise index FOLDER --into {own.directory}")
    if options["as_json"]:
        print_json(done)
    else:
        say(told)
    return 0
