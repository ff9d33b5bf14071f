"""The tab as the page builds it: every view is wired, its texts exist, and opening it needs no model."""

import inspect
import json

import gradio as gr

from playground.ae import config, tab, text
from playground.ae.views import planes
from playground.core import checkpoints
from playground.core import images
from playground.core.images import PAD
from playground.ui import i18n, live, parts

VIEWS = ("ae.look", "ae.examples", "ae.row", "ae.plane", "ae.keep", "ae.wall", "ae.unit", "ae.exciting", "ae.penalty", "ae.penalty.all",
         "ae.spectrum", "ae.nudge", "ae.repair", "ae.field", "ae.use", "ae.use.codes")
ENDPOINTS = ("ae_reconstruct", "ae_plane", "ae_keep", "ae_contraction", "ae_repair")


def build(**more):
    i18n.register(text.TEXT)
    with gr.Blocks() as page:
        with gr.Tabs():
            with gr.Tab("ae", id="ae") as one:
                tab.build(one, **more)
    return page.get_config_file()


def names_of(page):
    return [d["api_name"] for d in page["dependencies"] if isinstance(d["api_name"], str)]


def test_every_view_is_registered_and_every_endpoint_named(tiny):
    page = build()
    assert set(VIEWS) <= set(live._handlers) and "ae.plane.vae" not in VIEWS
    assert set(ENDPOINTS) <= set(names_of(page))
    shown = json.dumps(page, default=str)
    assert all(f'data-view=\\"{name}\\"' in shown or f"data-view={name}" in shown or name in shown for name in VIEWS)


def test_with_a_borrowed_plane_there_are_two(tiny):
    build(vae=lambda: None)
    assert "ae.plane.vae" in live._handlers


def test_it_is_built_where_no_model_is_there_yet(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path))
    monkeypatch.setattr(checkpoints, "SHIPPED", tmp_path / "nothing")
    page = build()
    assert page["components"]
    assert tab._opening({})[1:] == [0, images.digit(tab.EXAMPLE), ""]


def test_the_tab_opens_on_the_first_model_and_a_drawn_digit(tiny, monkeypatch):
    monkeypatch.setattr(config, "FIRST", "ae-mnist-30d")
    picker, seed, drawing, own = tab._opening({})
    assert picker["value"] == "ae-mnist-30d" and (seed, own) == (0, "") and len(drawing) == -(-PAD * PAD // 8 * 4 // 3)
    picker, seed, drawing, own = tab._opening({"model": ["tiny-colour"], "seed": [7]})
    assert (picker["value"], seed, own) == ("tiny-colour", 7, "e0")


def test_no_two_fields_of_the_tab_share_a_name(tiny, monkeypatch):
    found = []
    monkeypatch.setattr(tab.State, "wire", lambda self, *_: found.extend(self.fields))
    build()
    names = [each.name for each in found]
    assert len(set(names)) == len(names), sorted(name for name in names if names.count(name) > 1)
    assert {"model", "seed", "x", "own", "d", "plane", "k", "page", "unit", "weight", "tangent", "nudge", "noise", "share", "set", "sigma", "steps", "ink"} <= set(names)


def test_each_text_is_a_pair_with_chinese_in_the_second():
    for key, (english, chinese) in text.TEXT.items():
        assert key.startswith("ae.")
        assert any("\u4e00" <= letter <= "\u9fff" for letter in chinese), key
        assert not any("\u4e00" <= letter <= "\u9fff" for letter in english), key


def test_every_text_is_used_and_every_knob_has_one():
    import pathlib

    folder = pathlib.Path(tab.__file__).parent
    source = "\n".join(path.read_text("utf-8") for path in folder.rglob("*.py") if path.name != "text.py")
    made = ("ae.row.", "ae.plane.", "ae.repair.", "ae.field.set.", "ae.use.", "ae.contraction.", "ae.nudge.", "ae.planes.z")
    unused = [key for key in text.TEXT if f'"{key}"' not in source and f"'{key}'" not in source and not key.startswith(made) and key != "ae.tab" and ".overview." not in key]
    assert not unused
    assert all(knob.text in text.TEXT for knob in config.KNOBS.values()) and set(config.WORDS.values()) <= set(text.TEXT)


def test_knobs_are_fields_of_the_recipe_whose_presets_they_allow():
    for name, knob in config.KNOBS.items():
        for preset in config.PRESETS.values():
            assert knob.checked(name, getattr(preset, name), getattr(preset, name)) == getattr(preset, name)


def test_what_the_page_hands_over_is_a_function_of_nothing():
    assert list(inspect.signature(tab.build).parameters) == ["tab", "vae"]
    assert [field.name for field in planes.Plane.__dataclass_fields__.values()] == ["key", "decode", "codes", "labels"]
    assert parts.checkpoint_names("ae", aside=config.ASIDE) is not None
