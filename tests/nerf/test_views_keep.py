"""Four ways to keep a ball: what points and triangles are made of it, and that each number is of what is drawn."""

import math

import numpy as np
import pytest
import torch

from nerf import ball
from playground.core import images, metrics, scenes
from playground.nerf import sample, shapes, views
from playground.nerf.views import camera, cameras, keep

QUERY = {"checkpoint": ball.NAME, "camera": "40,20,4,39.6"}
SIZE = 12


@pytest.fixture(scope="module", autouse=True)
def runs(bench):
    folder, patch = bench
    patch.setenv("PLAYGROUND_DATA", str(folder / "data"))
    for module in (cameras, keep):
        patch.setattr(module, "SIZE", SIZE)
    patch.setattr(keep, "SLICE", 0.0)                         # a step a frame, however fast the machine
    patch.setattr(keep, "SIDE", 40)
    patch.setattr(keep, "POSE_SIZE", 48)
    patch.setattr(keep, "POSES", 24)
    patch.setattr(cameras, "_scenes", {})
    patch.setattr(scenes, "VIEWS", 5)
    patch.setattr(scenes, "VIEWS_HELD_OUT", 3)
    ball.save(folder)
    ball.save(folder, "ball-lego", dataset="lego")
    return folder


@pytest.fixture(scope="module")
def frames(runs):
    """All frames of the view until it has nothing more to make or to measure."""
    cameras.pictures("solids").result()
    found = []
    while not found or found[-1].numbers["more"]:
        found.append(keep.keep_frame(QUERY))
    return found


@pytest.fixture(scope="module")
def forms(frames):
    return keep.kept(sample.load(ball.NAME))


def tiles(frame):
    return dict(zip(keep.WAYS, np.split(frame.picture, 4, axis=1)))


def test_what_is_there_is_drawn_before_the_rest_is_made(frames):
    first, last = tiles(frames[0]), tiles(frames[-1])
    assert (first["points"] == 255).all() and (first["mesh"] == 255).all() and len(frames) > 2
    where = camera(QUERY)
    voxels = sample.render(sample.load(ball.NAME), where.pose, where.field_of_view, 40, 40).rgb
    for shown in (first, last):
        np.testing.assert_array_equal(shown["voxels"], images.to_rgb(voxels.permute(2, 0, 1)))
        assert (shown["mlp"] == 255).all(), "no network of this scene is shipped in a test"
    for way in ("points", "mesh"):
        assert np.abs(last[way].astype(int) - last["voxels"]).mean() < 12 and (last[way] < 255).any()


def test_points_and_mesh_lie_on_the_ball(forms):
    assert (forms.points.x.norm(dim=1) - ball.RADIUS).abs().max() < ball.STEP
    assert (forms.points.rgb - torch.tensor(ball.RGB)).abs().max() < 0.02
    above = forms.points.x[forms.points.x[:, 2] > 0]
    ways = torch.nn.functional.normalize(torch.randn(500, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    ways[:, 2] = ways[:, 2].abs()
    assert torch.cdist(ways * (ball.RADIUS - ball.STEP / 2), above).amin(1).max() < 0.15, "everywhere but below, where no camera stood"
    p, q, r = forms.mesh.x[forms.mesh.faces].unbind(1)
    volume = (p * torch.linalg.cross(q, r)).sum().item() / 6
    assert volume == pytest.approx(4 / 3 * math.pi * (ball.RADIUS - 0.0) ** 3, rel=0.12)
    assert (forms.mesh.rgb - torch.tensor(ball.RGB)).abs().max() < 0.02


def test_held_out_psnr_is_the_mean_over_the_held_out_views(frames, forms):
    views = scenes.load("solids", SIZE).held_out
    draws = {"voxels": lambda pose: sample.render(forms.voxels, pose, views.field_of_view, SIZE, SIZE).rgb,
             "points": lambda pose: shapes.draw_points(forms.points, pose[:3], views.field_of_view, SIZE, SIZE)[0],
             "mesh": lambda pose: shapes.draw_mesh(forms.mesh, pose[:3], views.field_of_view, SIZE, SIZE)[0]}
    for way, draw in draws.items():
        expected = np.mean([metrics.psnr(draw(pose)[None], truth[None].float() / 255) for pose, truth in zip(views.poses, views.images)])
        assert np.mean(list(forms.scores[way].values())) == pytest.approx(expected, abs=1e-3)
        assert frames[-1].numbers[f"psnr_{way}"] == f"{expected:.1f} dB"
    assert frames[-1].numbers["psnr_mlp"] is None and frames[0].numbers["psnr_mesh"] is None


def test_bytes_are_those_of_what_is_kept(frames, forms, runs):
    assert keep.size(forms, "points") == 9 * len(forms.points.x) and keep.size(forms, "mesh") == 9 * len(forms.mesh.x) + 12 * len(forms.mesh.faces)
    assert keep.size(forms, "voxels") == (runs / ball.NAME / "checkpoint" / "weights.safetensors").stat().st_size and keep.size(forms, "mlp") is None
    assert frames[-1].numbers["seconds_mesh"].endswith(" s") and frames[-1].numbers["holds_mesh"] == f"{len(forms.mesh.faces):,} △"


def test_all_is_made_once(frames, forms, monkeypatch):
    monkeypatch.setattr(keep, "_work", None)
    monkeypatch.setattr(cameras, "compare", None)
    again = keep.keep_frame({**QUERY, "camera": "90,20,4,39.6"})
    assert not again.numbers["more"] and keep.kept(sample.load(ball.NAME)).mesh is forms.mesh
    assert again.numbers["psnr_mesh"] == frames[-1].numbers["psnr_mesh"]


def test_a_slow_picture_comes_some_rows_at_a_time_and_is_the_same(monkeypatch):
    monkeypatch.setattr(views, "SLICE", 1e-9)
    field, where = sample.load(ball.NAME), camera(QUERY)
    for k in range(1, 6):
        shown = views.slowly(field, where, 40)
        assert shown.rows == 8 * k and shown.done == (k == 5)
    whole = sample.render(field, where.pose, where.field_of_view, 40, 40).rgb
    assert torch.allclose(shown.rgb, whole, atol=1e-6) and views.slowly(field, where, 40).samples == shown.samples
    assert views.slowly(field, camera({"camera": "41,20,4,39.6"}), 40).rows == 8, "a camera that has moved begins anew"


def test_without_pictures_the_forms_are_drawn_and_no_psnr_is_said():
    shown = keep.keep_frame({**QUERY, "checkpoint": "ball-lego"})
    while shown.numbers["more"]:
        shown = keep.keep_frame({**QUERY, "checkpoint": "ball-lego"})
    assert (tiles(shown)["mesh"] < 255).any() and shown.numbers["psnr_mesh"] is None is shown.numbers["psnr_voxels"]


def test_programs_get_all_of_it():
    answer = keep.nerf_keep(ball.NAME, [40, 20, 4, 39.6])
    assert [each["way"] for each in answer["ways"]] == list(keep.WAYS) and answer["ways"][1]["psnr"] and answer["ways"][3]["bytes"] is None
