"""What the tab's views answer: the debugger, its branches and film, guidance, three samplers, repair. Values come from anywhere."""

import io
import itertools
import time
from collections import OrderedDict

import numpy as np
import pytest
import torch

from playground.core import images
from playground.core.device import executor
from playground.core.errors import PlaygroundError
from playground.diffusion import maths, sample, tab, views
from playground.diffusion.views import guidance, repair, reverse, samplers

pytestmark = pytest.mark.usefixtures("tiny")

ASK = {"checkpoint": "tiny", "seed": "1", "y": "3", "sampler": "ddim", "steps": "10", "eta": "0", "guidance": "free", "scale": "1", "trunk": "", "hold": ""}
FRAMES = {
    "grid": tab.grid_frame, "reverse": reverse.reverse_frame, "film": reverse.film_frame, "tree": reverse.tree_frame,
    "guided": guidance.guided_frame, "scales": guidance.scales_frame, "samplers": samplers.samplers_frame,
    "scribble": repair.scribble_frame, "fill": repair.fill_frame,
}


@pytest.fixture(autouse=True)
def no_films(monkeypatch):
    monkeypatch.setattr(sample, "_films", OrderedDict())
    with torch.no_grad():
        yield


def last(frame, query):
    """The frame of a query when there is no more to come."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = executor.run(frame, query)
        if not found.numbers.get("more"):
            return found
    pytest.fail("more, for ever")


def tiles(frame, n):
    return np.split(frame.picture, n, axis=1)


# ---- hostile queries -------------------------------------------------------------------------------------------

HOSTILE = {
    "seed": ["-1", "nan", "x", "1e99"], "y": ["10", "-1", "x", "None"], "steps": ["0", "101", "nan", "1e9", "2.5"], "eta": ["-0.1", "2", "nan", "x"],
    "scale": ["1e9", "-1", "nan", "inf"], "sampler": ["euler", ""], "guidance": ["none", ""], "trunk": ["x", "1,2", ";" * 9_999], "hold": ["0", "101", "x"],
    "k": ["x", "-2", "nan", "1e9"], "kept": ["x", "1,2|"], "checkpoint": ["nowhere", "../x", "tiny-guide", ""], "pair": ["ddim", "a,b", "ddim,ddim,x"],
    "wipe": ["2", "nan"], "strength": ["0", "2", "nan"], "x": ["x", "p!!", "s-1", "p" * 99, "A" * 523, "s9e9"], "hole": ["x", "!" * 523],
}
READS = {
    "grid": ("checkpoint", "seed", "y"),
    "reverse": ("checkpoint", "seed", "y", "steps", "eta", "scale", "sampler", "guidance", "trunk", "hold", "k"),
    "film": ("checkpoint", "seed", "steps", "scale", "trunk"), "tree": ("checkpoint", "steps", "kept", "hold"),
    "guided": ("checkpoint", "seed", "y", "scale", "k"), "scales": ("checkpoint", "seed", "y"), "samplers": ("checkpoint", "seed", "y", "steps", "pair", "wipe"),
    "scribble": ("checkpoint", "seed", "y", "x", "strength"), "fill": ("checkpoint", "seed", "y", "x", "hole"),
}


@pytest.mark.parametrize("name, key, value", [(name, key, value) for name, keys in READS.items() for key in keys for value in HOSTILE[key]
                                              if not (name in ("samplers", "guided") and (key, value) == ("hold", "0"))])
def test_what_cannot_be_is_refused_in_one_sentence(name, key, value):
    with pytest.raises(PlaygroundError) as refused:
        FRAMES[name]({**ASK, key: value})
    for language in ("en", "zh"):
        assert "\n" not in refused.value.sentence(language) and "{" not in refused.value.sentence(language)


@pytest.mark.parametrize("name", FRAMES)
def test_a_bare_query_has_an_answer(name):
    frame = FRAMES[name]({"checkpoint": "tiny"})
    assert frame.picture.dtype == np.uint8 and frame.picture.shape[0] == 28 and frame.picture.shape[1] % 28 == 0


def test_a_model_of_colours_without_a_judge_or_a_guide_still_plays():
    assert reverse.reverse_frame({"checkpoint": "tiny-colour"}).picture.shape == (32, 5 * 32, 3)
    assert reverse.film_frame({"checkpoint": "tiny-colour"}).numbers["judged"] is None
    with pytest.raises(PlaygroundError, match="No classifier"):
        guidance.guided_frame({"checkpoint": "tiny-colour"})


# ---- the debugger ----------------------------------------------------------------------------------------------


def test_the_frame_of_a_step_is_that_step():
    found = last(reverse.reverse_frame, {**ASK, "k": "4"})
    film = sample.film(sample.load("tiny"), (sample.Leg(100, sample.Choice(1, 3, steps=10)),))
    step = film.step(4)
    for tile, x in zip(tiles(found, 5)[2:], (step.x_0, step.mean, step.x_prev)):
        np.testing.assert_array_equal(tile, images.to_rgb(maths.picture(x[0])))
    n = found.numbers
    assert (n["k"], n["total"], n["t"], n["t_prev"]) == (4, 10, 60, 50)
    torch.testing.assert_close(n["a"] * step.aim + n["b"] * step.x_t, step.mean)
    s = maths.schedule("cosine", 100)
    assert n["beta"] == pytest.approx(1 - (s.alpha_bar[60] / s.alpha_bar[50]).item())
    assert n["beta_tilde"] == pytest.approx(n["beta"] * ((1 - s.alpha_bar[50]) / (1 - s.alpha_bar[60])).item())


@pytest.mark.parametrize("eta", [0, 0.7])
def test_the_numbers_in_ddim_s_formula_make_its_mean(eta):
    n = last(reverse.reverse_frame, {**ASK, "k": "4", "eta": str(eta)}).numbers
    step = sample.film(sample.load("tiny"), (sample.Leg(100, sample.Choice(1, 3, steps=10, eta=eta)),)).step(4)
    s = maths.schedule("cosine", 100)
    eps = (step.x_t - s.alpha_bar[60].sqrt() * step.aim) / (1 - s.alpha_bar[60]).sqrt()
    torch.testing.assert_close(n["signal_prev"] * step.aim + n["noise_prev"] * eps, step.mean, atol=1e-5, rtol=1e-5)
    assert n["sigma_ddim"] == pytest.approx(step.sigma, abs=1e-6) and n["signal_prev"] ** 2 + n["noise_prev"] ** 2 + n["sigma_ddim"] ** 2 == pytest.approx(1)
    end = last(reverse.reverse_frame, {**ASK, "k": "9", "eta": str(eta)}).numbers
    assert (end["signal_prev"], end["noise_prev"], end["sigma_ddim"]) == pytest.approx((1, 0, 0), abs=1e-6)


def test_a_film_streams_until_the_step_that_was_asked_for(monkeypatch):
    monkeypatch.setattr(sample, "watch", lambda film: film.advance(0))       # one step a look
    seen = [reverse.reverse_frame({**ASK, "k": "-1"}).numbers for _ in range(12)]
    assert [n["k"] for n in seen[:3]] == [1, 2, 3] and seen[-1]["k"] == 9
    assert [n["more"] for n in seen] == [n["k"] < 9 for n in seen]


def test_going_back_recomputes_nothing():
    last(reverse.reverse_frame, {**ASK, "k": "-1"})
    [film] = sample._films.values()
    calls = film.calls
    for k in range(9, -1, -1):
        assert reverse.reverse_frame({**ASK, "k": str(k)}).numbers["k"] == k
    assert film.calls == calls == 10 and len(sample._films) == 1


def test_a_branch_keeps_the_past_and_takes_the_controls_for_the_rest():
    values = [ASK[name] for name in ("checkpoint", "seed", "y", "sampler", "steps", "eta", "guidance", "scale", "trunk", "hold")]
    last(reverse.reverse_frame, {**ASK, "k": "-1"})
    trunk, hold, kept, k = reverse._branch(*values, 4, "")
    assert (hold, k) == ("60", -1) and sample.read(trunk, 100) == (sample.Leg(100, sample.Choice(1, 3, steps=10)),) and kept == trunk
    changed = {**ASK, "trunk": trunk, "hold": hold, "kept": kept, "y": "8", "scale": "4"}
    after = last(reverse.reverse_frame, {**changed, "k": "-1"})
    past = [reverse.reverse_frame({**ASK, "k": str(i)}).picture for i in range(4)]
    for i, picture in enumerate(past):
        np.testing.assert_array_equal(picture, reverse.reverse_frame({**changed, "k": str(i)}).picture)
    assert np.abs(after.picture.astype(int) - last(reverse.reverse_frame, {**ASK, "k": "-1"}).picture).max() > 5

    tree = last(reverse.tree_frame, changed).numbers
    assert tree["branches"] == [[-1, 0.0, False], [0, pytest.approx(0.4), True]]
    assert tree["apart"] > 0 and tree["start"] == 60 and "DDIM 10 · 8 ×4" in tree["name1"]

    back = reverse._take(*[changed[name] for name in ("checkpoint", "seed", "y", "sampler", "steps", "eta", "guidance", "scale", "trunk", "hold")], kept, 0)
    assert back == [1, "3", "ddim", 10, 0.0, "free", 1.0, "", ""]


def test_branches_have_an_end_and_say_so():
    leg = sample.written((sample.Leg(100, sample.Choice(1, steps=10)),))
    with pytest.raises(PlaygroundError):
        reverse.reverse_frame({**ASK, "trunk": ";".join([leg] * sample.LEGS), "hold": "50"})


def test_a_picture_of_the_film_leads_to_its_step():
    values = [ASK[name] for name in ("checkpoint", "seed", "y", "sampler", "steps", "eta", "guidance", "scale", "trunk", "hold")]
    picks = last(reverse.film_frame, ASK).numbers["picks"]
    assert [reverse._jump(*values, i) for i in range(2 * reverse.FILM)] == picks * 2
    for bad in (-1, 24, None, "x"):
        with pytest.raises(PlaygroundError):
            reverse._jump(*values, bad)


@pytest.mark.parametrize("p, expected", [([0.1, 0.95, 0.2, 0.95, 0.99], 3), ([0.95] * 5, 0), ([0.1] * 5, None)])
def test_a_class_is_settled_where_it_is_sure_from_there_on(p, expected, monkeypatch):
    from playground.core import classifier

    film = last_film()
    film.checkpoint = type("C", (), {"config": {"dataset": "mnist"}})()
    rows = torch.full((5, 10), 0.0)
    rows[:, 2] = torch.tensor(p)
    rows[4, 2] = max(p[4], 0.5)
    monkeypatch.setattr(classifier, "probabilities", lambda x: rows)
    found = reverse._settled(film, [0, 2, 4, 6, 8])
    assert found["judged"] == 2 and found["settled"] == (None if expected is None else film.times[[0, 2, 4, 6, 8][expected]])


def last_film():
    last(reverse.reverse_frame, {**ASK, "k": "-1"})
    return next(iter(sample._films.values()))


# ---- guidance, samplers, repair --------------------------------------------------------------------------------


def test_the_push_of_guidance_is_the_guided_noise_less_the_free_one_and_grows_with_its_scale():
    found = [last(guidance.guided_frame, {**ASK, "scale": scale, "k": "0"}).numbers for scale in ("0", "1", "4")]
    for kind in guidance.KINDS:
        ratios = [n[f"ratio_{kind}"] for n in found]
        assert ratios[0] == 0 and ratios[2] == pytest.approx(4 * ratios[1], rel=1e-3)      # step 0: all at the same x_T
    checkpoint = sample.load("tiny")
    x, s = sample.start_noise(checkpoint, 1), sample.schedule(checkpoint)
    gradient = maths.class_gradient(sample.guide(checkpoint).model, x, 100, torch.tensor([3]))
    free = sample.guided(checkpoint, x, 100, None, "free", 0).eps
    assert found[1]["ratio_classifier"] == pytest.approx((((1 - s.alpha_bar[100]).sqrt() * gradient).norm() / free.norm()).item(), rel=1e-4)


def test_with_a_greater_scale_the_guide_is_surer():
    found = last(guidance.scales_frame, ASK).numbers
    sure = [found[f"guide_classifier_{scale}"] for scale in guidance.SCALES]
    assert sure[-1] > sure[0] and all(len(found[f"p_free_{scale}"]) == 20 for scale in guidance.SCALES)


def test_at_scale_nothing_the_class_changes_nothing():
    pictures = [tiles(last(guidance.scales_frame, {**ASK, "y": y}), 10)[0] for y in ("2", "7")]
    np.testing.assert_array_equal(*pictures)


def test_samplers_start_from_one_noise_and_say_what_they_cost():
    found = last(samplers.samplers_frame, {**ASK, "steps": "8"})
    n = found.numbers
    assert [n[f"calls_{name}"] for name in samplers.SAMPLERS] == [8, 8, 8] and all(n[f"seconds_{name}"] > 0 for name in samplers.SAMPLERS)
    first = [tiles(found, 26)[i * samplers.FILM] for i in range(3)]
    np.testing.assert_array_equal(first[1], first[2])         # the same network at the same x_T: the same first prediction
    np.testing.assert_array_equal(first[0], first[1])
    assert n["change_ddpm"] is None and n["change_ddim"] > 0 and n["change_dpm-solver"] > 0


@pytest.mark.parametrize("wipe, column", [("0", 0), ("0.5", 14), ("1", 28)])
def test_the_wipe_shows_one_to_its_left_and_the_other_to_its_right(wipe, column):
    wiped = tiles(last(samplers.samplers_frame, {**ASK, "wipe": wipe}), 26)[24]
    left, right = (tiles(last(samplers.samplers_frame, {**ASK, "wipe": side}), 26)[24] for side in ("1", "0"))
    np.testing.assert_array_equal(wiped, np.concatenate([left[:, :column], right[:, column:]], axis=1))


def test_a_scribble_is_kept_the_more_the_weaker_the_start():
    moved = [repair.scribble_frame({**ASK, "strength": strength}).numbers["moved"] for strength in ("0.05", "0.5", "1")]
    assert moved == sorted(moved) and moved[0] < 0.2 * moved[2]


def test_outside_the_hole_the_picture_stays_as_it_is():
    found = repair.fill_frame(ASK)
    known, *filled = tiles(found, 5)
    for each in filled:
        np.testing.assert_array_equal(each[:14], known[:14])  # the lower half is hidden
    assert found.numbers["hidden"] == 0.5 and found.numbers["known"] < 1e-4
    assert np.abs(filled[0].astype(int) - filled[1]).max() > 5, "each way is another"


def test_a_drawn_hole_is_where_it_was_drawn():
    ink = np.zeros((56, 56), bool)
    ink[:28, 28:] = True
    hole = repair._hole(images.pack_drawing(ink), 28)
    assert hole[0, 0, :14, 14:].all() and hole.sum() == 14 * 14


# ---- the shared picture and the grid ---------------------------------------------------------------------------


def test_a_picture_comes_from_a_drawing_from_pixels_or_from_the_model_itself():
    checkpoint = sample.load("tiny")
    ink = np.zeros((56, 56), bool)
    ink[10:40, 25:32] = True
    drawn = views.picture(checkpoint, images.pack_drawing(ink))
    assert drawn.shape == (1, 1, 28, 28) and drawn.min() == -1 and drawn.max() > 0.9
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    np.testing.assert_array_equal(images.to_uint8((views.picture(checkpoint, images.pack_picture(pixels))[0] + 1) / 2), pixels)
    torch.testing.assert_close(views.picture(checkpoint, "s13"), 2 * sample.grid(checkpoint, [13], 3) - 1)
    colour = sample.load("tiny-colour")
    assert views.picture(colour, "").shape == (1, 3, 32, 32)
    with pytest.raises(PlaygroundError, match="does not fit"):
        views.picture(colour, images.pack_picture(pixels))


def test_a_picture_of_the_grid_leads_to_its_seed_and_class():
    assert tab._picked("tiny", 5, "any", 12) == [17, "2"]
    assert tab._picked("tiny", 5, "7", 12) == [17, "7"]
    for seed, index in itertools.product([5, None], [16, -1, "x"]):
        with pytest.raises(PlaygroundError):
            tab._picked("tiny", seed, "any", index)


def test_a_program_gets_the_pictures_of_its_seeds():
    from PIL import Image
    import base64

    found = tab.diffusion_sample("tiny", 4, "2", 3)
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(found["picture"].split(",")[1]))))
    expected = sample.grid(sample.load("tiny"), [4, 5, 6], 2)
    np.testing.assert_array_equal(picture, np.concatenate([images.to_rgb(x) for x in expected], axis=1))
    for n in (0, 17, "x", None):
        with pytest.raises(PlaygroundError):
            tab.diffusion_sample("tiny", 4, "2", n)
