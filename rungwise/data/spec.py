"""rungwise.yaml: the use case as people write it, and back."""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
import re
import types
import typing
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from rungwise.core.errors import BadData, UnknownName, UsageError
from rungwise.core.record import from_plain, to_plain
from rungwise.core.serving import ANSWER, CONTESTED, FULL, MASKED, OFF, REFUSE, Gates, Serving
from rungwise.core.tasks import TASKS
from rungwise.core.usecase import SEARCHES, Endpoint, Included, Limits, Target, UseCase
from rungwise.core.watching import AUTO, GATES, ROWS, SEVERITIES, SINKS, Watching
from rungwise.data.blobs import write_durably

FILE = "rungwise.yaml"
SECTIONS: Mapping[str, type] = {"serve": Serving, "gates": Gates, "watch": Watching}
"""What stands in the file beside the use case: changing it changes no decision."""

CONDITION = re.compile(
    r"alarm|(?P<field>value|low|high|effect|p|n) *(?P<sign><=|>=|<|>) *(?P<bound>-?(?:\d+\.?\d*|\.\d+)(?:e-?\d+)?)", re.ASCII
)
"""When a rule of `watch` holds."""

T = TypeVar("T")


def beside(directory: Path, path: str) -> Path:
    """A path that rungwise.yaml gives, as people know it: `tickets.csv` and not `tickets/../tickets.csv`."""
    joined = directory / path
    plain = Path(os.path.normpath(joined))
    # Over a symbolic link, going up leads elsewhere: then the long way stays.
    same = plain.parent.exists() and joined.parent.exists() and plain.parent.samefile(joined.parent)
    return plain if same else joined


def read_use_case(path: Path) -> UseCase:
    """Read a use case. Raises BadData when it is not YAML, UnknownName for an unknown key, UsageError for a bad value."""
    return use_case_from(_read_yaml(path), where=str(path))


def read_serving(path: Path) -> Serving:
    """The section `serve` of a rungwise.yaml; its defaults where it has none. Raises as `read_use_case` does."""
    return _serving(_read_yaml(path).get("serve"), where=f"{path}, under 'serve'")


def read_gates(path: Path) -> Gates:
    """The section `gates` of a rungwise.yaml; its defaults where it has none. Raises as `read_use_case` does."""
    return read_section(Gates, _read_yaml(path).get("gates"), where=f"{path}, under 'gates'")


def read_watching(path: Path) -> Watching:
    """The section `watch` of a rungwise.yaml; its defaults where it has none. Raises as `read_use_case` does."""
    return _watching(_read_yaml(path).get("watch"), where=f"{path}, under 'watch'")


def _serving(data: Any, *, where: str) -> Serving:
    if isinstance(data, Mapping) and data.get("capture") is False:
        data = {**data, "capture": OFF}  # YAML reads the word off as false
    serving = read_section(Serving, data, where=where)
    for name, value, known in (
        ("capture", serving.capture, (OFF, MASKED, FULL)),
        ("disk_full", serving.disk_full, (REFUSE, ANSWER)),
        ("contest.metric", serving.contest.metric, CONTESTED),
    ):
        if value not in known:
            raise UnknownName(f"value of {name}", value, known, where=where)
    if serving.breaker.failures < 1 or serving.body_limit_bytes < 1:
        raise UsageError(f"{where}: breaker.failures and body_limit_bytes must be at least 1. Leave them out for the usual values")
    if serving.otlp_url is not None and not serving.otlp_url.startswith(("http://", "https://")):
        raise UsageError(f"{where}: otlp_url must look like http://localhost:4318/v1/traces, not '{serving.otlp_url}'")
    for engine, others in serving.fallback.items():
        if engine in others:
            raise UsageError(f"{where}: the engine '{engine}' cannot stand in for itself. Take it out of its own fallback")
    amounts = ("retries", "retry_share", "cache_s", "body_limit_bytes", "retention_days")
    _check_amounts(((name, value) for name in amounts if (value := getattr(serving, name)) is not None), where)
    if not 0.0 < serving.contest.level < 1.0:
        raise UsageError(f"{where}: contest.level must lie between 0 and 1, not {serving.contest.level:g}. The usual value is 0.05")
    return serving


def _watching(data: Any, *, where: str) -> Watching:
    watching = read_section(Watching, data, where=where)
    _check_reference(watching.reference, where)
    named: list[tuple[str, str, Sequence[str]]] = [("kind of sink", sink.kind, SINKS) for sink in watching.sinks]
    named += [("severity", one, SEVERITIES) for one in (*(r.severity for r in watching.rules), *(s.least for s in watching.sinks))]
    named += [("step that can be approved", step, GATES) for step in watching.reclimb.approve]
    for what, value, known in named:
        if value not in known:
            raise UnknownName(what, value, known, where=where)
    for rule in watching.rules:
        if not rule.name.strip() or not rule.metric.strip() or (rule.days is not None and rule.days < 1):
            raise UsageError(f"{where}: a rule needs a name and a metric, and its days are at least 1. Look at '{rule.name}'")
        if not CONDITION.fullmatch(rule.when):
            raise UsageError(
                f"{where}: the rule '{rule.name}' cannot read when: '{rule.when}'. Write alarm, or for instance: high < 0.9"
            )
    twice = [name for name, count in Counter(rule.name for rule in watching.rules).items() if count > 1]
    if twice:
        raise UsageError(f"{where}: two rules are called '{twice[0]}'. Give each a name of its own")
    if not 0.0 < watching.quality_level < 1.0:
        raise UsageError(
            f"{where}: quality_level must lie between 0 and 1, not {watching.quality_level:g}. The usual value is 0.05"
        )
    if not 0.0 < watching.false_alarms_per_month <= 30.0:
        raise UsageError(f"{where}: false_alarms_per_month must lie between 0 and 30, not {watching.false_alarms_per_month:g}")
    if not 0.0 < watching.reclimb.contest_share < 1.0:
        raise UsageError(f"{where}: reclimb.contest_share must lie between 0 and 1, not {watching.reclimb.contest_share:g}")
    if watching.review.copies < 1:
        raise UsageError(f"{where}: review.copies must be at least 1. To have nobody judge answers, draw none: per_day: 0")
    for outcome, usd in watching.money.outcomes.items():
        if not math.isfinite(usd):
            raise UsageError(f"{where}: the outcome '{outcome}' must be worth a finite number of US dollars, not {usd}")
    for part in (watching, watching.review, watching.money, watching.reclimb):
        numbers = ((one.name, getattr(part, one.name)) for one in dataclasses.fields(part))
        own = ((name, value) for name, value in numbers if isinstance(value, (int, float)) and not isinstance(value, bool))
        _check_amounts(own, where)
    return watching


def _check_reference(reference: str, where: str) -> None:
    """Raise UsageError for a reference that names no days."""
    if reference in (AUTO, ROWS):
        return
    try:
        first, last = (date.fromisoformat(day) for day in reference.split(".."))
    except ValueError as error:
        raise UsageError(f"{where}: cannot read reference: '{reference}'. Write auto, rows, or 2026-01-01..2026-01-28") from error
    if first > last:
        raise UsageError(f"{where}: the reference '{reference}' ends before it begins. Write 2026-01-01..2026-01-28")


def read_section(shape: type[T], data: Any, *, where: str) -> T:
    """A section from plain data. Raises UnknownName for an unknown key, UsageError for a value of another kind."""
    if data is None:
        return shape()
    _check_shape(shape, data, where)
    return from_plain(shape, data)


def _read_yaml(path: Path) -> Mapping[str, Any]:
    import yaml

    class Loader(yaml.SafeLoader):
        """Keys are words: `off:` and `no:` are not read as false."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            for key, _ in node.value:
                if key.tag == "tag:yaml.org,2002:bool":
                    key.tag = "tag:yaml.org,2002:str"
            return super().construct_mapping(node, deep)  # type: ignore[no-any-return, no-untyped-call, unused-ignore]

    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader)
    except FileNotFoundError as error:
        near = _nearest_project(path.parent)
        raise UsageError(
            f"there is no project in {path.parent}: {path} is missing. "
            + (f"Did you mean '{near}'?" if near else f"Make one: rungwise init {path.parent} --task classify --from DATA.csv")
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        what = " ".join(str(error).split())
        raise BadData(f"this is not valid YAML ({what}).", where=str(path), hint="Mend the line that it names") from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}. Check the path and its permissions") from error
    if not isinstance(data, Mapping):
        raise BadData("the use case must be a mapping of keys to values.", where=str(path), hint="Begin with a line task: classify")
    return data


def use_case_from(data: Mapping[str, Any], *, where: str) -> UseCase:
    """A use case from plain data; a target may be written as text: `accuracy=0.90`. The sections beside it are checked."""
    _serving(data.get("serve"), where=f"{where}, under 'serve'")
    read_section(Gates, data.get("gates"), where=f"{where}, under 'gates'")
    _watching(data.get("watch"), where=f"{where}, under 'watch'")
    plain = {key: item for key, item in data.items() if key not in SECTIONS}
    if isinstance(plain.get("target"), str):
        plain["target"] = to_plain(Target.parse(plain["target"]))
    plain.setdefault("name", Path(where).resolve().parent.name)
    _check_shape(UseCase, plain, where)
    return checked(from_plain(UseCase, plain), where=where)


def checked(case: UseCase, *, where: str) -> UseCase:
    """Itself, if its values make sense. Raises UsageError or UnknownName."""
    if case.task not in TASKS:
        raise UnknownName("task", case.task, TASKS, where=where)
    if case.target is not None:
        case.target.checked()
    if not 0.0 < case.alpha < 1.0:
        raise UsageError(f"{where}: alpha must lie between 0 and 1, not {case.alpha:g}. The usual value is 0.05")
    if not 0 <= case.seed < 2**32:
        raise UsageError(f"{where}: seed must be a whole number from 0 to {2**32 - 1}, not {case.seed}")
    if case.groups is not None and case.groups.require not in ("not_shown_bad", "shown_good"):
        raise UnknownName("value of groups.require", case.groups.require, ["not_shown_bad", "shown_good"], where=where)
    if case.groups is not None and not 0.0 < case.groups.floor < 1.0:
        raise UsageError(f"{where}: the floor of groups must lie between 0 and 1, not {case.groups.floor:g}")
    if case.train.search not in SEARCHES:
        raise UnknownName("value of train.search", case.train.search, SEARCHES, where=where)
    if case.train.trials < 1:
        raise UsageError(
            f"{where}: train.trials must be at least 1, not {case.train.trials}. Leave it out to take the usual settings"
        )
    if not 0.0 < case.train.minutes < math.inf:
        raise UsageError(f"{where}: train.minutes must be above 0, not {case.train.minutes:g}. The usual value is 10")
    if not case.label_separator:
        raise UsageError(f"{where}: label_separator cannot be empty. The usual value is '|'")
    _check_amounts(_amounts(case), where)
    if case.limits.budget_s == 0:
        raise UsageError(
            f"{where}: a budget of 0 seconds leaves nothing that can run. Give --budget-seconds at least 60, or leave it out"
        )
    for names in (one.name for one in case.endpoints), (one.name for one in case.include):
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise UsageError(f"{where}: two endpoints or two included systems are called '{twice[0]}'. Give each a name of its own")
    return case


def _amounts(case: UseCase) -> Iterator[tuple[str, float]]:
    """Every amount of a use case with its key: numbers that can be 0 or more, never infinite."""
    yield from (("forecast_volume", case.forecast_volume), ("machine_usd_per_hour", case.machine_usd_per_hour))
    yield "value_per_success_usd", abs(case.value_per_success_usd)
    parts: tuple[Limits | Endpoint | Included, ...] = (case.limits, *case.endpoints, *case.include)
    for part in parts:
        for field in dataclasses.fields(part):
            own = getattr(part, field.name)
            if isinstance(own, (int, float)) and not isinstance(own, bool):
                yield field.name, own


def _check_amounts(amounts: Iterator[tuple[str, float]], where: str) -> None:
    for name, value in amounts:
        if not math.isfinite(value):
            raise UsageError(f"{where}: {name} must be a finite number, not {value}. Leave it out for no limit")
        if value < 0:
            raise UsageError(f"{where}: {name} cannot be negative, and is {value:g}. Leave it out for no limit")


def write_use_case(path: Path, case: UseCase) -> None:
    """Write a use case, leaving out whatever is at its default. Sections that stand in the file already stay."""
    import yaml

    plain = _without_defaults(case)
    if case.target is not None:
        plain["target"] = str(case.target)
    if path.exists():
        plain |= {name: section for name, section in _read_yaml(path).items() if name in SECTIONS}
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100)
    write_durably(path, text.encode("utf-8"))


def _without_defaults(value: Any) -> dict[str, Any]:
    kept = {}
    for field in dataclasses.fields(value):
        own = getattr(value, field.name)
        default = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
        if own == default:
            continue
        nested = dataclasses.is_dataclass(own) and not isinstance(own, type)
        kept[field.name] = _without_defaults(own) if nested else to_plain(own)
    return kept


def _check_shape(shape: Any, data: Any, where: str) -> None:
    """Raise UnknownName for the first key that the shape does not have, UsageError for a value of another kind, however deep."""
    if not isinstance(data, Mapping):
        raise UsageError(f"{where} must hold keys with values, not {_shown(data)}. See docs/reference/rungwise-yaml.md")
    hints = typing.get_type_hints(shape)
    for key, item in data.items():
        if key not in hints:
            raise UnknownName("key", str(key), {**hints, **(SECTIONS if shape is UseCase else {})}, where=where)
        _check_value(hints[key], item, f"{where}, under '{key}'")
    for field in dataclasses.fields(shape):
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING and field.name not in data:
            raise UsageError(f"{where}: the key '{field.name}' is missing. Add a line {field.name}: ...")


def _check_value(hint: Any, data: Any, where: str) -> None:
    if hint is Any:
        return
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if data is not None:
            _check_value(next(member for member in args if member is not type(None)), data, where)
    elif dataclasses.is_dataclass(hint):
        _check_shape(hint, data, where)
    elif origin is tuple:
        if not isinstance(data, (list, tuple)):
            raise UsageError(f"{where}: a list is wanted, not {_shown(data)}. Write it as [...], or one '- ' line for each")
        for place, item in enumerate(data, start=1):
            _check_value(args[0], item, f"{where}, item {place}")
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(data, Mapping):
            raise UsageError(f"{where}: keys with values are wanted, not {_shown(data)}")
        for key, item in data.items():
            _check_value(args[0], key, where)
            _check_value(args[1], item, f"{where}, under '{key}'")
    elif not _fits(hint, data):
        quotes = f'. Put it in quotes: "{data}"' if hint is str and isinstance(data, (int, float)) else ""
        raise UsageError(f"{where}: {_KINDS[hint]} is wanted, not {_shown(data)}{quotes}")


_KINDS = {str: "text", float: "a number", int: "a whole number", bool: "true or false"}


def _fits(hint: Any, data: Any) -> bool:
    """Whether YAML gave the kind of scalar that a field has; true and false are not numbers."""
    if hint is bool or isinstance(data, bool):
        return isinstance(data, bool) and hint is bool
    return isinstance(data, (int, float) if hint is float else hint)


def _shown(data: Any) -> str:
    kind = {dict: "keys with values", list: "a list", type(None): "nothing"}.get(type(data))
    return kind or f"'{str(data)[:40]}'"


def _nearest_project(directory: Path) -> Path | None:
    """A project beside a folder that is none, with a name like it."""
    beside = directory.resolve().parent
    projects = [one.parent.name for one in beside.glob(f"*/{FILE}")] if beside.is_dir() else []
    near = difflib.get_close_matches(directory.resolve().name, projects, n=1)
    return directory.parent / near[0] if near else None
