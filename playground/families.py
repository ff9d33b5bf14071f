"""The model families, each a folder of this package; `load` imports one part of one of them when it is needed."""

from importlib import import_module
from types import ModuleType
from typing import Literal

FAMILIES = ("ae", "vae", "gan", "diffusion", "nerf")          # the order of the tabs
RECIPES = (*FAMILIES, "classifier")        # what `python -m playground train` can make

Part = Literal["config", "model", "maths", "sample", "train", "evaluate", "tab", "text"]


def load(family: str, part: Part) -> ModuleType:
    """The module `playground.<family>.<part>`."""
    assert family in FAMILIES, family
    return import_module(f"{__package__}.{family}.{part}")


def recipe(name: str) -> ModuleType:
    """The module that offers the contract of core/recipe.py: a family's `train`, or the metrics' own classifier."""
    assert name in RECIPES, name
    return load(name, "train") if name in FAMILIES else import_module(f"{__package__}.core.{name}")
