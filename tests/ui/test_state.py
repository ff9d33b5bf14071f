"""What the URL says is restored, and what it can no longer say is reported, never ignored."""

import gradio as gr
import pytest

from playground.core import inputs
from playground.ui import state
from playground.ui.state import Field, State


@pytest.fixture
def warnings(monkeypatch):
    shown = []
    monkeypatch.setattr(state.gr, "Warning", lambda message, title: shown.append(message))
    return shown


@pytest.fixture
def tab():
    """A State of three fields on a tab called "toy"."""
    with gr.Blocks(), gr.Tabs(), gr.Tab("Toy", id="toy") as tab:
        seed, *z = gr.Number(0), gr.Slider(-3, 3, 0), gr.Slider(-3, 3, 0)
        name = gr.Textbox("a")
    return State(tab, [
        Field("seed", [seed], lambda text: [inputs.seed(inputs.parsed(text))], default="0"),
        Field("z", z, lambda text: inputs.numbers_in("z", text, 2, -3, 3, pad=True)),
        Field("name", [name], lambda text: [inputs.choice("name", text, ("a", "b"))]),
    ])


def test_named_fields_are_restored_and_others_left_out(tab, warnings):
    assert tab.read({"toy.seed": "7", "toy.z": "1.5,-2", "other.name": "b", "seed": "9"}) == {"seed": [7], "z": [1.5, -2.0]}
    assert tab.read({}) == {} and not warnings


def test_a_value_out_of_range_is_clamped_and_a_short_list_filled(tab, warnings):
    assert tab.read({"toy.z": "99"}) == {"z": [3.0, 0.0]} and not warnings


@pytest.mark.parametrize("field, text", [
    ("seed", "-1"), ("seed", "1.5"), ("seed", "nan"), ("seed", ""), ("seed", "9" * 5_000), ("seed", "x" * 1_000_000),
    ("z", "1,2,3"), ("z", "inf"), ("z", "a,b"), ("z", "," * 1_000_000), ("name", "c"), ("name", "<script>alert(1)</script>")])
def test_a_value_no_longer_valid_is_reported_and_the_others_are_restored(tab, warnings, field, text):
    others = {"seed": "3", "z": "1", "name": "b"}
    found = tab.read({f"toy.{name}": value for name, value in {**others, field: text}.items()})
    assert found.keys() == others.keys() - {field}
    [warning] = warnings
    assert warning.startswith("z" if field == "z" else field) and len(warning) < 300 and "<script>" not in warning
