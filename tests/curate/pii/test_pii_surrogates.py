"""Surrogates: the same for the same value and key, of the same form, passing the same checks, and never one for two values."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.core.errors import UsageError
from rungwise.curate.pii import checksums, national
from rungwise.curate.pii.detect import Structured
from rungwise.curate.pii.surrogates import Surrogates

surrogate = Surrogates(b"a key of the tests, 32 bytes long")
KEEP_FORM = [
    ("CREDIT_DEBIT_CARD_NUMBER", "4111 1111 1111 1111", checksums.card),
    ("INTERNATIONAL_BANK_ACCOUNT_NUMBER", "GB82 WEST 1234 5698 7654 32", checksums.iban),
    ("US_SOCIAL_SECURITY_NUMBER", "125-17-4954", national.us_ssn),
    ("BR_CPF", "529.982.247-25", national.br_cpf),
    ("BR_CNPJ", "11.222.333/0001-81", national.br_cnpj),
    ("UK_NATIONAL_INSURANCE_NUMBER", "AB 12 34 56 C", national.uk_nino),
    ("ES_NIE", "X1234567L", national.es_nie),
    ("FR_SOCIAL_SECURITY_NUMBER", "2 55 08 14 168 025 38", national.fr_nir),
    ("IN_AADHAAR", "2341 2341 2346", national.in_aadhaar),
    ("IP_ADDRESS", "192.168.100.1", checksums.ip_address),
    ("IP_ADDRESS", "2001:db8::ff00:42:8329", checksums.ip_address),
]


@pytest.mark.parametrize(("type", "value", "check"), KEEP_FORM)
def test_check_digits_of_a_surrogate_hold(type: str, value: str, check) -> None:
    other = surrogate(type, value)
    assert other != value
    assert check(other)


@pytest.mark.parametrize(
    ("type", "value"),
    [
        ("DATE_TIME", "2/8/1935"),
        ("DATE_TIME", "2000-04-16 11:34:35"),
        ("DATE_TIME", "Tuesday"),
        ("DATE_TIME", "April 5, 1999"),
        ("PHONE", "+41 (0)96 471 07 95"),
        ("EMAIL", "jane@example.org"),
        ("URL", "https://jane.example.org/x"),
        ("CREDIT_DEBIT_CARD_NUMBER", "4111111111111111"),
        ("MAC_ADDRESS", "00:1B:44:11:3A:B7"),
    ],
)
def test_a_surrogate_is_of_the_same_type_to_the_detector(type: str, value: str) -> None:
    other = surrogate(type, value)
    text = f"it is {other} now"
    assert [(span.type, text[span.start : span.end]) for span in Structured()([text])[0]] == [(type, other)]


@pytest.mark.parametrize(
    "type", ["EMAIL", "NAME", "ORGANIZATION", "ADDRESS", "PHONE", "DATE_TIME", "AGE", "US_SOCIAL_SECURITY_NUMBER"]
)
def test_the_same_value_has_the_same_surrogate_and_another_key_another(type: str) -> None:
    value = {"DATE_TIME": "2/8/1935", "AGE": "61", "US_SOCIAL_SECURITY_NUMBER": "125-17-4954"}.get(type, "jane 555 0132")
    again = Surrogates(b"a key of the tests, 32 bytes long")
    assert surrogate(type, value) == again(type, value)
    assert surrogate(type, value) != Surrogates(b"another key of 32 bytes, of tests")(type, value) or type == "AGE"


def test_case_and_spacing_do_not_make_another_person() -> None:
    assert surrogate("NAME", "Jane  Doe") == surrogate("NAME", "jane doe")
    assert surrogate("EMAIL", "Jane@Example.org") == surrogate("EMAIL", "jane@example.org")


@pytest.mark.parametrize(
    ("type", "values"),
    [
        ("AGE", [str(age) for age in range(10, 100)]),
        ("DATE_TIME", [str(year) for year in range(1900, 2030)]),
        ("DATE_TIME", [f"{month}/{day}/1999" for month in range(1, 10) for day in range(1, 10)]),
        ("DATE_TIME", ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]),
        ("PHONE", [f"555-{number:04}" for number in range(2000)]),
        ("IP_ADDRESS", [f"10.0.{number // 256}.{number % 256}" for number in range(1000)]),
    ],
)
def test_no_two_values_share_a_surrogate_even_where_there_are_few(type: str, values: list[str]) -> None:
    assert len({surrogate(type, value) for value in values}) == len(values)


@settings(deadline=None)
@given(st.text(alphabet="0123456789", min_size=3, max_size=3))
def test_the_digits_of_a_form_are_permuted_among_themselves(value: str) -> None:
    assert re.fullmatch(r"\d{3}", surrogate("PIN", value))


def test_a_thousand_three_digit_numbers_are_permuted() -> None:
    assert {surrogate("PIN", f"{number:03}") for number in range(1000)} == {f"{number:03}" for number in range(1000)}


def test_a_key_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(UsageError, match="openssl rand"):
        Surrogates(b"short")


def test_the_key_is_not_shown() -> None:
    assert "key of the tests" not in repr(surrogate)
