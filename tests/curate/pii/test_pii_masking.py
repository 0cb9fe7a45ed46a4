"""Masked, replaced, and brought back: nothing outside a span changes, nothing inside one stays, and the vault gives it back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.core.errors import Corrupt, UsageError
from rungwise.curate.pii.detect import Structured
from rungwise.curate.pii.masking import placeholder, pseudonyms, reversible, rewritten, with_lookalikes
from rungwise.curate.pii.surrogates import Surrogates
from rungwise.curate.pii.vault import Vault, key_from

pytest.importorskip("cryptography", reason="the vault needs the extra curation")

KEY = b"a key of the tests, 32 bytes long"
find = Structured()
PIECES = st.sampled_from(
    [
        "jane@example.com",
        "4111 1111 1111 1111",
        "10.0.0.1",
        "call +41 44 668 18 00",
        "ghp_0123456789abcdefghijABCDEFGHIJ012345",
        "in 1977",
        "[EMAIL]",
        "[EMAIL:AAAAAAAAAAAAAAAA]",
        "😀👩‍👩‍👧",
        "e\u0301\u0327",
        "שלום مرحبا",
        "\ud800",
        "\u202e",
        "\x00",
        "\n",
    ]
)
TEXTS = st.lists(st.one_of(PIECES, st.text(max_size=8)), max_size=8).map(" ".join)


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory):
    with Vault(tmp_path_factory.mktemp("vault") / "vault", KEY) as opened:
        yield opened


def masked(text: str, vault: Vault, *, pseudonymous: bool = False) -> str:
    return rewritten(text, with_lookalikes(text, find([text])[0]), reversible(Surrogates(KEY), vault, pseudonymous=pseudonymous))


@settings(deadline=None, max_examples=200)
@given(text=TEXTS)
def test_what_a_vault_kept_comes_back_exactly(vault: Vault, text: str) -> None:
    once = masked(text, vault)
    assert vault.restored(once) == text
    twice = masked(once, vault)
    assert vault.restored(vault.restored(twice)) == text


@given(text=TEXTS)
def test_text_outside_the_spans_is_untouched(text: str) -> None:
    spans = find([text])[0]
    pieces = rewritten(text, spans, lambda kind, value: "\x01").split("\x01") if "\x01" not in text else None
    if pieces is None:
        return
    edges = [0, *(edge for span in spans for edge in (span.start, span.end)), len(text)]
    assert pieces == [text[left:right] for left, right in zip(edges[::2], edges[1::2], strict=True)]


def test_placeholders_say_the_type_and_nothing_else() -> None:
    text = "Mail jane@example.com or call +41 44 668 18 00 😀"
    assert rewritten(text, find([text])[0], placeholder) == "Mail [EMAIL] or call [PHONE] 😀"


def test_a_text_that_looks_masked_already_is_not_changed_by_unmasking_what_was_masked(vault: Vault) -> None:
    token = masked("jane@example.com", vault)
    text = f"they wrote {token} in a ticket"  # known to the vault, but here it is the text itself
    assert vault.restored(masked(text, vault)) == text


def test_surrogates_come_back_from_the_vault(vault: Vault) -> None:
    text = "Mail jane@example.com, card 4111 1111 1111 1111, on 2/8/1935"
    replaced = masked(text, vault, pseudonymous=True)
    assert "jane" not in replaced
    assert "1111 1111 1111" not in replaced
    assert vault.restored(replaced) == text


def test_secrets_are_masked_not_replaced() -> None:
    text = "password: hunter2x"
    assert rewritten(text, find([text])[0], pseudonyms(Surrogates(KEY))) == "password: [PASSWORD]"


def test_a_vault_is_written_sealed_and_opens_with_its_key_only(tmp_path: Path) -> None:
    path = tmp_path / "vault"
    with Vault(path, KEY) as vault:
        vault.keep("[EMAIL:AAAAAAAAAAAAAAAA]", "EMAIL", "jane@example.com")
        vault.keep("[EMAIL:AAAAAAAAAAAAAAAA]", "EMAIL", "jane@example.com")
    assert b"jane" not in path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0
    with Vault(path, KEY) as vault:
        assert vault.value("[EMAIL:AAAAAAAAAAAAAAAA]") == "jane@example.com"
        assert vault.value("[EMAIL:BBBBBBBBBBBBBBBB]") is None
        with pytest.raises(Corrupt, match="two values"):
            vault.keep("[EMAIL:AAAAAAAAAAAAAAAA]", "EMAIL", "john@example.com")
    with pytest.raises(UsageError, match="does not open with this key"):
        Vault(path, KEY[::-1])


def test_a_file_that_is_no_vault_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("just notes " * 50)
    with pytest.raises(Corrupt, match="not a vault"):
        Vault(path, KEY)


def test_a_missing_or_short_key_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(UsageError, match="export SOME_KEY="):
        key_from("SOME_KEY")
    monkeypatch.setenv("SOME_KEY", "short")
    with pytest.raises(UsageError, match="5 bytes"):
        key_from("SOME_KEY")
