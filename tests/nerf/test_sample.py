"""What a field shows: against the exact picture of the built-in scene, along one ray, its normals, the same picture for the same seed."""

import json
import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from playground import __main__
from playground.core import solids
from playground.nerf import maths, sample


class Exact(torch.nn.Module):
    """The built-in scene itself as a field: solid inside, painted without light; and a ball instead, where `ball`."""

    bound, step, device = 1.3, 0.02, torch.device("cpu")

    def __init__(self, ball=False):
        super().__init__()
        self.ball = ball

    def density(self, x):
        distance = x.norm(dim=-1) - 0.7 if self.ball else solids.sdf(x)
        return 500.0 * torch.sigmoid(-distance / 5e-3)

    def forward(self, x, d):
        return solids.albedo(x), self.density(x)

    def trace(self, o, d, stop=0.0):
        return sample._evenly(self, o, d, 256)


def held(field):
    return SimpleNamespace(name="exact", model=field, config={"dataset": "solids"})


POSE, FIELD_OF_VIEW = maths.orbit_pose(40, 30, 4.03), 0.6911


def test_pictures_of_the_built_in_scene_agree_with_its_exact_one_as_samples_grow():
    truth = solids.render(POSE, FIELD_OF_VIEW, 32, supersample=1)
    o, d = maths.camera_rays(POSE, FIELD_OF_VIEW, 32, 32)
    solid = truth.depth.isfinite()
    paint = torch.ones(32, 32, 3)
    paint[solid] = solids.albedo((o + truth.depth.where(solid, 0)[..., None] * d)[solid])
    errors = []
    for samples in (8, 32, 128, 512):
        seen = sample.render(held(Exact()), POSE, FIELD_OF_VIEW, 32, 32, samples=samples)
        both = solid & seen.depth.isfinite()
        errors.append([(seen.rgb - paint)[solid].square().mean(-1).median().item(), (seen.opacity - solid.float()).square().mean().item(),
                       (seen.depth - truth.depth)[both].abs().median().item()])
        assert seen.samples == 32 * 32 * samples
    colour, opacity, depth = zip(*errors)                     # medians: a ray that grazes a solid loses its light in the field's soft skin
    assert max(colour[1:]) < colour[0] / 100 and max(colour[1:]) < 1e-4
    assert depth[2] < depth[1] < depth[0] and max(depth[2:]) < 0.02
    assert max(opacity[2:]) <= opacity[1] < opacity[0] and opacity[3] < 0.02


def test_a_trained_field_sees_what_it_was_shown(checkpoint):
    truth = solids.render(POSE, FIELD_OF_VIEW, 24)
    seen = sample.render(checkpoint, POSE, FIELD_OF_VIEW, 24, 24)
    assert (seen.rgb - truth.rgb).square().mean() < 0.01      # all white: 0.04
    both = (truth.alpha > 0.99) & (seen.opacity > 0.9)
    assert both.sum() > 50 and (seen.depth - truth.depth)[both].abs().median() < 2 * checkpoint.model.step
    assert seen.depth[seen.opacity == 0].isinf().all()


def test_one_sample_a_voxel_where_there_is_something_sees_what_many_evenly_spread_ones_see(checkpoint):
    quick, slow = (sample.render(checkpoint, POSE, FIELD_OF_VIEW, 24, 24, samples=n) for n in (None, 300))
    assert (quick.rgb - slow.rgb).abs().mean() < 0.02 and quick.samples < slow.samples / 10


def test_a_picture_may_be_of_any_shape_and_its_middle_stays_the_same(checkpoint):
    square = sample.render(checkpoint, POSE, FIELD_OF_VIEW, 24, 24)
    flat = sample.render(checkpoint, POSE, FIELD_OF_VIEW, 12, 24)
    torch.testing.assert_close(flat.rgb, square.rgb[6:18])


def test_normals_of_a_ball_point_away_from_its_middle():
    checkpoint = held(Exact(ball=True))
    seen = sample.render(checkpoint, POSE, FIELD_OF_VIEW, 24, 24)
    n = sample.normals(checkpoint, POSE, FIELD_OF_VIEW, 24, 24, seen)
    o, d = maths.camera_rays(POSE, FIELD_OF_VIEW, 24, 24)
    solid = seen.opacity > 0.999
    expected = F.normalize((o + seen.depth.where(solid, 0)[..., None] * d)[solid], dim=-1)
    facing = -(expected * d[solid]).sum(-1) > 0.4             # the silhouette's pixels see two sides
    cosine = (n[solid] * expected).sum(-1)[facing]
    assert cosine.min() > 0.87 and cosine.mean() > 0.93 and facing.sum() > 50        # 30 degrees: the ball is a few voxels across
    assert (n[seen.depth.isinf()] == 0).all()


# ---- one ray ---------------------------------------------------------------------------------------------------


def central(checkpoint, **changes):
    o, d = maths.camera_rays(POSE, FIELD_OF_VIEW, 25, 25)
    near, far = maths.box_interval(o[12, 12], d[12, 12], 1.3)
    return sample.along(checkpoint, o[12, 12], d[12, 12], **{"samples": 64, "near": near.item(), "far": far.item(), **changes})


def test_a_ray_s_numbers_belong_together(checkpoint):
    ray = central(checkpoint, fine=32, seed=0)
    assert len(ray.t) == 96 == len(ray.coarse) + len(ray.fine) and (ray.t.diff() >= 0).all()
    assert torch.equal(torch.cat([ray.coarse, ray.fine]).sort().values, ray.t)
    assert ray.delta.sum() == pytest.approx(ray.far - ray.near, rel=1e-5)
    tau = ray.sigma * ray.delta
    torch.testing.assert_close(ray.T, torch.exp(-(tau.cumsum(0) - tau)), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(ray.w, ray.T * (1 - torch.exp(-tau)), rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(ray.colour, (ray.w[:, None] * ray.rgb).sum(0) + 1 - ray.w.sum(), rtol=1e-4, atol=1e-5)
    assert ray.opacity > 0.9 and ray.near < ray.depth < ray.far


def test_fine_samples_lie_where_the_weights_are(checkpoint):
    ray = central(checkpoint, fine=200)
    at = (ray.fine[:, None] - ray.coarse).abs().argmin(1).bincount(minlength=64) / 200
    alone = central(checkpoint)
    torch.testing.assert_close(at, alone.w / alone.w.sum(), atol=0.02, rtol=0)


def test_a_ray_of_many_samples_sees_the_picture_s_pixel(checkpoint):
    seen = sample.render(checkpoint, POSE, FIELD_OF_VIEW, 25, 25)
    ray = central(checkpoint, samples=128)
    torch.testing.assert_close(ray.colour, seen.rgb[12, 12], atol=0.05, rtol=0)
    assert abs(ray.depth - seen.depth[12, 12].item()) < 0.1


def test_seeds_move_the_samples_within_their_parts_and_none_is_their_middle(checkpoint):
    a, b, middle = (central(checkpoint, seed=seed) for seed in (1, 2, None))
    assert not torch.equal(a.t, b.t) and torch.equal(a.t, central(checkpoint, seed=1).t)
    length = (a.far - a.near) / 64
    assert (a.t - middle.t).abs().max() <= length / 2 + 1e-5


def test_a_ray_through_nothing_is_the_background(checkpoint):
    ray = sample.along(checkpoint, torch.tensor([0.0, 0, 5]), torch.tensor([1.0, 0, 0]), 16, 0.5, 4.0, fine=8)
    assert (ray.w == 0).all() and torch.equal(ray.colour, torch.ones(3)) and math.isinf(ray.depth)


# ---- pictures by seed ------------------------------------------------------------------------------------------


def test_pictures_are_those_of_their_seed_whatever_their_number(checkpoint, monkeypatch):
    monkeypatch.setattr(sample, "load", lambda name: checkpoint)
    four = sample.images("tiny", 4, 7)
    assert four.shape == (4, 3, sample.SIZE, sample.SIZE) and 0 <= four.min() and four.max() <= 1
    assert torch.equal(sample.images("tiny", 2, 7), four[:2]) and not torch.equal(four[0], four[1])
    assert (sample.images("tiny", 4, 8) - four).abs().max() > 0.1
    assert sample.images("tiny", 0, 7).shape == (0, 3, sample.SIZE, sample.SIZE)


def test_the_command_draws_the_frames_that_its_file_of_cameras_names(checkpoint, tmp_path, monkeypatch, capsys):
    frames = {name: maths.orbit_pose(azimuth, 20, 4.0).tolist() for name, azimuth in (("r_0", 10), ("r_1", 200))}
    cameras = tmp_path / "transforms.json"
    cameras.write_text(json.dumps({"camera_angle_x": FIELD_OF_VIEW, "frames": [
        {"file_path": f"./test/{name}", "transform_matrix": pose} for name, pose in frames.items()]}))
    monkeypatch.setattr(sample, "load", lambda name: checkpoint)
    monkeypatch.setattr(__main__, "_offer", lambda name, part, function: getattr(sample, function))
    arguments = ["render", "tiny", "--cameras", str(cameras), "--size", "24", "--out", str(tmp_path / "film")]
    assert __main__.main(arguments) == 0
    assert re.fullmatch(r"2 frames of 24 x 24 pixels in [\d.]+ s, without writing them: [\d.]+ frames per second\n", capsys.readouterr().out)
    assert sorted(file.name for file in (tmp_path / "film").iterdir()) == ["r_0.png", "r_1.png"]
    for name, pose in frames.items():
        expected = (sample.render(checkpoint, torch.tensor(pose), FIELD_OF_VIEW, 24, 24).rgb * 255).round().byte()
        assert np.array_equal(np.asarray(Image.open(tmp_path / "film" / f"{name}.png")), expected.numpy())
    cameras.write_text("[1")
    assert __main__.main(arguments) == 2 and "transforms.json" in capsys.readouterr().err
