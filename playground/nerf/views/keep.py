"""Four ways to keep a scene: points, a mesh, voxels and a network, each drawn from the shared camera, with what it takes and what it loses."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import gradio as gr
import numpy as np

from ...core import checkpoints, images
from ...core.device import executor
from ...core.errors import PlaygroundError
from ...ui import live, parts
from ...ui.errors import guarded
from ...ui.i18n import both
from . import Camera, Piece, Shared, camera, camera_at, model, slowly
from .cameras import HELD_OUT, SIZE, Cameras, cameras, pictures

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.checkpoints import Checkpoint
    from ..shapes import Mesh, Points

WAYS = ("points", "mesh", "voxels", "mlp")
SIDE = 160                   # pixels a side of each picture
SLICE = 0.15                 # seconds of what is still to be made or measured, in a frame
POSES, POSE_SIZE = 40, 120   # pictures whose depths make the points, and their pixels a side
SPACING = 0.012              # of the scene's bound: between points
GRID = 112                   # cells a side of the mesh's grid, at most
LEVEL = 0.5                  # share of the light that a voxel holds back where the mesh's surface is
ROOM = 4                     # world units between the camera and the middle, of the pictures that make the points, for a bound of 1.3


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="nerf-keep"):
        gr.HTML(parts.heading("nerf.keep", "nerf.keep.try"))
        view = live.View("nerf.keep", alt=both("nerf.keep.alt"), tiles=len(WAYS), every=100, lazy=True, elem_classes="strip four smooth",
                         captions=[f'<b>{both(f"nerf.keep.{way}")}</b><br>{both(f"nerf.keep.{way}.is")}' for way in WAYS])
        columns = ("bytes", "psnr", "seconds", "holds")
        gr.HTML('<table class="figures"><tr><th></th>' + "".join(f'<th>{both(f"nerf.keep.{column}")}</th>' for column in columns) + "</tr>" + "".join(
            f'<tr><th>{both(f"nerf.keep.{way}")}</th>' + "".join(f'<td>{parts.now(f"nerf.keep:{column}_{way}")}</td>' for column in columns) + "</tr>"
            for way in WAYS) + f'</table><p class="caption">{both("nerf.keep.note")}</p>')
    view.follow(checkpoint=shared.checkpoint, camera=shared.camera)
    live.register("nerf.keep", keep_frame)
    gr.api(guarded(nerf_keep), api_name="nerf_keep")
    return Piece(views=[view])


# ---- what is made once of a field ------------------------------------------------------------------------------


@dataclass
class Kept:
    """A scene's four forms, as far as they have been made, and what was measured of them. Touched on the inference executor alone."""

    voxels: Checkpoint | None
    mlp: Checkpoint | None
    points: Points | None = None
    mesh: Mesh | None = None
    pictures: dict[str, tuple[Any, np.ndarray]] = field(default_factory=dict)   # way -> the camera, and its picture
    seconds: dict[str, float] = field(default_factory=dict)                     # of the last picture, SIDE pixels a side
    scores: dict[str, dict[int, float]] = field(default_factory=dict)           # way -> held-out view -> PSNR
    work: Iterator[None] | None = None                                           # makes the points and the mesh, a little at each step

    @property
    def source(self) -> Checkpoint:
        """The field that points and mesh are made from."""
        return self.voxels or self.mlp


_kept: WeakKeyDictionary[Any, Kept] = WeakKeyDictionary()    # model chosen -> the forms of its scene


def kept(checkpoint: Checkpoint) -> Kept:
    """The chosen field, and of the same scene the other kind of field, where there is one."""
    if checkpoint.model not in _kept:
        scene, own = checkpoint.config["dataset"], checkpoint.model.config.field
        _kept[checkpoint.model] = Kept(*(checkpoint if own == kind else _named(f"nerf-{scene}{end}", kind) for kind, end in (("voxels", ""), ("mlp", "-mlp"))))
    return _kept[checkpoint.model]


def _named(name: str, kind: str) -> Checkpoint | None:
    """The shipped field of that name and kind, if there is one."""
    from .. import sample

    if not any(entry.name == name and entry.family == "nerf" for entry in checkpoints.entries()):
        return None
    found = sample.load(name)
    return found if found.model.config.field == kind else None


def made(forms: Kept) -> bool:
    """Go on making the points and the mesh for SLICE seconds; whether they are done."""
    if forms.mesh is None:
        forms.work = forms.work or _work(forms)
        begun = time.perf_counter()
        for _ in forms.work:
            if time.perf_counter() - begun > SLICE:
                break
    return forms.mesh is not None


def _work(forms: Kept) -> Iterator[None]:
    import torch

    from .. import maths, sample, shapes

    source = forms.source
    bound = source.model.bound
    found = []
    for i in range(POSES):                                    # a spiral from the horizon to the top, evenly by area
        pose = maths.orbit_pose(i * 137.508, math.degrees(math.asin((i + 0.5) / POSES)), ROOM * bound / 1.3)
        one = sample.render(source, pose, sample.FIELD_OF_VIEW, POSE_SIZE, POSE_SIZE)
        found.append(shapes.surface(one.rgb, one.depth, one.opacity, pose, sample.FIELD_OF_VIEW))
        yield
    forms.points = shapes.thinned(*(torch.cat(part) for part in zip(*found)), SPACING * bound)
    yield
    n = min(GRID, source.model.resolution)
    line = torch.linspace(-1, 1, n + 1) * bound
    planes, step = [], 2 * bound / n
    for x in line:                                            # 1 - exp(-sigma delta): of a density without bound only the surface counts
        at = torch.cartesian_prod(x[None], line, line).to(source.model.device)
        planes.append(-torch.expm1(-source.model.density(at).cpu() * step).view(n + 1, n + 1))
        yield
    x, faces = shapes.isosurface(torch.stack(planes), LEVEL)
    yield
    x = x * step - bound
    straight = -shapes.normals(x, faces)                      # each corner's colour as seen from straight above it
    straight = torch.where(straight.square().sum(1, keepdim=True) > 0, straight, torch.tensor([0.0, 0.0, -1.0]))
    inside = x + 0.25 * step * straight
    rgb = torch.cat([source.model.colour(a.to(source.model.device), d.to(source.model.device)).cpu() for a, d in zip(inside.split(65_536), straight.split(65_536))])
    forms.mesh = shapes.Mesh(x, rgb, faces)
    yield


def drawings(forms: Kept) -> dict[str, Callable[[Tensor, float, int], Tensor]]:
    """Of each form there is: from a pose, a field of view (radians) and a number of pixels to its picture (H, W, 3)."""
    from .. import sample, shapes

    def of(one: Checkpoint) -> Callable[[Tensor, float, int], Tensor]:
        return lambda pose, view, side: sample.render(one, pose, view, side, side).rgb

    found: dict[str, Callable[[Tensor, float, int], Tensor]] = {}
    if forms.points is not None:
        found["points"] = lambda pose, view, side: shapes.draw_points(forms.points, pose[:3], view, side, side)[0]
    if forms.mesh is not None:
        found["mesh"] = lambda pose, view, side: shapes.draw_mesh(forms.mesh, pose[:3], view, side, side)[0]
    return found | {way: of(one) for way, one in (("voxels", forms.voxels), ("mlp", forms.mlp)) if one is not None}


# ---- measuring -------------------------------------------------------------------------------------------------


def measure(forms: Kept, known: Cameras) -> bool:
    """Compare with the held-out views for SLICE seconds, one way and view after the other; whether all is done."""
    import torch

    views = [i for i, kind in enumerate(known.kinds) if kind == HELD_OUT]
    draws, begun = drawings(forms), time.perf_counter()
    for i in views:
        for way in WAYS:
            done = forms.scores.setdefault(way, {})
            if way not in draws or i in done:
                continue
            error = (draws[way](known.poses[i], known.field_of_view, SIZE) - torch.as_tensor(known.truth[i]).float() / 255).square().mean().item()
            done[i] = -10 * math.log10(max(error, 1e-10))
            if time.perf_counter() - begun > SLICE:
                return False
    return True


def size(forms: Kept, way: str) -> int | None:
    """Bytes that keep it: of fields as their files are, of points and triangles as shapes.py says."""
    one = getattr(forms, way)
    if way in ("points", "mesh"):
        return one and one.bytes
    return one and next((entry.bytes for entry in checkpoints.entries() if entry.name == one.name), None)


def _count(forms: Kept, way: str) -> str | None:
    """What it is made of, in numbers."""
    one = getattr(forms, way)
    if one is None:
        return None
    if way == "points":
        return f"{len(one.x):,}"
    if way == "mesh":
        return f"{len(one.faces):,} △"
    return f"{one.model.raw.numel():,}" if way == "voxels" else f"{sum(each.numel() for each in one.model.parameters()):,} θ"


def keep_frame(query: Mapping[str, str]) -> live.Frame:
    """The four from the camera, white where one is not made yet or not there; what each takes, and how close it comes."""
    checkpoint, where = model(query), camera(query)
    forms = kept(checkpoint)
    tiles, more = [], False
    for way in WAYS:
        if way not in (draws := drawings(forms)):
            tiles.append(np.full((SIDE, SIDE, 3), 255, np.uint8))
        elif way == "mlp":
            slow = slowly(forms.mlp, where, SIDE)
            tiles.append(images.to_rgb(slow.rgb.permute(2, 0, 1)))
            more = not slow.done
            if slow.done:
                forms.seconds[way] = slow.seconds
        else:
            tiles.append(drawn(forms, way, draws[way], where))
    if not more:                                              # what is in sight comes first
        before = forms.mesh
        more = not made(forms) or forms.mesh is not before or not _measured(forms)           # what was made now is drawn next
    return live.Frame(np.concatenate(tiles, axis=1), {"more": more, **numbers(forms)})


def drawn(forms: Kept, way: str, draw: Callable[[Tensor, float, int], Tensor], where: Camera) -> np.ndarray:
    """One form's picture, uint8 (SIDE, SIDE, 3), and how long it took; once while the camera rests."""
    if forms.pictures.get(way, (None,))[0] != where.numbers:
        begun = time.perf_counter()
        picture = draw(where.pose, where.field_of_view, SIDE)
        forms.seconds[way] = time.perf_counter() - begun
        forms.pictures[way] = where.numbers, images.to_rgb(picture.permute(2, 0, 1))
    return forms.pictures[way][1]


def _measured(forms: Kept) -> bool:
    try:
        known, loading = cameras(forms.source)
    except PlaygroundError:                                   # neither cameras nor pictures: nothing to measure with
        return True
    return not loading and (known.truth is None or measure(forms, known))


def numbers(forms: Kept) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for way in WAYS:
        bytes_, scores, seconds = size(forms, way), list(forms.scores.get(way, {}).values()), forms.seconds.get(way)
        found |= {
            f"bytes_{way}": bytes_ and f"{bytes_ / 1e6:.2f} MB", f"psnr_{way}": f"{sum(scores) / len(scores):.1f} dB" if scores else None,
            f"seconds_{way}": seconds and f"{seconds:.3f} s", f"holds_{way}": _count(forms, way),
        }
    return found


def nerf_keep(checkpoint: str, camera: list[float]) -> dict:
    """A scene as points, mesh, voxels and network (where there is one), from one camera: azimuth and elevation in degrees, distance,
    field of view in degrees. The first call for a field takes some seconds: it makes the points and the mesh.

    Returns {"picture": the four side by side, 160 pixels each, as a PNG data URI, "ways": [{"way", "bytes", "psnr": of held-out views,
    dB, or null where the scene's pictures are not here, "seconds": a frame}, ...]}.
    """
    where = executor.run(camera_at, camera)
    query = {"checkpoint": checkpoint, "camera": ",".join(map(str, where.numbers))}
    loading = pictures(executor.run(model, query).config["dataset"])
    if loading is not None:
        loading.result()
    while (frame := executor.run(keep_frame, query)).numbers["more"]:            # others go on in between
        pass
    forms = executor.run(lambda: kept(model(query)))
    return {"picture": live.data_uri(frame.picture), "ways": [
        {"way": way, "bytes": size(forms, way), "psnr": sum(scores) / len(scores) if (scores := list(forms.scores.get(way, {}).values())) else None,
         "seconds": forms.seconds.get(way)} for way in WAYS]}
