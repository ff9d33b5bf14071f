"""The diffusion tab's toys as a visitor uses them: train one, pause it, drag t; drag beta and read the KL."""

from urllib.parse import urlsplit

import numpy as np
import pytest

from browser.screen import drag, frames, numbers, pixels, wait_for_frames

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PLANE = "canvas[data-plane='diffusion.plane']"


@pytest.fixture
def visit(open_page):
    """Open the diffusion tab at a section and wait for the pictures of a view; afterwards no error may stand in the console."""
    pages = []

    def visit(view: str, path: str = "/?tab=diffusion", **options):
        page = open_page(path=path, **options)
        pages.append(page)
        section = page.locator("#" + view.replace(".", "-"))
        section.wait_for()
        section.scroll_into_view_if_needed()
        wait_for_frames(page, view)
        page.wait_for_timeout(300)
        return page

    yield visit
    assert [page.console_errors for page in pages if page.console_errors] == []


def knob(page, name: str):
    return page.locator(f"#diffusion-{name} input[type=range]")


def now(page) -> dict:
    return numbers(page, "diffusion.plane")


def train_until(page, updates: int) -> None:
    page.click("#diffusion-trainer .play")
    page.wait_for_function("n => playground.live.view('diffusion.plane').numbers.step >= n", arg=updates, timeout=120_000)


def pause(page) -> dict:
    page.click("#diffusion-trainer .play")
    page.wait_for_function("""() => { const view = playground.live.view('diffusion.plane');
        return !view.numbers.more && !view.inFlight && view.wanted === null }""")
    wait_for_frames(page, "diffusion.plane")
    return now(page)


def test_played_it_learns_and_paused_it_rests(visit):
    page = visit("diffusion.plane", path="/?tab=diffusion&diffusion.set=gaussians")
    before, picture = now(page), pixels(page, PLANE)
    assert before["step"] == 0 and picture.std() > 5
    train_until(page, 600)
    assert page.locator("#diffusion-trainer .playing").is_visible() and not page.locator("#diffusion-trainer .paused").is_visible()
    after = pause(page)
    assert after["step"] >= 600 and after["error"] < before["error"] / 2
    assert page.inner_text("#diffusion-plane [data-live='diffusion.plane:step']") == str(after["step"])
    assert np.abs(pixels(page, PLANE).astype(int) - picture).mean() > 1
    n = frames(page, "diffusion.plane")
    page.wait_for_timeout(1000)
    assert now(page)["step"] == after["step"] and frames(page, "diffusion.plane") == n, "a paused toy asks for nothing"


def test_dragging_t_walks_the_samples_and_trains_nothing(visit):
    page = visit("diffusion.plane")
    train_until(page, 100)
    before = pause(page)
    drag(page, knob(page, "pt"), to=0.9, steps=30)
    page.keyboard.press("End")
    page.wait_for_function("playground.live.view('diffusion.plane').numbers.t === 100")
    at_T = now(page)
    assert np.abs(np.array(at_T["samples"]) - before["samples"]).mean() > 0.1
    assert np.std(at_T["samples"]) == pytest.approx(1, abs=0.1), "pure noise"
    page.keyboard.press("ArrowLeft")
    for _ in range(10):
        page.keyboard.press("PageDown")
    page.keyboard.press("Home")
    page.wait_for_function("playground.live.view('diffusion.plane').numbers.t === 0")
    at_0 = now(page)
    assert at_0["paths"][0][:2] == at_T["samples"][:2] and at_0["paths"][0][-2:] == at_0["samples"][:2]
    assert at_0["error"] is None and at_0["step"] == before["step"]
    page.wait_for_url("**diffusion.pt=0*")
    assert "play" not in urlsplit(page.url).query


def test_one_update_is_one_and_a_new_start_begins_at_none(visit):
    page = visit("diffusion.plane")
    for step in (1, 2):
        page.click("#diffusion-trainer .one")
        page.wait_for_function("n => playground.live.view('diffusion.plane').numbers.step === n", arg=step)
    page.wait_for_timeout(500)
    assert now(page)["step"] == 2
    samples = now(page)["samples"]
    page.click("#diffusion-trainer .again")
    page.wait_for_function("playground.live.view('diffusion.plane').numbers.step === 0")
    assert now(page)["samples"] != samples
    page.click("#diffusion-trainer .one")
    page.wait_for_function("playground.live.view('diffusion.plane').numbers.step === 1")


def test_another_data_set_is_another_toy_without_a_closed_form(visit):
    page = visit("diffusion.plane")
    page.click("#diffusion-trainer .one")
    page.wait_for_function("playground.live.view('diffusion.plane').numbers.step === 1")
    assert page.locator("#diffusion-plane .exact canvas").is_visible()
    page.locator("#diffusion-set label", has_text="Moons").click()
    page.wait_for_function("playground.live.view('diffusion.plane').numbers.exact === null")
    page.wait_for_timeout(500)
    assert now(page)["step"] == 0 and now(page)["learnt"] is not None
    assert not page.locator("#diffusion-plane .exact canvas").is_visible()
    page.locator("#diffusion-set label", has_text="Ring").click()
    page.wait_for_function("playground.live.view('diffusion.plane').numbers.step === 1")


def test_two_visitors_train_each_their_own(visit):
    one, other = visit("diffusion.plane"), visit("diffusion.plane")
    train_until(one, 20)
    pause(one)
    other.click("#diffusion-trainer .one")
    other.wait_for_function("playground.live.view('diffusion.plane').numbers.step === 1")
    assert now(one)["step"] >= 20


def test_the_plane_is_drawn_in_the_colours_of_the_theme(visit):
    page = visit("diffusion.plane")
    light = pixels(page, PLANE)
    page.click("#theme")
    page.wait_for_timeout(300)
    dark = pixels(page, PLANE)
    assert light.shape == dark.shape and np.abs(light.astype(int) - dark).max() > 20


def test_a_smaller_beta_makes_the_true_step_a_gaussian(visit):
    page = visit("diffusion.line")
    curve = "canvas[data-lines='diffusion.line:reverse,matched']"
    before, picture = numbers(page, "diffusion.line"), pixels(page, curve)
    assert before["kl"] == pytest.approx(0.314, abs=0.001)
    drag(page, knob(page, "beta"), to=0.05, steps=20)
    page.wait_for_function("beta => playground.live.view('diffusion.line').numbers.beta_text === beta",
                           arg=f"{float(knob(page, 'beta').input_value()):.3g}")
    wait_for_frames(page, "diffusion.line")
    after = numbers(page, "diffusion.line")
    assert 0 < after["kl"] < 0.12 and after["log_beta"] < before["log_beta"]
    assert page.inner_text("#diffusion-line [data-live='diffusion.line:kl_text']") == after["kl_text"]
    assert (pixels(page, curve) != picture).mean() > 0.005


def test_the_posterior_with_its_numbers_follows_x_t_and_the_url_restores_it(visit):
    page = visit("diffusion.line")
    before = numbers(page, "diffusion.line")
    drag(page, knob(page, "xt"), to=0.75, steps=20)
    page.wait_for_function("x => playground.live.view('diffusion.line').numbers.xt === x", arg=float(knob(page, "xt").input_value()))
    after = numbers(page, "diffusion.line")
    assert after["mean"] - before["mean"] == pytest.approx(after["b"] * (after["xt"] - before["xt"]), abs=1e-3)
    assert after["variance"] == before["variance"], "where x_t is does not change how sure one is"
    page.wait_for_url("**diffusion.xt=*")
    other = visit("diffusion.line", path=f"/?{urlsplit(page.url).query}")
    assert numbers(other, "diffusion.line")["mean"] == after["mean"]


@pytest.mark.parametrize("locale, sentence", [("en-US", "a whole number from 0 to 100 was expected"), ("zh-CN", "应为 0 到 100 之间的整数")])
def test_a_wrong_time_in_the_url_is_reported_and_the_view_opens(visit, locale, sentence):
    page = visit("diffusion.plane", path="/?tab=diffusion&diffusion.pt=1e9&diffusion.beta=nan", locale=locale)
    page.wait_for_selector(f".toast-wrap >> text={sentence}")
    assert now(page)["t"] == 10


def test_a_phone_shows_both_and_never_scrolls_sideways(visit):
    page = visit("diffusion.plane", width=390, height=844, touch=True)
    assert page.evaluate("[innerWidth, document.documentElement.scrollWidth]") == [390, 390]
    assert page.locator(PLANE).bounding_box()["width"] > 300
