"""The wording that terminal, report and notebook share: figures with units, state words, and the sentences of the verdict."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Sequence

from rungwise.core.decision import (
    CANNOT_TELL,
    FAILED,
    MEASURED,
    MET,
    NOT_INSTALLED,
    NOT_MET,
    NOT_RUN,
    OVER_LIMIT,
    Decision,
    RungResult,
    Spend,
)
from rungwise.core.evaluation import Estimate
from rungwise.core.usecase import Target

STATE_WORDS = {
    MET: "met",
    NOT_MET: "not met",
    CANNOT_TELL: "cannot tell",
    MEASURED: "measured",
    NOT_RUN: "not run",
    NOT_INSTALLED: "not installed",
    OVER_LIMIT: "over limit",
    FAILED: "failed",
}
STATE_SIGNS = {
    MET: "✓",
    NOT_MET: "✗",
    CANNOT_TELL: "?",
    MEASURED: "•",
    NOT_RUN: "·",
    NOT_INSTALLED: "○",
    OVER_LIMIT: "!",
    FAILED: "!",
}
GROUP_WORDS = {
    "shown_good": "shown good",
    "shown_bad": "shown below the floor",
    "cannot_tell": "cannot tell",
    "too_small": "too few rows to tell",
}
NOTHING = "–"

# Shares of rows are said in percent; other scores as the plain number that the field writes.
_SHARES = {"accuracy", "balanced_accuracy", "exact_match", "contains", "precision", "recall", "coverage"}
_ACRONYMS = {"f1": "F1", "auc": "AUC", "mcc": "MCC", "mse": "MSE", "rouge": "ROUGE", "bleu": "BLEU"}
# Control characters can drive a terminal and are not legal in HTML; lone surrogates cannot be written at all.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_BIDI_CONTROLS = re.compile("[\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """The text with control characters and lone surrogates replaced by U+FFFD; tab and newline stay."""
    return _UNPRINTABLE.sub("\ufffd", text)


def one_line(text: str) -> str:
    """Text for one cell of a terminal: no controls, no change of direction, no line breaks."""
    return " ".join(_BIDI_CONTROLS.sub("", printable(text)).split())


def shortened(text: str, width: int) -> str:
    """At most `width` characters, the cut marked by an ellipsis."""
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


# Figures

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def percent(share: float, *, decimals: int = 1) -> str:
    """A share in [0, 1] as percent: `92.3 %`."""
    return f"{share * 100:.{decimals}f} %"


def usd(amount: float | None) -> str:
    """US dollars with two or three digits that mean something: `$0`, `<$0.0001`, `$0.0031`, `$0.42`, `$12.40`, `$1,240`."""
    if amount is None:
        return NOTHING
    if amount < 0:
        return "-" + usd(-amount)
    if amount == 0:
        return "$0"
    if amount < 0.0001:
        return "<$0.0001"
    if amount < 0.0995:
        places = 1 - math.floor(math.log10(amount))
        return f"${amount:.{places}f}".rstrip("0")
    if amount < 99.995:
        return f"${amount:.2f}"
    return f"${amount:,.0f}"


def seconds(duration_s: float | None) -> str:
    """A duration in the unit people would use: `<1 ms`, `1.2 ms`, `420 ms`, `4.2 s`, `42 s`, `3 min 20 s`, `1 h 5 min`."""
    if duration_s is None:
        return NOTHING
    if duration_s <= 0:
        return "0 s"
    if duration_s < 0.001:
        return "<1 ms"
    if duration_s < 0.9995:
        return f"{duration_s * 1e3:.1f} ms" if duration_s < 0.00995 else f"{duration_s * 1e3:.0f} ms"
    if duration_s < 59.5:
        return f"{duration_s:.1f} s" if duration_s < 9.95 else f"{duration_s:.0f} s"
    return _long_duration(round(duration_s))


def _long_duration(whole_s: int) -> str:
    if whole_s < 3600:
        parts = ((whole_s // 60, "min"), (whole_s % 60, "s"))
    elif whole_s < 86400:
        parts = ((whole_s // 3600, "h"), (whole_s % 3600 // 60, "min"))
    else:
        parts = ((whole_s // 86400, "d"), (whole_s % 86400 // 3600, "h"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count)


def usd_tick(amount: float) -> str:
    """A round amount on an axis, where `<$0.0001` would say nothing: `$10⁻⁵`, `$0.1`, `$20`."""
    if 0 < amount < 0.001:
        power = math.floor(math.log10(amount) + 1e-9)
        times = round(amount / 10.0**power)
        return "$" + (f"{times}·" if times > 1 else "") + "10" + str(power).translate(_RAISED)
    return f"${amount:,.10g}"


def seconds_tick(duration_s: float) -> str:
    """A round duration on an axis: `100 µs`, `1 ms`, `20 s`."""
    for unit_s, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if duration_s >= unit_s * 0.9999 or unit == "µs":
            return f"{duration_s / unit_s:,.6g} {unit}" if duration_s else "0 s"
    return NOTHING


def count(number: int, noun: str, plural: str | None = None) -> str:
    """`1 row`, `1,200 rows`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def metric_name(metric: str) -> str:
    """`macro_f1` as people write it: `macro F1`."""
    return " ".join(_ACRONYMS.get(word, word) for word in metric.split("_"))


def quality(value: float, metric: str, *, n: int | None = None) -> str:
    """A score with as many digits as `n` rows carry: percent for shares of rows, a plain number for other metrics."""
    few = n is not None and n < 100
    if metric in _SHARES:
        return percent(value, decimals=0 if few else 1)
    return f"{value:.{2 if few else 3}f}"


def interval(estimate: Estimate, metric: str) -> str:
    """`[89.9, 94.2]`, in the unit of `quality`, rounded outwards so that it never looks narrower than it is."""
    scale, decimals = _scale(metric, estimate.n)
    low, high = _down(estimate.low * scale, decimals), _up(estimate.high * scale, decimals)
    return f"[{low}, {high}]"


def at_least(low: float, target: Target) -> str:
    """A lower bound, rounded down, with the digits that the target has or one more than it usually needs: `≥ 91.1 %`."""
    return "≥ " + _bound(low, target, _down)


def at_most(high: float, target: Target) -> str:
    """An upper bound, rounded up."""
    return "≤ " + _bound(high, target, _up)


def target_value(target: Target) -> str:
    """The target's value in the unit of its metric: `90 %`, `0.85`."""
    return as_given(target.value, target.metric)


def as_given(value: float, metric: str) -> str:
    """A figure that somebody chose, with the digits it was given with."""
    return f"{value * 100:.10g} %" if metric in _SHARES else f"{value:g}"


def chance(probability: float) -> str:
    """A chance in whole percent, and never quite 0 or 100."""
    if probability > 0.99:
        return ">99 %"
    return "<1 %" if probability < 0.01 else percent(probability, decimals=0)


def target_words(target: Target) -> str:
    """`accuracy of at least 90 %`, with the coverage where there is one."""
    words = f"{metric_name(target.metric)} of at least {target_value(target)}"
    if target.coverage is not None:
        words += f" while answering at least {target.coverage * 100:.10g} % of the rows"
    return words


def target_short(target: Target) -> str:
    """`accuracy ≥ 90 %`, `accuracy ≥ 95 % at coverage ≥ 80 %`."""
    tail = f" at coverage ≥ {target.coverage * 100:.10g} %" if target.coverage is not None else ""
    return f"{metric_name(target.metric)} ≥ {target_value(target)}{tail}"


def sealed_bound(rung: RungResult, target: Target) -> str:
    """What the sealed rows say of a rung: its lower bound, or its upper bound where that is below the target."""
    if rung.test is None:
        return NOTHING
    if rung.state == NOT_MET and rung.test.high < target.value:
        return at_most(rung.test.high, target)
    return at_least(rung.test.low, target)


def _scale(metric: str, n: int) -> tuple[float, int]:
    few = n < 100
    return (100.0, 0 if few else 1) if metric in _SHARES else (1.0, 2 if few else 3)


def _bound(value: float, target: Target, rounded: Callable[[float, int], str]) -> str:
    share = target.metric in _SHARES
    scale = 100.0 if share else 1.0
    written = f"{target.value * scale:.10g}"
    decimals = max(1 if share else 3, len(written.partition(".")[2]))
    return rounded(value * scale, decimals) + (" %" if share else "")


def _down(value: float, decimals: int) -> str:
    """Rounded down; a hair of 1e-9 keeps exact decimals where they are."""
    return f"{math.floor(value * 10**decimals + 1e-9) / 10**decimals:.{decimals}f}"


def _up(value: float, decimals: int) -> str:
    return f"{math.ceil(value * 10**decimals - 1e-9) / 10**decimals + 0.0:.{decimals}f}"


def development(rung: RungResult) -> str:
    """What making and measuring the rung took: `12 s`, `9.0 s + $0.41`."""
    if rung.fit_s is None:
        return NOTHING
    money = f" + {usd(rung.usd)}" if rung.usd >= 0.005 else ""
    return seconds(rung.fit_s + rung.seconds) + money


def spend(amount: Spend) -> str:
    """`42 s, $0.12 and 1,200 calls`; what is zero is left out."""
    parts = [seconds(amount.seconds)] if amount.seconds > 0 else []
    parts += [usd(amount.usd)] if amount.usd > 0 else []
    parts += [count(amount.calls, "call")] if amount.calls > 0 else []
    return listing(parts) if parts else "nothing"


def listing(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1] if items else ""


# Sentences


def chosen_rung(decision: Decision) -> RungResult | None:
    """The result of the rung that was chosen."""
    return next((rung for rung in decision.rungs if rung.rung == decision.chosen_rung), None)


def verdict_sentence(decision: Decision) -> str:
    """The verdict in one sentence that a manager can read."""
    wanted = target_words(decision.target)
    if decision.verdict == MET:
        return f"Met: the {decision.chosen_rung} rung is shown to reach {wanted}."
    if decision.verdict == NOT_MET:
        return f"Not met: no technique of this ladder reaches {wanted}."
    return f"Cannot tell: these examples neither show nor rule out {wanted}."


def headline(decision: Decision) -> str:
    """The verdict sentence for a place where the verdict itself already stands beside it."""
    return _sentence(verdict_sentence(decision).partition(": ")[2])


def meaning(decision: Decision) -> str:
    """What the verdict means for the reader, in two or three sentences."""
    if decision.verdict == MET:
        return _meaning_of_met(decision)
    if decision.verdict == NOT_MET:
        return (
            "Every rung ran, and the quality of each one is shown to be below the target. More test rows would not change that; "
            "better or more training examples, a further rung or a lower target may."
        )
    return _meaning_of_cannot_tell(decision)


def _meaning_of_met(decision: Decision) -> str:
    rung = chosen_rung(decision)
    metric = metric_name(decision.target.metric)
    text = "It is the cheapest technique, in the order of this ladder, that is shown to be good enough."
    if rung is not None and rung.test is not None:
        bound = at_least(rung.test.low, decision.target).removeprefix("≥ ")
        text = f"On {count(rung.test.n, 'sealed row')} that no candidate had seen, its {metric} is at least {bound}. " + text
    return text


def _meaning_of_cannot_tell(decision: Decision) -> str:
    text = "This is not a no: the target may well be reachable, but the evidence does not decide it."
    if decision.more_examples is not None:
        rows = count(decision.more_examples, "new sealed row")
        return f"{text} At the quality seen on dev, about {rows} would tell."
    best = best_measured(decision) if decision.target.coverage is None else None  # among the answered it may be better
    if best is not None and best.dev is not None and best.dev.mean < decision.target.value:
        return f"{text} The best quality seen on dev is below the target, so more test rows alone would not help."
    return text


def best_measured(decision: Decision) -> RungResult | None:
    """The rung with the highest dev score; the earlier, which is the cheaper, among equals."""
    measured = [rung for rung in decision.rungs if rung.dev is not None]
    return max(measured, key=lambda rung: rung.dev.mean if rung.dev else 0.0, default=None)


def openings_sentence(decision: Decision) -> str:
    """How often the sealed rows were opened, and how much of the error that may ever be spent is spent."""
    # Two rungs may stand by one candidate: then the second's bound is the first's, and nothing is opened again.
    opened = sorted({rung.test.k for rung in decision.rungs if rung.test is not None})
    if not opened:
        return f"The sealed rows were not opened. Error level spent: {_spent(decision)}."
    numbers = listing([f"k = {k}" for k in opened])
    if decision.alpha_spent == 0:
        return (
            f"No new opening was needed: the bounds of earlier ones ({numbers}) were stored. Error level spent: {_spent(decision)}."
        )
    times = {1: "once", 2: "twice"}.get(len(opened), f"{len(opened)} times")
    return f"The sealed rows were opened {times} ({numbers}). Error level spent: {_spent(decision)}."


def _spent(decision: Decision) -> str:
    before = f", {decision.alpha_spent_before:.2g} before it" if decision.alpha_spent_before > 0 else ""
    return f"{decision.alpha_spent:.2g} by this climb{before}, of {decision.alpha_total:g} for all climbs"


def control_sentence(decision: Decision) -> str:
    """Whether the promise is exact, or as good as a bootstrap."""
    if decision.control == "exact":
        return "The bound that decides is exact."
    return f"The bound on {metric_name(decision.target.metric)} is a bootstrap: the promise holds approximately."


def not_run(decision: Decision) -> list[str]:
    """The names of the rungs that were not needed."""
    return [rung.rung for rung in decision.rungs if rung.state == NOT_RUN]


def missing(decision: Decision) -> list[str]:
    """The names of the rungs that could not run: an extra is missing, or they failed."""
    return [rung.rung for rung in decision.rungs if rung.state in (NOT_INSTALLED, FAILED)]


def savings_sentence(decision: Decision) -> str:
    """What was not run and what that saved."""
    left, absent, saved = not_run(decision), missing(decision), decision.saved
    sentences = []
    if left:
        sentences.append(f"Not run: {listing(left)}.")
    if left and (saved.seconds > 0 or saved.usd > 0 or saved.calls > 0):
        sentences.append(f"That saved about {spend(saved)}.")
    if absent:
        sentences.append(f"Could not run: {listing(absent)}.")
    return " ".join(sentences) or "Nothing was left out: every rung ran."


def stop_sentence(decision: Decision) -> str:
    """Why we stopped here."""
    return _sentence(decision.reason) if decision.reason else verdict_sentence(decision)


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def next_command(decision: Decision, project: str) -> tuple[str, str]:
    """The next command to type, and what it does."""
    name = shlex.quote(project)
    if decision.verdict == MET:
        return f'rungwise ask {name} "your text"', f"{decision.chosen_rung} answers"
    if decision.verdict == NOT_MET:
        return f"rungwise report {name} -o report.html", "see which rows are answered wrongly"
    if missing(decision):
        return "rungwise doctor", "see what is missing and what to type"
    return f"rungwise forecast {name}", "see how many rows would tell"
