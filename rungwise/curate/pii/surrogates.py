"""Surrogates: for each value another of the same type and form, the same one every time under the same key, and never one for two.

A value of digits and letters goes through a permutation of all strings of its form (a Feistel network with HMAC-SHA-256 as
its round function, as in format-preserving encryption, NIST SP 800-38G), walked on until the check digits of its type hold
(cycle walking: Black and Rogaway, CT-RSA 2002). A permutation has no collisions. Names, addresses and the like become
invented words of 64 bits. Whoever holds the key can try values, or walk a permutation back: keep it like the data.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rungwise.core.errors import UsageError
from rungwise.curate.pii import checksums, national
from rungwise.curate.pii.dates import MONTHS, WEEKDAYS, is_date

LEAST_KEY_BYTES = 16
_ROUNDS = 8
_MOST_STEPS = 20_000
_UPPER, _LOWER, _DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz", "0123456789"
_CONSONANTS, _VOWELS = "bcdfglmnprstvzkj", "aeio"
_ANY = re.compile(r".", re.DOTALL)
_OCTETS = re.compile(r"\d{1,3}(?![0-9A-Fa-f:])|.", re.DOTALL)
_WORDS = "|".join((*MONTHS, *WEEKDAYS))
_DATE_PARTS = re.compile(
    rf"(?<![^\W\d_])(?:{_WORDS})(?![^\W\d_])|(?<!\d)(?:\d{{4}}|\d{{1,2}}(?=:)|(?<=:)\d{{2}}|\d{{1,2}})(?!\d)|.",
    re.IGNORECASE | re.DOTALL,
)
_SYMBOLS = {"DATE_TIME": _DATE_PARTS, "IP_ADDRESS": _OCTETS}
_HEXADECIMAL = ("IP_ADDRESS", "MAC_ADDRESS")
_YEARS = tuple(map(str, range(1900, 2030)))

# How many leading characters stay, so that a surrogate is of the same network, country or vendor, and what it must pass.
_KEPT = {"CREDIT_DEBIT_CARD_NUMBER": 4, "INTERNATIONAL_BANK_ACCOUNT_NUMBER": 2, "CRYPTO_ADDRESS": 3, "ES_NIE": 1}
_CHECKS: dict[str, Callable[[str], bool]] = {
    "CREDIT_DEBIT_CARD_NUMBER": checksums.any_card,
    "INTERNATIONAL_BANK_ACCOUNT_NUMBER": checksums.iban,
    "US_SOCIAL_SECURITY_NUMBER": national.us_ssn,
    "US_INDIVIDUAL_TAX_IDENTIFICATION_NUMBER": national.us_itin,
    "US_BANK_ROUTING_NUMBER": checksums.routing,
    "BR_CPF": national.br_cpf,
    "BR_CNPJ": national.br_cnpj,
    "UK_NATIONAL_INSURANCE_NUMBER": national.uk_nino,
    "UK_NATIONAL_HEALTH_SERVICE_NUMBER": national.uk_nhs,
    "UK_UNIQUE_TAXPAYER_REFERENCE_NUMBER": national.uk_utr,
    "CA_SOCIAL_INSURANCE_NUMBER": national.ca_sin,
    "ES_DNI": national.es_dni,
    "ES_NIE": national.es_nie,
    "FR_SOCIAL_SECURITY_NUMBER": national.fr_nir,
    "DE_TAX_ID": national.de_tax_id,
    "NL_BSN": national.nl_bsn,
    "PT_TAX_ID": national.pt_nif,
    "PL_PESEL": national.pl_pesel,
    "IN_AADHAAR": national.in_aadhaar,
    "AU_TAX_FILE_NUMBER": national.au_tfn,
    "AU_BUSINESS_NUMBER": national.au_abn,
    "IP_ADDRESS": checksums.ip_address,
    "DATE_TIME": is_date,
}


@dataclass(frozen=True, slots=True)
class Surrogates:
    """The surrogate of each value under one key of at least 16 bytes. A pure function: no memory is needed for it to be consistent.

    Raises UsageError for a shorter key.
    """

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) < LEAST_KEY_BYTES:
            raise UsageError(
                f"a key of {len(self.key)} bytes can be guessed. Give one of at least {LEAST_KEY_BYTES}: openssl rand -hex 32"
            )

    def __call__(self, type: str, value: str) -> str:
        """What stands for this value wherever it is met."""
        invented = _INVENTED.get(type)
        if invented is not None:
            return invented(self.words(type, " ".join(value.split()).casefold()))
        return self.permuted(type, value)

    def token(self, type: str, value: str) -> str:
        """80 bits of HMAC of the value as 16 letters and digits; what numbered placeholders carry."""
        import base64

        return base64.b32encode(self._digest("token", type, value.encode("utf-8", "surrogatepass"))[:10]).decode()

    def words(self, type: str, value: str) -> list[str]:
        """Two invented words of 30 and 36 bits, drawn by the HMAC of the value."""
        number = int.from_bytes(self._digest("words", type, value.encode("utf-8", "surrogatepass")), "big")
        words = []
        for syllables in (5, 6):
            word = ""
            for _ in range(syllables):
                number, place = divmod(number, 64)
                word += _CONSONANTS[place // 4] + _VOWELS[place % 4]
            words.append(word.capitalize())
        return words

    def permuted(self, type: str, value: str) -> str:
        """The value's place in a permutation of all strings of its form that pass the check of its type, if it passes it."""
        symbols = _SYMBOLS.get(type, _ANY).findall(value)
        alphabets = [_alphabet(type, symbols, place) for place in range(len(symbols))]
        size, number = 1, 0
        for symbol, alphabet in zip(symbols, alphabets, strict=True):
            size, number = size * len(alphabet), number * len(alphabet) + alphabet.index(symbol)
        check = _CHECKS.get(type, _anything)
        holds = check(value)  # values that hold are permuted among themselves, and so are the others
        tweak = (
            type
            + "\0"
            + "".join(symbol if len(alphabet) == 1 else "\0" for symbol, alphabet in zip(symbols, alphabets, strict=True))
        )
        written = value
        for _ in range(_MOST_STEPS):
            number = self._permute(number, size, tweak)
            written = _written(number, alphabets)
            if check(written) == holds:
                break
        return written

    def _permute(self, number: int, size: int, tweak: str) -> int:
        """One step of the permutation of 0 to size - 1: a Feistel network over the next even number of bits, walked into range."""
        half = max(1, ((size - 1).bit_length() + 1) // 2)
        while True:
            left, right = number >> half, number & ((1 << half) - 1)
            for turn in range(_ROUNDS):
                drawn = self._digest("permute", f"{tweak}\0{size}\0{turn}", right.to_bytes(half // 8 + 1, "big"))
                while len(drawn) * 8 < half:
                    drawn += hashlib.sha256(drawn).digest()
                left, right = right, left ^ (int.from_bytes(drawn, "big") & ((1 << half) - 1))
            number = left << half | right
            if number < size:
                return number

    def _digest(self, purpose: str, tweak: str, data: bytes) -> bytes:
        return hmac.digest(self.key, f"{purpose}\0{tweak}\0".encode("utf-8", "surrogatepass") + data, "sha256")


def _anything(value: str) -> bool:
    return True


def _alphabet(type: str, symbols: Sequence[str], place: int) -> Sequence[str]:
    """All that may stand where this symbol stands, itself among them; the same whichever of them stands there."""
    symbol = symbols[place]
    if place < _KEPT.get(type, 3 if symbols[0] == "+" else 0):  # "+44" says which country
        return (symbol,)
    if type == "DATE_TIME":
        return _date_alphabet(symbols, place)
    if type == "IP_ADDRESS" and symbol.isdigit() and len(symbols) == 7:  # four octets and three dots
        return _OCTET
    for alphabet in (_DIGITS, _LOWER, _UPPER):
        if symbol in alphabet:
            return alphabet[:6] if type in _HEXADECIMAL and symbol in alphabet[:6] and not symbol.isdigit() else alphabet
    return (symbol,)


_OCTET = tuple(map(str, range(256)))


def _date_alphabet(symbols: Sequence[str], place: int) -> Sequence[str]:
    """A year for a year, a month for what can be one, a day that cannot be a month for such a day, a clock for a clock."""
    symbol = symbols[place]
    for words in (MONTHS, WEEKDAYS):
        if symbol.lower() in words:
            written = [word.upper() if symbol.isupper() else word if symbol.islower() else word.capitalize() for word in words]
            return written if symbol in written else (symbol,)
    if not (symbol.isascii() and symbol.isdigit()):
        return (symbol,)
    before, after = symbols[place - 1 : place], symbols[place + 1 : place + 2]
    if before == [":"] or after == [":"]:
        choices = [f"{number:02}" for number in range(60 if before == [":"] else 24)]
    elif len(symbol) == 4:
        choices = list(_YEARS)
    elif len(symbol) == 2:
        choices = [f"{number:02}" for number in (range(1, 13) if int(symbol) <= 12 else range(13, 32))]
    else:
        choices = list("123456789")
    return choices if symbol in choices else (symbol,)


def _written(number: int, alphabets: Sequence[Sequence[str]]) -> str:
    symbols = []
    for alphabet in reversed(alphabets):
        number, place = divmod(number, len(alphabet))
        symbols.append(alphabet[place])
    return "".join(reversed(symbols))


_INVENTED: dict[str, Callable[[list[str]], str]] = {
    "NAME": lambda words: f"{words[0]} {words[1]}",
    "ORGANIZATION": lambda words: f"{words[0]} {words[1]} Ltd",
    "ADDRESS": lambda words: f"{words[0]} {words[1]} Street",
    "EMAIL": lambda words: f"{words[0]}.{words[1]}@example.com".lower(),  # RFC 2606: nobody owns example.com
    "URL": lambda words: f"https://{words[0]}{words[1]}.example/".lower(),
    "USERNAME": lambda words: f"{words[0]}{words[1]}".lower(),
}
