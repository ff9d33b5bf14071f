"""Points and triangles: isosurfaces with closed forms, and the z-buffer against a pixel at a time."""

import math

import pytest
import torch

from playground.nerf import maths, shapes

FIELD_OF_VIEW = 0.7


def grid(n, function):
    """A function of places in [-1, 1]^3 on n + 1 corners a side."""
    line = torch.linspace(-1, 1, n + 1)
    return function(torch.stack(torch.meshgrid(line, line, line, indexing="ij"), dim=-1))


def ball(n, radius=0.7):
    """The surface of a ball on a grid of n cells a side: corners in [-1, 1]^3, and faces."""
    x, faces = shapes.isosurface(grid(n, lambda p: radius - p.norm(dim=-1)), 0.0)
    return x * 2 / n - 1, faces


def edges(faces):
    return torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])


def test_the_isosurface_of_a_ball_is_closed_has_no_handle_and_its_area_and_volume():
    radius = 0.7
    x, faces = ball(40, radius)
    assert (x.norm(dim=1) - radius).abs().max() < 3 * (2 / 40) ** 2 / (8 * radius) + shapes.SLIVER * 3**0.5 * 2 / 40, "what a straight line misses on an edge, at most"
    ways, counts = torch.unique(edges(faces), dim=0, return_counts=True)
    assert (counts == 1).all(), "each edge is gone along once this way"
    assert torch.equal(ways, torch.unique(ways.flip(1), dim=0)), "and once the other: closed, and turned alike"
    assert len(x) - len(ways) // 2 + len(faces) == 2, "Euler's number of a sphere"
    p, q, r = x[faces].unbind(1)
    volume = (p * torch.linalg.cross(q, r)).sum() / 6         # positive only if the faces look outwards
    area = torch.linalg.cross(q - p, r - p).norm(dim=1).sum() / 2
    assert volume.item() == pytest.approx(4 / 3 * math.pi * radius**3, rel=0.005)
    assert area.item() == pytest.approx(4 * math.pi * radius**2, rel=0.005)
    outwards = (shapes.normals(x, faces) * x / radius).sum(1)
    assert outwards.min() > 0.85 and outwards.mean() > 0.995


def test_the_isosurface_of_a_torus_has_its_handle():
    x, faces = shapes.isosurface(grid(32, lambda p: 0.25 - ((p[..., :2].norm(dim=-1) - 0.6) ** 2 + p[..., 2] ** 2).sqrt()), 0.0)
    assert len(x) - len(torch.unique(edges(faces).sort(1).values, dim=0)) + len(faces) == 0


def test_of_nothing_there_is_no_surface():
    x, faces = shapes.isosurface(torch.zeros(5, 5, 5), 0.5)
    assert x.shape == faces.shape == (0, 3)
    white, covered = shapes.draw_mesh(shapes.Mesh(x, x, faces), maths.orbit_pose(0, 0, 4)[:3], 0.7, 8, 8)
    assert (white == 1).all() and not covered.any()


def test_points_are_projected_to_the_pixels_whose_rays_meet_them():
    pose = maths.orbit_pose(30, 20, 4)[:3]
    o, d = maths.camera_rays(pose, FIELD_OF_VIEW, 20, 30)
    found = shapes.project((o + 3.3 * d).view(-1, 3), pose, FIELD_OF_VIEW, 20, 30).view(20, 30, 3)
    row, column = torch.meshgrid(torch.arange(20) + 0.5, torch.arange(30) + 0.5, indexing="ij")
    assert (found[..., 0] - column).abs().max() < 1e-3 and (found[..., 1] - row).abs().max() < 1e-3
    assert found[0, 0, 2] < found[10, 15, 2] <= 3.3, "the distance along the axis, not along the ray"


def test_a_mesh_is_drawn_as_rays_meet_its_triangles():
    """Against Moeller and Trumbore's intersection of every ray with every triangle."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(36, 3, generator=generator) * 1.6 - 0.8
    mesh = shapes.Mesh(x, torch.rand(36, 3, generator=generator), torch.arange(36).view(12, 3))
    pose, size = maths.orbit_pose(200, 35, 3)[:3], 24
    found, covered = shapes.draw_mesh(mesh, pose, FIELD_OF_VIEW, size, size)
    o, d = (each.double() for each in maths.camera_rays(pose, FIELD_OF_VIEW, size, size))
    expected, nearest = torch.ones(size, size, 3, dtype=torch.float64), torch.full((size, size), math.inf, dtype=torch.float64)
    margin = torch.full((size, size), math.inf, dtype=torch.float64)             # how far a pixel's centre is from any edge
    for face in mesh.faces:
        a, b, c = x[face].double()
        n = torch.linalg.cross(d, (c - a).expand_as(d))
        scale = (n * (b - a)).sum(-1)
        s = o - a
        u = (s * n).sum(-1) / scale
        q = torch.linalg.cross(s, (b - a).expand_as(s))
        v, t = (d * q).sum(-1) / scale, (q * (c - a)).sum(-1) / scale
        share = torch.stack([1 - u - v, u, v], dim=-1)
        margin = torch.minimum(margin, share.abs().amin(-1))
        hit = (share >= 0).all(-1) & (t > 0) & (t < nearest)
        nearest = torch.where(hit, t, nearest)
        expected = torch.where(hit[..., None], share @ mesh.rgb[face].double(), expected)
    sure = margin > 1e-4
    assert torch.equal(covered[sure], nearest.isfinite()[sure]) and covered.float().mean() > 0.2
    assert (found - expected).abs()[sure].max() < 1e-3


def test_many_triangles_are_drawn_in_parts_as_at_once(monkeypatch):
    x, faces = ball(12)
    mesh = shapes.Mesh(x, 0.5 + 0.5 * x, faces)
    pose = maths.orbit_pose(10, 20, 3)[:3]
    whole, _ = shapes.draw_mesh(mesh, pose, FIELD_OF_VIEW, 32, 32)
    monkeypatch.setattr(shapes, "CANDIDATES", 50)
    assert torch.equal(shapes.draw_mesh(mesh, pose, FIELD_OF_VIEW, 32, 32)[0], whole)


def test_a_ball_s_mesh_covers_its_disc():
    x, faces = ball(40)
    _, covered = shapes.draw_mesh(shapes.Mesh(x, x.abs(), faces), maths.orbit_pose(0, 0, 3)[:3], FIELD_OF_VIEW, 100, 100)
    row, column = torch.meshgrid(torch.arange(100) - 49.5, torch.arange(100) - 49.5, indexing="ij")
    radius = 50 * math.tan(math.asin(0.7 / 3)) / math.tan(FIELD_OF_VIEW / 2)
    disc = row.square() + column.square() < radius**2
    assert (covered != disc).sum() <= 12, "but for the pixels that the outline goes through"


def test_the_nearest_point_is_in_front_and_a_near_one_is_larger():
    pose = maths.orbit_pose(0, 0, 4)[:3]
    red, blue = torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 0, 1])
    cloud = shapes.Points(torch.tensor([[-1.0, 0, 0], [1.0, 0, 0]]), torch.stack([red, blue]), 0.3)
    picture, covered = shapes.draw_points(cloud, pose, FIELD_OF_VIEW, 41, 41)
    assert torch.equal(picture[20, 20], blue) and not (picture == red).all(-1).any(), "the nearer hides the farther"
    far, near = (shapes.draw_points(shapes.Points(cloud.x[i:i + 1], cloud.rgb[i:i + 1], 0.3), pose, FIELD_OF_VIEW, 41, 41)[1] for i in (0, 1))
    focal = 20.5 / math.tan(FIELD_OF_VIEW / 2)
    assert [side.any(0).sum().item() for side in (far, near)] == pytest.approx([0.3 * focal / 5, 0.3 * focal / 3], abs=1)
    assert not shapes.draw_points(shapes.Points(cloud.x + torch.tensor([9.0, 0, 0]), cloud.rgb, 0.3), pose, FIELD_OF_VIEW, 41, 41)[1].any()


def test_the_points_of_a_picture_lie_on_its_surface_and_not_on_its_outline():
    """A ball of radius 0.7 before nothing, its depth in closed form, with a pixel of each outline between both."""
    pose, size = maths.orbit_pose(40, 30, 3)[:3], 60
    o, d = maths.camera_rays(pose, FIELD_OF_VIEW, size, size)
    b = (o * d).sum(-1)
    root = b.square() - (o.square().sum(-1) - 0.49)
    depth = torch.where(root > 0, -b - root.clamp(min=0).sqrt(), math.inf)
    opacity = (root > 0).float()
    x, rgb = shapes.surface(o, depth, opacity, pose, FIELD_OF_VIEW)
    assert (x.norm(dim=1) - 0.7).abs().max() < 1e-5 and 0.5 < len(x) / opacity.sum() < 0.97
    assert torch.allclose(rgb, o[0, 0])
    cloud = shapes.thinned(x, rgb, 0.1)
    assert len(cloud.x) < len(x) and cloud.bytes == 9 * len(cloud.x)
    assert len(torch.unique((cloud.x / 0.1).floor(), dim=0)) == len(cloud.x), "one in each cube"
    assert torch.cdist(cloud.x, x).amin(1).max() < 0.1
