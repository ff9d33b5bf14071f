import dataclasses
import itertools
import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from playground.core import classifier, datasets, recipe
from playground.core.classifier import ModelConfig, TrainConfig
from playground.core.errors import PlaygroundError


def batches(start=0, size=32):
    """Ten fixed patterns under noise: a data set that needs no file."""
    prototypes = torch.rand((10, 1, 28, 28), generator=torch.Generator().manual_seed(0)).round()
    prototypes = F.avg_pool2d(prototypes, 5, stride=1, padding=2)
    for number in itertools.count(start):
        generator = torch.Generator().manual_seed(number)
        labels = torch.randint(10, (size,), generator=generator)
        yield 0.8 * prototypes[labels] + 0.2 * torch.rand((size, 1, 28, 28), generator=generator), labels


def run(config, state, updates):
    progress = classifier.train(config, state, batches(state.step))
    return list(itertools.islice(progress, updates))


def restored(config, state):
    """The state as a second process would find it: nothing but tensors and JSON passes from the old one to the new."""
    tensors, meta = recipe.pack(state)
    fresh = classifier.init(dataclasses.replace(config, seed=config.seed + 1))
    recipe.unpack(fresh, tensors, json.loads(json.dumps(meta)))
    return fresh


def test_loss_falls_within_a_few_updates():
    config = TrainConfig(steps=25)
    losses = [progress.metrics["loss"] for progress in run(config, classifier.init(config), 25)]
    assert losses[0] == pytest.approx(math.log(10), rel=0.1)  # no class is preferred before the first update
    assert sum(losses[-5:]) / 5 < 0.5 * losses[0]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_stop_and_resume_gives_the_weights_of_an_unbroken_run(precision):
    config = TrainConfig(steps=8, precision=precision)
    unbroken = classifier.init(config)
    run(config, unbroken, 8)

    first = classifier.init(config)
    run(config, first, 3)
    torch.rand(5)                                             # the global random state is no part of a run
    second = restored(config, first)
    assert [progress.step for progress in run(config, second, 8)] == [4, 5, 6, 7, 8]

    for name, value in unbroken.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
    assert torch.equal(unbroken.generator.get_state(), second.generator.get_state())


def test_first_weights_come_from_the_seed_alone():
    def first_weights(seed):
        return torch.nn.utils.parameters_to_vector(classifier.init(TrainConfig(seed=seed)).model.parameters())

    torch.manual_seed(1)
    a = first_weights(3)
    torch.manual_seed(2)
    assert torch.equal(a, first_weights(3))
    assert not torch.equal(a, first_weights(4))


def test_a_result_rebuilds_the_same_classifier():
    config = TrainConfig(steps=2)
    state = classifier.init(config)
    run(config, state, 2)
    result = classifier.result(config, state)
    rebuilt = classifier.build(result.model)
    rebuilt.load_state_dict(result.weights)
    x, _ = next(batches())
    with torch.no_grad():
        assert torch.equal(rebuilt.eval()(x), state.model.eval()(x))


def test_the_rate_rises_for_a_tenth_of_the_run_then_falls_to_nothing():
    rates = [classifier.schedule(step / 1000) for step in range(1000)]
    assert rates[0] > 0 and max(rates) <= 1.01 and rates[-1] < 1e-4
    peak = rates.index(max(rates))
    assert abs(peak - 100) <= 1
    assert rates[:peak] == sorted(rates[:peak]) and rates[peak:] == sorted(rates[peak:], reverse=True)


def test_images_are_shifted_by_up_to_two_pixels():
    dot = torch.zeros(2000, 1, 28, 28)
    dot[:, :, 13:15, 13:15] = 1                               # at the centre, which turning and scaling leave in place
    moved = classifier.moved(dot, torch.Generator().manual_seed(0))[:, 0]
    columns = torch.arange(28.0) - 13.5
    shift = (moved.sum(1) * columns).sum(1) / moved.sum((1, 2))
    assert shift.abs().max() < 2 * 1.5                        # an inverse of the scale and shear may add to the shift
    assert shift.std().item() == pytest.approx(2 / math.sqrt(3), rel=0.1)         # uniform in [-2, 2]


def test_images_are_turned_by_up_to_twelve_degrees():
    bar = torch.zeros(2000, 1, 28, 28)
    bar[:, :, 4:24, 13:15] = 1
    moved = classifier.moved(bar, torch.Generator().manual_seed(0))[:, 0]
    columns, rows = torch.arange(28.0) - 13.5, torch.arange(28.0)
    where = (moved * columns).sum(2) / moved.sum(2).clamp_min(1e-6)               # (B, 28): the bar's place in each row
    lean = torch.atan2(where[:, 18] - where[:, 9], rows[18] - rows[9])
    assert math.radians(10) < lean.abs().max() < math.radians(12) + 0.15          # a shear of 0.12 leans by 7 degrees
    assert abs(lean.mean().item()) < math.radians(1)


def test_moves_repeat_with_the_generator_and_differ_between_images():
    x = next(batches())[0][:1].expand(4, -1, -1, -1)
    a = classifier.moved(x, torch.Generator().manual_seed(5))
    assert torch.equal(a, classifier.moved(x, torch.Generator().manual_seed(5)))
    assert not torch.equal(a[0], a[1])
    assert a.min() >= 0 and a.max() <= x.max() + 1e-6


def test_chunks_do_not_change_the_answer(monkeypatch):
    model = classifier.init(TrainConfig(seed=1)).model.eval()
    x = torch.cat([x for x, _ in itertools.islice(batches(), 2)])
    whole = classifier.in_chunks(model, model.features, x)
    monkeypatch.setattr(classifier, "CHUNK", 7)
    torch.testing.assert_close(classifier.in_chunks(model, model.features, x), whole, atol=1e-5, rtol=1e-4)
    assert classifier.in_chunks(model, model.features, x[:0]).shape == (0, ModelConfig().features)


def test_probabilities_are_the_softmax_of_the_logits(monkeypatch):
    model = classifier.init(TrainConfig(seed=1)).model.eval()
    monkeypatch.setattr(classifier, "load", lambda: model)
    x, _ = next(batches())
    with torch.no_grad():
        torch.testing.assert_close(classifier.probabilities(x), model(x).softmax(1), atol=1e-6, rtol=1e-5)


def test_pixels_outside_zero_to_one_are_caught():
    model = classifier.init(TrainConfig()).model.eval()
    x, _ = next(batches())
    with pytest.raises(AssertionError, match="outside"):
        classifier.in_chunks(model, model, 2 * x - 1)


def test_scores_count_the_right_answers_and_their_errors():
    right, wrong = [4.0, 0.0], [0.0, 4.0]
    logits = torch.tensor([right, right, right, wrong])
    found = classifier.scores(logits, torch.zeros(4, dtype=torch.int64))
    assert found["test_images"] == 4 and found["accuracy"] == 0.75
    assert found["accuracy_stderr"] == pytest.approx(math.sqrt(0.75 * 0.25 / 4), abs=1e-5)
    low, high = math.log1p(math.exp(-4)), math.log1p(math.exp(4))
    assert found["cross_entropy"] == pytest.approx((3 * low + high) / 4, abs=1e-5)
    assert found["cross_entropy_stderr"] == pytest.approx((high - low) / 4, abs=1e-5)     # std 2 of 4 values, root of 4


@pytest.mark.parametrize("values", [
    {"precision": "fp64"}, {"steps": 0}, {"lr": math.nan}, {"lr": 2.0}, {"seed": -1}, {"batch_size": 1},
])
def test_a_config_out_of_range_is_refused(values):
    with pytest.raises(PlaygroundError):
        TrainConfig(**values)


@pytest.mark.parametrize(("shape", "labels"), [
    ((6, 3, 32, 32), torch.arange(6)), ((6, 1, 28, 28), None), ((6, 1, 28, 28), torch.tensor([46])),
])
def test_a_set_that_does_not_fit_is_refused(monkeypatch, shape, labels):
    images = torch.zeros(shape, dtype=torch.uint8)
    monkeypatch.setattr(datasets, "load", lambda *_: SimpleNamespace(images=images, labels=labels))
    with pytest.raises(PlaygroundError, match="pick mnist"):
        next(classifier.batches(TrainConfig(dataset="other"), 0))


def test_the_shipped_classifier_reads_at_least_992_of_1000_test_digits():
    need_mnist()
    found = classifier.evaluate(need_shipped())
    assert found["test_images"] == 10_000
    assert found["accuracy"] >= 0.992


def need_mnist():
    if not (Path(datasets.data_root()) / "MNIST/raw/t10k-images-idx3-ubyte").exists():
        pytest.skip("MNIST is not in the data root (PLAYGROUND_DATA)")


def need_shipped():
    try:
        classifier.load()
    except PlaygroundError as error:
        pytest.skip(f"no shipped classifier: {error}")
    return classifier.NAME
