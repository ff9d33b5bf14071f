"""The autoencoder tab as a person uses it: one picture through four models, two planes, single units, noise, and a field that learns."""

from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from browser.screen import at, circle, drag, fetched, frames, numbers, pixels, quiet, redraws_beside_an_ordinary_image, said, strokes, tile, until, wait_for_frames

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def visit(open_page):
    """Open the page and wait for its first pictures."""
    def visit(query="", **options):
        page = open_page(path=f"/?tab=ae{query}", **options)
        wait_for_frames(page, "ae.look", "ae.examples")
        return page

    return visit


@pytest.fixture(scope="module")
def page(visit):
    """One page for all tests that leave its picture alone; afterwards no error may stand in the console."""
    page = visit()
    yield page
    quiet(page)


def knob(page, name):
    return page.locator(f"#ae-{name} input[type=range]")


def test_it_opens_on_a_restored_digit_and_its_figures(page):
    shown = numbers(page, "ae.look")
    x, x_hat = tile(page, "ae.look", 0), tile(page, "ae.look", 1)
    assert x.max() > 200 and np.abs(x - x_hat).mean() < 12
    assert ((x - x_hat) ** 2).sum() / 255**2 == pytest.approx(shown["error"], rel=0.05, abs=0.05), "what is seen is what is said"
    assert float(said(page, "ae.look:error")) == pytest.approx(shown["error"], abs=0.006)
    np.testing.assert_array_equal(pixels(page, "[data-mirror='ae.look:1']"), pixels(page, "#live-ae-look [data-tile='1'] canvas"))


def test_the_slider_of_the_code_s_size_follows_the_finger_and_pca_needs_more(page):
    [before] = at(page, "ae-row", "ae.row")
    assert before["d"] == 30 and before["curve_deep"] < before["curve_pca"] / 3
    n, pca = frames(page, "ae.row"), tile(page, "ae.row", 4)
    drag(page, knob(page, "d"), to=0.03, steps=25)
    after = until(page, "ae.row", "n.d <= 3")
    assert frames(page, "ae.row") >= n + 2, "it follows the finger"
    assert after["error_pca"] > 2 * before["error_pca"] and after["curve_pca"] > before["curve_pca"]
    assert after["error_sparse"] == before["error_sparse"], "PCA and the plain one alone have a size to choose"
    assert np.abs(tile(page, "ae.row", 4) - pca).mean() > 2
    assert float(said(page, "ae.row:error_pca")) == pytest.approx(after["error_pca"], rel=0.01)


def test_one_pointer_decodes_in_both_planes(page):
    a, b = at(page, "ae-planes", "ae.plane", "ae.plane.vae")
    assert float(a["empty"].split()[0]) > 2 * float(b["empty"].split()[0]), "the plain one has more empty land"
    plane = page.locator(".cursor:has([data-plane='ae.plane.vae'])")
    plane.scroll_into_view_if_needed()
    box = plane.bounding_box()
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 0.25 * box["height"])
    for view in ("ae.plane", "ae.plane.vae"):
        there = until(page, view, "Math.abs(n.z[0] - 1.5) < 0.05 && Math.abs(n.z[1] - 1.5) < 0.05")
        picture = pixels(page, f"#live-{view.replace('.', '-')} canvas")
        assert picture.std() > 10
        nearest = np.array(there["nearest"][0]).reshape(-1, 2)[:-1].mean(0)
        assert there["distance"] == pytest.approx(np.hypot(*(nearest - there["z"])), abs=0.01)
    page.keyboard.press("ArrowLeft")
    until(page, "ae.plane", "n.z[0] < 1.47")


def test_units_are_added_one_at_a_time_until_the_digit_is_there(page):
    [whole] = at(page, "ae-keep", "ae.keep")
    assert whole["kept"] == whole["total"] < 0.2 * 1024
    page.click("#ae-keep-player [data-do=first]")
    one = until(page, "ae.keep", "n.kept === 1")
    page.click("#ae-keep-player [data-do=next]")
    two = until(page, "ae.keep", "n.kept === 2")
    assert one["error"] > two["error"] > whole["error"] and two["error"] == pytest.approx(two["errors"][2])
    assert said(page, "ae.keep:kept") == "2"
    drag(page, page.locator("#ae-keep-player input"), to=1)
    until(page, "ae.keep", "n.kept === n.total")


def test_a_unit_of_the_wall_is_taken_away(page):
    at(page, "ae-wall", "ae.wall")
    before = tile(page, "ae.wall", 5)
    page.locator("#live-ae-wall [data-tile='5']").click()
    page.wait_for_function("new URL(location).searchParams.get('ae.unit') === '5'")
    [unit, exciting] = at(page, "ae-wall", "ae.unit", "ae.exciting")
    np.testing.assert_array_equal(tile(page, "ae.unit", 0), before)
    assert exciting["largest"] > 0 and tile(page, "ae.exciting", 0).max() > 100
    drag(page, knob(page, "page"), to=1)
    page.wait_for_function("before => playground.live.view('ae.wall').numbers.page > before", arg=1)
    wait_for_frames(page, "ae.wall")
    assert (tile(page, "ae.wall", 5) != before).any()


def test_the_penalty_s_slider_trades_silence_for_error(page):
    at(page, "ae-penalty", "ae.penalty", "ae.penalty.all")
    found = []
    for place, to in ((0, 0.0), (4, 1.0)):
        drag(page, knob(page, "penalty-at"), to=to)
        found.append(until(page, "ae.penalty", f"n.at === {place}"))
        assert page.locator("#ae-penalty .choices .chosen").get_attribute("data-values") == str(place)
    weak, strong = found
    assert weak["share"] > 2 * strong["share"] and weak["error"] < strong["error"] and weak["multiplications"] != strong["multiplications"]


def test_the_contractive_code_moves_less_and_the_more_so_in_random_directions(page):
    spectrum, _ = at(page, "ae-contraction", "ae.spectrum", "ae.nudge")
    assert spectrum["norm_contractive"] < 0.75 * spectrum["norm_tied"]
    drag(page, knob(page, "nudge"), to=0.97)
    after = until(page, "ae.nudge", "n.amount > 3.5")
    assert after["ratio_tangent_contractive"] > 1.5 * after["ratio_random_contractive"]
    assert np.abs(tile(page, "ae.nudge", 1) - tile(page, "ae.nudge", 0)).max() > 60


def test_more_noise_is_harder_to_repair_and_the_repair_helps(page):
    [before] = at(page, "ae-repair", "ae.repair")
    assert before["after"] > before["before"] + 3 and before["by"] == "ae-denoising-mnist"
    drag(page, knob(page, "amount"), to=0.8)
    after = until(page, "ae.repair", "n.amount > 0.75")
    assert after["before"] < before["before"] and after["after"] < before["after"]
    page.locator("#ae-corruption label").last.click()
    pepper = until(page, "ae.repair", f"n.before !== {after['before']}")
    assert tile(page, "ae.repair", 1).max() == 255 and pepper["before"] < after["before"]
    assert said(page, "ae.repair:by") == "ae-denoising-mnist"


def test_the_field_learns_the_score_of_the_noised_data(page):
    [before] = at(page, "ae-field", "ae.field")
    plane = "canvas[data-plane='ae.field']"
    drawn = pixels(page, plane).astype(int)
    page.click("#ae-trainer .play")
    page.wait_for_function("playground.live.view('ae.field').numbers.cosine > 0.9", timeout=120_000)
    page.click("#ae-trainer .play")
    page.wait_for_function("!playground.live.view('ae.field').numbers.more")
    wait_for_frames(page, "ae.field")
    after = numbers(page, "ae.field")
    assert after["step"] > 100 and after["cosine"] > before["cosine"]
    assert np.abs(pixels(page, plane).astype(int) - drawn).mean() > 0.5
    drag(page, knob(page, "sigma"), to=0.9)
    until(page, "ae.field", "n.sigma > 0.8 && n.step === " + str(after["step"]))


def test_a_code_of_few_numbers_is_read_as_well_as_the_pixels(page):
    at(page, "ae-use", "ae.use", "ae.use.codes")
    page.click("#ae-use-trainer .play")
    page.wait_for_function("parseFloat(playground.live.view('ae.use').numbers.accuracy_code) > 85", timeout=120_000)
    page.click("#ae-use-trainer .play")
    page.wait_for_function("!playground.live.view('ae.use').numbers.more")
    wait_for_frames(page, "ae.use")
    after = numbers(page, "ae.use")
    assert after["weights_code"] < after["weights_pixels"] / 5
    assert said(page, "ae.use:accuracy_code") == after["accuracy_code"]


def test_a_drawing_goes_through_all_models_and_the_link_brings_it_back(visit):
    page = visit("&ae.d=5")
    at(page, "ae-row", "ae.row")
    before = tile(page, "ae.row", 0)
    page.locator("#ae-pad").scroll_into_view_if_needed()
    strokes(page, page.locator("#ae-pad canvas"), circle())
    page.wait_for_function("new URL(location).searchParams.get('ae.x')")
    wait_for_frames(page, "ae.look")
    at(page, "ae-row", "ae.row")
    drawn = tile(page, "ae.row", 0)
    assert np.abs(drawn - before).mean() > 5 and numbers(page, "ae.row")["d"] == 5
    x = parse_qs(urlsplit(page.url).query)["ae.x"][0]
    np.testing.assert_array_equal(fetched(page, f"/live/ae.look?checkpoint=ae-mnist-30d&x={x}")[:, :28, 0], drawn)
    again = visit("&" + urlsplit(page.url).query.partition("&")[2])
    at(again, "ae-row", "ae.row")
    np.testing.assert_array_equal(tile(again, "ae.row", 0), drawn)
    quiet(page), quiet(again)


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_a_phone_shows_every_view_in_its_language_and_never_scrolls_sideways(visit, locale):
    page = visit("&ae.d=900", width=390, height=844, touch=True, locale=locale)
    page.wait_for_selector("text=900")                        # what is wrong in a link is said, in the visitor's language
    for section, view in (("ae-row", "ae.row"), ("ae-planes", "ae.plane"), ("ae-keep", "ae.keep"), ("ae-wall", "ae.wall"), ("ae-penalty", "ae.penalty"),
                          ("ae-contraction", "ae.spectrum"), ("ae-repair", "ae.repair"), ("ae-field", "ae.field"), ("ae-use", "ae.use")):
        at(page, section, view)
        assert page.evaluate("document.documentElement.scrollWidth") == 390, section
        assert ("的" in page.inner_text(f"#{section} p >> nth=0")) == (locale == "zh-CN")
    quiet(page)


def test_the_row_redraws_more_often_than_a_page_of_the_same_picture_behind_gr_image(visit, open_page, start_app, record_property):
    page = visit()
    at(page, "ae-row", "ae.row")
    ordinary = open_page(base=start_app("--view", "row", script="tests/browser/image_baseline.py").url, ready="#baseline")
    live, images, said = redraws_beside_an_ordinary_image(page, "#ae-d input[type=range]", "ae.row", ordinary, "#d input[type=range]", slices=2)
    print(f"\n{said}")
    record_property("live_redraws_per_second", live)
    record_property("gr_image_redraws_per_second", images)
    assert images > 1, "the baseline must work for the ratio to mean something"
    assert live > images
