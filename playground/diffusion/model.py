"""Two networks for noisy pictures, a U-Net that predicts the noise and a classifier that guides, and one for points.

A picture's blocks of patch x patch pixels become the channels of one position first (Shi et al. 2016), so that a
28x28 digit is worked on at 14x14 and 7x7: there a CPU is fast.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import ModelConfig

FREQUENCIES = 32             # of the sines and cosines that say t to a network
HEADS = 4                    # of an attention


class Time(nn.Module):
    """t (B,) in 1..T, and a class where there are any -> (B, width), what tells each block how noisy its input is."""

    def __init__(self, config: ModelConfig, width: int, told: bool) -> None:
        super().__init__()
        self.T = config.T
        self.mlp = nn.Sequential(nn.Linear(2 * FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))
        self.label = nn.Embedding(config.classes + 1, width) if told and config.classes else None      # the last: none given

    def forward(self, t: Tensor, y: Tensor | None = None) -> Tensor:
        frequencies = torch.exp(torch.arange(FREQUENCIES, device=t.device) * (-math.log(10_000) / FREQUENCIES))
        angles = (1000 / self.T) * t.float()[:, None] * frequencies              # as at T = 1000 (Vaswani et al. 2017)
        out = self.mlp(torch.cat([angles.sin(), angles.cos()], dim=1))
        if self.label is not None:
            out = out + self.label(torch.full_like(t, self.label.num_embeddings - 1) if y is None else y)
        return F.silu(out)


class Block(nn.Module):
    """x + f(x, time): two 3x3 convolutions, between them a scale and shift by the time (Dhariwal & Nichol 2021, AdaGN)."""

    def __init__(self, inputs: int, outputs: int, time: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(8, inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time = nn.Linear(time, 2 * outputs)
        self.norm2, self.conv2 = nn.GroupNorm(8, outputs), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.time(time)[:, :, None, None].chunk(2, dim=1)
        h = torch.addcmul(shift, self.norm2(h), 1 + scale)
        return self.skip(x) + self.conv2(F.silu(h))


class Attention(nn.Module):
    """x + f(x): every position looks at all others (Vaswani et al. 2017)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.qkv, self.out = nn.Conv2d(width, 3 * width, 1), nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).flatten(2).unflatten(1, (3 * HEADS, -1)).transpose(2, 3).chunk(3, dim=1)
        weights = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(3)         # written out: on a CPU faster than the fused one
        return x + self.out((weights @ v).transpose(2, 3).reshape(x.shape))


class UNet(nn.Module):
    """x_t (B, C, H, W), t (B,) int64, y (B,) int64 or None -> the prediction, like x_t. y == classes says: none given.

    Ronneberger et al. 2015, as in DDPM, appendix B: each map on the way up is joined by its counterpart on the way down.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        w, pixels = config.width, config.channels * config.patch**2
        self.time = Time(config, time := 4 * w, told=True)
        self.first = nn.Conv2d(pixels, w, 3, padding=1)
        self.fine_in = nn.ModuleList(Block(w, w, time) for _ in range(config.blocks))
        self.down = nn.Conv2d(w, 2 * w, 3, stride=2, padding=1)
        self.coarse_in = nn.ModuleList(Block(2 * w, 2 * w, time) for _ in range(config.blocks))
        self.middle = nn.ModuleList([Attention(2 * w), Block(2 * w, 2 * w, time)])
        self.coarse_out = nn.ModuleList(Block(4 * w, 2 * w, time) for _ in range(config.blocks))
        self.up = nn.Conv2d(2 * w, 4 * w, 1)
        self.fine_out = nn.ModuleList(Block(2 * w, w, time) for _ in range(config.blocks))
        self.last = nn.Sequential(nn.GroupNorm(8, w), nn.SiLU(), nn.Conv2d(w, pixels, 3, padding=1))
        nn.init.zeros_(self.last[-1].weight)
        nn.init.zeros_(self.last[-1].bias)

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        time = self.time(t, y)
        h = self.first(F.pixel_unshuffle(x, self.config.patch).contiguous(memory_format=torch.channels_last))
        seen = []
        for block in self.fine_in:
            seen.append(h := block(h, time))
        h = self.down(h)
        for block in self.coarse_in:
            seen.append(h := block(h, time))
        attention, block = self.middle
        h = block(attention(h), time)
        for block in self.coarse_out:
            h = block(torch.cat([h, seen.pop()], dim=1), time)
        h = F.pixel_shuffle(self.up(h), 2)
        for block in self.fine_out:
            h = block(torch.cat([h, seen.pop()], dim=1), time)
        return F.pixel_shuffle(self.last(h), self.config.patch).float()


class Classifier(nn.Module):
    """x_t (B, C, H, W), t (B,) int64 -> logits (B, classes) of p(y | x_t): the U-Net's way down, and a vote.

    Dhariwal & Nichol 2021, section 4: a classifier that knows noisy pictures is what can guide.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        w = config.width
        self.time = Time(config, time := 4 * w, told=False)
        self.first = nn.Conv2d(config.channels * config.patch**2, w, 3, padding=1)
        self.fine = nn.ModuleList(Block(w, w, time) for _ in range(config.blocks))
        self.down = nn.Conv2d(w, 2 * w, 3, stride=2, padding=1)
        self.coarse = nn.ModuleList(Block(2 * w, 2 * w, time) for _ in range(config.blocks))
        self.attention = Attention(2 * w)
        self.last = nn.Sequential(nn.GroupNorm(8, 2 * w), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * w, config.classes))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        time = self.time(t)
        h = self.first(F.pixel_unshuffle(x, self.config.patch).contiguous(memory_format=torch.channels_last))
        for block in self.fine:
            h = block(h, time)
        h = self.down(h)
        for block in self.coarse:
            h = block(h, time)
        return self.last(self.attention(h)).float()


class MLP(nn.Module):
    """Points x_t (B, 2), t (B,) int64 -> the prediction, like x_t: three hidden layers, told t at each."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        w = 2 * config.width
        self.time = Time(config, w, told=False)
        self.first = nn.Linear(2, w)
        self.layers = nn.ModuleList(nn.Linear(w, w) for _ in range(1 + config.blocks))
        self.last = nn.Linear(w, 2)

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        h, time = self.first(x), self.time(t)
        for layer in self.layers:
            h = h + layer(F.silu(h + time))
        return self.last(F.silu(h))


def network(config: ModelConfig) -> nn.Module:
    """The network that a config describes, its weights still random."""
    made = {"unet": UNet, "classifier": Classifier, "mlp": MLP}[config.network](config)
    return made.to(memory_format=torch.channels_last)
