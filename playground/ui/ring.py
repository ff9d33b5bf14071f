"""Cameras around a scene, drawn as frustums in a space one can turn, each in the colour of its number; a click chooses one (ring.js)."""

from ..core.images import SCALE
from .i18n import both


def ring(view: str, slider: str, *, alt: str) -> str:
    """HTML of a canvas that a live view's frames fill.

    Numbers of the frame: `cameras`, a list for each of where it stands, of its axis (unit, away from the scene) and of its upward
    side, nine numbers; `kinds`, a digit for each: 0 as usual, 1 dashed, 2 apart from the others; `values`, a number or null for
    each, coloured by SCALE from `low` to `high`; `chosen`, a place in the list; `half`, the tangent of half the field of view;
    `bound`, of a cube around the origin. The frame's picture, uint8 (2, N, 3): places in that cube, of which 0 is -bound and 255
    is bound, above their colours.
    slider: elem_id of the one that holds the chosen camera's place, counted from 1. alt: key of what it shows.
    """
    name = f"{view}-ring".replace(".", "-")
    return (f'<canvas class="ring" data-ring="{view}" data-slider-of="{slider}" data-colours="{",".join(SCALE)}" tabindex="0" role="img" '
            f'aria-labelledby="{name}"></canvas><span class="visually-hidden" id="{name}">{both(alt)}</span>')
