"""More than one family on the page: a tab wakes when it is first opened, and the URL brings back the one in sight."""

from urllib.parse import parse_qs, urlsplit

import pytest
from test_families import copy_of_the_repository

from browser.screen import drag, numbers, pixels, quiet, slider, wait_for_frames
from playground.families import FAMILIES

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def two_families(tmp_path_factory, start_app):
    """A server of the repository with one more family, "sixth"."""
    folder = copy_of_the_repository(tmp_path_factory.mktemp("copy"), "sixth")
    return start_app(script=str(folder / "app.py"), PYTHONPATH=str(folder)).url


def asked(page, family: str) -> list[str]:
    return [url for url in page.asked if f"/live/{family}." in url]


def test_a_tab_asks_for_nothing_before_it_is_opened_and_opens_on_its_pictures(two_families, open_page):
    page = open_page(base=two_families, path="/?tab=sixth")
    wait_for_frames(page, "sixth.decode", "sixth.prior", "sixth.encode")
    page.wait_for_timeout(500)
    assert asked(page, "sixth") and not asked(page, "vae")
    page.locator("[role=tab][data-tab-id=vae]").click()
    wait_for_frames(page, "vae.decode", "vae.prior", "vae.encode")
    assert pixels(page, "#live-vae-decode canvas").std() > 20
    quiet(page)


def test_the_url_brings_back_the_tab_in_sight_and_every_tabs_controls(two_families, open_page):
    page = open_page(base=two_families, path="/?tab=sixth")
    wait_for_frames(page, "sixth.decode")
    page.locator("[role=tab][data-tab-id=vae]").click()
    wait_for_frames(page, "vae.decode")
    drag(page, slider(page, 1), to=0.1)
    page.wait_for_timeout(800)
    value = slider(page, 1).input_value()
    query = parse_qs(urlsplit(page.url).query)
    assert query["tab"] == ["vae"]
    other = open_page(base=two_families, path=f"/?{urlsplit(page.url).query}")
    wait_for_frames(other, "vae.decode")
    other.wait_for_timeout(800)
    assert slider(other, 1).input_value() == value
    assert numbers(other, "vae.decode")["z"] == numbers(page, "vae.decode")["z"]
    assert not asked(other, "sixth")
    other.locator("[role=tab][data-tab-id=sixth]").click()
    wait_for_frames(other, "sixth.decode")


def test_a_tab_whose_opening_is_never_answered_goes_on_without_it(two_families, open_page):
    page = open_page(base=two_families, path="/?tab=sixth")
    page.route("**/queue/join*", lambda route: route.fulfill(status=503, body="{}"))
    page.reload()
    page.wait_for_selector("#vae-figure, #sixth-figure", state="attached")
    wait_for_frames(page, "sixth.decode")
    n = page.evaluate("playground.live.view('sixth.decode').frames")
    drag(page, page.locator("#sixth-z1 input[type=range]"), to=0.9)
    wait_for_frames(page, "sixth.decode", after={"sixth.decode": n})


UNTOLD = """() => [...document.querySelectorAll('[data-live]')].filter(e => !e.closest('[hidden]')).map(e => e.dataset.live).filter(name => {
    const [view, key] = name.split(/:(.*)/), live = playground.live.view(view);
    return live.frames && !(key in live.numbers) })"""


@pytest.mark.parametrize("tab", ["overview", *FAMILIES])
def test_every_number_of_a_tab_is_one_that_its_view_tells(open_page, tab):
    page = open_page(path=f"/?tab={tab}")
    page.wait_for_function("document.querySelectorAll('[data-live]').length")
    for _ in range(60):                                       # views draw when they come near
        page.mouse.wheel(0, 700)
        page.wait_for_timeout(150)
    told = page.evaluate("[...new Set([...document.querySelectorAll('[data-live]')].map(e => e.dataset.live.split(':')[0]))].filter(view => playground.live.view(view).frames)")
    assert told, "some view has drawn"
    assert page.evaluate(UNTOLD) == []


CUT = """() => [...document.querySelectorAll('.katex-display')].filter(e => e.clientWidth && e.scrollWidth > e.clientWidth + 2)
    .map(e => e.querySelector('annotation').textContent)"""


@pytest.mark.parametrize("tab", FAMILIES)
def test_every_formula_of_a_tab_fits_a_phone(open_page, tab):
    page = open_page(path=f"/?tab={tab}", width=390, height=844)
    page.wait_for_function("document.querySelectorAll('.katex-display').length > 3")
    page.wait_for_timeout(1_500)
    assert page.evaluate(CUT) == []
    smallest = page.evaluate("Math.min(...[...document.querySelectorAll('.katex-display')].filter(e => e.clientWidth).map(e => +e.style.getPropertyValue('--fit')))")
    assert 0.7 <= smallest <= 1 and (tab != "gan" or smallest < 1), "where some were wider they are smaller now, but can be read"
