"""`rungwise fit`: train one technique and write it as a folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rungwise.cli.options import as_json, print_json, project_directory, say, warn
from rungwise.cli.setting_up import describes_use_case, open_project, taken_back
from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.usecase import SEARCHES

if TYPE_CHECKING:
    from rungwise.project.fitting import FitDone

TECHNIQUES = {
    "head": "a linear head on frozen embeddings",
    "lora": "low-rank adapters on an encoder, or on a language model",
    "full": "all weights of an encoder, or of a language model",
    "sft": "supervised fine-tuning of a language model on questions and answers",
    "dpo": "alignment with pairs of answers of which one is preferred",
    "continue": "pre-training goes on with the domain's text",
    "scratch": "a small model of one's own: from rows, or a language model from text",
    "tokenizer": "a tokenizer from text",
    "rerank": "a reranker, for the task search",
    "reader": "a reader of passages, for the task answer",
    "tag": "a tagger of spans, from rows of text and spans",
}


TOLD = {
    "cut_rows": "rows longer than it reads",
    "left_out_rows": "rows left out, longer than a packed row (--set row_tokens=, longer=split)",
    "too_long": "pairs left out, longer than it reads",
    "pairs_too_long": "pairs left out, longer than max_tokens",
    "empty_answers": "rows without an answer, left out",
    "texts_in_several_windows": "texts read in several windows",
    "perplexity_ratio": "perplexity on the general texts, after over before",
    "preferred": "held-out pairs whose chosen answer gained",
}
"""What was counted in a training and people should see, where it is not nothing."""


@click.command()
@click.argument("technique", metavar="TECHNIQUE")
@click.argument("source", metavar="PROJECT|FILE|FOLDER")
@click.option("--project", default=None, metavar="DIR", help="Where to make the project; default: beside the file, named after it.")
@describes_use_case
@click.option("--base", default=None, metavar="FOLDER", help="Folder with the language model to begin from.")
@click.option("--base-licence", default=None, metavar="NAME", help="Its licence.")
@click.option("--preferences", default=None, metavar="FILE", help="Pairs of answers: prompt, chosen, rejected.")
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="A setting of the technique, as in lr=1e-4. Repeatable.")
@click.option("--metric", default=None, help="What is measured and searched by, as in chrf; default: the target's, or the task's.")
@click.option("--minutes", type=float, default=None, help="For a language model from text: how long it may train here.")
@click.option("--characters", is_flag=True, help="For text: one token per character.")
@click.option("--vocabulary", type=int, default=None, help="For text: how many tokens the tokenizer gets.")
@click.option("--trials", type=int, default=1, help="Search the settings on dev, with at most so many trials.")
@click.option("--search", type=click.Choice(SEARCHES), default="bayesian", help="How they are searched.")
@click.option("--device", default=None, metavar="cpu|cuda", help="Where to train.")
@click.option("--allow-leaks", is_flag=True, help="Fit although sealed rows stand in other splits too.")
@click.option("--no-wait", is_flag=True, help="Fail instead of waiting when another command holds the project.")
@click.option("--quiet", is_flag=True, help="No progress.")
@as_json
def fit(technique: str, source: str, project: str | None, given: tuple[str, ...], **options: Any) -> int:
    """Train TECHNIQUE on a project, on a data file, or on text, measure it on what was held back, and write its folder.

    \b
    Techniques: head, lora, full, sft, dpo, continue, scratch, tokenizer, rerank, reader, tag.
    The folder loads with transformers and peft as it is. Killed anywhere, the same command goes on.
    """
    from rungwise.project.texts import TEXTS, is_text

    if technique not in TECHNIQUES:
        raise UnknownName("technique", technique, TECHNIQUES)
    silent = options["as_json"] or options["quiet"]
    settings = _settings(given)
    if technique == "tag":
        done = _fit_tags(source, project, settings, options, silent)
    elif technique in TEXTS and is_text(technique, Path(source)):
        done = _fit_text(technique, source, project, settings, options, silent)
    else:
        done = _fit_rows(technique, source, project, settings, options, silent)
    if options["as_json"]:
        print_json(done.plain())
    else:
        _show(done)
    return 0


def _fit_rows(
    technique: str, source: str, project: str | None, settings: Mapping[str, Any], options: dict[str, Any], silent: bool
) -> FitDone:
    directory, data = project_directory(source, project)
    with taken_back(directory), _progress(silent) as tell:
        opened = open_project(directory, data, options)
        if options["minutes"] is not None:
            train = opened.case.train
            opened.configure(train=dataclasses.replace(train, minutes=options["minutes"]))
        if changes := _named(options, directory, opened.case):
            opened.configure(**changes)
        return opened.fitting.fit(
            technique,
            settings=settings,
            metric=options["metric"],
            trials=options["trials"],
            search=options["search"],
            device=options["device"],
            allow_leaks=options["allow_leaks"],
            say=tell,
            wait=not options["no_wait"],
            on_wait=warn,
        )


def _fit_text(
    technique: str, source: str, project: str | None, settings: Mapping[str, Any], options: dict[str, Any], silent: bool
) -> FitDone:
    from rungwise.project import Project
    from rungwise.project.texts import text_project

    directory = text_project(
        Path(source), Path(project) if project else None, base=options["base"], licence=options["base_licence"]
    )
    with _progress(silent) as tell:
        return Project(directory).texts.fit(
            technique,
            settings=settings,
            minutes=options["minutes"],
            characters=options["characters"],
            vocabulary=options["vocabulary"],
            seed=options["seed"],
            device=options["device"] or "cpu",
            say=tell,
            wait=not options["no_wait"],
            on_wait=warn,
        )


def _fit_tags(source: str, project: str | None, settings: Mapping[str, Any], options: dict[str, Any], silent: bool) -> FitDone:
    from rungwise.project import Project

    path = Path(source)
    if not path.is_file():
        raise UsageError(f"tag learns from a file of texts with spans, and {source} is none. Type: rungwise fit tag FILE.jsonl")
    folder = Path(project) if project else path.with_name(f"{path.name.split('.')[0]}-tagger")
    with _progress(silent) as tell:
        return Project(folder).tags.fit(
            path,
            settings=settings,
            seed=options["seed"] or 0,
            device=options["device"] or "cpu",
            say=tell,
            wait=not options["no_wait"],
            on_wait=warn,
        )


def _settings(given: tuple[str, ...]) -> dict[str, Any]:
    """NAME=VALUE pairs; a value is JSON where it can be read as such, else text."""
    found: dict[str, Any] = {}
    for one in given:
        name, sign, value = one.partition("=")
        if not sign or not name:
            raise UsageError(f"cannot read --set {one}. Write it as --set lr=1e-4")
        try:
            found[name.strip()] = json.loads(value)
        except ValueError:
            found[name.strip()] = value
    return found


def _named(options: dict[str, Any], directory: Path, case: Any) -> dict[str, Any]:
    """The base and the pairs as rungwise.yaml keeps them: by paths from the project's folder."""
    import os

    from rungwise.core.usecase import Base

    def relative(path: str) -> str:
        return os.path.relpath(Path(path).resolve(), directory.resolve())

    changes: dict[str, Any] = {}
    if options["base"] is not None:
        licence = options["base_licence"] or (case.base.licence if case.base is not None else None)
        changes["base"] = Base(path=relative(options["base"]), licence=licence)
    if options["preferences"] is not None:
        changes["preferences"] = relative(options["preferences"])
    return changes


def _progress(silent: bool) -> Any:
    from rich.console import Console

    from rungwise.cli.progress_view import progress_view

    return progress_view(Console(stderr=True), silent=silent)


def _show(done: FitDone) -> None:
    for told in done.warnings:
        warn(f"note: {told}")
    for name, one in done.metrics.items():
        interval = f"  ({one['low']:.4f} to {one['high']:.4f})" if one.get("low") is not None else ""
        say(f"{name:<24} {one['mean']:.4f}{interval}")
    for trial in done.trials:
        means = ", ".join(f"{name} {mean:.4f}" for name, mean in trial["metrics"].items())
        say(f"  trial: {means}")
    for name, words in TOLD.items():
        if done.told.get(name):
            say(f"{words}: {done.told[name]:,.4g}")
    expected = f", {done.forecast_s:,.0f} s expected" if done.forecast_s else ""
    pace = f", {done.tokens_per_s:,.0f} tokens/s" if done.tokens_per_s else ""
    say(f"took {done.seconds:,.1f} s{expected}{pace}, {done.peak_bytes / 1e6:,.0f} MB at the peak")
    say(f"{done.technique}: {done.artefact}")
    say(f"What it is: rungwise show {done.artefact}")
