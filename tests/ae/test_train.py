"""The autoencoder's recipe: its contract, what it computes, and that a stopped run is no other run."""

import dataclasses
import json
import math
from functools import partial

import pytest
import torch

import training
from playground.ae import config, maths, train
from playground.ae.model import ModelConfig, network
from playground.ae.train import TrainConfig
from playground.core import datasets, recipe, states
from playground.core.errors import PlaygroundError

pytestmark = pytest.mark.usefixtures("one_cpu_thread")
run, bits, metrics = partial(training.run, train), training.bits, training.metrics

KINDS = {
    "deep": {"network": "deep", "latent": 4, "width": 32},
    "denoising": {"network": "deep", "latent": 4, "width": 32, "corruption": "salt-pepper", "amount": 0.3, "moved": 0.5},
    "sparse": {"network": "sparse", "units": 24},
    "kl": {"network": "sparse", "units": 24, "sparsity": "kl"},
    "top-k": {"network": "sparse", "units": 24, "sparsity": "top-k", "keep": 4},
    "tied": {"network": "tied", "units": 24},
}


def tiny(kind="deep", **fields):
    return TrainConfig(**{"dataset": "glyphs", "steps": 8, "batch_size": 16, **KINDS[kind], **fields})


# ---- the contract of core/recipe.py ----------------------------------------------------------------------------


def test_recipe_offers_what_the_contract_names():
    assert set(train.PRESETS) == {"10s", "1m", "10m", "shipped"} <= set(recipe.PRESETS)
    for name in ("init", "batches", "train", "preview", "result"):
        assert callable(getattr(train, name))
    assert dataclasses.is_dataclass(train.State) and "step" in {f.name for f in dataclasses.fields(train.State)}
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().steps = 1
    assert set(train.CHECKPOINTS.values()) <= set(datasets.NAMES)


@pytest.mark.parametrize("name", train.PRESETS)
def test_every_preset_survives_json_and_describes_a_network(name):
    config = train.PRESETS[name]
    values = json.loads(json.dumps(dataclasses.asdict(config)))
    assert recipe.config_from("ae", TrainConfig, values) == config
    shape = train.model_config(dataclasses.replace(config, dataset="glyphs"))
    assert (shape.channels, shape.size, shape.network, shape.code) == (1, 28, "deep", 30)


def test_the_shipped_recipe_is_hinton_s_network():
    shape = train.model_config(dataclasses.replace(train.PRESETS["shipped"], dataset="glyphs"))
    assert (shape.network, shape.latent, shape.width) == ("deep", 30, 1000)


def test_a_knob_turned_alone_gives_a_model_of_that_kind():
    for name in config.NETWORKS:
        shape = train.model_config(dataclasses.replace(train.PRESETS["10s"], dataset="glyphs", network=name))
        assert shape.code == (30 if name == "deep" else train.PRESETS["10s"].units)


@pytest.mark.parametrize("kind", KINDS)
def test_every_update_is_yielded_once_with_finite_metrics(kind):
    config = tiny(kind, steps=5, penalty=0.7)
    state, progress = run(config)
    assert [(each.step, each.steps) for each in progress] == [(i, 5) for i in range(1, 6)]
    assert state.step == 5
    for each in metrics(progress):
        assert train.BEST in each and all(math.isfinite(value) for value in each.values())
        assert each["loss"] == pytest.approx(each["error"] + 0.7 * each.get("penalty", 0), rel=1e-5)
        assert ("penalty" in each) == (kind in ("sparse", "kl", "tied")) and ("active" in each) == (kind in ("sparse", "kl", "top-k"))
    assert run(config, state=state)[1] == []                  # nothing is left to do


def test_batches_are_the_same_for_the_same_number_and_new_for_each_number():
    config = tiny()
    stream = train.batches(config, 0)
    first = [next(stream) for _ in range(4)]
    again = train.batches(config, 2)
    assert torch.equal(next(again), first[2]) and torch.equal(next(again), first[3])
    assert not torch.equal(first[0], first[1])
    assert first[0].shape == (16, 1, 28, 28) and first[0].dtype == torch.float32 and 0 <= first[0].min() and first[0].max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_result_rebuilds_the_averaged_model_and_leaves_the_state_alone(kind):
    config = tiny(kind, steps=4)
    state, _ = run(config)
    before = bits(state)
    made = train.result(config, state)
    assert bits(state) == before

    rebuilt = network(ModelConfig(**json.loads(json.dumps(dict(made.model))))).eval()
    rebuilt.load_state_dict(made.weights)
    training, held_out = datasets.load("glyphs").images, datasets.load("glyphs", "test")
    with torch.no_grad():
        codes = rebuilt.encode(training.float() / 255)
        torch.testing.assert_close(made.derived["largest"], codes.abs().amax(0), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(made.derived["average"], codes.abs().mean(0), rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(made.derived["mean"], codes.mean(0), rtol=1e-3, atol=1e-4)
        x = held_out.images[:train.HELD_OUT].float() / 255
        h = rebuilt.encode(x)
        error = (rebuilt.decode(h).clamp(0, 1) - x).square().sum((1, 2, 3)).mean()
    assert made.derived["error"].item() == pytest.approx(error.item(), rel=1e-4)
    if kind in ("deep", "denoising"):
        torch.testing.assert_close(made.derived["codes"], h, rtol=1e-3, atol=1e-4)
        assert torch.equal(made.derived["labels"], held_out.labels[:train.HELD_OUT])
        assert made.derived["pca"].shape == (train.COMPONENTS, 784)
        basis = maths.pca(training, train.COMPONENTS)
        torch.testing.assert_close(made.derived["pca_errors"], maths.pca_errors(x, basis).mean(0), rtol=1e-4, atol=1e-4)
    else:
        assert not {"codes", "pca"} & made.derived.keys()
    assert "example_codes" not in made.derived                # digits are drawn by the page


def test_a_model_of_other_pictures_carries_some_to_pick_from_and_few_numbers_of_a_large_code():
    config = tiny("sparse", dataset="shapes", steps=2)
    state, _ = run(config)
    made = train.result(config, state)
    with torch.no_grad():
        h = state.ema.encode(datasets.load("shapes", "test").images[:10].float() / 255)
    torch.testing.assert_close(made.derived["example_codes"], h, rtol=1e-3, atol=1e-4)      # codes: the pictures themselves are not kept
    assert sum(value.numel() for key, value in made.derived.items() if key != "example_codes") <= 24 * 24 + 3 * 24 + 1


def test_a_run_under_way_is_described_by_part_of_its_images(monkeypatch):
    monkeypatch.setattr(train, "SEEN", 300)
    config = tiny(steps=4)
    state, _ = run(config, updates=2)
    with torch.no_grad():
        expected = state.ema.encode(datasets.load("glyphs").images[:300].float() / 255).abs().amax(0)
    torch.testing.assert_close(train.result(config, state).derived["largest"], expected, rtol=1e-4, atol=1e-5)


def test_the_film_shows_held_out_pictures_above_what_comes_back():
    config = tiny("denoising", steps=3)
    state, _ = run(config)
    film = train.preview(config, state)
    assert film.shape == (2 * train.PREVIEW, 1, 28, 28) and torch.equal(film, train.preview(config, state))
    x = datasets.load("glyphs", "test").images[:8].float() / 255
    differs = (film[:8] != x).float().mean().item()
    assert 0.14 < differs < 0.2                               # the encoder's own view: 30 % hit, half of that black, as most pixels are
    with torch.no_grad():
        torch.testing.assert_close(film[8:16], state.ema.picture(state.ema.encode(film[:8])), rtol=1e-4, atol=1e-5)


# ---- one seed, one run -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_one_seed_is_one_run_to_the_bit_and_another_seed_another(kind):
    config = tiny(kind)
    torch.manual_seed(1)
    state, progress = run(config)
    torch.manual_seed(2)                                      # the global random state is no part of a run
    again, repeated = run(config)
    assert bits(state) == bits(again) and metrics(progress) == metrics(repeated)
    _, differs = run(dataclasses.replace(config, seed=1))
    assert metrics(differs)[0] != metrics(progress)[0]


def test_a_run_leaves_the_global_random_state_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(tiny("sparse", steps=2))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", KINDS)
def test_stop_and_resume_gives_the_weights_of_an_unbroken_run(kind, precision, tmp_path):
    config = tiny(kind, precision=precision)
    unbroken, progress = run(config)

    state, first = run(config, updates=3)
    states.save(tmp_path / "state", state, {})
    resumed = train.init(dataclasses.replace(config, seed=99))               # whatever it held is overwritten
    states.restore(tmp_path / "state", resumed)
    resumed, rest = run(config, state=resumed)

    assert [each.step for each in rest] == [4, 5, 6, 7, 8]
    assert metrics(first + rest) == metrics(progress)
    assert bits(resumed) == bits(unbroken)


# ---- what it computes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_update_reports_the_error_and_the_penalty_of_its_batch(kind):
    config = tiny(kind, seed=7, rho=0.1)
    state = train.init(config)
    x, noise = next(train.batches(config, 0)), torch.Generator().manual_seed(7)
    with torch.no_grad():
        x = maths.moved(x, config.moved, noise)
        h = state.model.encode(maths.corrupted(x, config.corruption, config.amount, noise))
        error = (state.model.decode(h) - x).square().sum((1, 2, 3)).mean().item()
        by_hand = {
            "sparse": lambda: h.abs().sum(1).mean(),
            "kl": lambda: sum(0.1 * math.log(0.1 / p) + 0.9 * math.log(0.9 / (1 - p)) for p in h.mean(0).tolist()),
            "tied": lambda: torch.stack([maths.jacobian(state.model.encode, each).detach().square().sum() for each in x]).mean(),
        }
    _, progress = run(config, updates=1, state=state)
    assert progress[0].metrics["error"] == pytest.approx(error, rel=1e-5)
    if kind in by_hand:
        assert progress[0].metrics["penalty"] == pytest.approx(float(by_hand[kind]()), rel=1e-4)


def test_the_error_is_measured_against_the_clean_picture():
    """A network that only copies would be wrong by all of the noise."""
    config = tiny("denoising", corruption="gaussian", amount=1.0, moved=0.0, steps=150, latent=12, width=64, lr=5e-3, batch_size=32)
    errors = [each["error"] for each in metrics(run(config)[1])]
    assert sum(errors[-10:]) / 10 < 0.2 * 784                 # the noise has 784


@pytest.mark.parametrize("kind", KINDS)
def test_the_error_falls_below_that_of_the_mean_picture(kind):
    x = datasets.load("glyphs", "test").images.double() / 255
    mean = (x - x.mean(0)).square().sum((1, 2, 3)).mean().item()
    config = tiny(kind, steps=150, lr=0.02, latent=8, width=64, units=64, keep=16, penalty=0.01, batch_size=32, amount=0.1)
    errors = [each["error"] for each in metrics(run(config)[1])]
    assert sum(errors[-10:]) / 10 < 0.9 * mean


def test_a_larger_penalty_leaves_fewer_units_active_and_a_flatter_encoder():
    active, norms = {}, {}
    for weight in (0.0, 2.0):
        config = tiny("sparse", steps=80, lr=0.01, penalty=weight, units=64)
        active[weight] = metrics(run(config)[1])[-1]["active"]
        config = tiny("tied", steps=80, lr=0.01, penalty=10 * weight, units=64)
        norms[weight] = metrics(run(config)[1])[-1]["penalty"]
    assert active[2.0] < 0.7 * active[0.0] and norms[2.0] < 0.5 * norms[0.0]


def test_only_digits_are_moved():
    assert train.suited("shipped", "mnist").moved > 0 == train.suited("shipped", "cifar10").moved
    few = train.suited("10s", "my-set", channels=3, images=20)
    assert (few.batch_size, few.moved) == (20, 0)


def test_without_averaging_the_last_weights_are_the_result():
    config = tiny(steps=3, ema=0)
    state, _ = run(config)
    made = train.result(config, state)
    assert all(torch.equal(made.weights[name], value) for name, value in state.model.state_dict().items())


def test_learning_rate_climbs_for_200_updates_and_falls_to_zero_along_half_a_cosine():
    config = TrainConfig(steps=10_000)
    assert train.cosine(config, 0) == pytest.approx(1 / 200) and train.cosine(config, 5_000) == pytest.approx(0.5)
    assert train.cosine(config, 9_999) < 1e-7
    rates = [train.cosine(config, step) for step in range(10_000)]
    peak = max(range(10_000), key=rates.__getitem__)
    assert peak == 199 and all(a > b for a, b in zip(rates[peak:], rates[peak + 1:]))
    state, _ = run(tiny(steps=3, lr=0.01))
    assert state.optimizer.param_groups[0]["lr"] == pytest.approx(0.01 * train.cosine(tiny(steps=3), 2))


# ---- bad values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [
    {"precision": "fp16"}, {"steps": 0}, {"steps": 2.5}, {"steps": True}, {"batch_size": 0}, {"batch_size": 10_000}, {"seed": -1}, {"seed": 2**31},
    {"lr": 0}, {"lr": math.nan}, {"lr": "1e-3"}, {"ema": 1}, {"network": "conv"}, {"latent": 0}, {"width": 2}, {"units": 0}, {"sparsity": "l0"},
    {"keep": 0}, {"penalty": -1}, {"penalty": math.inf}, {"rho": 0}, {"rho": 0.6}, {"corruption": "blur"}, {"amount": -0.1}, {"amount": 1.1},
    {"moved": 2},
])
def test_values_out_of_range_are_refused_before_a_run_begins(fields):
    with pytest.raises(PlaygroundError) as error:
        TrainConfig(**fields)
    assert next(iter(fields)) in str(error.value)


def test_an_unknown_data_set_is_refused():
    with pytest.raises(PlaygroundError, match="nowhere"):
        train.init(tiny(dataset="nowhere"))
