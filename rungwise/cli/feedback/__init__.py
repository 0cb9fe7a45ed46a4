"""`rungwise feedback`: judge answers, compare variants by what was judged, and turn judgements into data; one verb per file."""

from __future__ import annotations

import click

from rungwise.cli.verbs import Verbs

# In the order in which people need them; the second is the module of this folder that holds the command.
VERBS = {
    "add": ("adding", "Judge one answer: a thumb, a score, a label, a correction, what it was worth."),
    "import": ("importing", "Take in a JSONL file of judgements, such as outcomes that came later."),
    "list": ("listing", "The judgements that came last."),
    "summary": ("summary", "What users say: rates, thumbs, how comments sound, and what they are about."),
    "contest": ("contesting", "Compare the variants of the live release; look as often as you like."),
    "to-dataset": ("to_dataset", "Make rows of the judgements: labels, right answers, or pairs of answers."),
}


@click.group(cls=Verbs, verbs=VERBS, folder="rungwise.cli.feedback")
def feedback() -> None:
    """Judgements on answers: what they say of the variants, and what can be learned from them.

    Programs send them to POST /v1/feedback.
    """
