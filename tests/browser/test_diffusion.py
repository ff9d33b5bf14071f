"""The diffusion tab as a visitor uses it: sixteen samples, the debugger and its branches, guidance, samplers, repair."""

import base64
import io
import json
import time
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from gradio_client import Client
from PIL import Image

from browser.screen import WAIT, drag, fetched, frames, numbers, pixels, strokes, wait_for_frames

pytestmark = [pytest.mark.browser, pytest.mark.slow]

OPEN = ("diffusion.grid", "diffusion.reverse", "diffusion.tree")
TILE = "#live-diffusion-{} [data-tile='{}'] canvas"


@pytest.fixture
def visit(open_page):
    """Open the tab and wait for its first pictures."""
    def visit(query="", **options):
        page = open_page(path=f"/?tab=diffusion{query}", **options)
        wait_for_frames(page, *OPEN)
        page.wait_for_timeout(300)
        return page

    return visit


def see(page, section, *views):
    """Scroll a section into sight, as reading does, and wait for what it shows."""
    page.locator(f"#{section}").scroll_into_view_if_needed()
    wait_for_frames(page, *views)


def until(page, view, condition, timeout=WAIT):
    page.wait_for_function(f"([name]) => {{ const n = playground.live.view(name).numbers; return n && ({condition}) }}", arg=[view], timeout=timeout)


def complete(page):
    until(page, "diffusion.reverse", "!n.more && n.k === n.total - 1")
    wait_for_frames(page, "diffusion.reverse")


def tile(page, view, i):
    return pixels(page, TILE.format(view, i)).astype(int)


def choose(page, label, name):
    """A choice of one of Gradio's dropdowns."""
    page.get_by_role("combobox", name=label, exact=True).click()
    page.get_by_role("option", name=name, exact=True).click()


def test_it_opens_on_sixteen_pictures_and_a_finished_film_without_a_click(visit):
    page = visit()
    complete(page)
    assert page.console_errors == []
    assert all(tile(page, "diffusion-grid".removeprefix("diffusion-"), i).std() > 20 for i in range(16))
    found = numbers(page, "diffusion.reverse")
    assert (found["total"], found["t_prev"]) == (20, 0)
    np.testing.assert_array_equal(tile(page, "reverse", 4), tile(page, "reverse", 3)), "the last step adds no noise"
    assert urlsplit(page.url).query == "tab=diffusion", "opening alone is no news for the URL"


def test_a_click_on_a_sample_leads_to_the_film_that_made_it(visit):
    page = visit()
    page.click(TILE.format("grid", 7))
    until(page, "diffusion.tree", "n.name0.endsWith('#7') && n.name0.includes('· 7 ×1')")
    choose(page, "Sampler", "DPM-Solver++")
    until(page, "diffusion.tree", "n.name0.includes('DPM-Solver++')")
    slider = page.locator("#diffusion-steps input[type=number]")
    slider.fill("10")
    slider.press("Enter")
    until(page, "diffusion.reverse", "n.total === 10")
    complete(page)
    page.wait_for_timeout(500)
    shown, made = tile(page, "reverse", 4), fetched(page, "/live/diffusion.grid?checkpoint=ddpm-mnist&seed=0")[..., 0].astype(int)
    assert np.abs(shown - made[:, 7 * 28:8 * 28]).max() <= 1


def test_the_player_steps_back_and_on_and_plays_by_itself(visit):
    page = visit()
    complete(page)
    page.click("#diffusion-player [data-do=back]")
    until(page, "diffusion.reverse", "n.k === 18")
    page.click("#diffusion-player [data-do=first]")
    until(page, "diffusion.reverse", "n.k === 0 && n.t === 1000")
    wait_for_frames(page, "diffusion.reverse")
    assert tile(page, "reverse", 0).std() > 40                # x_T: noise
    page.click("#diffusion-player [data-do=play]")
    until(page, "diffusion.reverse", "n.k > 3")
    assert page.locator("#diffusion-player [data-do=play]").get_attribute("aria-pressed") == "true"
    until(page, "diffusion.reverse", "n.k === 19")
    page.wait_for_function("document.querySelector('#diffusion-player [data-do=play]').getAttribute('aria-pressed') === 'false'")
    drag(page, page.locator("#diffusion-player input"), to=0.5)
    until(page, "diffusion.reverse", "Math.abs(n.k - 10) < 2")


def test_a_long_film_streams_while_it_is_sampled_and_is_then_scrubbed_without_sampling(visit):
    page = visit()
    page.evaluate("""() => { window.seen = []; document.addEventListener('live:diffusion.reverse', e => seen.push(e.detail.numbers.k)) }""")
    choose(page, "Sampler", "DDPM")
    steps = page.locator("#diffusion-steps input[type=number]")
    steps.fill("1000")
    steps.press("Enter")
    until(page, "diffusion.reverse", "n.total === 1000 && !n.more", timeout=4 * WAIT)
    seen = [k for k in page.evaluate("seen")]
    longest = seen[len(seen) - 1 - seen[::-1].index(min(seen)):]        # the film of 20 steps may have begun before it
    assert len(set(longest)) >= 5 and longest == sorted(longest), "it could be watched growing"
    drag(page, page.locator("#diffusion-player input"), to=0.3)
    until(page, "diffusion.reverse", "n.k < 400 && n.reached === 1000")
    assert numbers(page, "diffusion.reverse")["ms"] < 1000 and not numbers(page, "diffusion.reverse")["more"]


def test_a_branch_keeps_what_lies_before_it_and_its_tree_leads_back(visit):
    page = visit("&diffusion.y=3")
    complete(page)
    drag(page, page.locator("#diffusion-player input"), to=0.3)
    page.wait_for_timeout(500)                                # the last frame of the drag
    until(page, "diffusion.reverse", "n.k > 4 && n.k < 8")
    wait_for_frames(page, "diffusion.reverse")
    trunk = numbers(page, "diffusion.reverse")
    x_t = tile(page, "reverse", 0)
    page.click("#diffusion-branch")
    until(page, "diffusion.tree", f"n.branches.length === 2 && n.start === {trunk['t']}")
    choose(page, "Class", "8")
    until(page, "diffusion.tree", "n.name1?.includes('· 8 ×1') && !n.more && n.apart > 0")
    page.locator("#diffusion-player input").evaluate("(knob, k) => { knob.value = k; knob.dispatchEvent(new Event('input', { bubbles: true })) }", trunk["k"])
    until(page, "diffusion.reverse", f"n.k === {trunk['k']}")
    wait_for_frames(page, "diffusion.reverse")
    np.testing.assert_array_equal(tile(page, "reverse", 0), x_t)
    assert page.locator("#live-diffusion-tree figure:visible").count() == 2

    page.wait_for_function("new URL(location).searchParams.get('diffusion.y') === '8'")          # the link follows a moment later
    link = page.url
    assert {"diffusion.trunk", "diffusion.hold", "diffusion.kept"} <= parse_qs(urlsplit(link).query).keys()
    other = visit("&" + urlsplit(link).query.partition("&")[2])
    until(other, "diffusion.tree", "n.branches.length === 2 && !n.more")
    assert other.evaluate("playground.live.view('diffusion.tree').numbers.name1") == page.evaluate("playground.live.view('diffusion.tree').numbers.name1")

    page.click("#live-diffusion-tree [data-tile='0']")
    until(page, "diffusion.tree", "n.branches.length === 1 || n.branches[0][2]")
    page.wait_for_function("document.querySelector('#diffusion-class input').value === '3'")


def test_a_picture_of_the_film_leads_to_its_step(visit):
    page = visit()
    see(page, "diffusion-film", "diffusion.film")
    until(page, "diffusion.film", "!n.more")
    assert numbers(page, "diffusion.film")["settled"] is not None
    page.click(TILE.format("film", 12 + 3))
    until(page, "diffusion.reverse", f"n.k === {numbers(page, 'diffusion.film')['picks'][3]}")


def test_more_guidance_pushes_harder_and_the_strip_shows_what_it_does(visit):
    page = visit("&diffusion.y=5")
    see(page, "diffusion-guided", "diffusion.guided")
    until(page, "diffusion.guided", "!n.more")
    before = numbers(page, "diffusion.guided")
    drag(page, page.locator("#diffusion-guided-scale input[type=range]"), to=0.9)
    until(page, "diffusion.guided", "n.scale > 8 && !n.more")
    after = numbers(page, "diffusion.guided")
    assert after["ratio_free"] > 2 * before["ratio_free"]
    assert after["scale"] * after["gradient"] * after["noise_weight"] > 0 and after["t"] == before["t"]
    page.locator("#live-diffusion-scales").scroll_into_view_if_needed()
    until(page, "diffusion.scales", "!n.more && n.y === 5")
    wait_for_frames(page, "diffusion.scales")
    found = numbers(page, "diffusion.scales")
    assert found["guide_free_4"] > 0.9 and found["judge_free_2"] > 0.5
    assert page.inner_text("[data-live='diffusion.scales:judge_free_2']") not in ("", "–")


def test_fewer_steps_change_the_samplers_pictures_and_the_wipe_moves(visit):
    page = visit()
    see(page, "diffusion-samplers", "diffusion.samplers")
    until(page, "diffusion.samplers", "!n.more && n.calls_ddim === 10")
    coarse = numbers(page, "diffusion.samplers")["change_ddim"]
    steps = page.locator("#diffusion-samplers-steps input[type=number]")
    steps.fill("40")
    steps.press("Enter")
    until(page, "diffusion.samplers", "!n.more && n.calls_ddim === 40 && n.change_ddim !== null")
    assert numbers(page, "diffusion.samplers")["change_ddim"] < coarse
    wiped = "canvas[data-mirror='diffusion.samplers:24']"
    before = pixels(page, wiped).astype(int)
    n = frames(page, "diffusion.samplers")
    drag(page, page.locator("#diffusion-samplers-wipe input[type=range]"), to=1)
    wait_for_frames(page, "diffusion.samplers", after={"diffusion.samplers": n})
    assert np.abs(pixels(page, wiped).astype(int) - before).max() >= 0


def test_a_weak_start_keeps_the_picture_and_a_painted_hole_is_filled(visit):
    page = visit("&diffusion.y=3")
    see(page, "diffusion-repair", "diffusion.scribble", "diffusion.fill")
    drag(page, page.locator("#diffusion-strength input[type=range]"), to=0.05)
    until(page, "diffusion.scribble", "n.t < 200")
    wait_for_frames(page, "diffusion.scribble")
    assert np.abs(tile(page, "scribble", 2) - tile(page, "scribble", 0)).mean() < 25
    before = tile(page, "fill", 0)
    strokes(page, page.locator("#diffusion-hole canvas"), [(0.2, 0.3), (0.8, 0.3)], [(0.2, 0.4), (0.8, 0.4)])
    until(page, "diffusion.fill", "n.hidden < 0.49")
    wait_for_frames(page, "diffusion.fill")
    holed, filled = tile(page, "fill", 0), tile(page, "fill", 1)
    assert np.abs(holed - before).max() > 50
    grey = np.abs(holed - 128) <= 1
    np.testing.assert_allclose(filled[~grey], holed[~grey], atol=1)


def test_a_refusal_is_a_sentence_and_the_page_goes_on(visit):
    page = visit("&diffusion.steps=0&diffusion.sampler=euler&diffusion.scale=1e9")
    complete(page)
    assert page.locator(".toast-body").count() >= 1
    steps = page.locator("#diffusion-steps input[type=number]")
    steps.evaluate("(box) => { box.value = 100000; box.dispatchEvent(new Event('input', { bubbles: true })) }")
    page.wait_for_timeout(800)
    assert "Traceback" not in page.content()


def test_who_leaves_frees_the_device_within_a_second_and_two_get_on_together(visit, server):
    """Both films are long; the one whose page is closed stops, the other one finishes."""
    first, second = visit("&diffusion.seed=11"), visit("&diffusion.seed=12")
    for page in (first, second):
        choose(page, "Sampler", "DDPM")
        steps = page.locator("#diffusion-steps input[type=number]")
        steps.fill("1000")
        steps.press("Enter")
    for page in (first, second):
        until(page, "diffusion.reverse", "n.total === 1000 && n.reached > 5")
    reached = lambda page: numbers(page, "diffusion.reverse")["reached"]          # noqa: E731
    before = reached(first), reached(second)
    first.goto(f"{server}/playground.js")                     # gone
    time.sleep(4)                                             # long beside the second that is promised
    answer = second.request.get(f"{server}/live/diffusion.reverse?checkpoint=ddpm-mnist&seed=11&y=any&sampler=ddpm&steps=1000&k=0")
    alone, watched = json.loads(answer.headers["x-numbers"])["reached"] - before[0], reached(second) - before[1]
    assert alone < 0.5 * watched or alone < 20, f"{alone} steps for nobody, {watched} for somebody"
    until(second, "diffusion.reverse", "n.reached === 1000", timeout=4 * WAIT)             # a thousand calls take a busy core half a minute


def test_a_program_gets_the_pictures_the_page_shows(visit, server):
    page = visit("&diffusion.seed=3&diffusion.y=4")
    found = Client(server, verbose=False).predict("ddpm-mnist", 3, "4", 16, api_name="/diffusion_sample")
    made = np.asarray(Image.open(io.BytesIO(base64.b64decode(found["picture"].split(",")[1]))))[..., 0].astype(int)
    shown = np.concatenate([tile(page, "grid", i) for i in range(16)], axis=1)
    assert np.abs(shown - made).max() <= 1


def test_a_view_below_asks_nothing_until_it_is_scrolled_to(visit):
    page = visit()
    page.wait_for_timeout(500)
    assert frames(page, "diffusion.line") == 0 and not any("/live/diffusion.line" in url for url in page.asked)
    page.locator("#diffusion-line").scroll_into_view_if_needed()
    wait_for_frames(page, "diffusion.line")


@pytest.mark.data
def test_the_training_pictures_most_like_a_sample_stand_beside_it(visit, mnist):
    page = visit("&diffusion.y=1")
    see(page, "diffusion-memory", "diffusion.memory")
    found = numbers(page, "diffusion.memory")
    assert found["known"] == 60_000 and 0 < found["rms0"] <= found["rms5"] < 0.5
    train = mnist("train").images[:, 0].numpy().astype(int)
    assert (np.abs(train - tile(page, "memory", 1)).reshape(60_000, -1).max(1) <= 1).any(), "it is a training picture"
