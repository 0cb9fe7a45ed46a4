"""Personal data as a step of curation: what a look holds, which rows are set aside, what rewriting leaves."""

from __future__ import annotations

import pickle
from dataclasses import dataclass

import pytest

from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.record import to_plain
from rungwise.curate.pii.span import Span
from rungwise.curate.pii.step import Pii

TEXTS = [
    "mail jane@example.com",
    "nothing here",
    "password: hunter2x",
    "😀 call +41 44 668 18 00 or a@b.org",
    "key AKIAIOSFODNN7EXAMPLE a@b.org",
]


@dataclass(frozen=True)
class Capitals:
    """A tagger that takes every word in capitals for a name."""

    def __call__(self, texts):
        return [
            [Span(text.index(word), text.index(word) + len(word), "NAME") for word in text.split() if word.isupper()]
            for text in texts
        ]


def test_rows_with_a_secret_are_set_aside_and_the_evidence_names_types_only() -> None:
    step = Pii()
    findings = step.decide([step.look(TEXTS[:2]), step.look(TEXTS[2:])], rows=None)
    assert [(one.row, one.reason, one.evidence) for one in findings] == [
        (2, "pii:secret", "PASSWORD"),
        (4, "pii:secret", "AWS_ACCESS_KEY, EMAIL"),
    ]


def test_quarantine_is_for_the_chosen_types() -> None:
    step = Pii(action="quarantine", types=("PHONE",))
    assert [(one.row, one.reason) for one in step.decide([step.look(TEXTS)], rows=None)] == [
        (2, "pii:secret"),
        (3, "pii:phone"),
        (4, "pii:secret"),
    ]


def test_rewriting_rows_takes_the_secrets_too_so_none_is_set_aside() -> None:
    step = Pii(action="mask", types=("PHONE",))
    look = step.look(TEXTS)
    assert step.decide([look], rows=None) == []
    assert step.rewrite(TEXTS, look) == [
        "mail jane@example.com",
        "nothing here",
        "password: [PASSWORD]",
        "😀 call [PHONE] or a@b.org",
        "key [AWS_ACCESS_KEY] a@b.org",
    ]


def test_pseudonyms_are_consistent_over_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNGWISE_PII_KEY", "0123456789abcdef0123456789abcdef")
    step = Pii(action="pseudonymise")
    one = step.rewrite(["ask a@b.org"], step.look(["ask a@b.org"]))[0]
    other = step.rewrite(["a@b.org asked"], step.look(["a@b.org asked"]))[0]
    assert one.removeprefix("ask ") == other.removesuffix(" asked") != "a@b.org"
    monkeypatch.delenv("RUNGWISE_PII_KEY")
    with pytest.raises(UsageError, match="RUNGWISE_PII_KEY"):
        step.rewrite(["ask a@b.org"], step.look(["ask a@b.org"]))


def test_reporting_leaves_texts_as_they_are() -> None:
    assert Pii().rewrite(TEXTS, Pii().look(TEXTS)) == TEXTS


def test_types_are_counted_for_the_card() -> None:
    step = Pii()
    assert step.counts([step.look(TEXTS), step.look([])]) == {"EMAIL": 3, "AWS_ACCESS_KEY": 1, "PASSWORD": 1, "PHONE": 1}


def test_taggers_stand_beside_the_detector_of_forms() -> None:
    step = Pii(detectors=(Capitals(),), action="mask")
    texts = ["JANE wrote to a@b.org"]
    assert step.rewrite(texts, step.look(texts)) == ["[NAME] wrote to [EMAIL]"]


def test_a_step_can_be_sent_and_recorded() -> None:
    step = Pii(types=("EMAIL",), detectors=(Capitals(),))
    assert pickle.loads(pickle.dumps(step)) == step  # noqa: S301 - as processes send it
    assert to_plain(step)["types"] == ["EMAIL"]


def test_unknown_types_and_actions_are_refused() -> None:
    with pytest.raises(UnknownName, match="EMAIL"):
        Pii(types=("EMIAL",))
    with pytest.raises(UsageError, match="no action 'drop'"):
        Pii(action="drop")  # type: ignore[arg-type]
