"""The GAN's recipe: its contract, what each player does in its turn, and that a stopped run is no other run."""

import dataclasses
import itertools
import json
import math
from functools import partial

import pytest
import torch

import training
from playground.core import datasets, device, recipe, states
from playground.core.errors import PlaygroundError
from playground.gan import config, maths, train
from playground.gan.model import GAN, ModelConfig
from playground.gan.train import TrainConfig

pytestmark = pytest.mark.usefixtures("one_cpu_thread")
run, bits, metrics = partial(training.run, train), training.bits, training.metrics

KINDS = {
    "non-saturating": {},
    "minimax": {"loss": "minimax", "penalty": "none"},
    "least-squares": {"loss": "least-squares", "penalty": "r1+r2", "augment": 0.5},
    "wasserstein": {"loss": "wasserstein", "penalty": "gp", "gamma": 10.0, "critics": 2},
    "hinge": {"loss": "hinge", "penalty": "none", "spectral": True},
}
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def tiny(kind="non-saturating", **fields):
    return TrainConfig(**{"dataset": "glyphs", "steps": 6, "batch_size": 4, "width": 2, "latent": 5, "every": 2, "precision": "fp32", **KINDS[kind], **fields})


# ---- the contract of core/recipe.py ----------------------------------------------------------------------------


def test_recipe_offers_what_the_contract_names():
    assert set(train.PRESETS) == {"10s", "1m", "10m", "shipped"} <= set(recipe.PRESETS)
    for name in ("init", "batches", "train", "preview", "result"):
        assert callable(getattr(train, name))
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().steps = 1
    assert set(train.CHECKPOINTS.values()) <= set(datasets.NAMES)


@pytest.mark.parametrize("name", train.PRESETS)
def test_every_preset_survives_json_and_describes_a_network(name):
    preset = train.PRESETS[name]
    assert recipe.config_from("gan", TrainConfig, json.loads(json.dumps(dataclasses.asdict(preset)))) == preset
    shape = train.model_config(dataclasses.replace(preset, dataset="glyphs"))
    assert (shape.channels, shape.size, shape.loss) == (1, 28, "non-saturating")
    assert train.model_config(dataclasses.replace(preset, dataset="shapes")).size == 32


def test_few_pictures_are_augmented_and_make_small_batches():
    assert config.suited("1m", "mnist").augment == 0 < config.suited("1m", "noto-emoji").augment
    few = config.suited("1m", "my-cats", channels=3, images=20)
    assert few.batch_size == 20 and few.augment > 0 and config.suited("1m", "my-cats", images=9_000).augment == 0


@EVERY_KIND
def test_every_update_is_yielded_once_with_finite_metrics(kind):
    state, progress = run(tiny(kind, steps=3))
    assert [(each.step, each.steps) for each in progress] == [(i, 3) for i in (1, 2, 3)] and state.step == 3
    for each in metrics(progress):
        assert {"d_loss", "g_loss", "real", "fake", train.BEST} <= each.keys() and all(math.isfinite(value) for value in each.values())
        assert ("penalty" in each) == (KINDS[kind].get("penalty") != "none")
        if kind in config.PROBABLE:
            assert 0 < each["real"] < 1 and 0 < each["fake"] < 1
    assert run(tiny(kind, steps=3), state=state)[1] == []     # nothing is left to do


def test_batches_are_one_for_each_update_of_d_the_same_for_the_same_number():
    chosen = tiny("wasserstein")
    stream = train.batches(chosen, 0)
    first = [next(stream) for _ in range(4)]
    again = train.batches(chosen, 2)
    assert torch.equal(next(again), first[2]) and torch.equal(next(again), first[3])
    assert first[0].shape == (2, 4, 1, 28, 28) and 0 <= first[0].min() and first[0].max() <= 1
    assert not torch.equal(first[0][0], first[0][1])


# ---- each player's turn ----------------------------------------------------------------------------------------


def weights(network):
    return torch.cat([p.detach().flatten().clone() for p in network.parameters()])


def test_in_its_turn_each_player_moves_alone():
    chosen = tiny()
    state = train.init(chosen)
    D, G, real = state.model.discriminator, state.model.generator, 2 * next(train.batches(chosen, 0))[0] - 1
    d, g = weights(D), weights(G)
    train.d_step(chosen, state, D, G, real, penalised=True)
    assert torch.equal(weights(G), g) and not torch.equal(weights(D), d) and all(p.grad is None for p in G.parameters())
    d = weights(D)
    train.g_step(chosen, state, D, G, len(real))
    assert torch.equal(weights(D), d) and not torch.equal(weights(G), g)


def test_an_update_of_d_is_adam_s_on_the_loss_and_the_weighted_penalty():
    chosen = tiny(gamma=3.0)
    state = train.init(chosen)
    D, G, real = state.model.discriminator, state.model.generator, 2 * next(train.batches(chosen, 0))[0] - 1
    z = torch.randn((4, 5), generator=torch.Generator().manual_seed(chosen.seed))
    with torch.no_grad():
        fake = G(z)
    loss = maths.d_loss("non-saturating", D(real), D(fake)) + 2 * 3.0 * maths.r1(D, real)
    gradients = torch.autograd.grad(loss, list(D.parameters()))
    metrics = train.d_step(chosen, state, D, G, real, penalised=True)
    for p, expected in zip(D.parameters(), gradients):
        torch.testing.assert_close(p.grad, expected, rtol=1e-3, atol=1e-6)
    assert metrics["d_loss"] == pytest.approx((loss - 6 * state.penalty).item(), rel=1e-4)


def test_d_learns_to_tell_a_generator_that_stands_still_from_the_data():
    chosen = tiny(batch_size=16, lr=3e-3)
    state = train.init(chosen)
    D, G = state.model.discriminator, state.model.generator
    seen = [train.d_step(chosen, state, D, G, 2 * x[0] - 1, penalised=False) for x in itertools.islice(train.batches(chosen, 0), 25)]
    assert seen[-1]["d_loss"] < 0.5 * seen[0]["d_loss"] and seen[-1]["real"] > 0.7 > 0.3 > seen[-1]["fake"]


def test_g_climbs_against_a_discriminator_that_stands_still():
    chosen = tiny(batch_size=16, lr=3e-3)
    state = train.init(chosen)
    losses = [train.g_step(chosen, state, state.model.discriminator, state.model.generator, 16)["g_loss"] for _ in range(25)]
    assert losses[-1] < losses[0]


def test_the_penalty_comes_every_so_many_updates():
    _, progress = run(tiny(every=3, steps=5))
    values = [each["penalty"] for each in metrics(progress)]
    assert values[0] == values[1] == values[2] != values[3] == values[4]


def test_the_learning_rate_of_both_falls_to_nothing_in_the_second_half():
    chosen = tiny(steps=6, lr=2e-3)
    assert [train.falling(chosen, step) for step in range(7)] == pytest.approx([1, 1, 1, 1, 2 / 3, 1 / 3, 0])
    state, _ = run(chosen, 5)
    assert [each.param_groups[0]["lr"] for each in (state.d_optimizer, state.g_optimizer)] == pytest.approx([2e-3 * 2 / 3] * 2)


def test_the_averaged_generator_follows_the_other():
    chosen = tiny(ema=0.5, steps=2)
    state, _ = run(chosen, 1)
    ema, before = weights(state.ema), weights(state.model.generator)
    state, _ = run(chosen, 1, state)
    rate = min(0.5, 2 / 11)
    torch.testing.assert_close(weights(state.ema), rate * ema + (1 - rate) * weights(state.model.generator))
    assert not torch.equal(before, weights(state.model.generator))


# ---- what comes out --------------------------------------------------------------------------------------------


@EVERY_KIND
def test_result_rebuilds_the_averaged_generator_and_leaves_the_state_alone(kind):
    chosen = tiny(kind, steps=3)
    state, _ = run(chosen)
    before = bits(state)
    made = train.result(chosen, state)
    assert bits(state) == before
    rebuilt = GAN(ModelConfig(**json.loads(json.dumps(dict(made.model))))).eval()
    rebuilt.load_state_dict(made.weights)
    z = torch.randn(3, 5)
    with torch.no_grad():
        torch.testing.assert_close(rebuilt.picture(z), (state.ema(z) + 1) / 2)
    assert not any(value.ndim == 4 for value in made.derived.values()), "no pictures of the data set"
    assert made.derived["step"] == 3 and made.derived["boundary"].isfinite()


def test_a_critic_s_boundary_is_half_way_between_its_mean_answers(monkeypatch):
    monkeypatch.setattr(train, "MIDDLE", 50)
    chosen = tiny("wasserstein", steps=2)
    state, _ = run(chosen)
    D = state.model.discriminator.eval()
    with torch.no_grad():
        real = D(2 * datasets.load("glyphs").images[:50].float() / 255 - 1).mean()
        fake = D(state.ema(device.noise(train.LOOK_SEED, range(50), (5,)))).mean()
    assert train.result(chosen, state).derived["boundary"].item() == pytest.approx(((real + fake) / 2).item(), rel=1e-3, abs=1e-5)


def test_snapshots_are_taken_from_early_to_late_and_the_last_is_the_result():
    assert config.moments(20_000) == [100, 289, 833, 2402, 6931, 20_000]
    chosen = tiny(steps=40, batch_size=2)
    state, _ = run(chosen)
    taken = {int(key.split(".")[0]) for key in state.snapshots}
    assert taken == set(config.moments(40)) - {40}
    again, _ = run(chosen, 14)
    like = train.weights_of(again)
    found = train.unpacked(like, state.snapshots["14.weights"], state.snapshots["14.scales"])
    for key, value in like.items():
        assert (found[key] - value).abs().max() <= value.abs().max() / 127 / 2 + 1e-6


def test_packing_keeps_each_weight_within_half_a_step_of_its_row():
    tensors = {"a": torch.randn(4, 3, 2, 2), "b": torch.randn(7), "c": torch.zeros(2, 5)}
    weights, scales = train.packed(tensors)
    assert weights.dtype == torch.int8 and len(weights) == 48 + 7 + 10 and len(scales) == 4 + 1 + 2
    found = train.unpacked(tensors, weights, scales)
    for key, value in tensors.items():
        rows = value.flatten(1) if value.ndim > 1 else value[None]
        steps = rows.abs().amax(1, keepdim=True) / 127
        assert ((found[key].view(rows.shape) - rows).abs() <= steps / 2 + 1e-6).all()
    with pytest.raises(ValueError):
        train.unpacked(tensors, weights[:-1], scales)


def test_the_distance_is_that_of_the_averaged_fakes_and_falls(monkeypatch):
    monkeypatch.setattr(train, "LOOK_EVERY", 20)
    chosen = tiny(steps=61, batch_size=16, width=4, lr=2e-3, ema=0.5)
    state, progress = run(chosen)
    values = [each["distance"] for each in metrics(progress)]
    assert values[0] == values[19] != values[20] and values[-1] < 0.6 * values[0]
    lines = torch.randn((784, train.LINES), generator=torch.Generator().manual_seed(train.LOOK_SEED))
    with torch.no_grad():
        fake = (state.ema(device.noise(train.LOOK_SEED, range(train.LOOK), (5,))) + 1) / 2
    real = datasets.load("glyphs", "test").images[:train.LOOK].float() / 255
    a, b = (x.flatten(1) @ (lines / lines.norm(dim=0)) for x in (fake, real))
    assert values[-1] == pytest.approx(((a.sort(0).values - b.sort(0).values)**2).mean().sqrt().item(), rel=1e-4)


def test_the_film_is_of_the_same_noise_and_changes_nothing():
    chosen = tiny(steps=2)
    state, _ = run(chosen)
    before = bits(state)
    film = train.preview(chosen, state)
    assert film.shape == (train.PREVIEW, 1, 28, 28) and torch.equal(film, train.preview(chosen, state)) and bits(state) == before
    assert 0 <= film.min() and film.max() <= 1


# ---- one seed, one run -----------------------------------------------------------------------------------------


@EVERY_KIND
def test_one_seed_is_one_run_to_the_bit_and_another_seed_another(kind):
    chosen = tiny(kind, steps=3)
    torch.manual_seed(1)
    state, progress = run(chosen)
    torch.manual_seed(2)                                      # the global random state is no part of a run
    again, repeated = run(chosen)
    assert bits(state) == bits(again) and metrics(progress) == metrics(repeated)
    _, differs = run(dataclasses.replace(chosen, seed=1))
    assert metrics(differs)[0] != metrics(progress)[0]


@EVERY_KIND
def test_stop_and_resume_gives_the_weights_of_an_unbroken_run(kind, tmp_path):
    chosen = tiny(kind)
    unbroken, progress = run(chosen)
    first, _ = run(chosen, 3)
    states.save(tmp_path / "state", first, {})
    second = train.init(dataclasses.replace(chosen))
    states.restore(tmp_path / "state", second)
    resumed, rest = run(chosen, state=second)
    assert bits(resumed) == bits(unbroken) and metrics(rest) == metrics(progress)[3:]


@pytest.mark.parametrize("wrong", [{"loss": "cats"}, {"penalty": "cats"}, {"gamma": -1.0}, {"every": 0}, {"critics": 0}, {"augment": 2.0}, {"ema": 1.0},
                                   {"precision": "fp8"}, {"latent": 0}, {"width": 0}, {"batch_size": 0}, {"lr": math.nan}])
def test_settings_that_make_no_sense_are_refused_in_a_sentence(wrong):
    with pytest.raises(PlaygroundError):
        TrainConfig(**wrong)


def test_a_run_that_diverges_says_so(tmp_path):
    chosen = tiny(steps=2)
    state, _ = run(chosen)
    next(state.model.parameters()).data.fill_(math.nan)
    with pytest.raises(PlaygroundError, match="smaller learning rate"):
        states.save(tmp_path / "state", state, {})
