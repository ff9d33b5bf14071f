"""What the tests of this folder share: the tab's texts, and small autoencoders trained for a moment."""

from functools import partial

import pytest

import training
from playground.ae import config, text, train
from playground.core import datasets
from playground.ui import i18n

TINY = dict(dataset="glyphs", steps=300, batch_size=32, lr=5e-3, ema=0.9, width=64, units=40, keep=6)
CONFIGS = {
    "tiny-30d": train.TrainConfig(latent=12, **{**TINY, "lr": 1e-2, "batch_size": 64}),
    "tiny-2d": train.TrainConfig(latent=2, **TINY),
    "tiny-sparse": train.TrainConfig(network="sparse", penalty=0.3, **TINY),
    "tiny-top-k": train.TrainConfig(network="sparse", sparsity="top-k", **TINY),
    "tiny-kl": train.TrainConfig(network="sparse", sparsity="kl", rho=0.1, penalty=0.5, **TINY),
    "tiny-tied": train.TrainConfig(network="tied", penalty=0.0, **TINY),
    "tiny-contractive": train.TrainConfig(network="tied", penalty=2.0, **TINY),
    "tiny-denoiser": train.TrainConfig(latent=12, corruption="mask", amount=0.4, **TINY),
    "tiny-colour": train.TrainConfig(latent=6, **{**TINY, "dataset": "shapes", "steps": 20}),
}
STANDING_IN = {"FIRST": "tiny-30d", "PLANE": "tiny-2d", "SPARSE": "tiny-sparse", "CONTRACTIVE": "tiny-contractive", "PLAIN": "tiny-tied",
               "DENOISER": "tiny-denoiser"}


@pytest.fixture(autouse=True, scope="session")
def texts():
    """A view's words are there without the page."""
    i18n.register(text.TEXT)

keep = partial(training.keep, family="ae")


@pytest.fixture(scope="session")
def trained():
    """name -> (config, result): networks as a training of some updates leaves them."""
    def batches(each):
        """Drawing digits anew would take longer."""
        return (batch.x for batch in datasets.batches(datasets.load(each.dataset), each.batch_size, each.seed))

    return training.trained(train, CONFIGS, batches)


@pytest.fixture(scope="module")
def tiny(trained, tmp_path_factory):
    """A folder of runs with those checkpoints, on the CPU with one thread; they stand where the shipped ones will."""
    folder = tmp_path_factory.mktemp("runs")
    with training.runs_folder(folder, "ae", trained) as patch:
        for constant, name in STANDING_IN.items():
            patch.setattr(config, constant, name)
        yield folder
