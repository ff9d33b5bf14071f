"""One ray in space: the scene's cube, the samples by what they count, and the cameras that took the training pictures."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..sample import Ray
    from .ray import Chosen

HEIGHT = 460                 # pixels
LOOK = 0.35                  # length of the stroke that says where a camera looks, in half sides of the cube
ASIDE, ABOVE, AWAY = 70.0, 18.0, 1.5         # where one stands at first: degrees from the camera, degrees up, in Plotly's units
QUIET, MODEL, DATA = "#8a96a5", "#e0701a", "#3a94cf"         # the page's colours, seen on light and on dark


def figure(ray: Chosen, found: Ray, say: Callable[[str], str]) -> Any:
    """A Plotly figure. say: a text's key -> the text in the visitor's language."""
    import plotly.graph_objects as go

    from ...core import scenes

    bound, o, d = ray.checkpoint.model.bound, ray.o.numpy(), ray.d.numpy()
    x, w = o + found.t.numpy()[:, None] * d, found.w.numpy()
    line = lambda points, name, colour, **style: go.Scatter3d(                   # noqa: E731
        x=points[:, 0], y=points[:, 1], z=points[:, 2], mode="lines", name=say(name), line=dict(color=colour, **style), hoverinfo="skip")
    traces = [
        line(bound * _cube(), "nerf.space.box", QUIET, width=2),
        line(np.stack([o, o + found.far * d]), "nerf.space.ray", MODEL, width=2),
        go.Scatter3d(
            x=x[:, 0], y=x[:, 1], z=x[:, 2], mode="markers", name=say("nerf.space.samples"), customdata=np.stack([found.t.numpy(), w], axis=1),
            hovertemplate="t = %{customdata[0]:.3f}, w = %{customdata[1]:.3f}<extra></extra>",
            marker=dict(size=3 + 9 * np.sqrt(w / max(w.max(), 1e-9)), color=w, colorscale=[[0, QUIET], [1, MODEL]], cmin=0, cmax=max(w.max(), 1e-9),
                        line=dict(width=0), showscale=True, colorbar=dict(title="w", thickness=10, len=0.5))),
    ]
    poses = scenes.poses(ray.checkpoint.config["dataset"]).numpy()
    if len(poses):
        at, ahead = poses[:, :3, 3], -poses[:, :3, 2]
        strokes = np.stack([at, at + LOOK * bound * ahead, np.full_like(at, np.nan)], axis=1).reshape(-1, 3)
        traces += [line(strokes, "nerf.space.cameras", DATA, width=3),
                   go.Scatter3d(x=at[:, 0], y=at[:, 1], z=at[:, 2], mode="markers", showlegend=False, hoverinfo="skip", marker=dict(size=2.5, color=DATA))]
    azimuth, up = math.radians(ray.camera.numbers[0] + ASIDE), math.radians(ABOVE)
    eye = dict(x=AWAY * math.cos(up) * math.cos(azimuth), y=AWAY * math.cos(up) * math.sin(azimuth), z=AWAY * math.sin(up))
    drawn = go.Figure(traces)
    drawn.update_layout(
        height=HEIGHT, margin=dict(l=0, r=0, t=0, b=0), paper_bgcolor="rgba(0,0,0,0)", uirevision="nerf", font=dict(color=QUIET),
        legend=dict(orientation="h", x=0, y=0, itemsizing="constant"),
        scene=dict(aspectmode="data", camera=dict(eye=eye), **{f"{axis}axis": dict(visible=False) for axis in "xyz"}))
    return drawn


def _cube() -> np.ndarray:
    """The edges of the cube [-1, 1]^3 as one line with gaps, (36, 3)."""
    corners = np.array([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)]) * 2.0 - 1
    edges = [(i, i | bit) for i in range(8) for bit in (1, 2, 4) if not i & bit]
    return np.concatenate([[corners[a], corners[b], [np.nan] * 3] for a, b in edges])
