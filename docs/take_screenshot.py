"""Take pictures of the real page: start the app, open it in the system's Chromium, wait for its live views, press the shutter.

    python docs/take_screenshot.py                      docs/screenshot.png, the README's picture
    python docs/take_screenshot.py --all --out DIR      each tab, whole, at 1440 and 390 px, light and dark, English and Chinese
    python docs/take_screenshot.py --all --tab gan      one of them
"""

import argparse
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from playground.families import FAMILIES  # noqa: E402

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TABS = ("overview", *FAMILIES)
LOCALES = {"en": "en-US", "zh": "zh-CN"}
# Every live view that is near the window has drawn, and no request of it is under way.
DRAWN = """() => { const views = [...document.querySelectorAll("[data-view]")].map(e => playground.live.view(e.dataset.view)).filter(v => v.near);
                   return views.length && views.every(v => v.frames && !v.inFlight && v.wanted === null) && document.fonts.status === "loaded" }"""
SCREEN = 600                 # pixels scrolled at once on the way down a whole page, so that each view comes near


def take(browser: Browser, url: str, path: Path, *, width: int, height: int, dark: bool = False, language: str = "en",
         whole: bool = False) -> None:
    """One picture of `url` as a new visitor sees it; whole: all of the page, not only the first screen."""
    phone = width < 600
    context = browser.new_context(viewport={"width": width, "height": height}, locale=LOCALES[language], has_touch=phone,
                                  is_mobile=phone, color_scheme="dark" if dark else "light")
    page = context.new_page()
    page.goto(url)
    page.wait_for_function(DRAWN, timeout=120_000)
    for y in range(0, page.evaluate("document.body.scrollHeight") if whole else 0, SCREEN):
        page.evaluate("y => scrollTo(0, y)", y)
        page.wait_for_timeout(100)
        page.wait_for_function(DRAWN, timeout=120_000)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(700)                                # transitions end, bars are drawn
    page.screenshot(path=path, full_page=whole)
    context.close()
    print(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="the whole matrix instead of the README's picture")
    parser.add_argument("--out", type=Path, default=ROOT / "screenshots", metavar="DIR", help="where --all puts them")
    parser.add_argument("--tab", choices=TABS, help="of --all, this tab alone")
    options = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None) or sys.exit("no Chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory() as runs, sync_playwright() as playwright:
        port = os.environ.get("GRADIO_SERVER_PORT", "17860")
        server = subprocess.Popen([sys.executable, ROOT / "app.py", "--port", port, "--runs-dir", runs],
                                  stdout=subprocess.PIPE, text=True)
        browser = None
        try:
            url = server.stdout.readline().split()[-1:] or sys.exit("app.py did not start")
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-background-networking"])
            if not options.all:
                take(browser, f"{url[0]}/", ROOT / "docs" / "screenshot.png", width=1440, height=1330)
                return
            options.out.mkdir(parents=True, exist_ok=True)
            for family, width, dark, language in itertools.product([options.tab] if options.tab else TABS, (1440, 390), (False, True), LOCALES):
                name = f"{family}-{width}-{'dark' if dark else 'light'}-{language}.png"
                take(browser, f"{url[0]}/?tab={family}", options.out / name, width=width, height=900 if width > 600 else 844,
                     dark=dark, language=language, whole=True)
        finally:
            if browser:
                browser.close()
            server.kill()
            server.wait()


if __name__ == "__main__":
    main()
