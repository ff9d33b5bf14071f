"""What the browser tests see and do: pixels and numbers on the page, a finger on a slider."""

import base64
import io
import itertools
import math

import numpy as np
from PIL import Image

WAIT = 30_000                # ms; a busy machine may be slow, a wrong page stays wrong


# Move a range input along a sine for some seconds, 60 events a second; how many came about.
DRAG = """async ([selector, seconds]) => {
    const knob = document.querySelector(selector), begun = performance.now(), low = Number(knob.min), high = Number(knob.max);
    let events = 0;
    await new Promise(done => { const timer = setInterval(() => {
        const now = (performance.now() - begun) / 1000;
        if (now > seconds) { clearInterval(timer); return done(); }
        knob.value = (low + (high - low) * (0.5 + 0.48 * Math.sin(3 * now))).toFixed(2);
        knob.dispatchEvent(new Event('input', { bubbles: true }));
        events++;
    }, 1000 / 60); });
    return events / seconds;
}"""


FINGER = 60                  # events a second of DRAG
COUNT_IMAGES = """() => { window.redraws = 0; const image = document.querySelector('#baseline');
    new MutationObserver(() => { const img = image.querySelector('img');
        if (img && img.src !== window.source) { window.source = img.src; img.addEventListener('load', () => redraws++, { once: true }) }
    }).observe(image, { subtree: true, childList: true, attributes: true }) }"""


def drag_a_knob(page, selector: str, seconds: float) -> float:
    """DRAG it; the events a second that came about."""
    return page.evaluate(DRAG, [selector, seconds])


def redraws_beside_an_ordinary_image(live, knob: str, view: str, ordinary, ordinary_knob: str, *, drag=drag_a_knob,
                                     seconds: float = 2, slices: int = 8) -> tuple[float, float, str]:
    """Redraws a second of a live view while its knob is dragged, those of the same handler behind a gr.Image, and a sentence.

    No view can redraw twice as often as one that all but follows the finger: on a machine so quick, both pages' processors are
    slowed down alike, until the finger is four times as quick as the ordinary page. In turns, the best of many short slices, so
    that each side finds a quiet moment.
    """
    ordinary.wait_for_function("document.querySelector('#baseline img')?.complete")
    ordinary.evaluate(COUNT_IMAGES)
    sides = {"live view": (live, knob, f"playground.live.view('{view}').frames"), "gr.Image": (ordinary, ordinary_knob, "redraws")}
    throttles = {name: side.context.new_cdp_session(side) for name, (side, _, _) in sides.items()}

    def rates(name: str, slowdown: int) -> tuple[float, float]:
        """Redraws and events a second of one side, while the other rests."""
        side, knob, count = sides[name]
        side.bring_to_front()
        throttles[name].send("Emulation.setCPUThrottlingRate", {"rate": slowdown})
        before = side.evaluate(count)
        events = (drag if side is live else drag_a_knob)(side, knob, seconds)
        redraws = (side.evaluate(count) - before) / seconds
        throttles[name].send("Emulation.setCPUThrottlingRate", {"rate": 1})
        side.wait_for_timeout(500)                            # what is still under way takes nothing from the other side
        return redraws, events

    quick = lambda slowdown: max(rates("gr.Image", slowdown)[0] for _ in range(2)) > FINGER / 4      # noqa: E731
    slowdown = next(itertools.dropwhile(quick, (1, 2, 4)), 8)
    found = {name: [] for name in sides}
    for _ in range(slices):                                   # alternating, so that a busy moment hits both
        for name in sides:
            found[name].append(rates(name, slowdown))
    (redraws, events), (images, image_events) = (max(found[name]) for name in sides)
    return redraws, images, (f"redraws a second, both pages slowed down by {slowdown}: live view {redraws:.1f} at {events:.0f} events, "
                             f"gr.Image {images:.1f} at {image_events:.0f}, ratio {redraws / max(images, 1e-9):.1f}")


def wait_for_frames(page, *views: str, after: dict[str, int] | None = None) -> None:
    """Until each view has drawn (more than `after` of) its frames, no request of it is under way and its numbers stand on the page."""
    for view in views:
        page.wait_for_function(
            "([name, n]) => { const v = window.playground?.live?.view(name); return v && v.frames > n && !v.inFlight && v.wanted === null && !v.resting && v.read }",
            arg=[view, (after or {}).get(view, 0)], timeout=WAIT)
    page.evaluate("new Promise(done => { requestAnimationFrame(() => requestAnimationFrame(done)); setTimeout(done, 1000) })")   # what is drawn from them, too


def frames(page, view: str) -> int:
    return page.evaluate("name => playground.live.view(name).frames", view)


def numbers(page, view: str) -> dict:
    """The numbers of the frame now drawn."""
    return page.evaluate("name => playground.live.view(name).numbers", view)


def rgba(page, selector: str) -> np.ndarray:
    """What a canvas shows, (H, W, 4) uint8. As a PNG: a million numbers take the browser's protocol seconds."""
    png = page.evaluate("selector => document.querySelector(selector).toDataURL('image/png')", selector).partition(",")[2]
    return np.array(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA"))


def pixels(page, selector: str) -> np.ndarray:
    """What a canvas shows, (H, W) uint8 of its red channel."""
    return rgba(page, selector)[..., 0]


def fetched(page, path: str) -> np.ndarray:
    """The picture the server gives at a path, as it decodes."""
    answer = page.request.get(page.evaluate("playground.root()") + path)
    assert answer.ok, answer.text()
    return np.asarray(Image.open(io.BytesIO(answer.body())))


def tile(page, view: str, i: int) -> np.ndarray:
    """What a tile of a live view shows, (H, W) of its red channel, as numbers that can be subtracted."""
    return pixels(page, f"#live-{view.replace('.', '-')} [data-tile='{i}'] canvas").astype(int)


def at(page, section: str, *views: str) -> list[dict]:
    """Scroll to a section and wait for its views; their numbers."""
    page.locator(f"#{section}").scroll_into_view_if_needed()
    for view in views:
        page.evaluate("view => document.querySelector(`[data-view='${view}']`)?.scrollIntoView({ block: 'center' })", view)
        wait_for_frames(page, view)
    return [numbers(page, view) for view in views]


def until(page, view: str, condition: str, timeout: int = WAIT, playing: bool = False) -> dict:
    """A view's numbers once they are as the condition in JavaScript says of `n`; one that plays on is never at rest."""
    found = page.wait_for_function(f"([name]) => {{ const n = playground.live.view(name).numbers; return n && ({condition}) && n }}", arg=[view], timeout=timeout)
    if playing:
        return found.json_value()
    wait_for_frames(page, view)
    return numbers(page, view)


def said(page, number: str) -> str:
    """How the page writes a number of a live view."""
    return page.locator(f"[data-live='{number}']").first.inner_text()


def quiet(page) -> None:
    """No error stands in the console."""
    assert page.console_errors == []


def slider(page, i: int):
    return page.locator(f"#vae-z{i} input[type=range]")


def slider_values(page) -> list[float]:
    return [float(slider(page, i).input_value()) for i in range(1, 9)]


def drag(page, handle, to: float, steps: int = 12) -> None:
    """Drag a slider's knob with the mouse from where it is to `to` (0 left end, 1 right end)."""
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    low, high, now = (float(handle.get_attribute("min")), float(handle.get_attribute("max")), float(handle.input_value()))
    start, y = min(max((now - low) / (high - low), 0.004), 0.996), box["y"] + box["height"] / 2      # its edge is not on it
    page.mouse.move(box["x"] + box["width"] * start, y)
    page.mouse.down()
    for i in range(1, steps + 1):
        page.mouse.move(box["x"] + box["width"] * (start + (to - start) * i / steps), y)
    page.mouse.up()


def strokes(page, canvas, *lines) -> None:
    """Draw lines on a pad; each is a list of points in shares of its width and height."""
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    for line in lines:
        points = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in line]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=6)
        page.mouse.up()


def circle(x: float = 0.5, y: float = 0.5, r: float = 0.27, n: int = 24) -> list[tuple[float, float]]:
    """A closed stroke: a zero."""
    return [(x + r * math.cos(2 * math.pi * i / n), y + 1.2 * r * math.sin(2 * math.pi * i / n)) for i in range(n + 1)]
