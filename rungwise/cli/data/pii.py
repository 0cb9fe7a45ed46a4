"""`rungwise data pii`: personal data in a JSONL file, found, masked, replaced or brought back."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from rungwise.cli.options import as_json, print_json, say, warn
from rungwise.core.errors import BadData, UsageError

if TYPE_CHECKING:
    from rungwise.curate.pii.masking import Replacement
    from rungwise.curate.pii.span import Detector
    from rungwise.curate.pii.stream import Tally
    from rungwise.curate.pii.vault import Vault

MODES = ("spans", "mask", "pseudonymise", "unmask")


@click.command("pii")
@click.option("--input", "source", required=True, metavar="FILE", help="JSONL, also .gz; - is standard input.")
@click.option("--field", "column", default="text", show_default=True, metavar="NAME", help="The field that holds the text.")
@click.option("--output", "target", required=True, metavar="FILE", help="Where the lines go, also .gz; - is standard output.")
@click.option("--mode", type=click.Choice(MODES), default="spans", show_default=True, help="What becomes of the text.")
@click.option("--types", default="", metavar="A,B", help="Only these types, such as EMAIL,PHONE; all, without it.")
@click.option("--names/--no-names", default=False, show_default=True, help="Names, addresses and organisations too.")
@click.option("--key-env", default="RUNGWISE_PII_KEY", show_default=True, metavar="NAME", help="Variable that holds the key.")
@click.option("--vault", default=None, metavar="FILE", help="Keep the originals here, sealed under the key; unmask reads them.")
@as_json
def pii(source: str, column: str, target: str, mode: str, **options: Any) -> int:
    """Find personal data and secrets in a JSONL file; one line in, one line out.

    `spans` adds `pii: [{"start", "end", "type", "text"}]` to each object; `mask` writes [EMAIL] in place of an address;
    `pseudonymise` writes another address, the same one for the same value under the same key; `unmask` brings back what a
    vault kept. A line that cannot be read is passed on with an `error`, and the exit code is 1.
    """
    from rungwise.curate.pii.stream import Stream, Tally, lines_of, restoring

    types = tuple(name.strip().upper() for name in options["types"].split(",") if name.strip())
    known(types)
    tally = Tally()
    with ExitStack() as stack:
        vault = opened_vault(stack, options["vault"], options["key_env"], mode)
        lines = lines_of(stack.enter_context(opened(source)))
        if mode == "unmask" and vault is not None:
            changed = restoring(lines, column, vault.restored, tally)
        else:
            stream = Stream(
                detectors=detectors(names=options["names"]),
                column=column,
                types=types,
                replacement=replacement_for(mode, options["key_env"], vault),
            )
            changed = stream(lines, tally)
        write(target, damage_named(changed, source), before_it_stands=vault.commit if vault is not None else None)
    tell(tally, source, target, options["as_json"])
    return 1 if tally.bad else 0


def known(types: Iterable[str]) -> None:
    """Raise UnknownName for a type that does not exist."""
    from rungwise.core.errors import UnknownName
    from rungwise.curate.pii.types import TYPES

    for name in types:
        if name not in TYPES:
            raise UnknownName("type of personal data", name, TYPES)


def detectors(*, names: bool) -> tuple[Detector, ...]:
    """The detectors asked for."""
    from rungwise.curate.pii.detect import Structured

    if not names:
        return (Structured(),)
    from rungwise.curate.names.tagger import names_detector

    return Structured(), names_detector()


def opened_vault(stack: ExitStack, path: str | None, key_env: str, mode: str) -> Vault | None:
    """The vault, when one is named. Raises UsageError where one is missing or of no use."""
    from rungwise.curate.pii.vault import Vault, key_from

    if path is None:
        if mode == "unmask":
            raise UsageError("without the vault nothing can be brought back. Name it: --vault FILE")
        return None
    if mode == "spans":
        raise UsageError("--mode spans changes nothing, so there is nothing to keep. Leave out --vault, or mask")
    if mode == "unmask" and not Path(path).is_file():
        raise UsageError(f"there is no vault {path}. Check the path")
    return stack.enter_context(Vault(Path(path), key_from(key_env)))


def replacement_for(mode: str, key_env: str, vault: Vault | None) -> Replacement | None:
    """What stands for a value in this mode."""
    from rungwise.curate.pii.masking import placeholder, pseudonyms, reversible
    from rungwise.curate.pii.surrogates import Surrogates
    from rungwise.curate.pii.vault import key_from

    if mode == "spans":
        return None
    if mode == "mask" and vault is None:
        return placeholder
    surrogates = Surrogates(key_from(key_env))
    if vault is not None:
        return reversible(surrogates, vault, pseudonymous=mode == "pseudonymise")
    return pseudonyms(surrogates)


@contextmanager
def opened(source: str) -> Iterator[BinaryIO]:
    """A file to read, unpacked where its name ends in .gz. Raises UsageError when there is none."""
    import gzip

    if source == "-":
        yield sys.stdin.buffer
        return
    if not Path(source).is_file():
        raise UsageError(f"there is no file {source}. Check the path, or give - to read standard input")
    with gzip.open(source) if source.endswith(".gz") else open(source, "rb") as file:
        yield file  # type: ignore[misc]  # a GzipFile reads as a BinaryIO does


def damage_named(lines: Iterator[bytes], source: str) -> Iterator[bytes]:
    """The same lines; a gzip file that is cut short or damaged raises BadData."""
    import gzip
    import zlib

    try:
        yield from lines
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadData(
            f"the gzip file is damaged or cut short ({error}).", where=source, hint="Nothing was written. Copy it again"
        ) from error


def write(target: str, lines: Iterable[bytes], *, before_it_stands: Any) -> None:
    """Write the lines under a temporary name and rename it when all of them are there, so that half a file never stands."""
    import gzip

    if target == "-":
        sys.stdout.buffer.writelines(lines)
        sys.stdout.buffer.flush()
        return
    path = Path(target)
    waiting = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(waiting, "wb") as raw:
            if target.endswith(".gz"):
                with gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=6, mtime=0) as packed:
                    packed.writelines(lines)
            else:
                raw.writelines(lines)
            raw.flush()
            os.fsync(raw.fileno())
        if before_it_stands is not None:
            before_it_stands()
        os.replace(waiting, path)
    finally:
        waiting.unlink(missing_ok=True)


def tell(tally: Tally, source: str, target: str, as_json: bool) -> None:
    """What was found, where it does not get among the lines: on standard error when those go to standard output."""
    speak = warn if target == "-" else say
    if as_json and target != "-":
        print_json({"rows": tally.rows, "bad": tally.bad, "found": dict(sorted(tally.types.items()))})
        return
    speak(f"{tally.rows} lines, {tally.bad} could not be read")
    for name, count in tally.types.most_common():
        speak(f"  {name:40} {count}")
