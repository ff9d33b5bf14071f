"""Three autoencoders with the same two questions: encode x (B, C, H, W) in [0, 1] to a code (B, U), decode a code to an image."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import maths
from .config import ModelConfig


class Autoencoder(nn.Module):
    """decode: a code (B, U) -> (B, C, H, W); what a linear decoder puts outside [0, 1] is cut off by `picture`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.shape = (config.channels, config.size, config.size)
        self.pixels = math.prod(self.shape)

    def encode(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def decode(self, h: Tensor) -> Tensor:
        raise NotImplementedError

    def picture(self, h: Tensor) -> Tensor:
        """The image of a code, in [0, 1]."""
        return self.decode(h).clamp(0, 1)


class Deep(Autoencoder):
    """784-1000-500-250-30 and back, as Hinton & Salakhutdinov 2006 have it; SiLU instead of their pretrained sigmoids."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        sizes = [self.pixels, config.width, config.width // 2, config.width // 4, config.latent]
        self.encoder = _layers(sizes)
        self.decoder = _layers(sizes[::-1])

    def encode(self, x: Tensor) -> Tensor:
        return self.encoder(2 * x.flatten(1) - 1).float()

    def decode(self, h: Tensor) -> Tensor:
        return self.decoder(h).float().sigmoid().unflatten(1, self.shape)


class Sparse(Autoencoder):
    """h = ReLU(W x + b), x_hat = sum_j h_j a_j + c: a picture as a sum of few atoms a_j of length 1, more of them than pixels.

    Atoms of length 1 keep the penalty honest: it could else be had for nothing, by small h and large atoms. By "kl" the units
    are sigmoids, which have a mean between 0 and 1; by "top-k" only the `keep` largest of each code are not silenced.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        atoms = F.normalize(torch.randn(config.units, self.pixels), dim=1)
        self.encoder = nn.Linear(self.pixels, config.units)
        self.directions = nn.Parameter(atoms)                 # (U, P), of any length
        self.bias = nn.Parameter(torch.zeros(self.pixels))
        with torch.no_grad():
            self.encoder.weight.copy_(atoms)
            self.encoder.bias.zero_()

    @property
    def atoms(self) -> Tensor:
        """(U, P), each of length 1."""
        return F.normalize(self.directions, dim=1)

    @property
    def weight(self) -> Tensor:
        """W of the encoder, (U, P)."""
        return self.encoder.weight

    def encode(self, x: Tensor) -> Tensor:
        before = self.encoder(x.flatten(1)).float()
        if self.config.sparsity == "kl":
            return before.sigmoid()
        h = before.relu()
        return maths.top_k(h, self.config.keep) if self.config.sparsity == "top-k" else h

    def decode(self, h: Tensor) -> Tensor:
        return (h @ self.atoms + self.bias).float().unflatten(1, self.shape)


class Tied(Autoencoder):
    """h = sigmoid(W x + b), x_hat = sigmoid(W^T h + c): with one W for both, an encoder cannot be flat and its decoder steep
    (Rifai et al. 2011, section 3)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(config.units, self.pixels)))
        self.hidden = nn.Parameter(torch.zeros(config.units))
        self.visible = nn.Parameter(torch.zeros(self.pixels))

    def encode(self, x: Tensor) -> Tensor:
        return F.linear(x.flatten(1), self.weight, self.hidden).float().sigmoid()

    def decode(self, h: Tensor) -> Tensor:
        return F.linear(h, self.weight.T, self.visible).float().sigmoid().unflatten(1, self.shape)


def network(config: ModelConfig) -> Autoencoder:
    """The network that a configuration describes, its weights random."""
    return {"deep": Deep, "sparse": Sparse, "tied": Tied}[config.network](config)


def _layers(sizes: list[int]) -> nn.Sequential:
    """Dense layers with SiLU between them, begun so that signals keep their size through all of them (He et al. 2015)."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes, sizes[1:]):
        linear = nn.Linear(inputs, outputs)
        nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.SiLU()]
    return nn.Sequential(*layers[:-1])
