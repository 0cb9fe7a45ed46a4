"""What the tagger knows of a character: its class, its case, and the plain letter it folds to."""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SPACE, _LINE, _LETTER, _DIGIT, _SIGN = range(5)
_FOLDS = {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "t", "ı": "i", "ß": "s", "æ": "a", "œ": "o"}
_PLANE = 65536  # characters beyond the basic plane (emoji, rare scripts) count as signs


class Characters(NamedTuple):
    """Tables over the basic plane, each (65536,)."""

    class_of: NDArray[np.uint8]
    case_of: NDArray[np.uint8]
    fold: NDArray[np.uint16]


def _class(sign: str) -> int:
    if sign in "\n\r\v\f\x85\u2028\u2029":
        return _LINE
    if sign.isspace() or unicodedata.category(sign) in ("Cf", "Cs", "Cc"):
        return _SPACE
    if sign.isalpha() or unicodedata.category(sign)[0] == "M":
        return _LETTER
    return _DIGIT if sign.isdecimal() else _SIGN


def _folded(sign: str) -> int:
    if "\u0300" <= sign <= "\u036f":
        return 0  # a combining mark: leaves no trace, so that é in one sign and in two are the same letter
    lower = sign.lower()[:1]
    return ord(_FOLDS.get(lower) or unicodedata.normalize("NFD", lower)[0])


@cache
def characters() -> Characters:
    """The tables; made in about 0.1 s, once a process."""
    import numpy as np

    class_of, case_of = np.empty(_PLANE, np.uint8), np.zeros(_PLANE, np.uint8)
    fold = np.arange(_PLANE, dtype=np.uint16)
    for code in range(_PLANE):
        sign = chr(code)
        class_of[code] = _class(sign)
        if class_of[code] == _LETTER:
            case_of[code] = 1 if sign.isupper() or sign.istitle() else 2 if sign.islower() else 0
            fold[code] = folded if (folded := _folded(sign)) < _PLANE else code
    class_of[_PLANE - 1] = _SIGN
    return Characters(class_of, case_of, fold)
