"""A fitted model's folder holds its card, and is whole or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from rungwise.core.errors import Corrupt, UsageError
from rungwise.fit.card import CARD, README, ModelCard, read_card, write_artefact

FULL = ModelCard(
    id="a" * 64,
    technique="lora",
    task="classify",
    use_case="tickets",
    candidate="b" * 64,
    base="all-MiniLM-L6-v2",
    made_from={"training rows": "c" * 64},
    rows=2_000,
    licences={"the base": "Apache-2.0"},
    settings={"lr": 1e-3, "rank": 16},
    seed=3,
    metrics={"accuracy": {"mean": 0.91, "low": 0.89, "high": 0.93, "level": 0.95, "n": 500}},
    told={"cut_rows": 2.0},
    seconds=61.5,
    intended_use="To sort tickets.",
    limits=("English alone.",),
)
FILES = {"model.safetensors": b"weights", "config.json": b"{}"}


def test_the_card_comes_back_as_it_was(tmp_path: Path) -> None:
    write_artefact(tmp_path / "model", FILES, FULL)
    assert read_card(tmp_path / "model") == FULL.plain()


def test_equal_cards_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_artefact(tmp_path / name, FILES, FULL)
    for name in (CARD, README, "manifest.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_page_for_people_says_what_it_is_for_what_it_reached_and_what_it_is_not(tmp_path: Path) -> None:
    write_artefact(tmp_path / "model", FILES, FULL)
    page = (tmp_path / "model" / README).read_text(encoding="utf-8")
    for told in ("To sort tickets.", "English alone.", "| accuracy | 0.9100 | 0.8900 to 0.9300 (95%) | 500 |", "Apache-2.0"):
        assert told in page


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", CARD, README])
def test_a_file_that_changed_is_missing_or_was_added_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "model"
    write_artefact(folder, FILES, FULL)
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:-1] + b"!")
    with pytest.raises(Corrupt, match=name):
        read_card(folder)
    (folder / name).unlink()
    with pytest.raises(Corrupt, match=f"{name} is missing"):
        read_card(folder)
    (folder / name).write_bytes(whole)
    (folder / "more.json").write_text("{}", encoding="utf-8")
    with pytest.raises(Corrupt, match=r"more\.json is not in"):
        read_card(folder)


def test_a_folder_without_a_manifest_is_none_of_ours(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no fitted model"):
        read_card(tmp_path)
