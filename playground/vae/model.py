"""The VAE's two networks: an encoder to the mean and log-variance of q(z | x), a decoder to the pixels' logits."""

from torch import Tensor, nn

from .config import ModelConfig


class Residual(nn.Module):
    """x + f(x) with two 3x3 convolutions (He et al. 2016, pre-activation); f starts at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.f = nn.Sequential(
            nn.SiLU(), nn.Conv2d(width, width, 3, padding=1),
            nn.SiLU(), nn.Conv2d(width, width, 3, padding=1),
        )
        nn.init.zeros_(self.f[-1].weight)
        nn.init.zeros_(self.f[-1].bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.f(x)


class VAE(nn.Module):
    """encode: x (B, C, H, W) in [0, 1] -> mu, logvar, each (B, D). decode: z (B, D) -> logits (B, C, H, W)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        networks = _conv if config.network == "conv" else _mlp
        self.encoder, self.decoder = networks(config)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = self.encoder(2 * x - 1).float().chunk(2, dim=1)
        return mu, logvar

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z).float()

    def mean(self, z: Tensor) -> Tensor:
        """E[x | z], (B, C, H, W) in [0, 1]: the picture shown for a code, the mean of the pixels' distribution."""
        return self.picture(self.decode(z))

    def picture(self, logits: Tensor) -> Tensor:
        """The mean of the pixels' distribution for a decoder's output, in [0, 1]."""
        return logits.sigmoid() if self.config.likelihood == "bernoulli" else logits.clamp(0, 1)


def _conv(config: ModelConfig) -> tuple[nn.Module, nn.Module]:
    """Residual convolutions at a half and a quarter of the resolution, where a CPU is fast."""
    c, w, side = config.channels, config.width, config.size // 4
    maps = 2 * w * side * side

    def residuals(width: int) -> list[nn.Module]:
        return [*(Residual(width) for _ in range(config.blocks)), nn.SiLU()]

    encoder = nn.Sequential(
        nn.Conv2d(c, w, 4, stride=2, padding=1), *residuals(w),                     # (B, w, H/2, W/2)
        nn.Conv2d(w, 2 * w, 4, stride=2, padding=1), *residuals(2 * w),             # (B, 2w, H/4, W/4)
        nn.Flatten(), nn.Linear(maps, config.hidden), nn.SiLU(),
        nn.Linear(config.hidden, 2 * config.latent),
    )
    decoder = nn.Sequential(
        nn.Linear(config.latent, config.hidden), nn.SiLU(),
        nn.Linear(config.hidden, maps), nn.Unflatten(1, (2 * w, side, side)), *residuals(2 * w),
        nn.ConvTranspose2d(2 * w, w, 4, stride=2, padding=1), *residuals(w),        # (B, w, H/2, W/2)
        nn.Conv2d(w, 16, 3, padding=1), nn.PixelShuffle(2), nn.SiLU(),              # (B, 4, H, W)
        nn.Conv2d(4, c, 3, padding=1),
    )
    return encoder, decoder


def _mlp(config: ModelConfig) -> tuple[nn.Module, nn.Module]:
    shape = (config.channels, config.size, config.size)
    pixels = config.channels * config.size**2
    encoder = nn.Sequential(
        nn.Flatten(), nn.Linear(pixels, config.hidden), nn.ReLU(), nn.Linear(config.hidden, 2 * config.latent))
    decoder = nn.Sequential(
        nn.Linear(config.latent, config.hidden), nn.ReLU(), nn.Linear(config.hidden, pixels), nn.Unflatten(1, shape))
    return encoder, decoder
