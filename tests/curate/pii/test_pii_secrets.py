"""Keys, tokens and passwords: found by their form or their label, and not in ordinary text."""

from __future__ import annotations

import gzip
import json
import random
import string
from pathlib import Path

import pytest

from rungwise.curate.pii.detect import Structured
from rungwise.curate.pii.secrets import entropy
from rungwise.curate.pii.types import SECRETS

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"
find = Structured()
_RANDOM = random.Random(7)


def drawn(length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(_RANDOM.choice(alphabet) for _ in range(length))


HEX = "0123456789abcdef"
KEYS = [
    "AKIA" + drawn(16, string.ascii_uppercase + "234567"),
    "ghp_" + drawn(36),
    "github_pat_" + drawn(22) + "_" + drawn(59),
    "glpat-" + drawn(20),
    "xoxb-" + drawn(12, string.digits) + "-" + drawn(24),
    "sk_live_" + drawn(24),
    "sk-ant-api03-" + drawn(80),
    "sk-proj-" + drawn(48),
    "AIza" + drawn(35),
    "GOCSPX-" + drawn(28),
    "SK" + drawn(32, HEX),
    "SG." + drawn(22) + "." + drawn(43),
    "npm_" + drawn(36),
    "pypi-" + drawn(80),
    "hf_" + drawn(34),
    "dop_v1_" + drawn(64, HEX),
    "shpat_" + drawn(32, HEX),
    "dapi" + drawn(32, HEX),
    "123456789:AA" + drawn(33),
    "eyJ" + drawn(20) + ".eyJ" + drawn(40) + "." + drawn(43),
    "AccountKey=" + drawn(86) + "==",
    "hvs." + drawn(24),
    "glsa_" + drawn(32) + "_" + drawn(8, HEX),
]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key[:12])
@pytest.mark.parametrize("around", ["use {} now", "KEY={}\n", '{{"key": "{}"}}', "({})"])
def test_key_is_found_by_its_form(key: str, around: str) -> None:
    text = around.format(key)
    assert [(span.start, span.end) for span in find([text])[0] if span.type in SECRETS] == [
        (text.index(key), text.index(key) + len(key))
    ]


@pytest.mark.parametrize(
    ("text", "type", "value"),
    [
        ("password: hunter2x", "PASSWORD", "hunter2x"),
        ('"db_password": "s3cret!pw"', "PASSWORD", "s3cret!pw"),
        ("api_key = abcd1234efgh5678", "SECRET", "abcd1234efgh5678"),
        ("Authorization: Bearer: 0123456789abcdef0123", "SECRET", "0123456789abcdef0123"),
        (
            "aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "AWS_SECRET_KEY",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        ),
        ("db at postgres://me:pa55@db.internal/x", "SECRET", "postgres://me:pa55@db.internal/x"),
        ("https://x.org/a?token=abc123def456ghi", "SECRET", "https://x.org/a?token=abc123def456ghi"),
    ],
)
def test_value_is_found_by_its_label(text: str, type: str, value: str) -> None:
    assert [(span.type, text[span.start : span.end]) for span in find([text])[0]] == [(type, value)]


def test_a_private_key_is_one_span_to_its_last_line() -> None:
    lines = "\n".join(drawn(64) for _ in range(12))
    block = f"-----BEGIN RSA PRIVATE KEY-----\n{lines}\n-----END RSA PRIVATE KEY-----"
    text = f"here:\n{block}\nbye"
    assert [(text[span.start : span.end], span.type) for span in find([text])[0]] == [(block, "SECRET")]


def test_most_random_tokens_of_32_characters_are_found() -> None:
    texts = [f"value {drawn(32)} end" for _ in range(300)]
    assert sum(any(span.type == "SECRET" for span in spans) for spans in find(texts)) >= 275


def test_entropy_is_in_bits_per_character() -> None:
    assert entropy("aaaa") == 0
    assert entropy("abcd") == 2


@pytest.mark.skipif(not DATA.is_dir(), reason="the real data sets are not beside this checkout (../shared/data)")
@pytest.mark.parametrize("name", ["gutenberg_en_pt/en_sherlock.txt.gz", "wikitext2_valid/valid.txt.gz", "banking77/train.jsonl.gz"])
def test_ordinary_text_holds_no_secret(name: str) -> None:
    lines = gzip.decompress((DATA / name).read_bytes()).decode().splitlines()
    texts = [json.loads(line)["text"] for line in lines] if ".jsonl" in name else lines
    assert [span for spans in find(texts) for span in spans if span.type in SECRETS] == []
