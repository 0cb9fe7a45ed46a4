"""Guards: look at what is asked and answered, let it pass, change it, or refuse it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from rungwise.core.errors import MissingExtra, UsageError
from rungwise.core.serving import Guarding
from rungwise.core.trace import Span
from rungwise.serve.ask import Tape
from rungwise.serve.failure import Blocked

WHERE = ("input", "output")
ON_FAIL = ("block", "mask", "flag")
ON_ERROR = ("closed", "open")


@dataclass(frozen=True, slots=True)
class Judged:
    """What a guard says of a text: whether it passes, why not, and the text with what offends replaced."""

    passed: bool
    why: str = ""
    masked: str = ""


Guard: TypeAlias = Callable[[str], Judged | Awaitable[Judged]]
GuardFactory: TypeAlias = Callable[[Mapping[str, Any]], Guard]
"""A guard from its settings; built once, when the project is opened. Registered under the entry points `rungwise.guards`."""

PASSED = Judged(True)
_UNSEEN = dict.fromkeys((0xAD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF))
"""Characters that nobody sees inside a word: soft hyphen, zero-width space, joiners, byte-order mark."""


def PHRASES(settings: Mapping[str, Any]) -> Guard:  # noqa: N802 - the name that the entry point gives it
    """Refuses texts that hold one of `settings["words"]`: whole words, in any case, whatever space is between them."""
    words = settings.get("words")
    if not isinstance(words, list) or not words or not all(isinstance(word, str) and word.strip() for word in words):
        raise UsageError("the guard 'phrases' needs its words: settings: {words: [first phrase, second phrase]}")
    ordered = sorted((" ".join(word.split()) for word in words), key=len, reverse=True)
    spaced = (r"\s+".join(map(re.escape, word.split())) for word in ordered)
    pattern = re.compile("|".join(rf"(?<!\w){word}(?!\w)" for word in spaced), re.IGNORECASE)
    plain = tuple({max(word.lower().split(), key=len) for word in ordered}) if all(map(str.isascii, ordered)) else None

    def judge(text: str) -> Judged:
        if not text.isascii():
            text = text.translate(_UNSEEN)
        elif plain is not None:
            # Where not even the longest word of a phrase stands the pattern is not asked: that is thirty times quicker. Beyond
            # ASCII letters fold in more ways than `lower` knows.
            small = text.lower()
            for word in plain:
                if word in small:
                    break
            else:
                return PASSED
        found = pattern.search(text)
        return PASSED if found is None else Judged(False, "it holds a phrase that is not allowed", pattern.sub("[...]", text))

    return judge


def PERSONAL_DATA(settings: Mapping[str, Any]) -> Guard:  # noqa: N802 - the name that the entry point gives it
    """Finds personal data and secrets that have a form; `settings["types"]` says which, every known type unless told."""
    from rungwise.curate.pii.detect import Structured
    from rungwise.curate.pii.masking import placeholder, rewritten

    wanted = settings.get("types", ())
    detect = Structured(tuple(str(one).upper() for one in wanted))
    detect([""])  # an unknown type, or a missing package, is told now

    def look(text: str) -> Judged:
        spans = detect([text])[0]
        if not spans:
            return PASSED
        types = ", ".join(sorted({span.type for span in spans}))
        return Judged(False, f"it holds {types}", rewritten(text, spans, placeholder))

    return lambda text: asyncio.to_thread(look, text)


@dataclass(frozen=True, slots=True)
class Placed:
    """A guard with the place it has in a project."""

    rule: Guarding
    judge: Guard


def load_guards(rules: Sequence[Guarding]) -> tuple[Placed, ...]:
    """The guards of a project, each looked up among the plugins. Raises UnknownName, UsageError or MissingExtra."""
    return tuple(Placed(_checked(rule), _factory(rule.guard)(rule.settings)) for rule in rules)


def _checked(rule: Guarding) -> Guarding:
    for name, given, known in (
        ("where", rule.where, WHERE),
        ("on_fail", (rule.on_fail,), ON_FAIL),
        ("on_error", (rule.on_error,), ON_ERROR),
    ):
        for one in given:
            if one not in known:
                raise UsageError(f"the guard '{rule.guard}': {name} is one of {', '.join(known)}, not '{one}'")
    return rule


def _factory(name: str) -> GuardFactory:
    from importlib.metadata import entry_points

    from rungwise.core.errors import UnknownName

    known = {entry.name: entry for entry in entry_points(group="rungwise.guards")}
    if name not in known:
        raise UnknownName("guard", name, known, where="rungwise.yaml, under 'serve'")
    try:
        factory: GuardFactory = known[name].load()
    except ImportError as error:
        raise MissingExtra(f"the guard '{name}'", "curation") from error
    return factory


async def check(guards: Sequence[Placed], text: str, where: str, tape: Tape) -> str:
    """The text as it may go on. Raises Blocked when a guard refuses it, or breaks and is to be kept closed."""
    for placed in guards:
        rule = placed.rule
        if where not in rule.where or not text:
            continue
        begun = tape.elapsed_s
        judged, error = await _judge(placed, text)
        if error is None and judged.passed:
            continue
        details = {"where": where, "action": rule.on_fail, "why": judged.why}
        tape.spans.append(
            Span(name=rule.guard, kind="guard", start_s=begun, seconds=tape.elapsed_s - begun, error=error, details=details)
        )
        if error is not None:
            if rule.on_error == "closed":
                raise Blocked(f"the guard '{rule.guard}' could not look at the {where}, and nothing passes unseen")
        elif rule.on_fail == "block":
            raise Blocked(f"the {where} was refused by the guard '{rule.guard}': {judged.why}")
        elif rule.on_fail == "mask":
            text = judged.masked
    return text


async def _judge(placed: Placed, text: str) -> tuple[Judged, str | None]:
    try:
        judged = placed.judge(text)
        return (judged if isinstance(judged, Judged) else await judged), None
    except Exception as error:  # noqa: BLE001 - boundary: a guard that breaks must neither let text pass unseen nor end the server
        return PASSED, type(error).__name__
