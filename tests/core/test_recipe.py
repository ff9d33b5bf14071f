"""The flattener gives back every bit, TrainConfigs made from plain values are what they say, and a slice is a slice."""

import copy
import itertools
import json
import math
import os
from dataclasses import asdict, dataclass
from types import SimpleNamespace

import pytest
import safetensors.torch
import torch

import toy
from playground.core import device, files, recipe
from playground.core.errors import PlaygroundError


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)                                  # the toy is too small for more
    yield
    torch.set_num_threads(threads)


def trained(config, steps, state=None):
    """A state trained for `steps` more updates."""
    torch.manual_seed(1)
    state = state or toy.init(config)
    for _ in itertools.islice(toy.train(config, state, toy.batches(config, state.step)), steps):
        pass
    return state


def through_files(state, fresh, path):
    """`fresh` filled from what `state` becomes in a file."""
    tensors, meta = recipe.pack(state)
    safetensors.torch.save_file(tensors, path)
    recipe.unpack(fresh, safetensors.torch.load_file(path), json.loads(json.dumps(meta)))
    return fresh


def assert_same(a, b, path="state"):
    """Equal to the bit: kinds, shapes, memory layout, numbers."""
    assert type(a) is type(b), path
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype and a.shape == b.shape and a.stride() == b.stride() and torch.equal(a, b), path
    elif isinstance(a, torch.Generator):
        assert torch.equal(a.get_state(), b.get_state()), path
    elif isinstance(a, (torch.nn.Module, torch.optim.Optimizer)):
        assert_same(dict(a.state_dict()), dict(b.state_dict()), path)
    elif isinstance(a, dict):
        assert list(a) == list(b), path
        for key in a:
            assert_same(a[key], b[key], f"{path}.{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), path
        for i, pair in enumerate(zip(a, b)):
            assert_same(*pair, f"{path}.{i}")
    else:
        assert a == b, path


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_state_comes_back_to_the_bit(optimizer, tmp_path):
    config = toy.TrainConfig(optimizer=optimizer)
    state = trained(config, 12)
    assert state.optimizer.state_dict()["state"], "nothing to lose in this optimiser"
    fresh = through_files(state, toy.init(toy.TrainConfig(optimizer=optimizer, seed=9)), tmp_path / "state")
    assert_same(vars(state), vars(fresh))
    assert fresh.grid.shape == (4, 2)                         # it has grown since `init`


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_training_goes_on_after_the_round_trip_as_if_unbroken(optimizer, tmp_path):
    config = toy.TrainConfig(optimizer=optimizer)
    state = trained(config, 12)
    fresh = through_files(state, toy.init(config), tmp_path / "state")
    before = copy.deepcopy(fresh.model.state_dict())
    unbroken, resumed = trained(config, 10, state), trained(config, 10, fresh)
    assert_same(vars(unbroken), vars(resumed))
    assert not torch.equal(before["conv.weight"], resumed.model.conv.weight)


def test_packing_leaves_the_state_as_it_was_and_shares_no_memory():
    state = trained(toy.TrainConfig(), 6)
    before = copy.deepcopy(state.model.state_dict())
    tensors, _ = recipe.pack(state)
    for tensor in tensors.values():
        tensor.zero_()
    assert_same(before, state.model.state_dict())


@dataclass
class Grown:
    """A grid as a bare parameter and one inside a network, both held by an optimiser."""

    grid: torch.nn.Parameter
    field: torch.nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0


def grown(size):
    grid, field = torch.nn.Parameter(torch.randn(size, 2)), torch.nn.Module()
    field.grid = torch.nn.Parameter(torch.randn(size, 3))
    field.register_buffer("occupied", torch.zeros(size, dtype=torch.bool))
    state = Grown(grid, field, torch.optim.Adam([grid, field.grid]))
    (grid.square().sum() + field.grid.square().sum()).backward()
    state.optimizer.step()
    return state


def test_a_grid_that_has_grown_comes_back_grown_and_still_belongs_to_its_optimiser(tmp_path):
    state, fresh = grown(5), grown(2)
    fresh.optimizer.zero_grad(set_to_none=True)
    fresh = through_files(state, fresh, tmp_path / "state")
    assert fresh.optimizer.param_groups[0]["params"][0] is fresh.grid
    for each in (state, fresh):
        each.optimizer.zero_grad(set_to_none=True)
        (each.grid.pow(4).sum() + each.field.grid.pow(4).sum()).backward()
        each.optimizer.step()
    assert_same(state.grid.data, fresh.grid.data)
    assert_same(dict(state.field.state_dict()), dict(fresh.field.state_dict()))


def test_a_state_of_other_networks_is_refused():
    tensors, meta = recipe.pack(trained(toy.TrainConfig(), 3))
    with pytest.raises((KeyError, ValueError, RuntimeError)):
        del tensors["model.conv.weight"]
        recipe.unpack(toy.init(toy.TrainConfig()), tensors, meta)
    with pytest.raises(TypeError, match="set"):
        recipe.pack(Grown(torch.zeros(1), torch.nn.Module(), {1, 2}))


def test_a_config_takes_whole_numbers_for_real_ones_and_keeps_the_rest_of_its_base():
    base = toy.TrainConfig(steps=7)
    config = recipe.config_from("toy", toy.TrainConfig, {"lr": 1, "seed": 3}, base)
    assert asdict(config) == asdict(base) | {"lr": 1.0, "seed": 3} and type(config.lr) is float
    assert type(recipe.config_from("toy", toy.TrainConfig, {"lr": 1}).lr) is float


@pytest.mark.parametrize("values", [
    {"nonsense": 1}, {"steps": "7"}, {"steps": 7.5}, {"steps": True}, {"lr": math.nan}, {"lr": math.inf}, {"lr": False},
    {"lr": 10**400}, {"dataset": 3}, {"dataset": None}, {"seed": [1]},
])
def test_a_config_refuses_unknown_fields_and_values_of_another_kind(values):
    with pytest.raises(PlaygroundError) as refused:
        recipe.config_from("toy", toy.TrainConfig, values)
    assert next(iter(values)) in str(refused.value)


# ---- in slices -------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """A clock that only training moves: each update takes a second."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(recipe, "time", SimpleNamespace(perf_counter=lambda: now.seconds))

    def ticking(updates):
        for progress in updates:
            now.seconds += 1
            yield progress

    return ticking


def updates(config, state):
    return toy.train(config, state, toy.batches(config, state.step))


@pytest.mark.parametrize("seconds, steps", [(0, 1), (0.2, 1), (1, 1), (2.5, 3), (7, 7)])
def test_a_slice_ends_with_the_update_in_which_its_time_is_up(seconds, steps, clock):
    config = toy.TrainConfig(steps=20)
    state = toy.init(config)
    training = clock(updates(config, state))
    for i in range(1, 3):
        assert recipe.advance(training, seconds).step == state.step == i * steps


def test_after_the_last_update_a_slice_is_none(clock):
    config = toy.TrainConfig(steps=5)
    training = clock(updates(config, toy.init(config)))
    assert recipe.advance(training, 3).step == 3 and recipe.advance(training, 3).step == 5
    assert recipe.advance(training, 3) is None and recipe.advance(training, 3) is None


def test_training_in_slices_on_the_inference_thread_is_unbroken_training_to_the_bit(clock):
    config = toy.TrainConfig(steps=20)
    torch.manual_seed(1)
    unbroken = toy.init(config)
    for _ in updates(config, unbroken):
        pass
    torch.manual_seed(1)
    sliced = toy.init(config)
    training = clock(updates(config, sliced))
    while device.executor.run(recipe.advance, training, 3):
        device.executor.run(toy.preview, config, sliced)      # and a picture between two slices
    assert_same(vars(unbroken), vars(sliced))


def test_a_slice_does_not_wait_for_the_long_run_that_holds_the_device(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path))
    config = toy.TrainConfig()
    lock = files.lock(tmp_path / f".device-{device.for_('heavy').type}.lock")            # what worker._turn holds
    try:
        training = updates(config, toy.init(config))
        assert device.executor.submit(recipe.advance, training, 0).result(60).step == 1
    finally:
        os.close(lock)
