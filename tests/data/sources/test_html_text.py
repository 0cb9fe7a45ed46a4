"""The text of HTML: what a reader sees, in blocks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.data.sources.html import decode_html, html_text

pytest.importorskip("selectolax", reason="the extra 'curation' is not installed")


def text(body: str) -> str:
    return html_text(body)[0]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<p>one</p><p>two\n  three</p>", "one\n\ntwo three"),
        ("one<br>two<div>three</div>four", "one\ntwo\nthree\nfour"),
        ("a <b>b</b><i>c</i>, <a href=x>d</a>.", "a bc, d."),
        ("<h1>Big</h1><h3>small <em>er</em></h3>x", "# Big\n\n### small er\n\nx"),
        ("<ul><li>a<li><p>b</p><ol><li>c</ol></ul>", "- a\n\n- b\n\n- c"),
        ("<table><tr><th>x<th>y<tr><td>1<td><td>2</table>", "x | y\n1 | | 2"),
        ("<pre>def f():\n    return 1\n</pre>after", "def f():\n    return 1\n\nafter"),
        ("<nav>home</nav><script>x()</script><style>p{}</style><noscript>on</noscript><p>kept", "kept"),
        ("<header><a>logo</a></header><main><header>kept</header><article><footer>by me</footer></article></main>", "by me"),
        ("<header><h1>Title</h1></header><footer>legal</footer>", "# Title"),
        ("<div role=navigation>home</div><p hidden>no</p><p style='display: none'>no</p><p>yes", "yes"),
        ("<form><p>forms wrap whole pages</p><input value=v><select><option>o</select></form>", "forms wrap whole pages"),
        ("&lt;b&gt; &amp; &eacute;&#233; &nbsp;x", "<b> & éé \xa0x"),
        ("a<!-- not this -->b<?php nor this ?>c", "abc"),
        ("<p>not closed <b>bold <i>both</p> after", "not closed bold both\n\nafter"),
        ("", ""),
    ],
)
def test_what_a_reader_sees_stays_in_its_blocks(body: str, expected: str) -> None:
    assert text(f"<!doctype html><body>{body}") == expected


def test_the_title_is_that_of_the_page_else_its_first_heading() -> None:
    assert html_text("<title> A \n b </title><h1>Other</h1>")[1] == "A b"
    assert html_text("<h2>Two</h2><h1>One <i>more</i></h1><h1>Third</h1>")[1] == "One more"
    assert html_text("<p>x")[1] is None


@pytest.mark.parametrize(
    ("data", "said", "expected"),
    [
        ("é".encode(), None, "é"),
        ("é".encode("latin-1"), None, "é"),
        ("“x”".encode("cp1252"), "iso-8859-1", "“x”"),
        (b"<meta charset='iso-8859-2'>\xb1", None, "<meta charset='iso-8859-2'>ą"),
        ("<meta charset=latin-1>é".encode(), "utf-8", "<meta charset=latin-1>é"),
        ("\ufeffé".encode("utf-16-le"), "latin-1", "é"),
        (b"<meta charset=utf-16>x", None, "<meta charset=utf-16>x"),
        (b"<meta charset=hex>x", None, "<meta charset=hex>x"),
        (b"<meta charset=klingon>\xe9", "rot13", "<meta charset=klingon>é"),
    ],
)
def test_characters_are_found_as_browsers_find_them(data: bytes, said: str | None, expected: str) -> None:
    assert decode_html(data, said) == expected


@settings(deadline=None)
@given(data=st.binary(max_size=400) | st.text("<>/=\"'&; \nabdhilnprtuv!-?#1", max_size=300).map(str.encode))
def test_any_bytes_give_text_that_can_be_kept(data: bytes) -> None:
    found, title = html_text(decode_html(data))
    (found + (title or "")).encode()
    assert "\0" not in found + (title or "")


@settings(deadline=None)
@given(
    words=st.lists(st.text("abcdé", min_size=1), min_size=1),
    tags=st.lists(st.sampled_from(["p", "div", "b", "li", "td", "h2", "section"])),
)
def test_no_word_is_lost_whatever_stands_around_it(words: list[str], tags: list[str]) -> None:
    opened = "".join(f"<{tag}>" for tag in tags)
    page = "".join(f"{opened}{word} {word}</p></div>" for word in words)
    assert [word for word in text(page).split() if word.strip("#-|")] == [word for word in words for _ in range(2)]
