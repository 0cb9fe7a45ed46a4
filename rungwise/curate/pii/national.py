"""Check digits of national identity, tax, health and social security numbers.

Each function takes the characters as they stand in the text, separators included, and says whether they hold together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rungwise.curate.pii.checksums import digits_of, luhn

_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
# Values of the characters in odd places of an Italian fiscal code: D.M. 23 December 1976, table of odd characters.
_CODICE_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (
            1,
            0,
            5,
            7,
            9,
            13,
            15,
            17,
            19,
            21,
            1,
            0,
            5,
            7,
            9,
            13,
            15,
            17,
            19,
            21,
            2,
            4,
            18,
            20,
            11,
            3,
            6,
            8,
            12,
            14,
            16,
            10,
            22,
            25,
            24,
            23,
        ),
        strict=True,
    )
)
# The tables of the Verhoeff scheme (J. Verhoeff, Error Detecting Decimal Codes, 1969): products in the dihedral group D5, and
# the permutation applied once per place.
_DIHEDRAL = tuple(tuple((a + b) % 5 + 5 * (b > 4) if a < 5 else (a - b) % 5 + 5 * (b < 5) for b in range(10)) for a in range(10))
_VERHOEFF_STEP = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def _weighted(number: str, weights: Sequence[int]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(number, weights, strict=False))


def _varied(number: str) -> bool:
    """Whether it is more than one digit repeated, which many schemes let through and nobody was given."""
    return len(set(number)) > 1


def us_ssn(text: str) -> bool:
    """A US social security number that may be given: not area 000, 666, 900+, group 00, serial 0000 (SSA POMS RM 10201)."""
    number = digits_of(text)
    area, group, serial = number[:3], number[3:5], number[5:]
    return (
        area not in ("000", "666")
        and area < "900"
        and group != "00"
        and serial != "0000"
        and number not in ("123456789", "078051120")
    )


def us_itin(text: str) -> bool:
    """A US individual taxpayer number: 9xx and a group 50-65, 70-88, 90-92, 94-99 (IRS Publication 1915)."""
    number = digits_of(text)
    group = int(number[3:5])
    return number[0] == "9" and (50 <= group <= 65 or 70 <= group <= 88 or (90 <= group <= 99 and group != 93))


def br_cpf(text: str) -> bool:
    """A Brazilian CPF: two check digits mod 11, weights 10..2 and 11..2 (Receita Federal)."""
    number = digits_of(text)
    first = _weighted(number[:9], range(10, 1, -1)) * 10 % 11 % 10
    second = _weighted(number[:10], range(11, 1, -1)) * 10 % 11 % 10
    return _varied(number) and number[9:] == f"{first}{second}"


def br_cnpj(text: str) -> bool:
    """A Brazilian CNPJ, with letters too as since July 2026: code minus 48, weights 5..2 9..2 and 6..2 9..2 (IN RFB 2229/2024)."""
    plain = re.sub(r"[^0-9A-Z]", "", text.upper())
    values = [ord(char) - 48 for char in plain]
    weights = (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)
    rests = [sum(a * b for a, b in zip(values, weights[13 - size :], strict=False)) % 11 for size in (12, 13)]
    return len(plain) == 14 and _varied(plain) and values[12:] == [0 if rest < 2 else 11 - rest for rest in rests]


def uk_nino(text: str) -> bool:
    """A UK national insurance number: the prefixes that are given out and a suffix A-D (HMRC NIM39110)."""
    plain = re.sub(r"[ -]", "", text.upper())
    prefix = plain[:2]
    return re.fullmatch(r"[A-CEGHJ-PRSTW-Z][A-CEGHJ-NPRSTW-Z]\d{6}[A-D]", plain) is not None and prefix not in (
        "BG",
        "GB",
        "KN",
        "NK",
        "NT",
        "TN",
        "ZZ",
    )


def uk_nhs(text: str) -> bool:
    """A UK NHS number: mod 11 with weights 10..2 (NHS Data Dictionary)."""
    number = digits_of(text)
    check = 11 - _weighted(number[:9], range(10, 1, -1)) % 11
    return _varied(number) and check != 10 and int(number[9]) == check % 11


def uk_utr(text: str) -> bool:
    """A UK unique taxpayer reference: the first digit checks the other nine, weights 6 7 8 9 10 5 4 3 2 (HMRC)."""
    number = digits_of(text)
    return number[0] == "21987654321"[_weighted(number[1:], (6, 7, 8, 9, 10, 5, 4, 3, 2)) % 11]


def ca_sin(text: str) -> bool:
    """A Canadian social insurance number: Luhn, first digit not 0 or 8 (Employment and Social Development Canada)."""
    number = digits_of(text)
    return number[0] not in "08" and _varied(number) and luhn(number)


def es_dni(text: str) -> bool:
    """A Spanish DNI: the letter is the number mod 23 (Real Decreto 1553/2005)."""
    plain = re.sub(r"[ .-]", "", text.upper())
    return plain[-1] == _DNI_LETTERS[int(plain[:-1]) % 23]


def es_nie(text: str) -> bool:
    """A Spanish NIE: X, Y, Z stand for 0, 1, 2 and the letter is that of a DNI (Orden INT/2058/2008)."""
    plain = re.sub(r"[ .-]", "", text.upper())
    return plain[-1] == _DNI_LETTERS[int(str("XYZ".index(plain[0])) + plain[1:-1]) % 23]


def it_fiscal_code(text: str) -> bool:
    """An Italian codice fiscale: the last letter checks the other fifteen (D.M. 23 December 1976)."""
    plain = text.upper()
    even = sum(int(char) if char.isdigit() else ord(char) - 65 for char in plain[1:15:2])
    return ord(plain[15]) - 65 == (even + sum(_CODICE_ODD[char] for char in plain[0:15:2])) % 26


def fr_nir(text: str) -> bool:
    """A French NIR: key = 97 - number mod 97, with 2A and 2B read as 19 and 18 (INSEE)."""
    plain = re.sub(r"[ .-]", "", text.upper())
    number = plain[:13].replace("2A", "19", 1).replace("2B", "18", 1)
    return number[0] in "123478" and number.isdigit() and int(plain[13:]) == 97 - int(number) % 97


def de_tax_id(text: str) -> bool:
    """A German Steuer-ID: ISO 7064 MOD 11,10, and one digit of the first ten stands twice or three times (BZSt)."""
    number = digits_of(text)
    product = 10
    for digit in number[:10]:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    counts = sorted((number[:10].count(digit) for digit in set(number[:10])), reverse=True)
    return number[0] != "0" and counts[0] in (2, 3) and counts[1] == 1 and int(number[10]) == (11 - product) % 10


def nl_bsn(text: str) -> bool:
    """A Dutch BSN: weights 9..2 and -1, sum divisible by 11 (Logisch Ontwerp BSN)."""
    number = digits_of(text)
    return _varied(number) and _weighted(number, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def pt_nif(text: str) -> bool:
    """A Portuguese NIF: mod 11, weights 9..2, and a first digit in use (Decreto-Lei 14/2013)."""
    number = digits_of(text)
    rest = _weighted(number[:8], range(9, 1, -1)) % 11
    return number[0] in "1235689" and int(number[8]) == (0 if rest < 2 else 11 - rest)


def pl_pesel(text: str) -> bool:
    """A Polish PESEL: weights 1 3 7 9, and a month with the century in it (Ustawa o ewidencji ludności, 2010)."""
    number = digits_of(text)
    month, day = int(number[2:4]) % 20, int(number[4:6])
    return 1 <= month <= 12 and 1 <= day <= 31 and _weighted(number, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def in_aadhaar(text: str) -> bool:
    """An Indian Aadhaar number: Verhoeff over all twelve digits, first one 2-9 (UIDAI)."""
    number = digits_of(text)
    check = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit)
        for _ in range(place % 8):
            value = _VERHOEFF_STEP[value]
        check = _DIHEDRAL[check][value]
    return number[0] in "23456789" and check == 0


def au_tfn(text: str) -> bool:
    """An Australian tax file number of nine digits: weights 1 4 3 7 5 8 6 9 10, mod 11 (ATO)."""
    number = digits_of(text)
    return _varied(number) and _weighted(number, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0


def au_abn(text: str) -> bool:
    """An Australian business number: first digit less one, weights 10 1 3 5 7 9 11 13 15 17 19, mod 89 (ABR)."""
    number = digits_of(text)
    return number[0] != "0" and (_weighted(number, (10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)) - 10) % 89 == 0
