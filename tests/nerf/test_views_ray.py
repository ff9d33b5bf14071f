"""One ray, its training, the probe and the directions: against closed forms of two fields made by hand, and against autograd."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from playground.core import checkpoints, device, images, scenes, solids
from playground.core.errors import PlaygroundError
from playground.nerf import maths, sample, text, views, voxels
from playground.nerf.config import ModelConfig
from playground.nerf.views import anatomy, directions, one_ray, probe, ray
from playground.ui import i18n, live

BOUND, CELLS, DENSITY = 1.0, 32, 2.0
SH = torch.tensor([0.5, -0.2, 0.1, 0.3, 0.0, -0.4, 0.2, 0.6, 0.1, -0.5, 0.2, 0.3])
CAMERA = "20,30,3,45"
RAY = {"checkpoint": "tiny-cube", "camera": CAMERA, "pixel": "0.52,0.47"}
SAMPLED = {"samples": "32", "planes": "-1.7,1.7"}
STEP = {**RAY, **SAMPLED, "target": "own", "colour": "#0072b2", "rate": "0.2", "steps": "1"}


@pytest.fixture(scope="module", autouse=True)
def runs(tmp_path_factory):
    """A cube of one density, a wall that fills x < 0 and a sheet at x = 0; the same colours everywhere, which change with the direction."""
    i18n.register(text.TEXT)
    folder, threads = tmp_path_factory.mktemp("runs"), torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_RUNS", str(folder))
        patch.setattr(device, "for_", lambda purpose: torch.device("cpu"))
        for name in ("tiny-cube", "tiny-wall", "tiny-sheet"):
            config = ModelConfig(bound=BOUND, resolution=CELLS, vertices=(CELLS + 1) ** 3)
            field = voxels.VoxelField(config)
            field.raw.data[:] = maths.tau_to_raw(torch.tensor(DENSITY * field.step))
            if name != "tiny-cube":
                x = field.places()[:, :1] - CELLS // 2
                field.raw.data[:] = torch.where(x <= 0 if name == "tiny-wall" else x.abs() <= 1, 12.0, -8.0)
            field.sh.data[:] = SH
            checkpoints.save(folder / name / "checkpoint", family="nerf", dataset="made by hand", model=dataclasses.asdict(config), train={}, weights=field.state_dict(),
                             derived={}, metrics={}, command="made by a test", made={}, half=False)
        yield folder
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def way(found: ray.Chosen, planes=(-1.7, 1.7)) -> float:
    """How far a ray goes through the cube, between its planes."""
    low, high = maths.box_interval(found.o, found.d, BOUND)
    near, far = found.interval(planes)
    return max(min(high.item(), far) - max(low.item(), near), 0.0)


def colour_towards(d):
    return maths.sh_colour(SH[None], maths.sh_basis(d[None]))[0]


# ---- one ray ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("planes", ["-1.7,1.7", "-0.3,1.7", "-1.7,0.2", "-0.1,0.4"])
def test_a_cube_of_one_density_has_the_closed_form_s_colour_between_the_planes(planes):
    found = ray.chosen(RAY)
    light = math.exp(-DENSITY * way(found, [float(each) for each in planes.split(",")]))
    frame = anatomy.ray_frame({**RAY, "samples": "128", "planes": planes, "draw": "0"})
    expected = (1 - light) * colour_towards(found.d) + light
    np.testing.assert_allclose(frame.picture[0, 1] / 255, expected, atol=0.01)
    assert frame.numbers["sum_w"] == pytest.approx(1 - light, abs=0.03)
    np.testing.assert_allclose(frame.picture[0, 0] / 255, expected, atol=0.03)


def test_the_pixel_is_that_of_the_whole_picture(monkeypatch):
    monkeypatch.setattr(ray, "SIDE", 20)
    found = ray.chosen({**RAY, "pixel": "0.31,0.62"})
    picture = sample.render(found.checkpoint, found.camera.pose, found.camera.field_of_view, 20, 20)
    alone = found.exact()
    np.testing.assert_allclose(alone.rgb[0, 0], picture.rgb[7, 6], atol=2e-3)                # the eighth row from above, the seventh column
    assert alone.depth.item() == pytest.approx(picture.depth[7, 6].item(), abs=1e-2)


def test_a_coarse_sample_lies_in_each_part_and_the_fine_ones_where_the_wall_begins():
    query = {**RAY, "checkpoint": "tiny-wall", "samples": "32", "planes": "-1.5,1.5", "draw": "3"}
    numbers = anatomy.ray_frame(query).numbers
    near, far = numbers["ends"]
    assert np.floor((np.array(numbers["coarse"]) - near) / (far - near) * 32).tolist() == list(range(32))
    found = ray.chosen(query)
    wall = (-found.o[0] / found.d[0]).item()
    part = (far - near) / 32
    assert np.mean(np.abs(np.array(numbers["fine"]) - wall) < 2 * part) > 0.8
    assert numbers["depth"] == pytest.approx(wall, abs=part)
    assert anatomy.ray_frame({**query, "draw": "4"}).numbers["coarse"] != numbers["coarse"] == anatomy.ray_frame(query).numbers["coarse"]


def test_a_near_plane_behind_the_wall_s_face_and_a_far_plane_before_it_change_what_is_seen():
    query = {**RAY, "checkpoint": "tiny-wall", "samples": "64", "draw": "0"}
    before = anatomy.ray_frame({**query, "planes": "-1.7,-0.4"})
    assert before.numbers["sum_w"] < 1e-3 and before.picture[0, 0].min() == 255 and before.numbers["depth"] is None
    behind = anatomy.ray_frame({**query, "planes": "0.2,1.7"}).numbers
    assert behind["depth"] == pytest.approx(behind["ends"][0], abs=0.1) and behind["sum_w"] == pytest.approx(1, abs=1e-3)


def test_the_numbers_of_the_formula_are_the_sample_s():
    numbers = anatomy.ray_frame({**RAY, **SAMPLED, "draw": "0"}).numbers
    assert numbers["w_i"] == pytest.approx(numbers["T_i"] * (1 - math.exp(-numbers["sigma_i"] * numbers["delta_i"])), rel=1e-4)
    assert numbers["w_i"] == pytest.approx(max(numbers["w"]), abs=1e-4)


@pytest.mark.parametrize("handler, query", [
    (anatomy.ray_frame, {**RAY, "checkpoint": "tiny-wall", "samples": "128", "planes": "-1.8,1.8", "draw": "10000"}), (one_ray.step_frame, {**STEP, "samples": "128", "steps": "50"}),
    (probe.probe_frame, {"checkpoint": "tiny-wall", "point": "0.123,-0.456,0.789", "looked": "123.5,-45.5"})], ids=["ray", "step", "probe"])
def test_the_largest_frame_fits_into_its_header(handler, query):
    _, text, _ = live._answer(handler, query, ("", ""), 0)
    assert len(text) <= live.NUMBERS_MAX


# ---- bias and spread -------------------------------------------------------------------------------------------


def test_bias_and_spread_add_up_to_the_error():
    found, truth = torch.rand(32, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0.1, 0.5, 0.9])
    assert math.hypot(*anatomy.error(found, truth)) == pytest.approx((found - truth).square().mean().sqrt().item(), rel=1e-5)


def test_more_samples_lower_both_and_fine_ones_beat_even_ones_at_a_thin_sheet():
    numbers = anatomy.bias_frame({**RAY, "checkpoint": "tiny-sheet", "samples": "16", "planes": "-1.5,1.5"}).numbers
    assert numbers["spreads"][-1] < 0.2 * numbers["spreads"][1] and numbers["biases"][-1] < 0.2 * max(numbers["biases"])
    assert numbers["rms"] == pytest.approx(math.hypot(numbers["spreads"][2], numbers["biases"][2]), rel=1e-5)
    half, even = map(float, numbers["hierarchical"].split(" / "))
    assert half < even


# ---- training one ray ------------------------------------------------------------------------------------------


def samples_of(n=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, generator=generator) * 2, torch.rand(n, 3, generator=generator), torch.rand(3, generator=generator)


def test_the_gradient_is_autograd_s_of_the_plain_formula_and_that_of_differences():
    tau, c, target = samples_of()
    loss = lambda tau, c: (maths.composite(maths.weights(tau, torch.ones_like(tau))[0], c) - target).square().sum()       # noqa: E731
    with torch.enable_grad():
        plain_tau, plain_c = tau.clone().requires_grad_(), c.clone().requires_grad_()
        expected = torch.autograd.grad(loss(plain_tau, plain_c), [plain_tau, plain_c])
    point = one_ray.at(tau, c, target)
    torch.testing.assert_close(point.to_tau, expected[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(point.to_c, expected[1], atol=1e-5, rtol=1e-4)
    h = 1e-3
    for i in (0, 5):
        moved = h * torch.eye(len(tau))[i]
        assert point.to_tau[i].item() == pytest.approx(((loss(tau + moved, c) - loss(tau - moved, c)) / (2 * h)).item(), rel=0.02, abs=1e-4)


def test_each_step_lowers_the_loss_and_stays_in_range():
    points = one_ray.descend(*samples_of(seed=1), rate=0.1, steps=20)
    losses = [point.loss for point in points]
    assert all(after < before for before, after in zip(losses, losses[1:])) and losses[-1] < 0.1 * losses[0]
    assert all(point.tau.min() >= 0 and point.c.min() >= 0 and point.c.max() <= 1 for point in points)


def test_the_ray_s_colour_goes_to_the_one_that_is_wanted_and_the_model_stays():
    before = {key: value.clone() for key, value in sample.load("tiny-cube").model.state_dict().items()}
    frame = one_ray.step_frame({**STEP, "colour": "#806040", "steps": "50"})
    start, end, wanted = frame.picture[0].astype(int)
    assert wanted.tolist() == [0x80, 0x60, 0x40] and np.abs(end - wanted).max() <= 3 < np.abs(start - wanted).max()
    assert frame.numbers["after"] < 1e-3 * frame.numbers["before"]
    after = sample.load("tiny-cube").model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)


def test_the_formula_s_parts_are_the_gradient():
    numbers = one_ray.step_frame(STEP).numbers
    assert numbers["delta"] * (numbers["own_part"] - numbers["shade"]) == pytest.approx(numbers["steepest"], rel=1e-4)
    assert numbers["tau_next"] == pytest.approx(numbers["tau"] - numbers["rate"] * numbers["to_tau"], rel=1e-5)


def test_the_built_in_scene_s_pixel_is_its_exact_one():
    seen = views.camera_at([35, 30, 4.03, 39.6])
    whole = solids.render(seen.pose, seen.field_of_view, ray.SIDE, supersample=1).rgb
    checkpoint = dataclasses.replace(sample.load("tiny-cube"), config={"dataset": "solids"})
    for u, v in ((0.6, 0.42), (0.3, 0.45), (0.02, 0.98)):
        exact = one_ray.pixel(ray.chosen_at(checkpoint, seen, (u, v)))
        np.testing.assert_allclose(exact, whole[int((1 - v) * ray.SIDE), int(u * ray.SIDE)], atol=2e-3)


@pytest.mark.parametrize("text, expected", [("#0072b2", [0, 0x72, 0xB2]), ("rgba(12.4, 200, 255, 1)", [12.4, 200, 255]), ("rgb(1,2,3)", [1, 2, 3]), ("rgb(999,0,0)", [255, 0, 0])])
def test_a_colour_is_read_as_the_picker_writes_it(text, expected):
    np.testing.assert_allclose(one_ray.colour(text) * 255, expected, atol=1e-3)


@pytest.mark.parametrize("text", [None, "", "#12345", "#0072b2ff", "red", "rgb(1,2)", "rgb(.,2,3)", "rgba(1,2,3,x)", 7])
def test_what_is_no_colour_is_refused(text):
    with pytest.raises(PlaygroundError):
        one_ray.colour(text)


# ---- the probe -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tiny-cube", "tiny-wall"])
def test_sigma_never_changes_with_the_direction_and_the_colour_does(name):
    x = torch.rand(1, 3, generator=torch.Generator().manual_seed(2)).expand(200, 3) * 0.8 - 0.6
    rgb, sigma = sample.load(name).model(x, directions.spread(200))
    assert len(sigma.unique()) == 1 and rgb.std(0).min() > 1e-2
    asked = [probe.nerf_probe(name, [-0.2, 0.1, 0.3], [theta, phi]) for theta, phi in ((0, 0), (200, 40), (359, -90))]
    assert len({answer["sigma"] for answer in asked}) == 1 and len({answer["c"] for answer in asked}) == 3


def test_the_probe_gives_the_field_s_own_answer_in_the_direction_of_a_camera_that_stands_there():
    seen = views.camera_at([200, 40, 3, 45])
    torch.testing.assert_close(probe.direction([200, 40]), -seen.pose[:, 2])
    numbers = probe.probe_frame({"checkpoint": "tiny-cube", "point": "0.2,0.1,-0.3", "looked": "200,40"}).numbers
    assert numbers["sigma"] == pytest.approx(DENSITY, rel=1e-4)
    np.testing.assert_allclose(numbers["rgb"], colour_towards(-seen.pose[:, 2]), atol=1e-5)


def test_sigma_along_the_axes_is_that_of_the_lines_through_the_point():
    numbers = probe.probe_frame({"checkpoint": "tiny-wall", "point": "0.2,0.1,-0.3", "looked": "0,0"}).numbers
    places = np.array(numbers["places"])
    assert (np.array(numbers["along_x"])[places < -0.07] > 50).all() and (np.array(numbers["along_x"])[places > 0.07] < 0.1).all()
    assert max(numbers["along_y"] + numbers["along_z"]) < 0.1 and numbers["x"] == pytest.approx(0.2)


def test_the_mark_stands_where_the_point_s_ray_leaves_the_picture():
    seen, x = views.camera_at([77, 12, 2.5, 60]), torch.tensor([0.3, -0.2, 0.4])
    right, down = probe.project(seen, x)
    o, d = maths.camera_rays(seen.pose, seen.field_of_view, 50, 50, torch.tensor([down * 50 - 0.5, right * 50 - 0.5]))
    torch.testing.assert_close(torch.linalg.cross(x - o, d), torch.zeros(3), atol=1e-5, rtol=0)
    assert probe.project(seen, 2 * seen.pose[:, 3]) is None
    picture = probe.scene_frame({"checkpoint": "tiny-cube", "camera": "77,12,2.5,60", "point": "0.3,-0.2,0.4"}).picture
    plain = images.to_uint8(sample.render(sample.load("tiny-cube"), seen.pose, seen.field_of_view, probe.SIDE, probe.SIDE).rgb.permute(2, 0, 1))
    rows, columns = np.nonzero(np.abs(picture.astype(int) - plain).max(-1) > 8)
    assert rows.mean() + 0.5 == pytest.approx(down * probe.SIDE, abs=1) and columns.mean() + 0.5 == pytest.approx(right * probe.SIDE, abs=1)


def test_the_light_that_gets_to_the_camera_has_the_closed_form():
    o, x = torch.tensor([3.0, 0.0, 0.0]), torch.tensor([0.25, 0.0, 0.0])
    assert probe.light(sample.load("tiny-cube"), o, x) == pytest.approx(math.exp(-DENSITY * 0.75), rel=0.02)


def test_the_point_that_the_ray_sees_lies_on_the_wall_and_is_looked_at_from_the_camera():
    *x, theta, phi = probe._put("tiny-wall", 20, 30, 3, 45, 0.52, 0.47)
    assert x[0] == pytest.approx(0, abs=2 * 2 / CELLS)
    found = ray.chosen({**RAY, "checkpoint": "tiny-wall"})
    torch.testing.assert_close(probe.direction([theta, phi]), found.d, atol=2e-3, rtol=0)
    torch.testing.assert_close(torch.linalg.cross(torch.tensor(x) - found.o, found.d), torch.zeros(3), atol=3e-3, rtol=0)


# ---- many directions -------------------------------------------------------------------------------------------


def test_mean_and_variance_over_the_directions_are_the_integrals():
    numbers = directions.nerf_directions("tiny-cube", [20, 30, 3, 45], [0.52, 0.47])
    node, weight = np.polynomial.legendre.leggauss(40)                           # of a sigmoid in the cosine to k, channel by channel
    k0, (ky, kz, kx) = SH[:3].numpy(), SH[3:].view(3, 3).numpy()
    swing = maths.CONTRAST * maths.BAND * maths.SH1 * np.sqrt(kx**2 + ky**2 + kz**2)
    c = 1 / (1 + np.exp(-(maths.CONTRAST * maths.SH0 * k0[:, None] + swing[:, None] * node)))
    mean = c @ weight / 2
    assert numbers["variance"] == pytest.approx(((c - mean[:, None]) ** 2 @ weight / 2).sum(), rel=0.01)
    assert numbers["mean"] == "({:.2f}, {:.2f}, {:.2f})".format(*mean)


def test_the_ball_s_middle_has_the_colour_seen_by_the_camera_and_its_back_the_one_from_behind():
    query = {**RAY, "camera": "20,30,3,45", "pixel": "0.5,0.5", "ignore": "no"}
    picture, back = directions.directions_frame(query).picture / 255, views.camera(query).pose[:, 2]
    middle, side = directions.SPHERE // 2, directions.SPHERE
    np.testing.assert_allclose(picture[middle, middle], colour_towards(-back), atol=0.02)
    np.testing.assert_allclose(picture[middle, side + middle], colour_towards(back), atol=0.02)
    np.testing.assert_array_equal(picture[0, 0], 1)
    still = directions.directions_frame({**query, "ignore": "yes"})
    painted = still.picture[middle - 20:middle + 20, [*range(middle - 20, middle + 20), *range(side + middle - 20, side + middle + 20)]]
    assert painted.reshape(-1, 3).std(0).max() == 0 and still.numbers["now"] == still.numbers["mean"]


def test_a_field_without_directions_has_the_same_density_and_mean_colours_and_the_model_stays():
    field = sample.load("tiny-cube").model
    before = field.sh.clone()
    seen = directions.blind(field)
    x = torch.rand(50, 3, generator=torch.Generator().manual_seed(3)) * 1.8 - 0.9
    torch.testing.assert_close(seen.density(x), field.density(x))
    six = torch.cat([torch.eye(3), -torch.eye(3)])
    mean = torch.stack([field.colour(x, d.expand_as(x)) for d in six]).mean(0)
    torch.testing.assert_close(seen.colour(x, directions.spread(50)), mean, atol=1e-4, rtol=0)
    assert torch.equal(field.sh, before) and field.sh is not seen.sh and field.raw is seen.raw
    assert directions.still_frame(RAY).numbers["psnr"] < 40


def test_a_ray_that_meets_nothing_has_no_surface():
    with pytest.raises(PlaygroundError, match="meets nothing"):
        directions.directions_frame({**RAY, "pixel": "0,1", "ignore": "no"})


# ---- in space --------------------------------------------------------------------------------------------------


def test_the_samples_in_space_lie_on_the_ray(monkeypatch):
    monkeypatch.setattr(scenes, "poses", lambda name: torch.stack([maths.orbit_pose(azimuth, 20, 4) for azimuth in (0, 90)]))
    drawn = anatomy._figure("tiny-cube", 20, 30, 3, 45, 0.52, 0.47, 16, -1.5, 1.5, 0)
    found = ray.chosen(RAY)
    samples = next(trace for trace in drawn.data if trace.mode == "markers" and len(trace.x) == 32)
    x = torch.tensor(np.stack([samples.x, samples.y, samples.z], axis=1)).float()
    torch.testing.assert_close(torch.linalg.cross(x - found.o, found.d.expand_as(x)), torch.zeros_like(x), atol=1e-5, rtol=0)
    assert sum(len(trace.x) == 2 and trace.mode == "markers" for trace in drawn.data) == 1, "two cameras"
