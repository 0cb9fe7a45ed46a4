"""The report's section about money: there where something was answered, and in order in a real browser."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from rungwise.core.reading import DAY_S
from rungwise.core.usecase import UseCase
from rungwise.core.watching import Money, Watching
from rungwise.data.store import Store
from rungwise.watch.value.account import Account, account
from rungwise.web.report import render_report
from rungwise.web.value_charts import Bar, Fan, Row, bars, fan, rows
from rungwise.web.view import ReportView
from tests.clocks import StillClock
from tests.watch.earning import month, release

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def money(store: Store, clock: StillClock) -> Account:
    first = int(clock.at // DAY_S) - 20
    live = release(store, [("plain", "1" * 64), ("<rich>", "2" * 64)], at=first * DAY_S)
    month(store, live, first=first, days=20, users=20, a_day=30)
    watching = Watching(money=Money(budget_usd_per_month=1.0, user_budget_usd_per_month=0.1))
    return account(store, UseCase(name="p", task="classify"), watching, clock.now())


def test_a_report_of_a_climb_alone_says_nothing_of_money(view: ReportView) -> None:
    assert 'id="money"' not in render_report(view)


def test_equal_accounts_give_equal_pages_with_names_made_harmless(view: ReportView, money: Account) -> None:
    page, again = (render_report(dataclasses.replace(view, money=money)) for _ in range(2))
    assert page == again
    assert 'id="money"' in page
    assert "<rich>" not in page
    assert "The budget of 1.00 USD" in page
    for title in ("Cost of each day", "This month, with its forecast", "Revenue for each user", "Users who come back"):
        assert title in page
    assert ">nan" not in page
    assert "NaN" not in page


@pytest.mark.parametrize("value", [0.0, 1e-9, 1e9, -5.0])
def test_drawings_hold_odd_figures(value: float) -> None:
    drawn = [
        bars([Bar(name="1 Nov", usd=max(0.0, value), shadow_usd=0.0)], title="t", write=str),
        fan(Fan(title="t", names=("a", "b"), known=(value,), mean=(value,), low=(value - 1,), high=(value + 1,)), write=str),
        rows([Row(name="a", value=value, low=None, high=None)], title="t", write=str),
    ]
    assert all("nan" not in one and "inf" not in one for one in drawn)


def test_nothing_can_be_drawn() -> None:
    assert all(str(one).endswith("</svg>") for one in (bars([], title="t", write=str), rows([], title="t", write=str)))


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_section_fits_a_telephone_and_its_pictures_have_a_size(view: ReportView, money: Account, tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = tmp_path / "report.html"
    path.write_text(render_report(dataclasses.replace(view, money=money)), encoding="utf-8")
    complaints: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 400, "height": 900})
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(path.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        for width in (400, 1200):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        heights = page.evaluate("[...document.querySelectorAll('svg.money')].map(one => one.getBoundingClientRect().height)")
        assert len(heights) >= 6
        assert min(heights) > 40
        assert page.evaluate("getComputedStyle(document.querySelector('.known')).fill") == "none"
        browser.close()
    assert complaints == []
