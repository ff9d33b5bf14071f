"""The buttons of a game of two players: play and pause, slow motion, one move of D, of G or of both, again with the same first weights or with new ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from ...core import inputs
from ...ui.i18n import both

COUNT_MAX = 10**6            # single moves, and clicks on a button of one page
SLOW_MS = 1100               # between two single moves of the slow motion: long enough to look at each

# Its value is "<token>,<1 if playing>,<single moves of D>,<of G>,<seed of the first weights>,<times begun again with them>"; the token is the page's.
SCRIPT = """
const root = element.querySelector(".moves"), token = Math.random().toString(36).slice(2, 12), now = { play: 0, d: 0, g: 0, fresh: 0, times: 0 };
const button = (name) => root.querySelector(`[data-do=${name}]`);
let slow = null, turn = "d", done = false;
const show = () => {
  root.classList.toggle("is-playing", Boolean(now.play));
  root.classList.toggle("is-slow", Boolean(slow));
  for (const [name, on] of [["play", now.play], ["slow", slow]]) button(name)?.setAttribute("aria-pressed", String(Boolean(on)));
  for (const name of ["play", "slow", "d", "g", "both"]) if (button(name)) button(name).disabled = done;
};
const say = () => { props.value = [token, now.play, now.d, now.g, now.fresh, now.times].join(","); show(); };
const stop = () => { clearInterval(slow); slow = null; now.play = 0; };
const actions = {
  play() { const was = now.play; stop(); now.play = 1 - was; },
  slow() {
    const was = slow;
    stop();
    if (was) return;
    const step = () => {
      if (!root.checkVisibility()) { stop(); return show(); }
      now[turn] += 1;
      turn = turn === "d" ? "g" : "d";
      say();
    };
    slow = setInterval(step, root.dataset.slow);
    step();
  },
  d() { stop(); now.d += 1; },
  g() { stop(); now.g += 1; },
  both() { stop(); now.d += 1; now.g += 1; },
  same() { now.d = now.g = 0; now.times += 1; },
  fresh() { now.d = now.g = 0; now.fresh += 1; },
};
root.addEventListener("click", (event) => {
  const pressed = event.target.closest("[data-do]");
  if (!pressed) return;
  if (["same", "fresh"].includes(pressed.dataset.do)) done = false;
  actions[pressed.dataset.do]();
  say();
});
document.addEventListener(`live:${root.dataset.view}`, ({ detail: { numbers } }) => {
  done = Boolean(numbers.done);
  if (done && (now.play || slow)) { stop(); say(); }
  show();
});
show();
"""


class Moves(gr.HTML):
    """view: the live view that plays: its handler gets the value, to be read by `moves`; its numbers hold a true "done" where the game has ended.

    singles: whether there are buttons for single moves, and slow motion.
    """

    def __init__(self, view: str, singles: bool = True, **kwargs: Any) -> None:
        self.view, self.singles = view, singles

        def button(do: str, kind: str = "quiet") -> str:
            return f'<button type="button" class="{kind}" data-do="{do}">{both(f"gan.moves.{do}")}</button>'

        play = (f'<button type="button" class="play" data-do="play"><span class="paused">▶ {both("gan.moves.play")}</span>'
                f'<span class="playing">❚❚ {both("gan.moves.pause")}</span></button>')
        one = "".join(button(do) for do in ("slow", "d", "g", "both")) if singles else ""
        super().__init__(value="", apply_default_css=False, js_on_load=SCRIPT,
                         html_template=f'<div class="trainer moves" data-view="{view}" data-slow="{SLOW_MS}">{play}{one}{button("same")}{button("fresh")}</div>', **kwargs)


@dataclass(frozen=True)
class Said:
    """What the buttons say."""

    owner: str = ""          # the page's token; "" before the first click
    playing: bool = False
    singles: tuple[int, int] = (0, 0)        # of D and of G, since the last start
    fresh: int = 0           # seed of the first weights
    times: int = 0           # begun again with them


def moves(text: object) -> Said:
    """A Moves' value, hostile."""
    if text is None or text == "":
        return Said()
    owner, _, rest = text[:96].partition(",") if isinstance(text, str) else ("", "", text)
    if not (owner.isascii() and owner.isalnum() and len(owner) <= 16):
        inputs.numbers_in("play", None, 6, 0, COUNT_MAX)      # refused as anything else that is no such value
    playing, d, g, fresh, times = (inputs.integer("play", value, 0, high) for value, high in zip(
        inputs.numbers_in("play", rest, 5, 0, COUNT_MAX, check=inputs.within), (1, COUNT_MAX, COUNT_MAX, COUNT_MAX, COUNT_MAX)))
    return Said(owner, bool(playing), (d, g), fresh, times)
