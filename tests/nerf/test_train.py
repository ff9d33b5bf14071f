"""The recipe: what an update does, that a run is its seed, that it resumes across changes of the grid, that it learns."""

import dataclasses
import itertools
import json
from functools import partial

import pytest
import torch

import training
from playground.core import recipe
from playground.core.errors import PlaygroundError
from playground.nerf import config, maths, sample, train

from .conftest import tiny

run, bits = partial(training.run, train), training.bits


def test_a_training_of_a_second_sees_the_scene(trained):
    settings, state = trained
    assert state.field.resolution == 24 and state.stage == len(train.STAGES) - 1
    assert state.held_out > 20                                # all white: 14
    assert state.field.empty > 0.3


def test_one_step_lowers_the_loss_of_its_rays():
    settings = tiny()
    state, _ = run(settings, updates=10)
    rays = next(train.batches(settings, 10))
    before, _ = train.error(settings, dataclasses.replace(state, generator=torch.Generator().manual_seed(0)), rays)
    next(train.train(settings, dataclasses.replace(state, generator=torch.Generator().manual_seed(0)), iter([rays])))
    after, _ = train.error(settings, dataclasses.replace(state, generator=torch.Generator().manual_seed(0)), rays)
    assert after < before


def test_metrics_are_the_error_of_the_update_s_rays_and_of_held_out_ones():
    settings = tiny(steps=5)
    state, progress = run(settings)
    assert [(each.step, each.steps) for each in progress] == [(i, 5) for i in range(1, 6)]
    for each in progress:
        assert each.metrics.keys() == {"loss", "psnr", "psnr_held_out"} and train.BEST in each.metrics
        assert each.metrics["psnr"] == pytest.approx(-10 * torch.tensor(each.metrics["loss"]).log10().item(), abs=1e-3)
    assert run(settings, state=state)[1] == []                      # nothing is left to do


def test_a_run_stopped_at_any_update_and_resumed_is_the_unbroken_run_to_the_bit():
    """Before the first change of the grid, right at one, and between two; also where the state is packed before it has grown."""
    settings = tiny(steps=16)
    unbroken, progress = run(settings)
    assert unbroken.field.resolution > train._resolution(settings, 0) or unbroken.stage
    for stop in (1, 3, 5, 11):
        first, _ = run(settings, updates=stop)
        tensors, meta = recipe.pack(first)
        second = train.init(settings)
        recipe.unpack(second, tensors, json.loads(json.dumps(meta)))
        assert bits(second) == bits(first)
        _, rest = run(settings, state=second)
        assert bits(second) == bits(unbroken) and [p.metrics for p in rest] == [p.metrics for p in progress[stop:]]


def test_another_seed_is_another_run():
    assert run(tiny(), updates=1)[1][0].metrics != run(tiny(seed=4), updates=1)[1][0].metrics


def test_batches_are_the_same_for_the_same_number_and_new_for_each_number():
    settings = tiny()
    stream = train.batches(settings, 0)
    first = [next(stream) for _ in range(60)]                 # into a second epoch
    again = train.batches(settings, 50)
    assert all(torch.equal(next(again).rgb, first[50 + i].rgb) for i in range(10))
    assert not torch.equal(first[0].rgb, first[1].rgb)
    assert first[0].o.shape == first[0].d.shape == first[0].rgb.shape == (512, 3)


def test_an_epoch_goes_through_every_pixel_once():
    settings = tiny(views=2, batch_size=48)                   # 2 x 24 x 24 pixels in 12 batches
    whole = torch.cat([rays.d for rays in itertools.islice(train.batches(settings, 0), 12)])
    assert len(whole.unique(dim=0)) == len(whole) == 2 * 24 * 24


def test_rays_carry_the_colours_of_their_pixels():
    settings = tiny(views=3)
    images, poses, field_of_view = train._pictures(train._scene(settings).train, 3, False)
    rays = next(train.batches(settings, 0))
    view = (rays.o[:, None] - poses[None, :, :3, 3]).norm(dim=-1).argmin(1)
    in_camera = (poses[view, :3, :3].transpose(1, 2) @ rays.d[..., None])[..., 0]
    focal = 12 / torch.tan(torch.tensor(field_of_view / 2))
    column, row = (in_camera[:, 0] / -in_camera[:, 2] * focal + 12).floor().long(), (12 - in_camera[:, 1] / -in_camera[:, 2] * focal).floor().long()
    assert torch.equal(rays.rgb, images[view, row, column].float() / 255)


def test_views_are_spread_over_the_sphere():
    poses = torch.stack([maths.orbit_pose(a, e, 4) for a in range(0, 360, 10) for e in (10, 50)])
    chosen = train.spread(poses, 4)
    at = poses[chosen, :3, 3] / 4
    assert len(chosen.unique()) == 4 and (torch.cdist(at, at) + 9 * torch.eye(4)).min() > 1
    assert torch.equal(train.spread(poses, 500), torch.arange(len(poses)))
    assert torch.equal(train.spread(poses, 4), chosen)


def test_a_film_s_frame_is_the_scene_and_its_depth_and_costs_the_run_nothing(trained):
    settings, state = trained
    before = bits(state)
    film = train.preview(settings, state)
    assert film.shape == (2, 3, 24, 24) and 0 <= film.min() and film.max() <= 1
    assert film[0].std() > 0.05 and film[1].std() > 0.05 and torch.equal(film, train.preview(settings, state))
    assert bits(state) == before


def test_result_looks_as_the_state_does(trained, checkpoint):
    settings, state = trained
    before = bits(state)
    made = train.result(settings, state)
    assert bits(state) == before and json.loads(json.dumps(dict(made.model))) == dict(made.model)
    assert made.derived["poses"].shape == (40, 4, 4)
    o, d = maths.camera_rays(maths.orbit_pose(30, 30, 4), 0.7, 40, 40)
    a, b = (field.trace(o.view(-1, 3), d.view(-1, 3)).rgb for field in (state.field, checkpoint.model))
    assert train.psnr((a - b).square().mean().item()) > 40
    assert sample.build(made.model).state_dict().keys() == made.weights.keys()


@pytest.mark.parametrize("changes", [{"steps": 1}, {"steps": 3, "batch_size": 8}, {"size": 4}, {"views": 1}])
@pytest.mark.parametrize("large", [train.LARGE, 16])
def test_any_length_and_size_of_a_run_will_do(changes, large, monkeypatch):
    monkeypatch.setattr(train, "LARGE", large)                # pixels from which the first updates see small pictures
    state, progress = run(tiny(**{"steps": 3, **changes}))
    assert progress[-1].step == progress[-1].steps and all(0 < p.metrics["loss"] < 1 for p in progress)


def test_large_pictures_are_seen_at_half_their_size_first(monkeypatch):
    monkeypatch.setattr(train, "LARGE", 24)
    settings = tiny(steps=40, views=2, batch_size=8)
    small, large = (train._pictures(train._scene(settings).train, 2, small) for small in (True, False))
    assert small[0].shape == (2, 12, 12, 3)
    torch.testing.assert_close(small[0].float(), large[0].float().unflatten(1, (12, 2)).unflatten(3, (12, 2)).mean((2, 4)), atol=0.51, rtol=0)
    stream = list(itertools.islice(train.batches(settings, 0), 6))
    known = [{tuple(pixel) for pixel in (images.view(-1, 3).float() / 255).tolist()} for images, *_ in (small, large)]
    for number, rays in enumerate(stream):
        assert {tuple(pixel) for pixel in rays.rgb.tolist()} <= known[number >= round(0.08 * 40)]


@pytest.mark.parametrize("wrong", [{"size": 3}, {"size": 1000}, {"views": 0}, {"batch_size": 0}, {"lr": 0.0}, {"field": "mesh"}, {"detail": 9.0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(PlaygroundError, match=next(iter(wrong))):
        tiny(**wrong)


def test_presets_fit_the_page_s_knobs():
    for preset in config.PRESETS.values():
        for name, knob in config.KNOBS.items():
            assert knob.checked(name, getattr(preset, name), getattr(preset, name)) == getattr(preset, name)
