"""What a trained GAN answers, against its own networks used by hand."""

import dataclasses
from types import MappingProxyType

import numpy as np
import pytest
import torch

from playground import __main__ as cli
from playground.core import checkpoints, datasets, device
from playground.core.errors import PlaygroundError
from playground.core.inputs import SEED_MAX
from playground.gan import config, maths, sample

ALL = ("tiny-mnist", "tiny-critic", "tiny-spectral", "tiny-squares", "tiny-colour")


@pytest.fixture(autouse=True)
def models(tiny):
    """The checkpoints of conftest."""


@pytest.fixture(params=ALL)
def checkpoint(request):
    return sample.load(request.param)


def test_a_picture_belongs_to_one_seed_in_any_batch(checkpoint, monkeypatch):
    x = sample.images(checkpoint.name, 5, 3)
    assert x.shape == (5, *checkpoint.model.shape) and x.dtype == torch.float32 and 0 <= x.min() and x.max() <= 1
    monkeypatch.setattr(sample, "BATCH", 2)
    torch.testing.assert_close(sample.images(checkpoint.name, 5, 3), x, rtol=1e-4, atol=1e-4)
    for i in (0, 4):
        torch.testing.assert_close(sample.images(checkpoint.name, 1, 3 + i), x[i:i + 1], rtol=1e-4, atol=1e-4)
    z = device.noise(5, [0], (8,))
    with torch.no_grad():
        torch.testing.assert_close((checkpoint.model.generator(z) + 1) / 2, x[2:3], rtol=1e-4, atol=1e-4)


def test_the_command_line_draws_the_picture_of_the_page(tmp_path):
    out = tmp_path / "grid.npy"
    assert cli.main(["sample", "tiny-mnist", "--n", "3", "--seed", "41", "--out", str(out)]) == 0
    drawn = sample.draw(sample.load("tiny-mnist"), sample.latents(sample.load("tiny-mnist"), [41, 42, 43]))
    assert np.abs(np.load(out, allow_pickle=False).astype(int) - (255 * drawn[:, 0]).round().numpy()).max() <= 1


def test_after_the_largest_seed_comes_the_smallest():
    assert sample.following(SEED_MAX - 1, 4) == [SEED_MAX - 1, SEED_MAX, 0, 1]
    assert sample.latents(sample.load("tiny-mnist"), []).shape == (0, 8)


def test_what_d_says_is_a_probability_where_its_loss_makes_it_one(checkpoint):
    x = torch.cat([sample.images(checkpoint.name, 3, 0), datasets.load(checkpoint.config["dataset"], "test").images[:3].float() / 255])
    with torch.no_grad():
        logits = checkpoint.model.discriminator(2 * x - 1)
    torch.testing.assert_close(sample.score(checkpoint, x), logits, rtol=1e-3, atol=1e-4)
    said = sample.opinion(checkpoint, x)
    torch.testing.assert_close(said, logits.sigmoid() if checkpoint.model.config.loss == "non-saturating" else logits, rtol=1e-3, atol=1e-4)
    assert sample.taken_for_real(checkpoint, x).tolist() == (logits > checkpoint.derived["boundary"]).tolist()


def test_snapshots_come_back_from_early_to_late_and_the_last_is_the_model(checkpoint):
    moments = sample.moments(checkpoint)
    steps = checkpoint.config["train"]["steps"]
    assert [moment.step for moment in moments] == sorted({*config.moments(steps), steps})
    assert moments[-1].checkpoint is checkpoint
    z = sample.latents(checkpoint, range(4))
    pictures = [sample.draw(moment.checkpoint, z) for moment in moments]
    assert all((a - b).abs().max() > 1e-3 for a, b in zip(pictures, pictures[1:]))
    assert [each.checkpoint for each in sample.moments(checkpoint)[:-1]] == [each.checkpoint for each in moments[:-1]], "kept"


def test_a_snapshot_of_another_network_is_refused(monkeypatch):
    found = sample.load("tiny-mnist")
    step = sample.moments(found)[0].step
    broken = dataclasses.replace(found, model=sample.build(found.config["model"]), derived=MappingProxyType({**found.derived, f"{step}.weights": torch.zeros(5, dtype=torch.int8)}))
    with pytest.raises(PlaygroundError, match="tiny-mnist"):
        sample.moments(broken)


def test_a_blend_at_a_seed_is_that_seed_and_weighs_as_the_formula_says():
    checkpoint = sample.load("tiny-mnist")
    z, weights = sample.blend(checkpoint, [4, 5, 6, 7], 1.0, 0.0)
    torch.testing.assert_close(z, sample.latents(checkpoint, [5])[0])
    z, weights = sample.blend(checkpoint, [4, 5, 6, 7], 0.25, 0.5)
    by_hand = torch.tensor([0.375, 0.125, 0.375, 0.125])
    by_hand = by_hand / by_hand.norm()
    torch.testing.assert_close(weights, by_hand)
    torch.testing.assert_close(z, sum(w * sample.latents(checkpoint, [s])[0] for w, s in zip(by_hand, (4, 5, 6, 7))))


def test_both_paths_lead_from_a_to_b():
    checkpoint = sample.load("tiny-mnist")
    a, b = sample.latents(checkpoint, [1, 2])
    codes = sample.path(checkpoint, a, b, 7)
    assert codes.shape == (2, 7, 8)
    for line in codes:
        torch.testing.assert_close(line[0], a)
        torch.testing.assert_close(line[-1], b)
    torch.testing.assert_close(codes[0, 3], (a + b) / 2)
    assert codes[1, 3].norm() > codes[0, 3].norm()


def test_directions_are_the_first_layer_s(checkpoint):
    vectors, share = sample.directions(checkpoint)
    W = checkpoint.model.generator.first.weight
    _, values, Vh = torch.linalg.svd(W)
    torch.testing.assert_close((vectors * Vh).sum(1).abs(), torch.ones(8), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(share, values.square() / values.square().sum(), rtol=1e-3, atol=1e-4)


def test_a_checkpoint_without_its_boundary_is_refused(monkeypatch):
    found = sample.load("tiny-mnist")
    for derived in ({}, {**found.derived, "boundary": torch.ones(3)}):
        monkeypatch.setattr(checkpoints, "load", lambda *_: dataclasses.replace(found, derived=MappingProxyType(dict(derived))))
        with pytest.raises(PlaygroundError, match="tiny-mnist"):
            sample.load("tiny-mnist")


def test_truncation_is_the_picture_of_the_shorter_code():
    checkpoint = sample.load("tiny-mnist")
    z = sample.latents(checkpoint, [9])
    torch.testing.assert_close(sample.draw(checkpoint, maths.truncated(z, 0.5)), sample.draw(checkpoint, z / 2))
