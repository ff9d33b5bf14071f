"""A camera held by its picture: mouse, fingers, wheel and keys turn it, sliders and URL say the same, coarse frames become exact."""

import io
import math
import time
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image

from browser.screen import FINGER, WAIT, drag, fetched, frames, numbers, redraws_beside_an_ordinary_image, rgba, wait_for_frames

pytestmark = [pytest.mark.browser, pytest.mark.slow]

VIEW, CANVAS, KNOBS = "toy.orbit", ".orbit canvas", ("azimuth", "elevation", "distance", "field")
HOME = (35, 30, 4, 40)
SCRIPT = "tests/browser/orbit_page.py"


@pytest.fixture(scope="module")
def turntable(start_app, open_page):
    """The page with the ball, for all tests that leave it as it was."""
    page = open_page(base=start_app(script=SCRIPT).url, ready=CANVAS)
    wait_for_frames(page, VIEW)
    yield page
    assert page.console_errors == []


@pytest.fixture
def page(turntable):
    turntable.locator(".orbit .stage").focus()
    turntable.keyboard.press("0")
    stands(turntable, *HOME)
    return turntable


def settled(page) -> None:
    """Until the exact frame of the sliders' values is on the canvas."""
    page.wait_for_function("""([view, ids]) => { const v = playground.live.view(view);
        return v.numbers?.size === 200 && !v.resting && !v.inFlight
            && ids.every((id, i) => Math.abs(Number(document.querySelector(`#${id} input[type=range]`).value) - v.numbers.camera[i]) < 1e-3) }""",
                           arg=[VIEW, list(KNOBS)])


def sliders(page) -> list[float]:
    return [float(page.locator(f"#{knob} input[type=range]").input_value()) for knob in KNOBS]


def stands(page, *camera: float, within: float = 0.11) -> None:
    """The sliders come to stand there, and the exact frame is on the canvas. A busy machine takes its time with the last events."""
    deadline = time.monotonic() + WAIT / 1000
    while sliders(page) != pytest.approx(camera, abs=within) and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    settled(page)
    assert sliders(page) == pytest.approx(camera, abs=within)


def colours(page, selector: str) -> np.ndarray:
    """What a canvas shows, (H, W, 3) uint8."""
    return rgba(page, selector)[..., :3]


def middle(page) -> tuple[float, float, float]:
    """Of the canvas, in the window, and its side."""
    page.locator(CANVAS).scroll_into_view_if_needed()
    box = page.locator(CANVAS).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box["width"]


def pulled(page, *steps: tuple[float, float]) -> None:
    """Press in the middle of the canvas, go to each place (shares of its side from there), and let go."""
    x, y, side = middle(page)
    page.mouse.move(x, y)
    page.mouse.down()
    for dx, dy in steps:
        page.mouse.move(x + dx * side, y + dy * side, steps=5)
    page.mouse.up()


def test_a_drag_turns_the_scene_with_the_hand_and_the_sliders_say_the_same(page):
    pulled(page, (0.1, 0), (0.1, 0.2))
    stands(page, 35 - 18, 30 + 36, 4, 40)
    assert numbers(page, VIEW)["camera"] == pytest.approx(sliders(page), abs=1e-3)
    shown = colours(page, CANVAS)
    camera = ",".join(f"{value:g}" for value in sliders(page))
    np.testing.assert_array_equal(shown, fetched(page, f"/live/{VIEW}?camera={camera}"))
    page.wait_for_url("**toy.cam=*")
    assert [float(value) for value in parse_qs(urlsplit(page.url).query)["toy.cam"][0].split(",")] == pytest.approx(sliders(page))


def test_the_azimuth_goes_around_and_the_elevation_ends(page):
    pulled(page, (0.4, 0), (0.4, 0.45))
    stands(page, 35 - 72 + 360, 89, 4, 40)
    pulled(page, (-0.3, 0), (-0.3, -0.45))
    pulled(page, (0, -0.45))
    stands(page, 35 - 72 + 54, -10, 4, 40)


def test_many_steps_smaller_than_a_slider_s_add_up(page):
    x, y, side = middle(page)
    page.mouse.move(x, y)
    page.mouse.down()
    wide = page.evaluate("document.querySelector('#azimuth input[type=range]').step = '5'") == "5"      # a movement of a pixel is half a degree
    for i in range(1, 61):
        page.mouse.move(x - i, y)
    page.mouse.up()
    stands(page, 35 + 60 * 180 / side, 30, 4, 40, within=2.6)
    page.evaluate("document.querySelector('#azimuth input[type=range]').step = '0.1'")
    assert wide


def test_keys_turn_come_nearer_and_go_back(page):
    page.locator(".orbit .stage").focus()
    for key in ("ArrowRight", "ArrowUp", "ArrowUp", "+"):
        page.keyboard.press(key)
    stands(page, 38, 36, 4 * 0.94, 40)
    for key in ("Shift+ArrowLeft", "ArrowDown", "-", "-"):
        page.keyboard.press(key)
    stands(page, 23, 33, 4 / 0.94, 40)
    page.keyboard.press("0")
    stands(page, *HOME)


def test_the_wheel_changes_the_distance_with_shift_the_field_of_view_and_never_scrolls(page):
    x, y, _ = middle(page)
    scrolled = page.evaluate("scrollY")
    page.mouse.move(x, y)
    page.mouse.wheel(0, 200)
    stands(page, 35, 30, 4 * math.exp(0.24), 40)
    page.keyboard.down("Shift")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Shift")
    stands(page, 35, 30, 4 * math.exp(0.24), 40 * math.exp(-0.24))
    page.mouse.wheel(0, 5000)
    stands(page, 35, 30, 6, 40 * math.exp(-0.24))
    assert page.evaluate("scrollY") == scrolled


LOG = """name => {
    const view = playground.live.view(name), { ask, fetch } = view;
    Object.assign(window, { asked: [], drawn: [], moved: 0 });
    view.ask = (query) => { if (query !== view.last) moved = performance.now(); ask.call(view, query); };
    view.fetch = (query, n) => { asked.push([query.includes("quality=coarse"), performance.now() - moved]); return fetch.call(view, query, n); };
    document.addEventListener(`live:${name}`, ({ detail: { numbers } }) => drawn.push(numbers.size));
}"""


def test_while_it_moves_frames_are_coarse_and_the_exact_one_comes_at_rest(page):
    """The framing stays: the coarse picture is the exact one of the same camera, shrunk."""
    page.evaluate(LOG, VIEW)
    x, y, side = middle(page)
    box = page.locator(CANVAS).bounding_box()
    page.mouse.move(x, y)
    page.mouse.down()
    for i in range(60):
        page.mouse.move(x + side / 3 * math.sin(i / 15), y)
    while page.evaluate("drawn.at(-1)") != 100:
        page.mouse.move(x + side / 3 * math.sin((i := i + 1) / 15), y)
    assert page.locator(CANVAS).bounding_box() == box
    page.mouse.up()
    settled(page)
    asked, drawn = page.evaluate("asked"), page.evaluate("drawn")
    exact = [since for coarse, since in asked if not coarse]
    assert exact and min(exact) > 190, "ms after the last movement; where there was none for so long, as on a busy machine, in between too"
    assert drawn[-1] == 200 and drawn.count(100) > 2
    camera = ",".join(map(str, sliders(page)))
    coarse = page.request.get(f"{page.evaluate('playground.root()')}/live/{VIEW}?camera={camera}&quality=coarse")
    assert coarse.headers["content-type"] == "image/jpeg"
    small, large = np.asarray(Image.open(io.BytesIO(coarse.body()))).astype(float), colours(page, CANVAS).astype(float)
    shrunk = large.reshape(100, 2, 100, 2, 3).mean((1, 3))
    error = lambda columns: np.abs(np.roll(small, columns, axis=1) - shrunk).mean()          # noqa: E731
    assert error(0) < 0.5 * min(error(1), error(-1)), "not even a pixel aside"


def test_a_slider_moves_the_picture_the_same_way(page):
    n = frames(page, VIEW)
    drag(page, page.locator("#azimuth input[type=range]"), to=0.5)
    settled(page)
    assert frames(page, VIEW) > n and numbers(page, VIEW)["camera"][0] == pytest.approx(sliders(page)[0], abs=1e-3)
    assert sliders(page)[0] == pytest.approx(180, abs=6)


def test_fingers_turn_and_pinch_on_a_small_screen_and_the_page_does_not_scroll(turntable, open_page):
    page = open_page(base=turntable.url.split("/?")[0].rstrip("/"), ready=CANVAS, width=390, height=844, touch=True)
    settled(page)
    touch = page.context.new_cdp_session(page)
    send = lambda kind, *points: touch.send("Input.dispatchTouchEvent", {                    # noqa: E731
        "type": kind, "touchPoints": [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]})
    x, y, side = middle(page)
    assert side > 200
    scrolled = page.evaluate("scrollY")
    send("touchStart", (x, y))
    for i in range(1, 9):
        send("touchMove", (x + side * 0.2 * i / 8, y - side * 0.1 * i / 8))
    send("touchEnd")
    stands(page, 35 - 36 + 360, 30 - 18, 4, 40, within=0.4)
    send("touchStart", (x - 40, y))
    send("touchStart", (x - 40, y), (x + 40, y))
    for i in range(1, 9):
        send("touchMove", (x - 40 - 3 * i, y), (x + 40 + 3 * i, y))
    send("touchEnd")
    stands(page, 359, 12, 4 * 80 / 128, 40, within=0.4)       # nearer as the fingers part
    assert page.evaluate("scrollY") == scrolled
    assert page.evaluate("[...document.querySelectorAll('.orbit, .orbit *')].filter(node => getComputedStyle(node).touchAction === 'none').length") == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_picture_follows_the_hand_more_often_than_the_same_picture_behind_gr_image(page, start_app, open_page, record_property):
    def turn(page, selector: str, seconds: float) -> float:
        x, y, side = middle(page)
        page.mouse.move(x, y)
        page.mouse.down()
        begun, events = time.monotonic(), 0
        while (now := time.monotonic() - begun) < seconds:
            page.mouse.move(x + side / 3 * math.sin(3 * now), y + side / 8 * math.sin(2 * now))
            events += 1
            page.wait_for_timeout(max(0, 1000 * (events / FINGER - (time.monotonic() - begun))))
        page.mouse.up()
        return events / seconds

    baseline = open_page(base=start_app("--ordinary", script=SCRIPT).url, ready="#baseline")
    live, ordinary, said = redraws_beside_an_ordinary_image(page, CANVAS, VIEW, baseline, "#azimuth input[type=range]", drag=turn, seconds=1.5, slices=3)
    print(f"\n{said}")
    record_property("orbit_redraws_per_second", live)
    record_property("gr_image_redraws_per_second", ordinary)
    settled(page)
    assert ordinary > 1, "the baseline must work for the ratio to mean something"
    assert live > ordinary
