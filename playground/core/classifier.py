"""Our own MNIST classifier: the features that the metrics compare, and a judge of drawn and generated digits.

It is trained like any family (`python -m playground train classifier`), and offers the contract of recipe.py.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import checkpoints, datasets, device
from .errors import PlaygroundError, register
from .inputs import choice, integer, seed, within
from .recipe import Progress, Result

register({
    "classifier.dataset": (
        "The classifier learns labelled {expected} images of 10 classes; {name} has {found}: pick mnist.",
        "分类器学习 10 类带标签的 {expected} 图像；{name} 是 {found}：请选择 mnist。",
    ),
})

FAMILY = "classifier"
NAME = "mnist-classifier"
CHECKPOINTS = {NAME: "mnist"}
BEST = "loss"

SIZE, CLASSES = 28, 10       # pixels on a side; digits
CHUNK = 500                  # images at once in `features` and `probabilities`: about 100 MB of activations


@dataclass(frozen=True)
class ModelConfig:
    """What rebuilds the network."""

    width: int = 16          # feature maps at 28x28; twice as many at 14x14, four times at 7x7
    features: int = 128      # penultimate features, what the metrics see

    def __post_init__(self) -> None:
        integer("width", self.width, 1, 256)
        integer("features", self.features, 2, 1024)


class Classifier(nn.Module):
    """x (B, 1, 28, 28) in [0, 1] -> logits (B, 10), before the softmax."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        w = config.width
        self.body = nn.Sequential(
            *convolution(1, w), nn.MaxPool2d(2),                                        # (B, w, 14, 14)
            *convolution(w, 2 * w), *convolution(2 * w, 2 * w), nn.MaxPool2d(2),        # (B, 2w, 7, 7)
            *convolution(2 * w, 4 * w), nn.MaxPool2d(2), nn.Flatten(),                  # (B, 4w * 3 * 3)
            nn.Linear(4 * w * (SIZE // 8) ** 2, config.features, bias=False),
            nn.BatchNorm1d(config.features), nn.ReLU(),
        )
        self.head = nn.Linear(config.features, CLASSES)

    def features(self, x: Tensor) -> Tensor:
        """The penultimate layer, (B, 128), not negative."""
        return self.body(2 * x - 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x)).float()


def convolution(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    """A 3x3 convolution that keeps the size, with batch normalisation (Ioffe & Szegedy 2015) instead of a bias."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()


# ---- the recipe ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TrainConfig:
    """What a run needs to know; images per run = steps * batch_size."""

    dataset: str = "mnist"
    steps: int = 5_600       # optimiser updates
    batch_size: int = 128    # images
    lr: float = 4e-3         # AdamW, at the peak of the schedule
    weight_decay: float = 1e-2
    seed: int = 0
    precision: str = "bf16"  # of the convolutions while training: "fp32" or "bf16"; evaluation is fp32

    def __post_init__(self) -> None:
        integer("steps", self.steps, 1, 10_000_000)
        integer("batch_size", self.batch_size, 2, 4096)       # batch normalisation needs two
        seed(self.seed)
        choice("precision", self.precision, ("fp32", "bf16"))
        for name, high in {"lr": 1.0, "weight_decay": 1.0}.items():
            within(name, getattr(self, name), 0, high)


@dataclass
class State:
    model: Classifier
    optimizer: torch.optim.Optimizer
    generator: torch.Generator                                # on the CPU: first weights, then the shifts and turns
    step: int = 0


PRESETS = {                  # 18 updates a second measured on one busy core; two free ones are faster
    "10s": TrainConfig(steps=150),
    "1m": TrainConfig(steps=1_000),
    "10m": TrainConfig(steps=10_000),
    "shipped": TrainConfig(),            # five minutes
}


def init(config: TrainConfig) -> State:
    """A fresh network and optimiser, from the seed alone."""
    generator = torch.Generator().manual_seed(config.seed)
    model = Classifier(ModelConfig())
    for layer in model.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
    nn.init.normal_(model.head.weight, std=0.01, generator=generator)
    nn.init.zeros_(model.head.bias)
    model.to(device.for_("heavy"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    return State(model, optimizer, generator)


def batches(config: TrainConfig, start: int) -> Iterator[tuple[Tensor, Tensor]]:
    """x (B, 1, 28, 28) in [0, 1] and labels (B,), from batch number `start` on.

    Raises `PlaygroundError` for a set of other images than labelled 28x28 grey ones of 10 classes.
    """
    data = datasets.load(config.dataset)
    shape = tuple(data.images.shape[1:])                      # (C, H, W)
    classes = 0 if data.labels is None else int(data.labels.max()) + 1
    if shape != (1, SIZE, SIZE) or not 0 < classes <= CLASSES:
        found = f"{classes or 'no'} classes of {'x'.join(map(str, shape))}"
        raise PlaygroundError("classifier.dataset", name=config.dataset, found=found, expected=f"1x{SIZE}x{SIZE}")
    for batch in datasets.batches(config.dataset, config.batch_size, config.seed, start):
        yield batch.x, batch.labels


def train(config: TrainConfig, state: State, batches: Iterable[tuple[Tensor, Tensor]]) -> Iterator[Progress]:
    """Fit the classifier by cross-entropy on slightly moved digits, yielding after each update.

    `loss` (nats per image) and `accuracy` are of the training batch, before its update.
    """
    where = next(state.model.parameters()).device
    state.model.train()
    for step, (x, labels) in zip(range(state.step, config.steps), batches):
        for group in state.optimizer.param_groups:
            group["lr"] = config.lr * schedule(step / config.steps)
        x, labels = moved(x, state.generator).to(where), labels.to(where)
        with device.autocast(where, config.precision):
            logits = state.model(x)
        loss = F.cross_entropy(logits, labels)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        state.optimizer.step()
        state.step = step + 1
        accuracy = (logits.argmax(1) == labels).float().mean()
        yield Progress(state.step, config.steps, {"loss": loss.item(), "accuracy": accuracy.item()})


def result(config: TrainConfig, state: State) -> Result:
    """The model of this state, ready to be a checkpoint."""
    return Result(asdict(state.model.config), state.model.state_dict())


def schedule(done: float) -> float:
    """The learning rate's factor in [0, 1] after a share `done` of the run: up for a tenth, then a half cosine down."""
    return done / 0.1 + 0.01 if done < 0.1 else 0.5 * (1 + math.cos(math.pi * (done - 0.1) / 0.9))


def moved(x: Tensor, generator: torch.Generator) -> Tensor:
    """Each image turned by up to 12 degrees, scaled and sheared by up to 12 %, shifted by up to 2 pixels.

    x: (B, C, H, W), background 0. Draws (B, 6) uniform numbers from `generator`, on the CPU.
    """
    u = 2 * torch.rand(len(x), 6, generator=generator) - 1    # in [-1, 1]
    turn, shear = math.radians(12) * u[:, 0], 0.12 * u[:, 1]
    wide, high = 1 + 0.12 * u[:, 2], 1 + 0.12 * u[:, 3]
    shift = 2 * 2 / x.shape[-1] * u[:, 4:]                    # grid_sample's side is 2, so a pixel is 2 / W
    cos, sin = turn.cos(), turn.sin()
    rows = [wide * cos, shear - sin, shift[:, 0], sin, high * cos, shift[:, 1]]
    grid = F.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


# ---- the finished classifier -----------------------------------------------------------------------------------


def load() -> Classifier:
    """The shipped classifier, in eval mode. Raises `PlaygroundError` where its checkpoint is missing or damaged."""
    return checkpoints.load(NAME, FAMILY, build).model


def build(config: Mapping[str, Any]) -> Classifier:
    """The network for a checkpoint's `model` fields, its weights still random."""
    return Classifier(ModelConfig(**config))


def features(x: Tensor) -> Tensor:
    """The penultimate features of x (N, 1, 28, 28) in [0, 1]: (N, 128) float32 on the CPU, none negative."""
    model = load()
    return in_chunks(model, model.features, x)


def probabilities(x: Tensor) -> Tensor:
    """p(digit | x) for x (N, 1, 28, 28) in [0, 1]: (N, 10) float32 on the CPU; rows sum to 1."""
    return judge(features(x))


@torch.no_grad()
def judge(features: Tensor) -> Tensor:
    """p(digit | x) from the features (N, 128) of x: (N, 10) float32 on the CPU; rows sum to 1."""
    head = load().head
    return head(features.to(head.weight.device)).softmax(1).cpu()


@torch.no_grad()
def in_chunks(model: Classifier, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """function(x), CHUNK images at a time on the model's device; the results together on the CPU."""
    assert x.shape[1:] == (1, SIZE, SIZE), f"{tuple(x.shape)} instead of (N, 1, {SIZE}, {SIZE})"
    assert not len(x) or (x.min() >= -1e-3 and x.max() <= 1.001), "pixels outside [0, 1]"
    where = next(model.parameters()).device
    return torch.cat([function(part.to(where).float()).cpu() for part in x.split(CHUNK)])


def evaluate(name: str, full: bool = False, report: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Accuracy and cross-entropy (nats per image) of a classifier on all test images of its own data set.

    Standard errors are over images: binomial for the accuracy. `full` changes nothing, the quick one is complete.
    report: called as report(done, total) with images done.
    """
    checkpoint = checkpoints.load(name, FAMILY, build)
    data = datasets.load(checkpoint.config["dataset"], "test")
    logits = []
    for part in data.images.split(CHUNK):
        logits.append(in_chunks(checkpoint.model, checkpoint.model, part.float() / 255))
        if report:
            report(min(len(logits) * CHUNK, len(data.images)), len(data.images))
    return scores(torch.cat(logits), data.labels)


def scores(logits: Tensor, labels: Tensor) -> dict[str, Any]:
    """The card's figures from logits (N, 10) and labels (N,)."""
    n = len(labels)
    accuracy = (logits.argmax(1) == labels).double().mean().item()
    nll = F.cross_entropy(logits.double(), labels, reduction="none")                      # (N,)
    return {
        "test_images": n,
        "accuracy": round(accuracy, 5), "accuracy_stderr": round((accuracy * (1 - accuracy) / n) ** 0.5, 5),
        "cross_entropy": round(nll.mean().item(), 5), "cross_entropy_stderr": round((nll.std() / n**0.5).item(), 5),
    }
