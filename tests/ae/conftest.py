"""What the tests of this folder share: the tab's texts, and small autoencoders trained for a moment."""

import dataclasses

import pytest
import torch

from playground.ae import config, text, train
from playground.core import checkpoints, datasets, device
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


def keep(folder, name, config, result, metrics={}):
    checkpoints.save(folder / name / "checkpoint", family="ae", dataset=config.dataset, model=result.model, train=dataclasses.asdict(config),
                     weights=result.weights, derived=result.derived, metrics=metrics, command="made by a test", made={})


@pytest.fixture(scope="session")
def trained():
    """name -> (config, result): networks as a training of some updates leaves them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "for_", lambda purpose: torch.device("cpu"))
        for name, each in CONFIGS.items():
            state = train.init(each)
            fixed = datasets.batches(datasets.load(each.dataset), each.batch_size, each.seed)      # drawing digits anew would take longer
            for _ in train.train(each, state, (batch.x for batch in fixed)):
                pass
            made[name] = each, train.result(each, state)
    torch.set_num_threads(threads)
    return made


@pytest.fixture(scope="module")
def tiny(trained, tmp_path_factory):
    """A folder of runs with those checkpoints, on the CPU with one thread; they stand where the shipped ones will."""
    folder, threads = tmp_path_factory.mktemp("runs"), torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_RUNS", str(folder))
        patch.setattr(device, "for_", lambda purpose: torch.device("cpu"))
        for constant, name in STANDING_IN.items():
            patch.setattr(config, constant, name)
        for name, (each, result) in trained.items():
            keep(folder, name, each, result)
        yield folder
    torch.set_num_threads(threads)
