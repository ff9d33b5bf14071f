"""How long a grid of 64 pictures takes, beside a stock DCGAN generator of as many weights, in turns in one process.

    python tests/benchmarks/gan_grid.py [--name gan-mnist] [--turns N] [--threads T]

"ours" is what the page's grid does: the codes of 64 seeds, the generator, D's answer to each picture. "generator" is ours alone, "stock" the
usual one (Radford et al. 2015: transposed convolutions, batch normalisation in eval mode, ReLU), with random weights, which cost the same.
Medians; the last line printed is JSON. Without the checkpoint a fresh network of the shipped size stands in.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from playground.core import checkpoints, device  # noqa: E402
from playground.gan import config, sample  # noqa: E402
from playground.gan.views import grid  # noqa: E402

N = 64


def weights(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def stock(latent: int, channels: int, wanted: int) -> nn.Module:
    """z (N, latent, 1, 1) -> (N, channels, 28, 28), with about so many weights."""
    def build(w: int) -> nn.Module:
        up = lambda i, o, k, s, p: (nn.ConvTranspose2d(i, o, k, s, p, bias=False), nn.BatchNorm2d(o), nn.ReLU(True))         # noqa: E731
        return nn.Sequential(*up(latent, 4 * w, 7, 1, 0), *up(4 * w, 2 * w, 4, 2, 1), *up(2 * w, w, 4, 2, 1), nn.Conv2d(w, channels, 3, 1, 1), nn.Tanh()).eval()

    return min((build(w) for w in range(4, 65)), key=lambda model: abs(weights(model) - wanted))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", default=config.FIRST)
    parser.add_argument("--turns", type=int, default=31)
    parser.add_argument("--threads", type=int, default=device.threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    there = any(entry.name == options.name for entry in checkpoints.entries())
    if there:
        checkpoint = sample.load(options.name)
    else:
        shape = config.PRESETS["shipped"]
        model = sample.build({"latent": shape.latent, "width": shape.width}).eval().requires_grad_(False)
        checkpoint = checkpoints.Checkpoint("fresh", "gan", {}, model, {"boundary": torch.tensor(0.0), "step": torch.tensor(0)}, 0)
    shape = checkpoint.model.config
    other = stock(shape.latent, shape.channels, weights(checkpoint.model.generator))
    z = torch.randn(N, shape.latent)
    jobs = {"ours": lambda: grid._grid(checkpoint, 0, 1.0, N), "generator": lambda: checkpoint.model.picture(z), "stock": lambda: other(z[:, :, None, None])}
    spent = {name: [] for name in jobs}
    with torch.no_grad():
        for _ in range(options.turns + 2):
            for name, job in jobs.items():
                begun = time.perf_counter()
                job()
                spent[name].append(1e3 * (time.perf_counter() - begun))
    median = {name: round(statistics.median(values[2:]), 1) for name, values in spent.items()}
    print(f"{checkpoint.name}: a grid of {N} with D's answers {median['ours']} ms; the generator alone {median['generator']} ms ({weights(checkpoint.model.generator):,} weights), "
          f"a stock DCGAN generator {median['stock']} ms ({weights(other):,} weights)")
    print(json.dumps({**vars(options), "ms": median, "weights": [weights(checkpoint.model.generator), weights(other)], "ratio": round(median["stock"] / median["generator"], 2)}))


if __name__ == "__main__":
    main()
