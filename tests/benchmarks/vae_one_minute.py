"""What "1 minute" on the page gives on MNIST, beside the standard example after ten epochs.

    python tests/benchmarks/vae_one_minute.py [--epochs E] [--seeds S] [--time 10s|1m|10m]

"one minute" is a run as the page starts it: the preset, with as many updates as fit into its time by the page's own
measurement, trained by a worker process; its seconds count from the moment of the click until the model can be used.
"standard" is the usual example (784-400-20, Adam at 1e-3, batches of 128, dynamically binarised; the one of
vae_training.py), trained afterwards in this process. The test ELBO is `evaluate.measure` for both, on the one pinned
binarisation of all 10,000 test images, with 10 samples of q(z | x) each. The last line printed is JSON.
"""

import argparse
import dataclasses
import itertools
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from vae_training import SAMPLES, standard  # noqa: E402

from playground.core import device, jobs, runs  # noqa: E402
from playground.core.recipe import SECONDS  # noqa: E402
from playground.vae import config as vae, evaluate, sample  # noqa: E402


def one_minute(preset: str, seed: int) -> tuple[torch.Tensor, float, int]:
    """ELBO per test image, seconds from the click, and the updates of one run as the page makes it."""
    config, measured = jobs.fitted("vae", dataclasses.replace(vae.suited(preset, "mnist"), seed=seed), SECONDS[preset])
    click = time.perf_counter()
    name = jobs.start("vae", config, kind=preset, command="python tests/benchmarks/vae_one_minute.py", expected=measured.seconds(config.steps))
    while (run := runs.find(name)).lives:
        time.sleep(0.05)
    seconds = time.perf_counter() - click
    assert run.state == "finished", (run.state, run.status.error)
    return elbo(sample.load(name).model), seconds, config.steps


def reference(epochs: float, seed: int) -> tuple[torch.Tensor, float]:
    begun = time.perf_counter()
    model, _, updates = standard(epochs, seed)
    for _ in itertools.islice(updates, 10**9):
        pass
    return elbo(model.eval()), time.perf_counter() - begun


def elbo(model: torch.nn.Module) -> torch.Tensor:
    return evaluate.measure(model, evaluate.test_images("mnist", "bernoulli"), SAMPLES)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=float, default=10, help="of the standard example")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--time", choices=tuple(SECONDS), default="1m")
    options = parser.parse_args()
    torch.set_num_threads(device.threads())
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PLAYGROUND_RUNS"] = folder
        for seed in range(options.seeds):
            ours, seconds, steps = one_minute(options.time, seed)
            theirs, their_seconds = reference(options.epochs, seed)
            ahead = ours - theirs
            rows.append({
                "seed": seed, "seconds_from_click": round(seconds, 1), "updates": steps, "test_elbo": round(ours.mean().item(), 2),
                "standard_test_elbo": round(theirs.mean().item(), 2), "standard_seconds": round(their_seconds, 1),
                "difference": round(ahead.mean().item(), 2), "difference_stderr": round((ahead.std() / len(ahead) ** 0.5).item(), 3)})
            print(f"seed {seed}: {options.time} {rows[-1]['test_elbo']} nats after {seconds:.1f} s from the click ({steps:,} updates); standard "
                  f"{rows[-1]['standard_test_elbo']} after {options.epochs:g} epochs, {their_seconds:.0f} s; "
                  f"difference {rows[-1]['difference']:+} ± {rows[-1]['difference_stderr']}", flush=True)
        jobs.place.leave()
    print(json.dumps({**vars(options), "threads": device.threads(), "rows": rows}))


if __name__ == "__main__":
    main()
