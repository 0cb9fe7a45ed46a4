"""Traffic against the rows that were decided on, as long as there is no traffic to compare with or where that is wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rungwise.core.candidate import Candidate
from rungwise.core.dataset import DEV, Example
from rungwise.core.decision import Decision
from rungwise.core.errors import StoreError
from rungwise.core.evaluation import Evaluation
from rungwise.core.reading import DAY_S
from rungwise.core.record import digest
from rungwise.data.datasets import Splits, load_dataset
from rungwise.data.judging import traces_by_id
from rungwise.data.nouns import Nouns
from rungwise.data.readings import Sketches
from rungwise.data.said import said
from rungwise.data.splits import FROM_TRACE, is_fresh
from rungwise.release.evidence import decision_of, decisions, evidence_for
from rungwise.watch.drift.baseline import Baseline
from rungwise.watch.drift.features import Requests
from rungwise.watch.drift.frame import EDITION, Frame, framed, language_source
from rungwise.watch.drift.judged import Judged, judged, levels_told
from rungwise.watch.drift.reference import labels_of
from rungwise.watch.drift.sketch import Part, Sketch, packed, sketched, unpacked
from rungwise.watch.scene import Scene
from rungwise.watch.traffic import Traffic

PARTS = 14
"""Into so many parts the rows are dealt, so that words and labels that are rare in them are known to be."""
FEWEST = 5 * PARTS
"""Fewer rows are not held against days."""

MONITORS = (
    "drift.input.length",
    "drift.input.language",
    "drift.input.vocabulary",
    "drift.input.meaning",
    "drift.output.answers",
    "drift.output.confidence",
    "drift.data.empty",
    "drift.data.personal",
)
Asked: TypeAlias = tuple[tuple[Example, str], ...]
"""Rows, each with its text as it was asked."""

_OF_ANSWERS = ("drift.output.answers", "drift.output.confidence")


def rows_for(scene: Scene, candidate: str | None) -> tuple[Frame, Sketch] | str:
    """The frame of the rows that were decided on and what they are like; why there is none."""
    decision = _decision(scene, candidate)
    if decision is None:
        return "no decision is known whose rows production could be held against"
    chosen = candidate or decision.chosen or ""
    kind = f"rows:{digest([EDITION, 'as asked', decision.dataset, chosen, list(scene.watching.off)])[:24]}"
    frames, parts = Sketches(scene.store, kind), Sketches(scene.store, f"{kind}:part")
    body, part = frames.get([0]).get(0), parts.get([0]).get(0)
    if body is None or part is None:
        kept = _rows(scene, decision)
        if kept is None:
            return "the rows that were decided on are not kept any more"
        found = _sketched(scene, kept, _evaluation(scene, chosen, decision), digest([decision.dataset, chosen]))
        if found is None:
            return "too few rows were decided on to hold production against them"
        frames.put(0, found[0].packed())
        parts.put(0, packed(found[1]))
        body, part = frames.get([0])[0], parts.get([0])[0]
    return Frame.unpacked(body), unpacked(part)


def rows_said(scene: Scene, candidate: str | None) -> Traffic | None:
    """The rows that were decided on as if they had been asked; None where they are not kept any more."""
    decision = _decision(scene, candidate)
    if decision is None:
        return None
    rows = _rows(scene, decision)
    return None if rows is None else _as_traffic(rows, _evaluation(scene, candidate or decision.chosen or "", decision))


def judged_by_rows(frame: Frame, rows: Sketch, feature: int, window: Mapping[int, Sketch]) -> Judged | None:
    """Whether the rows could be one more day among those of the window; None where they or the days say nothing of a feature.

    Units are days, whose noise is learned from the window, so that a difference is told when it is larger than days differ by
    themselves; their weekly season counts as noise.
    """
    part = rows.get((0, feature))
    if part is None:
        return None
    baseline = Baseline(frame, window, seasons=False)
    last = max(window)
    one = judged(baseline, 0, feature, 1, {last: part})
    details = {name: -value if isinstance(value, float) else value for name, value in one.details.items() if name != "moved"}
    moved = {name: -value for name, value in one.details.get("moved", {}).items()}
    back = one.why
    if one.value is not None and one.reference is not None:
        back = f"typically {one.reference:.4g} instead of {one.value:.4g}"
        if one.column is not None:
            back = levels_told(frame.features[feature], one.column, one.reference, one.value)
    directed = one.unit in ("share", "share of ranks")
    return replace(
        one,
        effect=-one.effect if directed else one.effect,
        value=one.reference if one.unit != "standard deviations" else one.value,
        reference=one.value if one.unit != "standard deviations" else one.reference,
        why=one.why if one.unit == "standard deviations" else back,
        n=round(sum(found.size for found in baseline.parts(0, feature).values())),
        details={**details, **({"moved": moved} if moved else {})},
    )


def _decision(scene: Scene, candidate: str | None) -> Decision | None:
    if scene.release is not None and candidate is not None:
        return decision_of(scene.store, scene.release, candidate)
    known = decisions(scene.store)
    return known[0] if known else None


def _rows(scene: Scene, decision: Decision) -> Asked | None:
    """The train and dev rows that are like what users ask, in users' own words; None where the rows are not kept any more.

    Rows from traffic hold masked text, and most are there since somebody noticed a mistake. So those that were drawn by chance
    stand alone where they are enough, with what was asked in place of the masked text; else those that never came from traffic.
    """
    try:
        splits = Splits.of(load_dataset(scene.store, decision.dataset))
    except StoreError:
        return None
    rows = (*splits.train, *splits.dev)
    drawn = {str(row.fields[FROM_TRACE]): row for row in rows if is_fresh(row.fields)}
    asked = traces_by_id(scene.store, list(drawn)) if len(drawn) >= FEWEST else {}
    if len(asked) >= FEWEST:
        return tuple((row, said(asked[id]).question) for id, row in drawn.items() if id in asked)
    return tuple((row, row.text) for row in rows if not row.fields.get(FROM_TRACE))


def _evaluation(scene: Scene, candidate: str, decision: Decision) -> Evaluation | None:
    try:
        return evidence_for(scene.store, Nouns(scene.store).get(Candidate, candidate), [decision]).evaluation
    except StoreError:
        return None


def _sketched(scene: Scene, rows: Asked, evaluation: Evaluation | None, salt: str) -> tuple[Frame, Sketch] | None:
    """The frame of rows, dealt into parts by chance, and the sketch of all of them as of one day."""
    if len(rows) < FEWEST:
        return None
    traffic = _as_traffic(rows, evaluation)
    rng = np.random.default_rng([int(salt[:8], 16), scene.case.seed])
    units = np.unique([str(unit) for unit in traffic.unit], return_inverse=True)[1]
    dealt = rng.integers(PARTS, size=int(units.max()) + 1)[units]
    languages = language_source([])
    answered = np.isin(np.arange(len(rows)), np.flatnonzero(traffic.answer != ""))

    def requests_of(part: int) -> tuple[Requests, Requests]:
        member = dealt == part
        both = (traffic.only(member), traffic.only(member & answered))
        return Requests(both[0], scene.encode, languages=languages), Requests(both[1], scene.encode, languages=languages)

    frame = framed(
        range(PARTS),
        requests_of,
        lambda name: name in MONITORS and scene.watching.wants(name),
        labels=labels_of(scene),
        seed=scene.case.seed,
    )
    frame = replace(frame, rows=salt, groups=())
    together: dict[int, list[Part]] = {}
    for part in range(PARTS):
        everybody, own = requests_of(part)
        inputs, outputs = (sketched(frame.features, (), one, day=part) for one in (everybody, own))
        for place, feature in enumerate(frame.features):
            found = (outputs if feature.monitor in _OF_ANSWERS else inputs).get((0, place))
            if found is not None:
                together.setdefault(place, []).append(found)
    return frame, {(0, place): _merged(parts) for place, parts in together.items()}


def _merged(parts: list[Part]) -> Part:
    size = sum(part.size for part in parts)
    mean = np.sum([part.size * part.mean for part in parts], axis=0) / size
    spread = np.sum([part.size * part.spread for part in parts], axis=0) / size
    columns = len(parts[0].who)
    who = tuple(np.unique(np.concatenate([part.who[column] for part in parts])) for column in range(columns))
    return Part(mean=mean, size=size, spread=spread, people=sum(part.people for part in parts), who=who)


def _as_traffic(asked: Asked, evaluation: Evaluation | None) -> Traffic:
    """Rows as if they had been asked: each by its group, answered where the candidate was measured on them."""
    rows = [row for row, _ in asked]
    told: dict[str, tuple[str, float]] = {}
    if evaluation is not None and evaluation.split == DEV:
        sure = evaluation.confidences or (None,) * len(evaluation.rows)
        for row, answer, confidence in zip(evaluation.rows, evaluation.answers, sure, strict=True):
            told[row] = (answer, float("nan") if confidence is None else confidence)
    found = [told.get(row.id, ("", float("nan"))) for row in rows]
    n = len(rows)
    nothing, zeros, no = _names([None] * n), np.zeros(n), np.zeros(n, np.bool_)
    return Traffic(
        ids=_names([row.id for row in rows]),
        at=np.full(n, 0.0) + DAY_S,
        user=nothing,
        unit=_names([row.group or row.id for row in rows]),
        tenant=nothing,
        release=nothing,
        variant=nothing,
        candidate=nothing,
        group=nothing,
        text=_names([text for _, text in asked]),
        answer=_names([answer for answer, _ in found]),
        confidence=np.array([confidence for _, confidence in found]),
        abstained=no,
        failed=no,
        truncated=no,
        seconds=zeros,
        input_tokens=zeros,
        output_tokens=zeros,
        usd=zeros,
    )


def _names(values: Sequence[str | None]) -> NDArray[np.object_]:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column
