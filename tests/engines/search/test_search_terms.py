"""How text becomes terms, by language and script."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.errors import MissingExtra, UnknownName, UsageError
from rungwise.engines.search import languages
from rungwise.engines.search.languages import ALGORITHMS, SNOWBALL, light_stem, stop_words, stop_words_known
from rungwise.engines.search.terms import LONGEST, Words, words_for


def snowball(language: str, **more: bool) -> Words:
    pytest.importorskip("Stemmer")
    return Words(language=language, stem=True, stemmer=SNOWBALL, **more)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Error HX-27764, again", ["error", "hx", "27764", "again"]),
        ("call snake_case()", ["call", "snake_case", "snake", "case"]),
        ("__init__ _ ___", ["init"]),
        ("Ｃafé-N°5, ÜBER", ["cafe", "n", "5", "uber"]),
        ("e\u0301te\u0301", ["ete"]),
        ("Øre, łódź, cœur", ["ore", "lodz", "coeur"]),
        ("ok 👍🏽 👍", ["ok", "👍", "👍"]),
        ("🇩🇪🇫🇷 ☕\ufe0f", ["🇩🇪", "🇫🇷", "☕"]),
        ("", []),
        ("?!... --- \n\t", []),
        ("\ud800 lone \udfff", ["lone"]),
    ],
)
def test_words_identifiers_accents_and_emoji_become_terms(text: str, terms: list[str]) -> None:
    assert Words().terms(text) == terms


def test_texts_without_spaces_become_pieces_of_one_and_two_characters() -> None:
    assert Words(language="ja").terms("猫が好き") == ["猫", "が", "好", "き", "猫が", "が好", "好き"]
    assert Words(language="zh").terms("iPhone手机 5G") == ["iphone", "手", "机", "手机", "5g"]
    assert set(Words(language="th").terms("แมว")) <= set(Words(language="th").terms("ฉันรักแมวมาก"))
    assert set(Words(language="zh").terms("图书馆")) <= set(Words(language="zh").terms("我去北京图书馆看书"))


def test_signs_that_belong_to_a_letter_do_not_cut_words_of_india() -> None:
    assert Words(language="hi").terms("हिन्दी में लिखा") == ["हिन्दी", "में", "लिखा"]
    assert Words(language="ta").terms("தமிழ் மொழி") == ["தமிழ்", "மொழி"]


def test_points_of_arabic_and_hebrew_make_no_difference() -> None:
    assert Words(language="en").terms("مُحَمَّد שָׁלוֹם") == Words(language="en").terms("محمد שלום")


@pytest.mark.parametrize(
    ("language", "text", "terms"),
    [
        ("es", "Año después", ["año", "despues"]),
        ("sv", "Ängen idé", ["ängen", "ide"]),
        ("no", "Blåbær é", ["blåbær", "e"]),
        ("de", "Grüße", ["grusse"]),
        ("tr", "IŞIK İzmir", ["ışık", "izmir"]),
        ("ru", "Ёлка мой", ["елка", "мой"]),
        ("el", "Μάϊος", ["μαιοσ"]),
        ("is", "Þórður", ["þórður"]),  # not in the data file: every accent stays
    ],
)
def test_accents_are_folded_where_the_language_does_not_count_them_as_letters(language: str, text: str, terms: list[str]) -> None:
    assert Words(language=language).terms(text) == terms


@pytest.mark.parametrize(
    ("language", "forms"),
    [
        ("en", "connection connections connected"),
        ("de", "Haus Häuser Häusern"),
        ("fr", "continuer continuait continuation"),
        ("es", "canción canciones"),
        ("pt", "organização organizações"),
        ("it", "abbandonata abbandonate"),
        ("sv", "flickorna flickor"),
        ("fi", "talo talossa talon"),
        ("ru", "книга книги книгу"),
    ],
)
def test_snowball_brings_the_forms_of_a_word_together(language: str, forms: str) -> None:
    assert len(set(snowball(language).terms(forms))) == 1


def test_every_language_that_snowball_knows_can_be_stemmed() -> None:
    for language in ALGORITHMS:
        assert snowball(language).terms("test") != []


@pytest.mark.parametrize("language", stop_words_known())
def test_stop_words_are_left_out_and_other_words_stay(language: str) -> None:
    words = Words(language=language, stop=True)
    assert words.terms(" ".join(stop_words(language))) == []
    assert words.terms("qwertz") == ["qwertz"]
    assert len(stop_words(language)) >= 30


def test_stop_words_are_spelled_as_texts_are_split() -> None:
    for language in stop_words_known():
        for word in stop_words(language):
            assert Words(language=language).split(word) == [word]
            assert unicodedata.is_normalized("NFKC", word)


def test_a_light_stem_is_there_without_an_extra() -> None:
    assert Words(stop=True, stem=True).terms("The Returns of an item") == ["return", "item"]


@pytest.mark.parametrize(
    ("words", "stem"),
    [
        (("stop", "stops", "stopped", "stopping"), "stop"),
        (("delivery", "deliveries"), "delivery"),
        (("cancel", "cancels", "canceled", "canceling"), "cancel"),
        (("charge", "charges", "charged", "charging"), "charg"),
        (("call", "calls", "called", "calling"), "call"),
        (("bus",), "bus"),
        (("was",), "was"),
        (("thing",), "thing"),
        (("red",), "red"),
    ],
)
def test_the_light_stem_joins_forms_of_english(words: tuple[str, ...], stem: str) -> None:
    assert {light_stem(word) for word in words} == {stem}


def test_settings_that_a_language_does_not_have_are_refused() -> None:
    with pytest.raises(UnknownName, match="stop words"):
        Words(language="zh", stop=True)
    with pytest.raises(UsageError, match="knows English"):
        Words(language="de", stem=True)
    with pytest.raises(UnknownName, match="language 'zh'"):
        Words(language="zh", stem=True, stemmer=SNOWBALL)
    with pytest.raises(UnknownName, match="stemmer 'krovetz'"):
        Words(stem=True, stemmer="krovetz")
    with pytest.raises(UsageError, match="stem=True"):
        Words(stemmer=SNOWBALL)


def test_rules_of_another_version_of_snowball_are_refused_rather_than_mixed() -> None:
    pytest.importorskip("Stemmer")
    with pytest.raises(UsageError, match=r"PyStemmer==2\.9\.\*"):
        Words(stem=True, stemmer="snowball-2.9").terms("words")


def test_without_the_extra_snowball_is_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "Stemmer", None)
    with pytest.raises(MissingExtra, match=r"rungwise\[search\]"):
        Words(stem=True, stemmer=SNOWBALL).terms("words")
    assert words_for("en") == Words(stop=True, stem=True)
    assert words_for("de") == Words(language="de", stop=True)


def test_the_words_for_a_language_are_the_best_that_are_here() -> None:
    pytest.importorskip("Stemmer")
    assert words_for("de") == Words(language="de", stop=True, stem=True, stemmer=SNOWBALL)
    assert words_for("ta") == Words(language="ta", stem=True, stemmer=SNOWBALL)
    assert words_for("zh") == Words(language="zh")


def test_a_word_without_end_is_known_by_its_beginning() -> None:
    assert Words().terms("x" * 100_000) == ["x" * LONGEST]
    assert next(len(term) for term in Words().terms("é_" * 50_000)) == LONGEST


@given(st.text())
def test_any_text_becomes_terms_that_are_never_empty_and_the_same_word_by_word(text: str) -> None:
    words = Words()
    terms = words.terms(text)
    assert all(terms)
    assert terms == [term for word in words.split(text) for term in words.mapped([word])[0]]


def test_every_list_names_its_source() -> None:
    assert all(own["source"] for own in languages._known().values())
