"""The two players: a generator z (B, D) -> x (B, C, H, W), a discriminator x -> logit (B,); inside both pictures are in [-1, 1]."""

import math

from torch import Tensor, nn

from .config import ModelConfig


class Generator(nn.Module):
    """A dense layer to 4w maps of a quarter of the size, then twice up by two, w maps at full size (after Radford et al. 2015).

    Instead of batch normalisation each pixel's features are brought to length 1 (Karras et al. 2018, section 4.2): a picture never
    depends on those drawn beside it.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        w, self.side = config.width, config.size // 4
        self.maps = 4 * w
        self.first = nn.Linear(config.latent, self.maps * self.side**2)
        self.body = nn.Sequential(
            Normal(), nn.LeakyReLU(0.2),
            nn.Conv2d(4 * w, 4 * w, 3, padding=1), Normal(), nn.LeakyReLU(0.2),                     # (B, 4w, H/4, W/4)
            nn.ConvTranspose2d(4 * w, 2 * w, 4, 2, 1), Normal(), nn.LeakyReLU(0.2),                 # (B, 2w, H/2, W/2)
            nn.ConvTranspose2d(2 * w, w, 4, 2, 1), Normal(), nn.LeakyReLU(0.2),                     # (B, w, H, W)
            nn.Conv2d(w, config.channels, 3, padding=1),
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.body(self.first(z).unflatten(1, (self.maps, self.side, self.side))).tanh()


class Normal(nn.Module):
    """Each pixel's features (B, F, H, W) over the root of their mean square."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


class Discriminator(nn.Module):
    """Twice down by two, then one number for one picture: no batch normalisation, under which a gradient penalty would mean nothing
    (Gulrajani et al. 2017, section 4), and nothing that compares a picture with others."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        w, side = config.width, config.size // 4
        self.body = nn.Sequential(
            nn.Conv2d(config.channels, w, 3, padding=1), nn.LeakyReLU(0.2),                         # (B, w, H, W)
            nn.Conv2d(w, 2 * w, 4, 2, 1), nn.LeakyReLU(0.2),                                        # (B, 2w, H/2, W/2)
            nn.Conv2d(2 * w, 4 * w, 4, 2, 1), nn.LeakyReLU(0.2),                                    # (B, 4w, H/4, W/4)
            nn.Conv2d(4 * w, 4 * w, 3, padding=1), nn.LeakyReLU(0.2), nn.Flatten(),
            nn.Linear(4 * w * side**2, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x).flatten()


class GAN(nn.Module):
    """Both players. generator: z -> pictures in [-1, 1]. score: pictures in [0, 1] -> logits."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.shape = (config.channels, config.size, config.size)
        self.generator, self.discriminator = Generator(config), Discriminator(config)
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
                begin(layer)
        if config.spectral:
            for layer in list(self.discriminator.modules()):
                if isinstance(layer, (nn.Conv2d, nn.Linear)):
                    nn.utils.parametrizations.spectral_norm(layer)

    def picture(self, z: Tensor) -> Tensor:
        """(B, C, H, W) in [0, 1] of z (B, D)."""
        return (self.generator(z).float() + 1) / 2

    def score(self, x: Tensor) -> Tensor:
        """D's logits (B,) of pictures x (B, C, H, W) in [0, 1]; each is judged alone."""
        return self.discriminator(2 * x - 1).float()


def begin(layer: nn.Module) -> None:
    """He et al. 2015: signals keep their size through all layers."""
    nn.init.kaiming_normal_(layer.weight, a=0.2, mode="fan_in" if not isinstance(layer, nn.ConvTranspose2d) else "fan_out")
    if isinstance(layer, nn.ConvTranspose2d):                 # of its 4x4 weights four meet in a pixel, not sixteen
        layer.weight.data *= math.sqrt(layer.stride[0] * layer.stride[1])
    nn.init.zeros_(layer.bias)
