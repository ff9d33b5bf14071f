"""How soon the shipped diffusion model answers, and what it costs to show a film while it is made.

    python tests/benchmarks/diffusion_speed.py [--name ddpm-mnist] [--turns N]

"grid": sixteen pictures as the tab draws them first, beside a `diffusers` U-Net of equal weights (random ones: they cost the same)
with DDIM in 50 steps. "streaming": a film of 200 DDIM steps computed in one go, and watched as the page watches it, a frame
about every 100 ms through the same handler and the same inference thread. In turns, medians; the last line printed is JSON.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import torch
from diffusers import DDIMScheduler, UNet2DModel

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from playground.core.device import executor  # noqa: E402
from playground.diffusion import sample  # noqa: E402
from playground.diffusion.views import reverse  # noqa: E402
from playground.ui.live import png  # noqa: E402

GRID, FILM, SHOWN = 16, 200, 0.1


def stock() -> float:
    model, scheduler = stock.model, DDIMScheduler(1000)
    scheduler.set_timesteps(50)
    begun = time.perf_counter()
    x = torch.randn(GRID, 1, 28, 28)
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t).sample, t, x).prev_sample
    return time.perf_counter() - begun


def grid(checkpoint) -> float:
    begun = time.perf_counter()
    sample.grid(checkpoint, range(GRID), None)
    return time.perf_counter() - begun


def in_one_go(checkpoint, seed: int) -> float:
    film = sample.film(checkpoint, (sample.Leg(1000, sample.Choice(seed, 3, steps=FILM)),))
    begun = time.perf_counter()
    film.advance(1e9)
    return time.perf_counter() - begun


def watched(checkpoint, seed: int) -> float:
    """From this thread, as the server does for a page: the film goes on in the inference thread between the frames."""
    query = {"checkpoint": checkpoint.name, "seed": str(seed), "y": "3", "steps": str(FILM), "k": "-1"}
    begun = time.perf_counter()
    while True:
        frame = executor.run(reverse.reverse_frame, query)
        png(frame.picture)
        if frame.numbers["reached"] == frame.numbers["total"]:
            return time.perf_counter() - begun
        time.sleep(SHOWN)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", default="ddpm-mnist")
    parser.add_argument("--turns", type=int, default=7)
    options = parser.parse_args()
    checkpoint = executor.run(sample.load, options.name)
    stock.model = UNet2DModel(sample_size=28, in_channels=1, out_channels=1, layers_per_block=2, block_out_channels=(32, 64, 64),
                              down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
                              up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D")).eval()
    spent = {"grid": [], "stock": [], "in_one_go": [], "watched": []}
    for turn in range(options.turns):
        spent["grid"].append(executor.run(grid, checkpoint))
        spent["stock"].append(executor.run(stock))
        spent["in_one_go"].append(executor.run(in_one_go, checkpoint, 2 * turn))
        spent["watched"].append(watched(checkpoint, 2 * turn + 1))
    median = {name: statistics.median(values) for name, values in spent.items()}
    weights = [sum(p.numel() for p in model.parameters()) for model in (checkpoint.model, stock.model)]
    print(f"a grid of {GRID}: {median['grid']:.3f} s ({weights[0]:,} weights); diffusers, DDIM-50: {median['stock']:.3f} s ({weights[1]:,} weights): "
          f"{median['stock'] / median['grid']:.1f} times sooner")
    print(f"a film of {FILM} steps: {median['in_one_go']:.3f} s in one go, {median['watched']:.3f} s while it is watched: "
          f"{100 * (median['watched'] / median['in_one_go'] - 1):+.1f} %")
    print(json.dumps({**vars(options), "weights": weights, "seconds": median, "grid_ratio": median["stock"] / median["grid"],
                      "streaming_ratio": median["watched"] / median["in_one_go"]}))


if __name__ == "__main__":
    main()
