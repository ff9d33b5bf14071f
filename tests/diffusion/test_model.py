"""Diffusion's networks: what goes in and comes out, how they begin, and which descriptions are refused."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from playground.core.errors import PlaygroundError
from playground.diffusion.model import HEADS, Attention, Block, ModelConfig, Time, network


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def seeded(number=0):
    return torch.Generator().manual_seed(number)


def fresh(kind="unet", **fields):
    torch.manual_seed(0)
    return network(ModelConfig(**{"network": kind, "width": 16, "blocks": 1, **fields})).eval()


def awake(kind="unet", **fields):
    """A network none of whose layers is zero, as they are at first."""
    model = fresh(kind, **fields)
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return model


def noisy(config, n=3):
    """n inputs of what a config describes and their times."""
    shape = (2,) if config.network == "mlp" else (config.channels, config.size, config.size)
    return torch.randn((n, *shape), generator=seeded()), torch.randint(1, config.T + 1, (n,), generator=seeded(1))


# ---- what goes in and comes out --------------------------------------------------------------------------------

DESCRIBED = [
    {"classes": 10}, {"classes": 0}, {"patch": 1}, {"patch": 1, "channels": 3, "size": 32, "classes": 6}, {"channels": 3, "size": 32, "width": 32},
    {"size": 32, "patch": 4, "blocks": 2}, {"size": 28, "channels": 4, "blocks": 3, "T": 2},
]


@pytest.mark.parametrize("fields", DESCRIBED)
@torch.no_grad()
def test_every_picture_has_a_prediction_that_does_not_depend_on_the_others(fields):
    model = awake(**fields)
    x, t = noisy(model.config)
    y = torch.tensor([0, 2, 1]) if model.config.classes else None
    out = model(x, t, y)
    assert out.shape == x.shape and out.dtype == torch.float32 and out.std(0).min() > 0
    assert torch.equal(model(x, t, y), out)                   # no chance inside
    torch.testing.assert_close(model(x[1:2], t[1:2], None if y is None else y[1:2]), out[1:2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fields", [{"classes": 10}, {"classes": 2, "patch": 1}, {"channels": 3, "size": 32, "classes": 6, "blocks": 2}])
@torch.no_grad()
def test_every_picture_has_logits_that_do_not_depend_on_the_others(fields):
    model = awake("classifier", **fields)
    x, t = noisy(model.config)
    out = model(x, t)
    assert out.shape == (3, model.config.classes) and out.std(0).min() > 0
    assert torch.equal(model(x, t), out)
    torch.testing.assert_close(model(x[1:2], t[1:2]), out[1:2], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_every_point_has_a_prediction_that_does_not_depend_on_the_others():
    model = awake("mlp", classes=0, blocks=2)
    x, t = noisy(model.config)
    out = model(x, t)
    assert out.shape == (3, 2) and torch.equal(model(x, t), out)
    torch.testing.assert_close(model(x[1:2], t[1:2]), out[1:2])


@pytest.mark.parametrize("kind", ["unet", "classifier", "mlp"])
def test_every_number_is_seen_and_every_weight_is_used(kind):
    model = awake(kind)
    x, t = noisy(model.config, 8)
    x.requires_grad_()
    out = model(x, t, torch.arange(3, 11)) if kind == "unet" else model(x, t)            # 10: no class given
    (out * torch.randn(out.shape, generator=seeded(2))).sum().backward()
    assert x.grad.abs().amax(0).min() > 0
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().max() > 0, name


@torch.no_grad()
def test_the_prediction_depends_on_the_time_and_on_the_class():
    model = awake()
    x, t = noisy(model.config, 1)
    said = [model(x, t, y) for y in (None, torch.tensor([3]), torch.tensor([4]))] + [model(x, t % 1000 + 1), model(x, t + 300 - 600 * (t > 500))]
    assert all((a - b).abs().max() > 1e-5 for i, a in enumerate(said) for b in said[:i])


@torch.no_grad()
def test_no_class_is_the_class_after_the_last():
    model = awake(classes=6)
    x, t = noisy(model.config)
    assert torch.equal(model(x, t), model(x, t, torch.full((3,), 6)))
    with pytest.raises(IndexError):
        model(x, t, torch.full((3,), 7))
    untold = awake(classes=0)
    assert torch.equal(untold(x, t), untold(x, t, torch.full((3,), 6)))


@pytest.mark.parametrize("kind", ["unet", "classifier", "mlp"])
def test_one_seed_makes_the_same_weights(kind):
    a, b = fresh(kind).state_dict(), fresh(kind).state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)


# ---- time ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["unet", "classifier", "mlp"])
@torch.no_grad()
def test_the_same_share_of_the_way_is_the_same_time_whatever_t(kind):
    fine, coarse = awake(kind, T=1000), awake(kind, T=250)
    coarse.load_state_dict(fine.state_dict())
    x, _ = noisy(fine.config)
    torch.testing.assert_close(coarse(x, torch.tensor([125, 1, 250])), fine(x, torch.tensor([500, 4, 1000])))


@torch.no_grad()
def test_time_is_said_by_sines_and_cosines():
    time = Time(ModelConfig(), 8, told=False)
    time.mlp = nn.Identity()
    angles = torch.tensor([[t * 10_000 ** (-i / 32) for i in range(32)] for t in (1, 777)], dtype=torch.float64)
    expected = F.silu(torch.cat([angles.sin(), angles.cos()], 1)).float()
    torch.testing.assert_close(time(torch.tensor([1, 777])), expected, rtol=0, atol=2e-4)            # angles of 777 in float32


# ---- how it begins ---------------------------------------------------------------------------------------------


@torch.no_grad()
def test_a_unet_begins_as_the_zero_function():
    """So that its first loss is the variance of what it predicts, and nothing has to be unlearnt."""
    model = fresh()
    x, t = noisy(model.config)
    assert model(x, t, torch.tensor([0, 1, 10])).eq(0).all()


@torch.no_grad()
def test_a_block_and_an_attention_begin_as_their_skip():
    x, time = torch.randn((2, 16, 6, 6), generator=seeded()), torch.randn((2, 12), generator=seeded(1))
    assert torch.equal(Block(16, 16, 12)(x, time), x)
    wider = Block(16, 24, 12)
    assert torch.equal(wider(x, time), wider.skip(x)) and wider(x, time).shape == (2, 24, 6, 6)
    assert torch.equal(Attention(16)(x), x)


@torch.no_grad()
def test_a_block_scales_and_shifts_by_the_time():
    """With convolutions that pass each channel on: AdaGN (Dhariwal & Nichol 2021, section 3) by hand."""
    block, x, time = Block(8, 8, 12), torch.randn((2, 8, 5, 5), generator=seeded()), torch.randn((2, 12), generator=seeded(1))
    for conv in (block.conv1, block.conv2):
        nn.init.dirac_(conv.weight)
        nn.init.zeros_(conv.bias)
    scale, shift = block.time(time).view(2, 2, 8, 1, 1).unbind(1)
    h = (1 + scale) * F.group_norm(F.silu(F.group_norm(x, 8)), 8) + shift
    torch.testing.assert_close(block(x, time), x + F.silu(h))


@torch.no_grad()
def test_attention_agrees_with_torch_s():
    torch.manual_seed(0)
    attention, x = Attention(16), torch.randn((2, 16, 5, 3), generator=seeded())
    nn.init.dirac_(attention.out.weight)                      # passes each channel on
    q, k, v = attention.qkv(F.group_norm(x, 8)).view(2, 3, HEADS, 4, 15).transpose(3, 4).unbind(1)       # (B, heads, positions, 4)
    expected = F.scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(x.shape)
    assert expected.std() > 0.05
    torch.testing.assert_close(attention(x), x + expected)


@torch.no_grad()
def test_attention_follows_its_positions():
    """It sees which position holds what, not where: shuffled in, shuffled out."""
    torch.manual_seed(0)
    attention, x, order = Attention(16), torch.randn((2, 16, 4, 4), generator=seeded()), torch.randperm(16, generator=seeded(1))
    nn.init.normal_(attention.out.weight)
    shuffled = x.flatten(2)[:, :, order].view(x.shape)
    torch.testing.assert_close(attention(shuffled).flatten(2), attention(x).flatten(2)[:, :, order], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_memory_layout_changes_no_result():
    model = awake()
    plain = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
    x, t = noisy(model.config)
    torch.testing.assert_close(model(x, t), plain(x.contiguous(memory_format=torch.channels_last), t), rtol=1e-4, atol=1e-5)


# ---- bad values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [
    {"network": "resnet"}, {"network": None}, {"schedule": "quadratic"}, {"prediction": "score"}, {"size": 30}, {"size": 0}, {"size": -28},
    {"size": 28, "patch": 4}, {"width": 40}, {"width": 0}, {"width": 1024}, {"T": 1}, {"T": 4001}, {"classes": 1001}, {"classes": -1},
    {"classes": 1, "network": "classifier"}, {"classes": 0, "network": "classifier"}, {"channels": 5}, {"patch": 9},
    *({name: value} for name in ("channels", "size", "patch", "width", "blocks", "T", "classes")
      for value in (-1, True, 1.5, "8", None, math.nan, math.inf, 10**6)),
])
def test_a_description_of_no_network_is_refused_in_one_sentence(fields):
    with pytest.raises(PlaygroundError) as error:
        ModelConfig(**fields)
    assert next(iter(fields)) in str(error.value) and "\n" not in str(error.value)


def test_the_ends_of_the_ranges_are_taken_as_they_are():
    for fields in ({"T": 2}, {"T": 4000}, {"width": 16}, {"width": 512}, {"size": 4}, {"size": 32, "patch": 8}, {"channels": 4}, {"blocks": 8},
                   {"classes": 0}, {"classes": 1000}, {"classes": 2, "network": "classifier"}):
        assert fields.items() <= vars(ModelConfig(**fields)).items()
