"""How fast our VAE recipe is beside the standard example, and how good the two are after equal epochs.

    python tests/benchmarks/vae_training.py [--epochs E] [--rounds R] [--threads T] [--lr LR] [--precision P]

Both train the same 784-400-20-400-784 network on dynamically binarised MNIST in batches of 128, in one process that
turns from one to the other every 39 updates, so that whatever else the machine does meets both. "standard" is the usual
example: torchvision's data set, ToTensor, DataLoader, Adam at 1e-3. "ours" is `playground.vae.train` as it is: its rate
climbs to --lr and falls, its KL warms up, its result is averaged. Images per second count updates with their data, not
the reading of MNIST nor the first updates. The test ELBO is `evaluate.measure` for both, on the one pinned binarisation
of all test images. The last line printed is JSON.
"""

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from playground.core import datasets, device  # noqa: E402
from playground.vae import evaluate, train  # noqa: E402
from playground.vae.model import ModelConfig  # noqa: E402

BATCH, LR, HIDDEN, LATENT = 128, 1e-3, 400, 20
PER_EPOCH = 60_000 // BATCH  # our updates; the example also takes the last, smaller batch
SAMPLES = 10                 # of q(z | x) per test image
NAMES = ("ours", "standard")
TURN = 39                    # updates: a twelfth of an epoch


class Standard(nn.Module):
    """The network of the usual example, with its two heads and the sigmoid outside the last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, HIDDEN)
        self.fc21, self.fc22 = nn.Linear(HIDDEN, LATENT), nn.Linear(HIDDEN, LATENT)
        self.fc3, self.fc4 = nn.Linear(LATENT, HIDDEN), nn.Linear(HIDDEN, 784)
        self.config = ModelConfig(network="mlp", latent=LATENT, hidden=HIDDEN)           # what evaluate.measure asks for

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = F.relu(self.fc1(x.view(-1, 784)))
        return self.fc21(h), self.fc22(h)

    def decode(self, z: Tensor) -> Tensor:
        """Logits, (B, 1, 28, 28)."""
        return self.fc4(F.relu(self.fc3(z))).view(-1, 1, 28, 28)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, logvar = self.encode(x)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        return torch.sigmoid(self.decode(z)), mu, logvar


def standard(epochs: float, seed: int) -> tuple[nn.Module, int, Iterator[int]]:
    """The usual example: its model, its number of updates, and a generator that yields the images of each update."""
    from torchvision import datasets as sets, transforms

    torch.manual_seed(seed)
    where = device.for_("heavy")
    loader = torch.utils.data.DataLoader(
        sets.MNIST(datasets.data_root(), train=True, transform=transforms.ToTensor()), batch_size=BATCH, shuffle=True, num_workers=0)
    model = Standard().to(where)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    steps = round(epochs * len(loader))

    def updates() -> Iterator[int]:
        model.train()
        total = 0.0
        for data, _ in itertools.islice(itertools.chain.from_iterable(itertools.repeat(loader)), steps):
            data = torch.bernoulli(data.to(where))
            optimizer.zero_grad()
            recon, mu, logvar = model(data)
            bce = F.binary_cross_entropy(recon, data, reduction="sum")
            kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
            loss = bce + kld
            loss.backward()
            total += loss.item()
            optimizer.step()
            yield len(data)

    return model, steps, updates()


def ours(epochs: float, seed: int, lr: float, precision: str) -> tuple[nn.Module, int, Iterator[int]]:
    """Our recipe as a worker would drive it: its averaged model, its number of updates, and a generator like the other."""
    config = train.TrainConfig(dataset="mnist", steps=max(1, round(epochs * PER_EPOCH)), batch_size=BATCH, lr=lr, seed=seed,
                               network="mlp", hidden=HIDDEN, latent=LATENT, precision=precision)
    state = train.init(config)
    return state.ema, config.steps, (BATCH for _ in train.train(config, state, train.batches(config, 0)))


def race(runs: dict[str, Iterator[int]], updates: int) -> dict[str, float]:
    """Images per second of each run; every TURN updates the next one has its turn, and who begins alternates."""
    images, seconds = dict.fromkeys(runs, 0), dict.fromkeys(runs, 0.0)
    names = list(runs)
    for _ in range(0, updates, TURN):
        for name in names:
            start = time.perf_counter()
            images[name] += sum(itertools.islice(runs[name], TURN))
            seconds[name] += time.perf_counter() - start
        names.reverse()
    return {name: images[name] / seconds[name] for name in runs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=float, default=5, help="of both, in each round")
    parser.add_argument("--rounds", type=int, default=3, help="each trains both, from another seed")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch, for both")
    parser.add_argument("--lr", type=float, default=3 * LR, help="the peak of our recipe's rate, as in its preset \"10s\"")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="bf16", help="of our recipe")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    datasets.load("mnist", "train")
    test = evaluate.test_images("mnist", "bernoulli")
    print(f"{options.epochs:g} epochs in each of {options.rounds} rounds, {options.threads} threads, {device.for_('heavy')}")
    print(f"{'round':>5}  {'recipe':<9}{'images/s':>9}  {'test ELBO, nats':>16}", flush=True)

    speeds, elbos = {name: [] for name in NAMES}, {name: [] for name in NAMES}
    for round_ in range(options.rounds):
        made = {"ours": ours(options.epochs, round_, options.lr, options.precision), "standard": standard(options.epochs, round_)}
        runs = {name: run for name, (_, _, run) in made.items()}
        if round_ == 0:                                       # what PyTorch and the allocator do once
            for run in runs.values():
                for _ in itertools.islice(run, 5):
                    pass
        found = race(runs, max(steps for _, steps, _ in made.values()))
        for name, (model, _, _) in made.items():
            elbo = evaluate.measure(model.eval(), test, SAMPLES)[0]
            speeds[name].append(found[name])
            elbos[name].append(elbo)
            print(f"{round_:>5}  {name:<9}{found[name]:>9,.0f}  {elbo.mean():>16.2f}", flush=True)

    ratios = [a / b for a, b in zip(speeds["ours"], speeds["standard"])]
    ahead = torch.stack(elbos["ours"]).mean(0) - torch.stack(elbos["standard"]).mean(0)  # per image, averaged over rounds
    summary = {
        **vars(options),
        "images_per_second": {name: round(statistics.median(values)) for name, values in speeds.items()},
        "ratio": round(statistics.median(ratios), 2), "ratios": [round(ratio, 2) for ratio in ratios],
        "test_elbo": {name: round(_mean(torch.stack(values).mean(0))[0], 2) for name, values in elbos.items()},
        "test_elbo_stderr": {name: round(_mean(torch.stack(values).mean(0))[1], 2) for name, values in elbos.items()},
        "elbo_difference": round(_mean(ahead)[0], 3), "elbo_difference_stderr": round(_mean(ahead)[1], 3),      # paired
    }
    for name in NAMES:
        print(f"{name:<9}{summary['images_per_second'][name]:>9,} images/s   test ELBO "
              f"{summary['test_elbo'][name]:.2f} ± {summary['test_elbo_stderr'][name]:.2f} nats")
    print(f"ours is {summary['ratio']} times as fast (median of rounds); its ELBO is "
          f"{summary['elbo_difference']:+.2f} ± {summary['elbo_difference_stderr']:.2f} nats from the standard's")
    print(json.dumps(summary))


def _mean(values: Tensor) -> tuple[float, float]:
    """Mean over images, and its standard error."""
    return values.mean().item(), (values.std() / len(values) ** 0.5).item()


if __name__ == "__main__":
    main()
