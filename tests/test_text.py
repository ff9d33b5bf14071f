"""Every sentence a visitor can meet exists in both languages, is used, and takes the values it is given."""

import ast
import importlib
import pkgutil
import re
import string
from pathlib import Path

import pytest

import playground
from playground import families, overview
from playground.core import errors
from playground.ui import i18n

ROOT = Path(__file__).resolve().parents[1]
FILES = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
         for path in [ROOT / "app.py", *sorted((ROOT / "playground").rglob("*.py"))]}
TREES = {name: ast.parse(text) for name, text in FILES.items()}
SCRIPTS = "\n".join(path.read_text("utf-8") for path in (ROOT / "playground/ui").glob("*.js"))

HAN = re.compile(r"[\u4e00-\u9fff]")
LATIN = re.compile(r"[A-Za-z]{3,}")


def texts():
    """All visible strings, key -> (English, Chinese), as the page registers them."""
    found = dict(importlib.import_module("playground.ui.text").TEXT)
    for family in families.FAMILIES:
        own = families.load(family, "text").TEXT
        assert all(key.startswith(f"{family}.") for key in own), f"{family}: its keys begin with its name"
        found.update(own)
    return found


def sentences():
    """All error sentences of all modules, whether or not a test has imported them already."""
    for module in pkgutil.walk_packages(playground.__path__, "playground."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    importlib.import_module("playground.__main__")
    return {key: pair for key, pair in errors.registered().items() if not key.startswith("test.")}


TEXT, ERRORS = texts(), sentences()
ALL = {**{f"text {key}": pair for key, pair in TEXT.items()}, **{f"error {key}": pair for key, pair in ERRORS.items()}}


def placeholders(text):
    return {name for _, name, *_ in string.Formatter().parse(text) if name is not None}


def strings(tree):
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def calls(*names):
    """(file, call) of every call of a function of these names: t("…"), i18n.t("…"), …"""
    for file, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in names:
                yield file, node


@pytest.mark.parametrize("pair", ALL.values(), ids=ALL)
def test_a_text_is_a_pair_with_the_same_values_in_both(pair):
    assert isinstance(pair, tuple) and len(pair) == 2
    english, chinese = pair
    assert isinstance(english, str) and isinstance(chinese, str) and english.strip() and chinese.strip()
    assert placeholders(english) == placeholders(chinese)
    assert all(name.isidentifier() for name in placeholders(english))


@pytest.mark.parametrize("pair", ALL.values(), ids=ALL)
def test_chinese_is_chinese_and_english_is_not(pair):
    english, chinese = pair
    assert not HAN.search(english)
    words = LATIN.findall(re.sub(r"\{\w+\}|[A-Za-z]\w*\(|\bE\[.*?\]", "", english))
    assert HAN.search(chinese) or not words, "only formulas and symbols may stay as they are"


@pytest.mark.parametrize("pair", ALL.values(), ids=ALL)
def test_a_text_ends_cleanly(pair):
    for text in pair:
        assert text == text.strip() and "  " not in text and "TODO" not in text


@pytest.mark.parametrize("key", ERRORS)
def test_an_error_is_one_paragraph_that_ends_as_a_sentence(key):
    english, chinese = ERRORS[key]
    assert english.endswith(".") and chinese.endswith(("。", "."))
    assert "\n" not in english + chinese


def test_every_text_that_is_asked_for_exists():
    missing = []
    for file, call in calls("t", "both"):
        [key, *_] = call.args or [None]
        if isinstance(key, ast.Constant) and isinstance(key.value, str) and key.value not in TEXT:
            missing.append(f"{file}:{call.lineno}: {key.value}")
    assert not missing


def test_every_text_is_used():
    used = set().union(*(strings(tree) for file, tree in TREES.items() if not file.endswith("/text.py")))
    made = {f"{family}.{part}" for family in families.FAMILIES for part in ("tab", *(f"overview.{cell}" for cell in ("what", "next", *overview.ABILITIES)))}      # page.py and overview.py make these
    prefixes = [key for key in used if key.endswith(".")]
    unused = {key for key in TEXT if key not in used | made and f'"{key}"' not in SCRIPTS
              and not any(key.startswith(prefix) for prefix in prefixes)}
    assert not unused


def test_every_error_that_is_raised_is_registered_and_gets_its_values():
    wrong = []
    for file, call in calls("PlaygroundError"):
        key, *more = call.args
        where = f"{file}:{call.lineno}"
        if isinstance(key, ast.Constant):
            keys = [key.value]
        elif isinstance(key, ast.IfExp):
            keys = [branch.value for branch in (key.body, key.orelse)]
        else:
            wrong.append(f"{where}: write the key out, so that it can be found")
            continue
        given = {keyword.arg for keyword in call.keywords}
        for name in keys:
            if name not in ERRORS:
                wrong.append(f"{where}: {name} is not registered")
            elif None not in given and given != placeholders(ERRORS[name][0]):
                wrong.append(f"{where}: {name} needs {placeholders(ERRORS[name][0])}, not {given}")
            elif more:
                wrong.append(f"{where}: values go by name")
    assert not wrong


def test_every_registered_error_is_raised_somewhere():
    raised = {constant for _, call in calls("PlaygroundError") for constant in strings(call)}
    named = set()
    for tree in TREES.values():                               # keys that reach PlaygroundError through a variable or a helper
        registering = {id(node) for call in ast.walk(tree) if isinstance(call, ast.Call)
                       and ast.unparse(call.func).split(".")[-1] == "register" for node in ast.walk(call)}
        named |= {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)
                  and isinstance(node.value, str) and id(node) not in registering}
    assert not ERRORS.keys() - raised - named


@pytest.mark.parametrize("key", ERRORS)
def test_a_sentence_takes_any_value_and_shows_no_brace(key):
    names = placeholders(ERRORS[key][0])
    error = errors.PlaygroundError(key, **{name: f"<{name}>" for name in names})
    for language in errors.LANGUAGES:
        sentence = error.sentence(language)
        assert all(f"<{name}>" in sentence for name in names) and "{" not in sentence.replace("{…}", "")


def test_text_on_the_page_that_python_makes_is_escaped(monkeypatch):
    monkeypatch.setitem(i18n._TEXT, "test.value", ("a {x}", "值 {x}"))
    assert "<b>" not in i18n.both("test.value", x="<b>")


def test_no_other_text_is_shown_by_a_tab():
    """Labels, placeholders and info are written with t(): a plain word would not change with the language."""
    shown = ("label", "placeholder", "info", "value")
    plain = []
    for file, call in calls(*(name for name in ("Button", "Slider", "Dropdown", "Number", "Textbox", "Accordion", "Tab", "Markdown",
                                                "Checkbox", "Radio", "Image", "Label", "File", "UploadButton"))):
        first = call.args[:1] if ast.unparse(call.func).split(".")[-1] in ("Button", "Accordion", "Tab", "Markdown") else []
        for value in [*first, *(keyword.value for keyword in call.keywords if keyword.arg in shown)]:
            if isinstance(value, ast.Constant) and isinstance(value.value, str) and LATIN.search(value.value):
                plain.append(f"{file}:{call.lineno}: {value.value}")
    assert not plain


@pytest.mark.parametrize("file", [name for name in FILES if not name.endswith("/text.py")])
def test_chinese_stands_in_pairs_only(file):
    """Chinese outside a text.py is the second of a registered pair, or the name of the language on its switch."""
    allowed = {pair[1] for pair in ERRORS.values()}
    alone = [text for text in strings(TREES[file]) if HAN.search(text) and text not in allowed and "中文</span>" not in text]
    assert not alone or file == "playground/core/card.py"     # a model card is a file, and says all in both languages
