"""The variants of a release against each other on live traffic, and what follows from it for the traffic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rungwise.core.release import Release
from rungwise.core.serving import Contest

if TYPE_CHECKING:
    from rungwise.data.feedback import Judgements, Outcome
    from rungwise.evaluate.contests import Standing

KEEP, PROMOTE, DROP = "keep", "promote", "drop"


@dataclass(frozen=True, kw_only=True)
class Duel:
    """A challenger against the champion, the first variant of the release. Figures are in units of the metric."""

    champion: str
    challenger: str
    standing: Standing


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """What follows: `action` is keep, promote (a shown winner takes all traffic) or drop (shown losers leave it), `weights` are
    those that the variants should have then, `why` is for people."""

    action: str
    weights: Mapping[str, float]
    why: str


def alike(live: Release, earlier: Iterable[Release]) -> tuple[Release, ...]:
    """The live release and those earlier ones that differ in the weights only: what was judged under them counts on."""
    own = _sides(live)
    return (live, *{one.id: one for one in earlier if one.id != live.id and _sides(one) == own}.values())


def hold_contest(judgements: Judgements, releases: Sequence[Release], rules: Contest) -> tuple[Duel, ...]:
    """Each challenger of the first of these releases against its champion, by all that was judged under any of them.

    `rules.level` is shared evenly over the challengers, and holds however often this is called. None of a single variant.
    """
    return duels(judgements.outcomes([one.id for one in releases], rules.metric), releases, rules)


def duels(outcomes: Iterable[Outcome], releases: Sequence[Release], rules: Contest) -> tuple[Duel, ...]:
    """The same from outcomes, in the order in which they came.

    The first judged outcome of a user or conversation counts: those after it depend on it, and would come from the same
    variant. A unit meets the challenger rather than the champion with the share that the weights gave it then.
    """
    first_seen: dict[str, Outcome] = {}
    for outcome in outcomes:
        first_seen.setdefault(outcome.unit, outcome)
    weights = {release.id: {one.name: one.weight for one in release.variants} for release in releases}
    champion, *challengers = (one.name for one in releases[0].variants)
    found = list(first_seen.values())
    return tuple(
        Duel(champion=champion, challenger=one, standing=_duel(found, weights, champion, one, rules, len(challengers)))
        for one in challengers
    )


def decide(found: Sequence[Duel], live: Release) -> Ruling:
    """What the duels say should happen to the traffic of the live release. Nothing is moved here.

    Where a winner's judged units are skewed nobody is promoted: it may only be judged by other people. A loser leaves all
    the same, since that is the safe side.
    """
    weights = {one.name: one.weight for one in live.variants}
    winners = [one for one in found if one.standing.verdict == "winner"]
    fair = [one for one in winners if not one.standing.skewed]
    if fair:
        best = max(fair, key=lambda one: one.standing.low)
        return _ruling(PROMOTE, weights, {name: float(name == best.challenger) for name in weights}, told(best))
    losers = {one.challenger: one for one in found if one.standing.verdict == "loser" and weights[one.challenger] > 0}
    if losers:
        rest = {name: 0.0 if name in losers else weight for name, weight in weights.items()}
        total = sum(rest.values())
        # Where only losers had traffic, it goes back to the champion.
        shares = {name: weight / total for name, weight in rest.items()} if total else {**rest, live.variants[0].name: 1.0}
        return _ruling(DROP, weights, shares, "; ".join(map(told, losers.values())))
    why = "; ".join(map(told, winners or found)) or "there is one variant only"
    return Ruling(action=KEEP, weights=weights, why=why)


def told(duel: Duel) -> str:
    """A duel in one sentence."""
    one = duel.standing
    figures = f"{one.difference:+.3g} [{one.low:+.3g}, {one.high:+.3g}] after {one.n_first:,} and {one.n_second:,} judged units"
    words = {"winner": "is better than", "loser": "is worse than"}.get(one.verdict, "cannot be told from")
    skewed = "; one of them is judged more often than its share of the traffic explains" if one.skewed else ""
    return f"{duel.challenger} {words} {duel.champion}: {figures}{skewed}"


def _ruling(action: str, weights: Mapping[str, float], wanted: Mapping[str, float], why: str) -> Ruling:
    return Ruling(action=KEEP if wanted == weights else action, weights=wanted, why=why)


def _sides(release: Release) -> tuple[str, tuple[tuple[str, str], ...]]:
    return release.salt, tuple((one.name, one.candidate) for one in release.variants)


def _duel(
    outcomes: Sequence[Outcome],
    weights: Mapping[str, Mapping[str, float]],
    champion: str,
    challenger: str,
    rules: Contest,
    challengers: int,
) -> Standing:
    import numpy as np

    from rungwise.evaluate.contests import compare_arms

    own = [one for one in outcomes if one.variant in (champion, challenger)]
    pairs = [(weights[one.release].get(champion, 0.0), weights[one.release].get(challenger, 0.0)) for one in own]
    # Where all traffic went to one of the two, nothing was compared.
    counted = [(one, second / (first + second)) for one, (first, second) in zip(own, pairs, strict=True) if first > 0 < second]
    values = np.array([one.value for one, _ in counted], np.float64)
    cap = rules.value_cap_usd if rules.metric == "value_usd" else None
    standing = compare_arms(
        np.array([one.variant == challenger for one, _ in counted], np.bool_),
        np.array([share for _, share in counted], np.float64),
        values if cap is None else (np.clip(values, -cap, cap) + cap) / (2 * cap),
        level=rules.level / challengers,
    )
    return standing if cap is None else _in_usd(standing, cap)


def _in_usd(standing: Standing, cap: float) -> Standing:
    """A standing of values that were scaled from [-cap, cap] to [0, 1], in US dollars again."""

    def mean(value: float | None) -> float | None:
        return None if value is None else (2 * value - 1) * cap

    return replace(
        standing,
        difference=standing.difference * 2 * cap,
        low=standing.low * 2 * cap,
        high=standing.high * 2 * cap,
        first=mean(standing.first),
        second=mean(standing.second),
    )
