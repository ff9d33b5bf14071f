"""A page with one live view alone, the VAE's decoder by 32 sliders: the other side of image_baseline.py, which shows the same behind a gr.Image."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import gradio as gr  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402

from playground import page  # noqa: E402
from playground.core.device import executor  # noqa: E402
from playground.ui import guard, head, live  # noqa: E402
from playground.ui.state import State  # noqa: E402
from playground.vae import tab  # noqa: E402

with gr.Blocks(analytics_enabled=False) as demo, gr.Tabs(), gr.Tab("Toy", id="toy") as toy:
    view = live.View("toy.decode", alt="A digit")
    sliders = [gr.Slider(-3, 3, 0, step=0.01, label=f"z{i + 1}", elem_id=f"z{i + 1}") for i in range(tab.SLIDERS)]
    view.follow(z=sliders)
    live.register("toy.decode", lambda query: tab.decode_frame({**query, "checkpoint": "vae-mnist"}))
    State(toy, [], [view]).wire(lambda restored: [], [])

if __name__ == "__main__":
    options = page.launch_options() | dict(server_port=int(sys.argv[sys.argv.index("--port") + 1]), prevent_thread_lock=True)
    options["app_kwargs"]["middleware"] = [Middleware(guard.Guard), Middleware(head.ScriptFirst, language="", tabs=("toy",))]
    demo.launch(**options)
    executor.run(tab.warm_up)
    print("serving", flush=True)
    demo.block_thread()
