"""Volume rendering against closed forms, autograd and finite differences; cameras against Blender's axes; samples against their weights."""

import math

import pytest
import torch

from playground.nerf import maths


def rays(n, seed=0):
    g = torch.Generator().manual_seed(seed)
    return 4 * torch.randn(n, 3, generator=g), torch.nn.functional.normalize(torch.randn(n, 3, generator=g), dim=-1)


def packed(n_rays=7, n=40, seed=0, scale=1.0):
    """tau, rgb, ray of rays with 0 to many samples each; the first and the last ray have none."""
    g = torch.Generator().manual_seed(seed)
    ray = torch.randint(1, n_rays - 1, (n,), generator=g).sort().values
    return scale * torch.rand(n, generator=g), torch.rand(n, 3, generator=g), ray, n_rays


# ---- cameras ---------------------------------------------------------------------------------------------------


def test_the_middle_of_the_picture_looks_along_minus_z_of_the_camera():
    pose = maths.orbit_pose(30, 20, 4)
    o, d = maths.camera_rays(pose, 0.7, 101, 101)
    torch.testing.assert_close(d[50, 50], -pose[:3, 2])
    torch.testing.assert_close(o[50, 50], pose[:3, 3])
    torch.testing.assert_close(d.norm(dim=-1), torch.ones(101, 101))


def test_pixels_are_looked_through_at_their_centres():
    """The outermost pixels' centres lie half a pixel inside the field of view, and the picture is level and upright."""
    identity, fov = torch.eye(4), 0.8
    _, d = maths.camera_rays(identity, fov, 10, 20)
    slope = d[..., :2] / -d[..., 2:]
    per_pixel = 2 * math.tan(fov / 2) / 20
    torch.testing.assert_close(slope[0, :, 0], (torch.arange(20) + 0.5 - 10) * per_pixel)
    torch.testing.assert_close(slope[:, 0, 1], (5 - 0.5 - torch.arange(10)) * per_pixel)
    assert d[0, 0, 0] < 0 < d[0, -1, 0] and d[-1, 0, 1] < 0 < d[0, 0, 1] and (d[..., 2] < 0).all()


def test_some_pixels_of_many_cameras_are_those_of_each_camera_s_picture():
    poses = torch.stack([maths.orbit_pose(a, e, 3) for a, e in ((0, 0), (100, 40), (250, -30))])
    pixels = torch.tensor([[0, 0], [3, 7], [8, 2]])
    o, d = maths.camera_rays(poses, 0.6, 9, 12, pixels)
    for i, (row, column) in enumerate(pixels):
        whole = maths.camera_rays(poses[i], 0.6, 9, 12)
        assert torch.equal(o[i], whole[0][row, column]) and torch.equal(d[i], whole[1][row, column])


@pytest.mark.parametrize("azimuth, elevation", [(0, 0), (90, 0), (37, 55), (-120, -80), (400, 90)])
def test_an_orbit_s_camera_looks_at_the_origin_with_a_level_horizon(azimuth, elevation):
    pose = maths.orbit_pose(azimuth, elevation, 4.03)
    right, up, back, at = pose[:3].T
    torch.testing.assert_close(pose[:3, :3].T @ pose[:3, :3], torch.eye(3), atol=1e-6, rtol=0)
    assert torch.linalg.det(pose[:3, :3]) > 0.999
    torch.testing.assert_close(at, 4.03 * back)
    assert abs(right[2]) < 1e-6 and up[2] > -1e-6
    a, e = math.radians(azimuth), math.radians(elevation)
    torch.testing.assert_close(at / 4.03, torch.tensor([math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)]), atol=1e-6, rtol=0)


def test_a_box_s_interval_agrees_with_points_along_the_ray():
    o, d = rays(200)
    o[:80] *= 0.05                                            # inside
    d[60:80] = torch.eye(3)[torch.arange(20) % 3]             # along the axes
    for bound in (1.3, torch.tensor([[-1.0, -0.5, 0.2], [1.0, 0.7, 1.1]])):
        near, far = maths.box_interval(o, d, bound)
        low, high = (-bound, bound) if isinstance(bound, float) else bound
        t = torch.linspace(0, 20, 4001)
        x = o[:, None] + t[:, None] * d[:, None]
        inside = ((x > low) & (x < high)).all(-1)
        clear = ((t - near[:, None]).abs() > 1e-3) & ((t - far[:, None]).abs() > 1e-3)       # rounding decides at the faces
        assert torch.equal(inside & clear, (t > near[:, None]) & (t < far[:, None]) & clear)
        assert inside.any(1).sum() > 20


def test_encoding_of_two_frequencies_by_hand():
    x = torch.tensor([[0.25, -0.5]], dtype=torch.float64)
    expected = [math.sin(math.pi / 4), math.sin(math.pi / 2), math.cos(math.pi / 4), math.cos(math.pi / 2),
                math.sin(-math.pi / 2), math.sin(-math.pi), math.cos(-math.pi / 2), math.cos(-math.pi)]
    torch.testing.assert_close(maths.encoding(x, 2), torch.tensor([expected], dtype=torch.float64))
    assert maths.encoding(x, 0).shape == (1, 0)


# ---- samples ---------------------------------------------------------------------------------------------------


def test_strata_hold_one_sample_each():
    near, far = torch.tensor([0.0, 2.0]), torch.tensor([1.0, 5.0])
    t = maths.strata(near, far, 50, torch.Generator().manual_seed(0))
    u = (t - near[:, None]) / (far - near)[:, None] * 50
    assert torch.equal(u.floor(), torch.arange(50.0).expand(2, 50))
    torch.testing.assert_close(maths.strata(near, far, 3)[1], torch.tensor([2.5, 3.5, 4.5]))


def test_importance_samples_follow_the_weights():
    edges = torch.tensor([[0.0, 1.0, 1.5, 4.0, 4.5]])
    w = torch.tensor([[1.0, 4.0, 0.0, 3.0]])
    t = maths.importance(edges, w, 20_000, torch.Generator().manual_seed(0))
    share = torch.histogram(t[0], edges[0]).hist / t.shape[1]
    torch.testing.assert_close(share, w[0] / 8, atol=1e-3, rtol=0)
    assert (t.diff() >= 0).all() and t.min() >= 0 and t.max() <= 4.5
    inside = t[(t > 0) & (t < 1)]
    assert abs(inside.mean() - 0.5) < 0.01                    # evenly within a part
    regular = maths.importance(edges, w, 8)[0]
    torch.testing.assert_close(torch.histogram(regular, edges[0]).hist, w[0])


def test_a_ray_without_weights_is_sampled_evenly():
    t = maths.importance(torch.linspace(2, 6, 9)[None], torch.zeros(1, 8), 16)
    torch.testing.assert_close(t, maths.strata(torch.tensor([2.0]), torch.tensor([6.0]), 16))


# ---- volume rendering ------------------------------------------------------------------------------------------


def test_weights_and_background_sum_to_one():
    g = torch.Generator().manual_seed(0)
    sigma, delta = 10 * torch.rand(50, 30, generator=g, dtype=torch.float64), torch.rand(50, 30, generator=g, dtype=torch.float64)
    w, T = maths.weights(sigma, delta)
    torch.testing.assert_close(w.sum(-1) + torch.exp(-(sigma * delta).sum(-1)), torch.ones(50, dtype=torch.float64))
    torch.testing.assert_close(T[:, 1:], T[:, 0, None] - w[:, :-1].cumsum(-1))               # light that is gone was met
    assert (T[:, 0] == 1).all() and (w >= 0).all()
    white = maths.composite(w, torch.ones(50, 30, 3, dtype=torch.float64), 1.0)
    torch.testing.assert_close(white, torch.ones(50, 3, dtype=torch.float64))


def test_constant_density_has_the_closed_form_colour():
    """C = (1 - exp(-sigma L)) c + exp(-sigma L) background, for any number of samples; and T(t) = exp(-sigma t)."""
    sigma, length, c, background = 0.7, 3.0, torch.tensor([0.2, 0.5, 0.9]), torch.tensor([1.0, 0.8, 0.6])
    for n in (1, 4, 128):
        edges = torch.linspace(0, length, n + 1)
        w, T = maths.weights(torch.full((1, n), sigma), edges.diff()[None])
        left = math.exp(-sigma * length)
        torch.testing.assert_close(maths.composite(w, c.expand(1, n, 3), background)[0], (1 - left) * c + left * background)
        torch.testing.assert_close(T[0], torch.exp(-sigma * edges[:-1]))
        exact = (1 - left * (1 + sigma * length)) / sigma / (1 - left)        # the mean depth of the integral
    torch.testing.assert_close(maths.expected_depth(w, 0.5 * (edges[1:] + edges[:-1])[None]), torch.tensor([exact]), rtol=1e-3, atol=0)


def test_piecewise_constant_density_has_the_closed_form_colour():
    """The quadrature is exact where density and colour are constant between the edges; uneven ones included."""
    edges = torch.tensor([0.0, 0.5, 2.0, 2.25], dtype=torch.float64)
    sigma, red = [0.3, 1.1, 5.0], [0.9, 0.1, 0.6]
    expected, passed = 0.0, 1.0
    for s, c, delta in zip(sigma, red, edges.diff().tolist()):
        expected += passed * (1 - math.exp(-s * delta)) * c
        passed *= math.exp(-s * delta)
    w, _ = maths.weights(torch.tensor([sigma], dtype=torch.float64), edges.diff()[None])
    c = torch.tensor(red, dtype=torch.float64)[None, :, None].expand(1, 3, 3)
    torch.testing.assert_close(maths.composite(w, c, 0.25)[0, 0].item(), expected + passed * 0.25)


def test_samples_of_a_smooth_density_approach_its_integral():
    """Density sin^2, colour t: the error against a fine quadrature falls with the square of the number of samples."""
    near, far = torch.zeros(1, dtype=torch.float64), torch.full((1,), 3.0, dtype=torch.float64)

    def colour(n):
        t = maths.strata(near, far, n)
        w, _ = maths.weights((2 * t).sin() ** 2, maths.edges(t, near, far).diff())
        return maths.composite(w, t[..., None].expand(1, n, 3) / 3, 1.0)[0, 0].item()

    exact = colour(100_000)
    errors = [abs(colour(n) - exact) for n in (8, 16, 32, 64)]
    assert all(3 < a / b < 5 for a, b in zip(errors, errors[1:]))


def test_entropy_is_that_of_a_fair_die_and_nothing_where_all_light_is_from_one_place():
    assert maths.entropy(torch.full((1, 5), 1 / 6)).item() == pytest.approx(math.log(6))
    assert maths.entropy(torch.tensor([[0.0, 1.0, 0.0]])).item() == 0
    assert maths.entropy(torch.zeros(1, 4)).item() == 0


def test_a_ray_through_nothing_has_no_depth():
    depth = maths.expected_depth(torch.tensor([[0.0, 0.0], [0.0, 0.5]]), torch.tensor([[1.0, 2.0], [1.0, 2.0]]))
    assert depth.tolist() == [math.inf, 2.0]


# ---- packed rays -----------------------------------------------------------------------------------------------


def by_ray(tau, rgb, ray, n_rays, background):
    """The same by `weights` and `composite`, a ray at a time."""
    colours, ws = [], []
    for r in range(n_rays):
        w, _ = maths.weights(tau[ray == r][None], torch.ones(1, int((ray == r).sum()), dtype=tau.dtype))
        colours.append(maths.composite(w, rgb[ray == r][None], background)[0])
        ws.append(w[0])
    return torch.stack(colours), torch.cat(ws)


def test_packed_rays_are_rendered_as_each_alone():
    tau, rgb, ray, n = packed(scale=2.0)
    background = torch.tensor([0.3, 0.6, 0.9])
    colour, w, opacity = maths.render_packed(tau, rgb, ray, n, background)
    expected, w_alone = by_ray(tau, rgb, ray, n, background)
    torch.testing.assert_close(colour, expected)
    torch.testing.assert_close(w, w_alone)
    torch.testing.assert_close(opacity, torch.zeros(n).index_add(0, ray, w))
    assert torch.equal(colour[0], background) and opacity[0] == opacity[-1] == 0


def test_packed_rays_keep_their_digits_behind_a_hundred_thousand_samples():
    tau, rgb, ray, n = packed(n_rays=3000, n=200_000, scale=1.0)
    _, w, _ = maths.render_packed(tau, rgb, ray, n)
    last = ray == n - 2
    expected, _ = maths.weights(tau[last][None].double(), torch.ones(1, int(last.sum())).double())
    torch.testing.assert_close(w[last], expected[0].float(), rtol=1e-5, atol=1e-7)


def test_the_packed_backward_agrees_with_autograd():
    tau, rgb, ray, n = packed(scale=1.5)
    g = torch.Generator().manual_seed(9)
    a, b, c = torch.randn(n, 3, generator=g), torch.randn(len(tau), generator=g), torch.randn(n, generator=g)
    background = torch.tensor([0.1, 0.9, 0.4])

    def gradients(render):
        t, k = tau.clone().requires_grad_(), rgb.clone().requires_grad_()
        colour, w, opacity = render(t, k)
        return torch.autograd.grad((a * colour).sum() + (b * w).sum() + (c * opacity).sum(), [t, k])

    def slow(t, k):
        colour, w = by_ray(t, k, ray, n, background)
        return colour, w, torch.zeros(n).index_add(0, ray, w)

    fast = gradients(lambda t, k: maths.render_packed(t, k, ray, n, background))
    torch.testing.assert_close(fast, gradients(slow), rtol=1e-4, atol=1e-5)


def test_the_packed_backward_agrees_with_finite_differences():
    tau, rgb, ray, n = packed(n=12, n_rays=5)
    a = torch.randn(n, 3, generator=torch.Generator().manual_seed(3))
    t, k = tau.clone().requires_grad_(), rgb.clone().requires_grad_()
    to_tau, to_rgb = torch.autograd.grad((a * maths.render_packed(t, k, ray, n, 0.5)[0]).sum(), [t, k])

    def loss(tau, rgb):
        return (a.double() * by_ray(tau, rgb, ray, n, 0.5)[0]).sum().item()

    tau, rgb, h = tau.double(), rgb.double(), 1e-6
    for i in range(len(tau)):
        step = torch.zeros_like(tau)
        step[i] = h
        assert to_tau[i].item() == pytest.approx((loss(tau + step, rgb) - loss(tau - step, rgb)) / (2 * h), abs=1e-5)
        step = torch.zeros_like(rgb)
        step[i, 1] = h
        assert to_rgb[i, 1].item() == pytest.approx((loss(tau, rgb + step) - loss(tau, rgb - step)) / (2 * h), abs=1e-5)


@pytest.mark.parametrize("sigma", [0.0, 1e-30, 1e4, 1e30, math.inf])
def test_extreme_densities_give_finite_colours_and_gradients(sigma):
    tau = torch.tensor([0.0, sigma, 0.5, sigma, 0.0, sigma], requires_grad=True)
    rgb = torch.rand(6, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    ray = torch.tensor([0, 0, 0, 1, 1, 3])
    colour, w, opacity = maths.render_packed(tau, rgb, ray, 5)
    gradients = torch.autograd.grad(colour.square().sum() + w.sum() + opacity.sum(), [tau, rgb])
    assert all(x.isfinite().all() for x in (colour, w, opacity, *gradients))
    dense, _ = maths.weights(tau[None], torch.ones(1, 6))
    assert dense.isfinite().all() and dense.sum() <= 1 + 1e-6
    assert maths.entropy(dense.detach()).isfinite().all()


# ---- voxels ----------------------------------------------------------------------------------------------------


def test_spherical_harmonics_are_orthonormal_on_the_sphere():
    i = torch.arange(20_000, dtype=torch.float64)
    z, angle = 1 - (2 * i + 1) / 20_000, i * math.pi * (3 - math.sqrt(5))
    d = torch.stack([(1 - z * z).sqrt() * angle.cos(), (1 - z * z).sqrt() * angle.sin(), z], dim=-1)
    basis = maths.sh1(d)
    torch.testing.assert_close(basis.T @ basis * 4 * math.pi / len(d), torch.eye(4, dtype=torch.float64), atol=1e-4, rtol=0)


def test_a_colour_of_degree_one_is_one_sigmoid_of_its_four_terms():
    sh, d = torch.randn(5, 12, generator=torch.Generator().manual_seed(1)), rays(5)[1]
    basis = maths.sh1(d)
    for channel in range(3):
        k = sh[:, channel::3]                                 # of 1, y, z, x
        logit = 3 * (k[:, 0] * basis[:, 0] + 0.4 * (k[:, 1:] * basis[:, 1:]).sum(1))
        torch.testing.assert_close(maths.sh_colour(sh, maths.sh_basis(d))[:, channel], torch.sigmoid(logit))


def test_raw_density_and_optical_depth_are_inverses():
    raw = torch.linspace(-8, 30, 100, dtype=torch.float64)
    torch.testing.assert_close(maths.tau_to_raw(maths.raw_to_tau(raw)), raw)


def test_trilinear_weights_reproduce_what_is_linear_in_each_axis():
    f = torch.rand(50, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    w = maths.trilinear(f)
    torch.testing.assert_close(w.sum(1), torch.ones(50, dtype=torch.float64))
    torch.testing.assert_close(w @ maths.CORNERS.double(), f)
    x, y, z = maths.CORNERS.double().unbind(1)
    torch.testing.assert_close(w @ (x * y * z), f.prod(1))


# ---- a camera's path -------------------------------------------------------------------------------------------

KEYS = torch.tensor([[350.0, 30, 4.0, 40], [20, 10, 3.0, 40], [200, 60, 4.0, 30], [110, 40, 2.0, 50]])


@pytest.mark.parametrize("tension", [0.0, 0.4, 1.0])
def test_a_path_goes_through_its_keys_and_the_shorter_way_around(tension):
    opened, closed = maths.camera_path(KEYS, 3 * 10 + 1, tension), maths.camera_path(KEYS, 4 * 10, tension, loop=True)
    for path, count in ((opened, 4), (closed, 4)):
        there = path[::10][:count]
        assert torch.allclose(there[:, 1:], KEYS[:, 1:], atol=1e-4)
        assert torch.allclose((there[:, 0] - KEYS[:, 0] + 180) % 360, torch.tensor(180.0), atol=1e-3)
        assert path[:, 0].diff().abs().max() < 40, "never a jump from 360 to 0"
    assert opened[10, 0] - opened[0, 0] == pytest.approx(30, abs=1e-3), "from 350 to 20 over 0"


def test_a_path_has_no_corner_and_a_tension_of_one_halts_at_each_key():
    for tension, halt in ((0.0, False), (1.0, True)):
        path = maths.camera_path(KEYS, 4 * 500, tension, loop=True)
        speed = torch.cat([path, path[:1] + torch.tensor([[360.0 * round(((path[-1, 0] - path[0, 0]) / 360).item()), 0, 0, 0]])]).diff(dim=0) * 500
        before, after = speed[[499, 999, 1499, 1999]], speed[[500, 1000, 1500, 0]]
        assert (before - after).abs().max() < 2.5, "degrees, or world units, per piece"
        assert (before.abs().max() < 2.5) == halt


def test_an_open_path_of_catmull_and_rom_reproduces_a_straight_one():
    line = torch.arange(5.0)[:, None] * torch.tensor([[10.0, 1, 0.1, 2]]) + torch.tensor([[5.0, 0, 3, 30]])
    assert torch.allclose(maths.camera_path(line, 21), torch.linspace(0, 4, 21)[:, None] * torch.tensor([[10.0, 1, 0.1, 2]]) + line[0], atol=1e-4)


def test_catmull_and_rom_s_matrix_gives_the_same_pieces():
    matrix = 0.5 * torch.tensor([[0.0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]])
    found = maths.camera_path(KEYS[:, [1, 1, 2, 3]] * torch.tensor([0.1, 1, 1, 1]), 4 * 8, 0.0, loop=True)[:, 1:]
    for k in range(4):
        p = KEYS[[(k + i) % 4 for i in (-1, 0, 1, 2)], 1:]
        for i in range(8):
            s = i / 8
            assert torch.allclose(found[8 * k + i], torch.tensor([1, s, s**2, s**3]) @ matrix @ p, atol=1e-4)


def test_a_path_of_one_key_stays_there():
    for loop in (True, False):
        assert torch.allclose(maths.camera_path(KEYS[:1], 3, 0.5, loop), KEYS[:1].expand(3, 4))
