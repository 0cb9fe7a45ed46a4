"""How comments sound: the shipped model, its recipe, and what a project's thumbs make of it."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load

from rungwise.core.errors import Corrupt
from rungwise.curate.sentiment.lexicon import comments, groups, templates
from rungwise.curate.sentiment.reader import (
    DIGEST,
    DISLIKED,
    LIKED,
    LONGEST,
    VOCABULARY,
    WEIGHTS,
    cleaned,
    features,
    pack,
    readable,
    shipped,
    unpack,
    words,
)
from rungwise.fit.sentiment import FEWEST_EACH, fit, main, spoken

POLARITY = Path(__file__).parents[3] / "shared" / "data" / "reviews" / "sentence_polarity.jsonl.gz"


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("helpful", "not helpful"),
        ("it worked", "it did not work"),
        ("this is correct", "this isn't correct"),
        ("it answers my question", "it doesn't answer my question"),
        ("I was very happy with it", "I was not very happy with it"),
        ("no problem at all", "problem"),
        ("not bad at all", "bad"),
        ("I would recommend it", "I would never recommend it"),
        ("easy to follow", "not easy to follow"),
        ("<p>clear &amp; <b>useful</b></p>", "<p>not clear &amp; <b>not useful</b></p>"),
        ("thanks 👍", "👎"),
        ("That\u2019s right", "That isn\u2019t right"),
    ],
)
def test_a_negation_turns_how_a_comment_sounds(good: str, bad: str) -> None:
    up, down = shipped().chances([good, bad])
    assert up > LIKED
    assert down < DISLIKED


def test_a_question_and_an_unknown_word_sound_neither_way() -> None:
    chances = shipped().chances(["where is the invoice", "zyxwv qqq", ""])
    assert ((chances >= DISLIKED) & (chances <= LIKED)).all()


def test_a_clause_ends_what_a_negation_reaches() -> None:
    assert "not_good" not in features("it did not, good")
    assert "not_good" in features("it was not that good")


@pytest.mark.parametrize(
    "text", ["", "  ", "🦑", "12345", "...", "非常に悪い", "das ist leider nicht richtig und hilft mir gar nicht"]
)
def test_what_is_no_english_comment_is_not_read(text: str) -> None:
    assert not readable(text)


@pytest.mark.parametrize("text", ["👍", "10/10", "useless", "did not work", "The café closes at 5, wrong time!", ":("])
def test_short_comments_and_faces_are_read(text: str) -> None:
    assert readable(text)


@given(st.text(max_size=300))
def test_any_text_has_a_chance(text: str) -> None:
    (chance,) = shipped().chances([text])
    assert 0 <= chance <= 1
    readable(text)


def test_a_very_long_comment_is_cut() -> None:
    assert len(cleaned("useless <b>" * 10_000)) <= LONGEST
    assert len(words("a" * 100_000)) == 1


def test_the_model_is_small_and_its_bytes_are_checked() -> None:
    weights, vocabulary = WEIGHTS.read_bytes(), VOCABULARY.read_bytes()
    assert len(weights) + len(vocabulary) < 500_000
    expected = DIGEST.read_text().strip()
    assert len(unpack(weights, vocabulary, expected, where="here").places) == len(shipped().places)
    with pytest.raises(Corrupt, match=r"python -m rungwise\.fit\.sentiment"):
        unpack(weights, vocabulary.replace(b"bad", b"bed", 1), expected, where="here")


def test_the_shipped_model_is_what_the_recipe_gives() -> None:
    weights, vocabulary, _ = pack(fit())
    assert vocabulary == VOCABULARY.read_bytes()
    ours, theirs = (load(data)["weights"].astype(int) for data in (weights, WEIGHTS.read_bytes()))
    assert np.abs(ours - theirs).max() <= 2  # another processor may round another way


def test_the_command_writes_the_same_bytes_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        main(["--texts", "2000", "--out", str(tmp_path / name)])
    names = [path.name for path in (WEIGHTS, VOCABULARY, DIGEST)]
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)
    assert "sha256" in capsys.readouterr().out


def test_templates_that_were_left_out_are_read_right() -> None:
    model = fit(texts=10_000, share=5)
    held = [one for one in comments(1, 2_000, share=5, held=True) if one.sounds != 0.5]
    right = (model.chances([one.text for one in held]) > 0.5) == [one.sounds for one in held]
    assert right.mean() > 0.88


def test_every_slot_of_a_template_has_a_list() -> None:
    slots = {part.split("}")[0] for text, _ in templates() for part in text.split("{")[1:]}
    assert slots <= set(groups())
    assert {sounds for _, sounds in templates()} == {0.0, 0.5, 1.0}


def in_house(n: int, seed: int = 0) -> tuple[list[str], list[bool | None], list[str]]:
    """Comments in words of a trade that the shipped model cannot know, and thumbs that follow them nine times in ten."""
    rng = random.Random(seed)
    texts, thumbs = list[str](), list[bool | None]()
    for _ in range(n):
        up = rng.random() < 0.5
        texts.append(
            f"{rng.choice(['greenlit', 'shipshape'] if up else ['redlined', 'bounced'])} by the {rng.choice(['desk', 'floor'])}"
        )
        thumbs.append(up if rng.random() < 0.9 else not up)
    return texts, thumbs, [f"u{i % (n // 2)}" for i in range(n)]


def test_a_projects_thumbs_teach_its_own_words() -> None:
    texts, thumbs, units = in_house(400)
    said = spoken([*texts, "greenlit by the desk"], [*thumbs, None], [*units, "new"])
    assert said.model == "own"
    assert said.accuracy is not None
    assert said.shipped_accuracy is not None
    assert said.accuracy > 0.85 > said.shipped_accuracy
    assert said.chances[-1] > LIKED


def test_too_few_thumbs_and_thumbs_by_chance_leave_the_shipped_model() -> None:
    texts, thumbs, units = in_house(2 * FEWEST_EACH - 2)
    assert spoken(texts, thumbs, units).model == "shipped"
    made = [one.text for one in comments(3, 400)]
    rng = random.Random(3)
    plain = spoken(made, [None] * len(made), [str(i) for i in range(len(made))])
    assert plain.model == "shipped"
    assert plain.accuracy is None
    honest: list[bool | None] = [bool(one) for one in shipped().chances(made) > 0.5]
    kept = spoken(made, honest, [str(i) for i in range(len(made))])
    assert kept.accuracy is not None
    assert kept.accuracy > 0.9
    chance: list[bool | None] = [rng.random() < 0.5 for _ in made]
    lost = spoken(made, chance, [str(i) for i in range(len(made))])
    assert lost.accuracy is not None
    assert 0.35 < lost.accuracy < 0.65  # cross-fitted: thumbs by chance are not foretold, however many words there are


def test_a_user_with_all_thumbs_teaches_nothing() -> None:
    texts, thumbs, _ = in_house(200)
    assert spoken(texts, thumbs, ["ann"] * 200).model == "shipped"


@pytest.mark.skipif(not POLARITY.is_file(), reason="the sentences of movie reviews are not here")
def test_sentences_of_movie_reviews_are_read_better_than_by_chance() -> None:
    with gzip.open(POLARITY, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines][::4]
    right = (shipped().chances([one["text"] for one in rows]) > 0.5) == [one["label"] == "pos" for one in rows]
    assert right.mean() > 0.62
