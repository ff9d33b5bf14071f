"""The two players: shapes, how signals begin, that each picture is judged and drawn alone, what spectral normalisation promises."""

import pytest
import torch

from playground.core.errors import PlaygroundError
from playground.gan import maths
from playground.gan.model import GAN, ModelConfig


def pair(**fields):
    torch.manual_seed(0)
    return GAN(ModelConfig(**{"width": 4, "latent": 8, **fields}))


@pytest.mark.parametrize("channels, size", [(1, 28), (3, 32), (3, 8), (1, 44)])
def test_pictures_have_the_size_of_the_data_and_one_answer_each(channels, size):
    model = pair(channels=channels, size=size)
    x = model.picture(torch.randn(5, 8))
    assert x.shape == (5, channels, size, size) and 0 <= x.min() and x.max() <= 1
    assert model.score(x).shape == (5,) and model.score(x).dtype == torch.float32


def test_a_picture_is_drawn_and_judged_alone():
    model, z = pair().eval(), torch.randn(6, 8)
    x = model.picture(z)
    torch.testing.assert_close(model.picture(z[2:3]), x[2:3], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.score(x[4:5]), model.score(x)[4:5], rtol=1e-4, atol=1e-5)


def test_signals_keep_their_size_through_fresh_networks():
    """Else one player would begin deaf: the last features of both have a standard deviation near 1."""
    model = pair(width=16, latent=64)
    before = model.generator.body[:-1](model.generator.first(torch.randn(64, 64)).unflatten(1, (64, 7, 7)))
    assert 0.3 < before.std() < 3
    assert 0.1 < model.score(torch.rand(64, 1, 28, 28)).std() < 5


def test_gradients_reach_every_weight_of_both_players():
    model = pair()
    maths.g_loss("non-saturating", model.score(model.picture(torch.randn(8, 8)))).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_under_spectral_normalisation_no_layer_of_d_stretches_and_g_is_left_alone():
    model, plain = pair(spectral=True), pair()
    for _ in range(30):                                       # one step of the power iteration each
        model.score(torch.rand(2, 1, 28, 28))
    model.eval()
    layers = [layer for layer in model.discriminator.modules() if hasattr(layer, "parametrizations")]
    assert len(layers) == 5
    for layer in layers:
        assert torch.linalg.svdvals(layer.weight.flatten(1))[0].item() == pytest.approx(1, abs=0.02)
        assert maths.spectral_norm(layer.weight.detach(), 200).item() == pytest.approx(1, abs=0.02)
    assert model.generator.state_dict().keys() == plain.generator.state_dict().keys()


def test_the_default_model_is_small():
    model = GAN(ModelConfig())
    weights = [sum(p.numel() for p in part.parameters()) for part in (model.generator, model.discriminator)]
    assert max(weights) < 300_000


@pytest.mark.parametrize("wrong", [{"size": 30}, {"loss": "cats"}, {"latent": 0}, {"width": 999}, {"spectral": 2}, {"spectral": None}, {"channels": 5}])
def test_networks_that_cannot_be_are_refused_in_a_sentence(wrong):
    with pytest.raises(PlaygroundError) as refused:
        ModelConfig(**wrong)
    assert refused.value.sentence("zh")
