"""The GAN tab as a person uses it: seeds and walks, directions, a quiz against the discriminator, and games that are played on the page."""

from urllib.parse import urlsplit

import numpy as np
import pytest

from browser.screen import at, drag, fetched, frames, numbers, pixels, quiet, redraws_beside_an_ordinary_image, said, strokes, circle, tile, until, wait_for_frames

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def visit(open_page):
    """Open the page and wait for its first pictures."""
    def visit(query="", **options):
        page = open_page(path=f"/?tab=gan{query}", **options)
        wait_for_frames(page, "gan.grid", "gan.pair")
        return page

    return visit


@pytest.fixture(scope="module")
def page(visit):
    """One page for all tests that leave its model alone; afterwards no error may stand in the console."""
    page = visit()
    yield page
    quiet(page)


def knob(page, name):
    return page.locator(f"#gan-{name} input[type=range]")


def test_each_seed_has_its_picture_and_the_chosen_one_goes_through_the_figure(page):
    assert [numbers(page, "gan.grid")[f"seed{i}"] for i in (0, 1, 63)] == [0, 1, 63]
    page.locator("#live-gan-grid [data-tile='5']").click()
    shown = until(page, "gan.pair", "n.seed === 5")
    np.testing.assert_array_equal(tile(page, "gan.pair", 0), tile(page, "gan.grid", 5))
    np.testing.assert_array_equal(pixels(page, "[data-mirror='gan.pair:0']"), pixels(page, "#live-gan-pair [data-tile='0'] canvas"))
    assert float(said(page, "gan.pair:fake")) == pytest.approx(shown["fake"], abs=0.006) == pytest.approx(float(said(page, "gan.grid:d5")), abs=0.006)
    assert shown["value"] == pytest.approx(np.log(shown["real"]) + np.log(1 - shown["fake"]), abs=1e-3)
    page.click("#gan-another")
    assert until(page, "gan.grid", "n.seed === 64")["seed0"] == 64
    until(page, "gan.pair", "n.seed === 64")
    page.locator("#gan-seed input, input[aria-label='Seed']").first.fill("0")
    until(page, "gan.grid", "n.seed === 0")


def test_truncation_makes_pictures_alike(page):
    [before] = at(page, "gan-psi", "gan.truncation")
    drag(page, knob(page, "psi"), to=0.35, steps=20)
    after = until(page, "gan.truncation", "n.psi < 0.3 && n.psi >= 0")
    assert after["variety"] < before["variety"] / 2
    until(page, "gan.grid", "n.psi < 0.3")
    x = np.stack([tile(page, "gan.grid", i) for i in range(8)])
    drag(page, knob(page, "psi"), to=2 / 3, steps=20)
    until(page, "gan.grid", "n.psi > 0.9")
    y = np.stack([tile(page, "gan.grid", i) for i in range(8)])
    assert np.abs(x - x[:1]).mean() < np.abs(y - y[:1]).mean() / 2, "what is seen is what is said"


def test_the_map_is_dragged_by_hand_and_moved_by_keys(page):
    at(page, "gan-seeds", "gan.map", "gan.blend")
    page.click("#gan-home")
    until(page, "gan.blend", "n.place === '(0.50, 0.50)'")
    before, n = pixels(page, "[data-mirror='gan.map:0']").astype(int), frames(page, "gan.blend")
    box = page.locator("#gan-seeds .seeds").bounding_box()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.35 * box["width"], box["y"] + 0.5 * box["height"], steps=20)
    page.mouse.up()
    after = until(page, "gan.blend", "Math.abs(parseFloat(n.place.slice(1)) - 1.5) < 0.05")
    assert frames(page, "gan.blend") >= n + 2, "it follows the hand"
    wait_for_frames(page, "gan.map")
    assert np.abs(pixels(page, "[data-mirror='gan.map:0']").astype(int) - before).mean() > 5
    assert [after[f"seed{i}"] for i in range(4)] == [1, 2, 1001, 1002]
    page.click("#gan-snap")
    whole = until(page, "gan.blend", "n.u === 0 && n.v <= 0.01 || n.v === 0 && n.u === 0")
    assert whole["w0"] == 1
    page.locator("#gan-seeds .seeds").focus()
    page.keyboard.press("Shift+ArrowUp")
    further = until(page, "gan.blend", f"n.seed0 === {whole['seed0'] + 1000}")
    picture = fetched(page, f"/live/gan.grid?checkpoint=gan-mnist&seed={further['seed0']}&psi=1")
    np.testing.assert_allclose(pixels(page, "#live-gan-blend canvas").astype(int), picture[:, :28], atol=1)


def test_a_walk_goes_from_one_marked_picture_to_the_other(page):
    at(page, "gan-grid", "gan.grid")
    for i, end in ((3, "a"), (9, "b")):
        page.locator(f"#live-gan-grid [data-tile='{i}']").click()
        until(page, "gan.pair", f"n.seed === {i}")
        page.click(f"#gan-mark-{end}")
    at(page, "gan-walk", "gan.walk")
    shown = until(page, "gan.walk", "n.a === 3 && n.b === 9")
    np.testing.assert_allclose(tile(page, "gan.walk", 0), tile(page, "gan.grid", 3), atol=1)
    np.testing.assert_allclose(tile(page, "gan.walk", 21), tile(page, "gan.grid", 9), atol=1)
    assert shown["least_straight"] < shown["least_round"] - 0.5 and min(shown["norm_straight"]) == shown["least_straight"]
    with page.expect_download() as saved:
        page.click("#gan-walk .gif")
    assert saved.value.path().read_bytes()[:6] == b"GIF89a"


def test_a_direction_moves_the_picture_as_its_strip_foretells(page):
    at(page, "gan-directions", "gan.directions", "gan.strips")
    page.click("#gan-zero")
    n = frames(page, "gan.directions")
    drag(page, knob(page, "direction1"), to=5 / 6, steps=20)
    moved = until(page, "gan.directions", "n.norm !== n.before")
    assert frames(page, "gan.directions") >= n + 2 and moved["norm"] != pytest.approx(moved["before"])
    assert np.abs(tile(page, "gan.directions", 1) - tile(page, "gan.directions", 0)).mean() > 3
    page.click("#gan-zero")
    until(page, "gan.directions", "Math.abs(n.norm - n.before) < 1e-6")
    np.testing.assert_array_equal(tile(page, "gan.directions", 1), tile(page, "gan.directions", 0))


def test_the_quiz_counts_what_the_visitor_and_d_say(page):
    at(page, "gan-quiz", "gan.quiz")
    page.click("#gan-ask")
    page.wait_for_selector("text=once for real, twice for fake", timeout=10_000)          # nobody has said anything yet
    assert "accuracy" in str(numbers(page, "gan.quiz").keys()) and numbers(page, "gan.quiz")["your_accuracy"] is None
    for i in range(10):
        page.locator(f"#live-gan-quiz [data-tile='{i}']").click()
    page.locator("#live-gan-quiz [data-tile='9']").click()
    until(page, "gan.quiz", "n.fake9 === '1' && n.real8 === '1'")
    page.click("#gan-ask")
    told = until(page, "gan.quiz", "n.your_accuracy !== null")
    right = [told[f"is_real{i}"] == ("1" if i < 9 else "") for i in range(10)]
    assert told["your_accuracy"] == f"{10 * sum(right)} %" and told["mark12"] == "" and told["d12"].startswith("D =")
    assert said(page, "gan.quiz:your_accuracy") == told["your_accuracy"] and told["your_scores"][5] == 10 * sum(right)
    drag(page, knob(page, "moment"), to=0)
    early = until(page, "gan.quiz", "n.moment === 1 && n.your_accuracy === null")
    assert early["updates"] < told["updates"] and len({early["d_scores"][i] for i in range(6)}) > 1


def test_the_game_covers_the_ring_and_single_moves_change_what_they_say(page):
    [before] = at(page, "gan-game", "gan.game")
    plane = "canvas[data-plane='gan.game']"
    drawn = pixels(page, plane).astype(int)
    page.click("#gan-game [data-do=d]")
    d = until(page, "gan.game", "n.d_moves > 0")
    assert d["step"] == before["step"] and d["moved_d"]
    page.click("#gan-game [data-do=g]")
    assert until(page, "gan.game", f"n.step > {before['step']}")["d_moves"] == d["d_moves"]
    page.click("#gan-game [data-do=play]")
    until(page, "gan.game", "parseInt(n.covered) >= 6 && parseInt(n.near) >= 50", timeout=120_000, playing=True)
    page.click("#gan-game [data-do=play]")
    page.wait_for_function("!playground.live.view('gan.game').numbers.more")
    assert np.abs(pixels(page, plane).astype(int) - drawn).mean() > 0.5
    page.click("#gan-game [data-do=same]")
    again = until(page, "gan.game", "n.step === 0")
    assert again["covered"] == before["covered"] and again["js"] == before["js"], "the same first weights"


def test_a_drawing_is_the_data_of_the_game(page):
    at(page, "gan-game", "gan.game")
    assert not page.locator("#gan-game-pad").is_visible()
    page.locator("#gan-set label").last.click()
    page.wait_for_selector("#gan-game-pad canvas", state="visible")
    before = until(page, "gan.game", "n.step === 0")["real"]
    strokes(page, page.locator("#gan-game-pad canvas"), circle())
    page.wait_for_function("before => JSON.stringify(playground.live.view('gan.game').numbers.real) !== before", arg=str(before).replace(" ", ""))
    page.wait_for_function("new URL(location).searchParams.get('gan.ink')")
    page.locator("#gan-set label").first.click()
    page.wait_for_selector("#gan-game-pad canvas", state="hidden")


def test_four_losses_play_abreast_and_each_has_its_figures(page):
    at(page, "gan-four", "gan.four")
    page.click("#gan-four [data-do=play]")
    shown = until(page, "gan.four", "n.looked && n.looked.length > 2", timeout=60_000, playing=True)
    page.click("#gan-four [data-do=play]")
    page.wait_for_function("!playground.live.view('gan.four').numbers.more")
    for loss in ("minimax", "non-saturating", "least-squares", "wasserstein"):
        assert np.isfinite(shown[f"loss_{loss}"]) and len(shown[f"covereds_{loss}"]) == len(shown["looked"])
        assert said(page, f"gan.four:covered_{loss}").endswith("/ 8")


def test_the_learnt_discriminator_runs_after_the_best_one(page):
    [before] = at(page, "gan-line", "gan.line")
    drag(page, knob(page, "line-mq"), to=0.34, steps=15)
    after = until(page, "gan.line", "n.js < 0.2")
    assert after["js"] < before["js"] / 2
    page.click("#gan-line-trainer .play")
    until(page, "gan.line", "Math.abs(n.learnt - n.star) < 0.05", timeout=60_000, playing=True)
    page.click("#gan-line-trainer .play")
    page.wait_for_function("!playground.live.view('gan.line').numbers.more")
    assert float(said(page, "gan.line:star")) == pytest.approx(numbers(page, "gan.line")["star"], abs=0.006)


def test_the_nearest_training_pictures_are_not_the_picture(page):
    [shown] = at(page, "gan-nearest", "gan.nearest")
    distances = [shown[f"rms{i}"] for i in range(6)]
    assert distances == sorted(distances) and distances[0] > 0.02
    rms = np.sqrt((((tile(page, "gan.nearest", 1) - tile(page, "gan.nearest", 0)) / 255) ** 2).mean())
    assert rms == pytest.approx(distances[0], abs=0.01), "what is seen is what is said"


def test_a_link_brings_back_what_was_seen(visit):
    page = visit("&gan.seed=128&gan.psi=0.7&gan.place=3.25,4.5&gan.along=1,0,-2")
    assert numbers(page, "gan.grid")["seed0"] == 128 and numbers(page, "gan.grid")["psi"] == 0.7
    [shown] = at(page, "gan-seeds", "gan.blend")
    assert shown["place"] == "(3.25, 4.50)"
    [moved] = at(page, "gan-directions", "gan.directions")
    assert moved["seed"] == 128 and moved["norm"] != pytest.approx(moved["before"])
    drag(page, knob(page, "psi"), to=0.9)
    page.wait_for_function("Number(new URL(location).searchParams.get('gan.psi')) > 1")
    again = visit("&" + urlsplit(page.url).query.partition("&")[2])
    assert numbers(again, "gan.grid")["psi"] == numbers(page, "gan.grid")["psi"]
    np.testing.assert_array_equal(tile(again, "gan.grid", 7), tile(page, "gan.grid", 7))
    quiet(page), quiet(again)


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_a_phone_shows_every_view_in_its_language_and_never_scrolls_sideways(visit, locale):
    page = visit("&gan.psi=900", width=390, height=844, touch=True, locale=locale)
    page.wait_for_selector("text=900")                        # what is wrong in a link is said, in the visitor's language
    assert page.locator("#families [role=tab]").count() == page.locator("#families [role=tab]:visible").count() >= 5, "no tab hides behind a menu"
    for section, view in (("gan-grid", "gan.grid"), ("gan-seeds", "gan.map"), ("gan-walk", "gan.walk"), ("gan-directions", "gan.directions"), ("gan-quiz", "gan.quiz"),
                          ("gan-nearest", "gan.nearest"), ("gan-game", "gan.game"), ("gan-four", "gan.four"), ("gan-line", "gan.line")):
        at(page, section, view)
        assert page.evaluate("document.documentElement.scrollWidth") == 390, section
        assert ("的" in page.inner_text(f"#{section} p >> nth=0")) == (locale == "zh-CN")
    quiet(page)


def test_map_and_blend_redraw_more_often_than_a_page_of_the_same_two_pictures_behind_gr_image(visit, open_page, start_app, record_property):
    page = visit()
    at(page, "gan-seeds", "gan.blend")
    ordinary = open_page(base=start_app("--view", "blend", script="tests/browser/image_baseline.py").url, ready="#baseline")
    live, images, words = redraws_beside_an_ordinary_image(page, "#gan-x input[type=range]", "gan.blend", ordinary, "#x input[type=range]", slices=2)
    print(f"\n{words}")
    record_property("live_redraws_per_second", live)
    record_property("gr_image_redraws_per_second", images)
    assert images > 1, "the baseline must work for the ratio to mean something"
    assert live > images
