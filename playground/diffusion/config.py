"""What can be chosen about a diffusion model: its network, its schedule, its training, presets by time. Imports no torch."""

from dataclasses import dataclass, replace

from ..core.inputs import choice, integer, seed, within
from ..core.recipe import Knob

NETWORKS = ("unet", "classifier", "mlp")     # denoises pictures; names the class of noisy ones; denoises points of the plane
SCHEDULES = ("linear", "cosine", "sigmoid")
PREDICTIONS = ("v", "eps", "x_0")
SAMPLERS = ("ddpm", "ddim", "dpm-solver")
NAMES = dict(zip(SAMPLERS, ("DDPM", "DDIM", "DPM-Solver++")))
GUIDANCE = ("free", "classifier")            # classifier-free, or by a classifier of noisy pictures
FIRST = "ddpm-mnist"                         # the model the tab opens on
OVERVIEW = {                 # figure of the overview -> key in the card's metrics
    "frechet": "frechet_dpm_solver_20", "precision": "precision_dpm_solver_20", "recall": "recall_dpm_solver_20", "seconds": "seconds_per_image_dpm_solver_20", "likelihood": "bits_per_dimension",
}
PICKED = {"network": "unet"}                 # what a model must be to stand in the tab's list


@dataclass(frozen=True)
class ModelConfig:
    """What rebuilds the network and the noise it was trained with. Pictures are (channels, size, size), points (2,)."""

    network: str = "unet"
    channels: int = 1
    size: int = 28           # pixels on a side, a multiple of 2 patch
    classes: int = 10        # it can be told which to draw (the classifier: which it tells apart); 0 for none
    patch: int = 2           # pixels on a side of what becomes one position of the network's maps
    width: int = 64          # maps at size / patch (mlp: units of a layer, divided by 2), twice as many at half of that
    blocks: int = 2          # residual blocks at each resolution, each way
    T: int = 1000            # steps of the forward process
    schedule: str = "cosine"
    prediction: str = "v"    # what the network gives: v (Salimans & Ho 2022), the notes' eps, or x_0

    def __post_init__(self) -> None:
        choice("network", self.network, NETWORKS)
        choice("schedule", self.schedule, SCHEDULES)
        choice("prediction", self.prediction, PREDICTIONS)
        integer("classes", self.classes, 2 if self.network == "classifier" else 0, 1000)
        integer("size / (2 patch)", integer("size", self.size, 2, 1024) / (2 * integer("patch", self.patch, 1, 8)), 1, 64)
        integer("width / 16", integer("width", self.width, 16, 512) / 16, 1, 32)
        for name, (low, high) in {"channels": (1, 4), "blocks": (1, 8), "T": (2, 4000)}.items():
            integer(name, getattr(self, name), low, high)


@dataclass(frozen=True)
class TrainConfig:
    dataset: str = "mnist"
    steps: int = 5_000       # optimiser updates
    batch_size: int = 128    # pictures
    lr: float = 1e-3         # Adam's, at its peak; falls to 0 along half a cosine
    drop: float = 0.1        # share of pictures whose class is withheld, for classifier-free guidance (Ho & Salimans 2022)
    ema: float = 0.999       # decay of the averaged weights, which are the result
    seed: int = 0
    precision: str = "bf16"  # of the network while training: "fp32" or "bf16" (autocast)
    network: str = "unet"
    width: int = 64
    blocks: int = 2
    T: int = 1000
    schedule: str = "cosine"
    prediction: str = "v"

    def __post_init__(self) -> None:
        choice("precision", self.precision, ("fp32", "bf16"))
        integer("steps", self.steps, 1, 10_000_000)
        integer("batch_size", self.batch_size, 1, 8192)
        seed(self.seed)
        for name, (low, high) in {"lr": (1e-6, 1), "drop": (0, 1), "ema": (0, 0.99999)}.items():
            within(name, getattr(self, name), low, high)
        ModelConfig(network=self.network, width=self.width, blocks=self.blocks, T=self.T, schedule=self.schedule,
                    prediction=self.prediction)              # refuses what no network can be


PRESETS = {                  # the shorter, the smaller the network and its batches: what counts is how many updates there is time for
    "2m": TrainConfig(steps=1_500, width=16, blocks=1, batch_size=32, lr=4e-3, ema=0.99),
    "20m": TrainConfig(steps=8_000, width=32, blocks=1, batch_size=32, lr=2e-3, ema=0.998),
    "1h": TrainConfig(steps=12_000, width=64, blocks=1, batch_size=64),
    "shipped": TrainConfig(steps=15_000, width=64, blocks=1, ema=0.9995),
}

DATASETS = ("mnist", "glyphs", "shapes", "noto-emoji", "fashion-mnist", "kmnist", "cifar10")      # of the page's list, and its order
OWN_SIZE = 32                # pixels on a side of a visitor's own pictures
KNOBS = {                    # what the page offers to turn, with the range that is safe on a public host
    "schedule": Knob("diffusion.knob.schedule", choices=SCHEDULES),
    "prediction": Knob("diffusion.knob.prediction", choices=PREDICTIONS),
    "T": Knob("diffusion.knob.T", 2, 4000),
    "lr": Knob("diffusion.knob.lr", 1e-5, 1e-2),
    "batch_size": Knob("diffusion.knob.batch_size", 1, 512),
    "drop": Knob("diffusion.knob.drop", 0, 1),
}


def suited(preset: str, dataset: str, channels: int | None = None, images: int | None = None) -> TrainConfig:
    """The preset for a data set: few pictures, small batches.

    channels, images: of a visitor's own pictures; images are those to train on.
    """
    config = replace(PRESETS[preset], dataset=dataset)
    if images is not None and images < config.batch_size:
        config = replace(config, batch_size=max(1, images))
    return config
