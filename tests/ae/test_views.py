"""The tab's frames against the models used by hand: the row of four, the planes, single units, penalties, contraction, repair."""

import itertools

import numpy as np
import pytest
import torch

from playground.ae import config, maths, sample, tab, views
from playground.ae.views import contraction, keep, penalty, planes, repair, row, wall
from playground.core import checkpoints, datasets, images, procedural
from playground.core.errors import PlaygroundError
from playground.core.examples import EXAMPLES

from .conftest import keep as save

DRAWING = images.pack_drawing(procedural.render_glyph(4, size=images.PAD)[0].numpy() > 127)
CARDS = [{"squared_error": 3.0 + i, "training_squared_error": 2.5 + i, "active_share": 0.2 - 0.05 * i, "dead_units": i, "multiplications": 10**6 - i} for i in range(3)]


@pytest.fixture(autouse=True)
def models(tiny):
    """The checkpoints of conftest, where gradients are off as on the inference executor."""
    with torch.no_grad():
        yield


def tile(frame, i, size=28):
    """Tile i of a frame as uint8 (size, size) or (size, size, 3)."""
    return frame.picture[:, size * i:size * (i + 1)].astype(int)


def close(a, b):
    return np.abs(np.asarray(a).astype(int) - b).max() <= 1


def seen(name, x=DRAWING):
    checkpoint = sample.load(name)
    return checkpoint, views.drawing(checkpoint, x)


# ---- the picture and the row of four ---------------------------------------------------------------------------


def test_the_look_shows_the_picture_what_comes_back_and_the_signed_error():
    frame = tab.look_frame({"checkpoint": "tiny-30d", "x": DRAWING})
    checkpoint, x = seen("tiny-30d")
    x_hat = sample.reconstruct("tiny-30d", x[None])[0]
    assert close(tile(frame, 0)[..., 0], images.to_uint8(x)) and close(tile(frame, 1)[..., 0], images.to_uint8(x_hat))
    assert close(tile(frame, 2), images.signed(x_hat - x))
    assert frame.numbers["error"] == pytest.approx((x_hat - x).square().sum().item(), rel=1e-4)
    assert frame.numbers["units"] == 12 and max(map(abs, frame.numbers["code"])) < 2


def test_the_row_holds_each_model_s_own_reconstruction_and_figures():
    frame = row.row_frame({"checkpoint": "tiny-30d", "x": DRAWING, "d": "12"})
    _, x = seen("tiny-30d")
    for i, (kind, name) in enumerate({"plain": "tiny-30d", "sparse": "tiny-sparse", "contractive": "tiny-contractive"}.items(), 1):
        look = sample.look(sample.load(name), x)
        assert close(tile(frame, i)[..., 0], images.to_uint8(look.x_hat)) and close(tile(frame, 5 + i), images.signed(look.x_hat - x))
        assert frame.numbers[f"error_{kind}"] == pytest.approx(look.error, rel=1e-4)
        assert frame.numbers[f"norm_{kind}"] == pytest.approx(look.h.norm().item(), rel=1e-4)
        assert frame.numbers[f"active_{kind}"] == f"{look.active} / {len(look.h)}"
        assert frame.numbers[f"jacobian_{kind}"] == pytest.approx(look.jacobian, rel=1e-4)


@pytest.mark.parametrize("d", [1, 7, 64])
def test_pca_in_the_row_is_exact_at_each_size(d):
    frame = row.row_frame({"checkpoint": "tiny-30d", "x": DRAWING, "d": str(d)})
    _, x = seen("tiny-30d")
    training = datasets.load("glyphs").images.flatten(1).double() / 255
    mean, V = training.mean(0), torch.linalg.eigh(torch.cov(training.T)).eigenvectors.flip(1)[:, :d]
    x_hat = (mean + V @ (V.T @ (x.flatten().double() - mean))).view(x.shape)
    assert frame.numbers["error_pca"] == pytest.approx((x_hat - x).square().sum().item(), rel=0.01)       # fp16 on disk
    assert np.abs(tile(frame, 4)[..., 0] - images.to_uint8(x_hat.float()).astype(int)).max() <= 2
    assert frame.numbers["jacobian_pca"] == pytest.approx(d**0.5) and frame.numbers["active_pca"] == f"{d} / {d}"


def test_the_curves_fall_with_the_size_and_hold_the_trained_ones_at_theirs():
    numbers = row.row_frame({"checkpoint": "tiny-30d", "x": DRAWING, "d": "12"}).numbers
    assert len(numbers["sizes"]) == len(numbers["pca_errors"]) == len(numbers["deep_errors"]) == 64
    assert all(a >= b for a, b in zip(numbers["pca_errors"], numbers["pca_errors"][1:]))
    trained = {size: error for size, error in zip(numbers["sizes"], numbers["deep_errors"]) if error is not None}
    assert trained[12] == pytest.approx(sample.load("tiny-30d").derived["error"].item()) == numbers["curve_deep"]


def test_the_plain_one_steps_between_the_trained_sizes(monkeypatch):
    flat, wide = sample.load("tiny-2d"), sample.load("tiny-30d")
    monkeypatch.setattr(row, "sizes", lambda like: {2: flat, 12: wide})
    assert [row.nearest(row.sizes(wide), d).name for d in (1, 2, 11, 12, 64)] == ["tiny-2d"] * 3 + ["tiny-30d"] * 2
    shown = row.row_frame({"checkpoint": "tiny-30d", "x": DRAWING, "d": "5"}).numbers
    assert shown["error_plain"] == pytest.approx(sample.look(flat, seen("tiny-2d")[1]).error, rel=1e-4)


def test_a_chosen_sparse_or_contractive_one_takes_its_own_place_in_the_row():
    shown = row.row_frame({"checkpoint": "tiny-top-k", "x": DRAWING, "d": "12"}).numbers
    assert shown["error_sparse"] == pytest.approx(sample.look(*seen("tiny-top-k")).error, rel=1e-4)
    assert shown["error_plain"] == pytest.approx(sample.look(*seen("tiny-30d")).error, rel=1e-4)


def test_a_model_of_other_pictures_stands_alone_in_the_row():
    frame = row.row_frame({"checkpoint": "tiny-colour", "x": ",e3", "d": "6"})
    assert frame.numbers["error_plain"] > 0 and frame.numbers["error_pca"] > 0
    assert frame.numbers["error_sparse"] is None and frame.numbers["error_contractive"] is None
    assert tile(frame, 2, 32).max() == 0 and tile(frame, 1, 32).max() > 0


def test_a_kind_that_is_missing_leaves_the_others(monkeypatch):
    monkeypatch.setattr(config, "SPARSE", "nowhere")
    shown = row.row_frame({"checkpoint": "tiny-30d", "x": DRAWING, "d": "12"}).numbers
    assert shown["error_sparse"] is None and shown["error_contractive"] > 0


# ---- two planes ------------------------------------------------------------------------------------------------


def lent():
    """A plane such as the page hands over: its codes are a grid of four, its pictures grey as their first number says."""
    codes = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    return ("lent", lambda z: ((z[:, 0] + 3) / 6).clamp(0, 1)[:, None, None, None].expand(-1, 1, 28, 28), codes, torch.arange(4))


def test_the_plane_s_axes_are_standard_deviations_of_its_codes():
    found, checkpoint = planes.own({"checkpoint": "tiny-2d"}), sample.load("tiny-2d")
    torch.testing.assert_close(found.codes.mean(0), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.codes.std(0), torch.ones(2), rtol=1e-4, atol=1e-4)
    codes = checkpoint.derived["codes"]
    z = (codes[7] - codes.mean(0)) / codes.std(0)
    torch.testing.assert_close(found.decode(z[None]), sample.decode(checkpoint, codes[7:8]), rtol=1e-3, atol=1e-3)


def test_the_ring_stands_on_the_nearest_code_by_brute_force():
    found = planes.own({"checkpoint": "tiny-2d"})
    shown = planes.plane_frame(planes.own, {"checkpoint": "tiny-2d", "z": "0.7,-1.3"}).numbers
    distances = [((code - torch.tensor([0.7, -1.3])) ** 2).sum().item() ** 0.5 for code in found.codes]
    nearest = found.codes[int(np.argmin(distances))].numpy()
    assert shown["distance"] == pytest.approx(min(distances), rel=1e-4)
    ring = np.array(shown["nearest"][0]).reshape(-1, 2)
    np.testing.assert_allclose(np.hypot(*(ring - nearest).T), planes.RING, atol=2e-3)
    assert len(shown["codes"]) == 2 * planes.SHOWN == 2 * len(shown["labels"])


def test_a_borrowed_plane_is_asked_for_what_it_decodes():
    shown = planes.plane_frame(lambda query: planes.Plane(*lent()), {"z": "1.5,0"})
    assert close(shown.picture, np.full((28, 28), 191)) and shown.numbers["labels"] == "0123"
    assert shown.numbers["distance"] == pytest.approx(np.hypot(0.5, 1), rel=1e-5)


def test_a_model_of_another_code_gives_way_to_the_one_of_two_numbers():
    a, b = (planes.plane_frame(planes.own, {"checkpoint": name, "z": "0,0"}) for name in ("tiny-30d", "tiny-2d"))
    np.testing.assert_array_equal(a.picture, b.picture)


def test_random_points_lie_in_empty_land_as_often_as_brute_force_finds_and_the_rarest_digit_is_counted(monkeypatch):
    from playground.core import classifier, device

    planes._scattered.clear()
    monkeypatch.setattr(classifier, "probabilities", lambda x: torch.eye(10)[(7 + 2 * (x.mean((1, 2, 3)) < 0.5)).long()])
    z = device.noise(0, range(planes.RANDOM), (2,))
    empty = sum(min(((code - each) ** 2).sum().item() ** 0.5 for code in lent()[2]) > planes.EMPTY for each in z) / planes.RANDOM
    assert planes.scattered(planes.Plane(*lent())) == {"empty": f"{100 * empty:.1f} %", "rarest": "0: 0.0 %"}
    monkeypatch.setattr(classifier, "probabilities", lambda x: torch.eye(10)[torch.arange(len(x)).clamp(max=9)])
    planes._scattered.clear()
    assert planes.scattered(planes.Plane(*lent()))["rarest"] == "0: 0.2 %"
    planes._scattered.clear()


# ---- single units ----------------------------------------------------------------------------------------------


def test_the_k_strongest_units_rebuild_the_picture_one_by_one():
    checkpoint, x = seen("tiny-sparse")
    h = sample.encode(checkpoint, x[None])[0]
    strongest = sorted(range(len(h)), key=lambda j: -h[j].item())
    whole = keep.keep_frame({"checkpoint": "tiny-sparse", "x": DRAWING, "k": "-1"}).numbers
    for k in (0, 2, whole["total"] - 1):
        frame = keep.keep_frame({"checkpoint": "tiny-sparse", "x": DRAWING, "k": str(k)})
        x_hat = checkpoint.model.bias + sum(h[j] * checkpoint.model.atoms[j] for j in strongest[:k + 1])
        x_hat = x_hat.clamp(0, 1).view(x.shape)
        assert close(tile(frame, 1)[..., 0], images.to_uint8(x_hat)) and close(tile(frame, 2), images.signed(x - x_hat))
        assert frame.numbers["kept"] == k + 1 and frame.numbers["unit"] == strongest[k]
        assert frame.numbers["error"] == pytest.approx((x_hat - x).square().sum().item(), rel=1e-3, abs=1e-3)
        assert frame.numbers["l1"] == pytest.approx(sum(h[j].item() for j in strongest[:k + 1]), rel=1e-4)
        assert frame.numbers["errors"][k + 1] == pytest.approx(frame.numbers["error"])
        assert frame.numbers["colours"].count(keep.LIT) == min(k + 1, keep.BARS)
    assert whole["loss"] == pytest.approx(whole["error"] + 0.3 * whole["l1"])
    assert whole["values"] == sorted(whole["values"], reverse=True)


def test_all_units_that_count_are_added_and_no_more():
    shown = keep.keep_frame({"checkpoint": "tiny-top-k", "x": DRAWING, "k": "-1"}).numbers
    assert shown["kept"] == shown["total"] <= 6 and shown["energy"] == "100 %"


def test_a_program_is_told_the_same_of_few_units():
    told = keep.ae_keep("tiny-sparse", DRAWING, 3)
    assert told["picture"].startswith("data:image/png;base64,") and told["kept"] == 3 and told["errors"][3] == pytest.approx(told["error"])


def test_the_wall_shows_the_units_by_their_mean_activation():
    checkpoint = sample.load("tiny-sparse")
    average = checkpoint.derived["average"]
    first, last = (wall.wall_frame({"checkpoint": "tiny-sparse", "leaf": page}) for page in ("1", "60"))
    by_hand = sorted(range(40), key=lambda j: -average[j].item())
    assert [first.numbers[f"mean{i}"] for i in range(32)] == pytest.approx([average[j].item() for j in by_hand[:32]])
    assert first.numbers["pages"] == "1 / 2" and last.numbers["pages"] == "2 / 2" and last.numbers["mean8"] == ""
    weight = checkpoint.model.weight[by_hand[3]].view(1, 28, 28)
    assert close(tile(first, 3), images.signed(weight / weight.abs().max()))
    assert tile(last, 7).max() > 0 == tile(last, 8).max()


def test_a_unit_is_looked_at_with_it_and_without_it():
    checkpoint, x = seen("tiny-contractive")
    unit = int(wall.order(checkpoint)[5])
    frame = wall.unit_frame({"checkpoint": "tiny-contractive", "x": DRAWING, "unit": "5"})
    h = sample.encode(checkpoint, x[None])
    before, h0 = sample.decode(checkpoint, h)[0], h.clone()
    h0[0, unit] = 0
    after = sample.decode(checkpoint, h0)[0]
    assert frame.numbers["unit"] == unit and frame.numbers["now"] == pytest.approx(h[0, unit].item())
    assert close(tile(frame, 1)[..., 0], images.to_uint8(before)) and close(tile(frame, 2)[..., 0], images.to_uint8(after))
    assert frame.numbers["cost"] == pytest.approx(((after - x).square().sum() - (before - x).square().sum()).item(), abs=1e-3)
    assert frame.numbers["projection"] == pytest.approx((checkpoint.model.weight[unit] @ x.flatten()).item(), rel=1e-4)


def test_the_unit_first_in_sight_is_the_one_that_the_picture_excites_most():
    frame = wall.unit_frame({"checkpoint": "tiny-sparse", "x": DRAWING, "unit": "-1"})
    checkpoint, x = seen("tiny-sparse")
    [h] = sample.encode(checkpoint, x[None])
    assert frame.numbers["unit"] == h.argmax() and frame.numbers["now"] == pytest.approx(h.max().item(), rel=1e-5) and frame.numbers["cost"] != 0


def test_the_exciting_pictures_are_those_of_the_largest_activation():
    checkpoint = sample.load("tiny-sparse")
    x = datasets.load("glyphs", "test").images
    unit = int(wall.order(checkpoint)[2])
    h = checkpoint.model.encode(x.float() / 255)[:, unit]
    best = h.argsort(descending=True)[:16]
    frame = wall.exciting_frame({"checkpoint": "tiny-sparse", "x": DRAWING, "unit": "2"})
    assert frame.numbers["largest"] == pytest.approx(h.max().item(), rel=1e-4)
    for i in (0, 15):
        assert frame.picture.shape == (28, 16 * 28, 3) and h[best[i]] >= h.sort(descending=True).values[15]
    np.testing.assert_array_equal(tile(frame, 0)[..., 0], x[best[0], 0])


def test_a_deep_one_gives_way_to_the_sparse_one_on_the_wall():
    a, b = (wall.wall_frame({"checkpoint": name, "leaf": "1"}) for name in ("tiny-30d", "tiny-sparse"))
    np.testing.assert_array_equal(a.picture, b.picture)


# ---- what silence costs ----------------------------------------------------------------------------------------


@pytest.fixture
def snapshots(tiny, trained, monkeypatch):
    """Three sparse models with the figures of CARDS."""
    made, result = trained["tiny-sparse"]
    names = {0.1: "tiny-weight-a", 0.3: "tiny-weight-b", 1.0: "tiny-weight-c"}
    for (weight, name), card in zip(names.items(), CARDS):
        weights = {**result.weights, "bias": result.weights["bias"] + 0.1 * weight}
        save(tiny, name, made, type(result)(result.model, weights, result.derived), metrics=card)
    monkeypatch.setattr(config, "SNAPSHOTS", names)
    monkeypatch.setattr(config, "PENALTIES", tuple(names))
    return names


def test_a_model_of_one_penalty_stands_where_its_card_says(snapshots):
    for at, (weight, card) in enumerate(zip(snapshots, CARDS)):
        shown = penalty.penalty_frame({"x": DRAWING, "at": str(at)}).numbers
        assert (shown["at"], shown["penalty"], shown["error"], shown["share"]) == (at, weight, card["squared_error"], card["active_share"])
        assert shown["shares"] == sorted(card["active_share"] for card in CARDS) and shown["multiplications"] == f"{card['multiplications'] / 1e6:.2f} M"
        assert shown["errors"] == [5.0, 4.0, 3.0] and shown["training"] == [4.5, 3.5, 2.5]


def test_each_of_them_restores_the_picture_and_names_its_atoms(snapshots):
    whole = penalty.all_frame({"x": DRAWING})
    for i, name in enumerate(snapshots.values()):
        x_hat = sample.reconstruct(name, seen(name)[1][None])[0]
        assert close(tile(whole, i)[..., 0], images.to_uint8(x_hat))
    checkpoint, x = seen("tiny-weight-b")
    frame, h = penalty.penalty_frame({"x": DRAWING, "at": "1"}), sample.encode(checkpoint, x[None])[0]
    best = int(h.argmax())
    assert frame.numbers["h0"] == pytest.approx(h[best].item(), rel=1e-4)
    atom = checkpoint.model.atoms[best].view(x.shape)
    assert close(tile(frame, 0), images.signed(atom / atom.abs().max()))


def test_models_without_figures_or_missing_ones_are_a_sentence(snapshots, monkeypatch):
    for name in ("tiny-sparse", "nowhere"):
        monkeypatch.setattr(config, "SNAPSHOTS", {**snapshots, 0.1: name})
        with pytest.raises(PlaygroundError, match="cards"):
            penalty.penalty_frame({"x": DRAWING, "at": "0"})


# ---- contraction -----------------------------------------------------------------------------------------------

PAIR = {"contractive": "tiny-contractive", "tied": "tiny-tied"}


def test_the_singular_values_and_tangents_are_those_of_torch_s_jacobian():
    frame = contraction.spectrum_frame({"checkpoint": "tiny-30d", "x": DRAWING})
    for place, (kind, name) in enumerate(PAIR.items()):
        checkpoint, x = seen(name)
        J = maths.jacobian(checkpoint.model.encode, x).double()
        _, values, Vh = torch.linalg.svd(J, full_matrices=False)
        shown = [value for value in frame.numbers[kind] if value is not None]
        np.testing.assert_allclose(shown, values[:len(shown)], rtol=1e-3, atol=1e-5)
        assert frame.numbers[f"norm_{kind}"] == pytest.approx(J.norm().item(), rel=1e-4)
        assert frame.numbers[f"rank_{kind}"] == f"{(values > 0.01 * values[0]).sum()} / 40"
        leading = Vh[0] * (1 if Vh[0].sum() >= 0 else -1)
        assert np.abs(tile(frame, 5 * place) - images.signed((leading / leading.abs().max()).float().view(x.shape)).astype(int)).max() <= 2
    assert frame.numbers["loss"] == pytest.approx(frame.numbers["error"] + 2.0 * frame.numbers["norm_contractive"] ** 2, rel=1e-4)


def test_the_trained_penalty_flattens_the_encoder():
    shown = contraction.spectrum_frame({"checkpoint": "tiny-30d", "x": DRAWING}).numbers
    assert shown["norm_contractive"] < 0.75 * shown["norm_tied"]


def test_a_small_nudge_moves_the_code_by_the_singular_value():
    query = {"checkpoint": "tiny-30d", "x": DRAWING, "seed": "0", "which": "2", "amount": "0.01"}
    shown, spectrum = contraction.nudge_frame(query).numbers, contraction.spectrum_frame(query).numbers
    for kind in PAIR:
        assert shown[f"ratio_tangent_{kind}"] == pytest.approx(spectrum[kind][1], rel=0.02)
        assert shown[f"ratio_random_{kind}"] < shown[f"ratio_tangent_{kind}"]


def test_the_curves_of_a_nudge_are_distances_of_codes_and_the_pictures_are_nudged():
    frame = contraction.nudge_frame({"checkpoint": "tiny-30d", "x": DRAWING, "seed": "3", "which": "1", "amount": "2"})
    checkpoint, x = seen("tiny-contractive")
    along = contraction.local(checkpoint, x).tangents[0].view(x.shape)
    assert along.norm().item() == pytest.approx(1, rel=1e-4)
    for a, shown in list(zip(frame.numbers["amounts"], frame.numbers["contractive_tangent"]))[::8]:
        moved = checkpoint.model.encode((x + a * along)[None]) - checkpoint.model.encode(x[None])
        assert shown == pytest.approx(moved.norm().item(), rel=1e-3, abs=1e-5)
    assert close(tile(frame, 1)[..., 0], images.to_uint8(x + 2 * along))
    assert frame.numbers["ratio_tangent_contractive"] == pytest.approx(frame.numbers["contractive_tangent"][24] / 2, rel=1e-3)      # the 25th of 33 is 2


def test_a_chosen_tied_one_takes_its_place_in_the_pair():
    assert contraction.pair({"checkpoint": "tiny-contractive"})["contractive"].name == "tiny-contractive"
    assert contraction.pair({"checkpoint": "tiny-tied"})["tied"].name == "tiny-tied"
    told = contraction.ae_contraction("tiny-30d", DRAWING)
    assert set(told) == {"contractive", "tied", "norm_contractive", "norm_tied", "rank_contractive", "rank_tied"}


# ---- repair ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", repair.KINDS)
def test_a_corrupted_picture_is_repaired_by_the_denoiser_and_measured(kind):
    frame = repair.repair_frame({"checkpoint": "tiny-30d", "x": DRAWING, "kind": kind, "amount": "0.4", "seed": "5"})
    checkpoint, x = seen("tiny-denoiser")
    corrupted = maths.corrupted(x[None], kind, 0.4, torch.Generator().manual_seed(5))
    repaired = sample.reconstruct("tiny-denoiser", corrupted)
    assert frame.numbers["by"] == "tiny-denoiser"
    assert close(tile(frame, 1)[..., 0], images.to_uint8(corrupted[0])) and close(tile(frame, 2)[..., 0], images.to_uint8(repaired[0]))
    for key, picture in (("before", corrupted), ("after", repaired)):
        error = (picture - x).square()
        assert frame.numbers[key] == pytest.approx(-10 * np.log10(error.mean().item()), rel=1e-3)
        assert frame.numbers[f"error_{key}"] == pytest.approx(error.sum().item(), rel=1e-3)
    assert frame.numbers["before_all"][0] is None and frame.numbers["before_all"][8] == pytest.approx(frame.numbers["before"], rel=1e-5)


def test_it_fails_where_the_classifier_first_reads_another_digit():
    from playground.core import classifier

    query = {"checkpoint": "tiny-denoiser", "x": DRAWING, "kind": "mask", "seed": "1"}
    fails = repair.repair_frame({**query, "amount": "0"}).numbers["fails"]
    checkpoint, x = seen("tiny-denoiser")
    read = lambda picture: classifier.probabilities(picture).argmax(1).item()    # noqa: E731
    for i in range(repair.POINTS):
        amount = i / (repair.POINTS - 1)
        corrupted = maths.corrupted(x[None], "mask", amount, torch.Generator().manual_seed(1))
        if read(sample.reconstruct("tiny-denoiser", corrupted)) != read(x[None]):
            assert fails == pytest.approx(amount)
            break
    else:
        assert fails is None


def test_a_chosen_denoiser_repairs_and_one_of_other_pictures_does_what_it_can():
    assert repair.mender({"checkpoint": "tiny-denoiser"}).name == "tiny-denoiser"
    assert repair.mender({"checkpoint": "tiny-colour"}).name == "tiny-colour"
    shown = repair.repair_frame({"checkpoint": "tiny-colour", "x": ",e0", "kind": "gaussian", "amount": "0.2", "seed": "0"}).numbers
    assert shown["fails"] is None and shown["after"] > 0
    told = repair.ae_repair("tiny-30d", DRAWING, "mask", 0.3, 2)
    assert told["picture"].startswith("data:image/png;base64,") and told["by"] == "tiny-denoiser"


# ---- pictures to pick from, and what makes no sense ------------------------------------------------------------


def test_a_model_of_anything_but_digits_carries_held_out_pictures_to_pick_from():
    held_out = datasets.load("shapes", "test").images[:EXAMPLES]
    kept = sample.load("tiny-colour")
    assert torch.allclose(views.examples.pictures(kept), sample.decode(kept, sample.encode(kept, held_out / 255)), atol=0.01)        # codes are kept in 16 bits
    assert tab._example("tiny-colour", 3)[0] == "e3" and tab._example("tiny-30d", 4) == ["", DRAWING]
    assert tab._chosen("tiny-colour", DRAWING, "") == "e0" and tab._chosen("tiny-30d", DRAWING, "e0") == ""
    kept = images.pack_picture(np.zeros((28, 28), np.uint8))
    assert tab._chosen("tiny-30d", DRAWING, kept) == kept


def test_a_picture_that_is_not_of_the_model_s_kind_gives_way_to_the_drawing():
    a, b = (tab.look_frame({"checkpoint": "tiny-30d", "x": x}) for x in (DRAWING, f"{DRAWING},{images.pack_picture(np.zeros((32, 32, 3), np.uint8))}"))
    np.testing.assert_array_equal(a.picture, b.picture)


def test_the_models_of_the_penalty_are_not_in_the_tab_s_list():
    assert not set(config.ASIDE) & set(tab.checkpoint_names()) and "tiny-30d" in tab.checkpoint_names()


@pytest.mark.parametrize("frame, query", [
    (tab.look_frame, {"checkpoint": "nowhere", "x": DRAWING}), (tab.look_frame, {"checkpoint": "tiny-30d", "x": ""}), (tab.look_frame, {"checkpoint": "tiny-30d", "x": "nonsense"}),
    (tab.look_frame, {"checkpoint": "tiny-30d", "x": ",p" + "A" * 40}), (tab.look_frame, {}),
    (row.row_frame, {"checkpoint": "tiny-30d", "x": DRAWING, "d": "0"}), (row.row_frame, {"checkpoint": "tiny-30d", "x": DRAWING, "d": "2.5"}),
    (lambda query: planes.plane_frame(planes.own, query), {"checkpoint": "tiny-2d", "z": "NaN,0"}), (lambda query: planes.plane_frame(planes.own, query), {"checkpoint": "tiny-2d", "z": "1"}),
    (keep.keep_frame, {"checkpoint": "tiny-sparse", "x": DRAWING, "k": "1e9"}), (keep.keep_frame, {"checkpoint": "tiny-sparse", "x": "", "k": "0"}),
    (wall.wall_frame, {"checkpoint": "tiny-sparse", "leaf": "0"}), (wall.unit_frame, {"checkpoint": "tiny-sparse", "x": DRAWING, "unit": "-2"}), (wall.exciting_frame, {"checkpoint": "tiny-sparse"}),
    (penalty.penalty_frame, {"x": DRAWING, "at": "99"}), (penalty.all_frame, {"x": ""}),
    (contraction.spectrum_frame, {"checkpoint": "tiny-30d", "x": ""}), (contraction.nudge_frame, {"checkpoint": "tiny-30d", "x": DRAWING, "which": "6", "amount": "0"}),
    (contraction.nudge_frame, {"checkpoint": "tiny-30d", "x": DRAWING, "which": "1", "amount": "inf"}), (contraction.nudge_frame, {"checkpoint": "tiny-30d", "x": DRAWING, "which": "1", "amount": "1", "seed": "-1"}),
    (repair.repair_frame, {"checkpoint": "tiny-30d", "x": DRAWING, "kind": "none", "amount": "0.1"}), (repair.repair_frame, {"checkpoint": "tiny-30d", "x": DRAWING, "kind": "mask", "amount": "NaN"}),
], ids=itertools.count())
def test_what_makes_no_sense_is_refused_in_one_sentence(frame, query):
    with pytest.raises(PlaygroundError):
        frame(query)


@pytest.mark.parametrize("constant, frame, query", [
    ("SPARSE", keep.keep_frame, {"x": DRAWING, "k": "0"}), ("SPARSE", wall.wall_frame, {"leaf": "1"}), ("CONTRACTIVE", contraction.spectrum_frame, {"x": DRAWING}),
    ("PLAIN", contraction.spectrum_frame, {"x": DRAWING}), ("PLANE", lambda query: planes.plane_frame(planes.own, query), {"z": "0,0"}),
])
def test_a_shipped_model_that_is_missing_is_named(monkeypatch, constant, frame, query):
    monkeypatch.setattr(config, constant, "ae-nowhere")
    with pytest.raises(PlaygroundError, match="ae-nowhere"):
        frame({"checkpoint": "tiny-30d", **query})
    assert all(entry.name != "ae-nowhere" for entry in checkpoints.entries())


@pytest.mark.parametrize("name, shape", [("tiny-30d", (28, 28)), ("tiny-colour", (32, 32, 3))])
def test_an_uploaded_picture_is_cut_to_the_model_s_size_and_that_is_said(name, shape, tmp_path, monkeypatch):
    from PIL import Image

    said = []
    monkeypatch.setattr(tab.gr, "Info", lambda text, **_: said.append(text))
    path = tmp_path / "photo.png"
    Image.new("RGB", (90, 60), (255, 0, 0)).save(path)
    text = tab._uploaded(name, str(path))
    picture = images.unpack_picture(text, len(shape) == 3 and 3 or 1, shape[0])
    assert picture.shape == shape and not path.exists()
    assert (picture == 76).all() if len(shape) == 2 else (picture == (255, 0, 0)).all()           # luma of pure red: 0.299
    assert f"{shape[0]}×{shape[0]}" in said[0] and ("grey" in said[0]) == (len(shape) == 2)


def test_what_is_no_picture_is_refused_in_one_sentence(tmp_path):
    for name, data in (("drawing.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>"), ("empty.png", b"")):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(PlaygroundError):
            tab._uploaded("tiny-30d", str(path))
        assert not path.exists()
    path.write_bytes(b"")
    with pytest.raises(PlaygroundError):
        tab._uploaded("nowhere", str(path))
    assert not path.exists(), "nor is it kept for a model that is not there"
