"""Check digits: the examples that the issuers publish hold, and nearly every changed digit is noticed."""

from __future__ import annotations

import pytest

from rungwise.curate.pii import checksums, national

PUBLISHED = [
    (checksums.card, "4111 1111 1111 1111"),
    (checksums.card, "378282246310005"),
    (checksums.card, "6011-1111-1111-1117"),
    (checksums.any_card, "630427373398"),  # Maestro of 12 digits
    (checksums.any_card, "4131034282458809939"),  # Visa of 19
    (checksums.iban, "GB82 WEST 1234 5698 7654 32"),
    (checksums.iban, "de89370400440532013000"),
    (checksums.iban, "BR1800360305000010009795493C1"),
    (checksums.routing, "021000021"),
    (checksums.vehicle, "1M8GDM9AXKP042788"),
    (checksums.base58check, "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
    (checksums.bech32, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),  # BIP 173
    (checksums.bech32, "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"),  # BIP 350
    (national.br_cpf, "529.982.247-25"),
    (national.br_cnpj, "11.222.333/0001-81"),
    (national.br_cnpj, "12.ABC.345/01DE-35"),  # IN RFB 2229/2024
    (national.uk_nhs, "943 476 5919"),
    (national.uk_utr, "1955839661"),
    (national.ca_sin, "130 692 544"),
    (national.es_dni, "12345678Z"),
    (national.es_nie, "X1234567L"),
    (national.it_fiscal_code, "RSSMRA85T10A562S"),
    (national.fr_nir, "2 55 08 14 168 025 38"),
    (national.de_tax_id, "86095742719"),
    (national.nl_bsn, "111222333"),
    (national.pt_nif, "123456789"),
    (national.pl_pesel, "44051401359"),
    (national.in_aadhaar, "2341 2341 2346"),
    (national.au_tfn, "123456782"),
    (national.au_abn, "51 824 753 556"),
]


@pytest.mark.parametrize(("check", "value"), PUBLISHED, ids=lambda one: getattr(one, "__name__", one))
def test_published_example_holds(check, value) -> None:
    assert check(value)


@pytest.mark.parametrize(("check", "value"), PUBLISHED, ids=lambda one: getattr(one, "__name__", one))
def test_a_changed_digit_is_noticed(check, value) -> None:
    places = [place for place, char in enumerate(value) if char.isdigit()]
    changed = [value[:place] + digit + value[place + 1 :] for place in places for digit in "0123456789" if digit != value[place]]
    unnoticed = sum(check(one) for one in changed)
    assert unnoticed <= len(changed) * 0.12  # UTR and PESEL, whose weights share factors with their modulus, miss some


def test_numbers_that_nobody_was_given_do_not_hold() -> None:
    assert not national.us_ssn("666-12-3456")
    assert not national.us_ssn("123-00-4567")
    assert not national.us_ssn("987-65-4321")
    assert not national.uk_nino("GB123456A")
    assert not national.br_cpf("111.111.111-11")
    assert not checksums.any_card("0000 0000 0000 0000")


def test_itin_groups_are_those_of_the_irs() -> None:
    assert national.us_itin("912-70-1234")
    assert not national.us_itin("912-93-1234")
    assert not national.us_itin("812-70-1234")
