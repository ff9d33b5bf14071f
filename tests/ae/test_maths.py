"""The formulas against torch's own Jacobians, finite differences, brute force and hand calculations."""

import math

import pytest
import torch
from torch import distributions as D

from playground.ae import maths
from playground.core import procedural


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


# ---- errors and penalties --------------------------------------------------------------------------------------


def test_squared_error_and_decibels_by_hand():
    x, x_hat = torch.zeros(2, 1, 2, 2), torch.tensor([[[[0.5, 0.5], [0.0, 0.0]]], [[[1.0, 1.0], [1.0, 1.0]]]])
    assert maths.squared_error(x_hat, x).tolist() == [0.5, 4.0]
    assert maths.psnr(x_hat, x).tolist() == pytest.approx([10 * math.log10(8), 0.0], abs=1e-5)
    assert maths.psnr(x, x).isinf().all()


def test_l1_by_hand():
    assert maths.l1(torch.tensor([[1.0, -2.0, 0.0], [0.0, 0.0, 0.5]])).tolist() == [3.0, 0.5]


def test_sparsity_kl_agrees_with_torch_bernoulli():
    mean = torch.rand(50, generator=generator(), dtype=torch.float64)
    expected = D.kl_divergence(D.Bernoulli(torch.tensor(0.05).double()), D.Bernoulli(mean)).sum()
    torch.testing.assert_close(maths.kl_sparsity(0.05, mean), expected)
    assert maths.kl_sparsity(0.05, torch.full((9,), 0.05).double()).item() == pytest.approx(0, abs=1e-9)
    assert maths.kl_sparsity(0.05, torch.tensor([0.0, 1.0])).isfinite()


def test_jacobian_penalty_by_hand():
    """Two pixels, two units: W = [[1, 2], [3, 4]], b = 0, x = (0, 0): each h is 1/2, each slope 1/4."""
    W = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert maths.sigmoid_jacobian_penalty(torch.full((1, 2), 0.5), W).tolist() == [(1 + 4) / 16 + (9 + 16) / 16]


def test_jacobian_penalty_agrees_with_jacrev_and_differences():
    W, b, x = normal(7, 12), normal(7, seed=1), torch.rand(3, 1, 3, 4, generator=generator(2), dtype=torch.float64)
    encode = lambda x: (x.flatten(1) @ W.T + b).sigmoid()                         # noqa: E731
    exact = maths.sigmoid_jacobian_penalty(encode(x), W)
    for image, norm in zip(x, exact):
        J = maths.jacobian(encode, image)
        assert J.shape == (7, 12) and J.square().sum().item() == pytest.approx(norm.item(), rel=1e-12)
        step, columns = 1e-6, []
        for i in range(12):
            shift = torch.zeros(12).double()
            shift[i] = step
            shift = shift.view(1, 1, 3, 4)
            columns.append((encode(image[None] + shift) - encode(image[None] - shift))[0] / (2 * step))
        torch.testing.assert_close(torch.stack(columns, 1), J, rtol=1e-6, atol=1e-9)


def test_the_jacobian_of_a_deep_encoder_agrees_with_differences():
    layers = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(9, 8), torch.nn.SiLU(), torch.nn.Linear(8, 4)).double()
    x = torch.rand(1, 3, 3, generator=generator(), dtype=torch.float64)
    J, step = maths.jacobian(layers, x), 1e-6
    for i in range(9):
        shift = torch.zeros(9).double()
        shift[i] = step
        moved = (layers((x + shift.view(1, 3, 3))[None]) - layers((x - shift.view(1, 3, 3))[None]))[0] / (2 * step)
        torch.testing.assert_close(moved, J[:, i], rtol=1e-6, atol=1e-9)


@torch.no_grad()
def test_a_jacobian_can_be_had_where_gradients_are_off():
    linear = torch.nn.Linear(4, 3).requires_grad_(False)
    torch.testing.assert_close(maths.jacobian(lambda x: linear(x.flatten(1)), torch.rand(1, 2, 2)), linear.weight)


# ---- sparse codes ----------------------------------------------------------------------------------------------


def test_top_k_keeps_the_largest_and_silences_the_rest():
    h = torch.tensor([[3.0, 1.0, 2.0, 0.0], [0.0, 5.0, 4.0, 6.0]])
    assert maths.top_k(h, 2).tolist() == [[3, 0, 2, 0], [0, 5, 0, 6]]
    assert maths.top_k(h, 4).tolist() == maths.top_k(h, 99).tolist() == h.tolist()


def test_active_means_above_one_per_cent_of_the_unit_s_own_largest():
    h, largest = torch.tensor([0.011, 0.009, -0.5, 0.0, 1.0]), torch.tensor([1.0, 1.0, 10.0, 1.0, 0.0])
    assert maths.active(h, largest).tolist() == [True, False, True, False, False]


# ---- the spectrum ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 12), (12, 5), (6, 6)])
def test_the_spectrum_is_that_of_torch_s_svd(shape):
    J = normal(*shape)
    values, tangents = maths.spectrum(J)
    _, expected, Vh = torch.linalg.svd(J, full_matrices=False)
    torch.testing.assert_close(values, expected)
    torch.testing.assert_close((tangents * Vh).sum(1).abs(), torch.ones(min(shape)).double())
    torch.testing.assert_close((J @ tangents.T).norm(dim=0), values)              # how far the code moves along each


def test_a_spectrum_with_zeros_has_its_rank():
    J = normal(8, 3) @ normal(3, 20, seed=1)
    values, tangents = maths.spectrum(J)
    assert maths.effective_rank(values) == 3 and (values[3:] < 1e-6 * values[0]).all() and tangents.isfinite().all()
    assert maths.effective_rank(torch.tensor([1.0, 0.5, 0.011, 0.009, 0.0])) == 3
    assert maths.spectrum(torch.zeros(3, 5))[1].abs().sum() == 0


# ---- principal components --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [40, 12])      # more and fewer images than pixels
def test_principal_components_are_those_of_the_svd_and_orthonormal(n):
    images = (255 * torch.rand(n, 1, 4, 5, generator=generator())).byte()
    basis = maths.pca(images, 6, chunk=7)
    x = images.flatten(1).double() / 255
    Vh = torch.linalg.svd(x - x.mean(0), full_matrices=False)[2][:6]
    torch.testing.assert_close(basis.mean.double(), x.mean(0), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close((basis.components.double() * Vh).sum(1).abs(), torch.ones(6).double(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(basis.components @ basis.components.T, torch.eye(6), rtol=1e-5, atol=1e-5)


def test_the_errors_of_all_orders_are_those_of_each_reconstruction():
    images = (255 * torch.rand(40, 1, 4, 5, generator=generator())).byte()
    basis, x = maths.pca(images, 20), images[:7].float() / 255
    errors = maths.pca_errors(x, basis)
    assert errors.shape == (7, 21)
    for d in (0, 1, 5, 20):
        x_hat = basis.decode(basis.encode(x, d)).view(x.shape)
        torch.testing.assert_close(errors[:, d], maths.squared_error(x_hat, x), rtol=1e-4, atol=1e-5)
    assert (errors[:, 1:] <= errors[:, :-1] + 1e-6).all() and errors[:, -1].max() < 1e-5


def test_no_other_plane_of_as_many_dimensions_comes_nearer():
    images = (255 * torch.rand(60, 1, 3, 4, generator=generator())).byte()
    basis, x = maths.pca(images, 3), images.float() / 255
    best = maths.pca_errors(x, basis)[:, 3].mean()
    for seed in range(20):
        other = torch.linalg.qr(torch.randn(12, 3, generator=generator(seed))).Q.T
        assert maths.pca_errors(x, maths.PCA(basis.mean, other))[:, 3].mean() >= best


def test_fewer_images_than_components_give_as_many_as_there_are():
    images = (255 * torch.rand(4, 1, 4, 4, generator=generator())).byte()
    basis = maths.pca(images, 10)
    assert basis.components.shape == (3, 16)                  # four points lie in a space of three dimensions
    assert maths.pca_errors(images.float() / 255, basis)[:, -1].max() < 1e-5


@pytest.mark.data
def test_pca_30_reproduces_the_papers_13_87(mnist):
    """Hinton & Salakhutdinov 2006: 13.87 for 30 components."""
    basis = maths.pca(mnist("train").images, 30)
    error = maths.pca_errors(mnist("test").images.float() / 255, basis)[:, 30].mean().item()
    assert error == pytest.approx(13.87, rel=0.02)


# ---- corruptions -----------------------------------------------------------------------------------------------


def test_no_corruption_is_the_picture_itself():
    x = torch.rand(3, 1, 8, 8)
    assert maths.corrupted(x, "none", 0.9, generator()) is x
    for kind in ("mask", "gaussian", "salt-pepper", "mixed"):
        assert torch.equal(maths.corrupted(x, kind, 0.0, generator()), x)


def test_a_mask_takes_its_share_of_the_pixels_from_all_channels():
    x = 0.5 + 0.5 * torch.rand(50, 3, 20, 20, generator=generator())
    seen = maths.corrupted(x, "mask", 0.3, generator())
    gone = seen == 0
    assert gone.float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert torch.equal(gone.all(1), gone.any(1)) and torch.equal(seen[~gone], x[~gone])


def test_salt_and_pepper_put_half_of_their_share_at_each_end():
    x = 0.25 + 0.5 * torch.rand(50, 3, 20, 20, generator=generator())
    seen = maths.corrupted(x, "salt-pepper", 0.4, generator())
    assert [(seen == end).float().mean().item() for end in (0, 1)] == pytest.approx([0.2, 0.2], abs=0.01)
    assert torch.equal(seen[(seen != 0) & (seen != 1)], x[(seen != 0) & (seen != 1)])


def test_gaussian_noise_has_its_standard_deviation_and_is_not_clamped():
    seen = maths.corrupted(torch.full((50, 1, 20, 20), 0.5), "gaussian", 0.7, generator())
    assert seen.std().item() == pytest.approx(0.7, rel=0.02) and seen.min() < 0 and seen.max() > 1


def test_mixed_corruptions_take_turns_each_by_an_amount_of_its_own():
    x = torch.full((3_000, 1, 12, 12), 0.5)
    seen = maths.corrupted(x, "mixed", 0.8, generator()).flatten(1)
    black, white = (seen == 0).float().mean(1), (seen == 1).float().mean(1)
    noisy, masked = (seen != 0.5).all(1), (black > 0) & (white == 0)
    peppered = (white > 0) & ~noisy
    for way in (noisy, masked, peppered):                     # a third each, but for pictures that happen to stay whole
        assert abs(way.float().mean() - 1 / 3) < 0.04
    share = black[masked]
    assert share.max() < 0.8 + 0.1 and abs(share.mean() - 0.4) < 0.03 and share.std() > 0.2, "uniform below the amount"
    assert abs(seen[noisy].std(1).mean() - 0.4) < 0.03
    assert torch.equal(seen, maths.corrupted(x, "mixed", 0.8, generator()).flatten(1))


@pytest.mark.parametrize("kind", ["mask", "salt-pepper"])
def test_a_pixel_that_is_hit_by_some_amount_is_hit_alike_by_every_larger_one(kind):
    x = 0.25 + 0.5 * torch.rand(4, 1, 20, 20, generator=generator())
    little, much = (maths.corrupted(x, kind, amount, generator(5)) for amount in (0.2, 0.6))
    hit = little != x
    assert torch.equal(little[hit], much[hit]) and ((much != x) | ~hit).all()


def test_moved_pictures_differ_a_little_and_the_rest_not_at_all():
    x = procedural.glyphs(10, 0).images.float() / 255
    out = maths.moved(x, 0.4, generator())
    assert torch.equal(out[4:], x[4:]) and all(not torch.equal(a, b) for a, b in zip(out[:4], x[:4]))
    assert maths.moved(x, 0.0, generator()) is x
    overlap = (out[:4] * x[:4]).flatten(1).sum(1) / (out[:4].flatten(1).norm(dim=1) * x[:4].flatten(1).norm(dim=1))
    assert overlap.min() > 0.7 and out.min() >= 0 and out.max() <= 1
    white = torch.ones(5, 3, 16, 16)
    torch.testing.assert_close(maths.moved(white, 1.0, generator()), white)      # no black comes in from beyond the edge


# ---- codes drawn at random -------------------------------------------------------------------------------------


def test_the_spread_of_codes_has_their_covariance():
    codes = normal(500, 4) @ normal(4, 4, seed=1) + 3
    covariance = torch.cov(codes.T, correction=0)
    L = maths.spread(covariance)
    torch.testing.assert_close(L @ L.T, covariance, rtol=1e-4, atol=1e-4)
    assert torch.equal(L, L.tril())
    torch.testing.assert_close(maths.spread(codes.var(0, correction=0)), codes.std(0, correction=0))
    flat = torch.cat([normal(50, 1), torch.zeros(50, 1).double()], 1)            # a number that never changes
    assert maths.spread(torch.cov(flat.T)).isfinite().all()


# ---- the plane -------------------------------------------------------------------------------------------------

CENTRES = torch.tensor([[0.0, 1.0], [-1.0, 0.5], [1.5, -1.0]]).double()


def log_density(x, variance):
    squares = (x[:, None] - CENTRES).square().sum(2)
    return torch.logsumexp(-squares / (2 * variance), 1) - math.log(3 * 2 * math.pi * variance)


def test_the_score_of_a_mixture_is_the_gradient_of_its_log_density():
    x = (3 * torch.rand(40, 2, generator=generator(), dtype=torch.float64) - 1.5).requires_grad_()
    [gradient] = torch.autograd.grad(log_density(x, 0.2).sum(), x)
    torch.testing.assert_close(maths.mixture_score(x.detach(), CENTRES, 0.2), gradient)


@pytest.mark.parametrize("sigma", [0.3, 0.8])
def test_the_best_repair_is_the_mean_of_the_clean_points_by_a_dense_grid(sigma):
    """E[clean | noised] = integral of clean p(clean) N(noised; clean, sigma^2) over the plane: no score is used."""
    axis = torch.linspace(-5, 5, 401, dtype=torch.float64)
    clean = torch.cartesian_prod(axis, axis)
    log_p = log_density(clean, 0.04)
    for x in torch.tensor([[0.0, 0.0], [1.0, -0.5], [-2.0, 2.0]]).double():
        weight = (log_p - (x - clean).square().sum(1) / (2 * sigma**2)).softmax(0)
        expected = weight @ clean
        torch.testing.assert_close(maths.best_repair(x[None], CENTRES, 0.04, sigma)[0], expected, rtol=1e-4, atol=1e-5)
