"""Our digits against those of a stock `diffusers` U-Net after equal time: quality, and how soon a grid of sixteen appears.

    python tests/benchmarks/diffusion_against_diffusers.py [--minutes M] [--threads N] [--samples N] [--steps S] [--seed S]

"stock" is the usual unconditional recipe on MNIST: UNet2DModel of 1.7 M weights (32, 64, 64 channels, attention at the two coarser
levels), eps-prediction on DDPMScheduler's linear schedule, AdamW at 1e-4 with 500 updates of warm-up, an average of the weights,
in fp32, batches of 64. "ours" is the recipe of `ddpm-mnist` (preset 1h), its learning rate falling to 0 at the end of the same minutes.
Both start from scratch, one after the other, in this process. Frechet distances to the 10,000 test images, in the features of our
classifier; ours drawn by DPM-Solver++ in 10 steps, the stock one by DDIM in 50. Then both draw grids of 16 in turns; the median counts.
--steps: updates of each instead of minutes. The last line printed is JSON.
"""

import argparse
import copy
import json
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from playground.core import datasets, metrics, recipe  # noqa: E402
from playground.core.checkpoints import Checkpoint  # noqa: E402
from playground.diffusion import sample, train  # noqa: E402

GRID, TURNS = 16, 7
STOCK_STEPS = 50


def stock(seconds: float, steps: int | None, seed: int) -> tuple[UNet2DModel, int]:
    """The stock U-Net after so long, or so many updates, and how many there were."""
    torch.manual_seed(seed)
    model = UNet2DModel(sample_size=28, in_channels=1, out_channels=1, layers_per_block=2, block_out_channels=(32, 64, 64),
                        down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
                        up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"))
    averaged, scheduler = copy.deepcopy(model).requires_grad_(False), DDPMScheduler(1000)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6)
    begun, done = time.perf_counter(), 0
    for batch in datasets.batches("mnist", 64, seed):
        if done == steps or steps is None and time.perf_counter() - begun > seconds:
            break
        x_0, t = 2 * batch.x - 1, torch.randint(0, 1000, (64,))
        eps = torch.randn_like(x_0)
        loss = F.mse_loss(model(scheduler.add_noise(x_0, eps, t), t).sample, eps)
        for group in optimizer.param_groups:
            group["lr"] = 1e-4 * min(1, (done + 1) / 500)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        recipe.average(averaged, model, 0.999, done)
        done += 1
    return averaged.eval(), done


@torch.no_grad()
def stock_pictures(model: UNet2DModel, n: int, seed: int) -> torch.Tensor:
    scheduler = DDIMScheduler(1000)
    scheduler.set_timesteps(STOCK_STEPS)
    generator, parts = torch.Generator().manual_seed(seed), []
    for size in torch.full((n,), 1).split(sample.BATCH):
        x = torch.randn((len(size), 1, 28, 28), generator=generator)
        for t in scheduler.timesteps:
            x = scheduler.step(model(x, t).sample, t, x).prev_sample
        parts.append(((x + 1) / 2).clamp(0, 1))
    return torch.cat(parts)


def ours(seconds: float, steps: int | None, seed: int) -> tuple[Checkpoint, int]:
    """Our U-Net after so long, as a checkpoint: the updates that fit are found on twenty of them."""
    config = replace(train.PRESETS["1h"], seed=seed)
    if steps is None:
        trial = replace(config, steps=25)
        state, marks = train.init(trial), []
        for _ in train.train(trial, state, train.batches(trial, 0)):
            marks.append(time.perf_counter())
        steps = round(seconds / ((marks[-1] - marks[4]) / 20))
    config = replace(config, steps=steps)
    state = train.init(config)
    for _ in train.train(config, state, train.batches(config, 0)):
        pass
    return Checkpoint("ours", "diffusion", {"dataset": "mnist"}, state.ema.eval(), {}, 0), steps


def labels(n: int, seed: int) -> torch.Tensor:
    every = datasets.load("mnist", "train").labels
    return every[torch.randperm(len(every), generator=torch.Generator().manual_seed(seed))[:n]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--samples", type=int, default=5_000)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    times = {}
    begun = time.perf_counter()
    checkpoint, updates = ours(60 * options.minutes, options.steps, options.seed)
    times["ours"] = time.perf_counter() - begun
    begun = time.perf_counter()
    model, stock_updates = stock(times["ours"], options.steps, options.seed)          # as long as ours took, no less
    times["stock"] = time.perf_counter() - begun
    with torch.no_grad():
        figures = {
            "ours": metrics.figures(sample.draw(checkpoint, options.samples, options.seed, "dpm-solver", sample.GRID_STEPS, labels=labels(options.samples, options.seed)), options.seed),
            "stock": metrics.figures(stock_pictures(model, options.samples, options.seed), options.seed),
        }
        grids = {"ours": lambda: sample.grid(checkpoint, range(GRID), None), "stock": lambda: stock_pictures(model, GRID, 0)}
        spent = {name: [] for name in grids}
        for _ in range(TURNS):
            for name, grid in grids.items():
                begun = time.perf_counter()
                grid()
                spent[name].append(time.perf_counter() - begun)
    seconds = {name: statistics.median(values) for name, values in spent.items()}
    weights = {"ours": sum(p.numel() for p in checkpoint.model.parameters()), "stock": sum(p.numel() for p in model.parameters())}
    for name, count in (("ours", updates), ("stock", stock_updates)):
        print(f"{name}: {weights[name]:,} weights, {count:,} updates in {times[name]:.0f} s, Frechet distance {figures[name]['frechet']:.3f}, "
              f"a grid of {GRID} in {seconds[name]:.3f} s")
    print(json.dumps({
        **vars(options), "weights": weights, "updates": {"ours": updates, "stock": stock_updates}, "training_seconds": times, "figures": figures,
        "grid_seconds": seconds, "frechet_ratio": figures["ours"]["frechet"] / figures["stock"]["frechet"], "grid_ratio": seconds["stock"] / seconds["ours"]}))


if __name__ == "__main__":
    main()
