"""Scenes as pictures with their cameras: the built-in one, lego from the data folder, and Blender's folders and zips.

A pose is a camera's frame in the world, (4, 4): its right, up and back as columns, and where it stands.
"""

import contextlib
import hashlib
import json
import math
import os
import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from . import bundles, checkpoints, datasets, files, inputs, solids
from .bundles import File, Limits
from .errors import PlaygroundError, register

BUILT_IN = ("solids",)
_BLENDER = {"lego": ("nerf_synthetic/lego", 1.3)}             # name -> (its folder below the data root, bound)
NAMES = (*BUILT_IN, *_BLENDER)

SIZE_MIN, SIZE_MAX = 4, 800                                   # pixels a side
FRAMES_MIN, FRAMES_MAX = 2, 1000                              # of one file of cameras
JSON_BYTES = 8_000_000                                        # such a file of 1,000 frames takes 1 MB
LIMITS = Limits(files=8_000, bytes_total=1_000_000_000)       # the sets of the NeRF paper: 800 pictures, 400 used, 180 MB
UPRIGHT = 0.01                                                # how far from 1 and 0 the products of a frame's axes may be
NEAREST, FARTHEST = 0.01, 1000.0                              # world units from a camera to the origin
SEEN = 0.9                                                    # of what cameras see at the origin lies in the scene's cube

TRAIN, HELD_OUT = "transforms_train.json", ("transforms_val.json", "transforms_test.json")
ALONE = "transforms.json"                                     # where nothing has been held out

FIELD_OF_VIEW, DISTANCE = 0.6911112, 4.03                     # of lego's cameras, and so of the built-in scene's
VIEWS, VIEWS_HELD_OUT = 100, 10
SPLIT = 16                                                    # pictures, of which every eighth is held out
MEMORY = 400_000_000                                          # bytes of scenes that are remembered
KEPT, FILES_KEPT, WORTH = ".scenes", 4, 64                    # in the runs folder; files in it; pixels from which one is worth it
PATH_LONG, SHOWN = 200, 60                                    # letters of a picture's path; of a value that is refused

register({
    "scene.absent": (
        "{name} is not in the data folder ({folder} was expected there); put it there, or name the folder that holds it with "
        "--data-root or PLAYGROUND_DATA. These scenes work now: {choices}.",
        "数据文件夹中没有 {name}（应有 {folder}）；请放入该文件夹，或用 --data-root 或 PLAYGROUND_DATA 指定其所在文件夹。现在可用的场景：{choices}。",
    ),
    "scene.own": (
        "The scene {name} was a visitor's own and is not kept outside its run; train on it again, or choose another scene.",
        "场景 {name} 是访客自己的，不会在其训练任务之外保留；请重新用它训练，或选择其他场景。",
    ),
    "scene.none": (
        "“{name}” holds no transforms_train.json or transforms.json; a scene as Blender's NeRF add-ons write it was expected: "
        "that file and the pictures it names.",
        "“{name}”中没有 transforms_train.json 或 transforms.json；应为 Blender 的 NeRF 插件导出的场景：该文件及其中列出的图片。",
    ),
    "scene.several": (
        "“{name}” holds {found} scenes, such as “{one}” and “{other}”; one was expected: pack a single one.",
        "“{name}”中有 {found} 个场景，例如“{one}”和“{other}”；应只有一个：请只打包其中一个。",
    ),
    "scene.json": (
        "“{file}” cannot be read as a scene's cameras; a JSON object with camera_angle_x and a list of frames was expected, of at most {limit} MB.",
        "无法将“{file}”读取为场景的相机；应为含 camera_angle_x 和 frames 列表的 JSON 对象，最大 {limit} MB。",
    ),
    "scene.frames": (
        "“{file}” lists {found} frames; {low} to {high} were expected: choose some that show the scene from all sides.",
        "“{file}”列出了 {found} 帧；应为 {low} 到 {high} 帧：请选取从各个方向展示场景的若干帧。",
    ),
    "scene.angle": (
        "camera_angle_x of “{file}” is {found}; the horizontal field of view in radians, between 0 and π, was expected.",
        "“{file}”中的 camera_angle_x 是 {found}；应为水平视角，单位弧度，介于 0 和 π 之间。",
    ),
    "scene.matrix": (
        "transform_matrix of frame {frame} in “{file}” is {found}; 4 rows of 4 finite numbers were expected: a rotation with a "
        "position, then 0 0 0 1. Export the cameras again, without scaling them.",
        "“{file}”中第 {frame} 帧的 transform_matrix 是 {found}；应为 4 行、每行 4 个有限数：旋转与位置，最后一行为 0 0 0 1。请不带缩放地重新导出相机。",
    ),
    "scene.path": (
        "file_path of frame {frame} in “{file}” is {found}; the path of its picture, of plain names, was expected.",
        "“{file}”中第 {frame} 帧的 file_path 是 {found}；应为其图片的路径，由普通文件名组成。",
    ),
    "scene.missing": (
        "{found} of the {expected} pictures named in “{file}” are missing, such as “{one}”; add them, or take their frames out.",
        "“{file}”中列出的 {expected} 张图片缺少 {found} 张，例如“{one}”；请补上，或删去对应的帧。",
    ),
    "scene.size": (
        "“{file}” has {found} pixels, the first picture {expected}; all pictures of a scene were expected to have the same size.",
        "“{file}”有 {found} 像素，而第一张图片有 {expected}；同一场景的所有图片应大小相同。",
    ),
    "scene.centre": (
        "The cameras of “{name}” look at a point {found} from the origin and stand {distance} from it; they were expected to look at "
        "the scene near the origin, from {low} to {high} away. Move the scene there and export it again.",
        "“{name}”的相机注视的点距原点 {found}，相机距原点 {distance}；相机应注视原点附近的场景，距离在 {low} 到 {high} 之间。请把场景移到原点后重新导出。",
    ),
    "scene.kept": (
        "The scene kept for this run is damaged; start a new run with it.",
        "为这个训练任务保存的场景已损坏；请用该场景重新开始一个任务。",
    ),
})


@dataclass(frozen=True, eq=False)
class Views:
    """Pictures of a scene with the cameras that took them. Two are equal only if they are one, so that they can be a key."""

    images: Tensor                                            # uint8 (N, size, size, 3), on white
    poses: Tensor                                             # float32 (N, 4, 4)
    field_of_view: float                                      # horizontal, radians
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False)
class Scene:
    """Scenes are shared by everyone who loads them: never write into their tensors."""

    name: str
    bound: float                                              # all of it lies in [-bound, bound]^3
    train: Views
    held_out: Views                                           # no part of `train`, but where there are fewer than SPLIT pictures

    @property
    def bytes(self) -> int:
        return self.train.images.nbytes + self.held_out.images.nbytes


# ---- scenes by name --------------------------------------------------------------------------------------------

_loaded: OrderedDict[tuple[str, int, int, str], Scene] = OrderedDict()       # the one used last is last
_locks: dict[tuple[str, int, int, str], threading.Lock] = {}
_own: dict[str, Scene] = {}


def load(name: str, size: int, *, views: int = FRAMES_MAX) -> Scene:
    """A scene of NAMES or a visitor's own at `size` pixels a side. views: of the pictures to train on only the first so many.

    Kept in memory, so a second call is free. Raises `PlaygroundError` for an unknown name, and for a scene that is not there.
    """
    size = inputs.integer("size", size, SIZE_MIN, SIZE_MAX)
    views = inputs.integer("views", views, 1, FRAMES_MAX)
    if isinstance(name, str) and datasets.is_own(name):
        if name not in _own:
            raise PlaygroundError("scene.own", name=name)
    else:
        inputs.choice("scene", name, NAMES)
    key = (name, size, views, str(datasets.data_root()))
    with _locks.setdefault(key, threading.Lock()):
        scene = _loaded.pop(key, None)
        if scene is None:
            scene = _solids(size, views) if name in BUILT_IN else _first(_named(name, size), views)
        _loaded[key] = scene
    while sum(each.bytes for each in tuple(_loaded.values())) > MEMORY and len(_loaded) > 1:
        with contextlib.suppress(KeyError):                   # another thread was first
            _loaded.popitem(last=False)
    return scene


def present(name: str) -> bool:
    """Whether a scene can be had."""
    return name in BUILT_IN or name in _own or name in _BLENDER and (datasets.data_root() / _BLENDER[name][0] / TRAIN).is_file()


def poses(name: str) -> Tensor:
    """Where a scene's pictures to train on were taken from, (N, 4, 4), without loading them; none where the scene is not here."""
    if name in BUILT_IN:
        return around(VIEWS)
    if not present(name):
        return torch.empty(0, 4, 4)
    return _own[name].train.poses if name in _own else cameras(datasets.data_root() / _BLENDER[name][0] / TRAIN)[0]


def offer(name: str, scene: Scene) -> None:
    """Let `load` of this process find a visitor's scene under `name`, at sizes up to its own."""
    assert datasets.is_own(name), name
    _own[name] = replace(scene, name=name)
    for key in [key for key in tuple(_loaded) if key[0] == name]:            # another visitor's of the same name
        _loaded.pop(key, None)


def _named(name: str, size: int) -> Scene:
    if name in _own:
        return replace(_own[name], train=_resized(_own[name].train, size), held_out=_resized(_own[name].held_out, size))
    folder, bound = _BLENDER[name]
    if not present(name):
        raise PlaygroundError("scene.absent", name=name, folder=folder, choices=", ".join(filter(present, NAMES)))
    return replace(from_folder(datasets.data_root() / folder, size), name=name, bound=bound)


def _first(scene: Scene, views: int) -> Scene:
    return replace(scene, train=_some(scene.train, range(min(views, len(scene.train)))))


def _some(views: Views, which: Sequence[int]) -> Views:
    index = torch.tensor(which)
    return replace(views, images=views.images[index], poses=views.poses[index], names=tuple(views.names[i] for i in which))


def _resized(views: Views, size: int) -> Views:
    if views.images.shape[1] == size:
        return views
    return replace(views, images=torch.stack([_bytes(area(image / 255, size)) for image in views.images]))


# ---- the built-in scene ----------------------------------------------------------------------------------------


def around(n: int, first: int = 0) -> Tensor:
    """Poses number first..first + n - 1 of cameras on the upper hemisphere, whose first ones are spread evenly, however many:
    (n, 4, 4). Roberts's R2 sequence says how high each stands (evenly by height, and so by area) and where around."""
    plastic = 1.32471795724474602596                          # x^3 = x + 1
    i = torch.arange(first, first + n, dtype=torch.float64) + 1
    z = 0.03 + 0.95 * ((0.5 + i / plastic) % 1)               # neither in the ground nor straight above
    across, angle = (1 - z**2).sqrt(), 2 * math.pi * ((0.5 + i / plastic**2) % 1)
    back = torch.stack([across * angle.cos(), across * angle.sin(), z], dim=1)
    right = torch.stack([-angle.sin(), angle.cos(), torch.zeros_like(z)], dim=1)
    poses = torch.eye(4, dtype=torch.float64).repeat(n, 1, 1)
    poses[:, :3] = torch.stack([right, torch.linalg.cross(back, right), back, DISTANCE * back], dim=2)
    return poses.float()


def _solids(size: int, views: int) -> Scene:
    """Rendered, or as an earlier process has left it on the disk. The held-out cameras go on where the others end."""
    poses = around(VIEWS + VIEWS_HELD_OUT)
    which = [*range(min(views, VIEWS)), *range(VIEWS, VIEWS + VIEWS_HELD_OUT)]
    images = _rendered(poses, size) if len(which) == len(poses) else _render(poses[which], size)
    every = Views(images, poses[which], FIELD_OF_VIEW, tuple(f"view_{i}" for i in which))
    train = len(which) - VIEWS_HELD_OUT
    return Scene("solids", solids.BOUND, _some(every, range(train)), _some(every, range(train, len(which))))


def _render(poses: Tensor, size: int) -> Tensor:
    return torch.stack([_bytes(rgb) for rgb, _ in solids.pictures(poses, FIELD_OF_VIEW, size)])


def _rendered(poses: Tensor, size: int) -> Tensor:
    """`_render`, kept in a file: each worker is a process of its own, and a run must not begin with 20 seconds of rendering."""
    if size < WORTH:
        return _render(poses, size)
    import safetensors.torch

    made_by = hashlib.sha256(Path(solids.__file__).read_bytes() + poses.numpy().tobytes()).hexdigest()[:12]
    path = checkpoints.runs_dir() / KEPT / f"solids-{size}-{made_by}.safetensors"
    try:
        images = safetensors.torch.load(path.read_bytes())["images"]
        if images.shape == (len(poses), size, size, 3) and images.dtype == torch.uint8:
            os.utime(path)
            return images
    except Exception:                                         # not there, or damaged
        pass
    images = _render(poses, size)
    with contextlib.suppress(OSError):                        # a disk that takes nothing: rendered again the next time
        path.parent.mkdir(parents=True, exist_ok=True)
        files.replace(path, safetensors.torch.save({"images": images}))
        for old in sorted(path.parent.glob("*.safetensors"), key=lambda each: -each.stat().st_mtime)[FILES_KEPT:]:
            old.unlink(missing_ok=True)
    return images


# ---- Blender's folders and zips --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Cameras:
    file: str
    poses: Tensor                                             # float32 (N, 4, 4)
    field_of_view: float
    paths: tuple[str, ...]                                    # of the pictures, as the file says; "" where it does not
    names: tuple[str, ...]                                    # each its own, fit for a file


def from_folder(path: str | os.PathLike[str], size: int, *, limits: Limits = LIMITS) -> Scene:
    """A scene in Blender's format: TRAIN with one of HELD_OUT, or ALONE, and the PNGs they name, RGB or RGBA.

    Pictures are laid on white, cropped to their central square (the field of view follows) and area-filtered to `size`.
    Where nothing is held out, every eighth picture of SPLIT or more is. Raises `PlaygroundError` for whatever is not as it
    should be; nothing is decoded before all headers and cameras have been looked at.
    """
    path = Path(path)
    return _import(path.resolve().name, bundles.folder(path, _wanted, limits), size, limits)


def from_zip(path: str | os.PathLike[str], size: int, *, limits: Limits = LIMITS) -> Scene:
    """Like `from_folder`, for a zip; nothing is written to disk. Zip bombs and paths that climb out are refused too."""
    path = Path(path)
    with bundles.zipped(path, _wanted, limits) as found:
        return _import(path.stem, found, size, limits)


def cameras(source: str | os.PathLike[str] | bytes) -> tuple[Tensor, float, tuple[str, ...]]:
    """Poses (N, 4, 4), the horizontal field of view in radians and a name for each frame, fit for a file, of a JSON file
    or its bytes. One frame will do, and no picture need be there. Raises `PlaygroundError` for what is none."""
    if isinstance(source, bytes):
        file, data = ALONE, source
    else:
        file = Path(source).name
        try:
            data = bundles.read_file(Path(source), JSON_BYTES + 1)
        except OSError:
            data = b""
    found = _cameras(data, file, least=1)
    return found.poses, found.field_of_view, found.names


def _wanted(file: str) -> bool:
    return bundles.is_picture(file) or bundles.base(file) in (TRAIN, *HELD_OUT, ALONE)


def _import(name: str, found: list[File], size: int, limits: Limits) -> Scene:
    size = inputs.integer("size", size, SIZE_MIN, SIZE_MAX)
    here = {file.name: file for file in found}
    folder = _folder(name, here)
    present = [file for file in (TRAIN, *HELD_OUT, ALONE) if f"{folder}{file}" in here]
    used = [TRAIN, *[file for file in present if file in HELD_OUT][:1]] if TRAIN in present else [ALONE]
    sets = [_cameras(_text(here[f"{folder}{file}"], limits), file) for file in used]
    chosen = [(each, _files_of(each, folder, here)) for each in sets]
    bundles.check_total([file for _, files in chosen for file in files], name, 3 * size**2 * sum(len(files) for _, files in chosen), limits)
    distance = _distance(name, sets[0].poses)
    views = [_views(cameras, files, name, size, limits) for cameras, files in chosen]
    bound = SEEN * distance * min(1.0, math.tan(views[0].field_of_view / 2))
    return Scene(name, bound, *(views if len(views) > 1 else _split(views[0])))


def _folder(name: str, here: Collection[str]) -> str:
    """Where in a folder or zip the scene is, "" or ending in "/": the uppermost folder with cameras."""
    folders = {file[:-len(bundles.base(file))] for file in here if bundles.base(file) in (TRAIN, ALONE)}
    if not folders:
        raise PlaygroundError("scene.none", name=name)
    top = sorted(each for each in folders if each.count("/") == min(other.count("/") for other in folders))
    if len(top) > 1:
        raise PlaygroundError("scene.several", name=name, found=len(top), one=top[0], other=top[1])
    return top[0]


def _text(file: File, limits: Limits) -> bytes:
    try:
        return bundles.content(file, limits)
    except PlaygroundError as error:
        if error.key == "images.broken":                      # a damaged entry of a zip, but no picture
            raise PlaygroundError("scene.json", file=bundles.base(file.name), limit=bundles.millions(JSON_BYTES)) from error
        raise


def _cameras(data: bytes, file: str, least: int = FRAMES_MIN) -> _Cameras:
    """What a file of cameras says, once all of it has been checked."""
    try:
        described = json.loads(data) if len(data) <= JSON_BYTES else None
    except (ValueError, RecursionError):
        described = None
    if not isinstance(described, dict) or not isinstance(frames := described.get("frames"), list):
        raise PlaygroundError("scene.json", file=file, limit=bundles.millions(JSON_BYTES))
    if not least <= len(frames) <= FRAMES_MAX:
        raise PlaygroundError("scene.frames", file=file, found=len(frames), low=least, high=FRAMES_MAX)
    angle = described.get("camera_angle_x")
    if not _number(angle) or not 0 < angle < math.pi:
        raise PlaygroundError("scene.angle", file=file, found=_shown(angle))
    frames = [frame if isinstance(frame, dict) else {} for frame in frames]
    poses = torch.stack([_pose(frame.get("transform_matrix"), i, file) for i, frame in enumerate(frames)])
    paths = tuple(_path(frame.get("file_path", ""), i, file) for i, frame in enumerate(frames))
    return _Cameras(file, poses, float(angle), paths, _names(paths))


def _pose(matrix: Any, frame: int, file: str) -> Tensor:
    """A frame's matrix (4, 4), if it is a rotation with a position."""
    rows = matrix if isinstance(matrix, list) and len(matrix) == 4 else []
    if rows and all(isinstance(row, list) and len(row) == 4 and all(map(_number, row)) for row in rows):
        pose = torch.tensor(rows, dtype=torch.float64)
        axes = pose[:3, :3]
        upright = (axes.T @ axes - torch.eye(3)).abs().max() <= UPRIGHT and torch.linalg.det(axes) > 0
        if upright and pose[:3, 3].norm() <= FARTHEST and torch.equal(pose[3].round(decimals=6), torch.tensor([0, 0, 0, 1.0]).double()):
            return pose.float()
    raise PlaygroundError("scene.matrix", file=file, frame=frame, found=_shown(matrix))


def _path(path: Any, frame: int, file: str) -> str:
    """A frame's file_path with plain names between its slashes."""
    if not isinstance(path, str) or len(path) > PATH_LONG or not path.isprintable():
        raise PlaygroundError("scene.path", file=file, frame=frame, found=_shown(path))
    bundles.check_path(path, file)
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _names(paths: Sequence[str]) -> tuple[str, ...]:
    """The pictures' own names without their endings, with their folders' where that would not tell them apart."""
    whole = [path[:-len(PurePosixPath(path).suffix)] if bundles.is_picture(path) else path for path in paths]
    for names in ([bundles.base(path) for path in whole], [path.replace("/", "_") for path in whole]):
        if all(names) and len({name.casefold() for name in names}) == len(names):
            return tuple(names)
    return tuple(f"frame_{i:04d}" for i in range(len(paths)))


def _files_of(cameras: _Cameras, folder: str, here: Mapping[str, File]) -> list[File]:
    """The pictures of the frames."""
    for i, path in enumerate(cameras.paths):
        if not path:
            raise PlaygroundError("scene.path", file=cameras.file, frame=i, found=_shown(path))
    files = [folder + (path if bundles.is_picture(path) else f"{path}.png") for path in cameras.paths]
    if missing := [file for file in files if file not in here]:
        raise PlaygroundError("scene.missing", file=cameras.file, found=len(missing), expected=len(files), one=missing[0])
    return [here[file] for file in files]


def _distance(name: str, poses: Tensor) -> float:
    """How far the cameras are from the origin, in the median, if they look at about there.

    The point they look at is the nearest one to all their axes, by least squares, drawn to the origin a little, since parallel
    axes have no such point.
    """
    o, a = poses[:, :3, 3].double(), -poses[:, :3, 2].double()
    across = torch.eye(3, dtype=torch.float64) - a[:, :, None] * a[:, None, :]                # (N, 3, 3): what is off an axis
    focus = torch.linalg.solve(across.sum(0) + 1e-3 * len(poses) * torch.eye(3), (across @ o[:, :, None]).sum(0))[:, 0]
    distance, off = o.norm(dim=1).median().item(), focus.norm().item()
    looks = ((focus - o) * a).sum(1).median() > 0             # not away from it
    if not (NEAREST <= distance <= FARTHEST and off <= distance / 2 and looks):
        raise PlaygroundError("scene.centre", name=name, found=f"{off:.3g}", distance=f"{distance:.3g}", low=NEAREST, high=f"{FARTHEST:g}")
    return distance


def _views(cameras: _Cameras, files: list[File], name: str, size: int, limits: Limits) -> Views:
    images = torch.empty(len(files), size, size, 3, dtype=torch.uint8)
    first = None
    for image, file, picture in zip(images, files, bundles.opened(files, name, limits)):
        first = first or picture.size
        if picture.size != first:
            found, expected = (f"{width}×{height}" for width, height in (picture.size, first))
            raise PlaygroundError("scene.size", file=bundles.base(file.name), found=found, expected=expected)
        image[:] = _bytes(area(_on_white(picture, file), size))
    width, height = first
    field_of_view = 2 * math.atan(math.tan(cameras.field_of_view / 2) * min(1.0, height / width))
    return Views(images, cameras.poses, field_of_view, cameras.names)


def _on_white(picture: Image.Image, file: File) -> Tensor:
    """The central square of a picture, float32 (side, side, 3) in [0, 1]. Alpha is straight, as PNG has it."""
    with bundles.decoding(file):
        (width, height), side = picture.size, min(picture.size)
        left, top = (width - side) // 2, (height - side) // 2
        picture = bundles.eight_bits(picture).crop((left, top, left + side, top + side))
        pixels = np.asarray(picture.convert("RGBA" if picture.has_transparency_data else "RGB"))
    x = torch.from_numpy(pixels.astype(np.float32) / 255)
    return x if x.shape[2] == 3 else x[..., :3] * x[..., 3:] + (1 - x[..., 3:])


def area(x: Tensor, size: int) -> Tensor:
    """A square picture (side, side, C) at `size` pixels a side: each the mean of what it covers, shares of pixels included."""
    side = len(x)
    if side == size:
        return x
    weights = _overlap(side, size)                            # (size, side)
    rows = (weights @ x.reshape(side, -1)).view(size, side, -1)
    return torch.einsum("js,isc->ijc", weights, rows)


@lru_cache(maxsize=16)
def _overlap(side: int, size: int) -> Tensor:
    """How much of each new pixel each old one is, (size, side); rows sum to 1."""
    edges = torch.arange(size + 1, dtype=torch.float64) * side / size
    old = torch.arange(side, dtype=torch.float64)
    covered = torch.minimum(edges[1:, None], old + 1) - torch.maximum(edges[:-1, None], old)
    return (covered.clamp(min=0) * size / side).float()


def _split(views: Views) -> tuple[Views, Views]:
    """What to train on and what to hold out, where the scene does not say: every eighth picture, if there are enough."""
    n = len(views)
    if n < SPLIT:
        return views, views
    return _some(views, [i for i in range(n) if i % 8]), _some(views, range(0, n, 8))


def _bytes(x: Tensor) -> Tensor:
    return (x * 255).round().clamp(0, 255).byte()


def _number(value: Any) -> bool:
    """Whether a value of JSON is a number that float32 holds."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e30          # NaN is not


def _shown(value: Any) -> str:
    """A value as it stands in its file, cut."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[:SHOWN - 1]}…"


# ---- a visitor's own, kept for a run ---------------------------------------------------------------------------


def save(path: Path, scene: Scene) -> None:
    """Keep a scene as one safetensors file. Raises OSError where the disk refuses."""
    import safetensors.torch

    parts = {"train": scene.train, "held_out": scene.held_out}
    tensors = {f"{part}.{key}": getattr(views, key).clone() for part, views in parts.items() for key in ("images", "poses")}
    text = {"name": scene.name, "bound": scene.bound, **{part: [views.field_of_view, views.names] for part, views in parts.items()}}
    files.replace(path, safetensors.torch.save(tensors, {"json": json.dumps(text)}))


def restore(path: Path) -> Scene:
    """What `save` kept."""
    import safetensors

    try:
        with safetensors.safe_open(path, "pt") as file:
            meta = json.loads(file.metadata()["json"])
            views = [Views(file.get_tensor(f"{part}.images"), file.get_tensor(f"{part}.poses"), meta[part][0], tuple(meta[part][1]))
                     for part in ("train", "held_out")]
        return Scene(meta["name"], meta["bound"], *views)
    except Exception as error:                                # whatever a damaged file leads to, and another kind of it
        raise PlaygroundError("scene.kept") from error
