"""The VAE's formulas against torch.distributions, quadrature in float64 and closed forms."""

import math

import numpy as np
import pytest
import torch
from torch import distributions as D

from playground.vae import maths


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def seeded(number=0):
    return torch.Generator().manual_seed(number)


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


# ---- densities and the KL --------------------------------------------------------------------------------------


def test_kl_agrees_with_torch_distributions():
    mu, logvar = 3 * torch.randn((2, 50, 7), generator=seeded(), dtype=torch.float64)
    expected = D.kl_divergence(D.Normal(mu, (0.5 * logvar).exp()), D.Normal(0.0, 1.0))
    torch.testing.assert_close(maths.kl_per_dimension(mu, logvar), expected)
    torch.testing.assert_close(maths.kl_to_standard_normal(mu, logvar), expected.sum(-1))


def test_kl_is_zero_at_the_prior_and_positive_elsewhere():
    zeros = torch.zeros(4, 3)
    assert maths.kl_to_standard_normal(zeros, zeros).eq(0).all()
    assert maths.kl_per_dimension(zeros + 0.1, zeros).gt(0).all()
    assert maths.kl_per_dimension(zeros, zeros + 0.1).gt(0).all() and maths.kl_per_dimension(zeros, zeros - 0.1).gt(0).all()


def test_log_normal_agrees_with_torch_distributions():
    mu, logvar = torch.randn((2, 5, 7), generator=seeded(), dtype=torch.float64)
    z = torch.randn((3, 5, 7), generator=seeded(1), dtype=torch.float64)                 # three samples for each mu
    q = D.Independent(D.Normal(mu, (0.5 * logvar).exp()), 1)
    torch.testing.assert_close(maths.log_normal(z, mu, logvar), q.log_prob(z))
    prior = D.MultivariateNormal(torch.zeros(7, dtype=torch.float64), torch.eye(7, dtype=torch.float64))
    torch.testing.assert_close(maths.log_standard_normal(z), prior.log_prob(z))


@pytest.mark.parametrize("grey", [False, True])
def test_bernoulli_log_likelihood_agrees_with_torch_distributions(grey):
    logits = 4 * torch.randn((6, 2, 1, 3, 4), generator=seeded())
    x = torch.rand((2, 1, 3, 4), generator=seeded(1))         # broadcasts over the six samples
    x = x if grey else x.round()
    expected = D.Bernoulli(logits=logits, validate_args=False).log_prob(x).sum((-1, -2, -3))
    torch.testing.assert_close(maths.bernoulli_log_likelihood(logits, x), expected)
    one = maths.bernoulli_log_likelihood(logits[0, 0], x)     # one z, two pictures
    torch.testing.assert_close(one, D.Bernoulli(logits=logits[0, 0], validate_args=False).log_prob(x).sum((-1, -2, -3)))


def test_bernoulli_log_likelihood_stays_finite_for_extreme_logits():
    logits, x = torch.tensor([200.0, -200.0]).reshape(1, 1, 2), torch.tensor([0.0, 1.0]).reshape(1, 1, 2)
    assert maths.bernoulli_log_likelihood(logits, x) == pytest.approx(-400)
    assert maths.bernoulli_log_likelihood(logits, 1 - x) == pytest.approx(0)


@pytest.mark.parametrize("sigma", [0.1, 1.7])
def test_gaussian_log_likelihood_agrees_with_torch_distributions(sigma):
    mean = torch.randn((6, 2, 3, 2, 4), generator=seeded(), dtype=torch.float64)
    x = torch.rand((2, 3, 2, 4), generator=seeded(1), dtype=torch.float64)
    expected = D.Normal(mean, sigma).log_prob(x).sum((-1, -2, -3))
    torch.testing.assert_close(maths.gaussian_log_likelihood(mean, x, sigma), expected)
    one = maths.gaussian_log_likelihood(mean[0, 0], x, sigma)
    torch.testing.assert_close(one, D.Normal(mean[0, 0], sigma).log_prob(x).sum((-1, -2, -3)))


# ---- a VAE with one latent dimension and a cubic decoder: x = z + 0.4 z^3 - 0.3 + N(0, 0.8^2) ------------------

X, SIGMA = 0.9, 0.8
GRID = torch.linspace(-20, 20, 40_001, dtype=torch.float64)
NODES, WEIGHTS = (torch.from_numpy(part) for part in np.polynomial.hermite_e.hermegauss(60))
WEIGHTS = WEIGHTS / WEIGHTS.sum()                             # E f(eps) = sum w f(node), eps ~ N(0, 1), for degree < 120
QS = [(mu, logvar) for mu in (-1.5, 0.0, 0.52, 1.3) for logvar in (-4.0, -1.4, 0.0, 1.0)]


def log_p_x_given(z):
    mean = (z + 0.4 * z**3 - 0.3)[..., None, None, None]
    return maths.gaussian_log_likelihood(mean, torch.full((1, 1, 1), X, dtype=z.dtype), SIGMA)


def integral(values):
    return torch.trapezoid(values, GRID)


def log_evidence():
    """log p(x) by quadrature, V-1."""
    return integral((log_p_x_given(GRID) + maths.log_standard_normal(GRID[:, None])).exp()).log()


def exact_elbo(mu, logvar):
    """E_q log p(x | z) by Gauss-Hermite (exact: a polynomial of degree six) less the closed-form KL."""
    z = maths.reparameterise(mu, logvar, NODES)
    return maths.elbo((WEIGHTS * log_p_x_given(z)).sum(), maths.kl_to_standard_normal(mu[None], logvar[None]))


def test_quadrature_sees_a_density():
    """Over all x the evidence integrates to one; else the tests below would compare two wrong numbers."""
    xs = torch.linspace(-60, 60, 2_401, dtype=torch.float64)
    z = GRID[::40]
    mean = (z + 0.4 * z**3 - 0.3)[:, None, None, None]
    log_joint = maths.gaussian_log_likelihood(mean, xs[:, None, None, None, None], SIGMA) + maths.log_standard_normal(z[:, None])
    assert torch.trapezoid(torch.trapezoid(log_joint.exp(), z), xs).item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("mu, logvar", QS)
def test_elbo_plus_gap_is_log_p_for_any_q(mu, logvar):
    mu, logvar = tensor(mu)[0], tensor(logvar)[0]
    log_q = maths.log_normal(GRID[:, None], mu[None], logvar[None])
    log_posterior = log_p_x_given(GRID) + maths.log_standard_normal(GRID[:, None]) - log_evidence()
    gap = integral(log_q.exp() * (log_q - log_posterior))     # KL(q || p(z | x)), not by the formula under test
    assert gap > 0.005
    assert (exact_elbo(mu, logvar) + gap).item() == pytest.approx(log_evidence().item(), abs=1e-9)


def test_elbo_never_exceeds_log_p():
    mu, logvar = torch.meshgrid(torch.linspace(-3, 3, 121), torch.linspace(-7, 3, 101), indexing="ij")
    mu, logvar = mu.double()[..., None], logvar.double()[..., None]
    z = maths.reparameterise(mu, logvar, NODES)               # (121, 101, 60)
    elbo = maths.elbo((WEIGHTS * log_p_x_given(z)).sum(-1), maths.kl_to_standard_normal(mu, logvar))
    assert elbo.max() < log_evidence()
    assert elbo.max() > log_evidence() - 0.05                 # the best Gaussian is close, so the bound is not idle


def test_elbo_with_beta_weighs_the_kl_alone():
    assert maths.elbo(tensor(-90.0), tensor(25.0), beta=4).item() == -190
    assert maths.elbo(tensor(-90.0), tensor(25.0)).item() == -115


def test_reparameterised_gradient_agrees_with_quadrature():
    """d/d(mu, logvar) of E_q f(z): through z = mu + sigma eps, and through the density under the integral."""
    mu, logvar = tensor(0.4)[0].requires_grad_(), tensor(-1.1)[0].requires_grad_()
    log_q = maths.log_normal(GRID[:, None], mu[None], logvar[None])
    by_quadrature = torch.autograd.grad(integral(log_q.exp() * log_p_x_given(GRID)), (mu, logvar))

    pathwise = torch.autograd.grad((WEIGHTS * log_p_x_given(maths.reparameterise(mu, logvar, NODES))).sum(), (mu, logvar))
    torch.testing.assert_close(pathwise, by_quadrature, rtol=0, atol=1e-8)

    n = 100_000
    mus, logvars = (value.detach().expand(n).clone().requires_grad_() for value in (mu, logvar))
    z = maths.reparameterise(mus, logvars, torch.randn(n, generator=seeded(), dtype=torch.float64))
    for samples, expected in zip(torch.autograd.grad(log_p_x_given(z).sum(), (mus, logvars)), by_quadrature):
        error = samples.std() / n**0.5                        # one gradient per sample
        assert error < 0.04 * expected.abs()
        assert (samples.mean() - expected).abs() < 4 * error


def test_importance_weighted_bound_rises_with_k_from_the_elbo_towards_log_p():
    """E L_1, E L_2 and E L_3 by Gauss-Hermite in one, two and three dimensions: no sampling noise."""
    mu, logvar = tensor(0.3), tensor(-0.7)
    z = maths.reparameterise(mu, logvar, NODES[:, None])[:, None]                        # (60, 1, 1)
    log_w = maths.log_importance_weights(log_p_x_given(z[..., 0]), z, mu[None], logvar[None])[:, 0]
    bounds = []
    for k in (1, 2, 3):
        each = torch.stack(torch.meshgrid(*[log_w] * k, indexing="ij"))
        weight = torch.stack(torch.meshgrid(*[WEIGHTS] * k, indexing="ij")).prod(0)
        bounds.append((weight * maths.importance_weighted_bound(each)).sum().item())
    assert bounds[0] == pytest.approx(exact_elbo(mu[0], logvar[0]).item(), abs=1e-9)
    assert bounds[0] + 0.01 < bounds[1] < bounds[2] - 0.002 < log_evidence().item()


# ---- the importance-weighted bound -----------------------------------------------------------------------------


def test_quadrature_agrees_with_importance_sampling():
    """p(x) of a two-dimensional VAE with a nonlinear decoder, for all 16 binary pictures of four pixels."""
    w1 = torch.randn((2, 5), generator=seeded(), dtype=torch.float64)
    w2 = 1.5 * torch.randn((5, 4), generator=seeded(1), dtype=torch.float64)

    def decode(z):
        return (torch.tanh(z @ w1) @ w2).unflatten(-1, (1, 2, 2))

    side = torch.linspace(-7, 7, 201, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side)
    logits, log_prior = decode(grid), maths.log_standard_normal(grid)
    area, total = (side[1] - side[0]).item() ** 2, 0.0
    k = 20_000
    mu, logvar = tensor([0.3, -0.2]), tensor([0.2, 0.4])      # wider than the prior, so that the weights are bounded
    z = maths.reparameterise(mu, logvar, torch.randn((k, 1, 2), generator=seeded(2), dtype=torch.float64))
    for number in range(16):
        x = torch.tensor([number >> i & 1 for i in range(4)], dtype=torch.float64).reshape(1, 2, 2)
        p = ((maths.bernoulli_log_likelihood(logits, x) + log_prior).exp().sum() * area).item()
        total += p
        log_w = maths.log_importance_weights(maths.bernoulli_log_likelihood(decode(z), x), z, mu, logvar)
        w = log_w.exp()
        error = (w.std() / w.mean() / k**0.5).item()          # of log mean w, by the delta method
        assert error < 0.02
        assert maths.importance_weighted_bound(log_w).item() == pytest.approx(math.log(p), abs=4 * error)
    assert total == pytest.approx(1, abs=1e-6)


def test_one_importance_sample_is_a_one_sample_elbo():
    mu, logvar = torch.randn((2, 5, 3), generator=seeded(), dtype=torch.float64)
    z = maths.reparameterise(mu, logvar, torch.randn((1, 5, 3), generator=seeded(1), dtype=torch.float64))
    log_p = torch.randn((1, 5), generator=seeded(2), dtype=torch.float64) - 80
    q, prior = D.Normal(mu, (0.5 * logvar).exp()), D.Normal(0.0, 1.0)
    expected = log_p + (prior.log_prob(z) - q.log_prob(z)).sum(-1)
    log_w = maths.log_importance_weights(log_p, z, mu, logvar)
    torch.testing.assert_close(maths.importance_weighted_bound(log_w), expected[0])


def test_importance_weighted_bound_is_the_log_of_the_mean_weight():
    w = torch.rand((9, 4), generator=seeded(), dtype=torch.float64) + 0.1
    torch.testing.assert_close(maths.importance_weighted_bound(w.log()), w.mean(0).log())


def test_importance_weighted_bound_stays_finite_far_below_underflow():
    bound = maths.importance_weighted_bound(torch.tensor([[-1e4], [-1e4 + math.log(3)]], dtype=torch.float64))
    assert bound.item() == pytest.approx(-1e4 + math.log(2), abs=1e-9)       # the mean of 1 and 3 is 2
    assert maths.importance_weighted_bound(torch.full((5, 2), -1e4)).tolist() == pytest.approx([-1e4, -1e4])


def test_every_bound_of_a_linear_gaussian_model_with_its_exact_posterior_is_log_p():
    """Probabilistic PCA (Tipping & Bishop 1999): x = W z + b + N(0, s^2 I), W's columns orthogonal, so q is diagonal."""
    s, scale = 0.6, tensor(2.0, 0.7, 0.1)
    w = torch.linalg.qr(torch.randn((6, 3), generator=seeded(), dtype=torch.float64))[0] * scale
    b = torch.randn(6, generator=seeded(1), dtype=torch.float64)
    x = torch.randn((4, 6), generator=seeded(2), dtype=torch.float64)
    exact = D.MultivariateNormal(b, w @ w.T + s**2 * torch.eye(6, dtype=torch.float64)).log_prob(x)

    m = scale**2 + s**2                                       # W^T W + s^2 I, its diagonal
    mu, logvar = (x - b) @ w / m, (s**2 / m).log().expand(4, 3)
    picture = x.reshape(4, 1, 2, 3)
    z = maths.reparameterise(mu, logvar, torch.randn((7, 4, 3), generator=seeded(3), dtype=torch.float64))
    log_p = maths.gaussian_log_likelihood((z @ w.T + b).unflatten(-1, (1, 2, 3)), picture, s)
    log_w = maths.log_importance_weights(log_p, z, mu, logvar)
    torch.testing.assert_close(log_w, exact.expand(7, 4))     # every single sample gives log p(x)
    torch.testing.assert_close(maths.importance_weighted_bound(log_w), exact)

    at_mu = maths.gaussian_log_likelihood((mu @ w.T + b).unflatten(-1, (1, 2, 3)), picture, s)
    expected_log_p = at_mu - (scale**2 * logvar.exp()).sum(-1) / (2 * s**2)              # E_q log p(x | z)
    torch.testing.assert_close(maths.elbo(expected_log_p, maths.kl_to_standard_normal(mu, logvar)), exact)


# ---- binarisation ----------------------------------------------------------------------------------------------


def test_tightening_begins_at_the_elbo_ends_at_the_bound_of_all_and_rises_between():
    log_w = torch.randn(256, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 - 90
    bounds = maths.tightening(log_w)
    assert bounds.shape == (9, 5)
    torch.testing.assert_close(bounds[0], log_w.mean(0))
    torch.testing.assert_close(bounds[-1], maths.importance_weighted_bound(log_w))
    assert (bounds.diff(dim=0) >= 0).all(), "Jensen, on the same weights: the mean of two logs is at most the log of their mean"


def test_tightening_is_the_mean_over_disjoint_groups_by_hand():
    log_w = torch.tensor([0.0, 1.0, -2.0, 3.0], dtype=torch.float64)[:, None]
    pairs = (math.log((1 + math.e) / 2) + math.log((math.exp(-2) + math.exp(3)) / 2)) / 2
    assert maths.tightening(log_w)[1].item() == pytest.approx(pairs)


@pytest.mark.parametrize("walk", [maths.lerp, maths.slerp])
def test_a_path_begins_at_a_and_ends_at_b(walk):
    a, b = torch.randn(2, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    path = walk(a, b, torch.linspace(0, 1, 7, dtype=torch.float64))
    torch.testing.assert_close(path[0], a)
    torch.testing.assert_close(path[-1], b)


def test_slerp_agrees_with_scipy_s_rotations_in_the_plane_of_its_ends():
    from scipy.spatial.transform import Rotation, Slerp

    a, b = torch.tensor([2.0, 0, 0], dtype=torch.float64), torch.tensor([0, 1.2, 1.6], dtype=torch.float64)
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    axis = np.cross(a, b) / np.linalg.norm(np.cross(a, b))
    angle = math.acos(float(a @ b) / 4)
    turned = Slerp([0, 1], Rotation.from_rotvec([0 * axis, angle * axis]))(t.numpy()).apply(a.numpy())
    torch.testing.assert_close(maths.slerp(a, b, t), torch.from_numpy(turned))


def test_slerp_keeps_the_length_that_a_straight_line_loses():
    a, b = torch.randn(2, 32, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    torch.testing.assert_close(maths.slerp(a, b, t).norm(dim=1), (1 - t) * a.norm() + t * b.norm())
    assert maths.lerp(a, b, t).norm(dim=1).min() < 0.9 * min(a.norm(), b.norm())


@pytest.mark.parametrize("a, b", [([1.0, 2], [2.0, 4]), ([1.0, 2], [-1.0, -2]), ([0.0, 0], [1.0, 1]), ([0.0, 0], [0.0, 0])])
def test_slerp_is_the_straight_line_where_there_is_no_one_circle(a, b):
    a, b, t = torch.tensor(a), torch.tensor(b), torch.linspace(0, 1, 5)
    torch.testing.assert_close(maths.slerp(a, b, t), maths.lerp(a, b, t))


def test_binarise_draws_each_pixel_with_its_own_probability():
    p, n = torch.tensor([0.0, 0.02, 0.3, 0.5, 0.9, 1.0]), 100_000
    drawn = maths.binarise(p.expand(n, 6), seeded())
    assert drawn.dtype == p.dtype and ((drawn == 0) | (drawn == 1)).all()
    assert drawn[:, 0].eq(0).all() and drawn[:, -1].eq(1).all()                          # black and white never change
    error = (p * (1 - p) / n).sqrt()
    assert ((drawn.mean(0) - p).abs() <= 4 * error).all()
    together = (drawn[:, 2] * drawn[:, 3]).mean()             # pixels are independent
    assert (together - 0.15).abs() < 4 * (0.15 * 0.85 / n) ** 0.5


def test_binarise_gives_the_same_bits_for_the_same_seed_and_new_ones_at_each_call():
    x, generator = torch.full((40, 40), 0.5), seeded(3)
    first, second = maths.binarise(x, generator), maths.binarise(x, generator)
    assert torch.equal(first, maths.binarise(x, seeded(3)))
    assert not torch.equal(first, second) and not torch.equal(first, maths.binarise(x, seeded(4)))


@pytest.mark.gpu
def test_binarise_gives_the_same_bits_on_every_device():
    x = torch.rand((8, 1, 28, 28), generator=seeded())
    assert torch.equal(maths.binarise(x.cuda(), seeded(1)).cpu(), maths.binarise(x, seeded(1)))
