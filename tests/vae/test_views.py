"""The tab's further views: quadrature against brute force, directions against their definition, and what a hostile query gets."""

import copy
import dataclasses
from types import MappingProxyType

import numpy as np
import pytest
import torch
from PIL import Image

from playground.core import checkpoints, datasets, device, images, procedural
from playground.core.errors import PlaygroundError
from playground.core.examples import EXAMPLES, LONGEST
from playground.ui import live, parts
from playground.vae import config, maths, sample, tab, train
from playground.vae import views
from playground.vae.views import beta, palette, sheet, stepper

FLAT = train.TrainConfig(dataset="glyphs", steps=150, batch_size=32, lr=5e-3, latent=2, network="mlp", hidden=48, warmup=0, ema=0.9)
DEEP = dataclasses.replace(FLAT, latent=6)
COLOUR = dataclasses.replace(DEEP, dataset="shapes", likelihood="gaussian", sigma=0.35, steps=60)
MODELS = {"tiny-colour": COLOUR, "tiny-flat-colour": dataclasses.replace(COLOUR, latent=2), "tiny-flat": FLAT, "tiny-deep": DEEP}
RATES = {value: f"tiny-{i}" for i, value in enumerate(config.BETAS)}
CARDS = [{"kl": 30.0 - 5 * i, "reconstruction_nll": 60.0 + i**2, "active_dimensions": 6 - i // 2, "latent_dimensions": 6, "frechet": 9.0 + i} for i in range(len(RATES))]
DRAWING = images.pack_drawing(procedural.render_glyph(4, size=images.PAD)[0].numpy() > 127)


@pytest.fixture(scope="module", autouse=True)
def runs(tmp_path_factory):
    """Small models trained for a moment, of digits and in colour, with a flat code and a deeper one; and one for each beta, with the figures of CARDS."""
    folder, threads = tmp_path_factory.mktemp("runs"), torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_RUNS", str(folder))
        patch.setattr(device, "for_", lambda purpose: torch.device("cpu"))
        patch.setattr(config, "PLANE", "tiny-flat")
        patch.setattr(config, "RATES", RATES)

        def save(name, each, made, metrics):
            checkpoints.save(folder / name / "checkpoint", family="vae", dataset=each.dataset, model=made.model, train=dataclasses.asdict(each),
                             weights=made.weights, derived=made.derived, metrics=metrics, command="made by a test", made={})

        for name, each in MODELS.items():
            state = train.init(each)
            for _ in train.train(each, state, train.batches(each, 0)):
                pass
            save(name, each, made := train.result(each, state), {})
        for i, card in enumerate(CARDS):                      # alike but for the last layer, so that their pictures differ
            last = [key for key in made.weights if key.startswith("decoder")][-1]
            save(f"tiny-{i}", each, dataclasses.replace(made, weights={**made.weights, last: made.weights[last] + i}), card)
        yield folder
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture
def flat():
    return sample.load("tiny-flat")


# ---- the sheet -------------------------------------------------------------------------------------------------


def test_the_sheet_holds_at_each_place_the_decode_of_its_quantiles(flat):
    picture = sheet.sheet_frame({"checkpoint": "tiny-flat"}).picture
    quantile = torch.distributions.Normal(0, 1).icdf
    for row, column in ((0, 0), (3, 17), (19, 5)):
        z = torch.stack([quantile(torch.tensor((column + 0.5) / 20)), quantile(torch.tensor((19 - row + 0.5) / 20))])
        alone = images.to_uint8(sample.decode(flat, z[None])[0]).astype(int)
        there = picture[28 * row:28 * (row + 1), 28 * column:28 * (column + 1)]
        assert np.abs(there - alone).max() <= 1


def test_a_model_of_more_dimensions_gives_way_to_the_one_of_two():
    shown = sheet.sheet_frame({"checkpoint": "tiny-deep"})
    assert shown.numbers == {"model": "tiny-flat", "stands_in": "tiny-flat"}
    np.testing.assert_array_equal(shown.picture, sheet.sheet_frame({"checkpoint": "tiny-flat"}).picture)


def test_the_plane_shows_the_codes_and_classes_of_the_held_out_pictures(flat):
    shown = sheet.codes_frame({"checkpoint": "tiny-flat"}).numbers
    codes = np.array(shown["codes"]).reshape(-1, 2)
    np.testing.assert_allclose(codes, flat.derived["mu"][:sheet.SHOWN, sample.order(flat)], atol=0.006)
    labels = datasets.load("glyphs", "test").labels[:sheet.SHOWN]
    assert shown["labels"] == "".join(str(y) for y in labels.tolist())


def test_the_cursor_s_numbers_are_those_of_its_place():
    shown = sheet.place_frame({"checkpoint": "tiny-flat", "z": "1.5,-2"}).numbers
    assert shown["norm"] == pytest.approx(2.5) and shown["log_prior"] == pytest.approx(-np.log(2 * np.pi) - 3.125)
    assert sheet.vae_sheet("tiny-flat", [1.5, -2.0])["picture"].startswith("data:image/png;base64,")


# ---- four steps ------------------------------------------------------------------------------------------------


def test_the_steps_make_z_from_mu_sigma_and_eps_and_its_terms_make_the_estimate():
    shown = stepper.stepper_frame({"checkpoint": "tiny-deep", "x": DRAWING, "step": "4", "eps": "3"}).numbers
    np.testing.assert_allclose(shown["z"], np.array(shown["mu"]) + np.array(shown["sigma"]) * np.array(shown["eps"]), rtol=1e-5)
    assert shown["estimate"] == pytest.approx(shown["log_likelihood"] - shown["kl"])


def test_another_eps_moves_z_and_leaves_the_encoder_s_answer():
    one, other = (stepper.stepper_frame({"checkpoint": "tiny-deep", "x": DRAWING, "step": "4", "eps": eps}) for eps in ("0", "1"))
    assert one.numbers["mu"] == other.numbers["mu"] and one.numbers["z"] != other.numbers["z"]
    assert np.abs(one.picture.astype(int) - other.picture).max() > 0


def test_the_mean_of_many_single_estimates_is_the_bound():
    shown = [stepper.stepper_frame({"checkpoint": "tiny-flat", "x": DRAWING, "step": "4", "eps": str(eps)}).numbers["estimate"] for eps in range(200)]
    exact = stepper.posterior_frame({"checkpoint": "tiny-flat", "x": DRAWING, "move": "0,0", "widen": "0,0"}).numbers["elbo"]
    assert np.mean(shown) == pytest.approx(exact, abs=4 * np.std(shown) / len(shown)**0.5 + 1e-3)


def test_each_step_tells_no_more_than_it_knows():
    known = [{name for name in ("eps", "z") if stepper.stepper_frame({"checkpoint": "tiny-flat", "x": DRAWING, "step": str(step), "eps": "0"}).numbers[name]}
             for step in (1, 2, 3)]
    assert known == [set(), {"eps"}, {"eps", "z"}]


# ---- the true posterior ----------------------------------------------------------------------------------------


def brute(found, n=1201):
    """log p(x) by a dense grid over the whole plane, without the closing in."""
    z, area = maths.grid(torch.full((2,), -6.0).double(), torch.full((2,), 6.0).double(), n)
    values = torch.cat([found.log_joint(part) for part in z.split(50_000)])
    return values, z, area


def test_the_evidence_by_closing_in_is_that_of_a_dense_grid(flat):
    found = stepper.seen(flat, views.examples.read(flat, DRAWING))
    values, _, area = brute(found)
    assert found.evidence.log_p.item() == pytest.approx((values.logsumexp(0) + area.log()).item(), abs=2e-3)


def test_it_is_what_importance_sampling_says(flat):
    found = stepper.seen(flat, views.examples.read(flat, DRAWING))
    encoded = sample.encode(flat, views.examples.read(flat, DRAWING))
    assert found.evidence.log_p.item() == pytest.approx(encoded.bound, abs=0.5)
    assert encoded.elbo <= found.evidence.log_p.item() + 3 * encoded.log_likelihood_error


@pytest.mark.parametrize("move, widen", [("0,0", "0,0"), ("0.2,-0.1", "0.5,-1"), ("-0.4,0.4", "-2,1")])
def test_bound_and_gap_sum_to_log_p_for_any_q(flat, move, widen):
    """The gap against its own definition by a dense grid over q: no step of the view's arithmetic is used."""
    shown = stepper.posterior_frame({"checkpoint": "tiny-flat", "x": DRAWING, "move": move, "widen": widen}).numbers
    found = stepper.seen(flat, views.examples.read(flat, DRAWING))
    mu, sigma = (torch.tensor([shown[f"{name}1"], shown[f"{name}2"]]).double() for name in ("mu", "sigma"))
    z, area = maths.grid(mu - 7 * sigma, mu + 7 * sigma, 401)
    q = torch.distributions.Normal(mu, sigma).log_prob(z).sum(1)
    gap = (q.exp() * (q - found.log_joint(z) + found.evidence.log_p)).sum() * area
    assert shown["gap"] == pytest.approx(gap.item(), abs=0.02, rel=0.01)
    assert shown["elbo"] + shown["gap"] == pytest.approx(shown["log_p"], abs=1e-3)
    assert shown["gap"] >= 0


def test_the_best_q_has_no_larger_a_gap_than_the_encoder_s():
    m1, m2, s1, s2 = stepper._best("tiny-flat", DRAWING, "", 0, 0, 0, 0)
    ask = lambda *q: stepper.posterior_frame({"checkpoint": "tiny-flat", "x": DRAWING, "move": f"{q[0]},{q[1]}", "widen": f"{q[2]},{q[3]}"}).numbers["gap"]      # noqa: E731
    best = ask(m1, m2, s1, s2)
    assert best < ask(0, 0, 0, 0)
    assert all(best <= ask(m1 + a, m2 + b, s1, s2) + 2e-3 for a, b in ((0.02, 0), (-0.02, 0), (0, 0.02), (0, -0.02)))


def test_the_ellipse_is_drawn_around_q(flat):
    found = stepper.seen(flat, views.examples.read(flat, DRAWING))
    picture = stepper._picture(found, found.mu, torch.full((2,), 0.25 * found.half).double()).astype(int)
    orange = (picture[..., 0] > 180) & (picture[..., 2] < 130)
    rows, columns = np.nonzero(orange)
    radius = np.hypot(columns - 97.5, rows - 97.5) / 98
    assert len(radius) > 100 and (np.abs(radius - 0.25) < 0.02).mean() > 0.4 and ((np.abs(radius - 0.25) < 0.02) | (np.abs(radius - 0.5) < 0.02)).mean() > 0.95


# ---- arithmetic and palette ---------------------------------------------------------------------------------


def test_a_class_s_direction_leads_from_the_mean_of_all_to_its_own():
    checkpoint = sample.load("tiny-deep")
    v, accuracy = palette.direction(checkpoint, "7")
    mu, labels = checkpoint.derived["mu"][:, sample.order(checkpoint)][::2], checkpoint.derived["labels"][::2]
    torch.testing.assert_close(v, mu[labels == 7].mean(0) - mu.mean(0))
    assert 0.5 < accuracy <= 1


def test_thickness_is_the_ink_and_slant_the_lean_of_the_built_in_digits():
    drawn = procedural.glyphs(400, 0)
    found = maths.moments(drawn.images.float() / 255)
    thickness = np.corrcoef(found[:, 0], drawn.factors["thickness"] * drawn.factors["scale"])[0, 1]
    ones = drawn.labels == 1
    slant = np.corrcoef(found[ones, 1], drawn.factors["slant"][ones])[0, 1]
    assert thickness > 0.8 and slant > 0.8
    flipped = maths.moments(drawn.images.flip(3).float() / 255)
    torch.testing.assert_close(flipped[:, 1], -found[:, 1], atol=1e-4, rtol=1e-3)
    assert maths.moments(torch.zeros(1, 1, 28, 28)).tolist() == [[0.0, 0.0]]


def test_a_property_grows_with_its_amount():
    shown = [palette.arithmetic_frame({"checkpoint": "tiny-deep", "z": "0", "trait": "thicker", "amount": str(a)}) for a in (-1, 0, 1)]
    ink = [frame.picture[:, 28:].mean() for frame in shown]
    assert ink[0] < ink[1] < ink[2]
    np.testing.assert_array_equal(shown[1].picture[:, :28], shown[1].picture[:, 28:])


def test_the_palette_s_corners_are_their_codes_and_its_middle_their_mean():
    query = {"checkpoint": "tiny-deep", "seed": "5", "a": "1,2", "d": "-1"}
    checkpoint = sample.load("tiny-deep")
    whole = palette.palette_frame(query).picture
    places = {"a": ("0,1", (0, 0)), "b": ("1,1", (0, 6)), "c": ("0,0", (6, 0)), "d": ("1,0", (6, 6))}
    codes = {}
    for name, (at, (row, column)) in places.items():
        frame = palette.blend_frame({**query, "at": at})
        codes[name] = np.array(frame.numbers["z"])
        assert np.abs(whole[28 * row:28 * row + 28, 28 * column:28 * column + 28].astype(int) - frame.picture).max() <= 1
    assert codes["a"].tolist() == [1, 2, 0, 0, 0, 0] and codes["d"].tolist() == [-1, 0, 0, 0, 0, 0]
    np.testing.assert_allclose(codes["b"], sample.draw(checkpoint, 4, 5)[1].clamp(-3, 3), rtol=1e-6)
    np.testing.assert_allclose(palette.blend_frame({**query, "at": "0.5,0.5"}).numbers["z"], sum(codes.values()) / 4, rtol=1e-5, atol=1e-6)


def test_the_kl_of_moments_is_zero_for_a_cloud_that_makes_up_the_prior_and_the_closed_form_for_one_that_does_not():
    generator = torch.Generator().manual_seed(0)
    mu = 0.6 * torch.randn(200_000, 3, generator=generator, dtype=torch.float64)
    assert maths.kl_of_moments(mu, torch.full_like(mu, np.log(0.64))).item() == pytest.approx(0, abs=1e-4)
    moved = maths.kl_of_moments(2 + 0 * mu, torch.full_like(mu, np.log(0.25)))
    exact = torch.distributions.kl_divergence(torch.distributions.Normal(2.0, 0.5), torch.distributions.Normal(0.0, 1.0)) * 3
    assert moved.item() == pytest.approx(exact.item(), rel=1e-6)


# ---- beta ------------------------------------------------------------------------------------------------------


def test_a_model_of_one_beta_stands_where_its_card_says():
    shown = [beta.rate_frame({"x": DRAWING, "at": str(log)}).numbers for log in beta.LOGS]
    for each, value, card in zip(shown, config.BETAS, CARDS):
        assert (each["beta"], each["rate"], each["distortion"], each["slope"]) == (value, card["kl"], card["reconstruction_nll"], -value)
        assert each["loss"] == each["distortion"] + value * each["rate"] and each["total"] == each["distortion"] + each["rate"]
        assert each["rates"] == [card["kl"] for card in CARDS] and each["distortions"] == [card["reconstruction_nll"] for card in CARDS]
    assert [each["collapsed"] for each in shown] == ["", "", "1 / 6", "1 / 6", "2 / 6", "2 / 6"]


def test_it_restores_the_visitor_s_picture_as_that_model_does_and_all_six_do_below_the_slider():
    x = views.examples.read(sample.load("tiny-0"), DRAWING).round()
    whole = beta.all_frame({"x": DRAWING}).picture
    for i, log in enumerate(beta.LOGS):
        expected = images.to_uint8(sample.reconstruct(f"tiny-{i}", x[None])[0]).astype(int)
        picture = beta.rate_frame({"x": DRAWING, "at": str(log)}).picture
        np.testing.assert_array_equal(picture[:, :28], images.to_uint8(x))
        assert np.abs(picture[:, 28:] - expected).max() <= 1 and np.abs(whole[:, 28 * i:28 * (i + 1)] - expected).max() <= 1


def test_the_draws_of_one_seed_are_those_of_the_tab_s_own_strip():
    drawn, strip = (frame({"seed": "7", **query}).picture for frame, query in ((beta.prior_frame, {"at": "2"}), (tab.prior_frame, {"checkpoint": "tiny-4"})))
    assert np.abs(drawn.astype(int) - strip).mean() < 1       # the tab's are cut at +-3


def test_a_program_is_told_the_same_and_a_beta_between_two_models_is_refused():
    told = beta.vae_beta(4, DRAWING)
    assert told["picture"].startswith("data:image/png;base64,") and told["rate"] == CARDS[4]["kl"]
    with pytest.raises(PlaygroundError):
        beta.vae_beta(3, DRAWING)


def test_a_model_without_figures_or_one_that_is_missing_is_a_sentence(monkeypatch):
    for name in ("tiny-deep", "nowhere"):
        monkeypatch.setattr(config, "RATES", {**RATES, 1: name})
        with pytest.raises(PlaygroundError, match="cards"):
            beta.rate_frame({"x": DRAWING, "at": "0"})


def test_the_models_of_beta_are_not_in_the_tab_s_list():
    assert set(config.ASIDE) <= {entry.name for entry in checkpoints.entries()}
    assert not set(config.ASIDE) & set(tab.checkpoint_names()) and tab.checkpoint_names()[0] == config.FIRST
    assert parts.checkpoint_named("vae", config.ASIDE[0]) == config.ASIDE[0], "who knows its name may use it"


def test_each_shipped_model_is_the_best_of_the_six_by_its_own_beta():
    cards = [beta.figures(sample.load(name)) for name in config.ASIDE]
    loss = np.array([[card["distortion"] + value * card["rate"] for card in cards] for value in config.BETAS])
    assert loss.argmin(1).tolist() == list(range(len(cards)))
    assert all(a["rate"] > b["rate"] and a["distortion"] < b["distortion"] for a, b in zip(cards, cards[1:]))


# ---- pictures to pick from -------------------------------------------------------------------------------------


def test_a_model_of_anything_but_digits_shows_what_it_makes_of_held_out_pictures_and_encodes_that():
    colour = sample.load("tiny-colour")
    held_out = datasets.load("shapes", "test").images[:EXAMPLES] / 255
    made = sample.reconstruct("tiny-colour", held_out)
    assert (views.examples.pictures(colour) - made).abs().max() < 2 / 255, "codes in fp16 on disk"
    assert (made - held_out).abs().max() > 0.2, "else the pictures themselves would pass"
    frame = tab.examples_frame({"checkpoint": "tiny-colour"})
    np.testing.assert_array_equal(frame.picture, images.strip(views.examples.pictures(colour)))
    assert frame.numbers["made"] == EXAMPLES == 10, "the caption says ten"
    shown, _, *z = tab._example("tiny-colour", 3)
    assert shown == "e3" and z[:6] == pytest.approx(sample.encode(colour, views.examples.pictures(colour)[3]).mu.clamp(-3, 3).tolist(), abs=0.006)


def test_a_model_carries_codes_of_its_data_and_none_of_its_pictures():
    for name in ("tiny-colour", "tiny-flat-colour", "tiny-deep", *train.CHECKPOINTS):
        checkpoint = sample.load(name)
        few = {"mu", "logvar", "example_codes"}
        assert all(value.ndim <= 1 or key in few and value.shape[1:] == (checkpoint.model.config.latent,) or key == "moments" and value.shape[1:] == (2,)
                   for key, value in checkpoint.derived.items())
    assert sample.load("tiny-colour").derived["example_codes"].shape == (EXAMPLES, 6)


def test_a_model_of_digits_is_given_drawn_ones():
    assert "example_codes" not in sample.load("tiny-deep").derived and tab.examples_frame({"checkpoint": "tiny-deep"}).numbers["made"] == ""
    shown, drawn, *z = tab._example("tiny-deep", 4)
    assert (shown, drawn) == ("", DRAWING) and z == tab._jump("tiny-deep", DRAWING)
    assert torch.equal(views.examples.pictures(sample.load("tiny-deep"))[4], views.examples.read(sample.load("tiny-deep"), DRAWING))


def test_a_change_of_model_takes_a_picture_of_its_own_kind_and_leaves_one_that_fits():
    values = lambda updates: [update.get("value") for update in updates]     # noqa: E731
    _, shown, *sliders = tab._chosen("tiny-colour", DRAWING, "")
    assert shown == "e0" and values(sliders) == tab._jump("tiny-colour", ",e0")
    _, shown, *sliders = tab._chosen("tiny-deep", DRAWING, "e0")
    assert shown == "" and values(sliders) == tab._jump("tiny-deep", DRAWING)
    for name, kept in (("tiny-colour", "e5"), ("tiny-deep", ""), ("tiny-deep", images.pack_picture(np.zeros((28, 28), np.uint8)))):
        _, shown, *sliders = tab._chosen(name, DRAWING, kept)
        assert shown == kept and set(values(sliders)) == {None}


def test_a_model_that_stands_in_takes_the_drawing_where_the_picture_is_not_of_its_kind():
    for other in ("e0", images.pack_picture(np.zeros((32, 32, 3), np.uint8))):
        np.testing.assert_array_equal(beta.rate_frame({"x": f"{DRAWING},{other}", "at": "0"}).picture, beta.rate_frame({"x": DRAWING, "at": "0"}).picture)
        assert stepper.posterior_frame({"checkpoint": "tiny-colour", "x": f"{DRAWING},{other}", "move": "0,0", "widen": "0,0"}).numbers["log_p"] == \
            stepper.posterior_frame({"checkpoint": "tiny-flat", "x": DRAWING, "move": "0,0", "widen": "0,0"}).numbers["log_p"]
    np.testing.assert_array_equal(beta.rate_frame({"x": ",e4", "at": "0"}).picture, beta.rate_frame({"x": images.digit(4), "at": "0"}).picture)


# ---- a model of 32x32 pictures in colour ---------------------------------------------------------------------


COLOURED = {"checkpoint": "tiny-colour"}


def tiles(picture):
    """A row of pictures in colour, (N, 32, 32, 3)."""
    assert picture.dtype == np.uint8 and picture.shape[0] == 32 and picture.shape[1] % 32 == 0 and picture.shape[2:] == (3,)
    return picture.reshape(32, -1, 32, 3).swapaxes(0, 1).astype(int)


def decodes(codes):
    """What the coloured model makes of codes (N, 6) in slider order, as the page shows pictures."""
    return np.stack([images.to_uint8(x) for x in sample.decode(sample.load("tiny-colour"), torch.as_tensor(codes, dtype=torch.float32))]).astype(int)


def test_in_colour_the_pictures_under_the_sliders_are_what_these_would_give():
    shown = tiles(tab.strips_frame(range(8), {**COLOURED, "z": "0.5,-1"}).picture)
    assert len(shown) == 8 * 7, "eight sliders, the last two of which the model does not have"
    z = torch.zeros(7, 6)
    z[:, 0], z[:, 1], z[:, 2] = 0.5, -1, torch.tensor(tab.FORESIGHT)
    assert np.abs(shown[14:21] - decodes(z)).max() <= 1 and np.ptp(shown[14:21], axis=-1).max() > 10, "and it is in colour"
    np.testing.assert_array_equal(shown[48], shown[55])


def test_in_colour_the_sliders_the_prior_and_the_paths_show_decodes_of_their_codes():
    draws = sample.draw(sample.load("tiny-colour"), 16, 4).clamp(-3, 3)
    strip = tiles(tab.prior_frame({**COLOURED, "seed": "4"}).picture)
    assert np.abs(strip - decodes(draws)).max() <= 1
    assert np.abs(tiles(tab.decode_frame({**COLOURED, "z": ",".join(f"{value:.6f}" for value in draws[3].tolist())}).picture) - strip[3]).max() <= 1
    walk = tab.paths_frame({**COLOURED, "seed": "4"})
    both = tiles(walk.picture)
    assert len(both) == 2 * tab.WALK and np.abs(both[[0, 10, 11, 21]] - strip[[0, 1, 0, 1]]).max() <= 1
    assert [frame.shape for frame in walk.film] == [(32, 64, 3)] * tab.WALK and live._gif(walk.film).startswith(b"GIF8")


def test_in_colour_a_picture_goes_through_four_steps():
    shown = stepper.stepper_frame({**COLOURED, "x": f"{DRAWING},e3", "step": "4", "eps": "2"})
    seen, out = tiles(shown.picture)
    assert np.abs(seen - images.to_uint8(views.examples.pictures(sample.load("tiny-colour"))[3])).max() == 0
    assert np.abs(out - decodes([shown.numbers["z"]])[0]).max() <= 1
    assert shown.numbers["estimate"] == pytest.approx(shown.numbers["log_likelihood"] - shown.numbers["kl"])


def test_in_colour_the_difference_is_signed_and_the_terms_are_those_of_densities():
    shown = tab.encode_frame({**COLOURED, "x": ",e2"})
    x, x_hat, difference = tiles(shown.picture)
    assert np.abs(decodes([shown.numbers["mu"]])[0] - x_hat).max() <= 1
    error = ((x_hat - x) / 255).mean(-1)
    assert (difference[error > 0.02][:, 0] > difference[error > 0.02][:, 2]).all() and (difference[error < -0.02][:, 2] > difference[error < -0.02][:, 0]).all()
    ceiling = -32 * 32 * 3 * np.log(0.35 * (2 * np.pi) ** 0.5)
    assert shown.numbers["log_likelihood"] < ceiling and shown.numbers["elbo"] <= shown.numbers["bound"] + 4 * shown.numbers["log_likelihood_error"]


def test_in_colour_the_palette_blends_and_no_classifier_of_digits_speaks():
    whole = palette.palette_frame({**COLOURED, "seed": "5"}).picture
    assert whole.shape == (7 * 32, 7 * 32, 3)
    blend = palette.blend_frame({**COLOURED, "seed": "5", "at": "0,1"})
    assert np.abs(blend.picture.astype(int) - whole[:32, :32]).max() <= 1 and blend.numbers["judge"] is None


def test_in_colour_a_class_has_a_direction_and_strokes_have_none():
    v, accuracy = palette.direction(sample.load("tiny-colour"), "1")
    shown = palette.arithmetic_frame({**COLOURED, "z": "0.5", "trait": "1", "amount": "2"})
    assert 0.4 < accuracy <= 1 and shown.numbers["judge"] is None and shown.numbers["change"] is None
    before, after = tiles(shown.picture)
    z = torch.zeros(6)
    z[0] = 0.5
    assert np.abs(np.stack([before, after]) - decodes(torch.stack([z, z + 2 * v]))).max() <= 1
    with pytest.raises(PlaygroundError, match="thicker"):
        palette.arithmetic_frame({**COLOURED, "z": "0.5", "trait": "thicker", "amount": "2"})


@pytest.mark.parametrize("trait", ["5", "slanted"])
def test_without_classes_and_without_grey_there_is_no_direction_and_one_sentence_says_why(trait):
    colour = sample.load("tiny-colour")
    bare = dataclasses.replace(colour, model=copy.copy(colour.model), derived=MappingProxyType({key: value for key, value in colour.derived.items() if key != "labels"}))
    with pytest.raises(PlaygroundError, match="in colour without classes") as refused:
        palette.direction(bare, trait)
    assert refused.value.key == "vae.directions" and "彩色" in refused.value.sentence("zh")


def test_a_flat_code_in_colour_is_laid_out_and_its_true_posterior_found():
    flat = {"checkpoint": "tiny-flat-colour"}
    shown = sheet.sheet_frame(flat)
    assert shown.picture.shape == (640, 640, 3) and shown.numbers == {"model": "tiny-flat-colour", "stands_in": ""}
    assert len(sheet.codes_frame(flat).numbers["codes"]) == 2 * sheet.SHOWN
    place = sheet.place_frame({**flat, "z": "0.3,-1"}).picture
    assert place.shape == (32, 32, 3)
    posterior = stepper.posterior_frame({**flat, "x": ",e1", "move": "0.1,0", "widen": "0,0.5"}).numbers
    assert posterior["elbo"] + posterior["gap"] == pytest.approx(posterior["log_p"], abs=1e-2) and posterior["gap"] > 0 and posterior["stands_in"] == ""
    model = sample.load("tiny-flat-colour")
    found = stepper.seen(model, views.examples.pictures(model)[1])
    z, area = maths.grid(found.evidence.low - 0.5, found.evidence.high + 0.5, 201)
    assert posterior["log_p"] == pytest.approx((found.log_joint(z).logsumexp(0) + area.log()).item(), rel=1e-4), "wider and denser: the same"


def test_a_model_that_stands_in_is_named():
    assert sheet.sheet_frame(COLOURED).numbers["stands_in"] == "tiny-flat" and sheet.sheet_frame({"checkpoint": "tiny-flat"}).numbers["stands_in"] == ""
    assert stepper.posterior_frame({**COLOURED, "x": f"{DRAWING},e0", "move": "0,0", "widen": "0,0"}).numbers["stands_in"] == "tiny-flat"


def test_an_uploaded_picture_is_seen_in_colour(tmp_path):
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[..., 0], picture[:32, :, 2] = 200, 90
    Image.fromarray(picture).save(tmp_path / "one.png")
    text, *z = tab._uploaded("tiny-colour", str(tmp_path / "one.png"))
    seen = tiles(tab.encode_frame({**COLOURED, "x": f"{DRAWING},{text}"}).picture)[0]
    assert seen[2, 5].tolist() == [200, 0, 90] and seen[-2, 5].tolist() == [200, 0, 0] and len(text) < LONGEST
    assert tab.restored(text) == text and len(z) == tab.SLIDERS


# ---- what makes no sense ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("frame, query", [
    (sheet.place_frame, {"checkpoint": "tiny-flat", "z": "NaN,0"}), (sheet.place_frame, {"checkpoint": "nowhere", "z": "0,0"}),
    (stepper.stepper_frame, {"checkpoint": "tiny-flat", "x": DRAWING, "step": "9", "eps": "0"}),
    (stepper.stepper_frame, {"checkpoint": "tiny-flat", "x": "", "step": "1", "eps": "0"}),
    (stepper.stepper_frame, {"checkpoint": "tiny-flat", "x": DRAWING, "step": "1", "eps": "1e30"}),
    (stepper.posterior_frame, {"checkpoint": "tiny-flat", "x": DRAWING, "move": "inf,0", "widen": "0,0"}),
    (stepper.posterior_frame, {"checkpoint": "tiny-flat", "x": DRAWING, "move": "0", "widen": "0,0"}),
    (palette.arithmetic_frame, {"checkpoint": "tiny-deep", "z": "0", "trait": "blue", "amount": "0"}),
    (palette.blend_frame, {"checkpoint": "tiny-deep", "seed": "-1", "at": "0,0"}), (palette.blend_frame, {"checkpoint": "tiny-deep", "seed": "0", "at": ""}),
    (beta.rate_frame, {"x": DRAWING, "at": "4"}), (beta.rate_frame, {"x": DRAWING, "at": "0.5"}), (beta.all_frame, {"x": "nonsense"}),
    (beta.rate_frame, {"x": "", "at": "0"}), (beta.prior_frame, {"seed": "-1", "at": "0"}), (beta.prior_frame, {"seed": "1", "at": "inf"}),
])
def test_what_makes_no_sense_is_refused_in_one_sentence(frame, query):
    with pytest.raises(PlaygroundError):
        frame(query)


def test_the_shipped_sheet_shows_all_ten_digits():
    from playground.core import classifier

    picture = sheet._sheet(sample.load("vae-mnist-2d"))
    tiles = torch.from_numpy(picture.reshape(20, 28, 20, 28).swapaxes(1, 2).reshape(400, 1, 28, 28).copy()).float() / 255
    sure, digit = classifier.probabilities(tiles).max(1)
    assert {int(y) for y in digit[sure > 0.9]} == set(range(10))
