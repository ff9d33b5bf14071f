"""A field packed for the browser is the field, as far as bytes can say it, and small."""

import dataclasses
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from referee import BOUND, ball_and_ring, psnr, render

from playground.nerf import bake, maths, sample, voxels
from playground.nerf.config import ModelConfig
from playground.nerf.voxels import VoxelField

CAMERA = (35.0, 25.0, 3.6, 40.0)


@pytest.fixture(scope="module")
def field():
    return ball_and_ring(24)


@pytest.fixture(scope="module")
def baked(field):
    return bake.pack(field.occupied, *field.corners(), BOUND)


def box(field):
    """The lowest corner of the kept cells, and the slices of their corners."""
    held = np.argwhere(field.occupied)
    return held.min(0), tuple(slice(low, high + 2) for low, high in zip(held.min(0), held.max(0)))


def test_unpacking_gives_every_value_back_within_half_a_step(field, baked):
    dense = bake.unbake(baked)
    _, where = box(field)
    used = np.zeros(field.values.shape[:3], bool)
    used[tuple(field.corners()[0].T)] = True
    used, values = used[where], field.values[where]
    raw = values[..., 0].clip(*bake.RAW) - maths.SHIFT
    assert np.abs(dense.density - raw)[used].max() <= 0.5 * 16 / 255 + 1e-5
    scale = np.array([maths.SH0, *3 * [maths.BAND * maths.SH1]])[:, None] * maths.CONTRAST
    logit, (low, high) = values[..., 1:].reshape(*used.shape, 4, 3) * scale, np.array(baked.meta["colour"])
    assert (np.abs(dense.colour - logit.clip(low, high))[used] <= 0.5 * (high - low) / 255 + 1e-5).all()
    visible = np.logaddexp(0, values[..., 0] - maths.SHIFT)[used] > bake.VISIBLE
    beyond = ((logit < low) | (logit > high))[used][visible]
    assert beyond.mean() < 0.01, "few of the coefficients that can be seen are cut"


def test_emptiness_is_the_distance_to_the_nearest_cell_along_any_axis(field, baked):
    occupied = np.argwhere(field.occupied) - box(field)[0]
    empty = bake.unbake(baked).empty
    cells = np.argwhere(np.ones(baked.meta["cells"], bool))[::7]
    nearest = np.abs(cells[:, None] - occupied[None]).max(2).min(1)
    np.testing.assert_array_equal(empty[tuple(cells.T)], nearest.clip(max=bake.FAR))


def test_the_picture_of_the_bytes_is_that_of_the_floats(field, baked):
    dense, (low, where) = bake.unbake(baked), box(field)
    values = field.values.copy()
    scale = np.array([maths.SH0, *3 * [maths.BAND * maths.SH1]])[:, None] * maths.CONTRAST
    values[where] = np.concatenate([dense.density[..., None] + maths.SHIFT, (dense.colour / scale).reshape(*dense.density.shape, 12)], axis=-1)
    exact, of_bytes = (render(each, CAMERA, 48) for each in (field, dataclasses.replace(field, values=values)))
    reference = render(field, CAMERA, 48, finer=4)
    assert psnr(of_bytes, exact) > 45
    assert abs(psnr(of_bytes, reference) - psnr(exact, reference)) < 0.05
    np.testing.assert_allclose(baked.meta["origin"], low * 2 * BOUND / 24 - BOUND)


@pytest.fixture(scope="module")
def checkpoint(field):
    """The same field as the family keeps it."""
    places, values = field.corners()
    model = VoxelField(ModelConfig(bound=BOUND, resolution=len(field.occupied), vertices=len(places)))
    values = torch.from_numpy(values).float()
    model.load_state_dict({"cells": voxels.pack_cells(torch.from_numpy(field.occupied)), "raw": values[:, :1], "sh": values[:, 1:]})
    return SimpleNamespace(model=model)


def test_a_checkpoint_is_packed_as_its_cells_and_corners(checkpoint, baked):
    found, rounding = bake.unbake(bake.bake(checkpoint)), bake.unbake(baked)
    np.testing.assert_array_equal(found.empty, rounding.empty)
    np.testing.assert_allclose(found.density, rounding.density, atol=0.07)           # float32: now and then the next byte
    np.testing.assert_allclose(found.colour, rounding.colour, atol=0.03)
    assert (found.density != rounding.density).mean() < 1e-3
    assert bake.bake(SimpleNamespace(model=torch.nn.Linear(2, 2))) is None, "no grid of voxels"


def test_the_referee_s_picture_is_the_one_the_family_renders(field, checkpoint):
    azimuth, elevation, distance, view = CAMERA
    found = sample.render(checkpoint, maths.orbit_pose(azimuth, elevation, distance), np.radians(view), 48, 48)
    assert psnr(found.rgb.numpy(), render(field, CAMERA, 48)) > 50


def test_layers_stand_as_tiles_in_reading_order(baked):
    X, Y, Z = (side + 1 for side in baked.meta["cells"])
    columns, dense = baked.meta["columns"], bake.unbake(baked).empty
    picture = np.asarray(Image.open(io.BytesIO(baked.pictures["empty"])))
    assert max(picture.shape) < 2 * min(picture.shape)
    for z in range(Z):
        top, left = z // columns * Y, z % columns * X
        np.testing.assert_array_equal(picture[top:top + Y, left:left + X], dense[..., z].T)


def test_the_description_is_json_and_speaks_of_the_same_box(field, baked):
    assert json.loads(json.dumps(baked.meta, allow_nan=False)) == baked.meta
    assert baked.pictures.keys() == {"density", "empty", *bake.FIELDS}
    assert bake.unbake(baked).density.shape == tuple(np.ptp(np.argwhere(field.occupied), axis=0) + 2)


def test_an_empty_field_and_one_of_a_single_cell_are_packed_too():
    nothing = bake.pack(np.zeros((4, 4, 4), bool), np.zeros((0, 3), int), np.zeros((0, 13)), 1.0)
    assert (bake.unbake(nothing).empty == bake.FAR).all()
    one = np.zeros((4, 4, 4), bool)
    one[1, 2, 3] = True
    places = np.argwhere(np.ones((2, 2, 2), bool)) + [1, 2, 3]
    dense = bake.unbake(bake.pack(one, places, np.full((8, 13), 5.0), 1.0))
    assert dense.empty[0, 0, 0] == 0 and dense.density.shape == (2, 2, 2)
    np.testing.assert_allclose(dense.density, 1.0, atol=0.04)


def test_what_takes_too_many_bytes_keeps_fewer_steps_and_then_is_not_packed(field, baked, monkeypatch):
    """Noise in every colour, as hard to pack as anything."""
    places, values = field.corners()
    values = np.concatenate([values[:, :1], np.random.default_rng(0).normal(size=(len(values), 12))], axis=1)
    size = lambda baked: sum(map(len, baked.pictures.values()))                  # noqa: E731
    whole = bake.pack(field.occupied, places, values, BOUND)
    monkeypatch.setattr(bake, "BYTES_MAX", int(0.8 * size(whole)))
    less = bake.pack(field.occupied, places, values, BOUND)
    assert size(less) <= 0.8 * size(whole) and less.pictures["constant"] == whole.pictures["constant"]
    assert 0 < np.abs(bake.unbake(less).colour - bake.unbake(whole).colour).max() < 0.06 * np.subtract(*whole.meta["colour"][::-1]).max()
    monkeypatch.setattr(bake, "BYTES_MAX", 1000)
    assert bake.pack(field.occupied, places, values, BOUND) is None
