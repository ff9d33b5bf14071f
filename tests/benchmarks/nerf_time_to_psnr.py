"""How long until a radiance field shows held-out views well: sparse voxels beside the paper's two networks, each from scratch.

    python tests/benchmarks/nerf_time_to_psnr.py [--dataset lego] [--sizes 100 200] [--limit 600] [--threads N] [--whole]

Each is trained by its own recipe for its own number of updates and looked at in between; what the looks take is not counted. "> 600 s" where
one never gets there within the limit. PSNR is the mean over all held-out views at the pictures' size; of the networks, whose one picture
takes many seconds, RAYS x RAYS pixels of each are looked at, evenly spread, and --whole looks at all of them at the end. The last line
printed is JSON.
"""

import argparse
import json
import math
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import mean

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from playground.core import device, metrics, scenes  # noqa: E402
from playground.nerf import config, maths, train  # noqa: E402

GOALS = (22, 25, 27, 30)     # dB
LOOKS = 1.25                 # times longer until the next look
RAYS = 34                    # rows and columns of a held-out view that the networks are looked at through
SOON = 2.0                   # seconds until the first
VOXELS = {100: "10s", 200: "1m"}                              # presets by size


def settings(kind: str, dataset: str, size: int) -> config.TrainConfig:
    if kind == "voxels":
        return config.suited(VOXELS.get(size, "1m"), dataset)
    return replace(config.PRESETS["shipped"], dataset=dataset, size=size, **config.NETWORK)


@torch.no_grad()
def seen(field, views, every: int = 1) -> float:
    """The mean PSNR of the held-out views, each through the middle of every so many rows and columns."""
    size, found, picked = views.images.shape[1], [], slice(every // 2, None, every)
    for pose, image in zip(views.poses, views.images):
        o, d = (each.view(size, size, 3)[picked, picked].reshape(-1, 3) for each in maths.camera_rays(pose, views.field_of_view, size, size))
        rgb = torch.cat([field.trace(a, b).rgb for a, b in zip(o.split(1 << 15), d.split(1 << 15))])
        found.append(metrics.psnr(rgb.clamp(0, 1), image[picked, picked].reshape(-1, 3).float() / 255))
    return mean(found)


def race(kind: str, dataset: str, size: int, limit: float, whole: bool) -> dict:
    """Seconds of wall clock and of processor to each goal, and what it came to."""
    chosen, every = settings(kind, dataset, size), 1 if kind == "voxels" else math.ceil(size / RAYS)
    views = scenes.load(dataset, size).held_out
    state = train.init(chosen)
    stream = train.batches(chosen, 0)
    next(train.batches(chosen, 0))                            # the scene is loaded, and its pictures laid out, before the clock starts
    wall = cpu = 0.0
    reached, look, psnr = {}, SOON, math.nan
    begun, cpu_begun = time.perf_counter(), time.process_time()
    for progress in train.train(chosen, state, stream):
        now = wall + time.perf_counter() - begun
        if now < look and progress.step < progress.steps and now < limit:
            continue
        wall, cpu = now, cpu + time.process_time() - cpu_begun
        psnr, look = seen(state.field, views, every), max(SOON, wall) * LOOKS
        print(f"{kind:>6} {size}: {wall:7.1f} s  {progress.step:>6} of {progress.steps} updates  {psnr:.2f} dB", file=sys.stderr, flush=True)
        reached |= {goal: (round(wall, 1), round(cpu, 1)) for goal in GOALS if psnr >= goal and goal not in reached}
        if wall >= limit or len(reached) == len(GOALS):
            break
        begun, cpu_begun = time.perf_counter(), time.process_time()
    if whole and every > 1:
        every, psnr = 1, seen(state.field, views)
    return {"field": kind, "size": size, "every": every, "updates": state.step, "seconds": round(wall, 1), "psnr": round(psnr, 2),
            "to": {goal: reached[goal] if goal in reached else f"> {wall:.0f} s" for goal in GOALS}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="lego")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 200])
    parser.add_argument("--limit", type=float, default=600.0)
    parser.add_argument("--threads", type=int, default=device.threads())
    parser.add_argument("--whole", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found = [race(kind, options.dataset, size, options.limit, options.whole) for size in options.sizes for kind in ("voxels", "mlp")]
    print(f"seconds (of processor) to {', '.join(map(str, GOALS))} dB on the {options.dataset} held-out views, {options.threads} threads:")
    for each in found:
        row = [f"{to[0]} ({to[1]})" if isinstance(to, tuple) else to for to in each["to"].values()]
        print(f"{each['field']:>6} at {each['size']}: {'   '.join(row)}   ended at {each['psnr']} dB, one pixel in {each['every'] ** 2}, after {each['seconds']} s")
    print(json.dumps({"dataset": options.dataset, "threads": options.threads, "runs": found}))


if __name__ == "__main__":
    main()
