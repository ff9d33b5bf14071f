"""A page with one picture to turn, of a cheap synthetic scene, for the tests of the camera and of the renderer in the browser.

`orbit_page.py`: a ball, drawn at once. `--volume`: a small field of voxels (referee.py), drawn by brute force, and packed for the
browser. `--ordinary`: the ball behind a gr.Image, the ordinary way, with the best settings that were measured for such an event.
"""

import math
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[i]) for i in (1, 2)]

import gradio as gr  # noqa: E402
import numpy as np  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402

from playground import page  # noqa: E402
from playground.core import device, inputs  # noqa: E402
from playground.ui import guard, head, live, orbit, volume  # noqa: E402
from playground.ui.state import Field, State  # noqa: E402

KNOBS = {"azimuth": (0, 360, 35), "elevation": (-10, 89, 30), "distance": (1.5, 6, 4), "field": (15, 75, 40)}        # least, most, at the start
EXACT, COARSE = 200, 100     # pixels a side
FIELD = 24                   # cells a side


def ball(camera: list[float], size: int) -> np.ndarray:
    """A ball of radius 1 around the origin, with meridians and parallels, on white; uint8 (size, size, 3)."""
    azimuth, elevation, distance, view = camera
    a, e = math.radians(azimuth), math.radians(elevation)
    back = np.array([math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)], np.float32)
    right = np.array([-math.sin(a), math.cos(a), 0], np.float32)
    across = ((np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1) * math.tan(math.radians(view) / 2)
    d = across[:, None] * right - across[:, None, None] * np.cross(back, right).astype(np.float32) - back
    d /= np.sqrt((d**2).sum(-1, keepdims=True))
    b = distance * (d @ back)
    inside = b**2 - distance**2 + 1
    p = distance * back + (-b - np.sqrt(np.maximum(inside, 0)))[..., None] * d
    shade = 0.8 + 0.2 * np.sin(8 * np.arctan2(p[..., 1], p[..., 0])) * np.sin(12 * p[..., 2])
    colour = (0.6 + 0.4 * p) * shade[..., None]
    return (np.where((inside > 0)[..., None], colour, 1) * 255).clip(0, 255).astype(np.uint8)


def camera_of(query) -> list[float]:
    return inputs.numbers_in("camera", query.get("camera"), 4, -1e3, 1e3)


def frame(query) -> live.Frame:
    coarse, camera = query.get("quality") == "coarse", camera_of(query)
    size = COARSE if coarse else EXACT
    return live.Frame(ball(camera, size), {"samples": 1.0, "camera": camera, "size": size}, passing=coarse)


def field_frame(query) -> live.Frame:
    from referee import ball_and_ring, render

    camera = camera_of(query)
    picture = render(ball_and_ring(FIELD), tuple(camera), 40 if query.get("quality") == "coarse" else COARSE)
    return live.Frame((picture * 255).round().astype(np.uint8), {"samples": 2.0, "camera": camera})


def field_volume(query) -> volume.Volume | None:
    from referee import BOUND, ball_and_ring

    from playground.nerf import bake

    field = ball_and_ring(FIELD)
    baked = bake.pack(field.occupied, *field.corners(), BOUND)
    return volume.Volume(baked.meta, baked.pictures) if query.get("model") == "voxels" else None


def build(volumes: bool) -> gr.Blocks:
    with gr.Blocks(analytics_enabled=False) as demo, gr.Tabs(), gr.Tab("Toy", id="toy") as tab:
        with gr.Row():
            with gr.Column(elem_id="sliders"):
                sliders = [gr.Slider(low, high, value, step=0.1, label=name, elem_id=name) for name, (low, high, value) in KNOBS.items()]
                model = gr.Radio(["voxels", "other"], value="voxels", label="Model", elem_id="model")
            with gr.Column():
                view = live.View("toy.orbit", alt="A ball", elsewhere=True, moving="quality=coarse")
                orbit.Orbit("toy.orbit", sliders, alt="A ball", volume="toy.volume" if volumes else "")
        gr.HTML('<p style="height: 1500px">far below</p>')
        view.follow(camera=sliders, model=model)
        live.register("toy.orbit", field_frame if volumes else frame)
        volume.register("toy.volume", field_volume)
        camera = Field("cam", sliders, lambda text: inputs.numbers_in("camera", text, 4, -1e3, 1e3, pad=True), default=None)
        State(tab, [camera], [view]).wire(lambda restored: restored.get("cam", [value for *_, value in KNOBS.values()]), sliders)
    return demo


def ordinary() -> gr.Blocks:
    with gr.Blocks(analytics_enabled=False, delete_cache=(600, 600)) as demo:
        image = gr.Image(elem_id="baseline", format="jpeg", height=320)       # first: a lazy image below the fold never loads
        sliders = [gr.Slider(low, high, value, step=0.1, label=name, elem_id=name) for name, (low, high, value) in KNOBS.items()]
        show = lambda *camera: ball(camera, COARSE)           # noqa: E731
        gr.on([slider.input for slider in sliders], show, sliders, image, queue=False, trigger_mode="always_last", show_progress="hidden")
        demo.load(show, sliders, image)
    return demo


if __name__ == "__main__":
    options = page.launch_options() | dict(server_port=int(sys.argv[sys.argv.index("--port") + 1]), prevent_thread_lock=True)
    if "--ordinary" in sys.argv:
        demo = ordinary()
        options = {key: options[key] for key in ("ssr_mode", "run_history", "quiet", "enable_monitoring", "server_port", "prevent_thread_lock")}
    else:
        demo = build("--volume" in sys.argv)
        options["app_kwargs"]["middleware"] = [Middleware(guard.Guard), Middleware(head.ScriptFirst, language="", tabs=("toy",))]
    demo.launch(**options)
    device.executor.run(lambda: None)                         # imports torch
    print("serving", flush=True)
    demo.block_thread()
