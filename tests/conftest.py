"""What many tests share: the real server, a real browser that writes down all it sees, and a plain word on what was skipped."""

import os

# Two OpenMP threads beside a busy process on two cores wait for each other: ten times slower than one, as measured with
# a training and a browser beside the tests. It must be said before torch is imported, and our child processes inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import shutil  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections import Counter  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from pathlib import Path  # noqa: E402
from urllib.parse import urlsplit  # noqa: E402

import pytest  # noqa: E402

try:
    from hypothesis import settings

    settings.register_profile("playground", deadline=None, database=None)        # a busy core is no bug; no folder is left
    settings.load_profile("playground")
except ImportError:
    pass

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 180          # a cold disk and a busy core included
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
REQUIRED = ("browser", "data")           # where CI is set, a skipped test of these kinds fails the session


@pytest.fixture
def one_cpu_thread(request):
    """For `usefixtures`: models on the CPU, one thread, so that bits can be compared; a test of the GPU keeps what it finds."""
    from training import one_cpu_thread

    if request.node.get_closest_marker("gpu"):
        yield
    else:
        with one_cpu_thread():
            yield


# ---- the real server -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class App:
    """A running `python app.py`."""

    url: str                 # without a slash at its end
    process: subprocess.Popen
    out: Path                # all it printed to stdout
    err: Path                # and to stderr


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def _apps(tmp_path_factory):
    """Start `python app.py` (or another script that takes --port) with more options, in an environment with changes;
    wait for its first line."""
    started = []

    def start(*options: str, script: str = "app.py", **environment: str) -> App:
        folder = tmp_path_factory.mktemp("app")
        out, err = folder / "out.txt", folder / "err.txt"
        port = free_port()
        with open(out, "wb") as stdout, open(err, "wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, str(ROOT / script), "--port", str(port), *options], cwd=folder, stdout=stdout, stderr=stderr,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),         # a job in the background ignores Ctrl-C
                env={**os.environ, "OMP_NUM_THREADS": "1", "PLAYGROUND_RUNS": str(folder / "runs"), **environment})
        started.append(process)
        deadline = time.monotonic() + START_SECONDS
        while not out.read_bytes().endswith(b"\n"):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                pytest.fail(f"{script} printed no URL:\n{out.read_text()}{err.read_text()[-4000:]}")
            time.sleep(0.05)
        return App(f"http://127.0.0.1:{port}", process, out, err)

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def start_app(tmp_path_factory):
    """start_app(*options, script="app.py", **environment): a server of a file's own, which ends with the file: each takes a
    gigabyte."""
    with _apps(tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="session")
def app(tmp_path_factory) -> App:
    """One server for all tests that do it no harm."""
    with _apps(tmp_path_factory) as start:
        yield start()


@pytest.fixture(scope="session")
def server(app) -> str:
    """Its base URL, without a slash at the end."""
    return app.url


# ---- the real browser ------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def chromium() -> str:
    """The system's Chromium: no browser is ever downloaded."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -r tests/requirements.txt")
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    return found


@pytest.fixture(scope="module")
def browser(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium,
                                             args=["--no-sandbox", "--disable-background-networking"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def open_page(browser, request):
    """Open the playground as a new visitor: open_page(width=390, locale="zh-CN", dark=True, path="/?vae.seed=3") -> Page.

    The page carries what it did as lists that grow: `asked` (the URL of every request), `console_errors` (texts of
    console.error and of failed loads) and `crashes` (uncaught exceptions). base: another server than the shared one; its page is there when `ready` is.
    When a page is closed, after its test or its file, nothing may have crashed or gone to another host.
    """
    pages = []

    def open_page(width=1440, height=900, locale="en-US", dark=False, path="/", touch=False, base=None,
                  ready="#page-header h1"):
        context = browser.new_context(viewport={"width": width, "height": height}, locale=locale, has_touch=touch, is_mobile=touch,
                                      color_scheme="dark" if dark else "light")
        page = context.new_page()
        pages.append(page)
        page.asked, page.console_errors, page.crashes = [], [], []
        page.on("request", lambda asked: page.asked.append(asked.url))
        page.on("console", lambda said: page.console_errors.append(f"{said.text} {said.location['url']}") if said.type == "error" else None)
        page.on("pageerror", lambda crash: page.crashes.append(str(crash)))
        page.set_default_timeout(60_000)
        page.goto((base or request.getfixturevalue("server")) + path, wait_until="domcontentloaded")
        page.wait_for_selector(ready)
        return page

    open_page.pages = pages
    yield open_page
    _close(pages)


def _close(pages: list, keep: int = 0) -> None:
    """Close all but the first `keep`, and say what none of them may have done."""
    wrong = []
    while len(pages) > keep:
        page = pages.pop()
        hosts = {urlsplit(url).netloc for url in page.asked if not url.startswith(("data:", "blob:"))}
        wrong += [*page.crashes, *(hosts - {urlsplit(page.asked[0]).netloc})]
        page.context.close()
    assert wrong == []


@pytest.fixture(autouse=True)
def _closed_after_the_test(request):
    """The pages a test has opened: one left open goes on playing its films, and the next test is timed beside it."""
    pages = request.getfixturevalue("open_page").pages if "open_page" in request.fixturenames else []
    before = len(pages)
    yield
    _close(pages, keep=before)


@pytest.fixture
def page(open_page):
    """The playground as a visitor with a wide light English screen finds it."""
    return open_page()


# ---- what a bare machine lacks ---------------------------------------------------------------------------------


@pytest.fixture
def mnist():
    """`datasets.load` for the real MNIST: `mnist("test").images`. Mark such a test `data`."""
    from playground.core import datasets

    raw = datasets.data_root() / "MNIST" / "raw"
    if not any(raw.glob("t10k-images*")):                     # nothing is downloaded behind a tester's back
        pytest.skip("no MNIST in the data folder: PLAYGROUND_DATA names it")
    return lambda split="train": datasets.load("mnist", split)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file first: begun last, it would leave the other core idle."""
    items.sort(key=lambda item: item.path.name != "test_faults.py")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")


# ---- what was skipped ------------------------------------------------------------------------------------------

_skipped: Counter[str] = Counter()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped.update([mark for mark in ("browser", "data", "gpu", "slow") if mark in report.keywords] or ["unmarked"])


def _missed() -> str:
    """What CI does not forgive."""
    if not os.environ.get("CI"):
        return ""
    return ", ".join(f"{_skipped[mark]} marked {mark}" for mark in REQUIRED if _skipped[mark])


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if _missed() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter) -> None:
    counts = ", ".join(f"{count} {mark}" for mark, count in sorted(_skipped.items()))
    terminalreporter.write_line(f"skipped tests: {counts or 'none'}")
    if _missed():
        terminalreporter.write_line(f"FAILED: CI must run all of them, but it skipped {_missed()}.", red=True)
