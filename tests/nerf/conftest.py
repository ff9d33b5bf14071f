"""A small field, trained once for all tests that ask for one."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from playground.core import device
from playground.nerf import config


def tiny(**changes):
    """A training of a second on the built-in scene."""
    return dataclasses.replace(config.TrainConfig(steps=60, size=24, batch_size=256, views=40, seed=3), **changes)


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Iterator[tuple[Path, pytest.MonkeyPatch]]:
    """An empty folder for a module's own runs, and what patches stay for the whole of the module; on the CPU, without gradients."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setenv("PLAYGROUND_RUNS", str(folder))
        patch.setattr(device, "for_", lambda purpose: torch.device("cpu"))
        yield folder, patch


@pytest.fixture(scope="session")
def trained():
    """(config, state) of a voxel field that has been refined to the end."""
    from playground.nerf import train

    state = train.init(tiny())
    for _ in train.train(tiny(), state, train.batches(tiny(), 0)):
        pass
    return tiny(), state


@pytest.fixture(scope="session")
def checkpoint(trained):
    """The same as a checkpoint would hold it, in bytes."""
    from playground.nerf import sample, train

    made = train.result(*trained)
    field = sample.build(made.model)
    field.load_state_dict(made.weights)
    return SimpleNamespace(name="tiny", model=field.requires_grad_(False).eval(), derived=made.derived,
                           config={"dataset": "solids", "model": dict(made.model)})
