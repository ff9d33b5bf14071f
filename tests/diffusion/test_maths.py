"""Diffusion's formulas against Bayes' rule on a grid, quadrature, torch.distributions, scipy and diffusers' schedulers."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import stats
from torch import distributions as D

from playground.diffusion import maths
from playground.diffusion.maths import Mixture, schedule

SCHEDULES = ("linear", "cosine", "sigmoid")
LENGTHS = (2, 10, 50, 250, 1000, 4000)


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


def normal(*shape, seed=0):
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)


def every(s, first=1):
    """All times from `first` on, each of which meets a picture of its own."""
    return torch.arange(first, s.T + 1)


def pictures(s, first=1):
    """(t, x_0, eps, x_t): a picture of 2x3 and its noise for every time."""
    t = every(s, first)
    x_0, eps = normal(2, len(t), 1, 2, 3)
    return t, x_0, eps, maths.q_sample(x_0, t, eps, s)


# ---- the schedule ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, said", [
    ("linear", {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}), ("cosine", {"beta_schedule": "squaredcos_cap_v2"}),
])
def test_schedules_agree_with_diffusers(name, said):
    from diffusers import DDPMScheduler

    expected = DDPMScheduler(num_train_timesteps=1000, **said).betas
    torch.testing.assert_close(schedule(name).beta[1:].float(), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("T", LENGTHS)
def test_the_sigmoid_schedule_is_that_of_jabri_and_others(T):
    """Their algorithm 1 in numpy; its last value, 1e-9 there, is where beta is capped at 0.999."""
    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    start, end, tau = -3, 3, 1.0
    v_start, v_end = sigmoid(start / tau), sigmoid(end / tau)
    gamma = (-sigmoid((np.arange(T + 1) / T * (end - start) + start) / tau) + v_end) / (v_end - v_start)
    np.testing.assert_allclose(schedule("sigmoid", T).alpha_bar[:-1], gamma[:-1], rtol=1e-9)
    assert schedule("sigmoid", T).beta[-1].item() == 0.999


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("T", LENGTHS)
def test_every_step_adds_noise_and_the_last_leaves_hardly_anything_else(name, T):
    s = schedule(name, T)
    assert s.T == T and s.beta.shape == s.alpha_bar.shape == s.log_snr.shape == (T + 1,)
    assert s.beta[0] == 0 and s.alpha_bar[0] == 1 and s.log_snr[0] == math.inf
    assert s.beta[1:].gt(0).all() and s.beta.max() <= 0.999 and s.alpha_bar.diff().lt(0).all()
    torch.testing.assert_close(s.alpha_bar, torch.cumprod(s.alpha, 0))
    torch.testing.assert_close(s.log_snr.sigmoid(), s.alpha_bar)
    assert 0 < s.alpha_bar[T] < 1e-3


@pytest.mark.parametrize("T", LENGTHS[1:])
def test_a_linear_schedule_of_any_length_ends_as_noisy(T):
    assert schedule("linear", T).alpha_bar[T].log().item() == pytest.approx(math.log(4.04e-5), abs=0.2)


@pytest.mark.parametrize("name", SCHEDULES)
def test_coarser_steps_meet_the_same_noise(name):
    fine, coarse = schedule(name), schedule(name, 250)
    torch.testing.assert_close(coarse.log_snr[25:250], fine.log_snr[100:1000:4], rtol=0, atol=0.05 if name == "linear" else 1e-9)


def test_the_end_of_the_linear_schedule():
    s = schedule("linear")
    assert s.alpha_bar[1000].item() == pytest.approx(4.04e-5, abs=5e-8)
    assert 10 / math.log(10) * s.log_snr[1000].item() == pytest.approx(-43.9, abs=0.05)
    x = torch.linspace(-1, 1, 21, dtype=torch.float64)[:, None]
    bits = maths.bits_per_dimension(maths.prior_term(x, s), x)
    assert bits.min() > 0 and bits.max().item() == pytest.approx(2.9e-5, abs=5e-7)


# ---- forward ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEDULES)
def test_closed_form_equals_the_chain(name):
    """Step t multiplies the mean and adds its own variance: after each, what one jump says."""
    s = schedule(name)
    t, one, zero = every(s), torch.ones(s.T).double(), torch.zeros(s.T).double()
    keeps, adds = maths.q_step(one, t, zero, s), maths.q_step(zero, t, one, s).square()
    variance = [0.0]
    for keep, add in zip(keeps.tolist(), adds.tolist()):
        variance.append(keep**2 * variance[-1] + add)
    torch.testing.assert_close(maths.q_sample(one, t, zero, s), keeps.cumprod(0), rtol=1e-10, atol=0)
    torch.testing.assert_close(maths.q_sample(zero, t, one, s).square(), tensor(*variance[1:]), rtol=1e-10, atol=0)


def test_walking_and_jumping_give_the_same_moments():
    s, n = schedule("linear", 20), 40_000
    walked = torch.full((n, 1), 1.5).double()
    for t in range(1, 8):
        walked = maths.q_step(walked, t, normal(n, 1, seed=t), s)
    jumped = maths.q_sample(torch.full((n, 1), 1.5).double(), 7, normal(n, 1, seed=99), s)
    assert walked.mean().item() == pytest.approx(jumped.mean().item(), abs=4 * (2 / n) ** 0.5)
    assert walked.var().item() == pytest.approx(jumped.var().item(), abs=4 * 2 / n**0.5)
    assert 0.2 < walked.mean() < 1.3                          # on the way, where both still matter


@pytest.mark.gpu
def test_times_may_lie_where_the_pictures_do():
    s = schedule("cosine")
    t, x_0, eps, x_t = pictures(s)
    there = [x.cuda() for x in (x_0, t, eps)]
    torch.testing.assert_close(maths.q_sample(*there, s).cpu(), x_t)
    torch.testing.assert_close(maths.terms(there[0], there[2], there[1], 0 * there[0], s).cpu(), maths.terms(x_0, eps, t, 0 * x_0, s))


# ---- the posterior ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("t", [2, 10, 500, 999])
def test_posterior_agrees_with_bayes_on_a_grid(name, t):
    """q(x_{t-1} | x_0) times q(x_t | x_{t-1}), normalised by a sum."""
    s, x_0, x_t = schedule(name), tensor(0.7), tensor(-0.4)
    grid = torch.linspace(-9, 9, 400_001, dtype=torch.float64)
    prior = D.Normal(s.alpha_bar[t - 1].sqrt() * x_0, (1 - s.alpha_bar[t - 1]).sqrt())
    likelihood = D.Normal(s.alpha[t].sqrt() * grid, s.beta[t].sqrt())
    weight = (prior.log_prob(grid) + likelihood.log_prob(x_t)).softmax(0)
    mean, variance = maths.posterior(x_t, x_0, t, s)
    assert mean.item() == pytest.approx((weight * grid).sum().item(), abs=1e-9)
    assert variance.item() == pytest.approx((weight * (grid - mean).square()).sum().item(), rel=1e-8)
    density = D.Normal(mean, variance.sqrt()).log_prob(grid).exp()
    torch.testing.assert_close(weight / (grid[1] - grid[0]), density, rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", SCHEDULES)
def test_both_mean_forms_agree(name):
    s = schedule(name)
    t, x_0, eps, x_t = pictures(s)
    mean, variance = maths.posterior(x_t, x_0, t, s)
    torch.testing.assert_close(mean, maths.posterior_mean_from_eps(x_t, eps, t, s), rtol=1e-8, atol=1e-9)
    assert variance.shape == (s.T, 1, 1, 1)
    torch.testing.assert_close(mean[41], maths.posterior(x_t[41], x_0[41], 42, s)[0])    # one time for all is the same


@pytest.mark.parametrize("name", SCHEDULES)
def test_posterior_coefficients_obey_their_identities(name):
    """A picture on its mean path stays on it, and the marginal variance comes out: what makes q(x_{t-1}) of q(x_t)."""
    s = schedule(name)
    t = every(s)
    a, b, variance = maths.posterior_weights(t, t - 1, s)
    torch.testing.assert_close(a + b * s.alpha_bar[t].sqrt(), s.alpha_bar[t - 1].sqrt())
    torch.testing.assert_close(b.square() * (1 - s.alpha_bar[t]) + variance, 1 - s.alpha_bar[t - 1])
    assert variance[0] == 0 and a[0] == 1 and b[0] == 0       # to the bit: at t = 1 nothing is left to chance
    assert (0 < variance[1:]).all() and (variance[1:] < s.beta[2:]).all()


@pytest.mark.parametrize("t, t_prev", [(1000, 999), (1000, 700), (600, 3), (5, 2), (40, 0)])
def test_posterior_several_steps_back_conditions_a_joint_gaussian(t, t_prev):
    """(x_{t_prev}, x_t) given x_0, their covariance carried along the chain, then x_t made known."""
    s = schedule("linear")
    kept = s.alpha[t_prev + 1:t + 1].sqrt().prod()
    before, after = 1 - s.alpha_bar[t_prev], 1 - s.alpha_bar[t]
    gain = kept * before / after                              # covariance over variance
    a, b, variance = maths.posterior_weights(t, t_prev, s)
    torch.testing.assert_close(b, gain)
    torch.testing.assert_close(a, s.alpha_bar[t_prev].sqrt() - gain * s.alpha_bar[t].sqrt())
    torch.testing.assert_close(variance, before - gain * kept * before, rtol=1e-7, atol=1e-15)


# ---- one prediction, four names --------------------------------------------------------------------------------

FORMS = ("x_0", "eps", "v", "score")


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("name", SCHEDULES)
def test_four_forms_say_the_same(name, kind):
    s = schedule(name)
    t, x_0, eps, x_t = pictures(s)
    true = maths.forms(x_0, "x_0", x_t, t, s)
    again = maths.forms(getattr(true, kind), kind, x_t, t, s)
    for form in FORMS:                                        # where alpha_bar is 1e-9, dividing by its root costs four digits
        torch.testing.assert_close(getattr(again, form), getattr(true, form), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(again.x_0, x_0, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(again.eps, eps, rtol=1e-8, atol=1e-8)


def test_the_target_of_each_kind_is_its_form_of_the_truth():
    s = schedule("cosine")
    t, x_0, eps, x_t = pictures(s)
    true = maths.forms(eps, "eps", x_t, t, s)
    for kind in ("x_0", "eps", "v"):
        torch.testing.assert_close(maths.target(kind, x_0, eps, t, s), getattr(true, kind), rtol=1e-8, atol=1e-8)


def test_the_score_is_the_gradient_of_log_q():
    s = schedule("linear")
    t, x_0, eps, x_t = pictures(s)
    alpha_bar = s.alpha_bar[t].view(-1, 1, 1, 1)
    q = D.Normal(alpha_bar.sqrt() * x_0, (1 - alpha_bar).sqrt())
    gradient, = torch.autograd.grad(q.log_prob(x_t.requires_grad_()).sum(), x_t)
    torch.testing.assert_close(maths.forms(eps, "eps", x_t.detach(), t, s).score, gradient)


def test_v_is_the_velocity_along_the_arc_from_picture_to_noise():
    """x = cos(phi) x_0 + sin(phi) eps turns with dx / dphi = v (Salimans & Ho 2022, appendix D)."""
    s = schedule("cosine")
    t, x_0, eps, x_t = pictures(s)
    phi, h = s.alpha_bar[t].sqrt().acos().view(-1, 1, 1, 1), 1e-5
    ahead, behind = ((phi + d).cos() * x_0 + (phi + d).sin() * eps for d in (h, -h))
    torch.testing.assert_close(maths.target("v", x_0, eps, t, s), (ahead - behind) / (2 * h), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("kind", FORMS)
def test_loss_weights_turn_an_error_in_any_form_into_one_of_eps(kind):
    s = schedule("cosine")
    t, x_0, eps, x_t = pictures(s)
    said, error = getattr(maths.forms(eps, "eps", x_t, t, s), kind), normal(*eps.shape, seed=5)
    off = maths.forms(said + error, kind, x_t, t, s).eps - maths.forms(said, kind, x_t, t, s).eps
    weighted = maths.loss_weights(kind, s) * error.square().sum((1, 2, 3))
    torch.testing.assert_close(weighted, off.square().sum((1, 2, 3)), rtol=1e-5, atol=0)


def test_what_is_shown_of_minus_one_to_one_is_black_to_white():
    assert maths.picture(tensor(-3, -1, 0, 0.5, 1, 2)).tolist() == [0, 0, 0.5, 0.75, 1, 1]


# ---- the bound -------------------------------------------------------------------------------------------------

NODES, WEIGHTS = (torch.from_numpy(part) for part in np.polynomial.hermite_e.hermegauss(20))
WEIGHTS = WEIGHTS / WEIGHTS.sum()                             # E f(eps) = sum w f(node), exact for degree < 40
POINTS = [tensor(0.3), tensor(-2.5), tensor(1.1, -0.2, 0.6)]


def noised_by_nodes(x_0, t, s):
    """x_0 and x_t, (20, D), one row for each node; every coordinate takes the same, which a sum over them does not mind."""
    x_0 = x_0.expand(20, -1)
    return x_0, maths.q_sample(x_0, t, NODES[:, None].expand_as(x_0), s)


def unit_gaussian_bound(x_0, s, variance, off=0.0):
    """L_T + ... + L_0 of data N(0, I), where E[x_0 | x_t] = sqrt(alpha_bar) x_t, of which the model says `off` more."""
    total = maths.prior_term(x_0[None], s).item()
    for t in range(1, s.T + 1):
        x, x_t = noised_by_nodes(x_0, t, s)
        x_0_hat = s.alpha_bar[t].sqrt() * x_t + off
        if t > 1:
            nats = maths.step_term(x, x_t, x_0_hat, torch.full((20,), t), s, variance)
        else:                                                 # a density here: these data are not in 256 levels
            nats = -D.Normal(maths.posterior(x_t, x_0_hat, 1, s)[0], s.beta[1].sqrt()).log_prob(x).sum(1)
        total += (WEIGHTS * nats).sum().item()
    return total


@pytest.mark.parametrize("x_0", POINTS)
def test_bound_is_exact_for_unit_gaussian_data(x_0):
    """The exact reverse then has variance beta_t (DDPM, section 3.2), and any other model a larger bound."""
    s = schedule("linear", 50)
    exact = -D.Normal(0.0, 1.0).log_prob(x_0).sum().item()
    assert unit_gaussian_bound(x_0, s, "large") == pytest.approx(exact, abs=1e-10)
    assert unit_gaussian_bound(x_0, s, "large", off=0.1) > exact + 1e-3
    assert unit_gaussian_bound(x_0, s, "small") > exact + 1e-3


@pytest.mark.parametrize("x_0", POINTS)
@pytest.mark.parametrize("name", SCHEDULES)
def test_bound_is_exact_for_gaussian_data(name, x_0):
    """N(0.4, 0.3 I), each reverse step and the end of the chain as Bayes' rule has them."""
    s = schedule(name, 50)
    data = Mixture(tensor([0.4] * len(x_0)), tensor(0.3), tensor(1.0))
    end = data.noised(s.alpha_bar[s.T])
    total = maths.gaussian_kl(s.alpha_bar[s.T].sqrt() * x_0, 1 - s.alpha_bar[s.T], end.means[0], end.variances).sum().item()
    for t in range(1, s.T + 1):
        x, x_t = noised_by_nodes(x_0, t, s)
        reverse = [data.noised(s.alpha_bar[t - 1]).given(row, s.alpha[t]) for row in x_t]
        mean_p, variance_p = torch.cat([r.means for r in reverse]), torch.stack([r.variances for r in reverse])
        nats = (maths.gaussian_kl(*maths.posterior(x_t, x, t, s), mean_p, variance_p) if t > 1
                else -D.Normal(mean_p, variance_p.sqrt()).log_prob(x))
        total += (WEIGHTS * nats.sum(1)).sum().item()
    assert total == pytest.approx(-D.Normal(tensor(0.4), tensor(0.3).sqrt()).log_prob(x_0).sum().item(), abs=1e-9)


@pytest.mark.parametrize("variance", ["small", "large"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_step_term_agrees_with_torch_distributions(name, variance):
    s = schedule(name)
    t, x_0, _, x_t = pictures(s, first=2)
    x_0_hat = x_0 + normal(*x_0.shape, seed=3)
    (mean, beta_tilde), (mean_p, _) = maths.posterior(x_t, x_0, t, s), maths.posterior(x_t, x_0_hat, t, s)
    sigma = (beta_tilde if variance == "small" else s.beta[t].view(-1, 1, 1, 1)).sqrt()
    expected = D.kl_divergence(D.Normal(mean, beta_tilde.sqrt()), D.Normal(mean_p, sigma)).sum((1, 2, 3))
    torch.testing.assert_close(maths.step_term(x_0, x_t, x_0_hat, t, s, variance), expected)


def test_prior_term_agrees_with_torch_distributions():
    s, x_0 = schedule("linear", 5), normal(4, 1, 2, 3)
    q = D.Normal(s.alpha_bar[5].sqrt() * x_0, (1 - s.alpha_bar[5]).sqrt())
    torch.testing.assert_close(maths.prior_term(x_0, s), D.kl_divergence(q, D.Normal(0.0, 1.0)).sum((1, 2, 3)))


@pytest.mark.parametrize("name", SCHEDULES)
def test_weighted_noise_error_equals_the_gaussian_kl(name):
    s = schedule(name)
    t, x_0, eps, x_t = pictures(s, first=2)
    eps_hat = eps + normal(*eps.shape, seed=3)
    x_0_hat = maths.forms(eps_hat, "eps", x_t, t, s).x_0
    beta_tilde = maths.posterior_weights(t, t - 1, s)[2]
    small = maths.step_term_from_eps(eps, eps_hat, t, s, beta_tilde)
    torch.testing.assert_close(small, maths.step_term(x_0, x_t, x_0_hat, t, s), rtol=1e-7, atol=1e-9)
    large, constant = maths.step_term_from_eps(eps, eps_hat, t, s, s.beta[t]), maths.step_term(x_0, x_t, x_0, t, s, "large")
    torch.testing.assert_close(large + constant, maths.step_term(x_0, x_t, x_0_hat, t, s, "large"), rtol=1e-7, atol=1e-9)


def test_unit_weights_turn_the_bound_into_l_simple():
    s = schedule("linear")
    t, x_0, eps, x_t = pictures(s, first=2)
    eps_hat = eps + normal(*eps.shape, seed=3)
    nats = maths.step_term(x_0, x_t, maths.forms(eps_hat, "eps", x_t, t, s).x_0, t, s)
    weight = maths.simple_weight(t, s, maths.posterior_weights(t, t - 1, s)[2])
    l_simple = (eps - eps_hat).square().sum((1, 2, 3)).mean()
    torch.testing.assert_close((nats / weight).mean(), l_simple)


@pytest.mark.parametrize("t, weight", [(1, "0.500"), (2, "0.273"), (10, "0.074"), (100, "0.0101"), (500, "0.0055"), (1000, "0.0102")])
def test_l_simple_leaves_out_a_weight_that_is_large_for_small_t(t, weight):
    s = schedule("linear")
    assert f"{maths.simple_weight(t, s, s.beta[t]):.{len(weight) - 2}f}" == weight


# ---- the decoder -----------------------------------------------------------------------------------------------

LEVELS = torch.linspace(-1, 1, 256, dtype=torch.float64)[:, None]


@pytest.mark.parametrize("mean", [-1.3, -1.0, 0.003, 0.5, 1.0])
@pytest.mark.parametrize("sigma", [0.001, 0.01, 0.1, 2.0])
def test_the_decoder_s_levels_share_one_mass_as_scipy_has_it(mean, sigma):
    nats = maths.decoder_term(LEVELS, tensor(mean).expand_as(LEVELS), tensor(sigma))
    assert (-nats).exp().sum().item() == pytest.approx(1, abs=1e-12)
    edges = np.concatenate([[-np.inf], (LEVELS[:-1, 0] + 1 / 255).numpy(), [np.inf]])
    expected = np.diff(stats.norm.cdf(edges, mean, sigma))
    np.testing.assert_allclose((-nats).exp(), expected, rtol=1e-6, atol=1e-14)


def test_the_decoder_of_several_pixels_adds_their_nats():
    x = LEVELS[[3, 200, 90, 255, 0, 17]].view(2, 1, 1, 3)
    mean, sigma = x + 0.02 * normal(2, 1, 1, 3), tensor(0.02)[0]
    one_by_one = [maths.decoder_term(a.view(1, 1), b.view(1, 1), sigma).item() for a, b in zip(x.flatten(), mean.flatten())]
    assert maths.decoder_term(x, mean, sigma).tolist() == pytest.approx([sum(one_by_one[:3]), sum(one_by_one[3:])])


def test_a_decoder_far_off_stays_finite_and_is_drawn_to_the_picture():
    levels, means = torch.meshgrid(LEVELS[::15, 0].float(), torch.tensor([-50.0, -3, -1, -0.31, 0, 0.7, 1, 2, 50]), indexing="ij")
    x, mean = levels.reshape(-1, 1), means.reshape(-1, 1).clone().requires_grad_()
    nats = maths.decoder_term(x, mean, torch.tensor(0.01))
    slope, = torch.autograd.grad(nats.sum(), mean)
    assert nats.isfinite().all() and slope.isfinite().all()
    off = mean.detach() - x
    beyond = (x.abs() == 1) & (off * x > 0)                   # an open bin is not left at its far side
    assert ((slope * off > 0) | beyond | (off.abs() < 1 / 255)).all()


def test_uniform_levels_cost_eight_bits():
    x = torch.zeros(2, 3, 4, 4)
    assert maths.bits_per_dimension(torch.full((2,), 48 * math.log(256)), x).tolist() == pytest.approx([8, 8])


@pytest.mark.parametrize("variance", ["small", "large"])
def test_terms_are_the_decoder_s_and_the_steps_whose_sum_is_t_times_their_mean(variance):
    s = schedule("linear", 50)
    x_0 = LEVELS[[3, 200, 90, 255]].view(1, 1, 2, 2).expand(50, 1, 2, 2)
    t, eps = every(s), normal(50, 1, 2, 2)
    x_t, x_0_hat = maths.q_sample(x_0, t, eps, s), x_0 + 0.1 * normal(50, 1, 2, 2, seed=1)
    mean, _ = maths.posterior(x_t[:1], x_0_hat[:1], 1, s)
    expected = [maths.decoder_term(x_0[:1], mean, s.beta[1].sqrt()).item()]
    for i in range(1, 50):
        expected.append(maths.step_term(x_0[i:i + 1], x_t[i:i + 1], x_0_hat[i:i + 1], t[i:i + 1], s, variance).item())
    found = maths.terms(x_0, eps, t, x_0_hat, s, variance)
    assert found.tolist() == pytest.approx(expected)
    assert 50 * found.mean().item() == pytest.approx(sum(expected))


# ---- where everything is known ---------------------------------------------------------------------------------

PLANE = Mixture(tensor([-1.2, 0.3], [0.9, 0.8], [0.4, -1.1]), tensor(0.04, 0.09, 0.02), tensor(0.5, 0.2, 0.3))
LINE = Mixture(tensor([-1.0], [0.2], [1.1]), tensor(0.04, 0.01, 0.09), tensor(0.3, 0.2, 0.5))
GRID = torch.linspace(-9, 9, 20_001, dtype=torch.float64)


def as_torch_has_it(mixture):
    components = D.Independent(D.Normal(mixture.means, mixture.variances.sqrt()[:, None].expand_as(mixture.means)), 1)
    return D.MixtureSameFamily(D.Categorical(mixture.weights), components)


def test_log_density_score_and_moments_agree_with_torch_distributions():
    x = normal(200, 2).requires_grad_()
    log_p = as_torch_has_it(PLANE).log_prob(x)
    torch.testing.assert_close(PLANE.log_density(x), log_p)
    torch.testing.assert_close(PLANE.score(x), torch.autograd.grad(log_p.sum(), x)[0])
    torch.testing.assert_close(PLANE.log_joint(x).softmax(1).sum(1), torch.ones(200).double())
    torch.testing.assert_close(PLANE.moments(), (as_torch_has_it(PLANE).mean, as_torch_has_it(PLANE).variance))


@pytest.mark.parametrize("t", [1, 100, 500, 1000])
def test_a_noised_mixture_is_the_convolution_and_what_q_sample_draws(t):
    s, n = schedule("cosine"), 40_000
    noised = LINE.noised(s.alpha_bar[t])
    x = torch.linspace(-3, 3, 25, dtype=torch.float64)
    q = D.Normal(s.alpha_bar[t].sqrt() * GRID, (1 - s.alpha_bar[t]).sqrt())              # of x_t, for each x_0 of the grid
    convolved = torch.trapezoid((q.log_prob(x[:, None]) + LINE.log_density(GRID[:, None])).exp(), GRID)
    torch.testing.assert_close(noised.log_density(x[:, None]).exp(), convolved, rtol=1e-6, atol=1e-9)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        x_0 = as_torch_has_it(LINE).sample((n,))
    drawn = maths.q_sample(x_0, t, normal(n, 1, seed=1), s)
    mean, variance = noised.moments()
    assert drawn.mean().item() == pytest.approx(mean.item(), abs=4 * (variance.item() / n) ** 0.5)
    assert drawn.var().item() == pytest.approx(variance.item(), rel=4 * (2 / n) ** 0.5)


@pytest.mark.parametrize("alpha", [0.999, 0.9, 0.3])
def test_the_exact_reverse_agrees_with_bayes_on_a_grid(alpha):
    for x_t in (tensor(-0.8), tensor(0.5)):
        likelihood = D.Normal(alpha**0.5 * GRID, (1 - alpha) ** 0.5).log_prob(x_t)
        weight = (LINE.log_density(GRID[:, None]) + likelihood).softmax(0)
        density = LINE.given(x_t, alpha).log_density(GRID[:, None]).exp()
        torch.testing.assert_close(density, weight / (GRID[1] - GRID[0]), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("beta, nats", [(0.001, "3.3e-06"), (0.01, "0.0052"), (0.05, "0.107"), (0.2, "0.314"), (0.95, "0.450")])
def test_the_exact_reverse_is_a_gaussian_only_for_small_steps(beta, nats):
    """KL from it to the Gaussian of its moments: peaks at +-1 of width 0.05, alpha_bar_{t-1} = 0.9, x_t = 0."""
    two = Mixture(tensor([-1.0], [1.0]), tensor(0.0025, 0.0025), tensor(0.5, 0.5))
    reverse = two.noised(0.9).given(tensor(0.0), 1 - beta)
    log_q, (mean, variance) = reverse.log_density(GRID[:, None]), reverse.moments()
    found = torch.trapezoid(log_q.exp() * (log_q - D.Normal(mean, variance.sqrt()).log_prob(GRID)), GRID).item()
    assert found == pytest.approx(float(nats), abs=0.06e-6 if "e" in nats else 0.51 * 10.0 ** (2 - len(nats)))


@pytest.mark.parametrize("t", [1, 100, 500, 1000])
def test_the_exact_denoiser_says_the_mean_of_what_x_0_may_have_been(t):
    s, x_t = schedule("cosine"), torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    x_0, eps = maths.exact_denoiser(LINE, s)(x_t, t)
    likelihood = D.Normal(s.alpha_bar[t].sqrt() * GRID, (1 - s.alpha_bar[t]).sqrt()).log_prob(x_t)
    weight = (LINE.log_density(GRID[:, None]) + likelihood).softmax(1)
    torch.testing.assert_close(x_0[:, 0], (weight * GRID).sum(1), rtol=0, atol=1e-9 if t < 1000 else 1e-6)
    torch.testing.assert_close(maths.q_sample(x_0, t, eps, s), x_t)


# ---- guidance --------------------------------------------------------------------------------------------------


def test_class_gradient_agrees_with_differences():
    w1, w2, x, y = normal(4, 5), normal(5, 3, seed=1), normal(6, 4, seed=2), torch.tensor([0, 1, 2, 2, 1, 0])

    def classify(x, t):
        return torch.tanh(x @ w1 + t[:, None] / 100) @ w2

    def log_p(x):
        return classify(x, torch.full((6,), 70)).log_softmax(1)[torch.arange(6), y]

    with torch.no_grad():                                     # as it is asked by a server, where gradients are off
        gradient = maths.class_gradient(classify, x, 70, y)
    h = 1e-5 * torch.eye(4).double()
    differences = torch.stack([(log_p(x + d) - log_p(x - d)) / 2e-5 for d in h], dim=1)
    torch.testing.assert_close(gradient, differences, rtol=1e-6, atol=1e-8)
    assert not x.requires_grad


@pytest.mark.parametrize("t", [1, 200, 500, 900])
@pytest.mark.parametrize("k", [0, 1, 2])
def test_guidance_with_the_exact_classifier_is_the_conditional_score(t, k):
    """Bayes' rule: grad log p(x | y) = grad log p(x) + grad log p(y | x). In noise it is subtracted."""
    s, x = schedule("linear"), normal(30, 2)
    _, eps = maths.exact_denoiser(PLANE, s)(x, t)
    _, eps_k = maths.exact_denoiser(Mixture(PLANE.means[k:k + 1], PLANE.variances[k:k + 1], tensor(1.0)), s)(x, t)

    def classify(x, t):
        return PLANE.noised(s.alpha_bar[t[0]]).log_joint(x)   # log p(x, y): Bayes' softmax

    gradient = maths.class_gradient(classify, x, t, torch.full((30,), k))
    torch.testing.assert_close(maths.classifier_guided(eps, gradient, t, s, 1.0), eps_k, rtol=0, atol=1e-10)
    assert (maths.classifier_guided(eps, gradient, t, s, -1.0) - eps_k).abs().max() > 0.02
    implied = (eps - eps_k) / (1 - s.alpha_bar[t]).sqrt()     # the classifier inside two denoisers
    torch.testing.assert_close(implied, gradient, rtol=0, atol=1e-8)


@pytest.mark.parametrize("scale", [0.0, 1.0, 3.5])
def test_classifier_free_guidance_is_guidance_by_the_classifier_inside_two_denoisers(scale):
    s, (eps, eps_y) = schedule("cosine"), normal(2, 5, 1, 2, 2)
    guided = maths.classifier_free(eps, eps_y, scale)
    torch.testing.assert_close(guided, maths.classifier_guided(eps, (eps - eps_y) / (1 - s.alpha_bar[300]).sqrt(), 300, s, scale))
    if scale in (0, 1):
        torch.testing.assert_close(guided, (eps, eps_y)[int(scale)])


# ---- samplers --------------------------------------------------------------------------------------------------


def keyed(*shape):
    """Noise by the time a step arrives at."""
    return lambda t: torch.randn(shape, generator=seeded(t), dtype=torch.float64)


def referee(scheduler, s, timesteps, **said):
    """A scheduler of diffusers, whose index is t - 1, with alpha_bar in float64, so that only the steps may differ."""
    import diffusers

    made = getattr(diffusers, scheduler)(num_train_timesteps=s.T, beta_start=1e-4, beta_end=0.02, beta_schedule="linear", **said)
    torch.testing.assert_close(made.alphas_cumprod.double(), s.alpha_bar[1:], rtol=1e-3, atol=0)
    made.alphas_cumprod = s.alpha_bar[1:]
    made.set_timesteps(**timesteps)
    return made


@pytest.mark.parametrize("eta, variance_type", [(0.0, "fixed_small"), (1.0, "fixed_large")])
@pytest.mark.parametrize("times", [[1000, 999, 998], [500, 499], [3, 2, 1, 0], [1000, 750, 500, 250, 20, 1, 0]])
def test_ddpm_step_agrees_with_diffusers(times, eta, variance_type):
    s, x = schedule("linear"), normal(6, 2)
    timesteps = range(999, -1, -1) if times[0] - times[1] == 1 else [t - 1 for t in times[:-1]]
    scheduler = referee("DDPMScheduler", s, {"timesteps": list(timesteps)}, variance_type=variance_type, clip_sample=False)
    for step in maths.ddpm(maths.exact_denoiser(PLANE, s), x, times, s, keyed(6, 2), eta=eta):
        expected = scheduler.step(step.eps, step.t - 1, step.x_t, generator=seeded(step.t_prev))
        torch.testing.assert_close(step.x_prev, expected.prev_sample, rtol=0, atol=1e-8)
        torch.testing.assert_close(step.x_0, expected.pred_original_sample, rtol=0, atol=1e-8)


def test_half_of_ddpm_s_chance_is_the_geometric_mean_of_its_two_variances():
    s, denoise, x = schedule("cosine"), maths.exact_denoiser(PLANE, schedule("cosine")), normal(3, 2)
    small, half, large = (next(maths.ddpm(denoise, x, [300, 200], s, keyed(3, 2), eta=eta)) for eta in (0.0, 0.5, 1.0))
    assert half.sigma**2 == pytest.approx(small.sigma * large.sigma) and small.sigma < 0.9 * large.sigma
    assert large.sigma**2 == pytest.approx(1 - s.alpha[201:301].prod().item())           # what the steps between add together


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1000, 50, 4])
def test_ddim_step_agrees_with_diffusers(steps, eta):
    s, noise = schedule("linear"), keyed(6, 2)
    scheduler = referee("DDIMScheduler", s, {"num_inference_steps": steps}, clip_sample=False, set_alpha_to_one=True, timestep_spacing="trailing")
    times = maths.visited(steps, 1000)
    assert scheduler.timesteps.tolist() == [t - 1 for t in times[:-1]]
    walk = list(maths.ddim(maths.exact_denoiser(PLANE, s), normal(6, 2), times, s, noise, eta=eta))
    assert len(walk) == steps
    for step in walk[::-(-steps // 50)] + walk[-1:]:
        expected = scheduler.step(step.eps, step.t - 1, step.x_t, eta=eta, variance_noise=noise(step.t_prev)).prev_sample
        torch.testing.assert_close(step.x_prev, expected, rtol=0, atol=1e-8)


@pytest.mark.filterwarnings("ignore:__array__ implementation")           # of numpy, about their code
@pytest.mark.parametrize("times", [maths.visited(10, 1000), maths.visited(25, 1000), [800, 430, 300, 20, 0]])
def test_dpm_solver_agrees_with_diffusers(times):
    s = schedule("linear")
    scheduler = referee("DPMSolverMultistepScheduler", s, {"timesteps": [t - 1 for t in times[:-1]]}, algorithm_type="dpmsolver++",
                        solver_order=2, solver_type="midpoint", final_sigmas_type="zero", prediction_type="sample")
    for step in maths.dpm_solver(maths.exact_denoiser(PLANE, s), normal(6, 2), times, s, noise=None):
        expected = scheduler.step(step.x_0, step.t - 1, step.x_t).prev_sample            # its sigmas are float32
        torch.testing.assert_close(step.x_prev, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("times", [maths.visited(30, 1000), [1000, 400, 7, 1, 0]])
def test_ddim_with_all_its_chance_is_ddpm(times):
    s, x, denoise = schedule("linear"), normal(6, 2), maths.exact_denoiser(PLANE, schedule("linear"))
    for a, b in zip(maths.ddim(denoise, x, times, s, keyed(6, 2), eta=1.0), maths.ddpm(denoise, x, times, s, keyed(6, 2)), strict=True):
        torch.testing.assert_close(a.x_prev, b.x_prev, rtol=0, atol=1e-9)
        assert a.sigma == pytest.approx(b.sigma, rel=1e-9)


@pytest.mark.parametrize("name", maths.SAMPLERS)
def test_a_step_holds_all_that_made_it(name):
    s, noise, x = schedule("cosine"), keyed(6, 2), normal(6, 2)
    times = maths.visited(12, 1000)
    walk = list(maths.SAMPLERS[name](maths.exact_denoiser(PLANE, s), x, times, s, noise, eta=0.5))
    assert [(step.t, step.t_prev) for step in walk] == list(pairwise(times))
    for step in walk:
        torch.testing.assert_close(step.x_t, x)
        torch.testing.assert_close(maths.q_sample(step.x_0, step.t, step.eps, s), x)     # its two predictions agree
        torch.testing.assert_close(step.mean, step.a * step.aim + step.b * x)
        torch.testing.assert_close(step.x_prev, step.mean + step.sigma * noise(step.t_prev))
        x = step.x_prev
    assert walk[-1].sigma == 0 and (name == "dpm-solver" or all(step.sigma > 0 for step in walk[:-1]))
    assert torch.equal(walk[-1].aim, walk[-1].x_0) and torch.equal(walk[0].aim, walk[0].x_0)


def test_ddim_without_chance_and_the_fast_solver_ask_for_no_noise():
    s = schedule("cosine")
    for sampler in (maths.ddim, maths.dpm_solver):
        assert len(list(sampler(maths.exact_denoiser(PLANE, s), normal(3, 2), maths.visited(5, 1000), s, noise=None))) == 5


@pytest.mark.parametrize("sampler, order", [(maths.ddim, 1), (maths.dpm_solver, 2)])
def test_errors_fall_with_the_order_of_the_solver(sampler, order):
    """The flow of Gaussian data has a closed form: it keeps how many standard deviations a point lies from the mean."""
    s, x = schedule("cosine", 4000), tensor([1.3], [-0.4], [2.0])
    data, first, last = Mixture(tensor([0.7]), tensor(0.04), tensor(1.0)), 3200, 800
    start, end = data.noised(s.alpha_bar[first]), data.noised(s.alpha_bar[last])
    exact = end.means + (end.variances / start.variances).sqrt() * (x - start.means)
    errors = []
    for steps in (10, 20, 40, 80):
        times = [last + t for t in maths.visited(steps, 4000, first - last)]
        *_, step = sampler(maths.exact_denoiser(data, s), x, times, s, noise=None)
        errors.append((step.x_prev - exact).abs().max().item())
    ratios = [a / b for a, b in pairwise(errors)]
    assert all(2**order * 0.8 < ratio < 2**order * 1.25 for ratio in ratios), ratios


@pytest.mark.parametrize("name, steps, eta", [
    ("ddpm", 1000, 0.0), ("ddpm", 1000, 1.0), ("ddim", 500, 0.0), ("ddim", 500, 1.0), ("dpm-solver", 250, 0.0),
])
def test_the_exact_denoiser_drives_every_sampler_to_its_mixture(name, steps, eta):
    """2,000 points: shares, means and variances of the peaks within four standard errors, and Kolmogorov's distance."""
    apart = Mixture(tensor([-1.5], [0.2], [1.4]), tensor(0.04, 0.02, 0.05), tensor(0.3, 0.2, 0.5))
    s, n = schedule("cosine"), 2000
    x_T, times = normal(n, 1, seed=5000), maths.visited(steps, 1000)
    *_, step = maths.SAMPLERS[name](maths.exact_denoiser(apart, s), x_T, times, s, keyed(n, 1), eta=eta)
    x = step.x_prev
    owner = apart.log_joint(x).argmax(1)
    for k in range(3):
        mine, share, variance = x[owner == k], apart.weights[k].item(), apart.variances[k].item()
        assert len(mine) / n == pytest.approx(share, abs=4 * (share * (1 - share) / n) ** 0.5)
        assert mine.mean().item() == pytest.approx(apart.means[k].item(), abs=4 * (variance / len(mine)) ** 0.5)
        assert mine.var().item() == pytest.approx(variance, rel=4 * (2 / len(mine)) ** 0.5)

    def cdf(at):
        means, sigmas = apart.means[:, 0].numpy(), apart.variances.sqrt().numpy()
        return stats.norm.cdf(np.asarray(at)[:, None], means, sigmas) @ apart.weights.numpy()

    assert stats.kstest(x[:, 0].numpy(), cdf).statistic < 1.95 / n**0.5      # exceeded by one set of true samples in a thousand


@pytest.mark.parametrize("name", maths.SAMPLERS)
def test_stopping_and_continuing_equals_an_unbroken_trajectory(name):
    s, sampler, noise = schedule("cosine"), maths.SAMPLERS[name], keyed(6, 2)
    denoise, times = maths.exact_denoiser(PLANE, s), maths.visited(12, 1000)
    whole = list(sampler(denoise, normal(6, 2), times, s, noise, eta=0.5))
    for k in range(1, 12):
        rest = list(sampler(denoise, whole[k - 1].x_prev, times[k:], s, noise, eta=0.5, before=whole[k - 1]))
        assert len(rest) == 12 - k
        assert all(torch.equal(a.x_prev, b.x_prev) and torch.equal(a.aim, b.aim) for a, b in zip(rest, whole[k:]))


@pytest.mark.parametrize("T", [2, 3, 10, 250, 999])
def test_visited_times_descend_from_the_start_to_zero(T):
    for steps in range(1, T + 1):
        times = maths.visited(steps, T)
        assert len(times) == steps + 1 and times[0] == T and times[-1] == 0
        assert all(a > b for a, b in pairwise(times))
        assert max(a - b for a, b in pairwise(times)) - min(a - b for a, b in pairwise(times)) <= 2          # as evenly as they go
    assert maths.visited(4, 1000, start=400) == [400, 300, 200, 100, 0]


@pytest.mark.parametrize("T", [2, 3, 10, 1000])
def test_log_spaced_times_are_whole_from_two_to_the_end_and_none_is_far_from_even_over_log_t(T):
    times = maths.log_spaced(24, T).tolist()
    assert times[0] == 2 and times[-1] == T and len(times) <= 24
    assert all(a < b <= max(a + 1, a * (T / 2) ** (1 / 23) + 1) for a, b in pairwise(times))


def test_a_denoiser_keeps_pictures_within_their_range_and_its_two_predictions_in_agreement():
    s, x = schedule("cosine"), 3 * normal(4, 1, 2, 2)

    def predict(x, t):
        assert t.tolist() == [400] * 4
        return 0.2 * x

    x_0, eps = maths.denoiser(predict, "eps", s)(x, 400)
    free_x_0, free_eps = maths.denoiser(predict, "eps", s, bound=math.inf)(x, 400)
    assert free_x_0.abs().max() > 1
    torch.testing.assert_close(free_eps, 0.2 * x)
    torch.testing.assert_close(x_0, free_x_0.clamp(-1, 1))
    for pair in ((x_0, eps), (free_x_0, free_eps)):
        torch.testing.assert_close(maths.q_sample(pair[0], 400, pair[1], s), x)
