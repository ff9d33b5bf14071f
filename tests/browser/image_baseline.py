"""The ordinary way to show a decoder in Gradio, as the live view's baseline: sliders whose `.input` event fills a gr.Image.

Its settings are the best that were measured for such an event: outside the queue, the newest value last, no run history.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import gradio as gr  # noqa: E402

from playground.core.device import executor  # noqa: E402
from playground.vae import tab  # noqa: E402


def decode(*z: float):
    return executor.run(tab._decoded, "vae-mnist", list(z)).picture


with gr.Blocks(analytics_enabled=False, delete_cache=(600, 600)) as demo:
    image = gr.Image(elem_id="baseline", format="png", height=320)        # first: a lazy image below the fold never loads
    sliders = [gr.Slider(-3, 3, 0, step=0.01, label=f"z{i + 1}", elem_id=f"z{i + 1}") for i in range(tab.SLIDERS)]
    gr.on([s.input for s in sliders], decode, sliders, image, queue=False, trigger_mode="always_last", show_progress="hidden")
    demo.load(decode, sliders, image)

if __name__ == "__main__":
    demo.launch(server_port=int(sys.argv[sys.argv.index("--port") + 1]), ssr_mode=False, run_history=False, quiet=True,
                enable_monitoring=False, prevent_thread_lock=True)
    print("serving", flush=True)
    demo.block_thread()
