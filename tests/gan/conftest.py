"""What the tests of this folder share: small GANs trained for a moment."""

from functools import partial

import pytest
import torch

import training
from playground.core import datasets
from playground.gan import config, train

TINY = dict(dataset="glyphs", steps=60, batch_size=16, lr=2e-3, ema=0.8, width=4, latent=8, precision="fp32")
CONFIGS = {
    "tiny-mnist": train.TrainConfig(**TINY),
    "tiny-critic": train.TrainConfig(loss="wasserstein", penalty="gp", critics=2, **{**TINY, "steps": 10}),
    "tiny-squares": train.TrainConfig(loss="least-squares", **{**TINY, "steps": 3}),
    "tiny-spectral": train.TrainConfig(loss="hinge", penalty="none", spectral=True, **{**TINY, "steps": 10}),
    "tiny-colour": train.TrainConfig(augment=0.5, **{**TINY, "dataset": "shapes", "steps": 10}),
}
STANDING_IN = {"FIRST": "tiny-mnist"}

keep = partial(training.keep, family="gan")


@pytest.fixture(scope="session")
def trained():
    """name -> (config, result): networks as a training of some updates leaves them."""
    def batches(each):
        """Drawing digits anew would take longer."""
        fixed = datasets.batches(datasets.load(each.dataset), each.batch_size, each.seed)
        return (torch.stack([next(fixed).x for _ in range(each.critics)]) for _ in range(each.steps))

    return training.trained(train, CONFIGS, batches)


@pytest.fixture(scope="module")
def tiny(trained, tmp_path_factory):
    """A folder of runs with those checkpoints, on the CPU with one thread; they stand where the shipped ones will."""
    folder = tmp_path_factory.mktemp("runs")
    with training.runs_folder(folder, "gan", trained) as patch:
        for constant, name in STANDING_IN.items():
            patch.setattr(config, constant, name)
        yield folder
