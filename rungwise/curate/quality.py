"""Which texts are too poor to learn from, by the rules of Gopher, C4 and FineWeb, with thresholds that fit the rows at hand.

Words are split at white space; lines are what stands between line feeds, stripped, blank ones left out; paragraphs are
runs of lines without a blank line between them. Lines and paragraphs are the same when their words are. Every share of
characters is of all characters of the text. A stop word counts in any case and with signs around it. A sentence ends with
a word that ends in a sign of TERMINAL, quotes and brackets after it aside.

The rules were published for web pages of at least 50 words. Two things follow. A row of fewer than 50 words, or of fewer
than 5 lines where a rule speaks of lines, is exempt from all rules but `empty` and the count of words (rules that look
for a word or sign in the text apply to any length). And by default the thresholds are calibrated, see `Quality`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from rungwise.core.errors import MissingExtra, UnknownName, UsageError
from rungwise.curate.step import Finding, Look, Rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Flags = NDArray[np.bool_]

GOPHER = "Gopher: Rae et al. 2021, arXiv 2112.11446, section A1.1"
REPETITION = "Gopher: Rae et al. 2021, arXiv 2112.11446, table A1"
C4 = "C4: Raffel et al. 2020, JMLR 21(140), section 2.2"
FINEWEB = "FineWeb: Penedo et al. 2024, arXiv 2406.17557, section 3.6"
FINEWEB_CODE = "FineWeb: its published pipeline (datatrove, FineWebQualityFilter)"

LEAST_WORDS = 50
"""Rows with fewer words are exempt: the least that Gopher lets pass, so what all its other rules were tuned on."""

LEAST_LINES = 5
"""Rows with fewer lines are exempt from rules on lines: there, one line is more than a fifth of all, past most thresholds."""

TERMINAL = ".!?。！？．｡．؟۔।॥።፧։။៖៕។܀܁܂՜՞᙮᠃᠉‼⁇⁈⁉‽⸮"
"""What a sentence or a line ends with: Unicode's property Sentence_Terminal, for the scripts in wide use."""

CLOSING = "\"')]}’”»›」』）】》〉"
"""Quotes and brackets that may follow the end of a sentence."""

_CODE_POINTS = 0x34000  # no character beyond is assigned, but for tags and private use
_LONGEST = 2_000_000  # characters of a text that are measured: a very long book
_BATCH_BYTES = 8_000_000


@dataclass(frozen=True, slots=True)
class Rule:
    """A published rule: a text fails when `feature` is below (`side` "least") or above ("most") the threshold.

    `kind` says which rows it is made for: "any", "document" (at least LEAST_WORDS words) or "lines" (LEAST_LINES lines
    too). A rule that is not `adjustable` keeps its threshold when calibrated.
    """

    code: str
    feature: str
    side: Literal["least", "most"]
    threshold: float
    measures: str
    source: str
    kind: Literal["any", "document", "lines"] = "document"
    adjustable: bool = True


RULES: tuple[Rule, ...] = (
    Rule("empty", "words", "least", 1, "words", "nothing can be learned from it", "any", adjustable=False),
    Rule("too_few_words", "words", "least", 50, "words", GOPHER, "any"),
    Rule("too_many_words", "words", "most", 100_000, "words", GOPHER, "any"),
    Rule("short_words", "word_length", "least", 3, "characters a word", GOPHER),
    Rule("long_words", "word_length", "most", 10, "characters a word", GOPHER),
    Rule("hash_signs", "hash_signs", "most", 0.1, "hash signs a word", GOPHER),
    Rule("ellipses", "ellipses", "most", 0.1, "ellipses a word", GOPHER),
    Rule("bullet_lines", "bullet_lines", "most", 0.9, "share of lines that start with a bullet", GOPHER, "lines"),
    Rule("ellipsis_lines", "ellipsis_lines", "most", 0.3, "share of lines that end with an ellipsis", GOPHER, "lines"),
    Rule("few_alphabetic_words", "alphabetic_words", "least", 0.8, "share of words with a letter", GOPHER),
    Rule("few_stop_words", "stop_words", "least", 2, "of the words the, be, to, of, and, that, have, with", GOPHER),
    Rule("duplicate_lines", "duplicate_lines", "most", 0.30, "share of lines that stood before", REPETITION, "lines"),
    Rule(
        "duplicate_paragraphs", "duplicate_paragraphs", "most", 0.30, "share of paragraphs that stood before", REPETITION, "lines"
    ),
    Rule(
        "duplicate_line_characters", "duplicate_line_characters", "most", 0.20, "share of characters in duplicate lines", REPETITION
    ),
    Rule(
        "duplicate_paragraph_characters",
        "duplicate_paragraph_characters",
        "most",
        0.20,
        "share of characters in duplicate paragraphs",
        REPETITION,
    ),
    *(
        Rule(f"top_{n}_gram", f"top_{n}_gram", "most", most, f"share of characters in the commonest {n} words", REPETITION)
        for n, most in ((2, 0.20), (3, 0.18), (4, 0.16))
    ),
    *(
        Rule(f"duplicate_{n}_grams", f"duplicate_{n}_grams", "most", most, f"share of characters in repeated {n} words", REPETITION)
        for n, most in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))
    ),
    Rule("lorem_ipsum", "lorem_ipsum", "most", 0, "has the phrase lorem ipsum", C4, "any", adjustable=False),
    Rule("curly_brackets", "curly_brackets", "most", 0, "has a curly bracket", C4),
    Rule("few_sentences", "sentences", "least", 5, "sentences in lines that C4 keeps", C4),
    Rule("few_terminal_lines", "terminal_lines", "least", 0.12, "share of lines that end a sentence", FINEWEB, "lines"),
    Rule("short_lines", "short_lines", "most", 0.67, "share of lines of at most 30 characters", FINEWEB, "lines"),
    Rule("duplicate_line_text", "duplicate_line_text", "most", 0.1, "share of text in duplicate lines", FINEWEB),
    Rule("line_breaks", "line_breaks", "most", 0.3, "line breaks a word", FINEWEB_CODE),
)
"""In the order in which they are asked; the first that fails is the reason.

C4 edits texts line by line; here it judges whole texts: the sentences counted are those in lines that it would keep
(ending in . ? ! " or ' but not in an ellipsis, of three words or more, none longer than 1,000 characters, without the word
JavaScript and without the phrases of privacy notices); a kept line has at least one. FineWeb's paper takes 0.1 for
duplicate lines, its code 0.01; at the bound itself, and for lines of exactly 30 characters, we follow the code.
"""


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How many of `rows` a rule alone sets aside with the published threshold and with the one in force; `exempt` it is not for."""

    rule: Rule
    in_force: float
    rows: int
    exempt: int
    published_fails: int
    fails: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Set aside texts that fail a rule of RULES; the reason is `quality:` and the code of the first rule that fails.

    `thresholds`: "published" takes the rules as they are, for every row, short ones too. "calibrated" (the default) takes
    the published threshold unless it would set aside more than `most_rejected` of the rows that the rule is made for: then the
    rule does not know this kind of text, and only outliers among these very rows fail. An outlier is at once beyond the far
    fence of Tukey (Exploratory Data Analysis, 1977, section 2D: three times the distance between the quartiles beyond
    them) and among the most extreme `most_rejected`; where no row is beyond the fence, the threshold is the most extreme
    value. A calibrated threshold is never stricter than the published one.

    `limits` gives thresholds by rule code that stand as given; `without` names rules to leave out.
    Raises UnknownName for a code that is not in RULES and UsageError for a share outside [0, 1].
    """

    thresholds: Literal["calibrated", "published"] = "calibrated"
    most_rejected: float = 0.05
    limits: tuple[tuple[str, float], ...] = ()
    without: tuple[str, ...] = ()

    name = "quality"
    edition = 1

    def __post_init__(self) -> None:
        known = [rule.code for rule in RULES]
        for code in [*dict(self.limits), *self.without]:
            if code not in known:
                raise UnknownName("quality rule", code, known)
        if self.thresholds not in ("calibrated", "published"):
            raise UnknownName("kind of thresholds", self.thresholds, ["calibrated", "published"])
        if not 0 <= self.most_rejected <= 1:
            raise UsageError(f"most_rejected is a share of the rows between 0 and 1, not {self.most_rejected}")

    def look(self, texts: Sequence[str]) -> Look:
        """`features`, float32 (n, features): what each text measures, in the order of kernels.quality.FEATURES.

        Of a text, the first two million characters are measured. Raises MissingExtra where numba is not installed.
        """
        return {"features": _measure(texts)}

    def decide(self, looks: Sequence[Look], rows: Rows) -> list[Finding]:
        """The rows that fail a rule, with the value measured and the threshold."""
        import numpy as np

        features = _columns(looks)
        first = np.full(len(rows), len(RULES), np.int16)
        in_force = self._in_force(features)
        for at, rule in reversed(list(enumerate(RULES))):
            if rule.code in in_force:
                first[self._fails(rule, in_force[rule.code], features)] = at
        return [
            Finding(int(row), f"quality:{rule.code}", _evidence(rule, float(features[rule.feature][row]), in_force[rule.code]))
            for row in np.flatnonzero(first < len(RULES))
            for rule in [RULES[first[row]]]
        ]

    def counts(self, looks: Sequence[Look]) -> list[RuleCount]:
        """For the data card: what each rule alone would set aside, as published and as in force."""
        features = _columns(looks)
        in_force = self._in_force(features)
        n = len(features["words"])
        return [
            RuleCount(
                rule=rule,
                in_force=in_force[rule.code],
                rows=n,
                exempt=n - int(_made_for(rule, features).sum()),
                published_fails=int(_beyond(rule, rule.threshold, features[rule.feature]).sum()),
                fails=int(self._fails(rule, in_force[rule.code], features).sum()),
            )
            for rule in RULES
            if rule.code in in_force
        ]

    def _in_force(self, features: Mapping[str, Floats]) -> dict[str, float]:
        """The threshold of each rule for these rows, by code."""
        own = dict(self.limits)
        return {
            rule.code: own[rule.code] if rule.code in own else self._threshold(rule, features)
            for rule in RULES
            if rule.code not in self.without
        }

    def _fails(self, rule: Rule, threshold: float, features: Mapping[str, Floats]) -> Flags:
        fails = _beyond(rule, threshold, features[rule.feature])
        return fails if self.thresholds == "published" else fails & _made_for(rule, features)

    def _threshold(self, rule: Rule, features: Mapping[str, Floats]) -> float:
        if self.thresholds == "published" or not rule.adjustable:
            return rule.threshold
        return calibrated(rule, features[rule.feature][_made_for(rule, features)], self.most_rejected)


def calibrated(rule: Rule, values: Floats, most_rejected: float) -> float:
    """The threshold of a rule for rows that measure `values`, all of them rows that the rule is made for; see Quality."""
    import numpy as np

    if not len(values) or float(_beyond(rule, rule.threshold, values).mean()) <= most_rejected:
        return rule.threshold
    low, high = (float(quartile) for quartile in np.quantile(values, (0.25, 0.75)))
    if rule.side == "most":
        extreme = float(np.quantile(values, 1 - most_rejected, method="higher"))
        return max(rule.threshold, extreme, min(high + 3 * (high - low), float(values.max())))
    extreme = float(np.quantile(values, most_rejected, method="lower"))
    return min(rule.threshold, extreme, max(low - 3 * (high - low), float(values.min())))


def _columns(looks: Sequence[Look]) -> Mapping[str, Floats]:
    """All looks as one array for each feature."""
    import numpy as np

    from rungwise.curate.kernels.quality import FEATURES

    table = np.concatenate([look["features"] for look in looks]) if looks else np.empty((0, len(FEATURES)), np.float32)
    return {name: table[:, place] for place, name in enumerate(FEATURES)}


def _beyond(rule: Rule, threshold: float, values: Floats) -> Flags:
    """Whether values fail, compared as float32, as they are kept."""
    import numpy as np

    limit = np.float32(threshold)
    return values < limit if rule.side == "least" else values > limit


def _made_for(rule: Rule, features: Mapping[str, Floats]) -> Flags:
    """The rows that a rule is made for."""
    words, lines = features["words"], features["lines"]
    if rule.kind == "any":
        return words >= 0
    enough = words >= LEAST_WORDS
    return enough & (lines >= LEAST_LINES) if rule.kind == "lines" else enough


def _evidence(rule: Rule, value: float, threshold: float) -> str:
    if rule.threshold == 0:  # a sign or a phrase that is there or not
        return rule.measures
    moved = "" if threshold == rule.threshold else f"; published: {rule.threshold:g}"
    return f"{value:.4g} {rule.measures}, at {rule.side} {threshold:.4g}{moved}"


def _measure(texts: Sequence[str]) -> NDArray[np.float32]:
    """The features of texts, some megabytes at a time."""
    import numpy as np

    try:
        from rungwise.curate.kernels.quality import FEATURES, measure
    except ImportError as error:
        raise MissingExtra("the quality rules", "curation") from error
    parts = [np.empty((0, len(FEATURES)), np.float32)]
    batch: list[bytes] = []
    held = 0
    for text in texts:
        batch.append(text[:_LONGEST].encode("utf-8", "surrogatepass"))
        held += len(batch[-1])
        if held >= _BATCH_BYTES:
            parts.append(measure(*_joined(batch), _kinds()))
            batch, held = [], 0
    if batch:
        parts.append(measure(*_joined(batch), _kinds()))
    return np.concatenate(parts)


def _joined(encoded: Sequence[bytes]) -> tuple[Any, Any]:
    """Texts one after the other, and where each begins; the last entry is the end."""
    import numpy as np

    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(text) for text in encoded], out=offsets[1:])
    return np.frombuffer(b"".join(encoded), np.uint8), offsets


@cache
def _kinds() -> NDArray[np.uint8]:
    """What each character is to the kernel, by code point."""
    import numpy as np

    from rungwise.curate.kernels import quality as kernel

    signs = [chr(code) for code in range(_CODE_POINTS)]
    kinds = np.array([sign.isalpha() for sign in signs], np.uint8) * kernel.LETTER
    kinds += np.array([sign.isspace() for sign in signs], np.uint8) * kernel.SPACE
    for letters, bit in ((TERMINAL, kernel.TERMINAL), (CLOSING, kernel.CLOSING), (kernel.NOTED_SIGNS, kernel.NOTED)):
        kinds[[ord(sign) for sign in set(letters)]] |= bit
    return kinds
