"""Fits the model of how comments sound from templates and word lists of our own: `python -m rungwise.fit.sentiment`.

The same seed gives the same bytes. No row of any data set is read. A project's own comments that came with thumbs correct it.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungwise.curate.sentiment.lexicon import comments
from rungwise.curate.sentiment.reader import DIGEST, VOCABULARY, WEIGHTS, Sentiment, features, pack, shipped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TEXTS = 60_000
"""How many made comments the shipped model is fitted on."""
SEED = 7
RARE = 4
"""A feature that stands in fewer made comments is left out."""
PRECISION = 2.0
"""C of the logistic regression; between 0.5 and 8 the held-out templates do not tell the difference."""
FEWEST_EACH = 50
"""Comments with a thumb up, and with one down, from which on a project corrects the model."""
FOLDS = 5
_OWN_PRECISION = 0.3


def fit(*, texts: int = TEXTS, seed: int = SEED, share: int = 0) -> Sentiment:
    """A model fitted on so many made comments; with `share` n every n-th template is left out, to measure on.

    Logistic regression over words, negated words and pairs, each row of unit length. A comment that sounds neither way counts
    half as good and half as bad, so that its words weigh nothing.
    """
    import numpy as np

    made = list(comments(seed, texts, share=share))
    seen = [features(one.text) for one in made]
    counts = Counter(name for own in seen for name in own)
    names = sorted(name for name, count in counts.items() if count >= RARE)
    places = {name: place for place, name in enumerate(names)}
    rows = _matrix(seen, places)
    sounds = np.array([one.sounds for one in made])
    target = np.concatenate([np.ones(len(made)), np.zeros(len(made))])
    weight = np.concatenate([sounds, 1 - sounds])
    kept = weight > 0
    model = _regression(PRECISION)
    model.fit(_stacked(rows, rows)[kept], target[kept], sample_weight=weight[kept])
    return Sentiment(places, model.coef_[0].astype(np.float32), float(model.intercept_[0]))


def _regression(precision: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=precision, solver="liblinear", random_state=0, max_iter=200)


def _matrix(seen: Sequence[Sequence[str]], places: dict[str, int]) -> Any:
    """(n, features) of rows whose known features share the length 1."""
    import numpy as np
    from scipy.sparse import csr_matrix

    own = [[place for name in names if (place := places.get(name)) is not None] for names in seen]
    sizes = np.array([len(one) for one in own])
    values = np.repeat(1 / np.sqrt(np.maximum(sizes, 1)), sizes)
    columns = np.array([place for one in own for place in one], np.int64)
    return csr_matrix((values, columns, np.concatenate([[0], np.cumsum(sizes)])), shape=(len(own), max(1, len(places))))


def _stacked(*parts: Any) -> Any:
    from scipy.sparse import vstack

    return vstack(parts, format="csr")


@dataclass(frozen=True)
class Spoken:
    """How comments sound, (n,) chances that each is good, and which model said so: 'shipped', or 'own' where the project's
    comments with thumbs corrected it. `accuracy` is the share of those thumbs that this model foretold without having seen them,
    `shipped_accuracy` the same of the shipped one; both None where there are too few thumbs."""

    chances: NDArray[np.float64]
    model: str
    accuracy: float | None = None
    shipped_accuracy: float | None = None


def spoken(texts: Sequence[str], thumbs: Sequence[bool | None], units: Sequence[str], *, model: Sentiment | None = None) -> Spoken:
    """How these comments sound. With at least `FEWEST_EACH` thumbs each way among them they correct the model: a logistic
    regression on its log odds and on their own words, cross-fitted by `units` (users), so that no comment is judged by a model
    that saw a thumb of its writer. The correction speaks only where it foretells held-out thumbs better (log loss)."""
    import numpy as np

    model = model or shipped()
    odds = model.odds(texts)
    plain = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
    known = np.array([thumb is not None for thumb in thumbs], np.bool_)
    up = np.array([thumb is True for thumb in thumbs], np.bool_)
    if min(int((known & up).sum()), int((known & ~up).sum())) < FEWEST_EACH:
        return Spoken(plain, "shipped")
    fold = _folds(units)
    if len(set(fold[known].tolist())) < FOLDS:
        return Spoken(plain, "shipped")
    own = np.clip(_corrected(texts, odds, known, up, fold), 1e-3, 1 - 1e-3)
    before = _accuracy(plain[known], up[known])
    if np.isnan(own).any() or _loss(own[known], up[known]) >= _loss(np.clip(plain[known], 1e-3, 1 - 1e-3), up[known]):
        return Spoken(plain, "shipped", before, before)
    return Spoken(own, "own", _accuracy(own[known], up[known]), before)


def _folds(units: Sequence[str]) -> NDArray[np.int64]:
    """(n,) the fold of each unit: the units in the order of their first comments, dealt out in turn."""
    import numpy as np

    places: dict[str, int] = {}
    return np.array([places.setdefault(unit, len(places)) % FOLDS for unit in units], np.int64)


def _corrected(
    texts: Sequence[str], odds: NDArray[np.float64], known: NDArray[np.bool_], up: NDArray[np.bool_], fold: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(n,) chances by the model of the other folds; NaN where these have thumbs of one kind only."""
    import numpy as np
    from scipy.sparse import csr_matrix, hstack

    seen = [features(text) for text in texts]
    counts = Counter(name for own, has in zip(seen, known, strict=True) if has for name in own)
    names = sorted(name for name, count in counts.items() if count >= 2)
    rows = _matrix(seen, {name: place for place, name in enumerate(names)})
    rows = hstack([csr_matrix(np.clip(odds, -8, 8)[:, None]), rows], format="csr")
    found = np.full(len(texts), np.nan)
    for held in range(FOLDS):
        learn = known & (fold != held)
        if len(set(up[learn].tolist())) == 2 and (fold == held).any():
            own = _regression(_OWN_PRECISION).fit(rows[learn], up[learn])
            found[fold == held] = own.predict_proba(rows[fold == held])[:, 1]
    return found


def _accuracy(chances: NDArray[np.float64], up: NDArray[np.bool_]) -> float:
    return float(((chances > 0.5) == up).mean())


def _loss(chances: NDArray[np.float64], up: NDArray[np.bool_]) -> float:
    import numpy as np

    return float(-np.log(np.where(up, chances, 1 - chances)).mean())


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, and write the weights, the vocabulary and their SHA-256."""
    parser = argparse.ArgumentParser(prog="python -m rungwise.fit.sentiment", description=__doc__)
    parser.add_argument("--texts", type=int, default=TEXTS, help="how many comments to make and fit on")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--share", type=int, default=0, help="leave every n-th template out")
    parser.add_argument("--out", type=Path, default=WEIGHTS.parent, help="the folder to write to")
    given = parser.parse_args(arguments)
    weights, vocabulary, digest = pack(fit(texts=given.texts, seed=given.seed, share=given.share))
    for path, data in ((WEIGHTS, weights), (VOCABULARY, vocabulary), (DIGEST, f"{digest}\n".encode())):
        (given.out / path.name).write_bytes(data)
    sys.stdout.write(f"{given.out}: {len(weights) + len(vocabulary):,} bytes, sha256 {digest}\n")


if __name__ == "__main__":
    main()
