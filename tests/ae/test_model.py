"""The three networks: shapes, what is tied to what, and closed forms against torch's own derivatives."""

import pytest
import torch

from playground.ae.model import ModelConfig, network
from playground.core.errors import PlaygroundError

KINDS = {
    "deep": ModelConfig(latent=5, width=32),
    "sparse": ModelConfig(network="sparse", units=40),
    "top-k": ModelConfig(network="sparse", sparsity="top-k", units=40, keep=4),
    "kl": ModelConfig(network="sparse", sparsity="kl", units=40),
    "tied": ModelConfig(network="tied", units=20),
    "colour": ModelConfig(channels=3, size=12, latent=3, width=16),
}


@pytest.fixture(params=KINDS)
def model(request):
    torch.manual_seed(0)
    return network(KINDS[request.param])


def pictures(model, n=4):
    return torch.rand((n, *model.shape), generator=torch.Generator().manual_seed(1))


def test_codes_and_pictures_have_their_shapes(model):
    x = pictures(model)
    h = model.encode(x)
    assert h.shape == (4, model.config.code) and h.dtype == torch.float32
    assert model.decode(h).shape == x.shape
    assert 0 <= model.picture(h).min() and model.picture(h).max() <= 1


def test_a_picture_s_code_does_not_depend_on_its_neighbours(model):
    x = pictures(model)
    torch.testing.assert_close(model.encode(x)[2:3], model.encode(x[2:3]), rtol=1e-4, atol=1e-6)


def test_the_deep_one_s_layers_are_the_paper_s():
    model = network(ModelConfig())
    sizes = [list(layer.weight.shape) for layer in (*model.encoder, *model.decoder) if hasattr(layer, "weight")]
    assert sizes == [[1000, 784], [500, 1000], [250, 500], [30, 250], [250, 30], [500, 250], [1000, 500], [784, 1000]]


def test_fresh_layers_pass_signals_on_in_their_size():
    torch.manual_seed(0)
    x = pictures(network(ModelConfig()), 64)
    h = network(ModelConfig()).encode(x)
    assert 0.1 < h.std(0).mean() < 3


def test_the_sparse_one_s_picture_is_the_sum_of_its_atoms():
    torch.manual_seed(0)
    model = network(KINDS["sparse"])
    h = model.encode(pictures(model))
    assert h.min() >= 0
    torch.testing.assert_close(model.atoms.norm(dim=1), torch.ones(40))
    by_hand = sum(h[0, j] * model.directions[j] / model.directions[j].norm() for j in range(40)) + model.bias
    torch.testing.assert_close(model.decode(h)[0].flatten(), by_hand, rtol=1e-4, atol=1e-5)


def test_top_k_leaves_so_many_units_and_the_sigmoid_all():
    torch.manual_seed(0)
    assert ((network(KINDS["top-k"]).encode(pictures(network(KINDS["top-k"]))) > 0).sum(1) <= 4).all()
    h = network(KINDS["kl"]).encode(pictures(network(KINDS["kl"])))
    assert 0 < h.min() and h.max() < 1


def test_the_tied_one_decodes_with_the_transpose_of_its_encoder():
    torch.manual_seed(0)
    model = network(KINDS["tied"])
    with torch.no_grad():
        model.hidden.normal_()
        model.visible.normal_()
    x = pictures(model)
    h = (x.flatten(1) @ model.weight.T + model.hidden).sigmoid()
    torch.testing.assert_close(model.encode(x), h)
    torch.testing.assert_close(model.decode(h).flatten(1), (h @ model.weight + model.visible).sigmoid())
    assert sum(p.numel() for p in model.parameters()) == 20 * 784 + 20 + 784


@pytest.mark.parametrize("fields", [
    {"network": "conv"}, {"network": None}, {"sparsity": "l0"}, {"latent": 0}, {"latent": 1.5}, {"width": 3}, {"units": 0}, {"units": 10**6},
    {"keep": 0}, {"channels": 5}, {"size": 3}, {"size": 300},
])
def test_what_no_network_can_be_is_refused(fields):
    with pytest.raises(PlaygroundError):
        ModelConfig(**fields)
