"""What can be chosen about a GAN: its two networks, the game they play, presets by time, knobs. Imports no torch."""

from dataclasses import dataclass, replace

from ..core.errors import PlaygroundError, register
from ..core.inputs import choice, integer, seed, within
from ..core.recipe import Knob

LOSSES = ("minimax", "non-saturating", "least-squares", "wasserstein", "hinge")
PROBABLE = ("minimax", "non-saturating")     # those whose D is a probability: sigmoid(logit) is D(x)
PENALTIES = ("none", "r1", "r1+r2", "gp")    # on the gradient of D at: nothing, real pictures, real and fake ones, points between them

register({
    "gan.size": (
        "This GAN draws pictures whose sides are multiples of 4 pixels, and these have {found}; choose another data set.",
        "此 GAN 只能生成边长为 4 的倍数的图片，而这些图片的边长是 {found}；请选择其他数据集。",
    ),
})


@dataclass(frozen=True)
class ModelConfig:
    """What rebuilds the networks. Images are (channels, size, size), inside both networks in [-1, 1]."""

    channels: int = 1
    size: int = 28           # pixels on a side, a multiple of 4
    latent: int = 64         # numbers of z ~ N(0, I)
    width: int = 16          # feature maps of each network at full size; more where there are fewer pixels
    loss: str = "non-saturating"         # of the game it was trained by: it says what D's number means
    spectral: bool = False   # spectral normalisation of D (Miyato et al. 2018)

    def __post_init__(self) -> None:
        choice("loss", self.loss, LOSSES)
        for name, (low, high) in {"channels": (1, 4), "size": (8, 256), "latent": (1, 512), "width": (1, 128)}.items():
            integer(name, getattr(self, name), low, high)
        if self.size % 4:
            raise PlaygroundError("gan.size", found=self.size)
        integer("spectral", int(self.spectral) if isinstance(self.spectral, bool) else self.spectral, 0, 1)


@dataclass(frozen=True)
class TrainConfig:
    dataset: str = "mnist"
    steps: int = 10_000      # updates of both players
    batch_size: int = 32     # real pictures in an update, and as many fakes for each player
    lr: float = 2e-3         # Adam's, of both; falls to 0 in the second half
    ema: float = 0.995       # decay of the averaged generator, which is the result; 0 keeps the last one
    seed: int = 0
    precision: str = "bf16"  # of both networks while training: "fp32" or "bf16" (autocast); a gradient penalty is always fp32
    loss: str = "non-saturating"
    penalty: str = "r1"
    gamma: float = 1.0       # weight of the gradient penalty
    every: int = 4           # updates between two penalties, each then so many times as strong (lazy regularisation, Karras et al. 2020)
    critics: int = 1         # updates of D for one of G
    latent: int = 64
    width: int = 16
    spectral: bool = False
    augment: float = 0.0     # strength of what is done to all pictures that D sees, real or fake, against learning few by heart (Zhao et al. 2020)

    def __post_init__(self) -> None:
        choice("penalty", self.penalty, PENALTIES)
        choice("precision", self.precision, ("fp32", "bf16"))
        integer("steps", self.steps, 1, 10_000_000)
        integer("batch_size", self.batch_size, 1, 8192)
        integer("every", self.every, 1, 64)
        integer("critics", self.critics, 1, 16)
        seed(self.seed)
        for name, (low, high) in {"lr": (1e-6, 1), "ema": (0, 0.99999), "gamma": (0, 1000), "augment": (0, 1)}.items():
            within(name, getattr(self, name), low, high)
        ModelConfig(latent=self.latent, width=self.width, loss=self.loss, spectral=self.spectral)          # refuses what no network can be


PRESETS = {                  # 16 updates a second on one core of an AMD EPYC, 29 with width 8
    "10s": TrainConfig(steps=300, ema=0.95, width=8),
    "1m": TrainConfig(steps=900, ema=0.98),
    "10m": TrainConfig(steps=9_000),
    "shipped": TrainConfig(steps=45_000, ema=0.999),
}

FIRST = "gan-mnist"          # the model the tab opens on
OVERVIEW = {"frechet": "frechet", "precision": "precision", "recall": "recall", "seconds": "seconds_per_image"}       # figure of the overview -> key in the card's metrics
SNAPSHOTS = 6                # of a training, the last one its result
EARLIEST = 0.005             # of the updates, at which the first of them is taken

DATASETS = ("mnist", "glyphs", "shapes", "noto-emoji", "fashion-mnist", "kmnist", "cifar10")      # of the page's list, and its order
OWN_SIZE = 32                # pixels on a side of a visitor's own pictures
FEW = 5_000                  # pictures below which D would learn them by heart: then they are augmented
WORDS = {"try": "gan.train.try", "film": "gan.train.film"}
KNOBS = {                    # what the page offers to turn, with the range that is safe on a public host
    "loss": Knob("gan.knob.loss", choices=LOSSES),
    "penalty": Knob("gan.knob.penalty", choices=PENALTIES),
    "gamma": Knob("gan.knob.gamma", 0, 100),
    "critics": Knob("gan.knob.critics", 1, 5),
    "latent": Knob("gan.knob.latent", 1, 128),
    "width": Knob("gan.knob.width", 4, 32),
    "augment": Knob("gan.knob.augment", 0, 1),
    "lr": Knob("gan.knob.lr", 1e-5, 1e-2),
}


def suited(preset: str, dataset: str, channels: int | None = None, images: int | None = None) -> TrainConfig:
    """The preset for a data set: few pictures are augmented, very few make small batches.

    channels, images: of a visitor's own pictures; images are those to train on.
    """
    config = replace(PRESETS[preset], dataset=dataset)
    if dataset == "noto-emoji" or images is not None and images < FEW:
        config = replace(config, augment=0.5)
    if images is not None and images < config.batch_size:
        config = replace(config, batch_size=max(1, images))
    return config


def moments(steps: int) -> list[int]:
    """The updates after which the SNAPSHOTS of a training are taken, from early to late, evenly over their logarithm; the last is its end."""
    shares = [EARLIEST ** (1 - i / (SNAPSHOTS - 1)) for i in range(SNAPSHOTS)]
    return [max(1, round(share * steps)) for share in shares]
