"""The live release of a project with everything that answers for it, built before it takes over."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from rungwise.core.candidate import Candidate
from rungwise.core.errors import RungwiseError
from rungwise.core.record import short
from rungwise.core.release import Release
from rungwise.core.serving import Timeouts
from rungwise.serve.answerer import Answerer
from rungwise.serve.timing import with_timeouts

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Live:
    """A release; `answerers` by the name of the variant, `shadows` by the id of the candidate. None is released: both are empty."""

    release: Release | None = None
    answerers: Mapping[str, Answerer] = field(default_factory=dict)
    shadows: Mapping[str, Answerer] = field(default_factory=dict)
    candidates: Mapping[str, Candidate] = field(default_factory=dict)

    @cached_property
    def id(self) -> str | None:
        """The release's id, computed once: it is a digest of everything in it, and each trace names it."""
        return self.release.id if self.release is not None else None


def bring_live(
    release: Release,
    find: Callable[[str], Candidate],
    build: Callable[[Candidate], Answerer],
    timeouts: Mapping[str, Timeouts],
) -> Live:
    """Everything that a release needs, one answerer for each candidate; `timeouts` by the name of the variant.

    Raises what building raises; nothing is live then. A shadow that cannot be built is left out, and the log says why: what
    nobody sees must not keep what everybody sees from answering.
    """
    ids = dict.fromkeys(variant.candidate for variant in release.variants)
    candidates = {id: find(id) for id in (*ids, *release.shadow)}
    built = {id: build(candidates[id]) for id in ids}
    shadows = {}
    for id in release.shadow:
        try:
            shadows[id] = built.get(id) or build(candidates[id])
        except RungwiseError as error:
            _log.error("the shadow %s is left out: %s", short(id), error)
    answerers = {one.name: with_timeouts(built[one.candidate], timeouts.get(one.name)) for one in release.variants}
    return Live(release, answerers, shadows, candidates)
