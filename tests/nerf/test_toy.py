"""A picture fitted with L frequencies: what the network is told, what it learns from, and what its spectrum is."""

import math

import numpy as np
import pytest
import torch

from playground.core import device, images, metrics, solids
from playground.core.errors import PlaygroundError
from playground.nerf import config, maths, toy
from playground.nerf.views import encoding


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(toy, "_labs", type(toy._labs)())
    monkeypatch.setattr(toy, "STEPS", 60)
    monkeypatch.setattr(device, "for_", lambda purpose: torch.device("cpu"))


def test_places_are_the_centres_of_pixels_and_half_of_them_are_kept_from_the_fit():
    p = toy.places().view(toy.SIZE, toy.SIZE, 2)
    assert p[0, 0].tolist() == pytest.approx([1 / toy.SIZE - 1] * 2) and p[0, -1, 0] == -p[0, 0, 0] and p[3, 5, 0] > p[3, 4, 0] and p[4, 5, 1] > p[3, 5, 1]
    seen = toy.seen().view(toy.SIZE, toy.SIZE)
    assert not (seen[1:] == seen[:-1]).any() and not (seen[:, 1:] == seen[:, :-1]).any(), "no two neighbours"


@pytest.mark.parametrize("L", [0, 1, 3, 10])
def test_the_network_is_told_gamma_of_both_coordinates_beside_them(L):
    p = torch.rand(7, 2) * 2 - 1
    told = toy.inputs(p, L)
    assert told.shape == (7, 2 + 4 * L) and torch.equal(told[:, :2], p)
    waves = {round(float(wave), 4) for l_ in range(L) for axis in range(2) for wave in ((2**l_ * math.pi * p[0, axis]).sin(), (2**l_ * math.pi * p[0, axis]).cos())}
    assert {round(float(value), 4) for value in told[0, 2:]} == waves


def test_the_target_is_the_scene_s_exact_picture():
    exact = solids.render(maths.orbit_pose(*toy.VIEW), math.radians(toy.FIELD_OF_VIEW), toy.SIZE).rgb
    assert torch.equal(toy.target(), exact.permute(2, 0, 1))


def test_a_fit_with_frequencies_sees_what_one_without_cannot_and_only_learnt_pixels_count():
    lab = toy.lab("a", 0)
    for L in (0, 4):
        lab.advance(L, 1e9)
    assert lab.fit(4).done and lab.fit(4).psnr(True) > lab.fit(0).psnr(True) + 1
    some = toy.seen().view(toy.SIZE, toy.SIZE)
    assert lab.fit(4).psnr(False) == pytest.approx(metrics.psnr(lab.fit(4).picture()[:, ~some], toy.target()[:, ~some]))
    assert lab.curve(True)[0] == lab.fit(0).psnr(True) and lab.curve(True)[1] is None
    again = toy.lab("b", 0)
    again.advance(4, 1e9)
    assert torch.equal(again.fit(4).picture(), lab.fit(4).picture()) and not torch.equal(toy.lab("b", 1).fit(4).picture(), lab.fit(4).picture())


def test_a_lab_trains_the_chosen_fit_first_and_then_the_others():
    lab = toy.lab("a", 0)
    while not lab.done:
        lab.advance(7, 1e9)
        if lab.step == toy.STEPS:
            assert lab.fit(7).done
    assert lab.step == toy.STEPS * len(toy.LS) and None not in lab.curve(False)


def test_labs_are_kept_by_owner_and_the_oldest_go_first(monkeypatch):
    monkeypatch.setattr(toy, "LABS", 2)
    first = toy.lab("a", 0)
    toy.lab("b", 0)
    assert toy.lab("a", 0) is first
    toy.lab("c", 0)
    assert list(toy._labs) == ["a", "c"] and toy.lab("a", 1) is not first


@pytest.mark.parametrize("L", [1, 2, 5, 10])
def test_the_kernel_is_the_product_of_two_encodings(L):
    p, q = torch.rand(2, 20) * 2 - 1
    product = (maths.encoding(p[:, None], L) * maths.encoding(q[:, None], L)).sum(1) / L
    torch.testing.assert_close(toy.kernel(p - q, L), product, atol=2e-4, rtol=0)
    half = toy.reach(L)
    assert toy.kernel(torch.tensor(half * 2 / toy.SIZE), L) == pytest.approx(0.5, abs=0.01) and (L == 1 or half < toy.reach(L - 1))


def test_a_wave_is_one_peak_of_the_spectrum_at_its_own_frequency(monkeypatch):
    x = toy.places()[:, 0].view(toy.SIZE, toy.SIZE)
    wave = (0.5 + 0.5 * torch.sin(math.pi * 12 * x)).expand(3, -1, -1)                     # 12 cycles a side
    monkeypatch.setattr(toy, "target", lambda: wave)
    found = toy.spectrum(wave)
    row, column = divmod(int(found.argmax()), toy.SIZE)
    assert row == toy.SIZE // 2 and abs(column - toy.SIZE // 2) == 12 and found.max() == 0 and found.min() >= toy.FLOOR
    assert int(np.argmax(toy.rings(wave))) == 12 - 1


def test_a_frame_shows_the_fit_at_its_l_and_everyone_s_before_the_first_click():
    frame = encoding.encoding_frame({"L": "3", "play": ""})
    lab = toy.lab("", 0)
    assert frame.picture.shape == (toy.SIZE, 6 * toy.SIZE, 3) and frame.numbers["L"] == 3 and frame.numbers["updates"] == lab.fit(3).step > 0
    fit = lab.fit(3).picture()
    np.testing.assert_array_equal(frame.picture[:, :toy.SIZE], images.to_rgb(toy.target()))
    np.testing.assert_array_equal(frame.picture[:, toy.SIZE:2 * toy.SIZE], images.to_rgb(fit))
    assert frame.numbers["unseen"] == lab.fit(3).psnr(False) and frame.numbers["highest"] == 4 and frame.numbers["width"] == 14


def test_programs_get_a_fit_to_its_end():
    told = encoding.nerf_encoding(2)
    assert told["updates"] == toy.STEPS and told["picture"].startswith("data:image/png;base64,")


@pytest.mark.parametrize("L", ["", "x", "-1", "11", "2.5", "NaN"])
def test_an_l_out_of_range_is_refused(L):
    with pytest.raises(PlaygroundError):
        encoding.encoding_frame({"L": L, "play": ""})


def test_without_the_two_networks_the_strip_says_so(monkeypatch):
    monkeypatch.setattr(config, "ENCODED", {0: "nowhere-0", 10: "nowhere-10"})
    with pytest.raises(PlaygroundError, match="nowhere-0, nowhere-10"):
        encoding.fields_frame({"camera": "35,30,4,40"})
