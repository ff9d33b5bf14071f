"""The figures of a diffusion model's card, against what is known exactly and against brute force."""

from types import SimpleNamespace

import pytest
import torch

from playground.core import datasets
from playground.diffusion import evaluate, maths, sample


@pytest.fixture(autouse=True)
def no_gradients(tiny):
    with torch.no_grad():
        yield


def pretender(said, classes=0, T=50, size=8, schedule="linear"):
    """A checkpoint whose network says x_0 = said(x_t, t), for pictures of the glyphs' data set."""
    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))
            self.config = SimpleNamespace(prediction="x_0", schedule=schedule, T=T, classes=classes, channels=1, size=size)

        def forward(self, x, t, y=None):
            return said(x, t)

    return SimpleNamespace(name="pretender", model=Network(), config={"dataset": "glyphs"})


def test_the_sum_of_the_bound_agrees_with_every_term_computed(monkeypatch):
    """Strata give an unbiased estimate: it lies within its own error of the sum over all t, with fresh noise for each."""
    checkpoint = pretender(lambda x, t: 0.9 * x)
    found = evaluate.bound(checkpoint, 400)
    s = maths.schedule("linear", 50)
    x = 2 * datasets.load("glyphs", "test").images[:400].float() / 255 - 1
    generator, total = torch.Generator().manual_seed(9), torch.zeros(400)
    for t in range(1, 51):
        eps, every = torch.randn(x.shape, generator=generator), torch.full((400,), t)
        x_0 = (0.9 * maths.q_sample(x, t, eps, s)).clamp(-1, 1)
        total += maths.bits_per_dimension(maths.terms(x, eps, every, x_0, s), x)
    assert found["test_images"] == 400
    assert abs(found["L_1_to_T_minus_1"] + found["L_0"] - total.mean().item()) < 4 * found["bits_per_dimension_stderr"] + 0.01
    assert found["bits_per_dimension"] == pytest.approx(found["L_T"] + found["L_1_to_T_minus_1"] + found["L_0"], abs=2e-4)


def test_a_denoiser_that_knows_the_picture_leaves_no_step_terms():
    x = 2 * datasets.load("glyphs", "test").images[:2].float() / 255 - 1
    checkpoint = pretender(lambda noisy, t: x)
    found = evaluate.bound(checkpoint, 2)
    assert found["L_1_to_T_minus_1"] == 0 and 0 <= found["L_0"] < 8


def test_multiplications_are_those_of_the_layers_counted_by_hand():
    checkpoint = sample.load("tiny")
    counted = 0

    def count(module, inputs, output):
        nonlocal counted
        if isinstance(module, torch.nn.Conv2d):
            counted += output[0].numel() * module.weight[0].numel()
        if isinstance(module, torch.nn.Linear):
            counted += module.weight.numel()

    hooks = [module.register_forward_hook(count) for module in checkpoint.model.modules()]
    found = evaluate.multiplications(checkpoint)
    for hook in hooks:
        hook.remove()
    width, places = 2 * checkpoint.model.config.width, 7 * 7
    assert found == counted + 2 * places**2 * width           # and the attention's two products


def test_a_classifier_s_card_says_what_it_knows_at_each_time():
    said = []
    found = evaluate.evaluate("tiny-guide", report=lambda done, total: said.append((done, total)))
    assert found["test_images"] == 2000 and said[-1] == (2000, 2000)
    assert 0.1 < found["accuracy_at_0.75_T"] < found["accuracy_at_0.1_T"] <= 1
    assert 0 < found["cross_entropy"] < 3 and found["cross_entropy_stderr"] > 0


def test_the_card_of_a_model_of_other_pictures_says_how_near_its_samples_lie_to_training_pictures(monkeypatch):
    monkeypatch.setattr(evaluate, "NEAREST", 12)
    monkeypatch.setattr(evaluate, "IMAGES", 20)
    found = evaluate.evaluate("tiny")
    assert found["samples_compared"] == 12 and found["nearest_training_rms"] > 0 and found["test_images_nearest_training_rms"] > 0
    assert found["parameters"] == sum(p.numel() for p in sample.load("tiny").model.parameters())
    assert found == evaluate.evaluate("tiny"), "fixed seeds"


@pytest.mark.slow
@pytest.mark.data
def test_the_card_of_a_model_of_digits_holds_each_sampler_s_figures(monkeypatch):
    monkeypatch.setattr(evaluate, "RUNS", {"ddim_2": ("ddim", 2, 200), "ddpm": ("ddpm", 0, 5)})
    monkeypatch.setattr(evaluate, "N", 200)
    monkeypatch.setattr(evaluate, "N_DDPM", 5)
    monkeypatch.setattr(evaluate, "IMAGES", 20)
    checkpoint = sample.load("ddpm-mnist")
    said = []
    found = evaluate._samples(checkpoint, [0], lambda done, total: said.append((done, total)))
    assert said[-1][0] == said[-1][1] == 2 * 200 + 1000 * 5
    for name in ("ddim_2", "ddpm"):
        assert found[f"frechet_{name}"] > 0 and found[f"frechet_{name}_std"] > 0 and found[f"seconds_per_image_{name}"] > 0
    assert found["training_images_frechet_200"] < found["frechet_ddim_2"], "two steps are too few for digits"
