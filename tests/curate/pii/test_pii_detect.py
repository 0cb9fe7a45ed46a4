"""Personal data with a form is found where it stands, and what only looks like it is left alone."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.errors import UnknownName
from rungwise.curate.pii.detect import Structured
from rungwise.curate.pii.span import Proof, Span, merged

find = Structured()


def found(text: str) -> list[tuple[str, str]]:
    return [(span.type, text[span.start : span.end]) for span in find([text])[0]]


HELD = [
    ("pay with 4111 1111 1111 1111 please", "CREDIT_DEBIT_CARD_NUMBER", "4111 1111 1111 1111"),
    ("my card 630427373398 is lost", "CREDIT_DEBIT_CARD_NUMBER", "630427373398"),
    ("wire to gb82 west 1234 5698 7654 32 today", "INTERNATIONAL_BANK_ACCOUNT_NUMBER", "gb82 west 1234 5698 7654 32"),
    ("IBAN: DE89370400440532013000.", "INTERNATIONAL_BANK_ACCOUNT_NUMBER", "DE89370400440532013000"),
    ("write to josé.garcía+x@exämple.co.uk, ok?", "EMAIL", "josé.garcía+x@exämple.co.uk"),
    ("see https://example.org/a_(b)?q=1. Then", "URL", "https://example.org/a_(b)?q=1"),
    ("on my-shop.com/sale now", "URL", "my-shop.com/sale"),
    ("from 10.0.0.255 to", "IP_ADDRESS", "10.0.0.255"),
    ("host 2001:db8::ff00:42:8329 up", "IP_ADDRESS", "2001:db8::ff00:42:8329"),
    ("nic 00:1B:44:11:3A:B7", "MAC_ADDRESS", "00:1B:44:11:3A:B7"),
    ("nic 00-11-22-33-44-55", "MAC_ADDRESS", "00-11-22-33-44-55"),
    ("SSN 125-17-4954", "US_SOCIAL_SECURITY_NUMBER", "125-17-4954"),
    ("his social security number is 125174954", "US_SOCIAL_SECURITY_NUMBER", "125174954"),
    ("ITIN 912-70-1234", "US_INDIVIDUAL_TAX_IDENTIFICATION_NUMBER", "912-70-1234"),
    ("routing number 021000021", "US_BANK_ROUTING_NUMBER", "021000021"),
    ("CPF 529.982.247-25", "BR_CPF", "529.982.247-25"),
    ("meu cpf: 52998224725", "BR_CPF", "52998224725"),
    ("CNPJ 11.222.333/0001-81", "BR_CNPJ", "11.222.333/0001-81"),
    ("CNPJ 12.ABC.345/01DE-35", "BR_CNPJ", "12.ABC.345/01DE-35"),
    ("NI AB 12 34 56 C", "UK_NATIONAL_INSURANCE_NUMBER", "AB 12 34 56 C"),
    ("nino ab123456c", "UK_NATIONAL_INSURANCE_NUMBER", "ab123456c"),
    ("NHS number 943 476 5919", "UK_NATIONAL_HEALTH_SERVICE_NUMBER", "943 476 5919"),
    ("SIN 130 692 544", "CA_SOCIAL_INSURANCE_NUMBER", "130 692 544"),
    ("DNI 12345678Z", "ES_DNI", "12345678Z"),
    ("NIE X-1234567-L", "ES_NIE", "X-1234567-L"),
    ("CF rssmra85t10a562s", "IT_FISCAL_CODE", "rssmra85t10a562s"),
    ("NIR 2 55 08 14 168 025 38", "FR_SOCIAL_SECURITY_NUMBER", "2 55 08 14 168 025 38"),
    ("Steuer-ID 86095742719", "DE_TAX_ID", "86095742719"),
    ("BSN 111222333", "NL_BSN", "111222333"),
    ("NIF 123456789", "PT_TAX_ID", "123456789"),
    ("PESEL 44051401359", "PL_PESEL", "44051401359"),
    ("uid 2341 2341 2346", "IN_AADHAAR", "2341 2341 2346"),
    ("PAN ABCPE1234F", "IN_PAN", "ABCPE1234F"),
    ("TFN 123 456 782", "AU_TAX_FILE_NUMBER", "123 456 782"),
    ("ABN 51 824 753 556", "AU_BUSINESS_NUMBER", "51 824 753 556"),
    ("VIN 1M8GDM9AXKP042788", "VEHICLE_IDENTIFICATION_NUMBER", "1M8GDM9AXKP042788"),
    ("send to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "CRYPTO_ADDRESS", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
    ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "CRYPTO_ADDRESS", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
    ("0x52908400098527886E0F7030069857D2E4169EE7!", "CRYPTO_ADDRESS", "0x52908400098527886E0F7030069857D2E4169EE7"),
    ("my driver's license number is H12345678", "DRIVER_ID", "H12345678"),
    ("passport: 123456789", "US_PASSPORT_NUMBER", "123456789"),
    ("CVV 123", "CREDIT_DEBIT_CARD_CVV", "123"),
    ("expires 09/27", "CREDIT_DEBIT_CARD_EXPIRY", "09/27"),
    ("PIN: 4821", "PIN", "4821"),
    ("her driver's license number, S12345678, is", "DRIVER_ID", "S12345678"),
    ("see ScrapbookInsider.com.pt", "URL", "ScrapbookInsider.com.pt"),
    ("my site is OrthoTraffic.ch", "URL", "OrthoTraffic.ch"),
    ("employed until 03/2004", "DATE_TIME", "03/2004"),
    ("Born: 1985", "DATE_TIME", "1985"),
    ("my zip code is 880", "ZIP_CODE", "880"),
    ("London SW1A 1AA", "ZIP_CODE", "SW1A 1AA"),
    ("license plate 7ABC123", "LICENSE_PLATE", "7ABC123"),
    ("SWIFT: DEUTDEFF", "SWIFT_CODE", "DEUTDEFF"),
    ("she is 34 years old", "AGE", "34"),
    ("he just turned 69", "AGE", "69"),
    ("username: jdoe77", "USERNAME", "jdoe77"),
]
PHONES = (
    "60-56-85-91", "03.93.92.16.85", "+41 (0)96 471 07 95", "+447700 921 916", "345-899-3560x4587", "(99) 645-791", "0961-7596216",
    "(71) 4233-6306", "(602)272-9781", "+1-903-140-4508x769", "079 2718 1155", "001-253-366-9781", "+55 11 91234-5678",
)  # fmt: skip
PHONES_BESIDE_A_WORD = ("699 956 915", "358 0594", "72 128 827", "9498777106", "99 668472", "51 516 33 75")
DATES = (
    "2000-04-16 11:34:35", "2/8/1935", "11/22/2000", "16.04.2000", "April 5, 1999", "5th of May 2021", "Tuesday", "12 Dec 2019",
    "2024-05-01T10:00:00Z", "10:30 pm",
)  # fmt: skip
YEARS = ("founded in 1977.", "During 1971, it", "since 2004 while", "from 1939-1945 ")


@pytest.mark.parametrize(("text", "type", "value"), HELD)
def test_finds(text: str, type: str, value: str) -> None:
    assert found(text) == [(type, value)]


@pytest.mark.parametrize("value", PHONES)
def test_finds_phones_by_their_form(value: str) -> None:
    assert found(f"It is {value}, as I said") == [("PHONE", value)]


@pytest.mark.parametrize("value", PHONES_BESIDE_A_WORD)
def test_finds_plain_digits_beside_a_word_for_a_phone_only(value: str) -> None:
    assert found(f"please call {value} today") == [("PHONE", value)]
    assert ("PHONE", value) not in found(f"a total of {value} in stock")


@pytest.mark.parametrize("value", DATES)
def test_finds_dates(value: str) -> None:
    assert found(f"It was {value}.")[0] == ("DATE_TIME", value)


@pytest.mark.parametrize("text", YEARS)
def test_finds_years_after_a_word_that_makes_them_years(text: str) -> None:
    assert [type for type, _ in found(text)] == ["DATE_TIME"]


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",  # Luhn
        "GB82 WEST 1234 5698 7654 33",  # mod 97
        "the 1234567890 units of lot 20240199",
        "version 10.1.2.3 is out",
        "999.300.1.1",
        "l[::2] and a::b",
        "it costs $1234.56 or 1,234,567 yen",
        "2/30/1999",
        "13:75:99",
        "ISBN 978-0-306-40615-7",
        "order 905-674-3793 shipped",
        "the password is required and a token is given",
        "I may march on the 2nd floor at 180 degrees",
        "a@b and @handle and x@y.",
        "2046 50 Point Street",
        "f(1729) == 12",
        "page 1984 of 2000 pages",
        "the end.So it goes",
        "what is my pin? i lost my card",
    ],
)
def test_leaves_alone(text: str) -> None:
    assert found(text) == []


def test_types_are_chosen_and_unknown_ones_named() -> None:
    text = "a@example.com on 10.0.0.1"
    assert [span.type for span in Structured(types=("IP_ADDRESS",))([text])[0]] == ["IP_ADDRESS"]
    with pytest.raises(UnknownName, match="Did you mean 'EMAIL'"):
        Structured(types=("EMAILS",))([text])


@given(st.lists(st.text(max_size=40), max_size=6), st.data())
def test_what_is_found_in_a_text_does_not_depend_on_its_batch(others: list[str], data: st.DataObject) -> None:
    texts = [*others, "né\ud800 ✆ +41 44 668 18 00 😀 a@b.org \x00 12/05/2020", "في 10.0.0.1 e\u0301 4111111111111111"]
    order = data.draw(st.permutations(range(len(texts))))
    together = find([texts[place] for place in order])
    assert together == [find([texts[place]])[0] for place in order]


@given(st.text(max_size=30).filter(lambda text: not any(char.isalnum() or char in "@.+-/_'%" for char in text)))
def test_offsets_are_characters_whatever_stands_before(before: str) -> None:
    text = f"{before} jane@example.com {before}"
    assert ("EMAIL", "jane@example.com") in found(text)


@pytest.mark.parametrize(
    "piece",
    [
        "1 ",
        "12 34 ",
        "a@",
        "+1",
        "1.1.",
        "ab::",
        "sk-",
        "eyJ",
        "a-",
        "http://a:b",
        "may 1 ",
        "password: ",
        ")",
        "-----BEGIN PRIVATE KEY-----",
    ],
)
def test_time_grows_with_the_length_of_the_text_whatever_is_in_it(piece: str) -> None:
    def seconds(size: int) -> float:
        text = "http://a.b/" + piece * (size // len(piece))
        begin = time.process_time()
        find([text])
        return time.process_time() - begin

    seconds(1_000)
    short = min(seconds(20_000) for _ in range(2))
    assert seconds(80_000) < 10 * short + 0.1  # 4 times the length; 16 times the time were it quadratic


def test_merging_prefers_proof_then_length_then_place() -> None:
    pattern, proven = Span(5, 12, "PHONE", Proof.PATTERN), Span(8, 11, "AGE", Proof.CHECKSUM)
    assert merged([pattern, proven]) == [proven]
    assert merged([Span(0, 4, "NAME"), Span(2, 9, "ADDRESS")]) == [Span(2, 9, "ADDRESS")]
    assert merged([Span(4, 8, "NAME"), Span(0, 4, "NAME"), Span(3, 3, "NAME")]) == [Span(0, 4, "NAME"), Span(4, 8, "NAME")]


def test_what_a_pattern_leaves_of_an_address_stays_an_address() -> None:
    address, code = Span(0, 30, "ADDRESS"), Span(20, 25, "ZIP_CODE", Proof.PATTERN)
    assert merged([address, code]) == [Span(0, 20, "ADDRESS"), code, Span(25, 30, "ADDRESS")]
    assert merged([address, Span(0, 28, "PHONE", Proof.PATTERN)]) == [Span(0, 28, "PHONE", Proof.PATTERN)]


spans = st.builds(Span, st.integers(0, 30), st.integers(0, 30), st.sampled_from(["A", "B"]), st.sampled_from(list(Proof)))


@given(st.lists(spans, max_size=8))
def test_merged_spans_never_overlap_and_their_order_does_not_matter(some: list[Span]) -> None:
    kept = merged(some)
    assert all(one.end <= other.start for one, other in pairwise(kept))
    assert merged(reversed(some)) == kept
