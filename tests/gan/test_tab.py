"""The tab as the page builds it: every view is wired, its texts exist, and opening it needs no model."""

import inspect
import json
import pathlib
import re

import gradio as gr
import pytest

from playground.core import checkpoints
from playground.core.errors import PlaygroundError
from playground.core.inputs import SEED_MAX
from playground.gan import config, tab, text
from playground.gan import toy as toys
from playground.gan.views import directions, four, game, grid, line, quiz, seeds
from playground.gan.views.moves import Moves
from playground.ui import i18n, live

VIEWS = ("gan.grid", "gan.pair", "gan.truncation", "gan.card", "gan.map", "gan.blend", "gan.walk", "gan.directions", "gan.strips", "gan.quiz",
         "gan.nearest", "gan.game", "gan.four", "gan.line")
ENDPOINTS = ("gan_sample", "gan_blend", "gan_directions", "gan_line")


def build():
    i18n.register(text.TEXT)
    with gr.Blocks() as page:
        with gr.Tabs():
            with gr.Tab("gan", id="gan") as one:
                tab.build(one)
    return page.get_config_file()


def names_of(page):
    return [d["api_name"] for d in page["dependencies"] if isinstance(d["api_name"], str)]


def test_every_view_is_registered_and_every_endpoint_named(tiny):
    page = build()
    assert set(VIEWS) == {name for name in live._handlers if name.startswith("gan.")}
    assert set(ENDPOINTS) <= set(names_of(page))
    shown = json.dumps(page, default=str)
    assert all(name in shown for name in VIEWS)


def test_it_is_built_where_no_model_is_there_yet(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path))
    monkeypatch.setattr(checkpoints, "SHIPPED", tmp_path / "nothing")
    assert build()["components"]
    assert tab._opening({})[1:] == [0, 0]


def test_the_tab_opens_on_the_first_model_and_a_seed_is_its_own_chosen_picture(tiny):
    picker, seed, chosen = tab._opening({})
    assert picker["value"] == tab.checkpoint_names()[0] and (seed, chosen) == (0, 0)
    picker, seed, chosen = tab._opening({"model": ["tiny-colour"], "seed": [7]})
    assert (picker["value"], seed, chosen) == ("tiny-colour", 7, 7)
    assert tab._opening({"seed": [7], "chosen": [9]})[1:] == [7, 9]


def test_another_grid_begins_after_the_last_picture_of_this_one():
    assert tab._another(3) == [67, 67] and tab._another(SEED_MAX) == [63, 63] and tab._first(12) == 12


@pytest.mark.parametrize("wrong", [-1, 10**30, "text", float("nan"), None, 0.5, True])
def test_bad_seeds_get_one_sentence(wrong):
    for handler in (tab._another, tab._first):
        with pytest.raises(PlaygroundError) as refused:
            handler(wrong)
        assert refused.value.sentence("en").count(". ") == 0 and "whole number" in refused.value.sentence("en")


def test_no_two_fields_of_the_tab_share_a_name_and_no_parameter_is_the_live_view_s_own(tiny, monkeypatch):
    found, views = [], []
    monkeypatch.setattr(tab.State, "wire", lambda self, *_: (found.extend(self.fields), views.extend(self.views)))
    build()
    names = [each.name for each in found]
    assert len(set(names)) == len(names), sorted(name for name in names if names.count(name) > 1)
    assert {"model", "seed", "chosen", "psi", "place", "a", "b", "along", "moment", "deal", "said", "shown", "scores", "set", "game", "layers", "ink", "pace",
            "mp", "sp", "mq", "sq", "at", "line"} <= set(names)
    assert {view.view for view in views} == set(VIEWS)
    assert not {"n", "page", "film"} & {name for view in views for name in view.parameters}


def test_a_field_restores_what_the_page_would_write(tiny, monkeypatch):
    found = []
    monkeypatch.setattr(tab.State, "wire", lambda self, *_: found.extend(self.fields))
    build()
    fields = {each.name: each for each in found}
    good = {"seed": ("12", [12]), "chosen": ("5", [5]), "psi": ("0.7", [0.7]), "place": ("3.25,999", [3.25, 999]), "a": ("8", ["8"]), "b": ("", [""]), "along": ("1,0,-2", [1, 0, -2, 0, 0, 0]),
            "moment": ("2", [2]), "said": ("r" * 20, ["r" * 20]), "scores": ("50,,,100,,", ["50,,,100,,"]), "layers": ("real,grid", [["real", "grid"]]), "pace": ("1:2", ["1:2"]), "at": ("-1.5", [-1.5])}
    for name, (text_, values) in good.items():
        assert fields[name].restore(text_) == values
        default = fields[name].default
        if default:
            fields[name].restore(default)
    for name, wrong in {"seed": "-1", "chosen": "1e30", "psi": "9", "place": "-1,0", "a": "NaN", "along": "9", "moment": "0", "said": "x" * 20, "shown": "2", "scores": "1,2", "layers": "cats", "game": "chess",
                        "pace": "9:9", "mp": "99", "line": "cats", "set": "cats", "ink": "no", "deal": "-1"}.items():
        with pytest.raises(PlaygroundError):
            fields[name].restore(wrong)


def test_each_text_is_a_pair_with_chinese_in_the_second():
    for key, (english, chinese) in text.TEXT.items():
        assert key.startswith("gan.") and english == english.strip() and chinese == chinese.strip()
        assert "  " not in english + chinese
        assert re.search(r"[\u4e00-\u9fff]", chinese) or not re.search(r"[A-Za-z]{3,}", english), key
        assert not re.search(r"[\u4e00-\u9fff]", english), key


def test_every_text_is_used_and_every_knob_has_one():
    folder = pathlib.Path(tab.__file__).parent
    source = "\n".join(path.read_text("utf-8") for path in folder.rglob("*.py") if path.name != "text.py")
    made = tuple(prefix for prefix in re.findall(r'f"(gan\.[a-z0-9._]*)\{', source) if prefix.endswith(".") or prefix[-1].isalnum())
    unused = [key for key in text.TEXT if f'"{key}"' not in source and not key.startswith(made) and key != "gan.tab" and ".overview." not in key]
    assert not unused
    assert all(knob.text in text.TEXT for knob in config.KNOBS.values()) and set(config.WORDS.values()) <= set(text.TEXT)


def test_knobs_are_fields_of_the_recipe_whose_presets_they_allow():
    for name, knob in config.KNOBS.items():
        for preset in config.PRESETS.values():
            assert knob.checked(name, getattr(preset, name), getattr(preset, name)) == getattr(preset, name)


def test_what_the_page_says_without_torch_is_what_the_games_are():
    assert game.SETS == toys.SETS and game.GAMES == tuple(toys.GAMES) and game.EXTENT == toys.EXTENT
    assert four.LOSSES == toys.ABREAST and four.PACES == tuple(toys.PACES) and line.EDGE == toys.EDGE and line.LOSSES[::-1] == config.PROBABLE
    assert list(inspect.signature(tab.build).parameters) == ["tab", "ae"]
    assert grid.GRID == 64 and directions.COUNT == 6 and quiz.CARDS == 20 and seeds.SIDE == 1000
    for name, (low, high, start, _) in line.RANGES.items():
        assert low <= start <= high, name


def test_the_buttons_of_the_game_are_all_there():
    shown = Moves("gan.game").html_template
    assert all(f'data-do="{do}"' in shown for do in ("play", "slow", "d", "g", "both", "same", "fresh"))
    assert 'data-do="slow"' not in Moves("gan.four", singles=False).html_template
