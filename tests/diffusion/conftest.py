"""Small diffusion checkpoints, trained for a moment, that the tests of this folder share."""

import dataclasses

import pytest
import torch

from playground.core import checkpoints, device
from playground.diffusion import train

TINY = dict(dataset="glyphs", batch_size=16, width=16, blocks=1, precision="fp32", T=100)
CONFIGS = {
    "tiny": train.TrainConfig(steps=30, lr=5e-3, ema=0.5, **TINY),
    "tiny-guide": train.TrainConfig(steps=200, lr=5e-3, ema=0.5, network="classifier", **TINY),
    "tiny-eps": train.TrainConfig(steps=8, schedule="linear", prediction="eps", **TINY),
    "tiny-colour": train.TrainConfig(steps=5, **{**TINY, "dataset": "shapes"}),
}


def keep(folder, name, config, result, **changes):
    checkpoints.save(folder / name / "checkpoint", family="diffusion", dataset=config.dataset, model=result.model,
                     train=dataclasses.asdict(config), weights=result.weights, derived=result.derived, metrics={},
                     command="made by a test", made={}, **changes)


@pytest.fixture(scope="session")
def trained():
    """name -> (config, result): networks as a training of some updates leaves them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "for_", lambda purpose: torch.device("cpu"))
        for name, config in CONFIGS.items():
            state = train.init(config)
            for _ in train.train(config, state, train.batches(config, 0)):
                pass
            made[name] = config, train.result(config, state)
    torch.set_num_threads(threads)
    return made


@pytest.fixture(scope="module")
def tiny(trained, tmp_path_factory):
    """A folder of runs with those checkpoints, on the CPU with one thread."""
    folder, threads = tmp_path_factory.mktemp("runs"), torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_RUNS", str(folder))
        patch.setattr(device, "for_", lambda purpose: torch.device("cpu"))
        for name, (config, result) in trained.items():
            keep(folder, name, config, result)
        yield folder
    torch.set_num_threads(threads)
