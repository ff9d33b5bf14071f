"""The built-in scene against closed forms, brute force and itself."""

import math

import numpy as np
import pytest
import torch

from playground.core import solids

FIELD_OF_VIEW = 0.6911
INSIDE = {"disc": (0.0, 0.0, solids.FLOOR - solids.DISC_HALF), "sphere": solids.SPHERE_CENTRE, "box": solids.BOX_CENTRE,
          "torus": (solids.TORUS_CENTRE[0], solids.TORUS_CENTRE[1], solids.TORUS_CENTRE[2] + solids.TORUS_RADII[0]),
          "capsule": solids.CAPSULE_ENDS[0]}


def points(n=4000, reach=1.3):
    return (torch.rand(n, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1) * reach


def looking(at, back, distance=4.0):
    """A pose (4, 4) that looks at a point against `back`, its horizon level."""
    back = torch.nn.functional.normalize(torch.tensor(back), dim=0)
    right = torch.nn.functional.normalize(torch.linalg.cross(torch.tensor([0.0, 0, 1]), back), dim=0)
    pose = torch.eye(4)
    pose[:3] = torch.stack([right, torch.linalg.cross(back, right), back, torch.tensor(at) + distance * back], dim=1)
    return pose


def turned(x, centre, angle):
    """Points in the frame of a solid turned around z, by a matrix."""
    cos, sin = math.cos(angle), math.sin(angle)
    return (x.double() - torch.tensor(centre, dtype=torch.float64)) @ torch.tensor([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]], dtype=torch.float64)


def surface(name):
    """Many points on one solid's surface, from its own parametrisation, with the largest gap between neighbours."""
    u, v = (each.flatten().double() for each in torch.meshgrid(torch.linspace(0, 2 * math.pi, 400), torch.linspace(0, 1, 300), indexing="ij"))
    if name == "sphere":
        r = torch.stack([(v * math.pi).sin() * u.cos(), (v * math.pi).sin() * u.sin(), (v * math.pi).cos()], -1)
        return torch.tensor(solids.SPHERE_CENTRE) + solids.SPHERE_RADIUS * r, 0.01
    if name == "torus":
        major, minor = solids.TORUS_RADII
        ring = major + minor * (2 * math.pi * v).cos()
        local = torch.stack([minor * (2 * math.pi * v).sin(), ring * u.cos(), ring * u.sin()], -1)
        cos, sin = math.cos(solids.TORUS_TURN), math.sin(solids.TORUS_TURN)
        return local @ torch.tensor([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1.0]], dtype=torch.float64) + torch.tensor(solids.TORUS_CENTRE), 0.012
    a, b = (torch.tensor(end, dtype=torch.float64) for end in solids.CAPSULE_ENDS)
    length, r = (b - a).norm(), solids.CAPSULE_RADIUS
    axis = (b - a) / length
    side = torch.linalg.cross(axis, torch.tensor([1.0, 0, 0], dtype=torch.float64))
    side, s = side / side.norm(), (v * (length + math.pi * r))[:, None] - math.pi * r / 2          # along the outline, end to end
    other = torch.linalg.cross(axis, side)
    out, along = torch.where(s < 0, (s / r).cos(), torch.where(s > length, ((s - length) / r).cos(), 1.0)), torch.where(
        s < 0, r * (s / r).sin(), torch.where(s > length, length + r * ((s - length) / r).sin(), s))
    return a + along * axis + r * out * (u.cos()[:, None] * side + u.sin()[:, None] * other), 0.01


@pytest.mark.parametrize("name", ["sphere", "torus", "capsule"])
def test_a_distance_is_that_to_the_nearest_of_many_points_of_the_surface(name):
    which = [solid.name for solid in solids.SOLIDS].index(name)
    on, gap = surface(name)
    x = points(100)
    nearest = torch.cdist(x.double(), on).amin(1)
    found = solids.distances(x)[:, which].double().abs()
    assert (found <= nearest + 1e-5).all() and (nearest - found).max() < gap
    assert solids.distances(on.float())[:, which].abs().max() < 1e-5


@pytest.mark.parametrize("name", ["box", "disc"])
def test_a_rounded_solid_is_as_far_as_its_core_less_the_rounding(name):
    """The core without its rounding is convex: the nearest of its points is the clamped one."""
    x = points()
    if name == "box":
        local, round_, half = turned(x, solids.BOX_CENTRE, solids.BOX_TURN), solids.BOX_ROUND, torch.tensor(solids.BOX_HALF)
        inner = half.double() - round_
        nearest = local.clamp(-inner, inner)
    else:
        local, round_ = turned(x, INSIDE["disc"], 0.0), solids.DISC_ROUND
        r, h = solids.DISC_RADIUS - round_, solids.DISC_HALF - round_
        flat = local[:, :2] * (r / local[:, :2].norm(dim=1, keepdim=True)).clamp(max=1)
        nearest = torch.cat([flat, local[:, 2:].clamp(-h, h)], dim=1)
    expected = (local - nearest).norm(dim=1) - round_
    outside = expected > -round_ + 1e-9
    found = solids.distances(x)[:, ["disc", "sphere", "box"].index(name)].double()
    assert torch.allclose(found[outside], expected[outside], atol=1e-5) and (found[~outside] <= -round_ + 1e-6).all()


def test_the_scene_is_the_nearest_solid_and_has_its_colour():
    x = points()
    assert torch.equal(solids.sdf(x), solids.distances(x).amin(1)) and solids.sdf(x.view(50, 80, 3)).shape == (50, 80)
    for i, (name, inside) in enumerate(INSIDE.items()):
        p = torch.tensor([inside])
        assert solids.SOLIDS[i].name == name and solids.distances(p)[0, i] < -0.04 and solids.distances(p).argmin() == i
        assert torch.equal(solids.albedo(p), solids.SOLIDS[i].colour(p.unbind(1)))
    assert solids.albedo(x).min() >= 0 and solids.albedo(x).max() <= 1


def test_no_distance_grows_faster_than_a_step_and_outside_it_grows_as_fast():
    x = points().requires_grad_()
    distance = solids.sdf(x)
    slope = torch.autograd.grad(distance.sum(), x)[0].norm(dim=1)
    assert slope.max() < 1 + 1e-4 and (slope[distance > 0.01] > 1 - 1e-4).all()


def test_every_solid_lies_in_its_box_and_touches_its_sides():
    for solid in solids.SOLIDS:
        low, high = torch.tensor(solid.low), torch.tensor(solid.high)
        x = points(20_000, 1.3)
        outside = ((x < low) | (x > high)).any(1)
        assert (solid.distance(x.unbind(1))[outside] > 0).all()
        assert low.min() > -solids.BOUND and high.max() < solids.BOUND


def test_the_solids_stand_on_the_disc_and_apart():
    x = points(200_000)
    distances = solids.distances(x)
    assert ((distances < -0.005).sum(1) <= 1).all()
    for low, name in ((solid.low[2], solid.name) for solid in solids.SOLIDS[1:]):
        assert low == pytest.approx(solids.FLOOR, abs=0.011), name


@pytest.mark.parametrize("back", [(1.0, 0, 0), (0.0, -1, 0.3), (-0.6, -0.5, 0.4)])
def test_the_central_ray_meets_the_sphere_where_the_closed_form_says(back):
    pose = looking(solids.SPHERE_CENTRE, back)
    exact = solids.render(pose, FIELD_OF_VIEW, 5, supersample=1)
    o, d = solids.rays(pose, FIELD_OF_VIEW, 5)
    away = o - torch.tensor(solids.SPHERE_CENTRE)
    b, c = (away * d).sum(1), (away**2).sum(1) - solids.SPHERE_RADIUS**2
    root = b**2 - c
    closed = torch.where(root > 0, -b - root.clamp(min=0).sqrt(), math.inf)
    free = solids._met(solids.SOLIDS[1], solids._planes(o), solids._planes(d))
    assert torch.allclose(free, closed, atol=1e-3), "rays that meet the sphere, and those that miss it"
    assert exact.depth[2, 2] <= 4 - solids.SPHERE_RADIUS + 1e-3
    if back[0] < 0:                                           # nothing stands in the way
        assert exact.depth[2, 2] == pytest.approx(4 - solids.SPHERE_RADIUS, abs=1e-3) and exact.alpha[2, 2] == 1


def test_a_traced_depth_is_the_first_zero_of_the_distance_by_brute_force():
    o, d = solids.rays(looking((0.0, 0, 0), (1.0, -0.7, 0.5)), FIELD_OF_VIEW, 16)
    t, which = solids.trace(o, d)
    march = torch.arange(2.5, 5.6, 0.004)
    inside = torch.stack([solids.sdf(o + each * d) < 0 for each in march])
    brute = torch.where(inside.any(0), march[inside.byte().argmax(0)], math.inf)
    agree = (t - brute).abs() < 0.0045
    graze = torch.stack([solids.sdf(o + each * d) for each in march]).amin(0).abs() < 0.004
    assert (agree | (t.isinf() & brute.isinf()) | graze).all() and agree.sum() > 60 and graze.float().mean() < 0.1
    met = which >= 0
    assert torch.equal(met, t.isfinite()) and solids.sdf(o[met] + t[met, None] * d[met]).abs().max() < 2e-3


def test_alpha_and_depth_say_the_same_of_what_is_covered():
    exact = solids.render(looking((0.0, 0, 0), (-1.0, 0.4, 0.6)), FIELD_OF_VIEW, 48)
    assert exact.rgb.shape == (48, 48, 3) and exact.rgb.dtype == exact.depth.dtype == exact.alpha.dtype == torch.float32
    assert exact.rgb.min() >= 0 and exact.rgb.max() <= 1 + 1e-6
    assert torch.equal(exact.rgb[exact.alpha == 0], torch.ones(int((exact.alpha == 0).sum()), 3)), "white where nothing is"
    assert exact.depth[exact.alpha == 0].isinf().all() and exact.depth[exact.alpha == 1].isfinite().all()
    assert set((exact.alpha * 4).unique().tolist()) == {0, 1, 2, 3, 4} and 0.2 < exact.alpha.mean() < 0.5


def test_a_supersampled_pixel_is_the_mean_of_a_finer_picture_s_pixels():
    pose = looking((0.0, 0, 0), (0.3, -1.0, 0.5))
    (fine, fine_alpha), (coarse, coarse_alpha) = (next(solids.pictures(pose[None], FIELD_OF_VIEW, 2 * 20 // n, supersample=n)) for n in (1, 2))
    assert torch.allclose(coarse, fine.view(20, 2, 20, 2, 3).mean((1, 3)), atol=1e-6)
    assert torch.allclose(coarse_alpha, fine_alpha.view(20, 2, 20, 2).mean((1, 3)), atol=1e-6)


def test_a_picture_is_the_same_in_whatever_group_it_is_rendered(monkeypatch):
    poses = torch.stack([looking((0.0, 0, 0), back) for back in ((1.0, 0, 0.2), (0.0, 1, 0.5), (-1.0, -1, 0.9))])
    together = [rgb for rgb, _ in solids.pictures(poses, FIELD_OF_VIEW, 16)]
    monkeypatch.setattr(solids, "CHUNK", 700)
    for pose, rgb in zip(poses, together, strict=True):
        assert torch.allclose(solids.render(pose, FIELD_OF_VIEW, 16).rgb, rgb, atol=1e-6)


def test_what_the_sun_reaches_is_lit_and_what_stands_behind_something_is_not():
    """On the floor: a point beside everything, and one whose way to the sun leads through the middle of the box."""
    behind = torch.tensor(solids.BOX_CENTRE) - solids.SUN * (solids.BOX_CENTRE[2] - solids.FLOOR) / solids.SUN[2]
    x = torch.stack([torch.tensor([0.9, 0.6, solids.FLOOR]), torch.cat([behind[:2], torch.tensor([solids.FLOOR])])])
    assert solids.distances(x).argmin(1).tolist() == [0, 0]
    light = solids.shade(x, torch.tensor([[0.0, 0, -1]] * 2), torch.tensor([0, 0])) / solids.albedo(x)
    gloss = solids.SPECULAR * solids.SUN[2].item() ** solids.SHININESS
    assert torch.allclose(light[1], torch.full((3,), solids.AMBIENT), atol=1e-3)
    expected = solids.AMBIENT + solids.DIFFUSE * solids.SUN[2].item() + gloss / solids.albedo(x)[0]
    assert torch.allclose(light[0], expected.minimum(1 / solids.albedo(x)[0]), atol=1e-3)


def test_rays_go_through_pixel_centres_as_a_projection_finds_them_again():
    pose = looking((0.1, -0.2, 0.3), (0.5, 0.6, 0.7))
    o, d = solids.rays(pose, FIELD_OF_VIEW, 7)
    assert torch.allclose(d.norm(dim=1), torch.ones(49), atol=1e-6) and torch.allclose(o, pose[:3, 3].expand(49, 3))
    local = np.linalg.inv(pose.double().numpy()) @ np.concatenate([(o + 3 * d).double().numpy().T, np.ones((1, 49))])
    focal = 3.5 / math.tan(FIELD_OF_VIEW / 2)
    columns, rows = 3.5 - focal * local[0] / local[2], 3.5 + focal * local[1] / local[2]
    np.testing.assert_allclose(columns.reshape(7, 7), np.broadcast_to(np.arange(7) + 0.5, (7, 7)), atol=1e-4)
    np.testing.assert_allclose(rows.reshape(7, 7), np.broadcast_to(np.arange(7)[:, None] + 0.5, (7, 7)), atol=1e-4)
