"""Has it learnt by heart? The film's last picture beside the training pictures that are most like it."""

from __future__ import annotations

from collections.abc import Mapping

import gradio as gr

from ...core.errors import PlaygroundError, register
from ...ui import live, parts
from ...ui.i18n import both
from . import Piece, Shared, label, model, seed

NEAREST = 6                  # training pictures shown

register({
    "diffusion.memory": (
        "The pictures of {name} are not in this machine's data folder, so that nothing can be compared with them; the model works without.",
        "本机的数据文件夹中没有 {name} 的图片，无法进行比较；模型本身不需要它们。",
    ),
})


def build(shared: Shared) -> Piece:
    with gr.Column(elem_classes="section", elem_id="diffusion-memory"):
        gr.HTML(parts.heading("diffusion.memory", "diffusion.memory.try"))
        view = live.View("diffusion.memory", alt=both("diffusion.memory.alt"), tiles=1 + NEAREST, every=250, lazy=True, elem_classes="strip memory",
                         captions=[both("diffusion.memory.sample"), *(parts.now(f"diffusion.memory:rms{i}") for i in range(NEAREST))])
        gr.HTML(parts.numbers(("diffusion.memory:rms0", "diffusion.memory.nearest"), ("diffusion.memory:usual", "diffusion.memory.usual"),
                              ("diffusion.memory:known", "diffusion.memory.known")))
    view.follow(checkpoint=shared.checkpoint, seed=shared.seed, y=shared.y)
    live.register("diffusion.memory", memory_frame)
    return Piece(views=[view])


def memory_frame(query: Mapping[str, str]) -> live.Frame:
    """A sample of the seed and class, and its NEAREST training pictures with their distances, RMS per number.

    What is usual stands on the model's card: it takes the test pictures to measure.
    """
    from ...core import datasets, images, metrics
    from .. import sample

    checkpoint = model(query)
    name, y, number = checkpoint.config["dataset"], label(checkpoint, query.get("y")), seed(query)
    if not datasets.present(name):
        raise PlaygroundError("diffusion.memory", name=name)
    known = datasets.load(name, "train").images
    x = sample.grid(checkpoint, [number], y)
    distance, index = metrics.nearest(x, known, NEAREST)
    pictures = [x[0], *(known[index[0]].float() / 255)]
    return live.Frame(images.beside(*map(images.to_rgb, pictures)), {
        "usual": checkpoint.config["metrics"].get("test_images_nearest_training_rms"), "known": len(known), **{f"rms{i}": value for i, value in enumerate(distance[0].tolist())}})
