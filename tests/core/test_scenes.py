"""Scenes by name and from Blender's folders and zips; what is refused, and what a picture becomes."""

import dataclasses
import json
import math
import re
import struct
import zipfile

import numpy as np
import pytest
import torch

import blender
from playground.core import bundles, datasets, scenes, solids
from playground.core.errors import PlaygroundError
from playground.core.scenes import from_folder, from_zip


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    """Nothing remembered, in memory or on the disk."""
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(scenes, "_loaded", type(scenes._loaded)())
    monkeypatch.setattr(scenes, "_own", {})


@pytest.fixture(params=["folder", "zip"])
def take(request, tmp_path):
    """take(files, size): the scene {path: bytes} brought in one way or the other, as "mine"."""

    def take(files, size=blender.SIZE, **limits):
        limits = dataclasses.replace(scenes.LIMITS, **limits)
        if request.param == "folder":
            return from_folder(blender.folder(tmp_path / "mine", files), size, limits=limits)
        return from_zip(blender.zipped(tmp_path / "mine.zip", files), size, limits=limits)

    return take


def refusal(call, *arguments, **options):
    """The key of one sentence in both languages, without a path of the server."""
    with pytest.raises(PlaygroundError) as refused:
        call(*arguments, **options)
    for language in ("en", "zh"):
        sentence = refused.value.sentence(language)
        assert "\n" not in sentence and "/tmp" not in sentence and len(sentence) < 700
    return refused.value.key


def spoiled(**changes):
    return blender.scene(change=lambda found: found.update(changes))


def with_matrix(matrix):
    def change(found):
        found["frames"][3]["transform_matrix"] = matrix
    return blender.scene(change=change)


# ---- by name ---------------------------------------------------------------------------------------------------


def test_the_built_in_scene_is_what_its_renderer_sees_from_its_cameras():
    scene = scenes.load("solids", 16, views=3)
    assert (scene.name, scene.bound) == ("solids", 1.3) and (len(scene.train), len(scene.held_out)) == (3, 10)
    for views in (scene.train, scene.held_out):
        assert views.images.dtype == torch.uint8 and views.images.shape[1:] == (16, 16, 3) and views.poses.shape[1:] == (4, 4)
        exact = solids.render(views.poses[1], views.field_of_view, 16).rgb
        assert ((views.images[1] / 255 - exact).abs() <= 0.5 / 255 + 1e-6).all()
        assert len(set(views.names)) == len(views) == len(views.poses)


def test_fewer_views_are_the_first_ones_of_all_and_the_same_are_held_out():
    few, every = scenes.load("solids", 8, views=5), scenes.load("solids", 8)
    assert (len(few.train), len(every.train), len(every.held_out)) == (5, 100, 10)
    assert torch.equal(few.train.images, every.train.images[:5]) and torch.equal(few.held_out.images, every.held_out.images)
    assert not set(every.train.names) & set(every.held_out.names)
    assert torch.cdist(every.train.poses[:, :3, 3], every.held_out.poses[:, :3, 3]).min() > 0.05


@pytest.mark.parametrize("n", [4, 10, 30, 100])
def test_the_first_cameras_are_spread_over_the_hemisphere_however_many(n):
    at = scenes.around(n)[:, :3, 3].double() / scenes.DISTANCE
    apart = torch.cdist(at, at).fill_diagonal_(9).amin(1)
    even = math.sqrt(2 * math.pi / n)                         # side of a square of each one's share of the area
    assert apart.min() > 0.3 * even and apart.mean() > 0.6 * even
    assert at.norm(dim=1).sub(1).abs().max() < 1e-6 and at[:, 2].min() > 0.02


def test_cameras_around_look_at_the_origin_and_stand_upright():
    poses = scenes.around(20, 7).double()
    axes, at = poses[:, :3, :3], poses[:, :3, 3]
    assert torch.allclose(axes.mT @ axes, torch.eye(3).double().expand(20, 3, 3), atol=1e-6) and torch.allclose(torch.linalg.det(axes), torch.ones(20).double())
    assert torch.allclose(axes[:, :, 2] * scenes.DISTANCE, at, atol=1e-5), "back is away from the origin"
    assert axes[:, 2, 0].abs().max() < 1e-6 and axes[:, 2, 1].min() > 0, "the horizon is level, and up is up"


def test_a_scene_is_loaded_once_and_the_least_used_are_forgotten(monkeypatch):
    first = scenes.load("solids", 8, views=2)
    assert scenes.load("solids", 8, views=2) is first and {first: 1}[first] == 1, "a scene is a key"
    monkeypatch.setattr(scenes, "MEMORY", first.bytes * 13 // 6)            # of 12, 11 and 13 pictures two fit
    second = scenes.load("solids", 8, views=1)
    scenes.load("solids", 8, views=2)
    scenes.load("solids", 8, views=3)
    assert scenes.load("solids", 8, views=2) is first and scenes.load("solids", 8, views=1) is not second


def test_what_takes_seconds_to_render_is_rendered_once_for_all_processes(monkeypatch, tmp_path):
    monkeypatch.setattr(scenes, "WORTH", 6)
    before = scenes.load("solids", 6).train.images
    [file] = (tmp_path / "runs" / ".scenes").iterdir()
    monkeypatch.setattr(scenes, "_render", lambda poses, size: pytest.fail("rendered again"))
    scenes._loaded.clear()
    assert torch.equal(scenes.load("solids", 6).train.images, before)
    scenes._loaded.clear()
    file.write_bytes(b"damaged")
    monkeypatch.undo()
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "file"))
    (tmp_path / "file").write_bytes(b"no folder")
    assert scenes.load("solids", 5).train.images.shape == (100, 5, 5, 3), "a disk that takes nothing costs time only"


def test_an_unknown_name_and_a_size_out_of_range_are_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("PLAYGROUND_DATA", str(tmp_path))
    assert refusal(scenes.load, "nowhere", 16) == "input.choice" == refusal(scenes.load, None, 16)
    assert {refusal(scenes.load, "solids", size) for size in (0, 3, 801, 10**9, "16", None, math.nan)} == {"input.integer"}
    assert refusal(scenes.load, "my-scene", 16) == "scene.own"
    assert refusal(scenes.load, "lego", 16) == "scene.absent"
    assert scenes.present("solids") and not scenes.present("lego") and not scenes.present("my-scene")
    assert len(scenes.poses("lego")) == len(scenes.poses("my-scene")) == 0


@pytest.mark.data
def test_lego_is_its_pictures_on_white_averaged_over_blocks():
    folder = datasets.data_root() / "nerf_synthetic" / "lego"
    if not folder.is_dir():
        pytest.skip("no nerf_synthetic/lego in the data folder: PLAYGROUND_DATA names it")
    from PIL import Image

    assert scenes.present("lego")
    scene = scenes.load("lego", 50)
    assert torch.equal(scenes.poses("lego"), scene.train.poses)
    assert (len(scene.train), len(scene.held_out), scene.bound) == (80, 10, 1.3) and scene.train.field_of_view == pytest.approx(0.6911112)
    assert scene.train.names[:3] == ("r_1", "r_2", "r_3")
    for views, split in ((scene.train, "train"), (scene.held_out, "val")):
        frame = json.loads((folder / f"transforms_{split}.json").read_bytes())["frames"][4]
        assert torch.equal(views.poses[4], torch.tensor(frame["transform_matrix"]))
        rgba = np.asarray(Image.open(folder / f"{frame['file_path']}.png"), dtype=np.float64) / 255
        white = rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]
        blocks = white.reshape(50, len(white) // 50, 50, -1, 3).mean((1, 3))
        assert np.abs(views.images[4].numpy() / 255 - blocks).max() <= 0.5 / 255 + 1e-4
    assert from_folder(folder, 8).bound == pytest.approx(1.3, abs=0.02), "as a visitor's it would have the same cube"


# ---- Blender's format ------------------------------------------------------------------------------------------


def test_a_scene_is_the_same_from_a_folder_and_a_zip_and_as_rendered(take):
    scene = take(blender.scene())
    exact = scenes.load("solids", blender.SIZE, views=6).train
    assert (scene.train.images.int() - exact.images.int()).abs().max() <= 1
    assert torch.equal(scene.train.poses, exact.poses) and scene.train.field_of_view == exact.field_of_view
    assert scene.train.names == tuple(f"r_{i}" for i in range(6)) and scene.name == "mine"
    assert scene.train is scene.held_out, "too few to hold any out"
    assert scene.bound == pytest.approx(1.3, abs=0.02)


def test_what_the_scene_holds_out_is_held_out_and_tests_only_where_nothing_else_is(take):
    files = blender.scene()
    files["test/a.png"] = blender.png(blender.pictures()[0])
    files["transforms_test.json"] = json.dumps(blender.described(2, "test/a")).encode()
    assert len((found := take(files)).held_out) == 2 and found.held_out.names == ("frame_0000", "frame_0001"), "named twice"
    files["transforms_val.json"] = json.dumps(blender.described(3, "train/r_{}", first=9)).encode()
    files["transforms_test.json"] = b"{"                      # not needed, and so not looked at
    scene = take(files)
    assert (len(scene.train), len(scene.held_out)) == (6, 3) and torch.equal(scene.held_out.poses, scenes.around(3, 9))


def test_of_one_file_of_cameras_every_eighth_is_held_out(take):
    scene = take(blender.scene(17, 8, file="transforms.json"), 8)
    assert (scene.held_out.names, len(scene.train)) == (("r_0", "r_8", "r_16"), 14) and "r_8" not in scene.train.names
    assert torch.equal(scene.held_out.poses[1], scenes.around(17)[8])


@pytest.mark.parametrize("prefix", ["lego/", "my sets/lego 2/"])
def test_a_scene_may_lie_deeper_and_beside_other_files(take, prefix):
    files = blender.scene(prefix=prefix)
    others = {"notes.txt": b"words", f"{prefix}depth.exr": b"x", "__MACOSX/transforms_train.json": b"x", ".hidden/transforms.json": b"x",
              f"{prefix}old/transforms_train.json": b"further down"}
    assert len(take({**files, **others}).train) == 6


def test_pictures_are_laid_on_white_by_their_straight_alpha(take):
    rgba = torch.zeros(4, 4, 4, dtype=torch.uint8)
    rgba[..., 0], rgba[..., 3] = 200, torch.tensor([0, 51, 128, 255], dtype=torch.uint8)
    files = blender.scene(2, 4)
    files["train/r_0.png"] = blender.png(rgba)
    alpha = torch.tensor([0, 51, 128, 255]) / 255
    expected = torch.stack([alpha * 200 + (1 - alpha) * 255, (1 - alpha) * 255, (1 - alpha) * 255], dim=1).round()
    assert torch.equal(take(files, 4).train.images[0, 2].float(), expected)
    files["train/r_0.png"] = blender.png(rgba[..., :3])       # no alpha: nothing is white
    assert torch.equal(take(files, 4).train.images[0], rgba[..., :3])


def test_the_area_filter_is_the_mean_of_blocks_and_of_shares_of_pixels():
    x = torch.rand(12, 12, 3, generator=torch.Generator().manual_seed(0))
    assert scenes.area(x, 12) is x
    assert torch.allclose(scenes.area(x, 4), x.view(4, 3, 4, 3, 3).mean((1, 3)), atol=1e-6)
    fine = x.repeat_interleave(5, 0).repeat_interleave(5, 1)  # 60 = 12 x 5: each fifth belongs to one pixel of 5 x 5 wholly
    assert torch.allclose(scenes.area(x, 5), fine.view(5, 12, 5, 12, 3).mean((1, 3)), atol=1e-6)
    assert torch.allclose(scenes.area(x, 60), fine, atol=1e-6) and scenes.area(x, 7).mean().item() == pytest.approx(x.mean().item(), abs=1e-6)


@pytest.mark.parametrize("width, height", [(24, 16), (16, 24)])
def test_of_oblong_pictures_the_central_square_is_taken_and_the_field_of_view_follows(take, width, height):
    picture = torch.zeros(height, width, 3, dtype=torch.uint8)
    picture[(height - 16) // 2:(height + 16) // 2, (width - 16) // 2:(width + 16) // 2] = 255
    files = blender.scene(2)
    files.update({f"train/r_{i}.png": blender.png(picture) for i in range(2)})
    views = take(files).train
    assert views.images.min() == 255
    focal = width / 2 / math.tan(scenes.FIELD_OF_VIEW / 2)    # pixels
    assert views.field_of_view == pytest.approx(2 * math.atan(16 / 2 / focal))


def test_the_cube_of_a_scene_grows_with_it(take):
    def change(found):
        for frame in found["frames"]:
            for row in frame["transform_matrix"][:3]:
                row[3] *= 10
    assert take(blender.scene(change=change)).bound == pytest.approx(13, rel=0.02)


def test_a_bad_matrix_is_one_sentence_that_names_its_frame(take):
    good = scenes.around(4)[3].tolist()
    scaled = (torch.tensor(good) @ torch.diag(torch.tensor([2.0, 2, 2, 1]))).tolist()
    mirrored = (torch.tensor(good) @ torch.diag(torch.tensor([-1.0, 1, 1, 1]))).tolist()
    matrices = [None, [], good[:3], [row[:3] for row in good], "eye", [[1, 2], [3, 4]], [["1"] * 4] * 4, [[math.nan] * 4] * 4, [[True] * 4] * 4,
                [[math.inf] * 4] * 4, [[10**400] * 4] * 4, [[0] * 4] * 4, scaled, mirrored, [*good[:3], [0, 0, 0, 2]], {"a": 1}, [*good[:3], None],
                [[*row[:3], 1e9] for row in good[:3]] + [good[3]], [[[1]] * 4] * 4, "x" * 100_000]
    for matrix in matrices:
        assert refusal(take, with_matrix(matrix)) == "scene.matrix", matrix
    with pytest.raises(PlaygroundError, match="frame 3 in “transforms_train.json” is "):
        take(with_matrix(scaled))


def test_a_picture_that_is_not_there_is_named_and_counted(take):
    files = blender.scene()
    del files["train/r_2.png"], files["train/r_4.png"]
    with pytest.raises(PlaygroundError, match="2 of the 6 pictures .*“train/r_2.png”") as refused:
        take(files)
    assert refused.value.key == "scene.missing"


def test_pictures_of_different_sizes_are_refused(take):
    files = {**blender.scene(), "train/r_3.png": blender.png(torch.zeros(16, 17, 3, dtype=torch.uint8))}
    with pytest.raises(PlaygroundError, match="“r_3.png” has 17×16 pixels, the first picture 16×16"):
        take(files)


def test_what_is_no_picture_is_refused_by_its_name(take):
    for data in (b"", b"no picture", blender.png(blender.pictures()[0])[:60]):
        with pytest.raises(PlaygroundError, match="“r_5.png”") as refused:
            take({**blender.scene(), "train/r_5.png": data})
        assert refused.value.key == "images.broken"


@pytest.mark.parametrize("n", [0, 1, 10_000])
def test_too_few_and_ten_thousand_frames_are_refused_before_any_picture_is_opened(take, n, monkeypatch):
    monkeypatch.setattr(bundles, "_open", lambda *_: pytest.fail("a picture was opened"))
    files = spoiled(frames=blender.described(2)["frames"] * (n // 2) if n > 1 else blender.described(2)["frames"][:n])
    assert refusal(take, files, ratio=10**6) == "scene.frames"


def test_ten_thousand_pictures_are_refused_before_any_is_unpacked(tmp_path, monkeypatch):
    path = blender.zipped(tmp_path / "many.zip", {**blender.scene(), **{f"train/x_{i}.png": b"" for i in range(10_000)}}, zipfile.ZIP_STORED)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("was unpacked"))
    assert refusal(from_zip, path, 16) == "images.files"


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"[" * 100_000, b"\xff\xfe", b'{"camera_angle_x": 1}', b'{"frames": {}}', b'{"frames": 3}', b"null"])
def test_a_file_of_cameras_that_is_none_is_one_sentence(take, data):
    assert refusal(take, {**blender.scene(), "transforms_train.json": data}, ratio=10**6) == "scene.json"


def test_a_file_of_cameras_is_not_read_beyond_its_limit(take):
    files = {**blender.scene(), "transforms_train.json": blender.scene()["transforms_train.json"] + b" " * scenes.JSON_BYTES}
    assert refusal(take, files, ratio=10**6) == "scene.json"


@pytest.mark.parametrize("angle", [None, 0, -0.5, math.pi, 4, "0.7", True, [0.7], math.nan, math.inf, 10**400])
def test_a_field_of_view_that_is_none_is_refused(take, angle):
    assert refusal(take, spoiled(camera_angle_x=angle)) == "scene.angle"


@pytest.mark.parametrize("path", ["../train/r_0", "train/../../r_0", "/etc/passwd", "..\\r_0", "train\\r_0", "C:/r_0", "c:r_0"])
def test_a_frame_whose_path_climbs_out_is_refused(take, path):
    def change(found):
        found["frames"][1]["file_path"] = path
    assert refusal(take, blender.scene(change=change)) == "images.path"


@pytest.mark.parametrize("path", [None, 3, "", ".", "./", ["train/r_0"], "a\x00b", "a\nb", "x" * 10_000, "\ud800"])
def test_a_frame_without_a_plain_path_is_refused(take, path):
    def change(found):
        found["frames"][1]["file_path"] = path
    assert refusal(take, blender.scene(change=change)) == "scene.path"


@pytest.mark.parametrize("frame", [None, 3, [], "x", {}])
def test_a_frame_that_is_none_is_refused(take, frame):
    assert refusal(take, spoiled(frames=[frame, frame])) == "scene.matrix"


def test_no_scene_and_several_scenes_are_refused(take):
    assert refusal(take, {"a.png": blender.png(blender.pictures()[0]), "other.json": b"{}"}) == "scene.none"
    both = {**blender.scene(prefix="one/"), **blender.scene(prefix="two/")}
    with pytest.raises(PlaygroundError, match="2 scenes, such as “one/” and “two/”"):
        take(both)


@pytest.mark.parametrize("why", ["looks away", "beside the scene", "too far"])
def test_cameras_that_do_not_look_at_the_origin_are_refused(take, why):
    def change(found):
        for frame in found["frames"]:
            pose = torch.tensor(frame["transform_matrix"], dtype=torch.float64)
            if why == "looks away":
                pose[:3, :3] = pose[:3, :3] @ torch.diag(torch.tensor([-1.0, 1, -1]).double())
            elif why == "beside the scene":
                pose[:3, 3] += torch.tensor([9.0, 0, 0])
            else:
                pose[:3, 3] *= 1e-4
            frame["transform_matrix"] = pose.tolist()
    assert refusal(take, blender.scene(change=change)) == "scene.centre"


def test_limits_on_bytes_and_pixels_hold_for_the_pictures_that_are_used(take):
    files = blender.scene()
    assert refusal(take, files, bytes_total=6 * 3 * 16**2 - 1) == "images.total"
    assert refusal(take, files, pixels_total=6 * 16**2 - 1) == "images.pixels_total"
    assert refusal(take, files, bytes_per_file=100) == "images.bytes"
    files["train/unused.png"] = bytes(50_000)
    assert len(take(files, pixels_total=6 * 16**2, ratio=10**6, bytes_per_file=20_000).train) == 6


def test_random_damage_to_the_cameras_gives_a_scene_or_a_sentence(take):
    rng, refused = np.random.default_rng(0), 0
    text = blender.scene()["transforms_train.json"]
    for _ in range(25):
        data = bytearray(text)
        for place in rng.integers(0, len(data), rng.choice([1, 4, 40])):
            data[place] = rng.integers(32, 127)
        try:
            take({**blender.scene(), "transforms_train.json": bytes(data)})
        except PlaygroundError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 5


# ---- zips only -------------------------------------------------------------------------------------------------


def test_a_zip_bomb_is_refused_before_it_is_unpacked_and_a_lying_one_when_it_has_said_too_much(tmp_path, monkeypatch):
    bomb = blender.zipped(tmp_path / "bomb.zip", {**blender.scene(), "train/r_0.png": bytes(15_000_000)})
    data = bomb.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("was unpacked"))
        assert refusal(from_zip, bomb, 16) == "images.ratio"
    bomb.write_bytes(data.replace(struct.pack("<I", 15_000_000), struct.pack("<I", 60)))
    assert refusal(from_zip, bomb, 16) == "images.broken"
    json_bomb = blender.zipped(tmp_path / "json.zip", {**blender.scene(), "transforms_train.json": b" " * 15_000_000})
    assert refusal(from_zip, json_bomb, 16) == "images.ratio"
    json_bomb.write_bytes(json_bomb.read_bytes().replace(struct.pack("<I", 15_000_000), struct.pack("<I", 60)))
    assert refusal(from_zip, json_bomb, 16) == "scene.json"


@pytest.mark.parametrize("name", ["../a.png", "train/../../a.png", "/etc/a.png", "..\\a.png", "C:/a.png", "../transforms_train.json"])
def test_a_zip_with_a_path_that_climbs_out_is_refused(tmp_path, name):
    assert refusal(from_zip, blender.zipped(tmp_path / "mine.zip", {**blender.scene(), name: b"x"}), 16) == "images.path"


@pytest.mark.parametrize("data", [b"", b"no zip at all", b"PK\x03\x04 and then nothing"])
def test_what_is_no_zip_or_folder_is_refused_and_nothing_is_written(tmp_path, data):
    (tmp_path / "mine.zip").write_bytes(data)
    assert refusal(from_zip, tmp_path / "mine.zip", 16) == refusal(from_zip, tmp_path / "none.zip", 16) == "images.zip"
    assert refusal(from_folder, tmp_path / "none", 16) == "images.folder"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.zip"]


def test_a_picture_linked_from_outside_a_folder_is_refused(tmp_path):
    blender.folder(tmp_path / "mine", blender.scene())
    (tmp_path / "secret.png").write_bytes(blender.png(blender.pictures()[0]))
    (tmp_path / "mine/train/r_0.png").unlink()
    (tmp_path / "mine/train/r_0.png").symlink_to(tmp_path / "secret.png")
    assert refusal(from_folder, tmp_path / "mine", 16) == "images.path"


# ---- cameras alone ---------------------------------------------------------------------------------------------


def test_cameras_are_poses_a_field_of_view_and_names_fit_for_files(tmp_path):
    text = json.dumps(blender.described(1, "./a b/r_{}.png")).encode()
    (tmp_path / "path.json").write_bytes(text)
    for source in (text, tmp_path / "path.json", str(tmp_path / "path.json")):
        poses, field_of_view, names = scenes.cameras(source)
        assert torch.equal(poses, scenes.around(1)) and field_of_view == scenes.FIELD_OF_VIEW and names == ("r_0",)
    paths = {"train/r_{}": ("r_0", "r_1"), "cam{}/x.png": ("cam0_x", "cam1_x"), "same": ("frame_0000", "frame_0001"), "": ("frame_0000", "frame_0001"),
             "r.{}": ("r.0", "r.1")}
    for path, expected in paths.items():
        names = scenes.cameras(json.dumps(blender.described(2, path)).encode())[2]
        assert names == expected and all(re.fullmatch(r"[\w. ]+", name) for name in names)
    assert scenes.cameras(json.dumps({"camera_angle_x": 1, "frames": [{"transform_matrix": scenes.around(1)[0].tolist()}]}).encode())[2] == ("frame_0000",)


def test_cameras_that_are_none_are_refused(tmp_path):
    for source in (b"{", tmp_path / "none.json", tmp_path, b'{"frames": []}'):
        assert refusal(scenes.cameras, source) in ("scene.json", "scene.frames")
    for path, key in {"../x": "images.path", "x\x00": "scene.path", 3: "scene.path"}.items():
        found = blender.described(2)
        found["frames"][0]["file_path"] = path
        assert refusal(scenes.cameras, json.dumps(found).encode()) == key


# ---- a visitor's own -------------------------------------------------------------------------------------------


def test_a_kept_scene_comes_back_to_the_bit_and_a_damaged_one_is_a_sentence(tmp_path):
    scene = from_zip(blender.zipped(tmp_path / "mine.zip", blender.scene(17, 8)), 8)
    scenes.save(tmp_path / "kept", scene)
    back = scenes.restore(tmp_path / "kept")
    assert (back.name, back.bound) == (scene.name, scene.bound)
    for one, other in ((back.train, scene.train), (back.held_out, scene.held_out)):
        assert torch.equal(one.images, other.images) and torch.equal(one.poses, other.poses)
        assert (one.field_of_view, one.names) == (other.field_of_view, other.names)
    for data in (b"", b"x" * 100, (tmp_path / "kept").read_bytes()[:-100]):
        (tmp_path / "kept").write_bytes(data)
        assert refusal(scenes.restore, tmp_path / "kept") == "scene.kept"


def test_an_offered_scene_is_found_by_its_name_at_any_size_and_replaced_by_the_next_of_that_name(tmp_path):
    first, second = (from_zip(blender.zipped(tmp_path / f"{n}.zip", blender.scene(n)), 16) for n in (3, 4))
    scenes.offer("my-scene", first)
    assert scenes.present("my-scene") and torch.equal(scenes.load("my-scene", 16).train.images, first.train.images)
    small = scenes.load("my-scene", 4).train
    assert (small.images.float() - first.train.images.float().view(3, 4, 4, 4, 4, 3).mean((2, 4))).abs().max() <= 0.5 + 1e-3
    assert len(scenes.load("my-scene", 16, views=2).train) == 2
    scenes.offer("my-scene", second)
    assert len(scenes.load("my-scene", 4).train) == 4 and scenes.load("my-scene", 4).name == "my-scene"
