"""The frames of the three games against the games used by hand: buttons, layers, numbers, and that every frame fits its header."""

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
from playground.gan.views import four, game, line
from playground.gan.views.moves import moves
from playground.ui import live

INK = images.pack_drawing(procedural.render_glyph(1, size=images.PAD)[0].numpy() > 127)
GAME = {"set": "ring", "game": "stable", "layers": ",".join(game.SHOWN), "ink": "", "play": ""}
FOUR = {"pace": "1:1", "play": ""}
LINE = {**{name: str(start) for name, (_, _, start, _) in line.RANGES.items()}, "loss": "non-saturating", "play": ""}


@pytest.fixture(autouse=True)
def nobody():
    threads = torch.get_num_threads()
    executor.run(torch.set_num_threads, 1)
    for kept in (toys._toys, toys._lines, toys._asked):
        kept.clear()
    yield
    executor.run(torch.set_num_threads, threads)


def play(**changed):
    return executor.run(game.game_frame, {**GAME, **changed})


def numbers(**changed):
    return play(**changed).numbers


def abreast(**changed):
    return executor.run(four.four_frame, {**FOUR, **changed}).numbers


def on_line(**changed):
    return executor.run(line.line_frame, {**LINE, **changed}).numbers


def mine(key):
    return toys._toys[key][1]


# ---- the buttons -----------------------------------------------------------------------------------------------


def test_the_buttons_value_is_read_as_it_was_written():
    said = moves("abc12,1,3,4,5,6")
    assert (said.owner, said.playing, said.singles, said.fresh, said.times) == ("abc12", True, (3, 4), 5, 6)
    assert moves("") == moves(None) and not moves("").playing


@pytest.mark.parametrize("wrong", ["a", "a,1", "a,2,0,0,0,0", "a,1,0,0,0", "a,1,0,0,0,0,0", "a,1,-1,0,0,0", "a,1,0.5,0,0,0", "a,1,NaN,0,0,0", "a,1,1e9,0,0,0", "<b>,1,0,0,0,0", "a" * 17 + ",1,0,0,0,0", "é,1,0,0,0,0", 7, ["a"]])
def test_any_other_value_is_refused_in_one_sentence(wrong):
    with pytest.raises(PlaygroundError):
        moves(wrong)


# ---- the game in the plane -------------------------------------------------------------------------------------


def test_each_button_moves_who_it_says():
    assert [(shown["d_moves"], shown["step"]) for shown in (numbers(play=f"me,0,{d},{g},0,0") for d, g in ((0, 0), (1, 0), (1, 1), (1, 1), (2, 2)))] == [(0, 0), (1, 0), (1, 1), (1, 1), (2, 2)]
    shown = numbers(play="me,0,3,2,0,0")
    assert (shown["moved_d"], shown["moved_g"]) == ("1", "") and numbers(play="me,0,3,3,0,0")["moved_g"] == "1"
    playing = numbers(play="me,1,3,3,0,0")
    assert playing["step"] > 3 and playing["more"] and not playing["moved_d"]


def test_a_move_of_d_raises_the_value_and_one_of_g_lowers_it():
    """On the whole: one batch may mislead a player."""
    d = [numbers(play=f"me,0,{i},0,0,0")["change"] for i in range(1, 9)]
    g = [numbers(play=f"me,0,8,{i},0,0")["change"] for i in range(1, 9)]
    assert sum(d) > 0 > sum(g)


def test_again_with_the_same_weights_is_the_same_game_and_new_ones_are_another():
    first = numbers(play="me,0,2,2,0,0")
    again, other = numbers(play="me,0,2,2,0,1"), numbers(play="me,0,2,2,1,1")
    assert first["fakes"] == again["fakes"] != other["fakes"] and again["value"] == first["value"]


def test_another_game_on_the_page_does_not_inherit_single_moves():
    numbers(play="me,0,5,5,0,0")
    shown = numbers(game="hinge", play="me,0,5,5,0,0")
    assert (shown["d_moves"], shown["step"]) == (0, 0)


def test_layers_are_there_when_they_are_on():
    toy_numbers = {"real": "real", "fakes": "fakes", "grid": "grid", "pull": "pull"}
    for on in game.SHOWN:
        frame = play(layers=on)
        for layer, key in toy_numbers.items():
            assert (key in frame.numbers) == (layer == on or (layer, on) == ("fakes", "pull"))
        assert (frame.picture.shape == (game.SURFACE, game.SURFACE, 3)) == (on == "surface") == bool(frame.numbers["surface"])
    assert not {"real", "fakes", "grid", "pull"} & numbers(layers="").keys()


def test_the_surface_is_blue_where_d_says_real_and_orange_where_fake():
    frame = play(play="me,0,9,0,0,0")
    toy = mine(("me", "ring", "stable", ""))
    with torch.no_grad():
        for row, column in ((0, 0), (10, 50), (30, 31), (59, 2)):
            x = (column + 0.5) / game.SURFACE * 6 - 3
            y = 3 - (row + 0.5) / game.SURFACE * 6
            said = toy.D(torch.tensor([[x, y]])).sigmoid().item()
            expected = 128 + (2 * said - 1) * (images.LESS - 128) if said > 0.5 else 128 + (1 - 2 * said) * (images.MORE - 128)
            assert np.abs(frame.picture[row, column] - expected).max() <= 1.5
    assert game.tinted(np.array([[0.5]]))[0, 0].tolist() == [128] * 3


def test_the_warped_grid_is_g_of_straight_lines_and_the_arrows_follow_the_gradient():
    shown = numbers(play="me,0,3,3,0,0")
    toy = mine(("me", "ring", "stable", ""))
    with torch.no_grad():
        corner = toy.G(torch.tensor([[-1.0, -1.0]]))[0]
        assert shown["grid"][0][:2] == pytest.approx(corner.tolist(), abs=0.006) == shown["grid"][game.LINES][:2]
        assert len(shown["grid"]) == 2 * game.LINES and len(shown["grid"][0]) == 2 * game.CORNERS
        fakes = toy.fakes(game.POINTS)
        np.testing.assert_allclose(np.array(shown["fakes"]).reshape(-1, 2), fakes, atol=0.006)
        pull = toy.pull(fakes)
    arrows = np.array(shown["pull"]).reshape(-1, 2)
    np.testing.assert_allclose(arrows, game.CELL * pull / (pull.norm(dim=1, keepdim=True) + game.TYPICAL), atol=0.006)


def test_the_numbers_are_those_of_the_game():
    shown = numbers(play="me,0,4,4,0,0")
    toy = mine(("me", "ring", "stable", ""))
    with torch.no_grad():
        assert shown["value"] == pytest.approx(sum(toy.value())) == pytest.approx(shown["log_real"] + shown["log_fake"])
        assert shown["js"] == pytest.approx(toy.js()) and shown["bound"] == pytest.approx(2 * toy.js() - 2 * math.log(2), abs=1e-4)
        assert shown["covered"] == f"{toy.covered()} / 8"
    assert shown["lowest"] == [game.LOWEST] * len(shown["looked"]) and game.LOWEST == pytest.approx(maths.LOWEST, abs=1e-4)
    assert numbers(set="moons")["covered"] is None is numbers(game="wasserstein")["value"]


def test_a_drawing_is_a_set_of_its_own_and_an_empty_pad_a_digit():
    shown, drawn = numbers(set="drawing", ink=INK), np.array(numbers(set="drawing", ink=INK)["real"]).reshape(-1, 2)
    assert drawn[:, 1].max() > 1 > -1 > drawn[:, 1].min() and shown["covered"] is None
    assert numbers(set="drawing", ink="")["real"] != shown["real"]


def test_the_minimax_preset_says_that_it_collapses_on_purpose():
    assert numbers(game="minimax")["minimax"] == "1" and numbers()["minimax"] == ""


# ---- four games abreast ----------------------------------------------------------------------------------------


def test_four_games_begin_alike_and_make_as_many_updates():
    start = abreast()
    fakes = [start[f"fakes_{loss}"] for loss in four.LOSSES]
    assert fakes[0] == fakes[1] == fakes[2] == fakes[3] and start["step"] == 0
    shown = abreast(play="me,1,0,0,0,0")
    steps = {mine(("me", "ring", loss, "four")).step for loss in four.LOSSES}
    assert len(steps) == 1 and shown["step"] == steps.pop() > 0 and shown["more"]
    assert len({json.dumps(shown[f"fakes_{loss}"]) for loss in four.LOSSES}) == 4
    for loss in four.LOSSES:
        assert shown[f"slope_{loss}"] == mine(("me", "ring", loss, "four")).slope > 0
    assert abreast(play="me,0,0,0,0,1")["fakes_minimax"] == fakes[0], "again, with the same weights"
    assert abreast(play="me,0,0,0,1,1")["fakes_minimax"] != fakes[0]


def test_a_collapse_is_said_in_words(monkeypatch):
    monkeypatch.setattr(game, "SETTLED", 1)
    abreast(play="me,1,0,0,0,0")
    monkeypatch.setattr(toys.Toy, "collapsed", lambda self: self.rules.loss == "minimax")
    shown = abreast(play="me,0,0,0,0,0")
    assert shown["collapsed_minimax"].endswith("/ 8") and shown["collapsed_wasserstein"] == ""


def test_the_pace_is_the_same_for_all_four():
    abreast(pace="5:1", play="me,1,0,0,0,0")
    for loss in four.LOSSES:
        toy = mine(("me", "ring", loss, "four"))
        assert toy.d_moves == 5 * toy.g_moves > 0


# ---- the line --------------------------------------------------------------------------------------------------


def test_d_follows_the_densities_until_it_is_close_and_then_rests():
    for _ in range(400):
        shown = on_line(play="me,0,0,0")
        if not shown["more"]:
            break
    assert not shown["more"] and shown["gap"] < 0.02 and shown["step"] == 0
    p, q = (np.exp(-(np.array(shown["x"]) - m)**2 / (2 * s * s)) / (s * math.sqrt(2 * math.pi)) for m, s in ((-1.0, 0.7), (1.0, 1.0)))
    np.testing.assert_allclose(shown["p"], p, atol=1e-3)
    there = p + q > 0.03
    np.testing.assert_allclose(np.array(shown["d_star"])[there], (p / (p + q))[there], atol=2e-3)
    assert np.abs(np.array(shown["d"]) - p / (p + q))[there].max() < 0.02
    assert shown["value"] == pytest.approx(shown["log_real"] + shown["log_fake"]) and shown["value"] <= shown["best"] + 1e-6
    assert shown["best"] == pytest.approx(shown["bound"], abs=1e-5) and shown["bound"] == pytest.approx(2 * shown["js"] - 2 * math.log(2))


def test_at_a_point_no_answer_earns_more_than_d_star():
    shown = on_line(at="-0.4")
    p, q = (math.exp(-(-0.4 - m)**2 / (2 * s * s)) / (s * math.sqrt(2 * math.pi)) for m, s in ((-1.0, 0.7), (1.0, 1.0)))
    assert shown["star"] == pytest.approx(p / (p + q), rel=1e-6) and shown["p_at"] == pytest.approx(p)
    assert shown["payoff"] == pytest.approx([p * math.log(y) + q * math.log(1 - y) for y in shown["ys"]], rel=1e-3)
    assert max(shown["payoff"]) <= shown["earned"] and shown["earns"] <= shown["earned"]
    assert abs(shown["ys"][int(np.argmax(shown["payoff"]))] - shown["star"]) <= 0.01


def test_training_moves_the_generated_density_and_a_slider_puts_it_back():
    before = on_line()
    for i in range(1, 4):
        shown = on_line(play=f"me,0,{10 * i},0")
    assert shown["step"] == 30 and shown["mean"] < before["mean"] - 0.1
    back = on_line(play="me,0,0,0", mq="0.5")
    assert back["step"] == 0 and back["mean"] == pytest.approx(0.5)


def test_far_apart_the_minimax_pull_is_gone():
    for _ in range(60):
        shown = on_line(mp="-3", sp="0.3", mq="3", sq="0.3", play="me,0,0,0")
        if not shown["more"]:
            break
    assert shown["slope_minimax"] < 0.1 * shown["slope_other"] and shown["js"] == pytest.approx(math.log(2), abs=1e-4)


def test_programs_get_the_optimum():
    told = line.gan_line(-1, 0.7, 1, 1, 0)
    assert told["value"] == pytest.approx(told["bound"], abs=1e-6) and 0 < told["js"] < math.log(2)
    p, q = (math.exp(-m * m / (2 * s * s)) / s for m, s in ((-1.0, 0.7), (1.0, 1.0)))
    assert told["star"] == pytest.approx(p / (p + q))
    assert line.gan_line(0, 1, 0, 1, 0)["value"] == pytest.approx(maths.LOWEST, abs=1e-6)
    with pytest.raises(PlaygroundError):
        line.gan_line(0, 0, 0, 1, 0)


# ---- all of them -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frame, query", [
    (play, {"set": "cats"}), (play, {"game": "chess"}), (play, {"layers": "real,cats"}), (play, {"ink": "no"}), (play, {"ink": "A" * 523, "set": "drawing"}), (play, {"play": "a,b"}),
    (abreast, {"pace": "3:3"}), (abreast, {"play": "me,2,0,0,0,0"}),
    (on_line, {"mp": "99"}), (on_line, {"sq": "0"}), (on_line, {"at": "NaN"}), (on_line, {"loss": "hinge"}), (on_line, {"play": "me"}),
])
def test_what_makes_no_sense_is_refused_in_one_sentence(frame, query):
    with pytest.raises(PlaygroundError):
        frame(**query)


@pytest.mark.parametrize("handler, query", [(game.game_frame, GAME), (four.four_frame, FOUR), (line.line_frame, LINE)])
def test_every_parameter_is_needed(handler, query):
    for missing in query:
        with pytest.raises(PlaygroundError):
            executor.run(handler, {key: value for key, value in query.items() if key != missing})


def fits(shown):
    return len(json.dumps(live._rounded({**shown, "ms": 123.456}), separators=(",", ":"))) < live.NUMBERS_MAX - 500


def test_the_longest_frames_fit_their_headers(monkeypatch):
    """With a long past, and fakes as far away as they can be drawn."""
    past = {key: [i + 0.12345 for i in range(toys.HISTORY)] for key in ("step", "value", "js", "covered", "slope")}
    monkeypatch.setattr(toys.Toy, "look", lambda self: setattr(self, "history", past))
    monkeypatch.setattr(toys.Toy, "fakes", lambda self, n=200: torch.full((n, 2), -9.99) + 0.001 * torch.rand(n, 2))
    assert fits(numbers()) and fits(abreast()) and fits(on_line())
