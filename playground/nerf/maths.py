"""Mildenhall et al. 2020 (arXiv:2003.08934), "NeRF" below, as formulas on tensors: cameras, rays, samples and volume rendering.

The world is as in Blender's files: z is up; a pose holds the camera's right, up and back as columns and where it stands, so that
-z of the camera looks forward. Directions have length 1, distances t are in world units, densities sigma per world unit,
colours in [0, 1]. R rays, N samples on each; S samples of all rays together where they are packed.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

TAU_MAX = 80.0               # optical depth of one sample: exp(-80) is 0 beside any light in float32
NOTHING = 1e-5               # added to each weight before sampling by them, so that a ray through nothing is sampled evenly
SHIFT = 4.0                  # raw density 0 lets 98 % of the light through a voxel
CONTRAST = 3.0               # of the sigmoid between spherical harmonics and colours
BAND = 0.4                   # how much less a colour's change with direction counts than the colour: it is learned more slowly
SH0, SH1 = math.sqrt(1 / (4 * math.pi)), math.sqrt(3 / (4 * math.pi))

CORNERS = torch.tensor([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)])                  # (8, 3): of a cell, z fastest


# ---- cameras ---------------------------------------------------------------------------------------------------


def orbit_pose(azimuth: float, elevation: float, distance: float) -> Tensor:
    """The pose (4, 4) of a camera that looks at the origin from `distance`, the horizon level. Degrees.

    azimuth 0 stands on +x, 90 on +y; elevation 90 looks straight down, with the picture's top away from the azimuth's side.
    """
    a, e = math.radians(azimuth), math.radians(elevation)
    back = torch.tensor([math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)], dtype=torch.float64)
    right = torch.tensor([-math.sin(a), math.cos(a), 0.0], dtype=torch.float64)
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3] = torch.stack([right, torch.linalg.cross(back, right), back, distance * back], dim=1)
    return pose.float()


def camera_path(keys: Tensor, frames: int, tension: float = 0.0, loop: bool = False) -> Tensor:
    """Orbit cameras (frames, C) on a smooth way through `keys` (K, C), whose first column is an azimuth in degrees.

    Cubic Hermite pieces, the slope at a key (1 - tension)/2 (next - previous): Catmull & Rom 1974 at 0, and at 1 a halt at each key
    (Kochanek & Bartels 1984, eqs. 8-9, without bias and continuity). Equally many frames for each piece. The azimuth goes the shorter way around
    to the next key. With loop the last frame is one step before the first; else the first and last are the first and last key.
    """
    keys = keys.double()
    azimuth = keys[:, 0]
    step = torch.remainder(torch.cat([azimuth[1:], azimuth[:1]]) - azimuth + 180, 360) - 180
    step = torch.where(step == -180, 180, step)               # straight across: either way is as short
    p = torch.cat([torch.cat([azimuth[:1], azimuth[0] + step.cumsum(0)])[:, None], torch.cat([keys[:, 1:], keys[:1, 1:]])], dim=1)      # (K + 1, C)
    ahead = p[1:] - p[:-1]                                    # the last piece leads back to the first key
    if loop:
        slope = (1 - tension) / 2 * (ahead + ahead.roll(1, 0))
        slope, t = torch.cat([slope, slope[:1]]), len(keys) * torch.arange(frames, dtype=p.dtype) / frames
    else:
        p, ahead = p[:-1], ahead[:-1]
        ends = torch.cat([ahead[:1], ahead, ahead[-1:]]) if len(ahead) else torch.zeros(2, p.shape[1], dtype=p.dtype)      # one-sided there
        slope, t = (1 - tension) / 2 * (ends[1:] + ends[:-1]), torch.linspace(0, len(keys) - 1, frames, dtype=p.dtype)
    i = t.long().clamp(max=max(0, len(p) - 2))
    j, s = (i + 1).clamp(max=len(p) - 1), (t - i)[:, None]
    return ((1 + 2 * s) * (1 - s) ** 2 * p[i] + s * (1 - s) ** 2 * slope[i] + s**2 * (3 - 2 * s) * p[j] + s**2 * (s - 1) * slope[j]).float()


def camera_rays(pose: Tensor, field_of_view: float, height: int, width: int, pixels: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Origins and unit directions, each (H, W, 3), of the rays through the pixels' centres; or (..., 3), through `pixels` only.

    pose: (3 or 4, 4), or one for each pixel (..., 3 or 4, 4). field_of_view: horizontal, radians. pixels: (..., 2), row and
    column from the top left; whole numbers are the pixels' centres, which lie half a pixel from their corners.
    """
    if pixels is None:
        pixels = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"), dim=-1).to(pose.device)
    focal = 0.5 * width / math.tan(0.5 * field_of_view)       # pixels
    row, column = (pixels + 0.5).unbind(-1)
    towards = torch.stack([(column - 0.5 * width) / focal, (0.5 * height - row) / focal, -torch.ones_like(row)], dim=-1)
    d = (pose[..., :3, :3] * towards[..., None, :]).sum(-1)
    return pose[..., :3, 3].expand_as(d), F.normalize(d, dim=-1)


def box_interval(o: Tensor, d: Tensor, bound: float | Tensor) -> tuple[Tensor, Tensor]:
    """Where rays o + t d are inside a box, t from near to far (...,); near = far where they miss it or it lies behind.

    bound: half the side of a cube around the origin, or the box's two corners (2, 3).
    """
    low, high = bound.to(o).unbind() if isinstance(bound, Tensor) else (-bound, bound)
    d = torch.where(d.abs() < 1e-9, 1e-9, d)                  # along a face: far away, but not 0 / 0
    a, b = (low - o) / d, (high - o) / d
    near = torch.minimum(a, b).amax(-1).clamp(min=0)
    return near, torch.maximum(torch.maximum(a, b).amin(-1), near)


def encoding(x: Tensor, L: int) -> Tensor:
    """gamma(x), (..., 2 L D) for x (..., D): NeRF, eq. 4. Sines and cosines of 2^0 pi x ... 2^(L-1) pi x; x should lie in [-1, 1]."""
    angles = x[..., None] * (math.pi * 2.0 ** torch.arange(L, dtype=x.dtype, device=x.device))           # (..., D, L)
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)


# ---- where to look along a ray ---------------------------------------------------------------------------------


def strata(near: Tensor, far: Tensor, N: int, generator: torch.Generator | None = None) -> Tensor:
    """One t in each of N equal parts of [near, far], (R, N) ascending: NeRF, eq. 2. Without a generator, the parts' middles."""
    u = 0.5 if generator is None else torch.rand((*near.shape, N), generator=generator).to(near)
    return near[..., None] + (far - near)[..., None] * (torch.arange(N, device=near.device) + u) / N


def edges(t: Tensor, near: Tensor, far: Tensor) -> Tensor:
    """(R, N + 1): half way between neighbouring t (R, N), near and far at the ends. Their differences are the samples' delta."""
    return torch.cat([near[..., None], 0.5 * (t[..., 1:] + t[..., :-1]), far[..., None]], dim=-1)


def importance(edges: Tensor, w: Tensor, N: int, generator: torch.Generator | None = None) -> Tensor:
    """N more t on each ray where its weights are, (R, N) ascending: the inverse of their distribution function, NeRF, section 5.2.

    edges: (R, M + 1), between which the weights w (R, M) are taken as constant. One u in each of N equal parts of [0, 1]
    (the parts' middles without a generator), which scatters less than N independent ones.
    """
    p = w + NOTHING
    cdf = F.pad((p / p.sum(-1, keepdim=True)).cumsum(-1), (1, 0)).clamp(max=1)               # (R, M + 1)
    u = strata(torch.zeros_like(cdf[..., 0]), torch.ones_like(cdf[..., 0]), N, generator)
    above = torch.searchsorted(cdf, u, right=True).clamp(1, w.shape[-1])
    low, high = cdf.gather(-1, above - 1), cdf.gather(-1, above)
    share = ((u - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
    return torch.lerp(edges.gather(-1, above - 1), edges.gather(-1, above), share)


# ---- volume rendering ------------------------------------------------------------------------------------------


def weights(sigma: Tensor, delta: Tensor) -> tuple[Tensor, Tensor]:
    """w_i = T_i (1 - exp(-sigma_i delta_i)), and T_i, the light left before sample i; each like sigma (..., N). NeRF, eq. 3.

    What is left behind the last sample falls on the background: 1 - sum_i w_i.
    """
    tau = (sigma * delta).clamp(0, TAU_MAX)
    T = torch.exp(tau - tau.cumsum(-1))
    return -T * torch.expm1(-tau), T


def composite(w: Tensor, rgb: Tensor, background: float | Tensor = 1.0) -> Tensor:
    """The ray's colour (..., 3) from w (..., N), rgb (..., N, 3): NeRF, eq. 3, and the background's share."""
    return (w[..., None] * rgb).sum(-2) + (1 - w.sum(-1, keepdim=True)) * background


def expected_depth(w: Tensor, t: Tensor) -> Tensor:
    """Where the ray's light comes from in the mean, sum_i w_i t_i / sum_i w_i, (...,); infinite where nothing is met."""
    return (w * t).sum(-1) / w.sum(-1).clamp(min=1e-12) + torch.where(w.sum(-1) > 1e-6, 0.0, math.inf)


def entropy(w: Tensor) -> Tensor:
    """How spread the origin of the ray's light is, in nats, (...,): of the weights and the background's share."""
    w = torch.cat([w, 1 - w.sum(-1, keepdim=True)], dim=-1)
    return -torch.special.xlogy(w, w.clamp(min=1e-30)).sum(-1)


def packed_weights(tau: Tensor, ray: Tensor, n_rays: int) -> tuple[Tensor, Tensor]:
    """`weights` for rays with different numbers of samples, one after the other: w and T, each (S,).

    tau: (S,), sigma delta. ray: (S,) int64 ascending, whose sample it is. One running sum over all of them, from which each
    ray's beginning is taken off: in float64, since 10^5 samples would leave float32 two digits.
    """
    tau = tau.double().clamp(0, TAU_MAX)
    total = tau.cumsum(0)
    before = total - tau                                      # of the sample itself
    first = torch.searchsorted(ray, torch.arange(n_rays, device=ray.device))
    start = F.pad(before, (0, 1))[first]                      # (R,); a ray of no samples is asked for nothing
    T = torch.exp(start.index_select(0, ray) - before)
    return (-T * torch.expm1(-tau)).float(), T.float()


class _RenderPacked(torch.autograd.Function):
    """The derivative by hand: with q_i = dL/dw_i, dL/dtau_i = T_{i+1} q_i - sum_{j > i} w_j q_j, sums over the same ray.

    The second term is the shade that i throws on all behind it. Suffix sums are one running sum over all rays together.
    """

    @staticmethod
    def forward(ctx: Any, tau: Tensor, rgb: Tensor, ray: Tensor, n_rays: int, background: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        w, T = packed_weights(tau, ray, n_rays)
        first = torch.searchsorted(ray, torch.arange(n_rays, device=ray.device))
        sums = F.embedding_bag(torch.arange(len(ray), device=ray.device), torch.cat([rgb, torch.ones_like(rgb[:, :1])], dim=1), first,
                               mode="sum", per_sample_weights=w)                             # (R, 4): a bag of samples for each ray
        opacity = sums[:, 3]
        ctx.save_for_backward(tau, rgb, ray, w, T, background)
        return sums[:, :3] + (1 - opacity)[:, None] * background, w, opacity

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        tau, rgb, ray, w, T, background = ctx.saved_tensors
        to_colour, to_w, to_opacity = grads
        on_sample = to_colour.index_select(0, ray)                          # (S, 3)
        q = (on_sample * (rgb - background)).sum(1) + to_w + to_opacity.index_select(0, ray)
        wq = (w * q).double()
        total = wq.cumsum(0)
        end = torch.searchsorted(ray, torch.arange(len(to_colour), device=ray.device), right=True)
        behind = F.pad(total, (1, 0))[end].index_select(0, ray) - total       # sum_{j > i} w_j q_j
        to_tau = T * torch.exp(-tau) * q - behind.float()
        return torch.where((tau >= 0) & (tau <= TAU_MAX), to_tau, 0), w[:, None] * on_sample, None, None, None


def render_packed(tau: Tensor, rgb: Tensor, ray: Tensor, n_rays: int, background: float | Tensor = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """Colours (R, 3), weights (S,) and opacities (R,) of rays with different numbers of samples. NeRF, eq. 3.

    tau: (S,), sigma delta of each sample. rgb: (S, 3). ray: (S,) int64 ascending in 0..R-1, whose sample it is. A ray without
    samples shows the background. Differentiable in tau and rgb.
    """
    return _RenderPacked.apply(tau, rgb, ray, n_rays, torch.as_tensor(background, dtype=rgb.dtype, device=rgb.device))


# ---- a grid of voxels ------------------------------------------------------------------------------------------


def sh1(d: Tensor) -> Tensor:
    """The real spherical harmonics of degrees 0 and 1 at directions d (..., 3): (..., 4), in the order 1, y, z, x."""
    x, y, z = d.unbind(-1)
    return torch.stack([torch.full_like(x, SH0), SH1 * y, SH1 * z, SH1 * x], dim=-1)


def sh_basis(d: Tensor) -> Tensor:
    """What the twelve numbers of a voxel's corner count in its colour seen along d (..., 3), (..., 12): sh1, thrice each."""
    return (sh1(d) * torch.tensor([1.0, BAND, BAND, BAND], device=d.device)).repeat_interleave(3, dim=-1)


def sh_colour(sh: Tensor, basis: Tensor) -> Tensor:
    """Colours (S, 3) in (0, 1): sigmoid(3 (k_0 Y_0 + 0.4 sum_i k_i Y_i)), for k = sh (S, 12) and basis = sh_basis(d) (S, 12).

    Of a row of sh, the first three are red, green and blue of k_0, then of k_y, k_z and k_x.
    """
    return torch.sigmoid(CONTRAST * ((sh * basis) @ torch.eye(3, device=sh.device).repeat(4, 1)))         # a sum of four, as a product: fast


def raw_to_tau(raw: Tensor) -> Tensor:
    """The optical depth of one voxel's side, softplus(raw - 4): as in Sun et al. 2022 (arXiv:2111.11215), thin at first."""
    return F.softplus(raw - SHIFT)


def tau_to_raw(tau: Tensor) -> Tensor:
    """The inverse of `raw_to_tau`; tau > 0."""
    return SHIFT + tau + torch.log(-torch.expm1(-tau))


def trilinear(f: Tensor) -> Tensor:
    """What each corner of a cell counts at f (S, 3) in [0, 1], the place inside it: (S, 8), in the order of CORNERS."""
    (x, y, z), (a, b, c) = f.T.contiguous(), (1 - f).T.contiguous()          # a column at a time: long vectors are fast
    ab, ay, xb, xy = a * b, a * y, x * b, x * y
    return torch.stack([ab * c, ab * z, ay * c, ay * z, xb * c, xb * z, xy * c, xy * z]).T.contiguous()
