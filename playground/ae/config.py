"""What can be chosen about an autoencoder: its networks, its penalty, its corruption, presets by time, knobs. Imports no torch."""

from dataclasses import dataclass, replace

from ..core.inputs import choice, integer, seed, within
from ..core.recipe import Knob

NETWORKS = ("deep", "sparse", "tied")        # many layers to a small code; one large ReLU layer; one sigmoid layer with W and its transpose
SPARSITIES = ("l1", "kl", "top-k")           # what keeps the units of a sparse one silent
CORRUPTED = ("mask", "gaussian", "salt-pepper")
CORRUPTIONS = ("none", *CORRUPTED, "mixed")      # of what the encoder sees while it trains; mixed: each picture in one way, by some amount


@dataclass(frozen=True)
class ModelConfig:
    """What rebuilds the networks. Images are (channels, size, size) in [0, 1]."""

    channels: int = 1
    size: int = 28           # pixels on a side
    network: str = "deep"
    latent: int = 30         # deep: numbers of the code
    width: int = 1000        # deep: units of the first layer, then a half and a quarter of it; the decoder's in reverse
    units: int = 1024        # sparse, tied: of the one hidden layer, which is the code
    sparsity: str = "l1"     # sparse: "l1", "kl" (its units are then sigmoids), or "top-k"
    keep: int = 50           # sparse by top-k: units that are not silenced

    def __post_init__(self) -> None:
        choice("network", self.network, NETWORKS)
        choice("sparsity", self.sparsity, SPARSITIES)
        for name, (low, high) in {"channels": (1, 4), "size": (4, 256), "latent": (1, 512), "width": (4, 4096), "units": (1, 8192),
                                  "keep": (1, 8192)}.items():
            integer(name, getattr(self, name), low, high)

    @property
    def code(self) -> int:
        """How many numbers the encoder gives."""
        return self.latent if self.network == "deep" else self.units


@dataclass(frozen=True)
class TrainConfig:
    dataset: str = "mnist"
    steps: int = 5_000       # optimiser updates
    batch_size: int = 256    # images
    lr: float = 1e-3         # Adam's, at its peak; falls to 0 along half a cosine
    ema: float = 0.999       # decay of the averaged weights, which are the result; 0 keeps the last ones
    seed: int = 0
    precision: str = "fp32"  # of the networks while training: "fp32" or "bf16" (autocast)
    network: str = "deep"
    latent: int = 30
    width: int = 1000
    units: int = 1024
    sparsity: str = "l1"
    keep: int = 50
    penalty: float = 0.1     # weight of ||h||_1 or of the KL (sparse), of ||J||_F^2 (tied); the deep one has none
    rho: float = 0.03        # sparse by the KL: the mean activation that is asked of each unit
    corruption: str = "none"
    amount: float = 0.3      # of the corruption: share of the pixels, or the noise's standard deviation; mixed: at most
    moved: float = 0.0       # share of the pictures that are turned, scaled, sheared and shifted a little: other handwriting

    def __post_init__(self) -> None:
        choice("precision", self.precision, ("fp32", "bf16"))
        choice("corruption", self.corruption, CORRUPTIONS)
        integer("steps", self.steps, 1, 10_000_000)
        integer("batch_size", self.batch_size, 1, 8192)
        seed(self.seed)
        for name, (low, high) in {"lr": (1e-6, 1), "ema": (0, 0.99999), "penalty": (0, 1000), "rho": (1e-4, 0.5), "amount": (0, 1),
                                  "moved": (0, 1)}.items():
            within(name, getattr(self, name), low, high)
        ModelConfig(network=self.network, latent=self.latent, width=self.width, units=self.units, sparsity=self.sparsity,
                    keep=self.keep)                          # refuses what no network can be


PRESETS = {
    "10s": TrainConfig(steps=900, batch_size=128, width=256, units=512, lr=3e-3, ema=0.99),
    "1m": TrainConfig(steps=2_400, width=400, lr=2e-3, ema=0.995),
    "10m": TrainConfig(steps=8_000, moved=0.5),
    "shipped": TrainConfig(steps=40_000, batch_size=128, ema=0.9995, moved=0.5),
}

FIRST = "ae-mnist-30d"               # the model the tab opens on, and the plain one of the row
OVERVIEW = {"frechet": "frechet", "precision": "precision", "recall": "recall", "seconds": "seconds_per_image"}       # figure of the overview -> key in the card's metrics
PLANE = "ae-mnist-2d"                # the model of the plane, whose code is two numbers
SPARSE = "ae-sparse-mnist"           # those that stand in where a view needs their kind and another one is chosen
CONTRACTIVE = "ae-contractive-mnist"
PLAIN = "ae-tied-mnist"              # the contractive one's twin without its penalty
DENOISER = "ae-denoising-mnist"
PENALTIES = (0.02, 0.05, 0.1, 0.2, 0.5)          # of the sparse models of one view, alike but for that
SNAPSHOTS = {weight: f"ae-sparse-mnist-{weight:g}".replace(".", "-") for weight in PENALTIES}         # penalty -> its model
SIZES = ("ae-mnist-8d", "ae-mnist-16d")          # deep ones of other codes, for the curve of errors by size
ASIDE = (*SNAPSHOTS.values(), *SIZES)            # shipped, but not in the tab's list: they serve their views

DIGITS = ("mnist", "glyphs")

DATASETS = ("mnist", "glyphs", "shapes", "noto-emoji", "fashion-mnist", "kmnist", "cifar10")      # of the page's list, and its order
OWN_SIZE = 32                # pixels on a side of a visitor's own pictures
WORDS = {"try": "ae.train.try", "film": "ae.train.film"}
KNOBS = {                    # what the page offers to turn, with the range that is safe on a public host
    "network": Knob("ae.knob.network", choices=NETWORKS),
    "latent": Knob("ae.knob.latent", 1, 64),
    "units": Knob("ae.knob.units", 16, 2048),
    "sparsity": Knob("ae.knob.sparsity", choices=SPARSITIES),
    "penalty": Knob("ae.knob.penalty", 0, 10),
    "corruption": Knob("ae.knob.corruption", choices=CORRUPTIONS),
    "amount": Knob("ae.knob.amount", 0, 1),
    "lr": Knob("ae.knob.lr", 1e-5, 1e-2),
}


def suited(preset: str, dataset: str, channels: int | None = None, images: int | None = None) -> TrainConfig:
    """The preset for a data set: only digits are moved, few pictures make small batches.

    channels, images: of a visitor's own pictures; images are those to train on.
    """
    config = replace(PRESETS[preset], dataset=dataset)
    if dataset not in DIGITS:
        config = replace(config, moved=0.0)
    if images is not None and images < config.batch_size:
        config = replace(config, batch_size=max(1, images))
    return config
