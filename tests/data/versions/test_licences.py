"""Licences: one name for what people write, and an allow-list that lets nothing slip through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.errors import UsageError
from rungwise.core.usecase import Columns, Limits
from rungwise.data.versions.licences import check_licences, is_allowed, read_licence
from rungwise.data.versions.version import SourceNote, Version


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("cc by 4.0", "CC-BY-4.0"),
        ("CC-BY-SA-3.0", "CC-BY-SA-3.0"),
        ("ccby4", "CC-BY-4.0"),
        ("cc-by-nc-sa-4.0", "CC-BY-NC-SA-4.0"),
        ("CC BY 3.0 US", "CC-BY-3.0"),
        ("cc-by", "CC-BY"),
        ("by-sa", "CC-BY-SA"),
        ("Creative Commons Attribution-ShareAlike 4.0 International", "CC-BY-SA-4.0"),
        ("Creative Commons Attribution Non Commercial No Derivatives 4.0", "CC-BY-NC-ND-4.0"),
        ("Attribution 4.0 International (CC BY 4.0)", "CC-BY-4.0"),
        ("https://creativecommons.org/licenses/by-sa/4.0/", "CC-BY-SA-4.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("CC0", "CC0-1.0"),
        ("Creative Commons Zero v1.0 Universal", "CC0-1.0"),
        ("MIT", "MIT"),
        ("The MIT License (MIT)", "MIT"),
        ("https://opensource.org/licenses/MIT", "MIT"),
        ("apache2", "Apache-2.0"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("https://www.apache.org/licenses/LICENSE-2.0", "Apache-2.0"),
        ("GPLv3", "GPL-3.0"),
        ("GPLv2+", "GPL-2.0-or-later"),
        ("GPL-3.0-only", "GPL-3.0"),
        ("GNU General Public License v3.0 or any later version", "GPL-3.0-or-later"),
        ("BSD 3-Clause", "BSD-3-Clause"),
        ("odbl", "ODbL-1.0"),
        ("research only", "research-only"),
        ("For research use only", "research-only"),
        ("Proprietary", "proprietary"),
        ("All rights reserved.", "proprietary"),
        ("MIT OR Apache-2.0", "MIT OR Apache-2.0"),
        ("mit, cc-by-4.0", "MIT AND CC-BY-4.0"),
        ("Huxlow  House Rules", "huxlow house rules"),
    ],
)
def test_what_people_write_becomes_one_name(written: str, name: str) -> None:
    assert read_licence(written).name == name


@pytest.mark.parametrize("written", [None, "", "unknown", "Other", "n/a", " - ", "mit and unknown things"])
def test_what_says_nothing_is_not_known_or_only_itself(written: str | None) -> None:
    found = read_licence(written)
    assert not found.known or found.name == written
    assert not is_allowed(written, ["mit", "unknown", "other", ""])


@pytest.mark.parametrize(
    ("written", "flags"),
    [
        ("cc-by-4.0", ""),
        ("cc-by-sa-4.0", "share_alike"),
        ("cc-by-nc-nd-4.0", "non_commercial no_derivatives"),
        ("gpl-3.0 or later", "share_alike"),
        ("mit", ""),
        ("research only", "non_commercial"),
        ("MIT OR GPL-3.0", ""),  # whoever chooses MIT owes nothing
        ("MIT AND CC-BY-SA-4.0", "share_alike"),
    ],
)
def test_says_what_a_licence_asks_for(written: str, flags: str) -> None:
    found = read_licence(written)
    assert " ".join(flag for flag in ("share_alike", "non_commercial", "no_derivatives") if getattr(found, flag)) == flags


@pytest.mark.parametrize(
    ("written", "allowed", "passes"),
    [
        ("Apache License 2.0", ["apache-2.0"], True),
        ("CC BY 4.0", ["cc-by"], True),  # an entry without a number stands for all versions
        ("CC BY", ["cc-by-4.0"], False),  # but not the other way round
        ("cc-by-sa-4.0", ["cc-by-4.0", "cc-by"], False),
        ("cc-by-nc-4.0", ["cc-by-4.0"], False),
        ("MIT OR GPL-3.0", ["mit"], True),
        ("MIT AND GPL-3.0", ["mit"], False),
        ("mit, cc-by-4.0", ["mit", "cc-by"], True),
        ("GPL-3.0-or-later", ["gpl-3.0"], True),
        ("GPL-3.0", ["GPL-3.0-or-later"], False),
        ("proprietary", ["proprietary"], True),
        ("Huxlow House  Rules", ["huxlow house rules"], True),
        ("mit", [], False),
    ],
)
def test_an_allow_list_compares_what_is_meant(written: str, allowed: list[str], passes: bool) -> None:
    assert is_allowed(written, allowed) is passes


@given(st.text(max_size=60))
def test_any_text_is_read_and_reading_its_name_again_changes_nothing(text: str) -> None:
    found = read_licence(text)
    again = read_licence(found.name)
    assert again.name == found.name
    assert not found.known or (again.share_alike, again.non_commercial) == (found.share_alike, found.non_commercial)


@given(
    st.sampled_from(["cc-by-4.0", "cc-by-sa-4.0", "mit", "gpl-3.0", "research only"]), st.sampled_from(["", " license", " Licence"])
)
def test_case_and_the_word_licence_do_not_matter(name: str, tail: str) -> None:
    assert read_licence((name + tail).upper()) == read_licence(name)


def version(*sources: SourceNote) -> Version:
    return Version(kind="imported", content="c", rows=3, sources=sources, records="r", set_aside="a")


def source(licence: str | None, location: str = "/data/tickets.csv", rows: int = 3) -> SourceNote:
    return SourceNote(location=location, kind="table", columns=Columns(), names=("text",), rows=rows, licence=licence)


def test_data_is_held_against_the_list_that_models_are_held_against() -> None:
    limits = Limits(licences=("mit", "cc-by"))
    check_licences(version(source("CC BY 4.0"), source("MIT")), limits)
    with pytest.raises(UsageError, match=r"/data/wiki\.csv is under CC-BY-SA-3\.0.*limits: licences") as refused:
        check_licences(version(source("mit"), source("cc-by-sa-3.0", "/data/wiki.csv")), limits)
    assert refused.value.exit_code == 2
    assert "tickets.csv" not in str(refused.value)


def test_an_unknown_licence_is_refused_with_the_command_that_says_it() -> None:
    with pytest.raises(UsageError, match="not known") as refused:
        check_licences(version(source(None, "/data/my tickets.csv")), Limits(licences=("mit",)), directory="support")
    assert "rungwise data import '/data/my tickets.csv' --into support --licence NAME" in str(refused.value)


def test_without_a_list_and_for_sources_without_rows_nothing_is_asked() -> None:
    check_licences(version(source(None)), Limits())
    check_licences(version(source("mit"), source(None, rows=0)), Limits(licences=("mit",)))
