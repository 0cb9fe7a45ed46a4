"""A real browser opens the report from disk: nothing is complained about, nothing hangs over the edge."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rungwise.web.report import render_report
from rungwise.web.view import ReportView

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_opens_without_complaint_and_fits_a_telephone(view: ReportView, tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    page_path = tmp_path / "report.html"
    page_path.write_text(render_report(view), encoding="utf-8")
    complaints: list[str] = []
    asked_for: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 400, "height": 900})
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked_for.append(request.url))
        page.goto(page_path.as_uri())
        for width in (400, 1200):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        # The pinned style was accepted: without it the page would be in the browser's own serif.
        assert page.evaluate("getComputedStyle(document.querySelector('.badge')).display") == "inline-block"
        browser.close()
    assert complaints == []
    assert {url.partition(":")[0] for url in asked_for} <= {"file", "data"}
