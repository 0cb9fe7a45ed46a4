"""Errors that are raised on purpose."""

from __future__ import annotations

import pickle

import pytest

from rungwise.core.errors import BadData, MissingExtra, RungwiseError, UnknownName


@pytest.mark.parametrize(
    "error",
    [
        MissingExtra("reading Parquet", "curation"),
        UnknownName("verb", "clim", ["climb"]),
        BadData("not usable.", where="a.csv:3", hint="Mend it"),
        RungwiseError("plain"),
    ],
)
def test_an_error_comes_back_whole_from_another_process(error: RungwiseError) -> None:
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes, as worker processes send them
    assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))
