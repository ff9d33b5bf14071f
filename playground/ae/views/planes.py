"""Two planes, one pointer: the codes of a plain autoencoder beside those of a VAE, both decoded wherever one points."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import gradio as gr
import numpy as np

from ...core import images, inputs
from ...core.device import executor
from ...ui import live, parts, plane
from ...ui.cursor import cursor
from ...ui.errors import guarded
from ...ui.i18n import both, t
from ...ui.plane import Layer
from ...ui.state import Field
from .. import config
from . import Piece, Shared, model, standing

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.checkpoints import Checkpoint

REACH = 3.0                  # of the planes and the sliders, in standard deviations of the codes: 99 % of a Gaussian's mass
SHOWN = 400                  # codes on each plane: a frame's numbers travel in a header
RANDOM = 500                 # points of each plane that the classifier is asked about
EMPTY = 0.3                  # distance to the nearest code from which on land is called empty
RING, CORNERS = 0.12, 24     # radius of the ring around the nearest code, and corners of its drawing
KEPT = 8                     # planes whose share is remembered
SLIDERS = {"ae-plane-z1": "ae.planes.z1", "ae-plane-z2": "ae.planes.z2"}          # elem_id -> key of its label
TEXTS = {"ae.plane": ("ae.plane.name", "ae.plane.alt"), "ae.plane.vae": ("ae.plane.vae.name", "ae.plane.vae.alt")}
LAYERS = (
    Layer("marks", "codes", "--code", "ae.planes.codes", at="labels", size=10, alpha=0.7),
    Layer("paths", "nearest", "--model", "ae.planes.ring", size=2),
)


@dataclass(frozen=True)
class Plane:
    """A code of two numbers, in standard deviations of its codes (of a VAE's prior), and what any of its points decodes to."""

    key: Hashable            # changes with the model behind it
    decode: Callable[[Tensor], Tensor]       # (N, 2) -> (N, C, H, W) in [0, 1] on the CPU
    codes: Tensor            # (M, 2), of held-out pictures
    labels: Tensor | None    # (M,)


Lent = Callable[[], tuple]   # what the page hands over: the fields of a Plane, of another family's model as it is now


def build(shared: Shared, lent: Lent | None = None) -> Piece:
    """lent: the VAE's plane; without it the autoencoder's stands alone."""
    sides = {"ae.plane": partial(plane_frame, own)} | ({"ae.plane.vae": partial(plane_frame, lambda query: Plane(*lent()))} if lent else {})
    with gr.Column(elem_classes="section", elem_id="ae-planes"):
        gr.HTML(parts.heading("ae.planes", "ae.planes.try"))
        views = []
        with gr.Row():
            for name in sides:
                with gr.Column(scale=5, min_width=280, elem_classes="latent"):
                    gr.HTML(f"<h3>{both(TEXTS[name][0])}</h3>" + _with_cursor(name), js_on_load=None, apply_default_css=False)
                with gr.Column(scale=2, min_width=150):
                    views.append(live.View(name, alt=both(TEXTS[name][1]), lazy=True))
                    gr.HTML(parts.numbers((f"{name}:distance", "ae.planes.distance"), (f"{name}:empty", "ae.planes.empty"), (f"{name}:rarest", "ae.planes.rarest")))
        with gr.Row(elem_classes="halves"):
            z = [parts.Slider(-REACH, REACH, 0, step=0.01, label=t(key), elem_id=name) for name, key in SLIDERS.items()]
        parts.formula("ae.planes.f", r"\hat x=f_\theta(z),\qquad \min_i\lVert z-g_\phi(x^i)\rVert",
                      f"z = {parts.now('ae.plane:text')}, &nbsp; {both('ae.planes.distance')}: {parts.now('ae.plane:distance')}"
                      + (f" · {parts.now('ae.plane.vae:distance')}" if lent else ""))
    for view, (name, handler) in zip(views, sides.items()):
        view.follow(z=z, **({"checkpoint": shared.checkpoint} if name == "ae.plane" else {}))
        live.register(name, handler)
    gr.api(guarded(ae_plane), api_name="ae_plane")
    return Piece([Field("plane", z, lambda text: inputs.numbers_in("z", text, 2, -REACH, REACH, pad=True, check=inputs.within), default="0")], views)


def _with_cursor(name: str) -> str:
    """A plane with a cursor over its canvas alone; its legend stays below."""
    drawn = plane.plane(name, LAYERS, alt=TEXTS[name][1], extent=REACH)
    end = drawn.index("</canvas>") + len("</canvas>")
    return cursor(drawn[:end], tuple(SLIDERS), name, at="z", places="places", alt="ae.planes.cursor") + drawn[end:]


# ---- what the live views draw ----------------------------------------------------------------------------------


def flat(query: Mapping[str, str]) -> Checkpoint:
    """The chosen model if its code has two numbers, else the shipped one whose code has."""
    chosen = model(query)
    return chosen if chosen.model.config.code == 2 and "codes" in chosen.derived else standing(config.PLANE, "deep")


def own(query: Mapping[str, str]) -> Plane:
    """The autoencoder's plane: each axis in standard deviations of its codes, so that both planes have the same axes."""
    from .. import sample

    checkpoint = flat(query)
    codes = checkpoint.derived["codes"]
    mean, std = codes.mean(0), codes.std(0).clamp(min=1e-9)
    return Plane((checkpoint.name, id(checkpoint.model)), lambda z: sample.decode(checkpoint, mean + std * z), (codes - mean) / std,
                 checkpoint.derived.get("labels"))


def plane_frame(of: Callable[[Mapping[str, str]], Plane], query: Mapping[str, str]) -> live.Frame:
    """The decode at the cursor, the codes, and a ring around the one that is nearest; what the cursor needs to know of its picture."""
    return _frame(of(query), inputs.numbers_in("z", query.get("z"), 2, -REACH, REACH))


def _frame(found: Plane, z: list[float]) -> live.Frame:
    import torch

    at = torch.tensor(z)
    distance, nearest = (found.codes - at).norm(dim=1).min(0)
    labels = found.labels
    return live.Frame(images.to_uint8(found.decode(at[None])[0]), {
        "z": z, "text": "({:.2f}, {:.2f})".format(*z), "places": [-REACH / 2, REACH / 2], "distance": distance.item(),
        "codes": [round(value, 2) for value in found.codes[:SHOWN].flatten().tolist()],
        "labels": "•" * len(found.codes[:SHOWN]) if labels is None else "".join(str(label % 10) for label in labels[:SHOWN].tolist()),
        "nearest": [_ring(found.codes[nearest].tolist())], **scattered(found),
    })


def _ring(centre: list[float]) -> list[float]:
    angle = np.linspace(0, 2 * np.pi, CORNERS + 1)
    return (np.array(centre) + RING * np.stack([np.cos(angle), np.sin(angle)], axis=1)).round(3).flatten().tolist()


_scattered: dict[Hashable, dict[str, str | None]] = {}        # touched on the inference executor alone


def scattered(found: Plane) -> dict[str, str | None]:
    """Of RANDOM points drawn from N(0, I) in the plane's own units: `empty`, the share that has no code within EMPTY; `rarest`, the digit
    that our classifier reads least often in what they decode to, and its share; None where it cannot look at such pictures."""
    import torch

    from ...core import classifier, device

    if found.key not in _scattered:
        z = device.noise(0, range(RANDOM), (2,))
        empty, rarest = (torch.cdist(z, found.codes).amin(1) > EMPTY).float().mean().item(), None
        pictures = found.decode(z)
        if pictures.shape[1:] == (1, classifier.SIZE, classifier.SIZE):
            read = torch.bincount(classifier.probabilities(pictures).argmax(1), minlength=10)
            rarest = f"{read.argmin().item()}: {100 * read.min().item() / RANDOM:.1f} %"
        while len(_scattered) >= KEPT:
            _scattered.pop(next(iter(_scattered)))
        _scattered[found.key] = {"empty": f"{100 * empty:.1f} %", "rarest": rarest}
    return _scattered[found.key]


# The same for programs.


def ae_plane(checkpoint: str, z: list[float]) -> dict:
    """Decode a place of a two-dimensional code. z: two numbers in standard deviations of the codes, clamped to +-3; a model of another
    code gives way to the shipped one of two numbers.

    Returns {"picture": a PNG as a data URI, "z", "distance": to the nearest code, "empty": share of random
    points with no code within 0.3, "rarest": the digit read least often in what those points decode to, and how often}.
    """
    frame = executor.run(lambda: _frame(own({"checkpoint": checkpoint}), inputs.vector("z", z, 2, -REACH, REACH)))
    return {"picture": live.data_uri(frame.picture), **{name: frame.numbers[name] for name in ("z", "distance", "empty", "rarest")}}
