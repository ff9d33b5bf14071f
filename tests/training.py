"""What the tests of all recipes share: short trainings on one CPU thread, whose bits can be compared, kept as checkpoints."""

import dataclasses
import itertools
import json
from contextlib import contextmanager

import pytest
import torch

from playground.core import checkpoints, device, recipe


@contextmanager
def one_cpu_thread():
    """Models on the CPU, one thread: the same bits each time. Yields what patches until the end."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "for_", lambda purpose: torch.device("cpu"))
        yield patch
    torch.set_num_threads(threads)


def run(train, config, updates=None, state=None, batches=None):
    """(state, Progress of each update) of a recipe, trained for `updates` more updates or to the end."""
    state = state or train.init(config)
    batches = train.batches(config, state.step) if batches is None else batches
    return state, list(itertools.islice(train.train(config, state, batches), updates))


def bits(state):
    """Everything a run consists of, as bytes."""
    tensors, meta = recipe.pack(state)
    return {key: tensor.numpy().tobytes() for key, tensor in tensors.items()}, json.dumps(meta)


def metrics(progress):
    return [dict(each.metrics) for each in progress]


def keep(folder, name, config, result, family, **changes):
    """A checkpoint `name` of a training's result in a folder of runs."""
    checkpoints.save(folder / name / "checkpoint", **{**dict(
        family=family, dataset=config.dataset, model=result.model, train=dataclasses.asdict(config), weights=result.weights, derived=result.derived,
        metrics={}, command="made by a test", made={}), **changes})


@contextmanager
def runs_folder(folder, family, trained):
    """`trained`, name -> (config, result), as a folder of runs that the process looks into, on one CPU thread. Yields what patches."""
    with one_cpu_thread() as patch:
        patch.setenv("PLAYGROUND_RUNS", str(folder))
        for name, (config, result) in trained.items():
            keep(folder, name, config, result, family)
        yield patch


def trained(train, configs, batches=None):
    """name -> (config, result) of each training, on one CPU thread. batches: config -> those it takes, where not the recipe's own."""
    made = {}
    with one_cpu_thread():
        for name, config in configs.items():
            state, _ = run(train, config, batches=batches(config) if batches else None)
            made[name] = config, train.result(config, state)
    return made
