"""What can be chosen about a VAE: its networks, its training, presets by time, knobs for the page. Imports no torch."""

from dataclasses import dataclass, replace

from ..core.inputs import choice, integer, seed, within
from ..core.recipe import Knob


@dataclass(frozen=True)
class ModelConfig:
    """What rebuilds the networks. Images are (channels, size, size); size is a multiple of 4."""

    channels: int = 1
    size: int = 28           # pixels on a side
    latent: int = 32         # D, dimensions of z
    network: str = "conv"    # "conv", or "mlp": one hidden layer each way, as in the paper's appendix C
    width: int = 32          # conv: feature maps at half resolution, twice as many at a quarter
    blocks: int = 1          # conv: residual blocks at each resolution
    hidden: int = 256        # units of the dense layer next to z
    likelihood: str = "bernoulli"        # of the pixels given z: "bernoulli" or "gaussian"
    sigma: float = 0.1       # std of the Gaussian likelihood; unused by the Bernoulli one

    def __post_init__(self) -> None:
        choice("network", self.network, ("conv", "mlp"))
        choice("likelihood", self.likelihood, ("bernoulli", "gaussian"))
        integer("size", self.size, 4, 256)
        integer("size / 4", self.size / 4, 1, 64)
        within("sigma", self.sigma, 1e-3, 10)
        for name, high in {"channels": 4, "latent": 512, "width": 512, "blocks": 16, "hidden": 8192}.items():
            integer(name, getattr(self, name), 1, high)


@dataclass(frozen=True)
class TrainConfig:
    dataset: str = "mnist"
    steps: int = 5_000       # optimiser updates
    batch_size: int = 128    # images
    lr: float = 2e-3         # Adam's, at its peak; falls to 0 along half a cosine
    beta: float = 1.0        # weight of the KL term; 1 is the ELBO
    warmup: float = 0.1      # share of the steps over which beta rises from 0 (Sonderby et al. 2016)
    ema: float = 0.999       # decay of the averaged weights, which are the result; 0 keeps the last ones
    seed: int = 0
    precision: str = "fp32"  # of the networks while training: "fp32" or "bf16" (autocast)
    latent: int = 32
    network: str = "conv"
    width: int = 32
    blocks: int = 1
    hidden: int = 256
    likelihood: str = "bernoulli"
    sigma: float = 0.1

    def __post_init__(self) -> None:
        choice("precision", self.precision, ("fp32", "bf16"))
        integer("steps", self.steps, 1, 10_000_000)
        integer("batch_size", self.batch_size, 1, 8192)
        seed(self.seed)
        for name, (low, high) in {"lr": (1e-6, 1), "beta": (0, 1000), "warmup": (0, 1), "ema": (0, 0.99999)}.items():
            within(name, getattr(self, name), low, high)
        ModelConfig(latent=self.latent, network=self.network, width=self.width, blocks=self.blocks, hidden=self.hidden,
                    likelihood=self.likelihood, sigma=self.sigma)    # refuses what no network can be


PRESETS = {
    "10s": TrainConfig(steps=800, network="mlp", hidden=400, latent=20, lr=3e-3, ema=0.99),
    "1m": TrainConfig(steps=900, width=16, precision="bf16", ema=0.99),
    "10m": TrainConfig(steps=5_000, precision="bf16"),
    "shipped": TrainConfig(steps=36_000, width=24, precision="bf16", ema=0.9995),
}

FIRST = "vae-mnist"          # the model the tab opens on
OVERVIEW = {                 # figure of the overview -> key in the card's metrics
    "frechet": "frechet", "precision": "precision", "recall": "recall", "seconds": "seconds_per_image", "likelihood": "importance_weighted_nll",
}
PLANE = "vae-mnist-2d"       # the model of the views that need a code of two dimensions
BETAS = (0.25, 0.5, 1, 2, 4, 8)          # of the small models of one view, alike but for that
RATES = {beta: f"vae-mnist-beta-{beta:g}".replace(".", "-") for beta in BETAS}       # beta -> its model
ASIDE = tuple(RATES.values())            # shipped, but not in the tab's list: they serve that view

SHOWN = {"noto-emoji": (221, 63, 64, 220, 60, 443, 215, 19, 248, 192)}      # which of the held-out ones; elsewhere the first
DIGITS = ("mnist", "glyphs")

DATASETS = ("mnist", "glyphs", "shapes", "noto-emoji", "fashion-mnist", "kmnist", "cifar10")      # of the page's list, and its order
IN_COLOUR = ("shapes", "noto-emoji", "cifar10")
OWN_SIZE = 32                # pixels on a side of a visitor's own pictures
KNOBS = {                    # what the page offers to turn, with the range that is safe on a public host
    "latent": Knob("vae.knob.latent", 2, 64),
    "beta": Knob("vae.knob.beta", 0, 50),
    "lr": Knob("vae.knob.lr", 1e-5, 1e-2),
    "batch_size": Knob("vae.knob.batch_size", 1, 512),
    "network": Knob("vae.knob.network", choices=("conv", "mlp")),
    "likelihood": Knob("vae.knob.likelihood", choices=("bernoulli", "gaussian")),
}


SIGMA = {"noto-emoji": 0.35}             # of the Gaussian likelihood, by data set: at 0.1 the KL is so large that draws from the prior are noise
SHIPPED = {"noto-emoji": {"steps": 16_000, "batch_size": 32, "latent": 32, "hidden": 512, "width": 24}}      # changes to that preset


def suited(preset: str, dataset: str, channels: int | None = None, images: int | None = None) -> TrainConfig:
    """The preset for a data set: pixels in colour are no coins, so they get a Gaussian likelihood; few pictures, small batches.

    Of a set that a model of its own ships for, the preset "shipped" is that model's whole recipe.

    channels, images: of a visitor's own pictures; images are those to train on.
    """
    config = replace(PRESETS[preset], dataset=dataset)
    if dataset in IN_COLOUR or channels == 3:
        config = replace(config, likelihood="gaussian", precision="fp32", sigma=SIGMA.get(dataset, config.sigma))
    if preset == "shipped":
        config = replace(config, **SHIPPED.get(dataset, {}))
    if images is not None and images < config.batch_size:
        config = replace(config, batch_size=max(1, images))
    return config
