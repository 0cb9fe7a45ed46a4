"""`rungwise data`: rows and documents on their way to a curated, versioned, explained dataset; one verb per file."""

from __future__ import annotations

import click

from rungwise.cli.verbs import Verbs

# In the order in which people need them; the second is the module of this folder that holds the command.
VERBS = {
    "import": ("importing", "Take in a table, a folder of documents, a dataset folder or a web page as a new version."),
    "curate": ("curating", "Set aside what should not be learned from or tested on; nothing is deleted."),
    "card": ("card", "What is in the data: sources, licences, languages, lengths, labels, duplicates, PII, groups."),
    "quarantine": ("quarantine", "List the rows that were set aside, with reason and evidence."),
    "restore": ("restoring", "Bring rows back from the quarantine."),
    "split": ("splitting", "Draw the splits: stratified, by group, by time or by cluster coverage."),
    "log": ("history", "The versions, newest first."),
    "show": ("showing", "The rows of a version."),
    "diff": ("difference", "What changed between two versions, in rows and in words."),
    "checkout": ("checkout", "Work with another version."),
    "tag": ("tagging", "Give a version a name."),
    "export": ("exporting", "Write a version as JSONL, Parquet or a dataset folder with its card."),
    "erase": ("erasing", "Remove a row or a person everywhere, and say what must be rebuilt."),
    "pii": ("pii", "Find, mask or pseudonymise personal data in a JSONL file."),
}


@click.group(cls=Verbs, verbs=VERBS, folder="rungwise.cli.data")
def data() -> None:
    """Rows and documents: import, versions, curation, export.

    Start with: rungwise data import tickets.csv --into support
    """
