"""The VAE tab's further views as a visitor uses them: each is moved, and the number or the pixels that must change are checked."""

from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from browser.screen import WAIT, drag, fetched, numbers, pixels, slider_values, strokes, circle, wait_for_frames

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def visit(open_page):
    """Open the page at a section and wait for its views."""
    def visit(section, *views, query="", **options):
        page = open_page(path=f"/?tab=vae{query}", **options)
        wait_for_frames(page, "vae.decode", "vae.encode")
        at(page, section, *views)
        return page

    return visit


@pytest.fixture(scope="module")
def page(open_page):
    """The tab as its last test left it, for tests that move other views: opening it takes seconds."""
    page = open_page(path="/?tab=vae")
    wait_for_frames(page, "vae.decode", "vae.encode")
    return page


def at(page, section, *views):
    """Scroll to a section and wait for its views."""
    page.locator(f"#{section}").scroll_into_view_if_needed()
    wait_for_frames(page, *views)
    page.wait_for_timeout(300)


def until(page, view, condition):
    page.wait_for_function(f"([name]) => {{ const n = playground.live.view(name).numbers; return n && ({condition}) }}", arg=[view], timeout=WAIT)


def point(page, selector, x, y):
    """Press at a share of a cursor's sides, from the bottom left, and move there from its middle."""
    page.locator(selector).scroll_into_view_if_needed()
    box = page.locator(selector).bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * x, box["y"] + box["height"] * (1 - y), steps=8)
    page.mouse.up()


def test_dragging_over_the_sheet_decodes_what_lies_there(page):
    at(page, "vae-sheet", "vae.sheet", "vae.codes", "vae.place")
    sheet = ".cursor:has([data-mirror='vae.sheet:0'])"
    page.wait_for_function("document.querySelector('#vae-sheet .if')?.checkVisibility()", timeout=WAIT)
    assert page.inner_text("#vae-sheet .if").startswith("vae-mnist-2d stands in for the chosen model")
    point(page, sheet, (15 + 0.5) / 20, (4 + 0.5) / 20)
    until(page, "vae.place", "Math.abs(n.z[0] - n.quantiles[15]) < 0.03 && Math.abs(n.z[1] - n.quantiles[4]) < 0.03")
    wait_for_frames(page, "vae.place")
    whole = pixels(page, "[data-mirror='vae.sheet:0']").astype(int)
    there = whole[28 * 15:28 * 16, 28 * 15:28 * 16]           # column 15, the fifth row from below
    assert np.abs(pixels(page, "#live-vae-place canvas").astype(int) - there).mean() < 8, "nearly the same place"
    assert np.abs(pixels(page, "#live-vae-place canvas").astype(int) - whole[:28, :28]).mean() > 10
    left = page.locator(f"{sheet} > i").evaluate("i => parseFloat(getComputedStyle(i).left) / i.parentElement.clientWidth")
    assert left == pytest.approx(15.5 / 20, abs=0.01), "the cross stands where it was put"


def test_the_arrow_keys_and_the_plane_move_the_same_cursor(visit):
    page = visit("vae-sheet", "vae.sheet", "vae.codes", "vae.place")
    plane = ".cursor:has([data-plane='vae.codes'])"
    point(page, plane, 0.75, 0.5)
    until(page, "vae.place", "Math.abs(n.z[0] - 1.5) < 0.05 && Math.abs(n.z[1]) < 0.05")
    page.keyboard.press("ArrowUp")
    until(page, "vae.place", "Math.abs(n.z[1] - 0.12) < 0.03")
    for _ in range(5):                                        # quicker than the pictures come: none is lost
        page.keyboard.press("ArrowLeft")
    until(page, "vae.place", "Math.abs(n.z[0] - 0.9) < 0.05")
    page.wait_for_function("new URL(location).searchParams.has('vae.plane')")
    there = numbers(page, "vae.place")["z"]
    again = visit("vae-sheet", "vae.place", query="&" + urlsplit(page.url).query.partition("&")[2])
    assert numbers(again, "vae.place")["z"] == pytest.approx(there, abs=0.006)


def test_a_finger_moves_it_on_a_phone(visit):
    page = visit("vae-sheet", "vae.sheet", "vae.codes", "vae.place", width=390, height=844, touch=True)
    sheet = page.locator(".cursor:has([data-mirror='vae.sheet:0'])")
    sheet.scroll_into_view_if_needed()
    box, session = sheet.bounding_box(), page.context.new_cdp_session(page)
    at = lambda x, y: [{"x": box["x"] + box["width"] * x, "y": box["y"] + box["height"] * y}]     # noqa: E731
    before = page.evaluate("scrollY")
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": at(0.5, 0.5)})
    for i in range(1, 9):
        session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": at(0.5 + 0.04 * i, 0.5 - 0.04 * i)})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    until(page, "vae.place", "n.z[0] > 0.6 && n.z[1] > 0.6")
    assert page.evaluate("scrollY") == before, "the page stays where it is"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_drawing_eps_again_moves_z_alone_and_a_step_back_hides_it(page):
    at(page, "vae-stepper", "vae.stepper")
    before = numbers(page, "vae.stepper")
    out = pixels(page, "#live-vae-stepper [data-tile='1'] canvas")
    page.click("#vae-eps")
    until(page, "vae.stepper", f"Math.abs(n.z1 - {before['z1']}) > 1e-4")
    wait_for_frames(page, "vae.stepper")
    after = numbers(page, "vae.stepper")
    assert after["mu"] == before["mu"] and after["sigma"] == before["sigma"] and after["eps"] != before["eps"]
    assert np.abs(pixels(page, "#live-vae-stepper [data-tile='1'] canvas").astype(int) - out).max() > 0
    page.locator("#vae-step input").nth(1).click()
    until(page, "vae.stepper", "n.eps.length && !n.z.length")
    wait_for_frames(page, "vae.stepper")
    assert pixels(page, "#live-vae-stepper [data-tile='1'] canvas").max() == 0


def test_moving_q_lowers_the_bound_and_the_best_q_raises_it_above_the_encoder_s(page):
    at(page, "vae-posterior", "vae.posterior")
    encoder = numbers(page, "vae.posterior")
    assert encoder["elbo"] + encoder["gap"] == pytest.approx(encoder["log_p"], abs=0.02)
    point(page, ".cursor:has([data-mirror='vae.posterior:0'])", 0.8, 0.8)
    until(page, "vae.posterior", f"n.gap > {encoder['gap']} + 1")
    wait_for_frames(page, "vae.posterior")
    moved = numbers(page, "vae.posterior")
    assert moved["log_p"] == encoder["log_p"] and moved["elbo"] < encoder["elbo"]
    assert moved["elbo"] + moved["gap"] == pytest.approx(moved["log_p"], rel=1e-3)
    page.click("#vae-q-best")
    until(page, "vae.posterior", f"n.gap <= {encoder['gap']} + 0.01")
    page.click("#vae-q-back")
    until(page, "vae.posterior", f"Math.abs(n.gap - {encoder['gap']}) < 0.01")


def test_a_property_is_added_and_can_be_put_on_the_sliders(page):
    at(page, "vae-arithmetic", "vae.arithmetic")
    before = pixels(page, "#live-vae-arithmetic [data-tile='1'] canvas").astype(int)
    drag(page, page.locator("#vae-amount input[type=range]"), to=0.98)
    until(page, "vae.arithmetic", "n.amount > 2.7")
    wait_for_frames(page, "vae.arithmetic")
    assert np.abs(pixels(page, "#live-vae-arithmetic [data-tile='1'] canvas").astype(int) - before).mean() > 1
    assert numbers(page, "vae.arithmetic")["judge"].startswith("5"), "a three has become a five"
    z = numbers(page, "vae.arithmetic")["z"]
    page.click("#vae-put")
    page.wait_for_function("z => Math.abs(playground.live.view('vae.decode').numbers.z[0] - z) < 0.01", arg=max(-3, min(3, z[0])))


def test_thicker_has_more_ink(visit):
    page = visit("vae-arithmetic", "vae.arithmetic", query="&vae.trait=thicker&vae.amount=2")
    until(page, "vae.arithmetic", "n.change?.includes('→')")
    thin, thick = (pixels(page, f"#live-vae-arithmetic [data-tile='{i}'] canvas").mean() for i in (0, 1))
    assert thick > 1.15 * thin


def test_the_palette_s_cursor_blends_and_a_kept_corner_stays(page):
    at(page, "vae-palette", "vae.palette", "vae.blend")
    palette = ".cursor:has([data-mirror='vae.palette:0'])"
    point(page, palette, 0.5 / 7, 6.5 / 7)
    until(page, "vae.blend", "n.u < 0.01 && n.v > 0.99")
    wait_for_frames(page, "vae.blend")
    corner = pixels(page, "[data-mirror='vae.palette:0']")[:28, :28].astype(int)
    assert np.abs(pixels(page, "#live-vae-blend canvas").astype(int) - corner).mean() < 3
    page.click("#vae-keep-top-left")
    until(page, "vae.blend", f"Math.abs(n.z[0] - {slider_values(page)[0]}) < 0.05 && Math.abs(n.z[1] - {slider_values(page)[1]}) < 0.05")
    page.wait_for_function("new URL(location).searchParams.get('vae.corner1')")


def test_beta_slides_along_the_curve_and_warns_of_collapse(page):
    at(page, "vae-rate", "vae.rate", "vae.rate.all", "vae.rate.prior")
    first, curve = numbers(page, "vae.rate"), "#vae-rate canvas[data-lines]"
    assert first["beta"] == 1 and page.locator("#vae-rate .choices .chosen").get_attribute("data-values") == "0"
    seen, drawn, plotted = (pixels(page, each).astype(int) for each in ("#live-vae-rate [data-tile='1'] canvas", "#live-vae-rate-prior [data-tile='0'] canvas", curve))
    drag(page, page.locator("#vae-rate-at input[type=range]"), to=1)
    until(page, "vae.rate", "n.beta === 8")
    wait_for_frames(page, "vae.rate", "vae.rate.prior")
    last = numbers(page, "vae.rate")
    assert last["rate"] < first["rate"] and last["distortion"] > first["distortion"] and last["rates"] == first["rates"]
    restored = pixels(page, "#live-vae-rate [data-tile='1'] canvas").astype(int)
    assert np.abs(restored - seen).mean() > 3 and np.abs(pixels(page, "#live-vae-rate-prior [data-tile='0'] canvas").astype(int) - drawn).mean() > 3
    assert np.abs(pixels(page, curve).astype(int) - plotted).max() > 50, "the point has moved"
    np.testing.assert_array_equal(pixels(page, "#vae-rate .choices canvas:nth-of-type(6)"), restored)
    assert page.locator("#vae-rate .warning").is_visible() and last["collapsed"] in page.inner_text("#vae-rate .warning")
    page.locator("#vae-rate .choices canvas").first.click()
    until(page, "vae.rate", "n.beta === 0.25 && !n.collapsed")
    page.wait_for_function("new URL(location).searchParams.get('vae.rate') === '-2' && !document.querySelector('#vae-rate .warning').checkVisibility()")


def test_an_uploaded_picture_is_encoded_until_the_visitor_draws(visit, tmp_path):
    from PIL import Image

    picture = np.zeros((64, 64, 3), np.uint8)
    picture[8:56, 28:36] = 255
    Image.fromarray(picture).save(tmp_path / "one.png")
    page = visit("vae-own", "vae.encode")
    before = slider_values(page)
    with page.expect_file_chooser() as chooser:
        page.click("#vae-upload")
    chooser.value.set_files(tmp_path / "one.png")
    page.wait_for_function("before => document.querySelector('#vae-z1 input[type=range]').value != before", arg=str(before[0]), timeout=WAIT)
    wait_for_frames(page, "vae.encode")
    seen = pixels(page, "#live-vae-encode [data-tile='0'] canvas")
    assert seen[14, 14] > 200 and seen[14, 4] == 0 and seen[5:23, 13:15].min() > 200
    page.wait_for_function("new URL(location).searchParams.has('vae.own')")
    strokes(page, page.locator("#vae-pad canvas"), circle())
    page.wait_for_function("!new URL(location).searchParams.has('vae.own')", timeout=WAIT)
    assert parse_qs(urlsplit(page.url).query)["vae.x"]
    wait_for_frames(page, "vae.encode")
    shown = fetched(page, f"/live/vae.encode?checkpoint=vae-mnist&x={parse_qs(urlsplit(page.url).query)['vae.x'][0]}")[:, :28, 0]
    np.testing.assert_array_equal(pixels(page, "#live-vae-encode [data-tile='0'] canvas"), shown)
