"""The first screen as a visitor meets it: five rows of live pictures, each the way to its tab."""

import numpy as np
import pytest

from browser.screen import numbers, pixels, quiet, until, wait_for_frames
from playground import families

pytestmark = [pytest.mark.browser, pytest.mark.slow]

VIEWS = [f"overview.{family}" for family in families.FAMILIES]


@pytest.fixture
def visit(open_page):
    """Open the page as it is, and wait for the pictures of all rows."""
    def visit(query="", **options):
        page = open_page(path=f"/{query}", **options)
        wait_for_frames(page, *VIEWS)
        return page

    return visit


def drawn(page, family):
    return pixels(page, f"[data-mirror='overview.{family}:1']").astype(int)


def test_the_page_opens_on_five_rows_and_the_button_draws_all_anew(visit):
    page = visit()
    before = {family: drawn(page, family) for family in families.FAMILIES}
    assert all(picture.std() > 10 for picture in before.values())
    page.click("#overview-others")
    for family in families.FAMILIES:
        until(page, f"overview.{family}", "n.seed === 1")
        assert np.abs(drawn(page, family) - before[family]).mean() > 2, family
        assert float(page.inner_text(f"[data-live='overview.{family}:ms']")) == pytest.approx(float(numbers(page, f"overview.{family}")["ms"]), rel=0.06)
    page.wait_for_function("new URL(location).searchParams.get('overview.seed') === '1'")
    again = visit("?" + page.url.partition("?")[2])
    for family in families.FAMILIES:
        np.testing.assert_array_equal(drawn(again, family), drawn(page, family))
    quiet(page), quiet(again)


def test_a_row_opens_its_tab_and_the_way_back_is_a_tab_too(visit):
    page = visit()
    page.click("[data-opens=gan] .drawn")
    wait_for_frames(page, "gan.grid")
    assert page.evaluate("scrollY") == 0
    page.wait_for_function("new URL(location).searchParams.get('tab') === 'gan'")
    page.locator("#families [role=tab][data-tab-id=overview]").click()
    page.locator("[data-opens=vae] th a").press("Enter")
    wait_for_frames(page, "vae.decode")
    quiet(page)


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_a_phone_shows_each_row_as_a_card_in_its_language(visit, locale):
    page = visit(width=390, height=844, touch=True, locale=locale)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    for family in families.FAMILIES:
        row = page.locator(f"[data-opens={family}]")
        assert row.bounding_box()["width"] <= 360 and ("采样" in row.inner_text()) == (locale == "zh-CN")
        assert row.locator(".label").first.is_visible()
    page.locator("[data-opens=diffusion]").tap()
    wait_for_frames(page, "diffusion.grid")
    quiet(page)
