"""The paper's two networks: against the formulas one ray at a time, with and without the map of empty space."""

import dataclasses
import math

import pytest
import torch

from nerf.conftest import tiny
from playground.core import images
from playground.core.errors import PlaygroundError
from playground.nerf import maths, model, train
from playground.nerf.config import ModelConfig, TrainConfig
from playground.nerf.voxels import pack_cells

SMALL = ModelConfig("mlp", 1.3, 8, width=16, depth=3, coarse=8, frequencies=3, directions=2, samples=12, fine=6)
O, D = maths.camera_rays(maths.orbit_pose(20, 25, 3.5), 0.6, 6, 6)
O, D = O.reshape(-1, 3), D.reshape(-1, 3)


@pytest.fixture
def field():
    torch.manual_seed(0)
    made = model.build(vars(SMALL))
    for network in (made.coarse, made.fine):                  # of some density, else there is nothing to render
        torch.nn.init.normal_(network.to_density.weight, std=0.5)
        torch.nn.init.constant_(network.to_density.bias, 1.0)
    return made


def ray_by_ray(field, o, d):
    """The fine pass of NeRF, section 5.2, for one ray, with nothing skipped."""
    near, far = maths.box_interval(o[None], d[None], torch.tensor([[-1.3] * 3, [1.3] * 3]))
    t = maths.strata(near, far, SMALL.samples)
    ask = lambda network, t: network((o + t[0, :, None] * d) / 1.3, d.expand(t.shape[1], 3))          # noqa: E731
    _, sigma = ask(field.coarse, t)
    w, T = maths.weights(sigma[None], maths.edges(t, near, far).diff())
    more = maths.importance(maths.edges(t, near, far), w, SMALL.fine)
    t = torch.cat([t, more], dim=1).sort(dim=1).values
    rgb, sigma = ask(field.fine, t)
    w, _ = maths.weights(sigma[None], maths.edges(t, near, far).diff())
    return maths.composite(w, rgb[None])[0], w.sum()


@torch.no_grad()
def test_rays_together_see_what_each_sees_alone(field, monkeypatch):
    monkeypatch.setattr(model, "HIDDEN", -1.0)                # also what lies behind everything is asked
    seen = field.trace(O, D)
    for i in range(0, len(O), 5):
        rgb, opacity = ray_by_ray(field, O[i], D[i])
        torch.testing.assert_close(seen.rgb[i], rgb, atol=2e-5, rtol=0)
        assert seen.opacity[i] == pytest.approx(opacity.item(), abs=2e-5)


@torch.no_grad()
def test_density_depends_on_the_place_alone_and_colour_on_the_direction_too(field):
    x = torch.rand(50, 3) * 2 - 1
    d = torch.nn.functional.normalize(torch.randn(2, 3), dim=1)
    (rgb, sigma), (other, same) = (field(x, each.expand(50, 3)) for each in d)
    assert torch.equal(sigma, same) and torch.allclose(sigma, field.density(x)) and not torch.allclose(rgb, other)
    assert (sigma > 0).all() and (rgb > 0).all() and (rgb < 1).all()


@torch.no_grad()
def test_cells_known_to_be_empty_are_empty_and_not_asked(field):
    whole = field.trace(O, D).samples
    cells = torch.zeros(8, 8, 8, dtype=torch.bool)
    cells[3:5, 3:5, 2:6] = True
    field.cells = pack_cells(cells)
    field.index()
    assert field.empty == pytest.approx(1 - 16 / 512)
    torch.testing.assert_close(field.box, torch.tensor([[-0.325, -0.325, -0.65], [0.325, 0.325, 0.65]]))
    x = torch.rand(4000, 3) * 2.6 - 1.3
    inside = (x.abs() < torch.tensor([0.325, 0.325, 0.65])).all(1)
    assert torch.equal(field.density(x) > 0, inside)
    asked = field.trace(O, D)
    missed = maths.box_interval(O, D, field.box)[0] >= maths.box_interval(O, D, field.box)[1]
    assert asked.samples < whole and (asked.rgb[missed] == 1).all() and missed.any() and (asked.opacity[~missed] > 0).any()


def test_its_weights_and_its_map_come_back_from_a_checkpoint(field):
    field.cells = pack_cells(torch.rand(8, 8, 8) > 0.5)
    field.index()
    again = model.build(vars(SMALL))
    again.load_state_dict(field.state_dict())
    assert torch.equal(again.kept, field.kept) and torch.equal(again.box, field.box)
    assert torch.equal(again.trace(O, D).rgb, field.trace(O, D).rgb)


def network_run(steps, updates=None, **changes):
    settings = tiny(field="mlp", steps=steps, batch_size=64, lr=0.1, width=16, depth=2, coarse=8, frequencies=4, samples=24, fine=8, views=6, **changes)
    state = train.init(settings)
    progress = []
    for each in train.train(settings, state, train.batches(settings, 0)):
        progress.append(each)
        if updates and each.step == updates:
            break
    return settings, state, progress


def test_a_training_of_seconds_learns_the_scene_and_its_result_is_the_field(monkeypatch):
    monkeypatch.setattr(train, "MAP", 16)
    settings, state, progress = network_run(260)
    first, last = (sum(each.metrics["loss"] for each in part) for part in (progress[:40], progress[-40:]))
    assert last < 0.6 * first and progress[-1].metrics["psnr_held_out"] > progress[0].metrics["psnr_held_out"] + 3
    made = train.result(settings, state)
    again = model.build(made.model)
    again.load_state_dict(made.weights)
    assert torch.equal(again.trace(O, D).rgb, state.field.trace(O, D).rgb)
    assert train.preview(settings, state).shape == (2, 3, 24, 24)


def test_cells_are_taken_for_empty_where_the_density_stays_low_and_come_back_where_it_rises(monkeypatch):
    monkeypatch.setattr(train, "MAP", 16)
    settings, state, _ = network_run(1)
    network = state.field.fine
    torch.nn.init.zeros_(network.to_density.weight)

    def looked(density, rounds):
        torch.nn.init.constant_(network.to_density.bias, math.log(density))
        for _ in range(rounds * train.MAP_SHARE):
            state.step += train.MAP_EVERY
            train._map(settings, state)
        return state.field.empty

    state.step = 0
    assert looked(1e-4, 3) == 0                               # not yet: a place is given some time
    assert looked(1e-4, 12) == 1
    assert looked(5.0, 1) == 0


def test_the_same_seed_is_the_same_run(monkeypatch):
    monkeypatch.setattr(train, "MAP", 16)
    (_, a, _), (_, b, _) = (network_run(30, updates=18) for _ in range(2))
    assert all(torch.equal(x, y) for x, y in zip(a.field.state_dict().values(), b.field.state_dict().values())) and torch.equal(a.found, b.found)


def test_the_loss_is_both_networks_and_its_gradient_that_of_finite_differences(field):
    settings = dataclasses.replace(TrainConfig(field="mlp", dataset="solids", size=24, batch_size=16, samples=12, fine=6))
    state = train.State(field, None, torch.Generator().manual_seed(0))
    rays = train.Rays(O[:16], D[:16], torch.rand(16, 3))
    bias = field.fine.to_colour.bias

    def loss():
        state.generator.manual_seed(5)
        return train.errors(settings, state, rays)

    mse, both = loss()
    assert both > mse > 0
    both.backward()
    gradient, h = bias.grad[1].item(), 0.02
    with torch.no_grad():
        bias[1] += h
        up = loss()[1].item()
        bias[1] -= 2 * h
        down = loss()[1].item()
    assert gradient == pytest.approx((up - down) / (2 * h), rel=5e-3)


def test_a_kind_of_field_there_is_none_of_is_refused():
    with pytest.raises(PlaygroundError, match="field"):
        ModelConfig("mesh")


def test_the_tab_sketches_a_network_in_motion_and_draws_it_row_by_row_at_rest(field, monkeypatch):
    from types import SimpleNamespace

    from playground.nerf import sample, tab, views

    checkpoint = SimpleNamespace(name="small", model=field, config={"dataset": "solids"})
    monkeypatch.setattr(views, "model", lambda query: checkpoint)
    monkeypatch.setattr(views, "SLICE", 1e-9)
    query = {"camera": "30,20,4,39.6", "size": "100"}
    moving = tab.orbit_frame({**query, "quality": "coarse"})
    assert moving.picture.shape == (tab.SKETCH, tab.SKETCH, 3) and moving.passing and not moving.numbers["more"]
    frames = [tab.orbit_frame(query)]
    while frames[-1].numbers["more"]:
        frames.append(tab.orbit_frame(query))
    where = views.camera(query)
    with torch.no_grad():
        exact = sample.render(checkpoint, where.pose, where.field_of_view, 100, 100)
    exact_picture = images.to_uint8(exact.rgb.permute(2, 0, 1)).astype(int)
    assert len(frames) == 13 and abs(frames[-1].picture.astype(int) - exact_picture).max() <= 1
    assert (frames[0].picture[:8] == frames[-1].picture[:8]).all() and (frames[0].picture[40:] != frames[-1].picture[40:]).any()
    assert frames[-1].numbers["samples"] == pytest.approx(exact.samples / 100**2)
    told = tab.nerf_render("small", [30, 20, 4, 39.6], 100)
    assert told["size"] == 100 and "more" not in told
