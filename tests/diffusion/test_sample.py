"""What a trained diffusion model answers: the same picture for the same decisions, however and by whomever it is computed."""

import time
from collections import OrderedDict

import pytest
import torch

from playground.core.device import executor
from playground.core.errors import PlaygroundError
from playground.diffusion import maths, sample

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture(autouse=True)
def no_films(monkeypatch):
    monkeypatch.setattr(sample, "_films", OrderedDict())
    with torch.no_grad():
        yield


@pytest.fixture
def checkpoint(tiny):
    return sample.load("tiny")


def legs(*choices, starts=(100,)):
    return tuple(sample.Leg(start, choice) for start, choice in zip(starts, choices))


def complete(film):
    while film.reached < film.steps:
        film.advance(10)
    return film


# ---- loading ---------------------------------------------------------------------------------------------------


def test_a_classifier_is_no_model_to_sample_from_and_says_so(tiny):
    with pytest.raises(PlaygroundError, match="tiny-guide"):
        sample.load_unet("tiny-guide")
    with pytest.raises(PlaygroundError, match="tiny-guide"):
        sample.images("tiny-guide", 1, 0)
    assert sample.load("tiny-guide").model.config.network == "classifier"


def test_only_a_classifier_of_the_same_pictures_under_the_same_noise_guides(checkpoint):
    assert sample.guide(checkpoint).name == "tiny-guide"
    assert sample.guide(sample.load("tiny-eps")) is None      # another schedule
    assert sample.guide(sample.load("tiny-colour")) is None   # other pictures
    with pytest.raises(PlaygroundError, match="glyphs"):
        sample.denoiser(sample.load("tiny-eps"), torch.tensor([1]), "classifier")


# ---- guided predictions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tiny", "tiny-eps"])
def test_scale_0_ignores_the_class_and_scale_1_obeys_it(name):
    checkpoint = sample.load(name)
    model, s, y = checkpoint.model, sample.schedule(checkpoint), torch.tensor([3])
    x, t = sample.start_noise(checkpoint, 0), 40
    for scale, told in ((0.0, None), (1.0, y)):
        said = maths.forms(model(x, torch.tensor([t]), told), model.config.prediction, x, t, s)
        torch.testing.assert_close(sample.guided(checkpoint, x, t, y, "free", scale).eps, said.eps)
        torch.testing.assert_close(sample.denoiser(checkpoint, y, "free", scale)(x, t)[0], said.x_0.clamp(-1, 1))


@pytest.mark.parametrize("guidance", ["free", "classifier"])
@pytest.mark.parametrize("scale", [0.0, 0.5, 3.0])
def test_the_sampler_s_denoiser_is_the_guided_noise_clipped(checkpoint, guidance, scale):
    x, y, t = sample.start_noise(checkpoint, 5, [0, 1]), torch.tensor([1, 7]), 60
    said = maths.forms(sample.guided(checkpoint, x, t, y, guidance, scale).eps, "eps", x, t, sample.schedule(checkpoint))
    x_0, eps = sample.denoiser(checkpoint, y, guidance, scale)(x, t)
    torch.testing.assert_close(x_0, said.x_0.clamp(-1, 1), atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(maths.q_sample(x_0, t, eps, sample.schedule(checkpoint)), x)


def test_a_model_without_classes_refuses_one():
    colour = sample.load("tiny-colour")
    assert colour.model.config.classes                        # shapes are labelled
    free = sample.Checkpoint(colour.name, colour.family, colour.config, sample.build({**vars(colour.model.config), "classes": 0}).eval(), {}, 0)
    with pytest.raises(PlaygroundError, match="without classes"):
        sample.denoiser(free, torch.tensor([1]))


# ---- pictures --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler, steps, eta", [("dpm-solver", 4, 0), ("ddim", 4, 0.5), ("ddpm", 6, 0)])
def test_a_picture_is_that_of_its_seed_and_index_in_any_batch(checkpoint, sampler, steps, eta, monkeypatch):
    many = sample.draw(checkpoint, 7, 3, sampler, steps, eta)
    monkeypatch.setattr(sample, "BATCH", 3)
    assert (sample.draw(checkpoint, 7, 3, sampler, steps, eta) - many).abs().max() < 1 / 255
    assert (sample.draw(checkpoint, 2, 3, sampler, steps, eta) - many[:2]).abs().max() < 1 / 255
    assert many.min() >= 0 and many.max() <= 1


def test_a_grid_s_picture_is_the_film_of_its_seed_by_the_same_sampler(checkpoint):
    grid = sample.grid(checkpoint, [4, 5], 2)
    film = complete(sample.film(checkpoint, legs(sample.Choice(5, 2, sampler="dpm-solver", steps=sample.GRID_STEPS))))
    assert (maths.picture(film.x[-1][0]) - grid[1]).abs().max() < 1 / 255


# ---- films -----------------------------------------------------------------------------------------------------

CHOICES = [sample.Choice(1, 3, "free", 1, "ddpm", 20), sample.Choice(2, None, "free", 1, "ddim", 10, 0.7),
           sample.Choice(3, 8, "classifier", 2, "ddim", 10), sample.Choice(4, 1, "free", 3, "dpm-solver", 10)]


@pytest.mark.parametrize("choice", CHOICES, ids=lambda c: f"{c.sampler}-{c.guidance}")
def test_a_film_computed_step_by_step_is_the_film_computed_at_once(checkpoint, choice):
    at_once = complete(sample.film(checkpoint, legs(choice)))
    sample._films.clear()
    slow = sample.film(checkpoint, legs(choice))
    for done in range(1, slow.steps + 1):
        slow.advance(0)
        assert slow.reached == done
    assert slow.steps == choice.steps and all(torch.equal(a, b) for a, b in zip(at_once.x, slow.x))


@pytest.mark.parametrize("choice", CHOICES, ids=lambda c: f"{c.sampler}-{c.guidance}")
def test_a_step_of_a_film_is_what_the_sampler_did_there_without_asking_the_network(checkpoint, choice, monkeypatch):
    film = complete(sample.film(checkpoint, legs(choice)))
    y = None if choice.y is None else torch.tensor([choice.y])
    walk = list(maths.SAMPLERS[choice.sampler](
        sample.denoiser(checkpoint, y, choice.guidance, choice.scale), sample.start_noise(checkpoint, choice.seed), film.times,
        sample.schedule(checkpoint), sample.step_noise(checkpoint, choice.seed), eta=choice.eta))
    monkeypatch.setattr(type(checkpoint.model), "forward", None)
    for k, step in enumerate(walk):
        found = film.step(k)
        assert (found.t, found.t_prev, found.a, found.b, found.sigma) == (step.t, step.t_prev, step.a, step.b, step.sigma)
        for name in ("x_t", "x_0", "mean", "x_prev"):
            assert torch.equal(getattr(found, name), getattr(step, name)), name
        torch.testing.assert_close(found.eps, step.eps, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_a_branch_that_changes_nothing_is_the_unbroken_film_bit_for_bit(checkpoint, sampler):
    choice = sample.Choice(6, 4, sampler=sampler, steps=20, eta=0.5)
    whole = complete(sample.film(checkpoint, legs(choice)))
    branch = complete(sample.film(checkpoint, legs(choice, choice, starts=(100, 40))))
    assert branch.times == whole.times and branch.begun == 12
    assert all(torch.equal(a, b) for a, b in zip(whole.x, branch.x))
    assert branch.calls == 8                                  # the steps before it are the other film's


def test_a_branch_shares_what_lies_before_it_and_differs_after(checkpoint):
    before, after = sample.Choice(6, 4, sampler="ddim", steps=20), sample.Choice(7, 9, sampler="ddpm", steps=50)
    trunk = complete(sample.film(checkpoint, legs(before)))
    branch = complete(sample.film(checkpoint, legs(before, after, starts=(100, 50))))
    assert branch.times[branch.begun] == 50 and branch.steps == 10 + 25
    assert all(torch.equal(a, b) for a, b in zip(trunk.x[:11], branch.x))
    assert (trunk.x[-1] - branch.x[-1]).abs().max() > 0.01


def test_a_branch_is_the_same_whether_or_not_its_trunk_was_seen_before(checkpoint):
    decisions = legs(CHOICES[1], CHOICES[3], CHOICES[0], starts=(100, 60, 30))
    first = complete(sample.film(checkpoint, decisions)).x[-1]
    sample._films.clear()
    complete(sample.film(checkpoint, decisions[:1]))
    assert torch.equal(first, complete(sample.film(checkpoint, decisions)).x[-1])


def test_a_trunk_is_taken_over_in_slices_so_that_nobody_waits_for_a_long_one(checkpoint):
    decisions = legs(*[sample.Choice(seed, sampler="ddpm", steps=100) for seed in (1, 2, 3)], starts=(100, 50, 20))
    film = sample.film(checkpoint, decisions)
    assert film.reached == 0
    for done in range(1, film.steps + 1):
        film.advance(0)
        assert film.reached == done
    sample._films.clear()
    at_once = complete(sample.film(checkpoint, decisions))
    assert film.calls == 20 and torch.equal(at_once.x[-1], film.x[-1])


def test_films_are_kept_within_a_number_of_bytes_and_the_newest_stays(checkpoint, monkeypatch):
    size = complete(sample.film(checkpoint, legs(sample.Choice(0, steps=10)))).bytes
    monkeypatch.setattr(sample, "FILM_BYTES", 3 * size)
    for seed in range(1, 8):
        complete(sample.film(checkpoint, legs(sample.Choice(seed, steps=10))))
    assert 1 <= len(sample._films) <= 4 and sum(film.bytes for film in sample._films.values()) <= 4 * size
    assert next(reversed(sample._films))[1] == legs(sample.Choice(7, steps=10))


# ---- somebody watches ------------------------------------------------------------------------------------------


def slowed(monkeypatch, seconds):
    denoiser = sample.denoiser

    def slow(*arguments):
        denoise = denoiser(*arguments)
        return lambda x, t: (time.sleep(seconds), denoise(x, t))[1]

    monkeypatch.setattr(sample, "denoiser", slow)


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def test_a_watched_film_goes_on_by_itself_and_two_get_on_together(checkpoint, monkeypatch):
    slowed(monkeypatch, 0.02)
    films = [executor.run(sample.film, checkpoint, legs(sample.Choice(seed, steps=30))) for seed in (0, 1)]
    monkeypatch.setattr(sample, "SLICE", 0.04)
    for film in films:
        executor.run(sample.watch, film)
    until(lambda: films[0].reached >= 10)
    assert films[1].reached >= 5, "turn and turn about"
    for film in films:
        executor.run(sample.watch, film)
    until(lambda: (executor.run(sample.watch, films[0]), executor.run(sample.watch, films[1])) and all(f.reached == f.steps for f in films))


def test_a_film_that_nobody_watches_any_more_frees_the_device_within_a_second(checkpoint, monkeypatch):
    slowed(monkeypatch, 0.01)
    film = executor.run(sample.film, checkpoint, legs(sample.Choice(0, steps=100, sampler="ddpm")))
    monkeypatch.setattr(sample, "WATCHED", 0.1)
    executor.run(sample.watch, film)
    left = time.monotonic()
    until(lambda: not sample._watched)
    assert time.monotonic() - left < 1 + 0.5                  # a second, and what a busy machine takes to notice
    stood = film.reached
    time.sleep(0.3)
    assert 0 < stood == film.reached < film.steps
    executor.run(sample.watch, film)                          # somebody is back: it goes on where it stood
    until(lambda: film.reached > stood)


# ---- decisions as text -----------------------------------------------------------------------------------------


def test_decisions_survive_the_url():
    decisions = legs(*CHOICES, starts=(100, 80, 80, 3))
    assert sample.read(sample.written(decisions), 100) == decisions
    assert sample.read("", 100) == ()


@pytest.mark.parametrize("text", [
    None, 3, ["100"], "x", "100", "100,0,-,free,1,ddim,20", "100,0,-,free,1,ddim,20,0,0", "101,0,-,free,1,ddim,20,0", "0,0,-,free,1,ddim,20,0",
    "100,-1,-,free,1,ddim,20,0", "100,0,-,none,1,ddim,20,0", "100,0,-,free,1e9,ddim,20,0", "100,0,-,free,nan,ddim,20,0", "100,0,-,free,1,euler,20,0",
    "100,0,-,free,1,ddim,101,0", "100,0,-,free,1,ddim,0,0", "100,0,-,free,1,ddim,20,2", "50,0,-,free,1,ddim,20,0;60,0,-,free,1,ddim,20,0",
    ";".join(["100,0,-,free,1,ddim,20,0"] * 7), ";" * 100_000, "," * 100_000,
])
def test_a_text_that_is_no_decisions_is_one_sentence(text):
    with pytest.raises(PlaygroundError):
        sample.read(text, 100)
