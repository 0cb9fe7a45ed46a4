"""The wording of the data card that terminal and page share."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from rungwise.core.dataset import DEV, SEALED, TRAIN
from rungwise.core.record import short
from rungwise.data.versions.card import Card, Lengths, RuleCard, SourceCard, ValueCard, by_count
from rungwise.web.words import count, one_line, percent

STEP_WORDS = {
    "quality": "quality rules",
    "language": "language",
    "dedup": "duplicates",
    "pii": "personal data",
    "labels": "labels",
    "leaks": "leaks",
}
UNSURE = "und"


def headline(card: Card) -> str:
    """How many rows, in one line."""
    aside = card.rows_before - card.rows
    kept = f", kept of {card.rows_before:,}" if aside > 0 else ""
    return f"{count(card.rows, 'row')}{kept}"


def curation_sentence(card: Card) -> str:
    """Which steps looked at it."""
    if not card.curated:
        return "Nobody has looked for poor texts, duplicates, personal data, wrong labels or leaks in it yet."
    return f"Curated by {', '.join(STEP_WORDS.get(step, step) for step in card.steps)}. Nothing is deleted."


def next_commands(card: Card, project: str) -> list[tuple[str, str]]:
    """What to type next, and what for."""
    name, version = shlex.quote(project), short(card.dataset)
    listed = []
    if not card.curated:
        listed.append((f"rungwise data curate {name}", "look, and set aside what should not be learned from or tested on"))
    if card.quarantined:
        listed.append((f"rungwise data quarantine {name} --version {version}", "what was set aside, with the evidence"))
        listed.append((f"rungwise data restore {name} ID", "bring a row back"))
    return [*listed, (f"rungwise data show {name} {version}", "the rows themselves")]


def source_sentence(source: SourceCard) -> str:
    """What is known about a source, in a few words."""
    gone = f", {source.vanished:,} more vanished from it since" if source.vanished else ""
    return f"{source.kind}, {count(source.rows, 'row')}{gone}, {licence_words(source)}"


def licence_words(source: SourceCard) -> str:
    """The licence and what it asks for."""
    if source.licence is None:
        return "licence not known"
    asks = [text for flag, text in ((source.share_alike, "share-alike"), (source.non_commercial, "non-commercial")) if flag]
    return f"licence {source.licence}" + (f" ({', '.join(asks)})" if asks else "")


def share(rows: int, total: int) -> str:
    """A count as percent of all; what is there at all is never said to be 0 %."""
    return "" if not total else "<0.1 %" if 0 < rows < 0.0005 * total else percent(rows / total)


def listed(counts: Mapping[str, int], *, most: int = 8, total: int = 0) -> str:
    """The most frequent entries with their counts: `en 3,400 (99 %), de 12`."""
    entries = by_count(counts)
    shown = [f"{one_line(name)} {rows:,}" + (f" ({share(rows, total)})" if total else "") for name, rows in entries[:most]]
    rest = sum(rows for _, rows in entries[most:])
    return ", ".join([*shown, *([f"{len(entries) - most:,} more {rest:,}"] if len(entries) > most else [])]) or "none"


def languages_sentence(card: Card) -> str:
    """The languages with their shares."""
    if card.languages is None:
        return "not looked for"
    named = {"not sure" if code == UNSURE else code: rows for code, rows in card.languages.items()}
    return listed(named, total=card.rows)


def splits_sentence(card: Card) -> str:
    """How many rows each split has, and who says so."""
    if not card.splits:
        return "none: a climb needs a column with labels or answers"
    known = {name: card.splits[name] for name in (TRAIN, DEV, SEALED) if name in card.splits}
    others = {name or "(not given)": rows for name, rows in by_count(card.splits) if name not in known}
    said = ", ".join(f"{name} {rows:,}" for name, rows in (known | others).items())
    return f"{said} (as a climb will draw them)" if card.splits_drawn else said


def labels_sentence(values: ValueCard, *, most: int = 6) -> str:
    """How many labels, the frequent ones, the rarest, and how uneven they are."""
    missing = f"; {count(values.missing, 'row')} without" if values.missing else ""
    if values.more:
        return f"free text: more than {values.distinct:,} different values in '{values.column}'{missing}"
    said = f"{values.distinct:,} in '{values.column}': {listed(values.counts, most=most)}"
    if values.imbalance is not None and values.smallest is not None and values.distinct > 1:
        said += f"; rarest {one_line(values.smallest)}; the most frequent has {values.imbalance:.1f} times its rows"
    return said + missing


def found_sentence(found: Mapping[str, int] | None) -> str:
    """Reasons with their counts, or that nobody looked."""
    if found is None:
        return "not looked for"
    return listed({reason.partition(":")[2].replace("_", " "): rows for reason, rows in found.items()}) if found else "none found"


_ACTIONS = {"mask": ", masked", "pseudonymise": ", replaced by pseudonyms"}


def pii_sentence(card: Card) -> str:
    """Spans of personal data by type, in how many rows, and what was done about them."""
    if card.pii is None:
        return "not looked for"
    if not card.pii.types:
        return "none found"
    return f"in {count(card.pii.rows, 'row')}{_ACTIONS.get(card.pii.action, '')}: {listed(card.pii.types, most=12)}"


def quantile_figures(lengths: Lengths) -> list[tuple[str, str]]:
    """Least, quantiles and most, each with its name."""
    named = [("least", lengths.least)]
    for share, value in sorted(lengths.quantiles.items(), key=lambda item: float(item[0])):
        named.append(("median" if float(share) == 0.5 else f"{float(share) * 100:g} %", value))
    return [(name, f"{value:,}") for name, value in [*named, ("most", lengths.most)]]


def rules_at_work(card: Card) -> list[RuleCard]:
    """The quality rules that would set any row aside, as published or as calibrated; the strictest as published first."""
    rules = [rule for rule in card.quality or () if rule.published_fails or rule.fails]
    return sorted(rules, key=lambda rule: (-rule.published_fails, -rule.fails, rule.code))


def reason_words(reason: str) -> str:
    """A reason code as people say it: `dedup:near` as `dedup: near`."""
    step, _, why = reason.partition(":")
    return f"{step}: {why.replace('_', ' ')}"
