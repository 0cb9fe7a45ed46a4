"""rungwise.yaml: the use case as people write it, and back."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rungwise.core.errors import BadData, UnknownName, UsageError
from rungwise.core.record import from_plain, to_plain
from rungwise.core.tasks import TASKS
from rungwise.core.usecase import Target, UseCase
from rungwise.data.blobs import write_durably

FILE = "rungwise.yaml"


def read_use_case(path: Path) -> UseCase:
    """Read a use case. Raises BadData when it is not YAML, UnknownName for an unknown key, UsageError for a bad value."""
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"there is no {path}. Make a project with: rungwise init {path.parent} --task classify") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadData(f"not valid YAML: {error}", where=str(path)) from error
    if not isinstance(data, Mapping):
        raise BadData("the use case must be a mapping of keys to values", where=str(path))
    return use_case_from(data, where=str(path))


def use_case_from(data: Mapping[str, Any], *, where: str) -> UseCase:
    """A use case from plain data; a target may be written as text, for instance `accuracy=0.90`."""
    plain = dict(data)
    if isinstance(plain.get("target"), str):
        plain["target"] = to_plain(Target.parse(plain["target"]))
    _check_keys(UseCase, plain, where)
    try:
        case = from_plain(UseCase, plain)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise UsageError(f"{where}: {error}. Compare it with docs/reference/rungwise-yaml.md") from error
    return checked(case, where=where)


def checked(case: UseCase, *, where: str) -> UseCase:
    """Itself, if its values make sense. Raises UsageError or UnknownName."""
    if case.task not in TASKS:
        raise UnknownName("task", case.task, TASKS, where=where)
    if case.target is not None:
        case.target.checked()
    if not 0.0 < case.alpha < 1.0:
        raise UsageError(f"{where}: alpha must lie between 0 and 1, not {case.alpha:g}. The usual value is 0.05")
    if case.forecast_volume < 0 or case.machine_usd_per_hour < 0:
        raise UsageError(f"{where}: forecast_volume and machine_usd_per_hour cannot be negative")
    if case.groups is not None and case.groups.require not in ("not_shown_bad", "shown_good"):
        raise UnknownName("value of groups.require", case.groups.require, ["not_shown_bad", "shown_good"], where=where)
    return case


def write_use_case(path: Path, case: UseCase) -> None:
    """Write a use case, leaving out whatever is at its default."""
    import yaml

    plain = _without_defaults(case)
    if case.target is not None:
        plain["target"] = str(case.target)
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


def _check_keys(shape: Any, data: Any, where: str) -> None:
    """Raise UnknownName for the first key that the shape does not have, however deep."""
    origin, args = typing.get_origin(shape), typing.get_args(shape)
    if origin in (typing.Union, types.UnionType):
        for member in args:
            if dataclasses.is_dataclass(member):
                _check_keys(member, data, where)
    elif origin is tuple and isinstance(data, (list, tuple)):
        for item in data:
            _check_keys(args[0], item, where)
    elif dataclasses.is_dataclass(shape) and isinstance(data, Mapping):
        hints = typing.get_type_hints(shape)
        for key, item in data.items():
            if key not in hints:
                raise UnknownName("key", str(key), hints, where=where)
            _check_keys(hints[key], item, f"{where}, under '{key}'")
