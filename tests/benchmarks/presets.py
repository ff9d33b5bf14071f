"""How long a preset really takes from the click until its model can be used, and how good the model is.

    python tests/benchmarks/presets.py FAMILY PRESET [PRESET ...] [--dataset mnist] [--seed S] [--samples N]

A run as the page starts it: the preset, with as many updates as fit into its time by the page's own measurement, trained by a worker
process; its seconds count from the click until a picture of the model is drawn. On MNIST the Frechet distance of N samples to the
10,000 test images, beside that of N training images. The last line printed is JSON.
"""

import argparse
import dataclasses
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from playground import families  # noqa: E402
from playground.core import device, jobs, metrics, runs  # noqa: E402
from playground.core.recipe import SECONDS  # noqa: E402


def train(family: str, preset: str, dataset: str, seed: int) -> tuple[str, float, int]:
    """The model's name, the seconds from the click to its first picture, and its updates."""
    config = families.load(family, "config")
    chosen, measured = jobs.fitted(family, dataclasses.replace(config.suited(preset, dataset), seed=seed), SECONDS[preset])
    click = time.perf_counter()
    name = jobs.start(family, chosen, kind=preset, command="python tests/benchmarks/presets.py", expected=measured.seconds(chosen.steps))
    while (run := runs.find(name)).lives:
        time.sleep(0.05)
    assert run.state == "finished", (run.state, run.status.error)
    families.load(family, "sample").images(name, 1, 0)
    return name, time.perf_counter() - click, chosen.steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("family", choices=families.RECIPES)
    parser.add_argument("presets", nargs="+", choices=tuple(SECONDS), metavar="PRESET")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--samples", type=int, default=2_000)
    options = parser.parse_args()
    torch.set_num_threads(device.threads())
    torch.set_grad_enabled(False)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PLAYGROUND_RUNS"] = folder
        for preset in options.presets:
            name, seconds, updates = train(options.family, preset, options.dataset, options.seed)
            rows.append({"preset": preset, "said": SECONDS[preset], "seconds_from_click": round(seconds, 1), "updates": updates})
            if options.dataset == "mnist":
                x = families.load(options.family, "sample").images(name, options.samples, options.seed)
                rows[-1] |= {"frechet": round(metrics.figures(x, 0)["frechet"], 3),
                             "training_images_frechet": round(metrics.training_figures(options.samples, 0)["frechet"], 3)}
            print(", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
        jobs.place.leave()
    print(json.dumps({**vars(options), "threads": device.threads(), "rows": rows}))


if __name__ == "__main__":
    main()
