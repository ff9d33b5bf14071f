"""What a trained autoencoder answers, against its own networks used by hand."""

import dataclasses
from types import MappingProxyType

import pytest
import torch

from playground.ae import maths, sample
from playground.core import checkpoints, datasets, device
from playground.core.errors import PlaygroundError

ALL = ("tiny-30d", "tiny-sparse", "tiny-top-k", "tiny-kl", "tiny-contractive", "tiny-colour")


@pytest.fixture(autouse=True)
def models(tiny):
    """The checkpoints of conftest."""


@pytest.fixture(params=ALL)
def checkpoint(request):
    return sample.load(request.param)


def pictures_for(checkpoint, n=3):
    return datasets.load(checkpoint.config["dataset"], "test").images[:n].float() / 255


def test_codes_and_pictures_are_those_of_the_network_in_any_batch(checkpoint, monkeypatch):
    x = pictures_for(checkpoint, 5)
    with torch.no_grad():
        h = checkpoint.model.encode(x)
        x_hat = checkpoint.model.decode(h).clamp(0, 1)
    monkeypatch.setattr(sample, "BATCH", 2)
    torch.testing.assert_close(sample.encode(checkpoint, x), h, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(sample.decode(checkpoint, h), x_hat, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(sample.reconstruct(checkpoint.name, x), x_hat, rtol=1e-3, atol=1e-3)


def test_a_drawn_picture_is_that_of_its_seed_in_any_number(checkpoint):
    x = sample.images(checkpoint.name, 5, 3)
    assert x.shape == (5, *checkpoint.model.shape) and x.dtype == torch.float32 and 0 <= x.min() and x.max() <= 1
    torch.testing.assert_close(sample.images(checkpoint.name, 2, 3), x[:2], rtol=1e-4, atol=1e-4)
    assert (sample.images(checkpoint.name, 5, 4) - x).abs().max() > 0.05


def test_drawn_codes_have_the_mean_and_covariance_of_the_training_codes():
    checkpoint = sample.load("tiny-30d")
    codes = sample.encode(checkpoint, datasets.load("glyphs").images.float() / 255)
    drawn = sample.draw(checkpoint, 4_000, 0)
    scale = codes.std(0)
    assert ((drawn.mean(0) - codes.mean(0)).abs() < 0.08 * scale).all()
    difference = (torch.cov(drawn.T) - torch.cov(codes.T)) / (scale[:, None] * scale)
    assert difference.abs().max() < 0.12


def test_drawn_codes_of_a_hidden_layer_are_what_its_units_can_be():
    assert sample.draw(sample.load("tiny-sparse"), 50, 0).min() >= 0
    for name in ("tiny-kl", "tiny-contractive"):
        h = sample.draw(sample.load(name), 50, 0)
        assert 0 <= h.min() and h.max() <= 1


def test_the_jacobian_in_closed_form_is_that_of_torch(checkpoint):
    x = pictures_for(checkpoint, 1)[0]
    torch.testing.assert_close(sample.jacobian(checkpoint, x), maths.jacobian(checkpoint.model.encode, x), rtol=1e-3, atol=1e-5)


def test_a_look_at_a_picture_adds_up(checkpoint):
    x = pictures_for(checkpoint, 1)[0]
    seen = sample.look(checkpoint, x)
    torch.testing.assert_close(seen.x_hat, sample.reconstruct(checkpoint.name, x[None])[0])
    assert seen.error == pytest.approx((seen.x_hat - x).square().sum().item(), rel=1e-5)
    by_hand = sum(abs(h) > 0.01 * top and top > 0 for h, top in zip(seen.h.tolist(), checkpoint.derived["largest"].tolist()))
    assert seen.active == by_hand
    assert seen.jacobian == pytest.approx(maths.jacobian(checkpoint.model.encode, x).norm().item(), rel=1e-3)


def test_a_deep_one_has_pca_beside_it_and_no_other():
    assert sample.principal(sample.load("tiny-sparse")) is None
    basis, x = sample.principal(sample.load("tiny-30d")), pictures_for(sample.load("tiny-30d"), 50)
    exact = maths.pca(datasets.load("glyphs").images, 12)
    torch.testing.assert_close(maths.pca_errors(x, basis)[:, 12], maths.pca_errors(x, exact)[:, 12], rtol=5e-3, atol=1e-2)       # fp16 on disk


def test_a_checkpoint_that_does_not_say_what_views_need_is_refused(monkeypatch):
    found = sample.load("tiny-30d")
    for derived in ({}, {**found.derived, "largest": torch.ones(3)}):
        monkeypatch.setattr(checkpoints, "load", lambda *_: dataclasses.replace(found, derived=MappingProxyType(dict(derived))))
        with pytest.raises(PlaygroundError, match="tiny-30d"):
            sample.load("tiny-30d")


def test_noise_is_that_of_the_seed_and_the_index():
    checkpoint = sample.load("tiny-30d")
    z, eps = sample.draw(checkpoint, 3, 9), device.noise(9, range(3), (12,))
    torch.testing.assert_close(z[1], checkpoint.derived["mean"] + checkpoint.derived["spread"] @ eps[1])


def test_copies_of_held_out_pictures_are_the_decodes_of_the_kept_codes(tiny):
    name, found = sample.copies()
    checkpoint = sample.load(sample.config.FIRST)
    assert name == checkpoint.config["dataset"] and torch.equal(found, sample.decode(checkpoint, checkpoint.derived["codes"]))
    assert sample.copies()[1] is found
