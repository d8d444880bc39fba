"""Headless Chromium by playwright, for the tests that look at a page as a reader does."""

import contextlib
import shutil

import pytest

PATIENCE = 180_000  # ms
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --use-angle=swiftshader --enable-unsafe-swiftshader"
).split()


def required():
    """playwright's module; skips where it or a Chromium is not there."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install playwright)")
    if not any(map(shutil.which, _NAMES)):
        pytest.skip("there is no Chromium on this machine (apt install chromium)", allow_module_level=True)
    return sync_api


@contextlib.contextmanager
def opened(width=1400, height=1000):
    """An empty page; ``page.said``: what goes to its console."""
    program = next(filter(None, map(shutil.which, _NAMES)))
    with required().sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, headless=True, args=_ARGUMENTS)
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(PATIENCE)
        page.said = []
        page.on("console", lambda message: page.said.append(message.text[:300]))
        yield page
        browser.close()
