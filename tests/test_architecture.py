"""The architecture is a test: layers, light imports, and names that say something."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "rungwise"
BANNED = ("util", "helper", "common", "misc", "manager", "base", "abstract", "impl", "handler")


def contracts() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]  # type: ignore[no-any-return]


def test_layers_are_the_folders_in_alphabetical_order() -> None:
    layers = contracts()["contracts"][0]["layers"]  # type: ignore[index]
    below = [name.strip(" ()") for layer in reversed(layers) for name in layer.split("|")]
    assert below[-2:] == ["project", "cli"]  # the two that stand above all folders
    assert below[:-2] == sorted(below[:-2])
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and not path.name.startswith("__")}
    assert folders <= set(below)


def test_no_import_is_ignored() -> None:
    assert "ignore_imports" not in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "code", ["import rungwise", "from rungwise.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass"]
)
def test_the_first_import_is_light(code: str) -> None:
    script = f"import sys\n{code}\nprint(len(sys.modules), 'numpy' in sys.modules, 'torch' in sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    count, numpy, torch = done.stderr.split()
    assert int(count) <= 300
    assert (numpy, torch) == ("False", "False")


def test_core_uses_the_standard_library_only() -> None:
    script = "import sys\nimport pkgutil, importlib, rungwise.core as c\n"
    script += "[importlib.import_module(m.name) for m in pkgutil.walk_packages(c.__path__, 'rungwise.core.')]\n"
    script += "print(*sorted({n.split('.')[0] for n in sys.modules} - set(sys.stdlib_module_names)))"
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    foreign = {name for name in done.stdout.split() if not name.startswith(("_", "sitecustomize"))}
    assert foreign <= {"rungwise"}


def test_no_module_has_a_name_that_says_nothing() -> None:
    names = {part for path in PACKAGE.rglob("*.py") for part in path.relative_to(PACKAGE).with_suffix("").parts}
    assert [name for name in names if any(word in BANNED for word in name.rstrip("s").split("_"))] == []


def test_nothing_loads_pickles_or_remote_code() -> None:
    banned = ("pickle.load", "joblib.load", "weights_only=False", "trust_remote_code=True")
    found = [path for path in PACKAGE.rglob("*.py") for word in banned if word in path.read_text(encoding="utf-8")]
    assert found == []
