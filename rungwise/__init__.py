"""Climb no higher than you need: prove which technique is the cheapest that meets your target."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rungwise.core.version import __version__ as __version__

if TYPE_CHECKING:
    from rungwise.core.candidate import Candidate
    from rungwise.core.content import Chunk, Request, Response
    from rungwise.core.dataset import Dataset, Example
    from rungwise.core.decision import Decision
    from rungwise.core.errors import RungwiseError
    from rungwise.core.evaluation import Evaluation
    from rungwise.core.feedback import Feedback
    from rungwise.core.release import Release
    from rungwise.core.trace import Trace
    from rungwise.core.usecase import UseCase
    from rungwise.project import Project, load

# Imported on first use, so that `import rungwise` stays quick.
_HOMES = {
    "Candidate": "core.candidate",
    "Chunk": "core.content",
    "Dataset": "core.dataset",
    "Decision": "core.decision",
    "Evaluation": "core.evaluation",
    "Example": "core.dataset",
    "Feedback": "core.feedback",
    "Project": "project",
    "Release": "core.release",
    "Request": "core.content",
    "Response": "core.content",
    "RungwiseError": "core.errors",
    "Trace": "core.trace",
    "UseCase": "core.usecase",
    "load": "project",
}

__all__ = [
    "Candidate",
    "Chunk",
    "Dataset",
    "Decision",
    "Evaluation",
    "Example",
    "Feedback",
    "Project",
    "Release",
    "Request",
    "Response",
    "RungwiseError",
    "Trace",
    "UseCase",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rungwise' has no attribute '{name}'")
    return getattr(importlib.import_module(f"rungwise.{_HOMES[name]}"), name)
