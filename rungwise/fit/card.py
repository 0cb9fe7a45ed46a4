"""A fitted model as people pass it on: its files in a folder, with a manifest of digests and a card that says what it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rungwise.core.errors import Corrupt, UsageError
from rungwise.core.record import canonical_json, to_plain
from rungwise.data.blobs import write_durably
from rungwise.engines.fitted.files import MANIFEST, Files, read_folder, with_manifest

CARD, README = "card.json", "README.md"


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a fitted model is, as plain data.

    `made_from` are digests: of the training rows, of documents, pairs, the parts beneath. `licences` are those of the base and
    of the data; whatever is made of them inherits each. `metrics` hold mean, low, high, level and n of the dev rows.
    `part` is what was fitted, by its technique. `told` are counts of the training; `seconds`, `bytes` and `tokens_per_s` what
    it took, `forecast` what was expected. Sections as in Mitchell et al. 2019, Model Cards for Model Reporting, section 4.
    """

    id: str
    technique: str
    task: str
    use_case: str
    candidate: str
    base: str
    made_from: Mapping[str, str]
    rows: int
    licences: Mapping[str, str]
    settings: Mapping[str, Any]
    seed: int
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    told: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    bytes: int = 0
    tokens_per_s: float = 0.0
    forecast: Mapping[str, float] = field(default_factory=dict)
    intended_use: str = ""
    limits: Sequence[str] = ()
    version: str = ""
    part: str = ""

    def plain(self) -> dict[str, Any]:
        """As JSON data."""
        return to_plain(self)  # type: ignore[no-any-return]


def write_artefact(folder: Path, files: Mapping[str, bytes], card: ModelCard) -> None:
    """Write a fitted model with its card and manifest; the folder loads as it is with transformers, an adapter with peft.

    The manifest comes last: a folder without one is not whole. Raises StoreError when the disk is full.
    """
    whole: Files = {**files, CARD: canonical_json(card.plain()).encode(), README: readme(card).encode()}
    done = with_manifest(whole)
    (folder / MANIFEST).unlink(missing_ok=True)
    for name in (*sorted(whole), MANIFEST):
        write_durably(folder / name, done[name])


def read_card(folder: Path) -> dict[str, Any]:
    """The card of a fitted model, after every file of the folder was held against its digest.

    Raises UsageError when the folder is none of ours, Corrupt when a byte differs.
    """
    if not (folder / MANIFEST).is_file():
        raise UsageError(f"{folder} holds no fitted model: it has no {MANIFEST}. Name a folder that 'rungwise fit' wrote")
    files = read_folder(folder)
    try:
        return dict(json.loads(files[CARD]))
    except (KeyError, ValueError) as error:
        raise Corrupt(f"{folder / CARD} is missing or cannot be read. Fit it again") from error


def readme(card: ModelCard) -> str:
    """The card for people, in Markdown."""
    lines = [
        f"# {card.use_case}: {card.technique}",
        "",
        f"A model for the task `{card.task}`, fitted by Rungwise {card.version} on {card.rows:,} rows"
        + (f", from {card.base}." if card.base else ", from scratch."),
        "",
        "## Intended use",
        "",
        card.intended_use,
        "",
        "## How to load it",
        "",
        *_loading(card),
        "",
        "## Measured on the dev rows",
        "",
        *_metric_lines(card.metrics),
        "",
        "## Limits",
        "",
        *(f"- {one}" for one in card.limits),
        "",
        "## Made from",
        "",
        *(f"- {name}: `{value}`" for name, value in card.made_from.items()),
        *(f"- licence of {name}: {value}" for name, value in card.licences.items()),
        "",
        "## Training",
        "",
        *(f"- {name}: {_said(value)}" for name, value in (*card.settings.items(), ("seed", card.seed))),
        *(f"- {name.replace('_', ' ')}: {_said(value)}" for name, value in card.told.items()),
        f"- took {card.seconds:,.1f} s at {card.tokens_per_s:,.0f} tokens/s and {card.bytes / 1e6:,.0f} MB at the peak",
        "",
    ]
    return "\n".join(lines)


LOADING = {
    "adapter": ("peft.PeftModel.from_pretrained(base, FOLDER)", "with the base below, loaded by transformers"),
    "contrastive": ("transformers.AutoModel.from_pretrained(FOLDER)", "gives states; the head in `head/` is run by Rungwise"),
    "tag": ("transformers.AutoModelForTokenClassification.from_pretrained(FOLDER)", ""),
    "classify": ("transformers.AutoModelForSequenceClassification.from_pretrained(FOLDER)", ""),
    "translator": ("transformers.AutoModelForSeq2SeqLM.from_pretrained(FOLDER)", ""),
    "tokenizer": ("transformers.AutoTokenizer.from_pretrained(FOLDER)", ""),
    "text": ("transformers.AutoModelForCausalLM.from_pretrained(FOLDER)", ""),
}
"""What loads a model of each kind elsewhere, and what to know of it."""


def _loading(card: ModelCard) -> list[str]:
    adapter = card.settings.get("technique") == "lora" or card.settings.get("method") == "lora"
    seen = "adapter" if adapter else next((kind for kind in (card.part, card.technique, card.task) if kind in LOADING), "")
    if not seen:
        return (
            ["Rungwise runs it; it is none of transformers' models."]
            if card.part in ("head", "linear")
            else [f"`{LOADING['text'][0]}`"]
        )
    line, more = LOADING[seen]
    return [f"`{line}`" + (f", {more}" if more else "")]


def _metric_lines(metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if not metrics:
        return ["Nothing was measured."]
    lines = ["| metric | mean | interval | rows |", "|---|---|---|---|"]
    for name, one in metrics.items():
        interval = f"{one['low']:.4f} to {one['high']:.4f} ({one['level']:.0%})" if one.get("low") is not None else ""
        lines.append(f"| {name} | {one['mean']:.4f} | {interval} | {one.get('n', '')} |")
    return lines


def _said(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.6g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
