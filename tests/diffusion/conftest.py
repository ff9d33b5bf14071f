"""Small diffusion checkpoints, trained for a moment, that the tests of this folder share."""

from functools import partial

import pytest

import training
from playground.diffusion import train

TINY = dict(dataset="glyphs", batch_size=16, width=16, blocks=1, precision="fp32", T=100)
CONFIGS = {
    "tiny": train.TrainConfig(steps=30, lr=5e-3, ema=0.5, **TINY),
    "tiny-guide": train.TrainConfig(steps=200, lr=5e-3, ema=0.5, network="classifier", **TINY),
    "tiny-eps": train.TrainConfig(steps=8, schedule="linear", prediction="eps", **TINY),
    "tiny-colour": train.TrainConfig(steps=5, **{**TINY, "dataset": "shapes"}),
}

keep = partial(training.keep, family="diffusion")


@pytest.fixture(scope="session")
def trained():
    """name -> (config, result): networks as a training of some updates leaves them."""
    return training.trained(train, CONFIGS)


@pytest.fixture(scope="module")
def tiny(trained, tmp_path_factory):
    """A folder of runs with those checkpoints, on the CPU with one thread."""
    folder = tmp_path_factory.mktemp("runs")
    with training.runs_folder(folder, "diffusion", trained):
        yield folder
