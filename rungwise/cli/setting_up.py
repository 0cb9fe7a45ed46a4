"""The options that describe a use case on the command line, and how they change a project's rungwise.yaml."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from rungwise.core.errors import UsageError
from rungwise.core.tasks import TASKS
from rungwise.core.usecase import Endpoint, Groups, Included, UseCase
from rungwise.data.blobs import write_durably
from rungwise.data.spec import FILE
from rungwise.data.versions.version import HEAD, PREFIX
from rungwise.project import Project

F = TypeVar("F", bound=Callable[..., Any])

_COLUMNS = {
    "text": "Column with the text or question.",
    "label": "Column with the label or answer.",
    "group": "Column whose rows must stay together (customer, conversation, document).",
    "split": "Column with train, dev or test.",
    "passage": "Column with the passage that comes with a question.",
    "key": "Column with the row's id.",
}
_LIMITS = {
    "max_p95": ("p95_s", float, "Limit on the p95 latency, in seconds."),
    "max_price": ("usd_per_1k", float, "Limit on the price, in USD per 1,000 answers."),
    "max_memory": ("memory_mb", float, "Limit on memory, in MB."),
    "budget_usd": ("budget_usd", float, "Hard cap on money paid to model providers, in USD."),
    "budget_seconds": ("budget_s", float, "Hard cap on seconds of work."),
    "budget_calls": ("budget_calls", int, "Hard cap on calls to models."),
}


def describes_use_case(command: F) -> F:
    """Add every option that describes a use case, to be listed in this order."""
    columns = [click.option(f"--{name}", default=None, metavar="COLUMN", help=text) for name, text in _COLUMNS.items()]
    limits = [
        click.option(f"--{name.replace('_', '-')}", name, type=kind, default=None, help=text)
        for name, (_, kind, text) in _LIMITS.items()
    ]
    others = (
        click.option("--task", type=click.Choice(sorted(TASKS)), default=None, help="Default: classify."),
        click.option("--multi-label", is_flag=True, default=None, help="A row may carry several labels."),
        click.option("--out-of-scope", default=None, metavar="LABEL", help="The label that means 'none of ours'."),
        click.option("--documents", default=None, metavar="FOLDER", help="Folder of documents that questions are answered from."),
        click.option("--descriptions", default=None, metavar="FILE", help="YAML file: label to one-sentence description."),
        click.option("--groups", default=None, metavar="FIELD>=FLOOR", help="Quality floor for every value of a column."),
        click.option("--include", multiple=True, metavar="FILE", help="Recorded predictions of a system that you have."),
        click.option("--include-price", type=float, default=None, help="Its price, in USD per 1,000 answers."),
        click.option("--endpoint", multiple=True, metavar="URL#MODEL", help="A model behind an OpenAI-compatible address."),
        click.option("--key-env", default=None, metavar="NAME", help="Environment variable with the endpoint's key."),
        click.option("--offline", is_flag=True, default=None, help="No candidate may leave this machine."),
        click.option("--without", default=None, metavar="RUNG,...", help="Rungs that are left out of the ladder."),
        click.option("--volume", type=int, default=None, help="Answers over which development cost is spread."),
        click.option("--alpha", type=float, default=None, help="Bound on wrong accepts over all climbs for ever (0.05)."),
        click.option("--seed", type=int, default=None, help="Seed of everything that draws."),
    )
    # Each option stands above those that were added before it.
    for option in reversed((*columns, *others, *limits)):
        command = option(command)
    return command


@contextmanager
def taken_back(directory: Path) -> Iterator[None]:
    """Take back what the command wrote to rungwise.yaml when it cannot be used: then the next command is not burdened by it.

    A project that was begun by this command is removed, unless it holds more than what a first look at the data leaves.
    """
    path, existed = directory / FILE, directory.exists()
    before = path.read_bytes() if path.is_file() else None
    try:
        yield
    except UsageError:
        if before is not None and path.read_bytes() != before:
            write_durably(path, before)
        elif before is None:
            path.unlink(missing_ok=True)
            if not existed:
                _remove_begun(directory)
        raise


def _remove_begun(directory: Path) -> None:
    """Remove a folder that was made for a project whose data turned out to be unusable before anything was measured."""
    import shutil

    if (
        directory.is_dir()
        and {one.name for one in directory.iterdir()} <= {"state"}
        and not (directory / "state" / "blobs").exists()
    ):
        shutil.rmtree(directory)


def open_project(directory: Path, source: Path | None, options: dict[str, Any]) -> Project:
    """The project, made if a data file is given and there is none yet, with the options written to its rungwise.yaml."""
    if not (directory / FILE).exists():
        if source is None and not Project(directory).data.exists():
            raise UsageError(f"{directory} holds no project. Type: rungwise init {directory} --task classify --from DATA.csv")
        project = Project.create(directory, task=options["task"] or "classify", source=source or f"{PREFIX}{HEAD}")
    else:
        project = Project(directory)
        if source is not None and (directory / project.case.data).resolve() != source.resolve():
            raise UsageError(
                f"{directory} is a project on {project.case.data}, not on {source}. "
                f"Choose another folder with --project, or climb it with: rungwise climb {directory}"
            )
    changed = _changed(project.case, directory, options)
    if changed != project.case:
        project.configure(**{field.name: getattr(changed, field.name) for field in dataclasses.fields(changed)})
    return project


def _changed(case: UseCase, directory: Path, options: dict[str, Any]) -> UseCase:
    """The use case with whatever was given on the command line."""
    plain = {
        "task": options["task"],
        "multi_label": options["multi_label"],
        "out_of_scope": options["out_of_scope"],
        "forecast_volume": options["volume"],
        "alpha": options["alpha"],
        "seed": options["seed"],
        "documents": _relative(options["documents"], directory),
        "descriptions": _descriptions(options["descriptions"]),
        "groups": _groups(options["groups"]),
        "without": _names(options["without"]),
    }
    changes: dict[str, Any] = {name: value for name, value in plain.items() if value is not None}
    columns = {name: options[name] for name in _COLUMNS if options[name] is not None}
    limits = {field: options[name] for name, (field, _, _) in _LIMITS.items() if options[name] is not None}
    if options["offline"]:
        limits["offline"] = True
    changes["columns"] = dataclasses.replace(case.columns, **columns) if columns else case.columns
    changes["limits"] = dataclasses.replace(case.limits, **limits)
    if options["include"]:
        changes["include"] = _all_included(case, directory, options["include"], options["include_price"])
    if options["endpoint"]:
        changes["endpoints"] = _endpoints(case, options["endpoint"], options["key_env"])
    return dataclasses.replace(case, **changes)


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(name.strip() for name in text.split(",") if name.strip())


def _relative(path: str | None, directory: Path) -> str | None:
    return os.path.relpath(Path(path).resolve(), directory.resolve()) if path else None


def _descriptions(path: str | None) -> dict[str, str] | None:
    if path is None:
        return None
    import yaml

    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"cannot read the label descriptions in {path}: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} must map each label to one sentence")
    if len(found) == 1 and isinstance(next(iter(found.values())), dict):
        found = next(iter(found.values()))  # one heading above the labels
    return {str(label): str(text) for label, text in found.items()}


def _groups(text: str | None) -> Groups | None:
    if text is None:
        return None
    field, sign, floor = text.partition(">=")
    try:
        return Groups(field=field.strip(), floor=float(floor)) if sign else None or _bad_groups(text)
    except ValueError:
        return _bad_groups(text)


def _bad_groups(text: str) -> Groups:
    raise UsageError(f"cannot read the groups '{text}'. Write them as channel>=0.8")


def _all_included(case: UseCase, directory: Path, paths: Sequence[str], price: float | None) -> tuple[Included, ...]:
    """The named systems; what rungwise.yaml says of one of them already is kept, so that the same command says the same."""
    found: list[Included] = []
    for path in paths:
        if not Path(path).exists():
            raise UsageError(f"there is no file of predictions {path}")
        own = _relative(path, directory) or path
        name = _free_name(Path(path).name.split(".")[0], [one.name for one in found])
        known = next((one for one in case.include if one.path == own), Included(path=own, name=name))
        found.append(known if price is None else dataclasses.replace(known, usd_per_1k=price))
    return tuple(found)


def _endpoints(case: UseCase, texts: Sequence[str], key_env: str | None) -> tuple[Endpoint, ...]:
    """The named endpoints; what rungwise.yaml says of one of them already, its price for instance, is kept."""
    found: list[Endpoint] = []
    for text in texts:
        new = endpoint_of(text)
        new = dataclasses.replace(new, name=_free_name(new.name, [one.name for one in found]))
        known = next((one for one in case.endpoints if (one.base_url, one.model) == (new.base_url, new.model)), new)
        found.append(known if key_env is None else dataclasses.replace(known, key_env=key_env))
    return tuple(found)


def endpoint_of(text: str, key_env: str | None = None) -> Endpoint:
    """The endpoint that `URL#MODEL` names, called by its model. Raises UsageError for anything else."""
    url, sign, model = text.partition("#")
    if not sign or not url.startswith(("http://", "https://")):
        raise UsageError(f"cannot read the endpoint '{text}'. Write it as http://127.0.0.1:8000/v1#model-name")
    return Endpoint(name=model.rsplit("/", 1)[-1], base_url=url, model=model, key_env=key_env)


def _free_name(name: str, taken: Sequence[str]) -> str:
    """The name, or with a number behind it the first that is free."""
    numbers = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    return next(name + tail for tail in numbers if name + tail not in taken)
