"""How long a visitor's browser takes to open each tab, as a ratio to a Gradio page of one slider and one picture.

    python tests/benchmarks/page_opens.py [--runs 5]

Both are opened in the system's Chromium by a new visitor each time, alternating, so that a busy machine slows both; the ratio is of the
medians. A tab is open when its structure figure and its first picture are there; the plain page when its picture is.
"""

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from playground import families  # noqa: E402

LIMIT = 180.0                # seconds to wait for a server
OPEN = """tab => document.querySelector(`#${tab}-figure`)?.checkVisibility()
    && [...document.querySelectorAll('.live-view')].some(view => playground.live.view(view.dataset.view).frames > 0)"""


def serve(script: str) -> tuple[subprocess.Popen, str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process, end = subprocess.Popen([sys.executable, script, "--port", str(port)], cwd=ROOT, stdout=subprocess.DEVNULL), time.monotonic() + LIMIT
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return process, f"http://127.0.0.1:{port}"
        except ConnectionError:
            time.sleep(0.1)
    raise SystemExit(f"{script} did not answer within {LIMIT:.0f} s")


def opened(browser, url: str, ready: str, argument: str = "") -> float:
    """Seconds until `ready` holds for a visitor who has never been here."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    begun = time.perf_counter()
    page.goto(url, wait_until="domcontentloaded")
    page.wait_for_function(ready, arg=argument, timeout=LIMIT * 1000)
    seconds = time.perf_counter() - begun
    context.close()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    (app, url), (plain, plain_url) = serve("app.py"), serve("tests/browser/image_baseline.py")
    found: dict[str, list[float]] = {"plain": [], **{family: [] for family in families.FAMILIES}}
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
                                                 args=["--no-sandbox", "--disable-background-networking"])
            for _ in range(runs + 1):                         # the first warms both
                found["plain"].append(opened(browser, plain_url, "() => document.querySelector('#baseline img')?.complete"))
                for family in families.FAMILIES:
                    found[family].append(opened(browser, f"{url}/?tab={family}", OPEN, family))
    finally:
        for process in (app, plain):
            process.kill()
    medians = {name: statistics.median(seconds[1:]) for name, seconds in found.items()}
    for name, seconds in medians.items():
        print(f"{name:>10}  {seconds:5.2f} s   ratio {seconds / medians['plain']:.1f}")
    print(f"medians of {runs} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
