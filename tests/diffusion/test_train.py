"""Diffusion's recipe: its contract, what it computes, what it shows, and that a stopped run is no other run."""

import dataclasses
import json
import math
from collections import Counter
from functools import partial

import pytest
import torch
from torch import distributions as D

import training
from playground.core import datasets, device, procedural, recipe, states
from playground.core.errors import PlaygroundError
from playground.diffusion import maths, train
from playground.diffusion.config import DATASETS, KNOBS
from playground.diffusion.model import ModelConfig, network
from playground.diffusion.train import TrainConfig

pytestmark = pytest.mark.usefixtures("one_cpu_thread")
run, bits = partial(training.run, train), training.bits

NETWORKS = {"unet": "glyphs", "classifier": "glyphs", "mlp": "ring"}


def seeded(number=0):
    return torch.Generator().manual_seed(number)


def tiny(network="unet", **fields):
    return TrainConfig(**{"network": network, "dataset": NETWORKS[network], "steps": 6, "batch_size": 16, "width": 16, "blocks": 1,
                          "precision": "fp32", **fields})


def losses(progress):
    return [each.metrics["loss"] for each in progress]


# ---- the contract of core/recipe.py ----------------------------------------------------------------------------


def test_presets_data_sets_and_knobs_are_among_those_known():
    assert set(train.PRESETS) <= set(recipe.PRESETS) and "shipped" in train.PRESETS
    assert set(DATASETS) == set(datasets.NAMES) and set(train.CHECKPOINTS.values()) <= set(DATASETS)
    for name, knob in KNOBS.items():
        for value in knob.choices or (knob.low, knob.high):
            TrainConfig(**{name: value})                      # the ends of what the page offers are no nonsense


@pytest.mark.parametrize("name", train.PRESETS)
def test_every_preset_survives_json_and_describes_a_network(name):
    config = train.PRESETS[name]
    assert recipe.config_from("diffusion", TrainConfig, json.loads(json.dumps(dataclasses.asdict(config)))) == config
    shape = train.model_config(dataclasses.replace(config, dataset="shapes"))
    assert (shape.network, shape.channels, shape.size, shape.classes) == ("unet", 3, 32, len(procedural.SHAPE_CLASSES))
    assert all(getattr(shape, field) == getattr(config, field) for field in ("width", "blocks", "T", "schedule", "prediction"))


def test_few_pictures_are_trained_on_in_small_batches():
    assert train.suited("2m", "mnist") == dataclasses.replace(train.PRESETS["2m"], dataset="mnist")
    assert train.suited("2m", "my-cats", channels=3, images=20).batch_size == 20
    assert train.suited("2m", "my-cats", channels=3, images=0).batch_size == 1
    assert train.suited("2m", "my-cats", channels=3, images=5_000).batch_size == train.PRESETS["2m"].batch_size


def test_batches_are_pictures_from_minus_one_to_one_the_same_for_the_same_number():
    config = tiny()
    stream = train.batches(config, 0)
    first = [next(stream) for _ in range(3)]
    x_0, y = next(train.batches(config, 2))
    assert torch.equal(x_0, first[2][0]) and torch.equal(y, first[2][1]) and not torch.equal(first[0][0], first[1][0])
    assert x_0.shape == (16, 1, 28, 28) and x_0.min() == -1 and 0 < x_0.max() <= 1 and y.shape == (16,)


def test_batches_of_points_continue_one_stream():
    config = tiny("mlp")
    stream = train.batches(config, 0)
    x_0 = torch.cat([next(stream)[0] for _ in range(3)])
    assert torch.equal(x_0, procedural.points("ring", 48, config.seed)) and torch.equal(next(train.batches(config, 2))[0], x_0[32:])
    assert next(stream)[1] is None


# ---- one seed, one run -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", NETWORKS)
def test_one_seed_is_one_run_to_the_bit_and_another_seed_another(network):
    config = tiny(network, steps=3)
    torch.manual_seed(1)
    state, progress = run(config)
    expected = torch.rand(3)
    torch.manual_seed(1)                                      # the global random state is no part of a run, nor is it touched
    assert torch.equal(torch.rand(3), expected)
    again, repeated = run(config)
    assert bits(state) == bits(again) and losses(progress) == losses(repeated)
    assert [(each.step, each.steps) for each in progress] == [(1, 3), (2, 3), (3, 3)] and run(config, state=state)[1] == []
    other = train.init(dataclasses.replace(config, seed=1))
    assert not torch.equal(other.model.first.weight, train.init(config).model.first.weight)
    assert not torch.equal(torch.rand(3, generator=other.generator), torch.rand(3, generator=train.init(config).generator))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("network", NETWORKS)
def test_stop_and_resume_gives_the_weights_of_an_unbroken_run(network, precision, tmp_path):
    config = tiny(network, precision=precision)
    unbroken, progress = run(config)
    state, first = run(config, updates=2)
    states.save(tmp_path / "state", state, {})
    resumed = train.init(dataclasses.replace(config, seed=99))               # whatever it held is overwritten
    states.restore(tmp_path / "state", resumed)
    resumed, rest = run(config, state=resumed)
    assert losses(first + rest) == losses(progress) and bits(resumed) == bits(unbroken)


# ---- times and classes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n, T", [(100, 1000), (8, 8), (5, 4000), (2, 2)])
def test_a_batch_has_one_time_in_each_part_of_the_range(n, T):
    generator = seeded()
    for _ in range(50):
        t = train.times(n, T, generator)
        assert t.dtype == torch.int64 and ((t - 1) // (T // n)).sort().values.tolist() == list(range(n))


@pytest.mark.parametrize("n, T", [(3, 7), (16, 5), (1, 2), (7, 2)])
def test_times_are_uniform_in_every_place_of_a_batch(n, T):
    generator, draws = seeded(), 6000
    drawn = torch.stack([train.times(n, T, generator) for _ in range(draws)])
    assert drawn.min() == 1 and drawn.max() == T
    for place in (0, n - 1):
        counts = Counter(drawn[:, place].tolist())
        assert all(counts[t] / draws == pytest.approx(1 / T, abs=4 * (1 / T / draws) ** 0.5) for t in range(1, T + 1))


def test_a_share_of_the_classes_is_withheld():
    y = torch.arange(20_000) % 10
    assert torch.equal(train.withheld(y, 10, 0.0, seeded()), y) and train.withheld(y, 10, 1.0, seeded()).eq(10).all()
    some = train.withheld(y, 10, 0.25, seeded())
    assert torch.equal(some[some < 10], y[some < 10])         # those that are told are told right
    assert (some == 10).double().mean().item() == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / 20_000) ** 0.5)
    assert train.withheld(None, 10, 0.25, seeded()) is None and train.withheld(y, 0, 0.25, seeded()) is None


# ---- what it computes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prediction", ["v", "eps", "x_0"])
def test_the_first_loss_of_a_unet_is_the_mean_square_of_what_it_is_to_predict(prediction):
    """For it begins as the zero function."""
    config = tiny(prediction=prediction, seed=7)
    (x_0, _), noise = next(train.batches(config, 0)), seeded(7)
    t = train.times(16, config.T, noise)
    eps = torch.randn(x_0.shape, generator=noise)
    a = maths.schedule("cosine").alpha_bar[t].float().view(-1, 1, 1, 1)
    expected = {"eps": eps, "x_0": x_0, "v": a.sqrt() * eps - (1 - a).sqrt() * x_0}[prediction].square().mean().item()
    assert losses(run(config, updates=1)[1]) == pytest.approx([expected], rel=1e-5)


def test_the_first_update_of_a_classifier_reports_the_cross_entropy_of_noisy_pictures():
    config = tiny("classifier", seed=7)
    state, (x_0, y), noise = train.init(config), next(train.batches(config, 0)), seeded(7)
    t = train.times(16, config.T, noise)
    a = maths.schedule("cosine").alpha_bar[t].float().view(-1, 1, 1, 1)
    with torch.no_grad():
        log_p = state.model(a.sqrt() * x_0 + (1 - a).sqrt() * torch.randn(x_0.shape, generator=noise), t).log_softmax(1)
    assert losses(run(config, updates=1, state=state)[1]) == pytest.approx([-log_p[torch.arange(16), y].mean().item()], rel=1e-5)


def test_a_unet_learns_to_tell_noise_from_glyphs():
    found = losses(run(tiny(steps=150, lr=0.02, prediction="eps"))[1])
    assert found[0] == pytest.approx(1, abs=0.05) and sum(found[-10:]) / 10 < 0.25


def test_a_classifier_learns_noisy_glyphs():
    config = tiny("classifier", steps=200, lr=0.005, ema=0.9, batch_size=32)
    state, progress = run(config)
    assert sum(losses(progress)[-10:]) / 10 < 0.8 * math.log(10)
    derived = train.result(config, state).derived
    assert set(derived) == {"times", "accuracy"} and derived["times"].shape == derived["accuracy"].shape
    assert derived["accuracy"].min() >= 0 and derived["accuracy"].max() <= 1
    assert derived["accuracy"][:10].mean() > 0.5 > derived["accuracy"][-5:].mean()       # pure noise tells no class


@pytest.mark.parametrize("prediction, schedule", [("v", "cosine"), ("x_0", "sigmoid"), ("eps", "linear")])
def test_an_mlp_learns_the_ring(prediction, schedule):
    """Its samples come to lie near the peaks, and as many at each."""
    config = tiny("mlp", steps=600, lr=0.02, batch_size=256, ema=0.99, width=32, prediction=prediction, schedule=schedule)
    state, _ = run(config)
    points = device.noise(0, range(1000), (2,))
    with torch.no_grad():
        x = train.sampled(state.ema, maths.schedule(schedule), None, points, 20)
    centres, _ = procedural.modes("ring")
    distances = torch.cdist(x.double(), centres)
    assert distances.amin(1).median() < 0.6 * torch.cdist(points.double(), centres).amin(1).median()
    shares = torch.bincount(distances.argmin(1), minlength=len(centres)) / 1000
    assert shares.min() > 0.5 / len(centres)


def test_averaged_weights_equal_an_average_made_by_hand():
    config = tiny("mlp", steps=12, ema=0.4, lr=0.5)           # 1/200 of it at first: steps far larger than the tolerance
    state = train.init(config)
    by_hand = [p.detach().double().clone() for p in state.model.parameters()]
    for each in train.train(config, state, train.batches(config, 0)):
        decay = min(0.4, each.step / (each.step + 9))         # early on, a plain running mean, so that the start is forgotten
        by_hand = [decay * mean + (1 - decay) * p.detach().double() for mean, p in zip(by_hand, state.model.parameters())]
    for mean, averaged, last in zip(by_hand, state.ema.parameters(), state.model.parameters(), strict=True):
        torch.testing.assert_close(averaged.double(), mean, rtol=0, atol=1e-6)
        assert not torch.equal(averaged, last)


def test_learning_rate_climbs_for_200_updates_and_falls_to_zero_along_half_a_cosine():
    short = [train.cosine(TrainConfig(steps=500), step) for step in range(500)]
    assert max(short) == short[49] and short[49] > 0.97, "a short training climbs for a tenth of it"
    rates = [train.cosine(TrainConfig(steps=10_000), step) for step in range(10_000)]
    peak = max(range(10_000), key=rates.__getitem__)
    assert peak == 199 and rates[0] == pytest.approx(1 / 200) and rates[5_000] == pytest.approx(0.5) and rates[-1] < 1e-7
    state, _ = run(tiny("mlp", steps=3, lr=0.01))
    assert state.optimizer.param_groups[0]["lr"] == pytest.approx(0.01 * train.cosine(tiny(steps=3), 2))


def test_no_update_follows_a_gradient_longer_than_one():
    config = tiny("mlp")
    state = train.init(config)
    with torch.no_grad():
        state.model.last.weight.mul_(1000)
    run(config, updates=1, state=state)
    assert torch.cat([p.grad.flatten() for p in state.model.parameters()]).norm().item() == pytest.approx(1, rel=1e-4)


def test_bf16_trains_other_bits_but_the_same_model(monkeypatch):
    monkeypatch.setattr(device, "_computes_bf16", lambda: True)       # imitated where it must be
    (_, a), (half, b) = run(tiny()), run(tiny(precision="bf16"))
    assert losses(a) != losses(b) and losses(b) == pytest.approx(losses(a), rel=0.01)
    assert {p.dtype for p in half.model.parameters()} == {torch.float32}


@pytest.mark.gpu
@pytest.mark.parametrize("network", NETWORKS)
def test_a_gpu_trains_previews_and_measures_as_a_cpu_does(network):
    config = tiny(network)
    state, progress = run(config)
    shown, derived = train.preview(config, state), train.result(config, state).derived
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "for_", lambda purpose: torch.device("cpu"))
        assert losses(progress) == pytest.approx(losses(run(config)[1]), rel=0.01)
    assert shown.device.type == "cpu" and all(value.device.type == "cpu" for value in derived.values())


# ---- what it shows ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields, shape", [
    ({"network": "unet"}, (16, 1, 28, 28)), ({"network": "unet", "T": 4}, (16, 1, 28, 28)), ({"network": "classifier"}, (16, 1, 28, 28)),
    ({"network": "unet", "dataset": "shapes", "prediction": "x_0"}, (16, 3, 32, 32)), ({"network": "mlp"}, (1, 1, 48, 48)),
])
def test_a_preview_shows_the_same_noise_and_leaves_the_state_alone(fields, shape):
    config = tiny(**fields, steps=2)
    state, _ = run(config)
    before = bits(state)
    shown = train.preview(config, state)
    assert shown.shape == shape and shown.dtype == torch.float32 and 0 <= shown.min() < shown.max() <= 1
    assert torch.equal(train.preview(config, state), shown) and bits(state) == before


def test_a_preview_of_points_has_the_plane_s_upright():
    """A network that sends all to (1, -2) lights one square of 1/8 a side: to the right and below the middle."""
    config = tiny("mlp", prediction="x_0")
    state = train.init(config)
    for parameter in state.ema.last.parameters():
        parameter.zero_()
    state.ema.last.bias.copy_(torch.tensor([1.01, -2.01]))
    shown = train.preview(config, state)[0, 0]
    assert shown.sum() == 1 and shown[int((3 + 2.01) * 8), int((3 + 1.01) * 8)] == 1


# ---- what it leaves --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prediction", ["v", "x_0"])
def test_result_holds_the_averaged_model_and_its_errors_by_hand(prediction):
    config = tiny(steps=20, lr=0.02, prediction=prediction, schedule="linear", T=200)
    state, _ = run(config)
    before = bits(state)
    made = train.result(config, state)
    assert bits(state) == before

    model = network(ModelConfig(**json.loads(json.dumps(dict(made.model))))).eval()
    model.load_state_dict(made.weights)
    held_out, s = datasets.load("glyphs", "test"), maths.schedule("linear", 200)
    x_0, y = 2 * held_out.images[:train.HELD_OUT].float() / 255 - 1, held_out.labels[:train.HELD_OUT]
    eps = device.noise(train.PREVIEW_SEED, range(train.HELD_OUT), (1, 28, 28))
    times = made.derived["times"].tolist()
    assert times == [1, *maths.log_spaced(train.TIMES, 200).tolist()]
    for i in (0, 1, 20, -1):
        t, a = times[i], s.alpha_bar[times[i]].item()
        x_t = a**0.5 * x_0 + (1 - a) ** 0.5 * eps
        with torch.no_grad():
            said = model(x_t, torch.full((train.HELD_OUT,), t), y)
        x_0_hat = said if prediction == "x_0" else a**0.5 * x_t - (1 - a) ** 0.5 * said
        off = (x_0_hat - x_0).square().mean().item()
        expected = {"x_0": off, "eps": off * a / (1 - a), "v": off / (1 - a), "score": off * a / (1 - a) ** 2}
        for form, value in expected.items():
            assert made.derived[f"error_{form}"][i].item() == pytest.approx(value, rel=1e-3), (form, t)
        mean, variance = maths.posterior(x_t, x_0, t, s)
        mean_p, _ = maths.posterior(x_t, x_0_hat.clamp(-1, 1), t, s)
        nats = (D.kl_divergence(D.Normal(mean, variance.sqrt()), D.Normal(mean_p, variance.sqrt())).sum((1, 2, 3)) if t > 1
                else maths.decoder_term(x_0, mean_p, s.beta[1].sqrt().float()))
        each = nats / (784 * math.log(2))
        assert made.derived["bound"][i].item() == pytest.approx(each.mean().item(), rel=1e-3, abs=1e-8)
        assert made.derived["bound_stderr"][i].item() == pytest.approx((each.std() / train.HELD_OUT**0.5).item(), rel=1e-3, abs=1e-8)
    q = D.Normal(s.alpha_bar[200].sqrt().float() * x_0, (1 - s.alpha_bar[200]).sqrt().float())
    expected = D.kl_divergence(q, D.Normal(0.0, 1.0)).sum((1, 2, 3)).mean() / (784 * math.log(2))
    assert made.derived["L_T"].item() == pytest.approx(expected.item(), rel=0.02)        # 1e-5 bits: few digits in float32


def test_training_lowers_the_bound():
    config = tiny(steps=150, lr=0.005, T=20, ema=0.9)
    before = train.result(config, train.init(config)).derived
    state, _ = run(config)
    after = train.result(config, state).derived
    names = {"times", "bound", "bound_stderr", "error_eps", "error_x_0", "error_v", "error_score", "L_T"}
    assert set(after) == set(before) == names and after["times"].tolist() == list(range(1, 21))          # no more times than there are
    for derived in (before, after):
        assert all(value.isfinite().all() for value in derived.values()) and derived["bound"].min() > 0 and derived["L_T"] > 0
    assert after["bound"].sum() + after["L_T"] < 0.6 * (before["bound"].sum() + before["L_T"])


def test_nothing_is_derived_of_points():
    config = tiny("mlp", steps=1)
    made = train.result(config, run(config)[0])
    assert made.derived == {} and (made.model["network"], made.model["classes"]) == ("mlp", 0)


# ---- bad values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [
    {"precision": "fp16"}, {"precision": True}, {"steps": 0}, {"steps": 2.5}, {"steps": True}, {"steps": 10**9},
    {"batch_size": 0}, {"batch_size": 10_000}, {"batch_size": "16"}, {"seed": -1}, {"seed": 2**31}, {"seed": 0.5},
    {"lr": 0}, {"lr": -1e-3}, {"lr": 1.5}, {"lr": math.nan}, {"lr": True}, {"lr": "1e-3"},
    {"drop": -0.1}, {"drop": 1.1}, {"drop": math.nan}, {"ema": 1}, {"ema": -0.5}, {"ema": math.nan},
    {"network": "resnet"}, {"width": 0}, {"width": 24}, {"blocks": 0}, {"T": 1}, {"T": 5000}, {"schedule": "flat"}, {"prediction": "score"},
])
def test_values_out_of_range_are_refused_before_a_run_begins(fields):
    with pytest.raises(PlaygroundError) as error:
        TrainConfig(**fields)
    assert next(iter(fields)) in str(error.value) and "\n" not in str(error.value)


def test_a_data_set_that_is_unknown_or_has_no_classes_is_refused(monkeypatch):
    with pytest.raises(PlaygroundError, match="nowhere"):
        train.init(tiny(dataset="nowhere"))
    glyphs = datasets.load("glyphs", "test")
    monkeypatch.setattr(datasets, "load", lambda *_: dataclasses.replace(glyphs, labels=None, classes=()))
    assert train.init(tiny()).model.config.classes == 0       # a U-Net needs none
    with pytest.raises(PlaygroundError, match="classes"):
        train.init(tiny("classifier"))
