"""The ordinary way to show a model in Gradio, as the live view's baseline: sliders whose `.input` event fills a gr.Image.

`image_baseline.py --view decode` (the VAE's decoder, by 32 sliders), `--view noise` (a picture noised up to t) `--view row` (a digit through
four autoencoders with codes of d numbers) or `--view blend` (a GAN's picture
between four seeds, and the map of the seeds around it).

Its settings are the best that were measured for such an event: outside the queue, the newest value last, no run history.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import gradio as gr  # noqa: E402

from playground.ae.views import row  # noqa: E402
from playground.core import images  # noqa: E402
from playground.core.device import executor  # noqa: E402
from playground.diffusion.views import forward  # noqa: E402
from playground.gan.views import seeds  # noqa: E402
from playground.vae import tab  # noqa: E402


def option(name: str, usual: str) -> str:
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else usual


def decode(*z: float):
    return executor.run(tab._decoded, "vae-mnist", list(z)).picture


def noise(t: float):
    return executor.run(forward.forward_frame, {"checkpoint": "ddpm-mnist", "seed": "0", "t": str(int(t))}).picture


def restored(d: float):
    return executor.run(row.row_frame, {"checkpoint": "ae-mnist-30d", "x": images.digit(3), "d": str(int(d))}).picture


def blend(x: float, y: float):
    query = {"checkpoint": "gan-mnist", "place": f"{x},{y}"}
    return executor.run(lambda: [seeds.blend_frame(query).picture, seeds.map_frame(query).picture])


SHOWN = {                    # --view: what it shows, and its sliders
    "decode": (decode, [dict(minimum=-3, maximum=3, value=0, step=0.01, label=f"z{i + 1}") for i in range(tab.SLIDERS)]),
    "noise": (noise, [dict(minimum=1, maximum=1000, value=300, step=1, label="t")]),
    "row": (restored, [dict(minimum=1, maximum=row.SIZES, value=row.START, step=1, label="d")]),
    "blend": (blend, [dict(minimum=0, maximum=seeds.SIDE, value=0.5, step=0.01, label=axis) for axis in "xy"]),
}

with gr.Blocks(analytics_enabled=False, delete_cache=(600, 600)) as demo:
    show, settings = SHOWN[option("--view", "decode")]
    image = [gr.Image(elem_id="baseline", format="png", height=320)]      # first: a lazy image below the fold never loads
    if show is blend:
        image.append(gr.Image(elem_id="map", format="png", height=320))
    sliders = [gr.Slider(**each, elem_id=each["label"]) for each in settings]
    gr.on([s.input for s in sliders], show, sliders, image, queue=False, trigger_mode="always_last", show_progress="hidden")
    demo.load(show, sliders, image)

if __name__ == "__main__":
    demo.launch(server_port=int(option("--port", "7860")), ssr_mode=False, run_history=False, quiet=True,
                enable_monitoring=False, prevent_thread_lock=True)
    print("serving", flush=True)
    demo.block_thread()
