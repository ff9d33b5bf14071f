"""The first tab: its figures are the cards', its pictures the models', and each family brings its own row."""

import re

import numpy as np
import pytest
import torch

from playground import families, overview, page
from playground.core import checkpoints, images
from playground.ui import i18n

every_family = pytest.mark.parametrize("family", families.FAMILIES)


@pytest.fixture(scope="module", autouse=True)
def built():
    """All texts are registered."""
    page.build()


def card(family):
    name = families.load(family, "config").FIRST
    return next(entry for entry in checkpoints.entries() if entry.shipped and entry.name == name)


@every_family
def test_the_figures_are_those_of_the_card(family):
    entry, shown = card(family), overview.figures(family)
    for name, key in families.load(family, "config").OVERVIEW.items():
        value = entry.config["metrics"][key]
        number, unit = re.fullmatch(r"([0-9.e-]+) ?(m?s)?", shown[name]).groups()
        assert float(number) * (1e-3 if unit == "ms" else 1) == pytest.approx(value, rel=0.06), name
    assert float(shown["bytes"].removesuffix(" MB")) == pytest.approx(entry.bytes / 1e6, abs=0.06)


@every_family
def test_the_pictures_are_the_first_model_s_of_that_seed(family):
    with torch.no_grad():
        frame = overview.frame(family, {"seed": "7"})
        expected = families.load(family, "sample").images(families.load(family, "config").FIRST, overview.PICTURES, 7)
    np.testing.assert_array_equal(frame.picture, images.strip(expected))
    assert float(frame.numbers["ms"]) > 0


@every_family
def test_a_family_brings_the_sentences_of_its_row(family):
    own = families.load(family, "text").TEXT
    assert {f"{family}.overview.{cell}" for cell in ("what", "next", *overview.ABILITIES)} <= own.keys()
    shown = overview.figures(family)
    for cell in ("what", *overview.ABILITIES):
        for sentence in own[f"{family}.overview.{cell}"]:
            assert "{" not in sentence.format(**shown)


def test_each_row_leads_to_its_tab_and_real_pictures_come_last():
    table = overview._table()
    assert re.findall(r'<tr data-opens="(\w+)"', table) == list(families.FAMILIES)
    assert table.count('class="thread"') == len(families.FAMILIES) - 1 and table.count('class="real"') == 1
    assert table.count("<canvas") == overview.PICTURES * len(families.FAMILIES)


def test_a_model_that_is_not_there_leaves_dashes(monkeypatch):
    monkeypatch.setattr(checkpoints, "entries", lambda: [])
    assert set(overview.figures("vae").values()) == {"–"}
    assert i18n.both("overview.real") not in overview._table()
