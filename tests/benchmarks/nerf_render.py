"""How many exact frames a second the shipped field gives, beside the same picture without its map of empty space.

    python tests/benchmarks/nerf_render.py [--name nerf-lego] [--size 200] [--turns N] [--threads N]

"sparse": the renderer of the page, sample.render, from cameras around the scene. "dense": the same field asked at as many evenly spread
places on each ray's way through the cube as there are cells a side, with no cell skipped and no ray ended early. In turns, medians; the last line printed is JSON.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from playground.core import device, metrics  # noqa: E402
from playground.nerf import maths, sample  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", default="nerf-lego")
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--threads", type=int, default=device.threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    checkpoint = sample.load(options.name)
    everywhere = {"sparse": {}, "dense": {"samples": checkpoint.model.resolution}}
    spent, looked, psnr = {way: [] for way in everywhere}, {}, []
    for turn in range(-1, options.turns):
        pose = maths.orbit_pose(360 * turn / options.turns, 15 + 5 * turn, sample.DISTANCE * checkpoint.model.bound)
        pictures = {}
        for way, how in everywhere.items():
            begun = time.perf_counter()
            pictures[way] = sample.render(checkpoint, pose, sample.FIELD_OF_VIEW, options.size, options.size, **how)
            spent[way].append(time.perf_counter() - begun)
            looked[way] = pictures[way].samples
        psnr.append(metrics.psnr(pictures["sparse"].rgb, pictures["dense"].rgb))
    median = {way: statistics.median(values[1:]) for way, values in spent.items()}           # the first turn warms up
    for way, seconds in median.items():
        print(f"{way:>6}: {1 / seconds:6.2f} frames a second at {options.size} x {options.size}, {looked[way] / options.size ** 2:.1f} samples a ray")
    print(f"{median['dense'] / median['sparse']:.1f} times as fast; the two pictures agree to {statistics.median(psnr):.1f} dB")
    print(json.dumps({"name": options.name, "size": options.size, "threads": options.threads, "seconds": median, "ratio": median["dense"] / median["sparse"]}))


if __name__ == "__main__":
    main()
