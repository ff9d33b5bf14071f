"""The NeRF tab as a person uses it: turn the scene, follow another ray, train it, ask the field somewhere else."""

import time

import blender
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SCENE = "#orbit-nerf-orbit canvas"


@pytest.fixture(scope="module")
def page(open_page):
    page = open_page(path="/?tab=nerf")
    page.wait_for_function("playground.live.view('nerf.orbit').frames > 0")
    yield page
    assert page.console_errors == []


def number(page, view, key):
    return page.evaluate(f"playground.live.view('{view}').numbers?.{key}")


def shown(page, view):
    page.evaluate(f"(node => (node.closest('.section') ?? node).scrollIntoView())(document.querySelector('[data-view=\"{view}\"]'))")
    page.wait_for_function(f"playground.live.view('{view}').frames > 0")


def slide(page, selector, value):
    page.evaluate("""([selector, value]) => {
        const knob = document.querySelector(selector + ' input[type=range]');
        knob.value = value;
        for (const kind of ['input', 'pointerup']) knob.dispatchEvent(new Event(kind, { bubbles: true }));
    }""", [selector, value])


def test_a_drag_turns_the_camera_and_the_picture(page):
    before = page.evaluate(f"document.querySelector('{SCENE}').toDataURL()")
    box = page.locator(SCENE).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - box["width"] / 4, y, steps=5)
    page.mouse.up()
    page.wait_for_function("Math.abs(document.querySelector('#nerf-azimuth input[type=range]').value - 80) < 3")
    page.wait_for_function("Math.abs(playground.live.view('nerf.orbit').numbers.camera[0] - 80) < 3")
    assert page.evaluate(f"document.querySelector('{SCENE}').toDataURL()") != before
    page.wait_for_function("new URLSearchParams(location.search).get('nerf.camera')?.startsWith('80') || new URLSearchParams(location.search).get('nerf.camera')?.startsWith('79')")


def test_another_pixel_is_another_ray_whose_weights_and_light_make_one(page):
    shown(page, "nerf.ray")
    before = number(page, "nerf.ray", "depth")
    slide(page, "#nerf-u", 0.45)
    page.wait_for_function(f"playground.live.view('nerf.ray').numbers.depth !== {before!r}")
    assert 0 <= number(page, "nerf.ray", "sum_w") <= 1.0001


def test_a_gradient_step_on_one_ray_lowers_its_loss(page):
    shown(page, "nerf.step")
    page.locator("#nerf-once").click()
    page.wait_for_function("playground.live.view('nerf.step').numbers.steps >= 1")
    assert number(page, "nerf.step", "after") < number(page, "nerf.step", "before")


def test_the_density_of_a_point_does_not_change_with_the_direction(page):
    shown(page, "nerf.probe")
    page.locator("#nerf-put").click()                         # onto the surface that the chosen ray meets
    page.wait_for_function("playground.live.view('nerf.probe').numbers.sigma > 0")
    sigma, direction = number(page, "nerf.probe", "sigma"), number(page, "nerf.probe", "d")
    slide(page, "#nerf-theta", 200)
    page.wait_for_function("d => playground.live.view('nerf.probe').numbers.d !== d", arg=direction)
    assert number(page, "nerf.probe", "sigma") == sigma


def pixels(page, view, tile=0):
    """A tile of a live view, where it stands or where it is mirrored."""
    return page.evaluate("""([view, tile]) => (document.querySelector(`[data-mirror="${view}:${tile}"]`)
        ?? document.querySelectorAll(`.live-view[data-view="${view}"] canvas`)[tile]).toDataURL()""", [view, tile])


def test_the_line_across_the_picture_parts_two_ways_to_read_the_field(page):
    shown(page, "nerf.holds")
    before, line = pixels(page, "nerf.holds"), page.locator("#nerf-holds .cursor")
    line.scroll_into_view_if_needed()
    box = line.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 3, steps=4)
    page.mouse.up()
    page.wait_for_function("Math.abs(playground.live.view('nerf.holds').numbers.at[0] - 0.25) < 0.02")
    assert abs(float(page.locator("#nerf-split input[type=range]").input_value()) - 0.25) < 0.02
    assert pixels(page, "nerf.holds") != before
    line.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("playground.live.view('nerf.holds').numbers.at[0] > 0.26")


def test_a_click_on_a_camera_shows_its_picture_and_the_error(page):
    shown(page, "nerf.ring")
    page.wait_for_function("playground.live.view('nerf.shot').numbers?.psnr > 0", timeout=60_000)
    ring = page.locator("canvas.ring")
    ring.scroll_into_view_if_needed()
    box = ring.bounding_box()
    for share in (0.3, 0.4, 0.5, 0.6, 0.7):                    # somewhere above the scene there are cameras
        page.mouse.click(box["x"] + share * box["width"], box["y"] + 0.2 * box["height"])
        if page.locator("#nerf-shot input[type=range]").input_value() != "1":
            break
    chosen = int(page.locator("#nerf-shot input[type=range]").input_value())
    assert chosen > 1
    page.wait_for_function(f"playground.live.view('nerf.ring').numbers.chosen === {chosen - 1}")
    there = number(page, "nerf.ring", "there")
    page.locator("#nerf-shot-go").click()
    page.wait_for_function(f"Math.abs(document.querySelector('#nerf-elevation input[type=range]').value - {there[1]}) < 0.06")


def test_a_kept_view_joins_the_path_and_the_path_becomes_a_film(page):
    shown(page, "nerf.path")
    places = page.locator("#nerf-keys li")
    assert places.count() == 4
    page.locator("#nerf-keys [data-do=add]").click()
    assert places.count() == 5
    page.wait_for_function("playground.live.view('nerf.path').numbers.keys.length === 10")
    for _ in range(3):
        places.last.locator("[data-do=out]").click()
    page.wait_for_function("playground.live.view('nerf.path').numbers.keys.length === 4")
    slide(page, "#nerf-frames", 8)
    page.locator("#nerf-path-size label").first.click()
    page.wait_for_function("playground.live.view('nerf.path').numbers.total === 8")
    page.locator("#nerf-path-draw").click()
    film = page.locator("#nerf-gif img")
    film.wait_for(timeout=90_000)
    frames = page.evaluate("""async () => {
        const answer = await fetch(document.querySelector('#nerf-gif img').src), bytes = new Uint8Array(await answer.arrayBuffer());
        return [String.fromCharCode(...bytes.slice(0, 6)), (new TextDecoder('latin1').decode(bytes).match(/\x21\xf9\x04/g) ?? []).length];
    }""")
    assert frames == ["GIF89a", 8]


def test_the_scene_is_kept_in_several_ways_and_each_is_measured(page):
    shown(page, "nerf.keep")
    page.wait_for_function("['points', 'mesh', 'voxels'].every(way => parseFloat(playground.live.view('nerf.keep').numbers[`psnr_${way}`]) > 15)", timeout=120_000)
    assert float(number(page, "nerf.keep", "bytes_points").split()[0]) < float(number(page, "nerf.keep", "bytes_voxels").split()[0])


def test_more_frequencies_fit_what_none_cannot(page):
    shown(page, "nerf.encoding")
    found = []
    for L in (0, 5):
        slide(page, "#nerf-L", L)
        page.wait_for_function(f"(({{ L, updates }}) => L === {L} && updates > 60)(playground.live.view('nerf.encoding').numbers)", timeout=60_000)
        found.append(number(page, "nerf.encoding", "seen"))
    assert found[1] > found[0] + 1
    before = pixels(page, "nerf.encoding", 1)
    page.locator("#nerf-encoding-trainer .play").click()                          # one's own, from the start
    page.wait_for_function("playground.live.view('nerf.encoding').numbers.step > 0")
    end = time.monotonic() + 30
    while pixels(page, "nerf.encoding", 1) == before:         # drawn a moment after its numbers
        assert time.monotonic() < end
        page.wait_for_timeout(100)
    page.locator("#nerf-encoding-trainer .play").click()


def test_fewer_pictures_show_a_worse_scene_in_which_more_floats(page):
    shown(page, "nerf.count")
    found = []
    for place in (5, 0):
        slide(page, "#nerf-count", place)
        page.wait_for_function(f"playground.live.view('nerf.count').numbers.at === {place}")
        found.append((number(page, "nerf.count", "mean"), number(page, "nerf.count", "floats")[place], pixels(page, "nerf.count", 1)))
    (many, clear, picture), (few, floating, other) = found
    assert many > few + 5 and floating > clear and picture != other
    assert page.locator("#nerf-how-many .choices canvas.chosen").get_attribute("data-values") == "0"
    page.locator("#nerf-how-many .choices canvas").nth(3).click()
    page.wait_for_function("playground.live.view('nerf.count').numbers.count === 16")


def test_a_scene_of_one_s_own_is_looked_at_and_a_spoilt_one_refused_in_one_sentence(page, tmp_path):
    page.locator("#nerf-training .label-wrap").first.click()
    page.wait_for_selector("#nerf-start", state="visible")
    said = "/\\d+ s/.test(document.querySelector('#nerf-estimate').innerText)"
    page.wait_for_function(said, timeout=180_000)             # the built-in scene is drawn for it, once on a machine

    def picked(name, files):
        with page.expect_file_chooser() as chooser:
            page.locator("#nerf-zip").click()
        chooser.value.set_files(blender.zipped(tmp_path / name, files))

    def spoil(found):
        found["frames"][3]["transform_matrix"][1][2] = None

    picked("bad.zip", blender.scene(6, change=spoil))
    page.wait_for_selector(".toast-wrap >> text=transform_matrix of frame 3", timeout=60_000)
    picked("my-room.zip", blender.scene(6))
    page.wait_for_function("document.querySelector('#nerf-data input').value === 'my-my-room'", timeout=60_000)
    page.wait_for_function(said, timeout=120_000)
