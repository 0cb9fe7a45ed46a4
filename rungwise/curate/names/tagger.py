"""The tagger at work: its weights, read once and checked, and the spans it finds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rungwise.core.errors import Corrupt, MissingExtra
from rungwise.curate.names.characters import characters
from rungwise.curate.names.lexicon import groups
from rungwise.curate.pii.span import Proof, Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TYPES = ("NAME", "ADDRESS", "LOCATION", "ORGANIZATION")
"""Label 0 is no name; label 2t + 1 begins a name of type t, label 2t + 2 goes on with it."""
LABELS = 1 + 2 * len(TYPES)
WEIGHTS = Path(__file__).with_name("weights.safetensors")
DIGEST = WEIGHTS.with_suffix(".sha256")
COURAGE = (2.0, 1.5, 0.5, 1.0)
"""What is added to the score of each type: where data are masked, recall is worth more than precision.
Chosen on the development set of benchmarks/pii_names.py."""
_LONGEST_PHRASE = 6  # tokens of the longest entry of a list that is looked for
_STRETCH = 20_000  # tokens decoded at once; a longer text is cut at its line ends and sentence ends


class Tagger(NamedTuple):
    """What a trained tagger is made of."""

    weights: NDArray[np.int8]
    """(2 ** 18, LABELS): in units of `scale`."""
    transitions: NDArray[np.float64]
    """(LABELS, LABELS), from row to column."""
    begin: NDArray[np.float64]
    """(LABELS,): how well a text begins with a label."""
    keys: NDArray[np.uint64]
    """Ascending hashes of the words and phrases of the lists."""
    masks: NDArray[np.int32]
    """The lists that each key stands in, one bit a list; bit 17: a longer phrase goes on from here."""
    scale: float


class Tokens(NamedTuple):
    """Where the tokens of a text stand, in code points, half open; each (n,)."""

    codes: NDArray[np.uint32]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


def kernels() -> Any:
    """The compiled loops. Raises MissingExtra without numba."""
    try:
        from rungwise.curate.kernels import tagger
    except ModuleNotFoundError as error:
        if error.name != "numba":
            raise
        raise MissingExtra("finding names", "curation") from error
    return tagger


def chain() -> Any:
    """The compiled loops of the model, as `kernels`."""
    kernels()
    from rungwise.curate.kernels import chain

    return chain


def tokenise(text: str) -> Tokens:
    """Cut a text into tokens."""
    import numpy as np

    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    starts, ends = np.empty(codes.size, np.int64), np.empty(codes.size, np.int64)
    count = kernels().tokenise(codes, characters().class_of, starts, ends)
    return Tokens(codes, starts[:count], ends[:count])


def featurise(tokens: Tokens, lists: tuple[NDArray[np.uint64], NDArray[np.int32]], hidden: NDArray[np.uint8]) -> NDArray[np.int32]:
    """(n, SLOTS): the rows of weights of each token. `hidden` (n,) is 1 where lists and identity are not to be seen."""
    import numpy as np

    rows = np.empty((tokens.starts.size, kernels().SLOTS), np.int32)
    tables, (keys, masks) = characters(), lists
    kernels().featurise(*tokens, tables.class_of, tables.case_of, tables.fold, keys, masks, _LONGEST_PHRASE, hidden, rows)
    return rows


def phrase_keys(text: str) -> list[int]:
    """The hashes of the first token, the first two, and so on: as the tagger looks a phrase up."""
    import numpy as np

    tokens, tables = tokenise(text), characters()
    keys = np.empty(tokens.starts.size, np.uint64)
    kernels().phrase_keys(*tokens, tables.class_of, tables.case_of, tables.fold, keys)
    return [int(key) for key in keys]


@cache
def _function_words() -> tuple[frozenset[str], frozenset[str]]:
    """Small words of English, and those of other languages that English does not have."""
    english = frozenset(groups("words")["function"])
    return english, frozenset(groups("words")["foreign"]) - english


def _is_foreign(text: str) -> bool:
    """Whether a text has clearly more small words of other languages than of English; an address alone does not make it so.

    There the tagger knows fewer words, and courage would make names of German nouns and Spanish verbs.
    """
    english, foreign = _function_words()
    words = text.lower().split()
    return sum(word in foreign for word in words) > sum(word in english for word in words) + 2


def tag(tagger: Tagger, text: str, *, courage: Sequence[float] = COURAGE) -> list[Span]:
    """The names in a text. `courage`, one number a type, is added to the scores of its labels, but not on words in
    lower case and not in languages other than English: more is found, and more of it wrong."""
    import numpy as np

    tokens = tokenise(text)
    if not tokens.starts.size:
        return []
    added = np.zeros(LABELS) if _is_foreign(text) else np.array([0.0, *np.repeat(courage, 2)])
    spans: list[Span] = []
    for first, last in _stretches(text, tokens):
        part = Tokens(tokens.codes, tokens.starts[first:last], tokens.ends[first:last])
        rows = featurise(part, (tagger.keys, tagger.masks), np.zeros(last - first, np.uint8))
        emissions, labels = np.empty((last - first, LABELS)), np.empty(last - first, np.int8)
        chain().scores(rows, tagger.weights, tagger.scale, emissions)
        chain().encourage(emissions, part.codes, part.starts, characters().case_of, added)
        chain().decode(emissions, tagger.transitions, tagger.begin, labels)
        spans += _spans(part, labels, text)
    return spans


def _stretches(text: str, tokens: Tokens) -> list[tuple[int, int]]:
    """Token ranges of at most `_STRETCH`, cut after a line end where there is one, so that memory stays flat on long texts."""
    count, first, cuts = tokens.starts.size, 0, []
    while count - first > _STRETCH:
        last = first + _STRETCH
        while last > first + _STRETCH // 2 and text[tokens.starts[last - 1]] not in "\n.!?":
            last -= 1
        last = last if last > first + _STRETCH // 2 else first + _STRETCH
        cuts.append((first, last))
        first = last
    return [*cuts, (first, count)]


def _spans(tokens: Tokens, labels: NDArray[np.int8], text: str) -> list[Span]:
    spans: list[Span] = []
    at = 0
    marked = labels.nonzero()[0].tolist()
    while at < len(marked):
        first = last = marked[at]
        kind = (int(labels[first]) - 1) // 2
        while at + 1 < len(marked) and marked[at + 1] == last + 1 and labels[last + 1] == 2 * kind + 2:
            at += 1
            last += 1
        at += 1
        while last > first and not text[tokens.ends[last] - 1].isalnum() and text[tokens.ends[last] - 1] not in ".)":
            last -= 1
        if tokens.ends[last] - tokens.starts[first] > 1:  # one letter names nobody
            spans.append(Span(int(tokens.starts[first]), int(tokens.ends[last]), TYPES[kind], Proof.TAGGER))
    return spans


def pack(tagger: Tagger) -> bytes:
    """A tagger as the bytes of a safetensors file."""
    import numpy as np
    from safetensors.numpy import save

    tensors = {name: np.ascontiguousarray(value) for name, value in tagger._asdict().items() if name != "scale"}
    return bytes(save(tensors | {"scale": np.array([tagger.scale])}))


def unpack(data: bytes, expected: str, *, where: str) -> Tagger:
    """The tagger in these bytes. Raises Corrupt when their SHA-256 is not `expected`."""
    if (found := hashlib.sha256(data).hexdigest()) != expected:
        raise Corrupt(
            f"{where} is damaged: its SHA-256 is {found[:12]}, not {expected[:12]}. "
            "Install the package again, or train with: python -m rungwise.fit.tag"
        )
    from safetensors.numpy import load

    tensors: Mapping[str, Any] = load(data)
    return Tagger(**{name: tensors[name] for name in Tagger._fields if name != "scale"}, scale=float(tensors["scale"][0]))


@cache
def shipped() -> Tagger:
    """The tagger that comes with the package."""
    return unpack(WEIGHTS.read_bytes(), DIGEST.read_text(encoding="ascii").strip(), where=str(WEIGHTS))


@dataclass(frozen=True, slots=True)
class NamesDetector:
    """Finds names of persons, addresses, places and organisations; see `names_detector`.

    `weights` is their digest: other weights see other names, so what was seen with these is not taken for theirs.
    """

    courage: tuple[float, float, float, float] = COURAGE
    weights: str = field(default_factory=lambda: DIGEST.read_text(encoding="ascii").strip())

    def __call__(self, texts: Sequence[str]) -> list[list[Span]]:
        """The spans of each text: NAME, ADDRESS, LOCATION, ORGANIZATION."""
        tagger = shipped()
        return [tag(tagger, text, courage=self.courage) for text in texts]


def names_detector() -> NamesDetector:
    """A detector of names, which runs offline on one core. Raises MissingExtra without numba, Corrupt on damaged weights."""
    return NamesDetector()
