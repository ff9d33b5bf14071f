"""The VAE's networks: what goes in and comes out, and which descriptions are refused."""

import itertools
import math

import pytest
import torch

from playground.core.errors import PlaygroundError
from playground.vae.model import VAE, ModelConfig, Residual


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def seeded(number=0):
    return torch.Generator().manual_seed(number)


def model(**fields):
    torch.manual_seed(0)
    return VAE(ModelConfig(**{"latent": 5, "width": 4, "hidden": 16, **fields})).eval()


@pytest.mark.parametrize("network, size, channels", list(itertools.product(("conv", "mlp"), (28, 32, 4), (1, 3))))
@torch.no_grad()
def test_pictures_become_codes_and_codes_pictures_one_by_one(network, size, channels):
    vae = model(network=network, size=size, channels=channels, blocks=2)
    x = torch.rand((3, channels, size, size), generator=seeded())
    mu, logvar = vae.encode(x)
    assert mu.shape == logvar.shape == (3, 5)
    assert mu.std(0).min() > 0                                # different pictures, different codes
    torch.testing.assert_close(vae.encode(x[1:2])[0], mu[1:2])               # and none depends on its neighbours
    z = torch.randn((3, 5), generator=seeded(1))
    logits = vae.decode(z)
    assert logits.shape == x.shape and logits.std(0).max() > 0
    torch.testing.assert_close(vae.decode(z[1:2]), logits[1:2])


@pytest.mark.parametrize("network", ["conv", "mlp"])
@torch.no_grad()
def test_every_pixel_is_seen_and_every_pixel_is_drawn(network):
    """Gradients reach all pixels from mu, and all weights from the output: nothing is left unconnected."""
    vae = model(network=network)
    with torch.enable_grad():
        x = torch.rand((4, 1, 28, 28), generator=seeded(), requires_grad=True)
        mu, logvar = vae.encode(x)
        (vae.decode(mu).square().mean() + logvar.square().mean()).backward()
    assert x.grad.abs().amax(0).min() > 0
    for name, parameter in vae.named_parameters():
        frozen = ".f.1." in name                              # a residual's inner layer, behind its zero one at the start
        assert frozen or parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@torch.no_grad()
def test_mean_is_a_picture_even_for_absurd_codes(likelihood):
    vae = model(likelihood=likelihood)
    for scale in (0.1, 1, 1e4):
        z = scale * torch.randn((8, 5), generator=seeded())
        mean = vae.mean(z)
        assert 0 <= mean.min() and mean.max() <= 1
        out = vae.decode(z).double()
        expected = 1 / (1 + (-out).exp()) if likelihood == "bernoulli" else torch.minimum(torch.maximum(out, out * 0), out * 0 + 1)
        torch.testing.assert_close(mean.double(), expected, rtol=0, atol=1e-6)


@torch.no_grad()
def test_codes_and_logits_are_float32_under_autocast():
    vae = model()
    with torch.autocast("cpu", torch.bfloat16):
        mu, logvar = vae.encode(torch.zeros(2, 1, 28, 28))
        logits = vae.decode(mu)
    assert mu.dtype == logvar.dtype == logits.dtype == torch.float32         # the loss sums 784 terms


def test_a_residual_starts_as_the_identity():
    x = torch.randn((2, 4, 7, 7), generator=seeded())
    assert torch.equal(Residual(4)(x), x)


def test_the_mlp_has_the_weights_of_the_standard_784_400_20_example():
    by_hand = (784 * 400 + 400) + 2 * (400 * 20 + 20) + (20 * 400 + 400) + (400 * 784 + 784)
    count = sum(p.numel() for p in model(network="mlp", hidden=400, latent=20).parameters())
    assert count == by_hand == 652_824


@pytest.mark.parametrize("fields", [
    {"sigma": 0}, {"sigma": -0.1}, {"sigma": 11}, {"sigma": math.nan}, {"sigma": math.inf}, {"sigma": True}, {"sigma": "0.1"},
    {"size": 30}, {"size": 0}, {"size": -28}, {"size": 260}, {"size": 28.5}, {"size": True}, {"size": "28"}, {"size": None},
    {"likelihood": "x"}, {"likelihood": True}, {"likelihood": None}, {"network": "transformer"}, {"network": ["conv"]},
    *({name: value} for name in ("channels", "latent", "width", "blocks", "hidden") for value in (0, -1, True, 1.5, "8", None, 10**6)),
])
def test_a_description_of_no_network_is_refused_in_one_sentence(fields):
    with pytest.raises(PlaygroundError) as error:
        ModelConfig(**fields)
    assert next(iter(fields)) in str(error.value) and "\n" not in str(error.value)


def test_the_ends_of_the_ranges_are_taken_as_they_are():
    for fields in ({"sigma": 1e-3}, {"sigma": 10}, {"size": 4}, {"size": 256}, {"channels": 4}, {"latent": 512}, {"blocks": 16}):
        assert fields.items() <= vars(ModelConfig(**fields)).items()
