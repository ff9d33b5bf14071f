"""What the tests of this folder share: the family registered, and small GANs trained for a moment."""

import dataclasses

import pytest
import torch

from playground import families
from playground.core import checkpoints, datasets, device
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


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """The page does not offer the family yet."""
    if "gan" not in families.FAMILIES:
        monkeypatch.setattr(families, "FAMILIES", ("gan", *families.FAMILIES))
        monkeypatch.setattr(families, "RECIPES", ("gan", *families.RECIPES))


def keep(folder, name, config, result, metrics={}):
    checkpoints.save(folder / name / "checkpoint", family="gan", dataset=config.dataset, model=result.model, train=dataclasses.asdict(config),
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
            pairs = (torch.stack([next(fixed).x for _ in range(each.critics)]) for _ in range(each.steps))
            for _ in train.train(each, state, pairs):
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
