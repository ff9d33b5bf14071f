"""A packed field rendered by the visitor's browser is the server's picture; where the browser cannot, the server goes on."""


import numpy as np
import pytest
from referee import ball_and_ring, psnr, render

from browser.orbit_page import FIELD
from browser.test_orbit import CANVAS, KNOBS, SCRIPT, VIEW, colours, pulled, sliders

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SIDE = 200                   # pixels of the canvas, and so of the picture at rest
HERE = "document.querySelector('.orbit')?.dataset.by === 'browser'"
AT_REST = (f"{HERE} && (v => document.querySelector('{CANVAS}').width === {SIDE} && v.numbers.samples && String(v.numbers.camera) === new URLSearchParams(v.last).get('camera'))"
           f"(playground.live.view('{VIEW}'))")
OPTIONS = ["--no-sandbox", "--disable-background-networking"]


@pytest.fixture(scope="module")
def url(start_app):
    return start_app("--volume", script=SCRIPT).url


def opened(page, ready: str):
    """The page, its canvas SIDE pixels wide."""
    page.add_style_tag(content=f".orbit .stage {{ max-width: {SIDE}px !important; }}")
    page.wait_for_function(ready)
    return page


@pytest.fixture(scope="module")
def page(open_page, url):
    page = opened(open_page(base=url, ready=CANVAS), AT_REST)
    yield page
    assert page.console_errors == []


def moved(page, camera: tuple[float, ...]) -> None:
    """Put the sliders there, and wait for the picture at rest."""
    page.evaluate("""([ids, values]) => ids.forEach((id, i) => {
        const knob = document.querySelector(`#${id} input[type=range]`);
        knob.value = values[i];
        knob.dispatchEvent(new Event('input', { bubbles: true }));
    })""", [list(KNOBS), list(camera)])
    page.wait_for_function(f"camera => {AT_REST} && new URLSearchParams(playground.live.view('{VIEW}').last).get('camera') === camera",
                           arg=",".join(f"{value:g}" for value in camera))


@pytest.mark.parametrize("camera", [(35, 30, 4, 40), (200, 70, 1.5, 75), (305, -10, 2.2, 15)],
                         ids=["from afar", "from inside the cube", "through a narrow angle"])
def test_the_browser_s_picture_is_the_server_s(page, camera):
    moved(page, camera)
    browser, field = colours(page, CANVAS) / 255, ball_and_ring(FIELD)
    server, reference = render(field, camera, SIDE), render(field, camera, SIDE, finer=4)
    between, of_browser, of_server = psnr(browser, server), psnr(browser, reference), psnr(server, reference)
    print(f"\n{between:.1f} dB from each other; from finer samples: browser {of_browser:.2f}, server {of_server:.2f} dB")
    assert between > 38
    assert abs(of_browser - of_server) < 0.5
    assert between > psnr(np.roll(browser, 1, axis=1), server) + 6, "not even a pixel aside"


def test_while_the_browser_draws_the_server_is_asked_for_nothing(page):
    moved(page, (35, 30, 4, 40))
    asked = len(page.asked)
    before = page.evaluate(f"playground.live.view('{VIEW}').frames")
    pulled(page, (0.2, 0), (0.2, 0.1))
    page.wait_for_function(f"{AT_REST} && Number(document.querySelector('#azimuth input[type=range]').value) !== 35")
    page.wait_for_timeout(400)
    assert page.asked[asked:] == [] and page.evaluate(f"playground.live.view('{VIEW}').frames") > before + 1
    assert sliders(page) == pytest.approx([359, 48, 4, 40], abs=0.11)
    samples = float(page.inner_text(f".orbit [data-live='{VIEW}:samples']"))
    page.wait_for_function(f"document.querySelector(\".orbit [data-orbit='{VIEW}:size']\").textContent === '{SIDE} × {SIDE}'")
    assert 0.3 < samples < 10 and page.locator(".orbit .caption .browser").is_visible() and not page.locator(".orbit .caption .server").is_visible()


def test_the_visitor_may_have_the_server_draw(page):
    frames = page.evaluate(f"playground.live.view('{VIEW}').frames")
    page.click(".orbit [data-do=by]")
    page.wait_for_function(f"!({HERE}) && playground.live.view('{VIEW}').picture.width === 100 && playground.live.view('{VIEW}').frames > {frames}")
    asked = len(page.asked)
    page.click(".orbit [data-do=by]")
    page.wait_for_function(AT_REST)
    assert page.asked[asked:] == [], "its volume is still here"


def test_what_has_no_volume_is_drawn_by_the_server_and_the_volume_is_kept_meanwhile(page):
    page.click("#model input[value=other]")
    page.wait_for_function(f"!({HERE}) && playground.live.view('{VIEW}').picture.width === 100")
    page.click("#model input[value=voxels]")
    page.wait_for_function(AT_REST)
    pictures = [url for url in page.asked if "/volume/" in url and "/empty" in url]
    assert len(pictures) == 1, "fetched once"


def test_without_webgl_the_server_s_frames_go_on(browser, chromium, url):
    without = browser.browser_type.launch(executable_path=chromium, args=[*OPTIONS, "--disable-3d-apis"])
    try:
        page = without.new_page()
        page.set_default_timeout(60_000)
        crashes = []
        page.on("pageerror", lambda crash: crashes.append(str(crash)))
        page.goto(url)
        assert page.evaluate("document.createElement('canvas').getContext('webgl2')") is None
        opened(page, f"playground.live.view('{VIEW}').picture?.width === 100")
        pulled(page, (0.2, 0))
        page.wait_for_function(f"playground.live.view('{VIEW}').picture.width === 100 && Math.abs(playground.live.view('{VIEW}').numbers.camera[0] - 359) < 0.11")
        assert not page.evaluate(HERE) and page.locator(".orbit [data-do=by]").is_hidden() and crashes == []
    finally:
        without.close()


def test_when_the_graphics_card_is_lost_the_server_goes_on(browser, url):
    context = browser.new_context()
    context.add_init_script("""(() => { const { getContext } = HTMLCanvasElement.prototype;
        HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
            const found = getContext.call(this, kind, ...rest);
            if (kind === 'webgl2' && found) window.card = found;
            return found;
        } })()""")
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(url)
    opened(page, AT_REST)
    page.evaluate("card.getExtension('WEBGL_lose_context').loseContext()")
    page.wait_for_function(f"!({HERE}) && playground.live.view('{VIEW}').picture.width === 100")
    assert page.locator(".orbit [data-do=by]").is_hidden()
    context.close()
