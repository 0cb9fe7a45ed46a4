"""Check digits of cards, bank accounts, routing numbers, vehicles and crypto addresses.

Each function takes the characters as they stand in the text, separators included, and says whether they hold together.
"""

from __future__ import annotations

import hashlib
import re

# Lengths of an IBAN by country: SWIFT, IBAN Registry, release 99 (ISO 13616).
IBAN_LENGTHS = {
    country: int(length)
    for length, countries in {
        "15": "NO",
        "16": "BE",
        "18": "DK FI FK FO GL NL SD",
        "19": "MK SI",
        "20": "AT BA EE KZ LT LU MN XK",
        "21": "CH CR HR LI LV",
        "22": "BG BH DE GB GE IE ME RS VA",
        "23": "AE GI IL IQ OM SO TL",
        "24": "AD CZ ES MD PK RO SA SE SK TN VG",
        "25": "LY PT ST",
        "26": "IS TR",
        "27": "BI DJ FR GR IT MC MR SM",
        "28": "AL AZ BY CY DO GT HN HU LB NI PL SV",
        "29": "BR EG PS QA UA",
        "30": "JO KW MU YE",
        "31": "MT SC",
        "32": "LC",
        "33": "RU",
    }.items()
    for country in countries.split()
}

# First digits and lengths by card network: ISO/IEC 7812 issuer ranges as the networks publish them. Lengths that other numbers
# have too (13 digits of old Visa cards, 12 to 15 of Maestro) are left to `any_card` and a word beside them.
_ISSUED = re.compile(
    r"(?:4(?:\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|(?:30[0-5]\d|309\d|36\d\d|3[89]\d\d)(?:\d{10}|\d{12,15})"  # Diners Club
    r"|(?:6011|64[4-9]\d|65\d\d|62\d\d|81\d\d|220[0-4]|50\d\d|5[6-8]\d\d|6[0137-9]\d\d|352[89]|35[3-8]\d)\d{12,15}"
    r"|(?:1800|2131)\d{11}"  # JCB of 15 digits
    r"|(?:3841|5067|4011|6363|6362|4389)\d{12})"  # Elo, Hipercard
)
# The digit sum of twice a digit, by its ASCII code.
_DOUBLED = bytes((2 * (code - 48)) % 10 + (2 * (code - 48)) // 10 if 48 <= code < 58 else 0 for code in range(256))
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def digits_of(text: str) -> str:
    """Its ASCII digits, in order."""
    return text if text.isdigit() and text.isascii() else "".join(char for char in text if "0" <= char <= "9")


def luhn(text: str) -> bool:
    """The Luhn check: ISO/IEC 7812-1 annex B."""
    number = digits_of(text).encode()
    doubled = number[-2::-2]
    return (sum(number[-1::-2]) + sum(doubled.translate(_DOUBLED)) - 48 * (len(number) - len(doubled))) % 10 == 0


def card(text: str) -> bool:
    """A card number by issuer range, length and Luhn: nothing else need say so."""
    number = digits_of(text)
    return _ISSUED.fullmatch(number) is not None and any_card(number)


def any_card(text: str) -> bool:
    """12 to 19 digits that pass Luhn, whoever issued them; one in ten numbers does, so a word beside it must say card."""
    number = digits_of(text)
    return 12 <= len(number) <= 19 and len(set(number)) > 1 and luhn(number)


def iban(text: str) -> bool:
    """An IBAN in any case, with or without spaces: length by country and mod 97 = 1 (ISO 13616, ISO 7064 MOD 97-10)."""
    plain = re.sub(r"[ -]", "", text).upper()
    if len(plain) != IBAN_LENGTHS.get(plain[:2]) or not plain.isascii() or not plain.isalnum():
        return False
    return int("".join(str(int(char, 36)) for char in plain[4:] + plain[:4])) % 97 == 1


def routing(text: str) -> bool:
    """A US bank routing number: weights 3 7 1 and an assigned Federal Reserve district (ABA Routing Number Policy)."""
    number = digits_of(text)
    district = int(number[:2])
    if not (district <= 12 or 21 <= district <= 32 or 61 <= district <= 72 or district == 80) or number == "000000000":
        return False
    return sum(int(digit) * (3, 7, 1)[place % 3] for place, digit in enumerate(number)) % 10 == 0


def vehicle(text: str) -> bool:
    """A vehicle identification number with its check digit in place 9: 49 CFR 565.15, as used in North America and China."""
    plain = text.upper()
    letters = dict(
        zip("ABCDEFGHJKLMNPRSTUVWXYZ", (1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 7, 9, 2, 3, 4, 5, 6, 7, 8, 9), strict=True)
    )
    weights = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
    if len(plain) != 17 or plain.isalpha() or any(not char.isdigit() and char not in letters for char in plain):
        return False
    rest = sum(weight * (int(char) if char.isdigit() else letters[char]) for weight, char in zip(weights, plain, strict=True)) % 11
    return plain[8] == ("X" if rest == 10 else str(rest))


def base58check(text: str) -> bool:
    """A Bitcoin address of the old kinds: 25 bytes in base 58, version 0 or 5, 4 bytes of double SHA-256 (Bitcoin Core, base58)."""
    number = 0
    for char in text:
        if char not in _BASE58:
            return False
        number = number * 58 + _BASE58.index(char)
    if number >= 1 << 200:
        return False
    raw = number.to_bytes(25, "big")
    check = hashlib.sha256(hashlib.sha256(raw[:21]).digest()).digest()[:4]
    return raw[0] in (0, 5) and check == raw[21:]


def bech32(text: str) -> bool:
    """A Bitcoin address `bc1...`: the polynomial of BIP 173 is 1 (version 0) or 0x2bc830a3 (BIP 350, later versions)."""
    if text.lower() != text and text.upper() != text:
        return False
    human, _, data = text.lower().rpartition("1")
    if any(char not in _BECH32 for char in data):
        return False
    values = [ord(char) >> 5 for char in human] + [0] + [ord(char) & 31 for char in human] + [_BECH32.index(char) for char in data]
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for place, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if top >> place & 1 else 0
    return check in (1, 0x2BC830A3)


def ip_address(text: str) -> bool:
    """An IPv4 or IPv6 address as Python's ipaddress reads it."""
    import ipaddress

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
