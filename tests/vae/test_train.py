"""The VAE's recipe: its contract, what it computes, and that a stopped run is no other run."""

import copy
import dataclasses
import json
import math
from functools import partial

import pytest
import torch
from torch import distributions as D

import training
from playground.core import datasets, device, recipe, states
from playground.core.errors import PlaygroundError
from playground.vae import maths, train
from playground.vae.model import VAE, ModelConfig
from playground.vae.train import TrainConfig

pytestmark = pytest.mark.usefixtures("one_cpu_thread")
run, bits, metrics = partial(training.run, train), training.bits, training.metrics

NETWORKS = {
    "mlp": {"network": "mlp", "hidden": 32, "latent": 4},
    "conv": {"network": "conv", "width": 4, "hidden": 16, "latent": 4},
}


def tiny(network="mlp", **fields):
    return TrainConfig(**{"dataset": "glyphs", "steps": 8, "batch_size": 16, **NETWORKS[network], **fields})


# ---- the contract of core/recipe.py ----------------------------------------------------------------------------


def test_recipe_offers_what_the_contract_names():
    assert set(train.PRESETS) == {"10s", "1m", "10m", "shipped"} <= set(recipe.PRESETS)
    for name in ("init", "batches", "train", "result"):
        assert callable(getattr(train, name))
    assert dataclasses.is_dataclass(train.State) and "step" in {f.name for f in dataclasses.fields(train.State)}
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().steps = 1
    assert set(train.CHECKPOINTS.values()) <= set(datasets.NAMES)


@pytest.mark.parametrize("name", train.PRESETS)
def test_every_preset_survives_json_and_describes_a_network(name):
    config = train.PRESETS[name]
    values = json.loads(json.dumps(dataclasses.asdict(config)))
    assert recipe.config_from("vae", TrainConfig, values) == config
    shape = train.model_config(dataclasses.replace(config, dataset="glyphs"))
    assert (shape.channels, shape.size, shape.latent) == (1, 28, config.latent)
    assert (shape.network, shape.width, shape.blocks, shape.hidden) == (config.network, config.width, config.blocks, config.hidden)


def test_the_shipped_recipe_has_16_to_32_dimensions_and_convolutions():
    config = train.PRESETS["shipped"]
    assert config.network == "conv" and 16 <= config.latent <= 32
    assert config.beta == 1 and config.likelihood == "bernoulli" and config.dataset == "mnist"


def test_the_shipped_recipe_of_the_emoji_is_whole_without_a_setting():
    config = train.suited("shipped", "noto-emoji")
    expected = dataclasses.replace(train.PRESETS["shipped"], dataset="noto-emoji", steps=16_000, batch_size=32, likelihood="gaussian", sigma=0.35,
                                   precision="fp32", network="conv", latent=32, hidden=512, width=24)
    assert config == expected and config.beta == 1
    assert train.suited("shipped", "mnist") == train.PRESETS["shipped"]
    assert train.suited("shipped", "noto-emoji", images=20).batch_size == 20


@pytest.mark.parametrize("preset", ["10s", "1m", "10m"])
def test_the_timed_presets_on_the_emoji_are_theirs_but_for_the_pixels(preset):
    assert train.suited(preset, "noto-emoji") == dataclasses.replace(train.PRESETS[preset], dataset="noto-emoji", likelihood="gaussian", sigma=0.35, precision="fp32")
    assert train.suited(preset, "shapes").sigma == train.PRESETS[preset].sigma


@pytest.mark.parametrize("name", ["shapes", "glyphs"])
def test_a_model_carries_codes_of_held_out_pictures_to_show_unless_they_are_digits(name):
    likelihood = "gaussian" if name == "shapes" else "bernoulli"
    made = train.result(config := tiny(dataset=name, likelihood=likelihood), train.init(config))
    assert ("example_codes" in made.derived) == (name == "shapes")
    if name == "shapes":
        assert torch.equal(made.derived["example_codes"], made.derived["mu"][:10])
    assert not any(value.dtype == torch.uint8 or value.ndim > 2 for value in made.derived.values()), "no picture"


def test_every_update_is_yielded_once_with_finite_metrics():
    config = tiny(steps=5, beta=2.5)
    state, progress = run(config)
    assert [(each.step, each.steps) for each in progress] == [(i, 5) for i in range(1, 6)]
    assert state.step == 5
    for each in metrics(progress):
        assert train.BEST in each and all(math.isfinite(value) for value in each.values())
        assert each["loss"] == pytest.approx(each["nll"] + 2.5 * each["kl"])
    assert run(config, state=state)[1] == []                  # nothing is left to do


def test_batches_are_the_same_for_the_same_number_and_new_for_each_number():
    config = tiny()
    stream = train.batches(config, 0)
    first = [next(stream) for _ in range(4)]
    again = train.batches(config, 2)
    assert torch.equal(next(again), first[2]) and torch.equal(next(again), first[3])
    assert not torch.equal(first[0], first[1])
    assert first[0].shape == (16, 1, 28, 28) and first[0].dtype == torch.float32
    assert first[0].min() == 0 and 0.5 < first[0].max() <= 1


@pytest.mark.parametrize("network", NETWORKS)
def test_result_rebuilds_the_averaged_model_and_leaves_the_state_alone(network):
    config = tiny(network, steps=4)
    state, _ = run(config)
    before = bits(state)
    made = train.result(config, state)
    assert bits(state) == before

    rebuilt = VAE(ModelConfig(**json.loads(json.dumps(dict(made.model))))).eval()
    rebuilt.load_state_dict(made.weights)
    held_out = datasets.load("glyphs", "test")
    x = maths.binarise(held_out.images[:train.HELD_OUT].float() / 255, torch.Generator().manual_seed(0))[[0, 700, 1_999]]
    with torch.no_grad():
        mu, logvar = rebuilt.encode(x)
        torch.testing.assert_close((mu, logvar), state.ema.encode(x))
    assert made.derived["mu"].shape == made.derived["logvar"].shape == (train.HELD_OUT, 4)
    for name, value in (("mu", mu), ("logvar", logvar)):
        torch.testing.assert_close(made.derived[name][[0, 700, 1_999]], value, rtol=1e-4, atol=1e-5)
    assert torch.equal(made.derived["labels"], held_out.labels[:train.HELD_OUT])
    q = D.Normal(made.derived["mu"], (0.5 * made.derived["logvar"]).exp())
    torch.testing.assert_close(made.derived["kl"], D.kl_divergence(q, D.Normal(0.0, 1.0)).mean(0))


# ---- one seed, one run -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", NETWORKS)
def test_one_seed_is_one_run_to_the_bit_and_another_seed_another(network):
    config = tiny(network)
    torch.manual_seed(1)
    state, progress = run(config)
    torch.manual_seed(2)                                      # the global random state is no part of a run
    again, repeated = run(config)
    assert bits(state) == bits(again) and metrics(progress) == metrics(repeated)

    other, differs = run(dataclasses.replace(config, seed=1))
    assert metrics(differs)[0] != metrics(progress)[0]
    assert all(not torch.equal(a, b) for (name, a), b in zip(state.model.named_parameters(), other.model.parameters()))


def test_a_run_leaves_the_global_random_state_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(tiny(steps=2))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("network", NETWORKS)
def test_stop_and_resume_gives_the_weights_of_an_unbroken_run(network, precision, tmp_path):
    config = tiny(network, precision=precision, warmup=0.5)
    unbroken, progress = run(config)

    state, first = run(config, updates=3)
    states.save(tmp_path / "state", state, {})
    resumed = train.init(dataclasses.replace(config, seed=99))               # whatever it held is overwritten
    states.restore(tmp_path / "state", resumed)
    resumed, rest = run(config, state=resumed)

    assert [each.step for each in rest] == [4, 5, 6, 7, 8]
    assert metrics(first + rest) == metrics(progress)
    assert bits(resumed) == bits(unbroken)


def test_bf16_trains_other_bits_but_the_same_model(monkeypatch):
    monkeypatch.setattr(device, "_computes_bf16", lambda: True)       # imitated where it must be
    (_, a), (half, b) = run(tiny("conv")), run(tiny("conv", precision="bf16"))
    assert metrics(a) != metrics(b)
    assert metrics(b)[-1]["loss"] == pytest.approx(metrics(a)[-1]["loss"], rel=0.01)
    assert {p.dtype for p in half.model.parameters()} == {torch.float32}


# ---- what it computes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_the_first_update_reports_the_elbo_of_its_batch(likelihood):
    config = tiny(likelihood=likelihood, sigma=0.3, seed=7)
    state = train.init(config)
    x, noise = next(train.batches(config, 0)), torch.Generator().manual_seed(7)
    with torch.no_grad():
        if likelihood == "bernoulli":
            x = (torch.rand(x.shape, generator=noise) < x).float()
        mu, logvar = state.model.encode(x)
        q = D.Normal(mu, (0.5 * logvar).exp())
        out = state.model.decode(mu + q.scale * torch.randn(mu.shape, generator=noise))
        pixels = D.Bernoulli(logits=out) if likelihood == "bernoulli" else D.Normal(out, 0.3)
        nll = -pixels.log_prob(x).sum((1, 2, 3)).mean().item()
        kl = D.kl_divergence(q, D.Normal(0.0, 1.0)).sum(1).mean().item()
    _, progress = run(config, updates=1, state=state)
    assert progress[0].metrics["nll"] == pytest.approx(nll, rel=1e-5)
    assert progress[0].metrics["kl"] == pytest.approx(kl, rel=1e-4)


@pytest.mark.parametrize("network", NETWORKS)
def test_loss_falls_below_what_the_mean_picture_explains(network):
    """A model that ignores z can do no better than one probability per pixel, at the pixels' entropy."""
    p = datasets.load("glyphs", "test").images.double().mean(0) / 255
    entropy = D.Bernoulli(probs=p).entropy().sum().item()
    config = tiny(network, steps=150, lr=0.08, latent=8, hidden=32, warmup=0, batch_size=32)
    losses = [each["loss"] for each in metrics(run(config)[1])]
    assert losses[0] > 500                                    # 784 log 2 = 543: no pixel is known
    assert sum(losses[-10:]) / 10 < entropy


def test_a_larger_beta_leaves_less_in_the_code():
    kls = {}
    for beta in (0.0, 1.0, 4.0):
        _, progress = run(tiny(steps=60, lr=0.02, beta=beta, warmup=0))
        kls[beta] = sum(each["kl"] for each in metrics(progress)[-5:]) / 5
    assert kls[0.0] > 2 * kls[1.0] and kls[1.0] > kls[4.0]


def test_colour_pictures_of_32_pixels_train_under_the_gaussian_likelihood():
    config = tiny("conv", dataset="shapes", likelihood="gaussian", sigma=0.3, steps=40, lr=0.01)
    state, progress = run(config)
    nlls = [each["nll"] for each in metrics(progress)]
    assert sum(nlls[-5:]) / 5 < nlls[0] - 100
    made = train.result(config, state)
    assert made.model["channels"] == 3 and made.model["size"] == 32 and made.model["sigma"] == 0.3
    x = next(train.batches(config, 0))
    assert 0 < x.mean() < 1 and ((x > 0) & (x < 1)).any()     # it is not binarised


def test_warmup_raises_beta_from_zero_to_one_over_its_share_of_the_steps():
    config = TrainConfig(steps=1_000, warmup=0.2)
    assert [train.warmup(config, step) for step in (0, 50, 100, 200, 201, 999)] == [0, 0.25, 0.5, 1, 1, 1]
    never = TrainConfig(steps=1_000, warmup=0)
    assert [train.warmup(never, step) for step in (0, 999)] == [1, 1]


def test_warmup_and_beta_weigh_the_kl_in_the_gradient():
    """While warmup is 0 beta changes nothing; from the second update on it does."""
    after = {}
    for beta in (0.0, 4.0):
        config = tiny(beta=beta, warmup=0.5)
        state, _ = run(config, updates=1)
        once = copy.deepcopy(state.model.state_dict())
        run(config, updates=1, state=state)
        after[beta] = once, state.model.state_dict()
    assert all(torch.equal(a, b) for a, b in zip(after[0.0][0].values(), after[4.0][0].values()))
    assert any(not torch.equal(a, b) for a, b in zip(after[0.0][1].values(), after[4.0][1].values()))


def test_learning_rate_climbs_for_200_updates_and_falls_to_zero_along_half_a_cosine():
    config = TrainConfig(steps=10_000)
    assert train.cosine(config, 0) == pytest.approx(1 / 200)
    assert train.cosine(config, 5_000) == pytest.approx(0.5)
    assert train.cosine(config, 9_999) < 1e-7
    rates = [train.cosine(config, step) for step in range(10_000)]
    peak = max(range(10_000), key=rates.__getitem__)
    assert peak == 199 and 0.999 < rates[peak] <= 1
    assert all(a > b for a, b in zip(rates[peak:], rates[peak + 1:]))
    state, _ = run(tiny(steps=3, lr=0.01))
    assert state.optimizer.param_groups[0]["lr"] == pytest.approx(0.01 * train.cosine(tiny(steps=3), 2))


@pytest.mark.parametrize("ema", [0.4, 0.999])
def test_averaged_weights_equal_an_average_made_by_hand(ema):
    config = tiny(steps=12, ema=ema, lr=0.5)                  # 1/200 of it at first: steps far larger than the tolerance
    state = train.init(config)
    by_hand = [p.detach().double().clone() for p in state.model.parameters()]
    for each in train.train(config, state, train.batches(config, 0)):
        decay = min(ema, each.step / (each.step + 9))         # early on, a plain running mean, so that the start is forgotten
        by_hand = [decay * mean + (1 - decay) * p.detach().double() for mean, p in zip(by_hand, state.model.parameters())]
    for mean, averaged, last in zip(by_hand, state.ema.parameters(), state.model.parameters()):
        torch.testing.assert_close(averaged.double(), mean, rtol=0, atol=1e-6)
        assert not torch.equal(averaged, last)


def test_without_averaging_the_last_weights_are_the_result():
    config = tiny(steps=3, ema=0)
    state, _ = run(config)
    made = train.result(config, state)
    assert all(torch.equal(made.weights[name], value) for name, value in state.model.state_dict().items())


# ---- bad values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [
    {"precision": "fp16"}, {"precision": True}, {"steps": 0}, {"steps": 2.5}, {"steps": True}, {"steps": 10**9},
    {"batch_size": 0}, {"batch_size": 10_000}, {"batch_size": "16"}, {"seed": -1}, {"seed": 2**31}, {"seed": 0.5},
    {"lr": 0}, {"lr": -1e-3}, {"lr": 1.5}, {"lr": math.nan}, {"lr": True}, {"lr": "1e-3"},
    {"beta": -1}, {"beta": math.inf}, {"warmup": -0.1}, {"warmup": 1.1}, {"ema": 1}, {"ema": -0.5}, {"ema": math.nan},
    {"latent": 0}, {"latent": 513}, {"network": "resnet"}, {"width": 0}, {"blocks": -1}, {"hidden": 0},
    {"likelihood": "laplace"}, {"sigma": 0}, {"sigma": -1},
])
def test_values_out_of_range_are_refused_before_a_run_begins(fields):
    with pytest.raises(PlaygroundError) as error:
        TrainConfig(**fields)
    assert next(iter(fields)) in str(error.value)


def test_an_unknown_data_set_is_refused():
    with pytest.raises(PlaygroundError, match="nowhere"):
        train.init(tiny(dataset="nowhere"))


def test_the_ends_of_the_ranges_are_taken_as_they_are():
    for fields in ({"lr": 1e-6}, {"lr": 1}, {"beta": 0}, {"beta": 1000}, {"warmup": 0}, {"warmup": 1}, {"ema": 0}, {"ema": 0.99999}):
        assert fields.items() <= vars(TrainConfig(**fields)).items()
