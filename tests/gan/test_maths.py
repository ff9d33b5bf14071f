"""The game's formulas against quadrature, finite differences, brute force and other libraries."""

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.spatial.distance
import scipy.special
import scipy.stats
import torch
import torch.nn.functional as F

from playground.gan import config, maths
from playground.gan.config import LOSSES

EVERY_LOSS = pytest.mark.parametrize("loss", LOSSES)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def differences(f, x, step=1e-6):
    """The gradient of f at x by central differences."""
    out = torch.zeros_like(x)
    for i in range(x.numel()):
        shift = torch.zeros(x.numel()).to(x)
        shift[i] = step
        shift = shift.view(x.shape)
        out.view(-1)[i] = (f(x + shift) - f(x - shift)) / (2 * step)
    return out


# ---- the losses ------------------------------------------------------------------------------------------------


@EVERY_LOSS
def test_loss_gradients_agree_with_differences(loss):
    real, fake = normal(7), normal(7, seed=1)                 # no logit is within 1e-6 of a corner of the hinge
    for f, x in ((lambda x: maths.d_loss(loss, x, fake), real), (lambda x: maths.d_loss(loss, real, x), fake), (lambda x: maths.g_loss(loss, x), fake)):
        at = x.clone().requires_grad_(True)
        [found] = torch.autograd.grad(f(at), at)
        torch.testing.assert_close(found, differences(f, x), rtol=1e-6, atol=1e-8)


@EVERY_LOSS
def test_d_ascends_both_of_its_terms_and_g_pulls_the_other_way(loss):
    """A higher answer to a real picture never costs D, a higher answer to a fake never pays; G is paid for exactly that."""
    real, fake = (normal(9, seed=s).requires_grad_(True) for s in (2, 3))
    d_real, d_fake = torch.autograd.grad(maths.d_loss(loss, real, fake), (real, fake))
    [g_fake] = torch.autograd.grad(maths.g_loss(loss, fake), fake)
    if loss != "least-squares":                               # which punishes also what is beyond its label
        assert (d_real <= 0).all() and (d_fake >= 0).all() and (g_fake < 0).all()
    else:
        assert ((d_real < 0) == (real < 1)).all() and ((d_fake > 0) == (fake > 0)).all() and ((g_fake < 0) == (fake < 1)).all()


def test_the_value_is_minus_the_cross_entropy_of_torch():
    real, fake = normal(50), normal(50, seed=1)
    cross = F.binary_cross_entropy_with_logits(real, torch.ones(50).double()) + F.binary_cross_entropy_with_logits(fake, torch.zeros(50).double())
    assert sum(maths.value(real, fake)).item() == pytest.approx(-cross.item())
    assert maths.d_loss("minimax", real, fake).item() == pytest.approx(cross.item()) == maths.d_loss("non-saturating", real, fake).item()
    assert maths.value(torch.tensor([1e4]), torch.tensor([-1e4])) == (0, 0) and maths.value(torch.tensor([-1e4]), torch.tensor([1e4]))[0] == -1e4


def test_both_answers_of_one_half_are_worth_minus_two_log_two():
    assert sum(maths.value(torch.zeros(3), torch.zeros(3))).item() == pytest.approx(maths.LOWEST) == -2 * math.log(2)


def test_where_d_is_sure_the_minimax_gradient_vanishes_and_the_other_does_not():
    logits = torch.tensor([-12.0], dtype=torch.float64, requires_grad=True)
    gradients = {loss: torch.autograd.grad(maths.g_loss(loss, logits), logits)[0].item() for loss in ("minimax", "non-saturating")}
    sigmoid = scipy.special.expit(-12.0)
    assert gradients["minimax"] == pytest.approx(-sigmoid, rel=1e-9) and gradients["non-saturating"] == pytest.approx(-(1 - sigmoid), rel=1e-9)


def test_losses_by_hand():
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-2.0, 0.5])
    assert maths.d_loss("hinge", real, fake).item() == pytest.approx((0 + 0.5) / 2 + (0 + 1.5) / 2)
    assert maths.d_loss("least-squares", real, fake).item() == pytest.approx(0.5 * (1 + 0.25) / 2 + 0.5 * (4 + 0.25) / 2)
    assert maths.d_loss("wasserstein", real, fake).item() == pytest.approx(-0.75 - 1.25)
    assert maths.g_loss("hinge", fake) == maths.g_loss("wasserstein", fake) == 0.75
    assert maths.g_loss("least-squares", fake).item() == pytest.approx(0.5 * (9 + 0.25) / 2)


def test_the_boundary_is_where_d_has_no_opinion():
    assert [maths.boundary(loss) for loss in LOSSES] == [0, 0, 0.5, None, 0]
    assert set(config.PROBABLE) == {"minimax", "non-saturating"}


# ---- penalties -------------------------------------------------------------------------------------------------


@pytest.fixture
def critic():
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)).double()
    return lambda x: layers(x).flatten()


def test_the_slope_is_that_of_finite_differences(critic):
    x = normal(4, 2, 3)
    expected = [differences(lambda p: critic(p[None])[0].detach(), each).square().sum() for each in x]
    torch.testing.assert_close(maths.squared_slope(critic, x), torch.stack(expected), rtol=1e-6, atol=1e-9)
    assert maths.r1(critic, x).item() == pytest.approx(0.5 * torch.stack(expected).mean().item(), rel=1e-6)


@torch.no_grad()
def test_a_slope_can_be_had_where_gradients_are_off(critic):
    assert maths.squared_slope(critic, normal(4, 2, 3)).isfinite().all()


def test_the_penalty_of_a_linear_critic_is_its_slope_s_distance_from_one():
    w = torch.tensor([3.0, 4.0], dtype=torch.float64)
    for scale, expected in ((1.0, 16.0), (0.2, 0.0), (0.0, 1.0)):
        assert maths.gradient_penalty(lambda x: scale * (x @ w), normal(5, 2)).item() == pytest.approx(expected, abs=1e-5)


def test_a_penalty_s_gradient_reaches_the_weights():
    w = torch.tensor([3.0, 4.0], requires_grad=True)
    maths.r1(lambda x: x @ w, torch.zeros(2, 2)).backward()
    torch.testing.assert_close(w.grad, torch.tensor([3.0, 4.0]))                 # of |w|^2 / 2


def test_points_between_lie_on_the_way():
    real, fake = normal(3, 2, 2), normal(3, 2, 2, seed=1)
    assert torch.equal(maths.between(real, fake, torch.ones(3).double()), real) and torch.equal(maths.between(real, fake, torch.zeros(3).double()), fake)
    torch.testing.assert_close(maths.between(real, fake, torch.tensor([0.25, 0.5, 0.75]).double())[1], (real[1] + fake[1]) / 2)


def test_the_spectral_norm_is_the_largest_singular_value():
    W = normal(6, 4, 3, 3)
    assert maths.spectral_norm(W, 500).item() == pytest.approx(torch.linalg.svdvals(W.flatten(1))[0].item(), rel=1e-6)


# ---- the optimum -----------------------------------------------------------------------------------------------

X = torch.linspace(-12, 12, 6_001, dtype=torch.float64)
PAIRS = [((-1.0, 0.6), (1.0, 0.6)), ((0.0, 1.0), (0.5, 1.3)), ((-3.0, 0.5), (3.0, 0.5)), ((0.3, 0.7), (0.3, 0.7))]


def densities(pair):
    return [maths.normal(X, *each) for each in pair]


@pytest.mark.parametrize("pair", PAIRS)
def test_value_at_d_star_is_two_js_minus_two_log_two(pair):
    """Against scipy's adaptive quadrature of the Jensen-Shannon divergence, which knows nothing of our grid."""
    p, q = (scipy.stats.norm(*each).pdf for each in pair)

    def integrand(x):
        a, b = p(x), q(x)
        return 0.5 * (scipy.special.rel_entr(a, (a + b) / 2) + scipy.special.rel_entr(b, (a + b) / 2))

    js = scipy.integrate.quad(integrand, -12, 12, limit=500, points=[-3, -1, 0, 1, 3])[0]
    p_r, p_g = densities(pair)
    found = sum(maths.value_on_grid(maths.optimal_logit(p_r, p_g), p_r, p_g, X)).item()
    assert found == pytest.approx(2 * js - 2 * math.log(2), abs=1e-8)
    assert maths.jensen_shannon_on_grid(p_r, p_g, X).item() == pytest.approx(js, abs=1e-8) and -1e-12 < js < math.log(2)
    assert found >= maths.LOWEST - 1e-12


def test_equal_densities_give_the_least_value_there_is():
    p, q = densities(PAIRS[3])
    assert sum(maths.value_on_grid(maths.optimal_logit(p, q), p, q, X)).item() == pytest.approx(maths.LOWEST, abs=1e-9)


@pytest.mark.parametrize("pair", PAIRS)
def test_no_discriminator_beats_d_star(pair):
    p_r, p_g = densities(pair)
    best = sum(maths.value_on_grid(maths.optimal_logit(p_r, p_g), p_r, p_g, X)).item()
    for seed in range(20):
        other = maths.optimal_logit(p_r, p_g) + normal(len(X), seed=seed)
        assert sum(maths.value_on_grid(other, p_r, p_g, X)).item() <= best + 1e-12


def test_no_answer_at_a_point_beats_d_star_there():
    y = torch.linspace(0, 1, 10_001, dtype=torch.float64)
    for p_r, p_g in ((0.3, 0.1), (1e-6, 2.0), (0.0, 0.4), (0.4, 0.0), (5.0, 5.0)):
        pr, pg = torch.tensor([p_r, p_g], dtype=torch.float64)
        star = maths.optimal(pr, pg)
        assert star.item() == pytest.approx(p_r / (p_r + p_g), abs=1e-12)
        at_star, all_of_them = maths.payoff(star, pr, pg), maths.payoff(y, pr, pg)
        assert at_star.isfinite() and (all_of_them <= at_star + 1e-12).all()
        assert abs(y[all_of_them.argmax()] - star) <= 1e-4


def test_the_logit_of_the_optimum_is_its_logit():
    p_r, p_g = densities(PAIRS[1])
    torch.testing.assert_close(maths.optimal_logit(p_r, p_g).sigmoid(), maths.optimal(p_r, p_g))
    assert maths.optimal_logit(torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.0, 0.0, 1.0])).tolist() == [0, math.inf, -math.inf]
    x = torch.tensor([0.0, 1.0, 2.0])
    apart = maths.value_on_grid(maths.optimal_logit(torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.0, 0.0, 1.0])), torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.0, 0.0, 1.0]), x)
    assert apart == (0, 0)                                    # two densities that never meet: D is always right


def test_where_there_is_no_mass_d_star_is_one_half():
    assert maths.optimal(torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.0, 0.0, 1.0])).tolist() == [0.5, 1.0, 0.0]


def test_jensen_shannon_agrees_with_scipy_and_ends_at_log_two():
    p, q = torch.rand(30, dtype=torch.float64), torch.rand(30, dtype=torch.float64)
    p[3] = q[7] = 0
    assert maths.jensen_shannon(p, q).item() == pytest.approx(scipy.spatial.distance.jensenshannon(p.numpy(), q.numpy())**2, rel=1e-9)
    assert maths.jensen_shannon(p, 5 * p).item() == pytest.approx(0, abs=1e-12)
    assert maths.jensen_shannon(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])).item() == pytest.approx(math.log(2))


# ---- the latent space ------------------------------------------------------------------------------------------


def test_a_great_circle_has_equal_angles_and_evenly_changing_lengths():
    a, b = normal(16), 2 * normal(16, seed=1)
    walk = maths.slerp(a, b, torch.linspace(0, 1, 9).double())
    torch.testing.assert_close(walk[0], a)
    torch.testing.assert_close(walk[-1], b)
    steps = [torch.dot(x, y) / (x.norm() * y.norm()) for x, y in zip(walk, walk[1:])]
    torch.testing.assert_close(torch.stack(steps), steps[0].expand(8))
    np.testing.assert_allclose(np.diff(walk.norm(dim=1)), (b.norm() - a.norm()) / 8, rtol=1e-9)
    assert torch.linalg.matrix_rank(torch.stack([a, b, *walk])) == 2


def test_a_great_circle_between_equals_is_no_trap():
    a, share = normal(5), torch.linspace(0, 1, 5).double()
    torch.testing.assert_close(maths.slerp(a, 3 * a, share), maths.lerp(a, 3 * a, share))
    assert maths.slerp(a, -a, share).isfinite().all()


def test_a_blend_of_four_independent_codes_keeps_the_standard_normal():
    u, v = torch.rand(200, dtype=torch.float64), torch.rand(200, dtype=torch.float64)
    weights = maths.weights_of_four(u, v)
    torch.testing.assert_close(weights.square().sum(1), torch.ones(200).double())
    assert maths.weights_of_four(torch.tensor(0.0), torch.tensor(1.0)).tolist() == [0, 0, 1, 0]
    middle = maths.weights_of_four(torch.tensor(0.5).double(), torch.tensor(0.5).double())
    torch.testing.assert_close(middle, torch.full((4,), 0.5).double())
    z = torch.einsum("k,nkd->nd", maths.weights_of_four(torch.tensor(0.3).double(), torch.tensor(0.8).double()), normal(20_000, 4, 3))
    torch.testing.assert_close(torch.cov(z.T), torch.eye(3).double(), rtol=0, atol=0.03)


def test_truncation_draws_towards_the_mean_of_all_codes():
    z = normal(6)
    assert torch.equal(maths.truncated(z, 1.0), z) and torch.equal(maths.truncated(z, -1.0), -z) and not maths.truncated(z, 0.0).any()


@pytest.mark.parametrize("shape", [(40, 7), (5, 7)])
def test_principal_directions_are_those_of_the_layer_s_own_samples(shape):
    W, b = normal(*shape), normal(shape[0], seed=1)
    directions, share = maths.principal(W)
    layer = normal(200_000, shape[1], seed=2) @ W.T + b
    values, vectors = torch.linalg.eigh(torch.cov(layer.T))
    first = W @ directions[0]
    assert abs(torch.dot(first / first.norm(), vectors[:, -1])) > 0.999
    assert share.sum().item() == pytest.approx(1) and share[0].item() == pytest.approx((values[-1] / values.sum()).item(), rel=0.02)
    torch.testing.assert_close(directions @ directions.T, torch.eye(7).double(), rtol=0, atol=1e-9)
    assert ((directions @ W.T).sum(1) >= -1e-9).all() and (share.diff() <= 1e-12).all()


# ---- how good samples are --------------------------------------------------------------------------------------


def test_parzen_is_the_logarithm_of_a_mixture_of_gaussians():
    x, samples, sigma = normal(5, 3), normal(8, 3, seed=1), 0.7
    expected = [np.log(np.mean([scipy.stats.multivariate_normal(s, sigma**2 * np.eye(3)).pdf(point) for s in samples.numpy()])) for point in x.numpy()]
    np.testing.assert_allclose(maths.parzen(torch.cdist(x, samples).square(), sigma, 3), expected, rtol=1e-9)


def test_the_sliced_distance_on_a_line_is_scipy_s_and_forgets_the_order():
    a, b = normal(40, 1), 2 + normal(40, 1, seed=1)
    found = maths.sliced(a, b, torch.ones(1, 1).double()).item()
    brute = np.sqrt(np.mean((np.sort(a.numpy().ravel()) - np.sort(b.numpy().ravel()))**2))
    assert found == pytest.approx(brute) and found >= scipy.stats.wasserstein_distance(a.numpy().ravel(), b.numpy().ravel()) - 1e-9
    assert maths.sliced(a, a.flip(0), torch.ones(1, 1).double()).item() == 0


def test_a_shift_is_as_far_as_it_is_seen_along_the_lines():
    x, shift = normal(100, 4), torch.tensor([1.0, 0, 0, 0]).double()
    lines = F.normalize(normal(4, 5_000, seed=3), dim=0)
    assert maths.sliced(x, x + shift, lines).item() == pytest.approx(0.5, abs=0.01)          # E cos^2 = 1/4 in four dimensions


def test_pairwise_is_the_mean_over_all_pairs():
    x = normal(5, 2, 2)
    brute = [(x[i] - x[j]).square().mean().sqrt().item() for i in range(5) for j in range(i)]
    assert maths.pairwise(x).item() == pytest.approx(np.mean(brute))


# ---- augmentation ----------------------------------------------------------------------------------------------


def test_no_strength_leaves_the_pictures_and_middle_numbers_change_only_the_hole():
    x = torch.rand(3, 1, 16, 16)
    assert torch.equal(maths.augmented(x, 0.0, torch.rand(3, 5)), x)
    same = maths.augmented(x, 1.0, torch.full((3, 5), 0.5))
    assert (same[:, :, 4:12, 4:12] == 0).all()                # a hole of half the side in the middle
    torch.testing.assert_close(same[:, :, :4], x[:, :, :4])


def test_a_shift_moves_and_brightness_adds():
    x = torch.zeros(1, 1, 16, 16)
    x[0, 0, 2, 3] = 1
    moved = maths.augmented(x, 1.0, torch.tensor([[0.5, 1.0, 0.5, 0.0, 1.0]]))               # a hole at the lower left
    assert moved[0, 0, 2, 1].item() == pytest.approx(1, abs=1e-5)                            # an eighth of 16 pixels to the left
    brighter = maths.augmented(x, 0.5, torch.tensor([[1.0, 0.5, 0.5, 0.0, 1.0]]))
    assert brighter[0, 0, 15, 15].item() == pytest.approx(0.25)


def test_gradients_pass_through_the_augmentation():
    x = torch.rand(2, 3, 8, 8, requires_grad=True)
    maths.augmented(x, 0.5, torch.rand(2, 5)).sum().backward()
    assert x.grad.abs().sum() > 0
