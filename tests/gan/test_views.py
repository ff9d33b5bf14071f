"""The tab's frames against the models used by hand: the grid, the plane of seeds, walks, directions, the quiz, nearest pictures."""

import dataclasses
import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch

from playground.core import checkpoints, classifier, datasets, images
from playground.core.errors import PlaygroundError
from playground.core.inputs import SEED_MAX
from playground.gan import config, maths, sample
from playground.gan import views
from playground.gan.views import directions, grid, nearest, quiz, seeds, walk

NAME = "tiny-mnist"
ZERO = "0,0,0,0,0,0"


@pytest.fixture(autouse=True)
def models(tiny):
    """The checkpoints of conftest, where gradients are off as on the inference executor."""
    with torch.no_grad():
        yield


def tile(frame, i, size=28):
    """Tile i of a frame as uint8 (size, size) or (size, size, 3)."""
    return frame.picture[:, size * i:size * (i + 1)].astype(int)


def close(a, b):
    return np.abs(np.asarray(a).astype(int) - b).max() <= 1


def pictures(name, *numbers, psi=1.0):
    checkpoint = sample.load(name)
    return sample.draw(checkpoint, psi * sample.latents(checkpoint, numbers))


# ---- the grid --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, size", [(NAME, 28), ("tiny-colour", 32)])
def test_the_grid_holds_the_pictures_of_its_seeds_and_d_s_answers(name, size):
    frame = grid.grid_frame({"checkpoint": name, "seed": "10", "psi": "0.8"})
    for i in (0, 7, 63):
        [x] = pictures(name, 10 + i, psi=0.8)
        assert frame.numbers[f"seed{i}"] == 10 + i and close(tile(frame, i, size), images.to_uint8(x))
        said = sample.opinion(sample.load(name), x[None]).item()
        assert abs(float(frame.numbers[f"d{i}"].replace("−", "-")) - said) < 0.006
    assert grid.grid_frame({"checkpoint": name, "seed": str(SEED_MAX), "psi": "1"}).numbers["seed1"] == 0


def test_the_chosen_picture_stands_beside_a_real_one_with_the_terms_of_the_game():
    frame = grid.pair_frame({"checkpoint": NAME, "chosen": "12", "psi": "1"})
    checkpoint, real = sample.load(NAME), datasets.load("glyphs", "test").images[12]
    [fake] = pictures(NAME, 12)
    assert close(tile(frame, 0)[..., 0], images.to_uint8(fake)) and np.array_equal(tile(frame, 1)[..., 0], real[0])
    d_fake, d_real = (checkpoint.model.discriminator(2 * x[None] - 1).sigmoid().item() for x in (fake, real / 255))
    assert frame.numbers["fake"] == pytest.approx(d_fake, rel=1e-3) and frame.numbers["real"] == pytest.approx(d_real, rel=1e-3)
    assert frame.numbers["value"] == pytest.approx(math.log(d_real) + math.log(1 - d_fake), rel=1e-3)
    assert frame.numbers["z"] == pytest.approx(sample.latents(checkpoint, [12])[0].tolist()) and frame.numbers["typical"] == pytest.approx(8**0.5)


def test_where_d_is_no_probability_the_game_has_no_such_value():
    shown = grid.pair_frame({"checkpoint": "tiny-critic", "chosen": "3", "psi": "1"}).numbers
    assert shown["value"] is None is shown["log_real"] and math.isfinite(shown["fake"]) and math.isfinite(shown["real"])


def test_without_the_data_set_the_copies_of_another_model_stand_for_it_and_say_so_or_the_fake_stands_alone(monkeypatch):
    monkeypatch.setattr(datasets, "present", lambda name: False)
    query, copies = {"checkpoint": NAME, "chosen": "3", "psi": "1"}, torch.rand(5, 1, 28, 28)
    frame = grid.pair_frame(query, partial(views.real_pictures, lent=lambda: ("glyphs", copies)))
    assert frame.numbers["copies"] and frame.numbers["real"] is not None and close(tile(frame, 1)[..., 0], images.to_uint8(copies[3]))
    shown = quiz.quiz_frame({**QUIZ, "deal": "2"}, partial(views.real_pictures, lent=lambda: ("glyphs", copies))).numbers
    assert shown["copies"]
    for lent in (None, lambda: ("mnist", copies), lambda: ("glyphs", torch.rand(5, 3, 32, 32))):
        frame = grid.pair_frame(query, partial(views.real_pictures, lent=lent))
        assert frame.numbers["real"] is None and not frame.numbers["copies"] and tile(frame, 1).max() == 0 < tile(frame, 0).max()


def test_truncation_trades_variety_and_its_curves_are_those_of_the_pictures():
    frame = grid.truncation_frame({"checkpoint": NAME, "seed": "0", "psi": "0.5"})
    shown = frame.numbers
    x = pictures(NAME, *range(grid.MEASURED), psi=0.5)
    assert shown["variety"] == pytest.approx(maths.pairwise(x).item(), rel=1e-4)
    assert shown["sure"] == f"{100 * classifier.probabilities(x).amax(1).mean().item():.0f} %"
    at = dict(zip(shown["psis"], shown["varieties"]))
    assert at[0.0] < 1e-3 < at[0.5] < at[1.0] and at[0.5] == pytest.approx(shown["variety"], rel=1e-4)
    assert len(shown["sures"]) == grid.POINTS
    assert grid.truncation_frame({"checkpoint": "tiny-colour", "seed": "0", "psi": "1"}).numbers["sure"] is None


def test_the_card_s_figures_are_shown_with_their_errors(monkeypatch):
    whole = sample.load(NAME)
    metrics = {"frechet": 1.25, "frechet_stderr": 0.02, "training_images_frechet": 0.3, "training_images_frechet_std": 0.01, "parzen": 220.5}
    monkeypatch.setattr(sample, "load", lambda name: dataclasses.replace(whole, config={**whole.config, "metrics": metrics}))
    shown = grid.card_frame({"checkpoint": NAME}).numbers
    assert shown["frechet"] == "1.25 ± 0.02" and shown["training_images_frechet"] == "0.3 ± 0.01" and shown["parzen"] == "220.5" and shown["recall"] == ""


def test_programs_get_the_pictures_of_the_page():
    told = grid.gan_sample(NAME, 5, 3, 1)
    assert told["seeds"] == [5, 6, 7] and len(told["scores"]) == 3 and all(0 <= score <= 1 for score in told["scores"])
    assert told["picture"] == grid.live.data_uri(images.strip(pictures(NAME, 5, 6, 7)))


# ---- the plane of seeds ----------------------------------------------------------------------------------------


def test_at_a_whole_place_the_blend_is_that_seed_s_own_picture():
    for x, y, number in ((7, 2, 2_007), (0, 0, 0), (1000, 1000, 0), (999, 5, 5_999)):
        frame = seeds.blend_frame({"checkpoint": NAME, "place": f"{x},{y}"})
        assert close(frame.picture, images.to_uint8(pictures(NAME, number)[0])) and frame.numbers["seed0"] == number


def test_between_four_seeds_the_weights_are_bilinear_and_keep_the_norm():
    frame = seeds.blend_frame({"checkpoint": NAME, "place": "3.25,4.5"})
    w = np.array([0.75 * 0.5, 0.25 * 0.5, 0.75 * 0.5, 0.25 * 0.5])
    w = w / np.sqrt((w**2).sum())
    z = sum(float(each) * sample.latents(sample.load(NAME), [number])[0] for each, number in zip(w, (4_003, 4_004, 5_003, 5_004)))
    assert [frame.numbers[f"w{k}"] for k in range(4)] == pytest.approx(w.tolist()) and [frame.numbers[f"seed{k}"] for k in range(4)] == [4_003, 4_004, 5_003, 5_004]
    assert close(frame.picture, images.to_uint8(sample.draw(sample.load(NAME), z[None])[0])) and frame.numbers["norm"] == pytest.approx(z.norm().item(), rel=1e-4)


def test_beyond_the_last_seed_of_a_row_comes_its_first():
    frame = seeds.blend_frame({"checkpoint": NAME, "place": "999.5,999.5"})
    assert [frame.numbers[f"seed{k}"] for k in range(4)] == [999_999, 999_000, 999, 0]


@pytest.mark.parametrize("name, size", [(NAME, 28), ("tiny-colour", 32)])
def test_the_map_shows_whole_seeds_where_they_are(name, size):
    cell = size + seeds.GAP
    frame = seeds.map_frame({"checkpoint": name, "place": "20,30"})
    assert frame.picture.shape[:2] == (4 * cell, 4 * cell)
    top = 2 * cell - cell // 2 + seeds.GAP // 2               # the place's own seed is in the middle
    middle = frame.picture[top:top + size, top:top + size]
    assert close(middle, images.to_uint8(pictures(name, 30_020)[0]))
    above = frame.picture[top - cell:top - cell + size, top:top + size]
    assert close(above, images.to_uint8(pictures(name, 31_020)[0])), "y is upwards"
    moved = seeds.map_frame({"checkpoint": name, "place": "20.5,30"}).picture
    assert np.array_equal(moved[:, :-cell // 2], frame.picture[:, cell // 2:]), "half a seed to the right is half a cell of the map to the left"


def test_programs_blend_too():
    told = seeds.gan_blend(NAME, [7, 2])
    assert told["seeds"][0] == 2_007 and told["weights"] == pytest.approx([1, 0, 0, 0]) and 0 <= told["score"] <= 1


# ---- the walk --------------------------------------------------------------------------------------------------


def test_a_walk_goes_from_one_marked_seed_to_the_other_on_both_paths():
    frame = walk.walk_frame({"checkpoint": NAME, "seed": "0", "a": "4", "b": "9"})
    a, b = pictures(NAME, 4, 9)
    for i, x in ((0, a), (10, b), (11, a), (21, b)):
        assert close(tile(frame, i), images.to_uint8(x))
    z = sample.latents(sample.load(NAME), [4, 9])
    assert close(tile(frame, 5), images.to_uint8(sample.draw(sample.load(NAME), z.mean(0, keepdim=True))[0]))
    assert frame.numbers["norm_straight"][5] == pytest.approx(z.mean(0).norm().item(), rel=1e-4) and frame.numbers["least_round"] >= z.norm(dim=1).min().item() - 1e-3
    assert frame.numbers["angle"] == pytest.approx(math.degrees(math.acos(torch.cosine_similarity(*z, dim=0).item())), rel=1e-4)
    assert len(frame.film) == walk.WALK and frame.film[0].shape == (28, 56)


def test_unmarked_ends_are_the_grid_s_first_two():
    shown = walk.walk_frame({"checkpoint": NAME, "seed": str(SEED_MAX), "a": "", "b": ""}).numbers
    assert (shown["a"], shown["b"]) == (SEED_MAX, 0)


# ---- directions ------------------------------------------------------------------------------------------------


def test_a_slider_moves_the_code_along_its_direction():
    frame = directions.directions_frame({"checkpoint": NAME, "chosen": "6", "along": "0,1.5,0,0,0,-1"})
    checkpoint = sample.load(NAME)
    _, _, Vh = torch.linalg.svd(checkpoint.model.generator.first.weight)
    W = checkpoint.model.generator.first.weight
    signed = lambda k: Vh[k] * (1 if (W @ Vh[k]).sum() >= 0 else -1)              # noqa: E731
    z = sample.latents(checkpoint, [6])[0]
    after = z + 1.5 * signed(1) - signed(5)
    assert close(tile(frame, 0)[..., 0], images.to_uint8(pictures(NAME, 6)[0]))
    assert np.abs(tile(frame, 1)[..., 0] - images.to_uint8(sample.draw(checkpoint, after[None])[0]).astype(int)).max() <= 2
    assert frame.numbers["norm"] == pytest.approx(after.norm().item(), rel=1e-3) and sum(frame.numbers["shares"]) == pytest.approx(1, abs=1e-3)


def test_the_strip_under_a_slider_is_what_its_values_would_give():
    frame = directions.strips_frame({"checkpoint": NAME, "chosen": "6", "along": "0,1,0,0,0,0"})
    for k, value, along in ((0, 2.0, "2,1,0,0,0,0"), (1, -2.0, "0,-2,0,0,0,0"), (5, 0.0, "0,1,0,0,0,0")):
        alone = directions.directions_frame({"checkpoint": NAME, "chosen": "6", "along": along})
        assert close(tile(frame, 5 * k + directions.THUMBS.index(value)), tile(alone, 1)[..., 0])


def test_programs_move_along_directions_too():
    told = directions.gan_directions(NAME, 6, [1])
    assert told["explained"][0] >= told["explained"][1] and told["picture"].startswith("data:image/png;base64,")


# ---- the quiz --------------------------------------------------------------------------------------------------

QUIZ = {"checkpoint": NAME, "moment": "6", "deal": "3", "answers": "-" * 20, "shown": "0", "scores": ",,,,,"}


def test_cards_are_real_by_the_toss_of_a_coin_and_held_out():
    reals = [quiz.dealt(sample.load(NAME), 6, deal, views.real_pictures(sample.load(NAME))).real for deal in range(60)]
    share = torch.cat(reals).float().mean().item()
    assert 0.42 < share < 0.58 and len({int(real.sum()) for real in reals}) > 4, "counting gives nothing away"
    found = quiz.dealt(sample.load(NAME), 6, 3, views.real_pictures(sample.load(NAME)))
    held_out = datasets.load("glyphs", "test").images.float() / 255
    for picture, real in zip(found.pictures, found.real):
        assert bool((held_out == picture).flatten(1).all(1).any()) == bool(real)


def test_a_deal_is_the_same_each_time_and_another_at_another_moment():
    a, b = (quiz.quiz_frame(QUIZ) for _ in range(2))
    assert np.array_equal(a.picture, b.picture)
    assert not np.array_equal(a.picture, quiz.quiz_frame({**QUIZ, "deal": "4"}).picture)
    assert not np.array_equal(a.picture, quiz.quiz_frame({**QUIZ, "moment": "1"}).picture)


def test_nothing_is_given_away_before_d_is_asked():
    shown = quiz.quiz_frame({**QUIZ, "answers": "r" + "f" + "-" * 18}).numbers
    assert (shown["real0"], shown["fake0"], shown["open0"]) == ("1", "", "") and (shown["real1"], shown["fake1"]) == ("", "1") and shown["open2"] == "1"
    assert not any(shown[f"{key}{i}"] for key in ("is_real", "is_fake", "mark", "d") for i in range(20)) and shown["d_accuracy"] is shown["your_accuracy"] is None


def test_once_asked_both_are_judged_by_what_the_cards_are():
    found = quiz.dealt(sample.load(NAME), 2, 3, views.real_pictures(sample.load(NAME)))
    answers = "".join("r" if i % 3 else "f" for i in range(19)) + "-"
    shown = quiz.quiz_frame({**QUIZ, "moment": "2", "answers": answers, "shown": "1"}).numbers
    real, said = found.real.tolist(), [answer == "r" for answer in answers]
    right = [a == b for a, b in zip(real[:19], said)]
    assert shown["your_accuracy"] == f"{100 * sum(right) / 19:.0f} %"
    known = [s for r, s in zip(real[:19], said) if r]
    assert shown["your_sensitivity"] == f"{100 * sum(known) / len(known):.0f} %"
    assert shown["mark0"] == ("✓" if right[0] else "✗") and shown["mark19"] == "" and (shown["is_real4"] == "1") == real[4]
    with_d = sample.taken_for_real(sample.moments(sample.load(NAME))[1].checkpoint, found.pictures).tolist()
    assert shown["d_accuracy"] == f"{100 * np.mean([a == b for a, b in zip(real, with_d)]):.0f} %" and shown["updates"] == sample.moments(sample.load(NAME))[1].step
    assert shown["value"] == pytest.approx(shown["log_real"] + shown["log_fake"], abs=1e-4) and shown["log_real"] < 0


def test_the_curve_is_d_s_accuracy_at_each_moment():
    checkpoint = sample.load(NAME)
    shown = quiz.quiz_frame({**QUIZ, "scores": "55,,,,,90"}).numbers
    assert shown["your_scores"] == [55, None, None, None, None, 90] and len(shown["d_scores"]) == config.SNAPSHOTS
    held_out = datasets.load("glyphs", "test").images[:quiz.MEASURED].float() / 255
    fakes = sample.images(NAME, quiz.MEASURED, 0)
    score = lambda x: checkpoint.model.discriminator(2 * x - 1)                   # noqa: E731
    assert shown["d_scores"][-1] == pytest.approx(50 * ((score(held_out) > 0).float().mean() + (score(fakes) <= 0).float().mean()).item(), abs=0.6)


def test_asking_shows_and_remembers_the_visitor_s_share():
    real = quiz.dealt(sample.load(NAME), 4, 0, views.real_pictures(sample.load(NAME))).real.tolist()
    perfect = "".join("r" if each else "f" for each in real)
    assert quiz._ask(NAME, 4, 0, perfect, ",,,,,") == [1, ",,,100,,"]
    assert quiz._ask(NAME, 4, 0, "".join("f" if each else "r" for each in real), "1,2,3,4,5,6") == [1, "1,2,3,0,5,6"]
    with pytest.raises(PlaygroundError, match="not said anything"):
        quiz._ask(NAME, 4, 0, "-" * 20, ",,,,,")


def test_a_critic_without_probabilities_plays_too():
    shown = quiz.quiz_frame({**QUIZ, "checkpoint": "tiny-critic", "shown": "1", "answers": "r" * 20}).numbers
    assert shown["value"] is None and shown["d_accuracy"].endswith("%")


@pytest.mark.parametrize("frame, query", [(quiz.quiz_frame, QUIZ), (nearest.nearest_frame, {"checkpoint": NAME, "chosen": "0"})])
def test_without_the_data_set_the_view_says_what_is_missing(frame, query, monkeypatch):
    monkeypatch.setattr(datasets, "present", lambda name: False)
    with pytest.raises(PlaygroundError, match="glyphs"):
        frame(query)


# ---- memory or invention ---------------------------------------------------------------------------------------


def test_the_nearest_pictures_are_those_of_the_training_set():
    frame = nearest.nearest_frame({"checkpoint": NAME, "chosen": "8"})
    known = datasets.load("glyphs").images
    [x] = pictures(NAME, 8)
    distance = (known.float() / 255 - x).square().flatten(1).mean(1).sqrt()
    best = distance.argsort()[:nearest.NEAREST]
    assert frame.numbers["rms0"] == pytest.approx(distance[best[0]].item(), rel=1e-3) and frame.numbers["known"] == len(known)
    assert close(tile(frame, 1)[..., 0], known[best[0], 0].numpy())
    assert frame.numbers["ratio"] == pytest.approx(frame.numbers["rms0"] / frame.numbers["usual"], rel=1e-4)


def test_what_is_usual_is_the_median_of_held_out_pictures(monkeypatch):
    monkeypatch.setattr(nearest, "MEASURED", 5)
    nearest.usual.cache_clear()
    known, held_out = datasets.load("glyphs").images.float() / 255, datasets.load("glyphs", "test").images[:5].float() / 255
    brute = [(known - x).square().flatten(1).mean(1).sqrt().min().item() for x in held_out]
    assert nearest.usual("glyphs") == pytest.approx(np.median(brute), rel=1e-3)
    nearest.usual.cache_clear()


# ---- what makes no sense ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("frame, query", [
    (grid.grid_frame, {"checkpoint": "nowhere", "seed": "0", "psi": "1"}), (grid.grid_frame, {"checkpoint": NAME, "seed": "-1", "psi": "1"}), (grid.grid_frame, {"checkpoint": NAME, "seed": "1e30", "psi": "1"}),
    (grid.grid_frame, {"checkpoint": NAME, "seed": "NaN", "psi": "1"}), (grid.grid_frame, {"checkpoint": NAME, "seed": "text", "psi": "1"}), (grid.grid_frame, {"checkpoint": NAME, "seed": "0", "psi": "3"}),
    (grid.grid_frame, {}), (grid.pair_frame, {"checkpoint": NAME, "psi": "1"}), (grid.truncation_frame, {"checkpoint": NAME, "seed": "0"}), (grid.card_frame, {}),
    (seeds.map_frame, {"checkpoint": NAME, "place": "1"}), (seeds.blend_frame, {"checkpoint": NAME, "place": "1001,0"}), (seeds.blend_frame, {"checkpoint": NAME, "place": "NaN,0"}), (seeds.blend_frame, {"checkpoint": NAME}),
    (walk.walk_frame, {"checkpoint": NAME, "seed": "0", "a": "-4"}), (walk.walk_frame, {"checkpoint": NAME, "a": "1", "b": "2"}),
    (directions.directions_frame, {"checkpoint": NAME, "chosen": "0", "along": "1"}), (directions.directions_frame, {"checkpoint": NAME, "chosen": "0", "along": "9,0,0,0,0,0"}), (directions.strips_frame, {"checkpoint": NAME, "along": ZERO}),
    (quiz.quiz_frame, {**QUIZ, "moment": "0"}), (quiz.quiz_frame, {**QUIZ, "moment": "7"}), (quiz.quiz_frame, {**QUIZ, "answers": "r"}), (quiz.quiz_frame, {**QUIZ, "answers": "<b>" * 7}), (quiz.quiz_frame, {**QUIZ, "deal": "-1"}),
    (quiz.quiz_frame, {**QUIZ, "shown": "2"}), (quiz.quiz_frame, {**QUIZ, "scores": "a,b,c,d,e,f"}), (quiz.quiz_frame, {key: value for key, value in QUIZ.items() if key != "scores"}),
    (nearest.nearest_frame, {"checkpoint": NAME, "chosen": "0.5"}),
], ids=itertools.count())
def test_what_makes_no_sense_is_refused_in_one_sentence(frame, query):
    with pytest.raises(PlaygroundError) as refused:
        frame(query)
    assert refused.value.sentence("en").endswith(".") and refused.value.sentence("zh")


@pytest.mark.parametrize("call", [
    lambda: grid.gan_sample(NAME, -1, 3, 1), lambda: grid.gan_sample(NAME, 0, 0, 1), lambda: grid.gan_sample(NAME, 0, 3, 9), lambda: grid.gan_sample("../x", 0, 3, 1), lambda: grid.gan_sample(NAME, 10**30, 3, 1),
    lambda: seeds.gan_blend(NAME, [1]), lambda: seeds.gan_blend(NAME, "1,2"), lambda: directions.gan_directions(NAME, 0, [math.nan]), lambda: directions.gan_directions(NAME, "x", [0]),
], ids=itertools.count())
def test_programs_are_refused_in_one_sentence_too(call):
    with pytest.raises(PlaygroundError):
        call()


def test_no_checkpoint_of_a_test_ships():
    assert all(not entry.shipped for entry in checkpoints.entries() if entry.name.startswith("tiny-"))
