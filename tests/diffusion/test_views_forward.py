"""The forward views: x_t is the formula, the chain and the jump agree, the designer's schedules are the schedules."""

import json
from collections import OrderedDict

import numpy as np
import pytest
import torch
from PIL import Image

from playground.core import device, images
from playground.core.device import executor
from playground.core.errors import PlaygroundError
from playground.diffusion import maths, sample, views
from playground.diffusion.views import forward
from playground.ui import live

pytestmark = pytest.mark.usefixtures("tiny")

ASK = {"checkpoint": "tiny", "seed": "7", "x": "", "t": "40", "schedule": "cosine", "T": "1000"}
FRAMES = {"forward": forward.forward_frame, "chain": forward.chain_frame, "jump": forward.jump_frame, "design": forward.design_frame}
HOSTILE = {
    "checkpoint": ("", "nowhere", "../../etc", "tiny-guide"), "seed": ("-1", "nan", "0.5", "x"), "x": ("<b>", "s-1", "snan", "p!", "pAAAA", "A" * 523, "A" * 9999),
    "t": ("0", "101", "nan", "inf", "-3", "1.5", "", "1e99", "t"), "schedule": ("", "quadratic", "linear "), "T": ("0", "1", "4001", "nan", "2.5", "", "1e12"),
}
READS = {"forward": ("checkpoint", "seed", "x", "t"), "chain": ("checkpoint", "seed", "x", "t"), "jump": ("checkpoint", "seed", "x", "t"),
         "design": ("checkpoint", "seed", "x", "schedule", "T")}


@pytest.fixture(autouse=True)
def no_walks(monkeypatch):
    monkeypatch.setattr(forward, "_walks", OrderedDict())


def ask(name, **changed):
    return executor.run(FRAMES[name], {**ASK, **changed})


def arrived(**changed):
    """The frame of the jump once the chain is there."""
    for _ in range(1000):
        frame = ask("jump", **changed)
        if not frame.numbers["more"]:
            return frame
    raise AssertionError("the chain never arrives")


def tiles(frame, n):
    return np.split(frame.picture, n, axis=1)


@pytest.mark.parametrize("name, key, value", [(name, key, value) for name, keys in READS.items() for key in keys for value in HOSTILE[key]])
def test_what_cannot_be_is_refused_in_one_sentence(name, key, value):
    with pytest.raises(PlaygroundError) as refused:
        ask(name, **{key: value})
    for language in ("en", "zh"):
        assert "\n" not in refused.value.sentence(language)


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("checkpoint", ["tiny", "tiny-colour"])
def test_the_numbers_fit_into_their_header(name, checkpoint):
    found = {**ask(name, checkpoint=checkpoint, T="4000").numbers, "ms": 1.0}
    assert len(json.dumps(live._rounded(found))) < live.NUMBERS_MAX


def test_x_t_is_the_formula_with_the_numbers_shown():
    frame = ask("forward")
    n, checkpoint = frame.numbers, sample.load("tiny")
    x_0, eps = views.picture(checkpoint, ""), device.noise(7, [0], (1, 28, 28))
    x_t = n["a"] * x_0 + n["b"] * eps
    np.testing.assert_array_equal(tiles(frame, 3)[2], views.shown(x_t[0]))
    np.testing.assert_array_equal(tiles(frame, 3)[0], views.shown(x_0[0]))
    assert n["a"]**2 == pytest.approx(n["alpha_bar"]) and n["a"]**2 + n["b"]**2 == pytest.approx(1)
    assert n["snr"] == pytest.approx(10 * np.log10(n["alpha_bar"] / (1 - n["alpha_bar"])))
    assert n["pixel"] == pytest.approx(n["a"] * n["pixel_0"] + n["b"] * n["pixel_eps"], abs=1e-5)
    assert n["pixel"] == pytest.approx(x_t[0, 0, 14, 14].item(), abs=1e-5)


def test_the_histogram_is_a_density_and_ends_as_the_bell_curve():
    n = ask("jump", t="100").numbers
    assert sum(n["jump"]) / 6 == pytest.approx(1, abs=2e-3), "bins of 1/6; N(0, 1) has 0.05 % beyond +-3.5"
    normal = np.array(ask("forward").numbers["normal"])
    assert np.abs(np.array(n["jump"]) - normal).max() < 0.02
    counts, _ = np.histogram(np.linspace(-1, 1, 1001), forward.BINS, (-forward.EDGE, forward.EDGE), density=True)
    np.testing.assert_allclose(forward.histogram(torch.linspace(-1, 1, 1001))[1], counts, atol=0.01)


def test_the_figure_shows_the_ends_of_the_chain_and_t_between():
    frame = ask("chain")
    x_0, x_t, x_T = tiles(frame, 3)
    np.testing.assert_array_equal(x_t, tiles(ask("forward"), 3)[2])
    np.testing.assert_array_equal(x_0, tiles(ask("forward"), 3)[0])
    np.testing.assert_array_equal(x_T, tiles(ask("forward", t="100"), 3)[2])


# ---- the chain against the jump --------------------------------------------------------------------------------


def test_the_walk_from_nothing_plus_the_shrunken_picture_is_the_walk_from_the_picture():
    checkpoint = sample.load("tiny-eps")
    s, x_0 = sample.schedule(checkpoint), views.picture(checkpoint, "")
    x = x_0.expand(forward.COPIES, -1, -1, -1)
    for t in range(1, 61):
        x = maths.q_step(x, t, device.noise(3, [forward.WALK_NOISE + t], (forward.COPIES, 1, 28, 28))[0], s)
    walked, noise = forward.walk(checkpoint.model.config, (1, 28, 28), 3).at(60, float("inf"))
    torch.testing.assert_close(s.alpha_bar[60].sqrt().float() * x_0 + noise, x, atol=1e-5, rtol=0)
    assert walked == 60


@pytest.mark.parametrize("t", ["1", "40", "90", "100"])
def test_the_chain_and_the_jump_have_the_moments_of_the_formula(t):
    n = arrived(t=t).numbers
    pixels, rest = 784, 1 - n["a"]**2
    for way in ("chain", "jump"):
        assert n[f"kept_{way}"] == pytest.approx(n["a"], abs=5 * (rest / forward.COPIES / (0.7 * pixels))**0.5 + 1e-6)
        assert n[f"variance_{way}"] == pytest.approx(rest, rel=5 * (2 / (forward.COPIES - 1) / pixels)**0.5)
    assert n["b_squared"] == pytest.approx(rest)
    assert np.abs(np.array(n["chain"]) - n["jump"]).max() < 0.15
    assert (arrived(t=t).picture != arrived(t=t, seed="8").picture).any(), "each seed walks its own way"


def test_a_chain_walked_in_slices_arrives_where_an_unbroken_one_does(monkeypatch):
    whole = arrived(t="90")
    forward._walks.clear()
    monkeypatch.setattr(forward, "WALK_SECONDS", -1.0)       # every frame stops as soon as it may
    seen = [ask("jump", t="90").numbers["walked"] for _ in range(3)]
    assert seen == sorted(set(seen)) and seen[-1] < 90
    np.testing.assert_array_equal(arrived(t="90").picture, whole.picture)
    assert arrived(t="31").numbers["walked"] == 31, "and back again"


def test_few_walks_are_kept():
    for seed in range(forward.WALKS + 3):
        arrived(t="100", seed=str(seed))
    assert len(forward._walks) == forward.WALKS
    assert all(len(each.kept) <= 2 * forward.WALK_STOPS + 1 for each in forward._walks.values())


# ---- the designer ----------------------------------------------------------------------------------------------


def test_the_designers_numbers_are_the_schedules():
    n = ask("design", schedule="linear").numbers
    assert n["snr_T"] == pytest.approx(-43.9, abs=0.05), "FORMULAS, section 3"
    s = maths.schedule("linear", 1000)
    assert s.alpha_bar[n["crossing"]] < 0.5 <= s.alpha_bar[n["crossing"] - 1]
    assert n["beta_chosen"] == n["beta_linear"] and n["u"][-1] == 1 and len(n["u"]) == forward.POINTS
    cosine = ask("design", schedule="cosine").numbers
    assert cosine["alpha_bar_linear"] == n["alpha_bar_linear"] and cosine["alpha_bar_chosen"] == cosine["alpha_bar_cosine"]


@pytest.mark.parametrize("T", [2, 3, 1000, 4000])
def test_each_row_of_the_designer_is_its_schedule_at_equal_times(T):
    rows = tiles(ask("design", T=str(T)), 3 * forward.TILES)
    x_0, eps = views.picture(sample.load("tiny"), ""), device.noise(7, [0], (1, 28, 28))
    for row, name in enumerate(("linear", "cosine", "sigmoid")):
        for i in (0, 3, 7):
            t = max(1, round((i + 1) * T / 8))
            x_t = maths.q_sample(x_0, t, eps, maths.schedule(name, T))
            assert np.abs(rows[8 * row + i].astype(int) - views.shown(x_t[0])).max() <= 1


def test_dragging_T_keeps_no_schedule():
    before = maths.schedule.cache_info().currsize
    for T in range(200, 260):
        ask("design", T=str(T))
    assert maths.schedule.cache_info().currsize <= before + 1, "the model's own"


# ---- a picture of one's own ------------------------------------------------------------------------------------


def upload(tmp_path, picture, name="tiny"):
    file = tmp_path / "mine.png"
    picture.save(file)
    return forward._uploaded(name, str(file)), file


def test_an_uploaded_picture_becomes_the_shared_one_and_its_file_is_gone(tmp_path):
    colour = np.zeros((60, 90, 3), np.uint8)
    colour[:, 45:] = [255, 0, 0]
    text, file = upload(tmp_path, Image.fromarray(colour))
    assert not file.exists()
    grey = images.unpack_picture(text, 1, 28)
    assert grey[:, :12].max() == 0 and set(grey[:, 17:].ravel()) == {76}, "luma of red: 0.299 * 255"
    text, _ = upload(tmp_path, Image.fromarray(colour), "tiny-colour")
    assert tuple(images.unpack_picture(text, 3, 32)[5, 30]) == (255, 0, 0)
    assert views.restore_source(text) == [text]
    assert executor.run(forward.forward_frame, {**ASK, "checkpoint": "tiny-colour", "x": text}).picture.shape == (32, 96, 3)


def test_what_is_no_picture_is_refused_and_its_file_is_gone_too(tmp_path):
    file = tmp_path / "mine.png"
    file.write_bytes(b"<svg onload=alert(1)>")
    with pytest.raises(PlaygroundError, match="cannot be read as a PNG"):
        forward._uploaded("tiny", str(file))
    assert not file.exists()


def test_a_picture_of_another_models_size_is_refused_in_one_sentence(tmp_path):
    text, _ = upload(tmp_path, Image.new("RGB", (40, 40)), "tiny-colour")
    with pytest.raises(PlaygroundError, match="does not fit the model"):
        ask("forward", x=text)


def test_an_example_is_a_drawing_of_its_digit():
    ink = images.unpack_drawing(forward._example(1))
    assert ink[:, 20:40].sum() > 0.9 * ink.sum() > 0


def test_a_models_own_sample_is_drawn_once(monkeypatch):
    drawn = []
    grid = sample.grid
    monkeypatch.setattr(sample, "grid", lambda *a: drawn.append(a) or grid(*a))
    views._own.clear()
    for t in ("10", "20", "30"):
        ask("forward", x="s3", t=t)
    assert len(drawn) == 1
    for number in range(views.OWN_KEPT + 2):
        ask("chain", x=f"s{number}")
    assert len(views._own[sample.load("tiny").model]) <= views.OWN_KEPT


def test_the_endpoint_answers_as_the_view_does_and_refuses_as_it_does():
    frame, answer = ask("forward"), forward.diffusion_noise("tiny", "", 7, 40)
    assert answer["picture"] == live.data_uri(frame.picture) and answer["alpha_bar"] == frame.numbers["alpha_bar"]
    for wrong in (("tiny", [1], 7, 40), ("tiny", {"a": 1}, 7, 40), ("tiny", "", 7, 0), ("tiny", "", None, 40), (None, "", 7, 40), ("tiny", "", 7, True)):
        with pytest.raises(PlaygroundError):
            forward.diffusion_noise(*wrong)
