"""The page of the data card: everything the card holds, in words, for every reader, with nothing that runs or loads."""

from __future__ import annotations

import dataclasses
import html
import shutil
from pathlib import Path

import numpy as np
import pytest

from rungwise.data.versions.card import Card, PiiCard, RuleCard, SourceCard, ValueCard, lengths_of
from rungwise.web import data_words as told
from rungwise.web.data_card import ALL, SHOWN, render_data_card

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SIZES = np.arange(5, 405, dtype=np.int64)


@pytest.fixture
def card() -> Card:
    return Card(
        dataset="4f" * 32,
        kind="curated",
        rows=400,
        rows_before=460,
        steps=("quality", "language", "pii", "dedup", "leaks"),
        sources=(
            SourceCard(location="/data/tickets.csv", kind="table", rows=300, vanished=2, licence="Apache-2.0"),
            SourceCard(location="/data/<wiki>", kind="folder", rows=160, vanished=0, licence="CC-BY-SA-4.0", share_alike=True),
            SourceCard(location="https://example.org/faq", kind="web", rows=0, vanished=0, licence=None),
        ),
        characters=lengths_of(SIZES * 5),
        words=lengths_of(SIZES),
        repeated_texts=3,
        quarantined={"dedup:near": 40, "dedup:exact": 12, "pii:secret": 8, "import:no_text": 5},
        languages={"en": 390, "de": 9, "und": 1},
        labels=ValueCard(
            column="intent", distinct=2, counts={"refund": 300, "late": 100}, missing=0, smallest="late", imbalance=3.0
        ),
        splits={"train": 240, "dev": 60, "sealed": 100},
        splits_drawn=True,
        duplicates={"dedup:near": 40, "dedup:exact": 12},
        leaks={},
        wrong_labels={"labels:likely_wrong": 9},
        pii=PiiCard(types={"EMAIL": 30, "NAME": 4}, rows=31, action="mask"),
        quality=(
            RuleCard(
                code="too_few_words",
                measures="words",
                source="Gopher",
                published=50,
                in_force=4,
                published_fails=380,
                fails=2,
                rows=460,
            ),
        ),
        erased=7,
    )


def test_says_everything_that_the_card_holds(card: Card) -> None:
    page = render_data_card(card, "support").replace("\u00a0", " ").replace("<wbr>", "")
    for said in (
        "400 rows, kept of 460",
        "Apache-2.0",
        "CC-BY-SA-4.0 (share-alike)",
        "not known",
        "not sure",
        "refund",
        "3.0 times the rows of the rarest",
        "As a climb will draw them.",
        "near 40, exact 12; 3 rows still have a text that stands in an earlier row too",
        "none found",
        "likely wrong 9",
        "in 31 rows, masked: EMAIL 30, NAME 4",
        "dedup: near",
        "too_few_words",
        "7 rows were erased from it.",
        "rungwise data quarantine support --version 4f4f4f4f4f4f",
    ):
        assert said in page, said
    assert "/data/&lt;wiki&gt;" in page
    assert "<wiki>" not in page


def test_says_that_nobody_looked_and_what_to_type(card: Card) -> None:
    raw = dataclasses.replace(
        card,
        kind="imported",
        rows=460,
        steps=(),
        duplicates=None,
        leaks=None,
        wrong_labels=None,
        pii=None,
        quality=None,
        languages=None,
        quarantined={},
    )
    page = render_data_card(raw, "my support")
    assert "not curated yet" in page
    assert "rungwise data curate &#39;my support&#39;" in page
    assert page.count("not looked for") == 4
    assert told.languages_sentence(raw) == "not looked for"
    assert "What the quality rules say" not in page


def test_long_lists_are_folded_and_nothing_is_lost(card: Card) -> None:
    counts = {f"intent_{number:03d}": 200 - number for number in range(ALL + 40)}
    many = dataclasses.replace(card, labels=ValueCard(column="intent", distinct=len(counts), counts=counts, missing=0))
    page = render_data_card(many, "support").replace("<wbr>", "")
    assert all(name in page for name in counts)
    assert f"<summary>{len(counts) - SHOWN} more</summary>" in page
    assert page.index("intent_000") < page.index("<details>") < page.index(f"intent_{SHOWN:03d}")


def test_equal_cards_give_equal_bytes_whatever_the_order_of_their_counts(card: Card) -> None:
    turned = dataclasses.replace(card, quarantined=dict(reversed(card.quarantined.items())))
    assert render_data_card(card, "support") == render_data_card(turned, "support")


def test_nothing_can_run_or_be_loaded(card: Card) -> None:
    page = render_data_card(dataclasses.replace(card, kind="<script>alert(1)</script>"), "<b>x</b>")
    assert "<script" not in page
    assert "<b>" not in page
    assert "default-src 'none'" in html.unescape(page)
    assert "://" not in page.replace("https://example.org/faq", "")


def test_an_empty_version_has_a_page(card: Card) -> None:
    nothing = lengths_of(np.zeros(0, np.int64))
    page = render_data_card(dataclasses.replace(card, rows=0, characters=nothing, words=nothing, languages={}), "support")
    assert "0 rows, kept of 460" in page


def test_shares_are_never_said_to_be_nothing() -> None:
    assert told.share(1, 100_000) == "<0.1 %"
    assert told.share(0, 100) == "0.0 %"
    assert told.share(1, 0) == ""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_opens_without_complaint_and_fits_a_telephone(card: Card, tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = tmp_path / "card.html"
    long = ValueCard(column="a_column_with_a_rather_long_name", distinct=1, counts={"x" * 300: 400}, missing=0)
    path.write_text(render_data_card(dataclasses.replace(card, groups=long), "support"), encoding="utf-8")
    complaints: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport={"width": 390, "height": 900}, color_scheme=scheme)
            page.on("console", lambda message: complaints.append(message.text))
            page.goto(path.as_uri())
            for width in (390, 1200):
                page.set_viewport_size({"width": width, "height": 900})
                assert page.evaluate("document.documentElement.scrollWidth") <= width
            # The pinned style was accepted, and bars are seen against the page.
            bar = page.evaluate("getComputedStyle(document.querySelector('.fill')).fill")
            assert bar != page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert page.evaluate("getComputedStyle(document.querySelector('.verdict')).display") == "inline-block"
        browser.close()
    assert complaints == []
