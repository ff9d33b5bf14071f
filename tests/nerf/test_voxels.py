"""The sparse grid against a dense one, its hand-written backward against autograd, marching against points, storing and growing."""

import copy

import pytest
import torch
import torch.nn.functional as F

from playground.core.errors import PlaygroundError
from playground.nerf import maths, voxels
from playground.nerf.config import ModelConfig
from playground.nerf.voxels import VoxelField


def filled(occupied, seed=0, bound=1.3):
    """A field with these cells, (n, n, n) bool, and random numbers at their corners."""
    n = len(occupied)
    field = VoxelField(ModelConfig(bound=bound, resolution=n, vertices=0))
    field.cells = voxels.pack_cells(occupied)
    field._index()
    g = torch.Generator().manual_seed(seed)
    field.raw = torch.nn.Parameter(4 + 2 * torch.randn(len(field.vertices), 1, generator=g))
    field.sh = torch.nn.Parameter(torch.randn(len(field.vertices), 12, generator=g))
    return field


def some_cells(n=11, share=0.3, seed=0):
    return torch.rand(n, n, n, generator=torch.Generator().manual_seed(seed)) < share


def inside(n, seed=0, bound=1.3):
    return (2 * torch.rand(n, 3, generator=torch.Generator().manual_seed(seed)) - 1) * bound


def around(n, seed=0):
    """Rays from outside towards the middle."""
    g = torch.Generator().manual_seed(seed)
    o = 4 * F.normalize(torch.randn(n, 3, generator=g), dim=-1)
    return o, F.normalize(0.8 * torch.randn(n, 3, generator=g) - o, dim=-1)


def dense(field, table):
    """table (V, C) on all (n + 1)^3 corners, as grid_sample takes it: (1, C, z, y, x)."""
    m = field.resolution + 1
    whole = torch.zeros(m, m, m, table.shape[1])
    whole[tuple(field.places().T)] = table.detach()
    return whole.permute(3, 2, 1, 0)[None]


@pytest.mark.parametrize("n", [2, 7, 8, 13])
def test_cells_are_what_their_bits_say(n):
    cells = some_cells(n)
    assert torch.equal(voxels.unpack_cells(voxels.pack_cells(cells)), cells)


def test_a_field_interpolates_as_a_dense_grid_does_where_cells_are_kept_and_is_empty_elsewhere():
    field, x = filled(some_cells()), inside(3000)
    i = ((x / 1.3 + 1) * 5.5).floor().long()
    kept = field.occupied()[tuple(i.T)]
    raw, sh = (F.grid_sample(dense(field, table), x[None, None, None] / 1.3, align_corners=True)[0, :, 0, 0].T for table in (field.raw, field.sh))
    sigma = F.softplus(raw[:, 0] - 4) / (2.6 / 11)
    torch.testing.assert_close(field.density(x), torch.where(kept, sigma, 0), rtol=1e-4, atol=1e-5)
    d = F.normalize(inside(3000, 1), dim=-1)
    expected = torch.where(kept[:, None], maths.sh_colour(sh, maths.sh_basis(d)), 0.5)
    torch.testing.assert_close(field.colour(x, d), expected, rtol=1e-4, atol=1e-5)
    rgb, density = field(x, d)
    assert torch.equal(rgb, field.colour(x, d)) and torch.equal(density, field.density(x))
    assert field.empty == pytest.approx(1 - field.occupied().float().mean().item())


def test_density_does_not_change_with_the_direction_and_nothing_is_outside():
    field = filled(torch.ones(5, 5, 5, dtype=torch.bool))
    assert (field.density(torch.tensor([[1.31, 0, 0], [0, -2.0, 0], [9.0, 9, 9]])) == 0).all()
    assert (field.density(torch.tensor([[1.29, 0, 0], [0, -1.29, 0], [1.3, 1.3, 1.3]])) > 0).all()


def test_the_tables_gradients_agree_with_autograd_through_indexing():
    field, g = filled(some_cells(6, 0.6)), torch.Generator().manual_seed(1)
    cell = torch.randint(len(field.corners), (200,), generator=g, dtype=torch.int32)
    samples = voxels.Samples(torch.arange(200), torch.zeros(200), cell, torch.rand(200, 3, generator=g))
    a, b = torch.randn(200, generator=g), torch.randn(200, 12, generator=g)

    raw, sh = voxels.interpolate(field, samples)
    fast = torch.autograd.grad((a * raw).sum() + (b * sh).sum(), [field.raw, field.sh])
    corners, w = field.at(samples)
    slow_raw, slow_sh = ((w[..., None] * table[corners.long()]).sum(1) for table in (field.raw, field.sh))
    torch.testing.assert_close((raw, sh), (slow_raw[:, 0], slow_sh), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(fast, torch.autograd.grad((a * slow_raw[:, 0]).sum() + (b * slow_sh).sum(), [field.raw, field.sh]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("share", [0.02, 0.5])
def test_a_march_finds_every_sample_in_a_kept_cell_and_no_other(share):
    field = filled(some_cells(23, share))
    o, d = around(60)
    u = torch.rand(60, generator=torch.Generator().manual_seed(5))
    samples = field.march(o, d, u)
    near, _ = maths.box_interval(o, d, field.box)
    k = torch.arange(60)
    t = near[:, None] + (k + u[:, None]) * field.step         # all there could be
    x = o[:, None] + t[..., None] * d[:, None]
    g = (x / 1.3 + 1) * 11.5
    certain = ((g - g.round()).abs() > 1e-4).all(-1)          # rounding decides at faces
    i = g.floor().long()
    kept = ((i >= 0) & (i < 23)).all(-1) & field.occupied()[tuple(i.clamp(0, 22).unbind(-1))]
    found = torch.zeros_like(kept)
    index = ((samples.t - near[samples.ray]) / field.step - u[samples.ray]).round().long()
    found[samples.ray, index] = True
    assert torch.equal(found & certain, kept & certain) and kept.sum() > 20
    torch.testing.assert_close(samples.t, t[samples.ray, index], rtol=1e-5, atol=1e-5)
    at = o[samples.ray] + samples.t[:, None] * d[samples.ray]
    cell, f = field.locate(at)
    same = cell == samples.cell                               # but for those at faces
    assert same.float().mean() > 0.99
    torch.testing.assert_close(samples.f[same], f[same], rtol=1e-3, atol=1e-3)
    assert (samples.ray.diff() >= 0).all() and (samples.t.diff()[samples.ray.diff() == 0] > 0).all()


def test_the_first_rays_that_meet_something_are_numbered_anew():
    field = filled(some_cells(9, 0.01))
    samples = field.march(*around(200))
    met = samples.ray.unique()
    few, rays = samples.first(7)
    assert torch.equal(rays, met[:7]) and torch.equal(rays[few.ray], samples.ray[:len(few.ray)])
    assert few.ray.max() == 6 and samples.ray[len(few.ray)] == met[7]
    all_of_them, rays = samples.first(10_000)
    assert torch.equal(rays, met) and len(all_of_them.t) == len(samples.t)


@pytest.mark.parametrize("share", [0.05, 0.6])
def test_a_trace_sees_what_volume_rendering_of_the_march_says(share):
    field = filled(some_cells(17, share))
    o, d = around(300)
    seen = field.trace(o, d, stop=0.0)
    samples = field.march(o, d)
    raw, sh = voxels.interpolate(field, samples)
    rgb = maths.sh_colour(sh, maths.sh_basis(d)[samples.ray])
    colour, w, opacity = maths.render_packed(maths.raw_to_tau(raw), rgb, samples.ray, 300)
    torch.testing.assert_close(seen.rgb, colour, atol=5e-3, rtol=0)               # colours of no weight are not asked for
    torch.testing.assert_close(seen.opacity, opacity, atol=5e-3, rtol=0)
    deep = opacity > 0.5
    depth = torch.zeros(300).index_add(0, samples.ray, w * samples.t) / opacity
    torch.testing.assert_close(seen.depth[deep], depth[deep], atol=2e-2, rtol=0)
    assert seen.depth[opacity == 0].isinf().all() and (opacity == 0).any()
    assert seen.samples == len(samples.t)
    sooner = field.trace(o, d)
    torch.testing.assert_close(sooner.rgb, seen.rgb, atol=voxels.STOP + 1e-6, rtol=0)
    assert sooner.samples <= seen.samples


def test_rays_that_meet_nothing_and_fields_that_hold_nothing_show_the_background():
    o, d = around(10)
    for field in (filled(torch.zeros(8, 8, 8, dtype=torch.bool)), filled(some_cells())):
        seen = field.trace(o, -d)
        assert (seen.rgb == 1).all() and (seen.opacity == 0).all() and seen.depth.isinf().all() and seen.samples == 0
    assert len(field.march(o[:0], d[:0]).t) == 0 and field.trace(o[:0], d[:0]).rgb.shape == (0, 3)


# ---- growing ---------------------------------------------------------------------------------------------------


def test_a_finer_grid_holds_the_same_field():
    field = filled(torch.ones(6, 6, 6, dtype=torch.bool))
    with torch.no_grad():                                     # densities that vary little: the inverse of softplus is no line
        field.raw.mul_(0.05)
    old, x, d = copy.deepcopy(field), inside(500), F.normalize(inside(500, 1), dim=-1)
    voxels.regrid(field, 12, torch.ones(216, dtype=torch.bool))
    assert field.resolution == 12 and field.occupied().all() and len(field.raw) == 13**3
    torch.testing.assert_close(field.density(x), old.density(x), rtol=0.02, atol=0)
    torch.testing.assert_close(field.colour(x, d), old.colour(x, d), rtol=0, atol=1e-4)


def test_what_is_pruned_is_gone_but_for_the_neighbours_of_what_is_kept():
    field = filled(torch.ones(8, 8, 8, dtype=torch.bool))
    keep = torch.zeros(8, 8, 8, dtype=torch.bool)
    keep[5, 2, 3] = True
    voxels.regrid(field, 16, keep.flatten())
    cells = field.occupied().nonzero()
    assert cells.min(0).values.tolist() == [9, 3, 5] and cells.max(0).values.tolist() == [12, 6, 8] and len(cells) == 64
    torch.testing.assert_close(field.box, torch.tensor([[9, 3, 5], [13, 7, 9]]) * 2.6 / 16 - 1.3)


def test_cells_behind_a_wall_are_not_seen():
    """Only the outermost layer of an opaque block carries weight."""
    field = filled(torch.ones(10, 10, 10, dtype=torch.bool))
    with torch.no_grad():
        field.raw.fill_(30.0)
    weight = voxels.seen(field, *around(4000))
    place = field.occupied().nonzero()
    deep = ((place > 1) & (place < 8)).all(1)
    assert weight[deep].max() < 1e-6 and weight[~deep].max() > 0.9


# ---- storing ---------------------------------------------------------------------------------------------------


def test_a_field_in_bytes_looks_the_same_and_is_a_quarter_as_large():
    field = filled(some_cells(), seed=4)
    fields, weights = voxels.compressed(field)
    stored = VoxelField(ModelConfig(**fields))
    stored.load_state_dict(weights)
    x, d = inside(2000), F.normalize(inside(2000, 1), dim=-1)
    assert torch.equal(stored.occupied(), field.occupied()) and torch.equal(stored.places(), field.places())
    torch.testing.assert_close(stored.raw.clamp(*voxels.RAW), field.raw.clamp(*voxels.RAW), atol=0.05, rtol=0)
    assert (stored.colour(x, d) - field.colour(x, d)).abs().mean() < 2e-3
    assert sum(w.nbytes for w in weights.values()) < 0.3 * sum(w.nbytes for w in field.state_dict().values())


def test_a_field_whose_cells_do_not_belong_to_its_numbers_is_refused():
    fields, weights = voxels.compressed(filled(some_cells()))
    weights["cells"] = torch.zeros_like(weights["cells"])
    with pytest.raises(PlaygroundError, match="cells"):
        VoxelField(ModelConfig(**fields)).load_state_dict(weights)
