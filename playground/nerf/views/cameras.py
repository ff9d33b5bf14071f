"""The camera ring: where the pictures were taken from, and how well the field shows each of them again."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import mean
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import gradio as gr
import numpy as np

from ...core import images, inputs
from ...core.device import executor
from ...core.errors import PlaygroundError, register
from ...ui import live, parts
from ...ui.errors import guarded
from ...ui.i18n import both, t
from ...ui.ring import ring
from ...ui.state import Field
from . import Piece, Shared, model

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.checkpoints import Checkpoint
    from ...core.scenes import Scene

SIZE = 100                   # pixels a side of what is compared
SHOWN = 150                  # cameras drawn at most: a frame's numbers travel in a header
SLIDER = 110                 # cameras the slider reaches: those of the scenes that are here
SHOTS = 1000                 # of a scene at most; a slider's number beyond those there are means the last
SLICE = 0.15                 # seconds of comparing in a frame
POINTS = 2500                # of the scene, drawn amid the cameras
VIEWS = 6                    # pictures they are taken from
FULL = 0.25                  # error in [0, 1] that has the full colour
SAME = 0.02                  # world units between a camera kept in 16 bits and itself
TRAINED, UNUSED, HELD_OUT = 0, 1, 2          # kinds of cameras, as the ring draws them

register({
    "nerf.cameras": (
        "The field {name} was saved without its cameras, and the pictures of its scene {scene} are not on this machine; choose another field.",
        "场 {name} 保存时没有其相机，本机也没有场景 {scene} 的图片；请选择其他场。",
    ),
    "nerf.pictures": (
        "The pictures of the scene {scene} are not on this machine, so that nothing can be compared with them; the field itself works without.",
        "本机没有场景 {scene} 的图片，无法进行比较；场本身不需要它们。",
    ),
})


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="nerf-cameras"):
        gr.HTML(parts.heading("nerf.cameras", "nerf.cameras.try"))
        with gr.Row():
            with gr.Column(scale=5, min_width=280):
                gr.HTML(ring("nerf.ring", "nerf-shot", alt="nerf.cameras.ring"), js_on_load=None, apply_default_css=False)
                gr.HTML(f'<div class="scale" style="--scale: {", ".join(images.SCALE)}"><i></i><p class="ends"><span>{parts.now("nerf.ring:low")} dB</span>'
                        f'<span>PSNR</span><span>{parts.now("nerf.ring:high")} dB</span></p></div><p class="caption">{both("nerf.cameras.legend")}</p>')
                around = live.View("nerf.ring", alt=both("nerf.cameras.ring"), elsewhere=True, lazy=True, every=60)
            with gr.Column(scale=5, min_width=280):
                shot = parts.Slider(1, SLIDER, 1, step=1, label=t("nerf.cameras.shot"), elem_id="nerf-shot")
                view = live.View("nerf.shot", alt=both("nerf.cameras.alt"), tiles=3, lazy=True, elem_classes="smooth",
                                 captions=tuple(both(f"nerf.cameras.{tile}") for tile in ("truth", "render", "error")))
                gr.HTML(parts.numbers(("nerf.shot:psnr", "nerf.cameras.psnr"), ("nerf.ring:mean", "nerf.cameras.mean"), ("nerf.ring:measured", "nerf.cameras.measured")))
                now = lambda key: parts.now(f"nerf.shot:{key}")                  # noqa: E731
                parts.formula("nerf.cameras.f", r"\mathrm{PSNR}=-10\log_{10}\frac1{3HW}\sum_{\mathbf r}\lVert\hat C(\mathbf r)-C(\mathbf r)\rVert^2",
                              f'−10 log<sub>10</sub> {now("mse")} = {now("psnr")} dB')
                go = gr.Button(t("nerf.cameras.go"), size="sm", elem_id="nerf-shot-go")
    around.follow(checkpoint=shared.checkpoint, shot=shot)
    view.follow(checkpoint=shared.checkpoint, shot=shot)
    live.register("nerf.ring", ring_frame)
    live.register("nerf.shot", shot_frame)
    go.click(None, None, shared.camera, queue=False, api_visibility="private", js="() => playground.live.view('nerf.ring').numbers?.there ?? []")
    gr.api(guarded(nerf_shot), api_name="nerf_shot")
    return Piece([Field("shot", [shot], lambda text: [inputs.integer("shot", inputs.parsed(text), 1, SHOTS)], default="1")], [around, view])


# ---- a scene's pictures, which take seconds to load -----------------------------------------------------------

_loader = ThreadPoolExecutor(1, thread_name_prefix="scenes")
_scenes: dict[str, Future[Scene]] = {}


def pictures(name: str) -> Future[Scene] | None:
    """The scene's pictures, SIZE pixels a side, as they are loaded beside the inference thread; None where they are not here."""
    from ...core import scenes

    if not scenes.present(name):
        return None
    if name not in _scenes or _scenes[name].done() and _scenes[name].exception():
        _scenes[name] = _loader.submit(scenes.load, name, SIZE)
    return _scenes[name]


@dataclass
class Cameras:
    """A field's cameras, and what is known of each by now. Touched on the inference executor alone."""

    poses: Tensor            # (N, 4, 4)
    kinds: list[int]         # of each
    field_of_view: float     # radians
    truth: Tensor | None     # (N, SIZE, SIZE, 3) uint8, where the pictures are here
    psnr: dict[int, float] = field(default_factory=dict)
    points: np.ndarray | None = None         # (2, POINTS, 3) uint8, see ui/ring.py

    def __len__(self) -> int:
        return len(self.poses)

    @property
    def scored(self) -> list[float]:
        """PSNR of the held-out views that were compared."""
        return [value for i, value in self.psnr.items() if self.kinds[i] == HELD_OUT]


_cameras: WeakKeyDictionary[Any, Cameras] = WeakKeyDictionary()


def cameras(checkpoint: Checkpoint) -> tuple[Cameras, bool]:
    """The field's cameras, and whether their pictures are still being loaded.

    Those it has learnt from, as it says itself; with the pictures here also the scene's others, and the held-out ones.
    """
    loading = pictures(checkpoint.config["dataset"])
    here = loading is not None and loading.done()
    found = _cameras.get(checkpoint.model)
    if found is None or here and found.truth is None:
        found = _cameras[checkpoint.model] = _of_scene(checkpoint, loading.result()) if here else _of_itself(checkpoint)
    return found, loading is not None and not here


def _of_itself(checkpoint: Checkpoint) -> Cameras:
    import torch

    if "poses" not in checkpoint.derived:
        raise PlaygroundError("nerf.cameras", name=checkpoint.name, scene=checkpoint.config["dataset"])
    some = _spread(len(checkpoint.derived["poses"]))
    poses = torch.as_tensor(checkpoint.derived["poses"])[some].float()
    return Cameras(poses, [TRAINED] * len(poses), float(checkpoint.derived["field_of_view"]), None)


def _of_scene(checkpoint: Checkpoint, scene: Scene) -> Cameras:
    import torch

    train, held_out = scene.train, scene.held_out
    some, more = _spread(len(train.poses), SHOWN * 2 // 3), _spread(len(held_out.poses), SHOWN // 3)
    poses, truth = (torch.cat([torch.as_tensor(getattr(train, name))[some], torch.as_tensor(getattr(held_out, name))[more]]) for name in ("poses", "images"))
    known = checkpoint.derived.get("poses")
    used = [True] * len(some) if known is None else (torch.cdist(poses[:len(some), :3, 3], known[:, :3, 3].float()).amin(1) < SAME).tolist()
    return Cameras(poses, [TRAINED if yes else UNUSED for yes in used] + [HELD_OUT] * len(more), train.field_of_view, truth)


def _spread(n: int, most: int = SHOWN) -> list[int]:
    """At most `most` of n places, evenly."""
    return sorted({i * n // min(n, most) for i in range(min(n, most))})


def rendered(checkpoint: Checkpoint, known: Cameras, i: int) -> Tensor:
    """What the field shows from camera i, (SIZE, SIZE, 3)."""
    from .. import sample

    return sample.render(checkpoint, known.poses[i], known.field_of_view, SIZE, SIZE).rgb


def compare(checkpoint: Checkpoint, known: Cameras, i: int) -> tuple[Tensor, Tensor]:
    """Truth and picture of camera i, each (SIZE, SIZE, 3) in [0, 1]; its PSNR is known from then on."""
    truth, picture = known.truth[i].float() / 255, rendered(checkpoint, known, i)
    known.psnr[i] = -10 * math.log10(max((picture - truth).square().mean().item(), 1e-10))
    return truth, picture


def chosen(query: Mapping[str, str], known: Cameras) -> int:
    """The place in the list of the camera that a query names, counted from 1; beyond the last it is the last."""
    return min(inputs.integer("shot", inputs.parsed(query.get("shot")), 1, SHOTS), len(known)) - 1


# ---- what the live views draw ----------------------------------------------------------------------------------


def ring_frame(query: Mapping[str, str]) -> live.Frame:
    """All cameras, and the PSNR of those that were compared by now: the held-out ones first, some in each frame."""
    checkpoint = model(query)
    known, loading = cameras(checkpoint)
    i = chosen(query, known)
    if known.points is None:
        known.points = points(checkpoint, known)
    waiting = [] if known.truth is None else [k for k in sorted(range(len(known)), key=lambda k: -known.kinds[k]) if k not in known.psnr]
    begun = time.perf_counter()
    while waiting:
        compare(checkpoint, known, waiting.pop(0))
        if time.perf_counter() - begun > SLICE:
            break
    there = known.poses[:, :3, 3]
    values = [round(known.psnr[k], 2) if k in known.psnr else None for k in range(len(known))]
    scores = list(known.psnr.values())
    return live.Frame(known.points, {
        "cameras": [[round(number, 3) for number in (*pose[:3, 3].tolist(), *pose[:3, 2].tolist(), *pose[:3, 1].tolist())] for pose in known.poses],
        "kinds": "".join(map(str, known.kinds)), "values": values, "low": min(scores, default=None), "high": max(scores, default=None), "chosen": i,
        "half": math.tan(known.field_of_view / 2), "bound": checkpoint.model.bound, "mean": mean(known.scored) if known.scored else None,
        "measured": f"{len(known.psnr)} / {len(known)}", "there": _orbit(there[i], known.field_of_view), "more": bool(waiting) or loading,
    })


def _orbit(at: Tensor, field_of_view: float) -> list[float]:
    """A camera's place as azimuth, elevation, distance and field of view, as the sliders hold them."""
    x, y, z = at.tolist()
    distance = math.hypot(x, y, z)
    return [round(value, 1 if k != 2 else 2) for k, value in enumerate((
        math.degrees(math.atan2(y, x)) % 360, math.degrees(math.asin(z / max(distance, 1e-9))), distance, math.degrees(field_of_view)))]


def points(checkpoint: Checkpoint, known: Cameras) -> np.ndarray:
    """Places on the scene's surface and their colours, as ui/ring.py takes them: (2, N, 3) uint8."""
    import torch

    from .. import sample, shapes

    clouds = []
    for i in _spread(len(known), VIEWS):
        seen = sample.render(checkpoint, known.poses[i], known.field_of_view, SIZE, SIZE)
        clouds.append(shapes.surface(seen.rgb, seen.depth, seen.opacity, known.poses[i], known.field_of_view))
    x, rgb = (torch.cat(part) for part in zip(*clouds))
    some = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:POINTS]
    at = (x[some] / checkpoint.model.bound + 1) / 2
    return (torch.stack([at, rgb[some]]).clamp(0, 1) * 255).round().byte().numpy() if len(some) else np.full((2, 1, 3), 128, np.uint8)


def shot_frame(query: Mapping[str, str]) -> live.Frame:
    """Truth, picture and signed error of the chosen camera; while the truth is being loaded, the picture alone."""
    checkpoint = model(query)
    known, loading = cameras(checkpoint)
    i = chosen(query, known)
    if known.truth is None and not loading:
        raise PlaygroundError("nerf.pictures", scene=checkpoint.config["dataset"])
    if known.truth is None:
        blank, picture = np.full((SIZE, SIZE, 3), 255, np.uint8), images.to_rgb(rendered(checkpoint, known, i).permute(2, 0, 1))
        return live.Frame(np.concatenate([blank, picture, blank], axis=1), {"psnr": None, "mse": None, "more": True})
    return live.Frame(*_compared(checkpoint, known, i))


def _compared(checkpoint: Checkpoint, known: Cameras, i: int) -> tuple[np.ndarray, dict[str, Any]]:
    truth, picture = (x.permute(2, 0, 1) for x in compare(checkpoint, known, i))
    tiles = [images.to_rgb(truth), images.to_rgb(picture), images.signed((picture - truth) / FULL)]
    return np.concatenate(tiles, axis=1), {"psnr": known.psnr[i], "mse": 10 ** (-known.psnr[i] / 10), "more": False}


def nerf_shot(checkpoint: str, shot: int) -> dict:
    """One of the scene's pictures beside what a field shows from the same camera. shot: 1 or more; beyond the last it is the last.

    Returns {"picture": truth, picture and signed error as one PNG data URI, "psnr": dB, "mse", "kind": whether the field has learnt from it}.
    """
    found = executor.run(model, {"checkpoint": checkpoint})
    loading = pictures(found.config["dataset"])
    if loading is None:
        raise PlaygroundError("nerf.pictures", scene=found.config["dataset"])
    loading.result()                                          # not on the inference thread: others go on

    def answer() -> dict:
        known, _ = cameras(found)
        i = chosen({"shot": shot}, known)
        picture, numbers = _compared(found, known, i)
        return {"picture": live.data_uri(picture), "psnr": numbers["psnr"], "mse": numbers["mse"], "kind": ("trained", "unused", "held out")[known.kinds[i]]}

    return executor.run(answer)
