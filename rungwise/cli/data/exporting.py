"""`rungwise data export`: a version as files that others read."""

from __future__ import annotations

import click

from rungwise.cli.options import as_json, print_json, say
from rungwise.core.record import short


@click.command("export")
@click.argument("directory", metavar="DIR")
@click.argument("target", metavar="TARGET")
@click.option("--version", "name", default="HEAD", metavar="VERSION", help="A tag, an id, or HEAD.")
@click.option("--format", "form", default=None, metavar="FORMAT", help="jsonl, parquet or hub; told from the ending of TARGET.")
@as_json
def exporting(directory: str, target: str, name: str, form: str | None, as_json: bool) -> int:
    """Write a version to a .jsonl or .parquet file, or as a dataset folder with its card (--format hub).

    The same version always gives the same bytes. A Parquet file and a card name the version they were written from.
    """
    from rungwise.project import Project

    done = Project(directory).data.export(target, name=name, form=form)
    if as_json:
        print_json(
            {"dataset": done.version.id, "rows": done.rows, "format": done.form, "path": str(done.path), "files": dict(done.files)}
        )
        return 0
    say(f"wrote {done.rows:,} rows of version {short(done.version.id)} to {done.path}")
    for file, digest in done.files.items():
        say(f"  {file}  sha256 {short(digest)}")
    return 0
