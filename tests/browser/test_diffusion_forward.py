"""Forward, the bound and a training step as a visitor uses them: drag, draw, upload, press; the pixels and numbers that must change."""

from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image

from browser.screen import COUNT_IMAGES, DRAG, circle, drag, fetched, frames, numbers, pixels, strokes, wait_for_frames

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def visit(open_page):
    """Open the diffusion tab at a section and wait for the pictures of a view; afterwards no error may stand in the console."""
    pages = []

    def visit(view: str, path: str = "/?tab=diffusion", **options):
        page = open_page(path=path, **options)
        pages.append(page)
        go(page, view)
        return page

    yield visit
    assert [page.console_errors for page in pages if page.console_errors] == []


@pytest.fixture(scope="module")
def page(open_page):
    """One page for all tests that leave its picture alone: opening it takes seconds."""
    page = open_page(path="/?tab=diffusion")
    yield page
    assert page.console_errors == []


def go(page, view: str) -> None:
    section = page.locator("#" + view.replace(".", "-"))
    section.wait_for()
    section.scroll_into_view_if_needed()
    wait_for_frames(page, view)
    page.wait_for_timeout(300)


def tile(page, view: str, i: int) -> np.ndarray:
    return pixels(page, f"#live-{view.replace('.', '-')} [data-tile='{i}'] canvas")


def knob(page, name: str):
    return page.locator(f"#diffusion-{name} input[type=range]")


def change(page, view: str, act) -> dict:
    """Do something, and give the numbers of the view once it has answered."""
    n = frames(page, view)
    act()
    wait_for_frames(page, view, after={view: n})
    page.wait_for_timeout(300)
    wait_for_frames(page, view)
    return numbers(page, view)


def test_dragging_t_sinks_the_picture_into_noise_and_the_figure_follows(page):
    go(page, "diffusion.forward")
    clean, before = tile(page, "diffusion.forward", 0), tile(page, "diffusion.forward", 2)
    likeness = lambda x: np.corrcoef(clean.ravel(), x.ravel())[0, 1]      # noqa: E731
    n = frames(page, "diffusion.forward")
    after = change(page, "diffusion.forward", lambda: drag(page, knob(page, "t"), to=0.93, steps=30))
    assert frames(page, "diffusion.forward") > n + 3, "it follows the finger"
    assert after["t"] == float(knob(page, "t").input_value()) > 900
    assert likeness(tile(page, "diffusion.forward", 2)) < 0.3 < 0.8 < likeness(before)
    np.testing.assert_array_equal(tile(page, "diffusion.forward", 0), clean)
    assert page.inner_text("#diffusion-forward .numbers [data-live='diffusion.forward:t']") == str(after["t"])
    bell = np.abs(np.array(after["histogram"]) - after["normal"]).max()
    assert bell < 0.15, "the histogram has become the bell curve"
    wait_for_frames(page, "diffusion.chain")
    np.testing.assert_array_equal(pixels(page, "canvas[data-mirror='diffusion.chain:1']"), tile(page, "diffusion.forward", 2))


def test_a_drawing_is_noised_while_it_is_drawn_and_its_link_brings_it_back(visit):
    page = visit("diffusion.forward")
    n = frames(page, "diffusion.forward")
    change(page, "diffusion.forward", lambda: strokes(page, page.locator("#diffusion-pad canvas"), circle()))
    assert frames(page, "diffusion.forward") > n + 5, "not at the end of the stroke alone"
    x_0 = tile(page, "diffusion.forward", 0)
    assert x_0[14, 14] == 0 and x_0.max() > 200, "the hole of a zero"
    page.wait_for_url("**diffusion.x=*")
    other = visit("diffusion.forward", path="/?" + urlsplit(page.url).query)
    np.testing.assert_array_equal(tile(other, "diffusion.forward", 0), x_0)
    drawn, restored = (pixels(each, "#diffusion-pad canvas") > 0 for each in (page, other))
    assert not (restored & ~drawn).any() and restored.sum() > 0.6 * drawn.sum(), "the same ink, without its soft edge"
    change(page, "diffusion.forward", lambda: page.click("#diffusion-pad button"))
    assert np.corrcoef(tile(page, "diffusion.forward", 0).ravel(), x_0.ravel())[0, 1] < 0.7, "an empty pad stands for the example"


def test_an_example_a_sample_of_the_model_and_an_upload_take_turns(visit, tmp_path):
    page = visit("diffusion.forward")
    change(page, "diffusion.forward", lambda: page.locator("#diffusion-forward .examples button").nth(1).click())
    one = tile(page, "diffusion.forward", 0)
    assert one[:, 10:18].sum() > 0.9 * one.sum() and (pixels(page, "#diffusion-pad canvas") > 0).any()
    change(page, "diffusion.forward", lambda: page.click("#diffusion-own"))
    sample = tile(page, "diffusion.forward", 0)
    assert (sample != one).any() and not pixels(page, "#diffusion-pad canvas").any()
    change(page, "diffusion.forward", lambda: page.click("#diffusion-own"))
    assert (tile(page, "diffusion.forward", 0) != sample).any(), "another one each time"
    picture = np.zeros((40, 60), np.uint8)
    picture[:, 30:] = 200
    Image.fromarray(picture).save(tmp_path / "half.png")
    change(page, "diffusion.forward", lambda: page.set_input_files("#diffusion-forward input[type=file]", tmp_path / "half.png"))
    mine = tile(page, "diffusion.forward", 0)
    assert mine[:, :12].max() == 0 and set(mine[:, 17:].ravel()) == {200}
    go(page, "diffusion.jump")
    assert np.abs(tile(page, "diffusion.jump", 3).astype(int).mean(0)[[3, 24]] - [0, 200]).max() < 60, "the other views take it too"


def test_what_is_no_picture_is_refused_in_one_sentence(page, tmp_path):
    go(page, "diffusion.forward")
    (tmp_path / "half.png").write_bytes(b"no picture")
    before = tile(page, "diffusion.forward", 0)
    page.set_input_files("#diffusion-forward input[type=file]", tmp_path / "half.png")
    page.wait_for_selector(".toast-wrap >> text=cannot be read as a PNG")
    np.testing.assert_array_equal(tile(page, "diffusion.forward", 0), before)


def test_the_chain_arrives_where_the_jump_lands(page):
    go(page, "diffusion.jump")
    n = change(page, "diffusion.jump", lambda: drag(page, knob(page, "jump-t"), to=0.6, steps=20))
    assert n["walked"] == n["t"] == float(knob(page, "jump-t").input_value()) and not n["more"]
    assert n["variance_chain"] == pytest.approx(n["variance_jump"], rel=0.03) == pytest.approx(n["b_squared"], rel=0.03)
    assert (tile(page, "diffusion.jump", 0) != tile(page, "diffusion.jump", 1)).any()
    means = [tile(page, "diffusion.jump", i) for i in (2, 3)]
    assert np.abs(means[0].astype(int) - means[1]).mean() < 25 and np.corrcoef(means[0].ravel(), means[1].ravel())[0, 1] > 0.5


def test_another_schedule_moves_the_strong_curve_and_the_numbers(page):
    go(page, "diffusion.design")
    before = numbers(page, "diffusion.design")
    after = change(page, "diffusion.design", lambda: page.locator("#diffusion-design-schedule label", has_text="cosine").click())
    assert before["alpha_bar_chosen"] == before["alpha_bar_linear"] and after["alpha_bar_chosen"] == after["alpha_bar_cosine"]
    assert after["crossing"] > before["crossing"] + 100
    few = change(page, "diffusion.design", lambda: drag(page, knob(page, "design-T"), to=0.002))
    assert few["T"] < 40 and max(few["beta_linear"]) > 10 * max(after["beta_linear"])
    page.wait_for_timeout(600)
    assert parse_qs(urlsplit(page.url).query)["diffusion.ds"] == ["cosine"]


def test_dragging_t_along_the_bound_shows_one_prediction_under_four_names(page):
    go(page, "diffusion.bound")
    before = numbers(page, "diffusion.bound")
    after = change(page, "diffusion.bound", lambda: drag(page, knob(page, "bound-t"), to=0.7, steps=20))
    assert after["t"] == float(knob(page, "bound-t").input_value()) > 600
    assert after["bits"] < before["bits"] and after["error_x_0"] > before["error_x_0"], "the later, the cheaper, and the less is known"
    assert after["total"] == before["total"], "the sum is the picture's"
    assert after["weight"] * after["squared"] == pytest.approx(after["nats"], rel=0.01)
    assert page.inner_text("#diffusion-bound .numbers [data-live='diffusion.bound:said_total']") == after["said_total"]
    shown = fetched(page, f"/live/diffusion.bound?checkpoint=ddpm-mnist&seed=0&y=any&x=&t={after['t']}")[..., 0]
    for i in range(5):
        np.testing.assert_array_equal(tile(page, "diffusion.bound", i), shown[:, 28 * i:28 * i + 28])
    page.get_by_text("Where the notes differ").last.click()
    page.wait_for_selector("text=is a fixed schedule of numbers")


def test_a_training_step_is_taken_button_by_button_and_the_error_falls(visit):
    view = "diffusion.training-step"
    page = visit(view)
    press = lambda i: change(page, view, lambda: page.click(f"#diffusion-step-{i}"))      # noqa: E731
    waiting = tile(page, view, 6)
    assert tile(page, view, 0).std() > 20 and np.array_equal(tile(page, view, 1), waiting)
    assert press(2)["t"] >= 1
    press(3)
    assert not np.array_equal(tile(page, view, 1), waiting) and np.array_equal(tile(page, view, 2), waiting)
    press(4)
    assert not np.array_equal(tile(page, view, 2), waiting) and np.array_equal(tile(page, view, 3), waiting)
    errors = [press(5)["simple"], *(press(6)["simple"] for _ in range(4))]
    assert errors == sorted(errors, reverse=True) and len(set(errors)) == 5, "each update lowers it"
    n = numbers(page, view)
    assert n["updates"] == 4 and n["errors"] == errors and n["before"] == errors[0] and 0 < n["moved"] < 0.02 * n["norm"]
    assert page.locator("#diffusion-training-step .stages button.done").count() == 6
    page.wait_for_timeout(600)
    other = visit(view, path="/?" + urlsplit(page.url).query)
    assert numbers(other, view)["errors"] == errors, "its link shows the same training"
    assert change(page, view, lambda: page.click("#diffusion-step-reset"))["simple"] == errors[0]
    t = n["t"]
    assert press(2)["t"] != t and numbers(page, view)["updates"] == 0


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_a_phone_shows_all_three_and_never_scrolls_sideways(visit, locale):
    page = visit("diffusion.forward", path="/?tab=diffusion&diffusion.ts=6,0,0,2", width=390, height=844, touch=True, locale=locale)
    for view in ("diffusion.jump", "diffusion.design", "diffusion.bound", "diffusion.training-step"):
        go(page, view)
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert tile(page, view, 0).std() > 10
    words = page.inner_text("#diffusion-training-step")
    assert ("按下按钮" in words) == (locale == "zh-CN")


def test_what_is_wrong_in_the_url_is_reported_and_the_views_open_as_usual(visit):
    page = visit("diffusion.training-step", path="/?tab=diffusion&diffusion.ts=6,0,0,999&diffusion.bt=nan&diffusion.dT=1&diffusion.t=0")
    page.wait_for_selector("text=updates is 999; a whole number from 0 to 20 was expected")
    assert numbers(page, "diffusion.training-step")["stage"] == 1


def test_the_noised_picture_follows_the_finger_and_a_gr_image_is_timed_beside_it(visit, start_app, open_page, record_property):
    """The plain event is timed on a page of one slider and one picture, so that only the live view's own rate is held."""
    page = visit("diffusion.forward")
    baseline = open_page(base=start_app("--view", "noise", script="tests/browser/image_baseline.py").url, ready="#baseline")
    baseline.wait_for_function("document.querySelector('#baseline img')?.complete")
    baseline.evaluate(COUNT_IMAGES)
    sides = {"live view": (page, "#diffusion-t input[type=range]", "playground.live.view('diffusion.forward').frames"),
             "gr.Image": (baseline, "#t input[type=range]", "redraws")}
    best = dict.fromkeys(sides, (0.0, 0.0))
    for name in (*sides, *sides, *sides):
        side, selector, count = sides[name]
        side.bring_to_front()
        before = side.evaluate(count)
        events = side.evaluate(DRAG, [selector, 2])
        best[name] = max(best[name], ((side.evaluate(count) - before) / 2, events))
    (live, events), (ordinary, ordinary_events) = best["live view"], best["gr.Image"]
    print(f"\nredraws a second: live view {live:.1f} at {events:.0f} events, gr.Image {ordinary:.1f} at {ordinary_events:.0f}")
    record_property("live_redraws_per_second", live)
    record_property("gr_image_redraws_per_second", ordinary)
    wait_for_frames(page, "diffusion.forward")
    assert numbers(page, "diffusion.forward")["t"] == float(knob(page, "t").input_value())
    assert ordinary > 1, "the baseline must work for the comparison to mean something"
    assert live >= events / 3
