"""Which readings make alerts: the rules of rungwise.yaml, or those that hold where it has none."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Collection, Iterator, Sequence

from rungwise.core.errors import UsageError
from rungwise.core.reading import ALARM, CANNOT_TELL, Reading
from rungwise.core.watching import CRITICAL, Rule, Watching
from rungwise.data.spec import CONDITION

BROKEN = "watch"
"""The first part of the names under which it is said that monitors broke; they speak only then, so silence means all is well."""

DEFAULTS = (
    Rule(name="drift", metric="drift"),
    Rule(name="failures", metric="drift.output.failures", severity=CRITICAL),
    Rule(name="quality", metric="quality.target", severity=CRITICAL),
    Rule(name="budget", metric="cost.budget"),
    Rule(name="user-budget", metric="cost.user_budget"),
    Rule(name="fairness", metric="fairness"),
    Rule(name="broken", metric=BROKEN, when="n < 1"),
)
"""The rules of a project that names none: each monitor's own alarm, within its promise about false alarms."""

FAMILIES = ("drift", "quality", "cost", "value", "feedback", "fairness", "review", BROKEN)
"""The first parts of the names of monitors."""

_SIGNS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def rules_of(watching: Watching) -> tuple[Rule, ...]:
    """The rules that hold."""
    return watching.rules or DEFAULTS


def applying(rules: Sequence[Rule], reading: Reading) -> Iterator[Rule]:
    """The rules that a reading is judged by. Of those that ask the same of it, the one with the most particular name of a monitor
    stands for all: 'drift.output.failures' before 'drift'."""
    own: dict[tuple[object, ...], Rule] = {}
    for rule in rules:
        if _is_of(rule, reading):
            asked = (rule.when, rule.days, tuple(sorted(rule.about.items())))
            known = own.get(asked)
            if known is None or len(rule.metric) > len(known.metric):
                own[asked] = rule
    yield from own.values()


def holds(rule: Rule, reading: Reading) -> bool | None:
    """Whether a rule holds of a reading that it applies to; None where that cannot be told.

    A monitor that cannot tell makes no alert and ends none; only 'n', the number of cases, can be asked for even then.
    Raises UsageError for a condition that cannot be read.
    """
    found = CONDITION.fullmatch(rule.when)
    if found is None:
        raise UsageError(f"the rule '{rule.name}' cannot read when: '{rule.when}'. Write alarm, or for instance: high < 0.9")
    field, sign, bound = found["field"], found["sign"], found["bound"]
    if reading.state == CANNOT_TELL and field != "n":
        return None
    if field is None:
        return reading.state == ALARM
    own: float | None = getattr(reading, field)
    return None if own is None else bool(_SIGNS[sign](own, float(bound)))


def doubts(rules: Sequence[Rule], monitors: Collection[str]) -> list[str]:
    """What is odd about rules: those that nothing was ever judged by, where `monitors` are all that ever read something."""
    said = []
    for rule in rules:
        if any(is_named(rule.metric, one) for one in monitors):
            continue
        family = rule.metric.partition(".")[0]
        known = sorted({*monitors, *FAMILIES})
        near = difflib.get_close_matches(rule.metric, known, n=1, cutoff=0.6)
        hint = f". Did you mean '{near[0]}'?" if near and (monitors or family not in FAMILIES) else ""
        said.append(f"the rule '{rule.name}' has judged nothing yet: no monitor called '{rule.metric}' has read anything{hint}")
    return said


def is_named(metric: str, monitor: str) -> bool:
    """Whether a monitor is meant by the name of a rule: its own name, or the beginning of it before a dot."""
    return monitor == metric or monitor.startswith(f"{metric}.")


def _is_of(rule: Rule, reading: Reading) -> bool:
    if not is_named(rule.metric, reading.monitor) or rule.days not in (None, reading.days):
        return False
    return all(reading.about.get(name) == value for name, value in rule.about.items())
