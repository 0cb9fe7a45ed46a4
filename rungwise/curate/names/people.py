"""Names of persons: from the lists, and coined by syllables so that the tagger cannot live on lists alone."""

from __future__ import annotations

from random import Random

from rungwise.curate.names.lexicon import groups

_ONSETS = groups("parts")["onset"]
_NUCLEI = groups("parts")["nucleus"]
_CODAS = groups("parts")["coda"]
_SURNAME_ENDS = groups("parts")["surname"]
_GIVEN_ENDS = groups("parts")["given"]
_FAMILY_FIRST = {"hungarian", "chinese", "japanese", "korean", "vietnamese"}
_SUFFIXES = (" Jr.", " Jr", " Sr.", " III", " II")


def syllables(rng: Random, count: int) -> str:
    """A word of so many syllables that no list holds, in lower case."""
    word = ""
    for _ in range(count):
        onset = rng.choice(_ONSETS) if word or rng.random() < 0.8 else ""
        word += onset + rng.choice(_NUCLEI) + (rng.choice(_CODAS) if rng.random() < 0.35 else "")
    return word


def given(rng: Random, nation: str) -> str:
    """A given name: of the nation, or coined."""
    if rng.random() < 0.15:
        return (syllables(rng, rng.choice((1, 1, 2))) + rng.choice(_GIVEN_ENDS)).capitalize()
    return rng.choice(groups("given")[nation])


def surname(rng: Random, nation: str) -> str:
    """A surname: of the nation, of two parts, or coined."""
    draw = rng.random()
    if draw < 0.22:
        coined = (syllables(rng, rng.choice((1, 1, 2))) + rng.choice(_SURNAME_ENDS)).capitalize()
        prefix = rng.choice(
            (
                "Mc",
                "Mac",
                "O'",
                "D'",
                "de ",
                "van ",
                "von ",
                "di ",
                "Al-",
                "El ",
                "bin ",
                "Ben ",
                "Le ",
                "La ",
                "St. ",
                "zu ",
                "af ",
            )
        )
        return prefix + coined if rng.random() < 0.12 else coined
    drawn = rng.choice(groups("surnames")[nation])
    return f"{drawn}-{rng.choice(groups('surnames')[nation])}" if draw > 0.97 else drawn


def nation(rng: Random) -> str:
    """English names are one in five: they are the most frequent in most texts, not the only ones."""
    return "english" if rng.random() < 0.2 else rng.choice(tuple(groups("given")))


def full_name(rng: Random) -> str:
    """Given name and surname in one of the usual forms."""
    people = nation(rng)
    first, last = given(rng, people), surname(rng, people if rng.random() < 0.85 else nation(rng))
    draw = rng.random()
    if people in _FAMILY_FIRST and draw < 0.4:
        return f"{last} {first}"
    if draw < 0.7:
        return f"{first} {last}"
    if draw < 0.76:
        return f"{first} {rng.choice('ABCDEFGHJKLMNPRSTW')}{rng.choice(('. ', ' ', '. '))}{last}"
    if draw < 0.82:
        return f"{first} {given(rng, people)} {last}"
    if draw < 0.87:
        return f"{first[0]}. {last}"
    if draw < 0.9:
        return f"{first[0]}.{rng.choice(('', ' '))}{rng.choice('ABCDEFGHJKLMRSTW')}. {last}"
    if draw < 0.94:
        return f"{first} {last} {surname(rng, people)}"
    if draw < 0.96:
        return f"{first}-{given(rng, people)} {last}"
    if draw < 0.98:
        return f"{first} {last}{rng.choice(_SUFFIXES)}"
    return f'{first} "{given(rng, people)}" {last}'


def some_name(rng: Random) -> str:
    """A person as texts mention one: mostly in full or by the given name, rarely by the surname alone."""
    draw, people = rng.random(), nation(rng)
    if draw < 0.48:
        return full_name(rng)
    return given(rng, people) if draw < 0.86 else surname(rng, people)


def last_first(rng: Random) -> str:
    """`Surname, Given`, as in lists."""
    people = nation(rng)
    return f"{surname(rng, people)}, {given(rng, people)}"


def title(rng: Random) -> str:
    """What stands before a name and is no part of it."""
    return (
        rng.choice(("Mr.", "Mrs.", "Ms.", "Dr.", "Mr", "Mrs", "Ms", "Dr", "Miss", "Prof."))
        if rng.random() < 0.8
        else rng.choice(_TITLES)
    )


_TITLES = tuple(
    word
    for word in groups("words")["title"]
    if word not in {"Esq.", "Jr.", "Jr", "Sr", "III", "II", "PhD", "MD", "Ji", "M.", "Sr."}
)
