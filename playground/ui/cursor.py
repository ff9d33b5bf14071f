"""A cursor on a picture: the pointer, a finger or the arrow keys move two sliders, or one (cursor.js)."""

from .i18n import both


def cursor(inside: str, sliders: tuple[str, ...], view: str, *, at: str, places: str, alt: str, name: str = "") -> str:
    """HTML of a picture one can point into.

    inside: the HTML of what is pointed at. sliders: elem_ids of the one for x (to the right) and the one for y (upwards);
    without the second a line across the picture moves sideways.
    view: the live view that follows them; its numbers hold `at`, the two values now, and `places`, the values at the centres of
    equal columns of the picture (or one such list for each axis). alt: key of what it is for. name: of this one, where a view has
    two for the same sliders.
    """
    name = f"{view}-{'-'.join(sliders)}-{name}cursor".replace(".", "-")
    kind = "cursor" if len(sliders) > 1 else "cursor wipe"
    return (f'<div class="{kind}" tabindex="0" role="group" aria-labelledby="{name}" data-cursor="{",".join(sliders)}" data-view="{view}" '
            f'data-at="{at}" data-places="{places}">{inside}<i aria-hidden="true"></i><span class="visually-hidden" id="{name}">{both(alt)}</span></div>')
