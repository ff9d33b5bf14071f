"""The games that the server trains while its visitor looks on, against brute force, closed forms and finite differences."""

import json
import math

import numpy as np
import pytest
import torch

from playground.core import images, procedural
from playground.core.device import executor
from playground.core.errors import PlaygroundError
from playground.gan import maths
from playground.gan import toy as toys

INK = images.pack_drawing(procedural.render_glyph(1, size=images.PAD)[0].numpy() > 127)


@pytest.fixture(autouse=True)
def nobody():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    toys._toys.clear()
    toys._lines.clear()
    toys._asked.clear()
    with torch.no_grad():
        yield
    torch.set_num_threads(threads)


def begin(game="stable", dataset="ring", seed=0, moves=0):
    toy = toys.begin(dataset, INK if dataset == "drawing" else "", toys.GAMES[game], seed)
    for _ in range(moves):
        toy.d_move()
        toy.g_move()
    return toy


def weights(network):
    return torch.cat([p.detach().flatten().clone() for p in network.parameters()])


# ---- each player's turn ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("game", toys.GAMES)
def test_each_player_moves_alone_and_along_its_own_loss(game):
    toy = begin(game)
    d, g = weights(toy.D), weights(toy.G)
    toy.d_move()
    assert torch.equal(weights(toy.G), g) and not torch.equal(weights(toy.D), d) and (toy.d_moves, toy.g_moves) == (1, 0)
    d = weights(toy.D)
    toy.g_move()
    assert torch.equal(weights(toy.D), d) and not torch.equal(weights(toy.G), g) and (toy.d_moves, toy.g_moves) == (1, 1)
    assert math.isfinite(toy.d_loss) and math.isfinite(toy.g_loss) and toy.slope > 0


def test_the_slope_is_the_norm_of_all_of_g_s_gradient():
    toy = begin("non-saturating")
    noise = torch.Generator().manual_seed(toy.seed)
    z = 2 * torch.rand(toys.BATCH, 2, generator=noise) - 1
    with torch.enable_grad():
        loss = maths.g_loss("non-saturating", toy.D(toy.G(z))[:, 0])
        gradients = torch.autograd.grad(loss, list(toy.G.parameters()))
    toy.g_move()
    assert toy.slope == pytest.approx(math.sqrt(sum(g.square().sum().item() for g in gradients)), rel=1e-4)
    assert toy.g_loss == pytest.approx(loss.item(), rel=1e-5)


def test_against_a_generator_that_stands_still_d_comes_to_d_star():
    """Goodfellow et al. 2014, proposition 1, in the plane: both densities are known where G is a Gaussian blob."""
    toy = begin("non-saturating", dataset="ring")
    toy.G.forward = lambda z: 1.0 * torch.randn(len(z), 2, generator=torch.Generator().manual_seed(int(1e6 * z[0, 0].abs())))
    for _ in range(400):
        toy.d_move()
    x = torch.tensor([[0.0, 0.0], [1.4, 0.0], [0.0, -1.4]])
    p_r = procedural.log_density("ring", x.double()).exp()
    p_g = (-x.double().square().sum(1) / 2).exp() / (2 * math.pi)
    assert (toy.answers(x) - maths.optimal(p_r, p_g)).abs().max() < 0.2


def test_one_start_is_one_game_to_the_bit_and_all_losses_begin_alike():
    a, b, other = begin(seed=3, moves=5), begin(seed=3, moves=5), begin(seed=4, moves=5)
    assert torch.equal(weights(a.G), weights(b.G)) and torch.equal(weights(a.D), weights(b.D)) and not torch.equal(weights(a.G), weights(other.G))
    starts = [begin(game, seed=7) for game in toys.GAMES]
    assert all(torch.equal(weights(each.G), weights(starts[0].G)) and torch.equal(weights(each.D), weights(starts[0].D)) for each in starts)


# ---- what is measured ------------------------------------------------------------------------------------------


def test_the_pull_is_minus_the_gradient_of_g_s_loss_by_differences():
    toy, x = begin("minimax", moves=3), torch.tensor([[0.3, -0.5], [1.0, 1.0]])
    toy.D.double()
    found, step = toy.pull(x.double()), 1e-6
    for i in range(2):
        for axis in range(2):
            shift = torch.zeros(2, dtype=torch.float64)
            shift[axis] = step
            loss = lambda at: maths.g_loss("minimax", toy.critic(at[None]))       # noqa: E731
            slope = (loss(x[i].double() + shift) - loss(x[i].double() - shift)) / (2 * step)
            assert found[i, axis].item() == pytest.approx(-slope.item(), rel=1e-4, abs=1e-8)


def test_the_value_is_that_of_the_probabilities():
    toy = begin("minimax", moves=3)
    real, fake = toy.answers(toy.real()), toy.answers(toy.fakes())
    a, b = toy.value()
    assert a == pytest.approx(real.log().mean().item(), rel=1e-4) and b == pytest.approx((1 - fake).log().mean().item(), rel=1e-4)
    assert begin("wasserstein").value() is None is begin("least-squares").value()


def test_answers_of_a_critic_stand_between_its_mean_ones():
    toy = begin("wasserstein", moves=4)
    real, fake = toy.critic(toy.real()).mean(), toy.critic(toy.fakes()).mean()
    x = toys.still(50)
    torch.testing.assert_close(toy.answers(x), ((toy.critic(x) - fake) / (real - fake)).clamp(0, 1), rtol=1e-3, atol=1e-4)


def test_js_on_the_grid_is_that_of_numpy_s_histogram():
    toy = begin(moves=2)
    edges = np.linspace(-toys.EXTENT, toys.EXTENT, toys.CELLS + 1)
    p, q = (np.histogram2d(*x.numpy().T, bins=[edges, edges])[0].ravel() for x in (toy.real(), toy.fakes()))
    assert p.sum() == q.sum() == toys.HELD_OUT
    assert toy.js() == pytest.approx(maths.jensen_shannon(torch.from_numpy(p), torch.from_numpy(q)).item(), abs=0.02)      # a point on an edge
    assert 0 < toys.js_floor("ring", "") < 0.1 < toy.js() <= math.log(2)


def test_modes_are_counted_by_hand():
    centres, std = procedural.modes("ring")
    x = torch.cat([centres[0].float().expand(50, 2), centres[3].float().expand(1, 2), (centres[5].float() + torch.tensor([2.9 * std, 0])).expand(20, 2),
                   (centres[6].float() + torch.tensor([0, 3.1 * std])).expand(29, 2)])
    shares = toys.mode_shares(x)
    assert shares.tolist() == pytest.approx([0.5, 0, 0, 0.01, 0, 0.2, 0, 0])
    toy = begin()
    toy.fakes = lambda n=0: x
    assert toy.covered() == 2 and toy.collapsed()
    assert begin(dataset="moons").covered() is None


def test_the_data_itself_covers_all_modes_and_has_not_collapsed():
    toy = begin()
    real = toy.real()
    toy.fakes = lambda n=0: real
    assert toy.covered() == 8 and not toy.collapsed() and toy.shares().sum() > 0.98
    toy.fakes = lambda n=0: torch.zeros(100, 2)
    assert toy.collapsed(), "all fakes are one point"
    toy.fakes = lambda n=0: 0.15 * real + 1
    assert toy.collapsed(), "or one clump"


def test_a_look_is_remembered_once_and_a_long_past_is_thinned(monkeypatch):
    monkeypatch.setattr(toys, "HISTORY", 6)
    toy = begin("minimax")
    toy.look()
    toy.look()
    assert toy.history["step"] == [0]
    for _ in range(6):
        toy.g_move()
        toy.look()
    assert toy.history["step"] == [0, 2, 4, 6] and all(len(each) == 4 for each in toy.history.values())
    assert toy.history["value"][-1] == pytest.approx(sum(toy.value()))


# ---- what they learn -------------------------------------------------------------------------------------------


def test_the_default_game_finds_all_eight_modes():
    toy = begin("stable", seed=1, moves=900)
    assert toy.covered() == 8 and not toy.collapsed() and toy.js() < 0.4 < begin(seed=1).js()


# ---- whose they are --------------------------------------------------------------------------------------------


def test_a_page_keeps_its_game_until_it_begins_again():
    first = toys.toy("me", "ring", "", "stable", 0, 0)
    first.g_move()
    assert toys.toy("me", "ring", "", "stable", 0, 0) is first and toys.toy("you", "ring", "", "stable", 0, 0) is not first
    again = toys.toy("me", "ring", "", "stable", 0, 1)
    assert again is not first and torch.equal(weights(again.D), weights(first.D)) and again.g_moves == 0
    assert not torch.equal(weights(toys.toy("me", "ring", "", "stable", 1, 1).D), weights(first.D))
    assert toys.toy("me", "ring", "", "stable", 1, 1, place="four") is not toys.toy("me", "ring", "", "stable", 1, 1)


def test_games_are_kept_up_to_a_bound(monkeypatch):
    monkeypatch.setattr(toys, "GAMES_KEPT", 1)
    for i in range(len(toys.GAMES) + 3):
        toys.toy(f"v{i}", "ring", "", "stable", 0, 0)
        toys.line_game(f"v{i}", (0.0, 1.0), (1.0, 1.0), "minimax", 0)
    assert len(toys._toys) == len(toys.GAMES) and len(toys._lines) == 1


def test_single_moves_are_made_once_however_often_they_are_asked_for():
    toy = begin()
    move = lambda asked, start=0, most=10: toys.single("me", "game", start, asked, most, [toy])       # noqa: E731
    assert [move((1, 0)), move((1, 0)), move((1, 1)), move((1, 1))] == ["D", "", "G", ""] and (toy.d_moves, toy.g_moves) == (1, 1)
    assert move((3, 2)) == "G" and (toy.d_moves, toy.g_moves) == (3, 2)
    assert move((10**6, 2)) == "D" and toy.d_moves == 13, "no more than so many at once"
    assert move((1, 0), start=1) == "D" and toy.d_moves == 14, "another start counts anew"


def test_the_pace_says_who_moves_how_often():
    for pace, moves in toys.PACES.items():
        toy = toys.toy("me", "ring", "", "minimax", 0, 0, "four", pace)
        executor.run(toy.advance, 0)
        assert (toy.d_moves, toy.g_moves) == moves and toy.rules.lr == toys.Game.lr and toy.rules.momentum == toys.Game.momentum
    assert toys.toy("me", "ring", "", "wasserstein", 0, 0, "four", "1:1").rules.penalty == "gp"


@pytest.mark.slow
def test_the_plain_minimax_game_collapses_on_purpose():
    toy = begin("minimax")
    for _ in range(150):
        executor.run(toy.advance, 0)
    assert toy.collapsed() or toy.covered() <= 2


@pytest.mark.parametrize("wrong", [{"pace": "9:1"}, {"dataset": "cats"}, {"game": "chess"}, {"dataset": "drawing", "ink": ""}, {"dataset": "drawing", "ink": "no"}])
def test_a_game_that_cannot_be_is_refused_in_a_sentence(wrong):
    with pytest.raises(PlaygroundError):
        toys.toy(**{"owner": "me", "dataset": "ring", "ink": "", "game": "stable", "seed": 0, "times": 0, **wrong})


def test_playing_stops_when_all_updates_are_done(monkeypatch):
    monkeypatch.setattr(toys, "STEPS", 3)
    toy = begin()
    for _ in range(5):
        executor.run(toy.advance, 0)
    assert toy.done and (toy.d_moves, toy.g_moves) == (3, 3)


# ---- the game on a line ----------------------------------------------------------------------------------------


def on_line(p=(-1.0, 0.6), q=(1.0, 0.8), loss="non-saturating", seed=0, owner="me"):
    return toys.line_game(owner, p, q, loss, seed)


@pytest.mark.parametrize("p, q", [((-1.0, 0.6), (1.0, 0.8)), ((0.0, 1.0), (0.0, 0.4)), ((-2.0, 0.4), (2.0, 0.4))])
def test_a_trained_d_approaches_d_star(p, q):
    game = on_line(p, q)
    before = game.gap()
    assert game.settle(60) and game.d_moves <= toys.SETTLED
    x = toys.line()
    p_r, p_g = maths.normal(x, *p), maths.normal(x, *q)
    there = p_r + p_g >= toys.DATA * (p_r + p_g).max()
    gap = (game.D((x.float() / 2)[:, None])[:, 0].double().sigmoid() - p_r / (p_r + p_g))[there].abs().max().item()
    assert gap < 0.02 < before and game.gap() == pytest.approx(gap)
    value = sum(maths.value_on_grid(game.logits(x), p_r, p_g, x)).item()
    best = sum(maths.value_on_grid(maths.optimal_logit(p_r, p_g), p_r, p_g, x)).item()
    assert best - 2e-3 < value <= best, "no D beats D*"


def test_played_to_the_end_the_generated_density_is_the_real_one_and_d_is_one_half():
    game = on_line((-0.5, 0.7), (1.0, 1.2))
    for _ in range(250):
        game.advance(0)
        if abs(game.generated()[0] + 0.5) < 0.05 and abs(game.generated()[1] - 0.7) < 0.05:
            break
    mean, std = game.generated()
    assert mean == pytest.approx(-0.5, abs=0.1) and std == pytest.approx(0.7, abs=0.12)


def test_far_apart_the_minimax_pull_vanishes_and_the_other_does_not():
    game = on_line((-2.0, 0.4), (2.0, 0.4))
    game.settle(60)
    slopes = game.slopes()
    assert slopes["minimax"] < 0.1 * slopes["non-saturating"]
    x, step = game.G[0] + game.G[1].exp() * toys.quantiles(), 1e-3
    for loss, found in slopes.items():
        each = lambda at: torch.stack([maths.g_loss(loss, game.logits(a[None])) for a in at])       # noqa: E731
        by_hand = ((each(x + step) - each(x - step)) / (2 * step)).abs().mean().item()
        assert found == pytest.approx(by_hand, rel=0.02, abs=1e-4)


def test_quantiles_have_the_moments_of_the_noise():
    z = toys.quantiles()
    assert z.mean().abs() < 1e-12 and z.square().mean().item() == pytest.approx(1, abs=0.03)
    assert toys.line()[0] == -toys.EDGE and len(toys.line()) == toys.PLACES


def test_a_density_moved_by_hand_keeps_its_d_and_another_start_has_another():
    game = on_line()
    for _ in range(5):
        game.d_move()
    moved = on_line(q=(0.9, 0.8))
    assert moved.D is game.D and moved.d_moves == 0 and moved.generated() == pytest.approx((0.9, 0.8))
    assert on_line(q=(0.9, 0.8)) is moved
    assert on_line(q=(0.9, 0.8), seed=1).D is not game.D and on_line(owner="you").D is not game.D


def test_what_a_game_holds_is_json(tmp_path):
    toy = begin("minimax", moves=1)
    toy.look()
    assert json.loads(json.dumps(toy.history)) == toy.history
