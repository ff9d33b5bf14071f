"""The arrows of the design point downwards only: read from every file's syntax tree, imports inside functions included.

    app -> page -> overview -> families -> <family>/tab -> ui, <family>/sample, train, text -> maths, model -> core;  ui -> core
"""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from playground import families

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "playground"
FILES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
         for path in [ROOT / "app.py", *sorted(PACKAGE.rglob("*.py"))]}
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in FILES.items()}

# part of a family -> the parts of the same family it may import
WITHIN = {
    "text": set(),
    "config": set(),
    "maths": set(),
    "voxels": {"config", "maths"},                                # one of two kinds of a family's model, where each is long
    "shapes": {"maths"},                                          # points and triangles: other ways to keep what a model holds
    "model": {"config", "maths", "voxels"},
    "train": {"config", "maths", "model", "voxels"},
    "sample": {"config", "maths", "model", "train"},
    "evaluate": {"config", "maths", "model", "train", "sample"},
    "bake": {"config", "maths", "model"},                         # packs a model for the visitor's browser
    "toy": {"config", "maths", "model", "train"},                 # small enough to be trained by the server itself
    "views": {"config", "maths", "model", "train", "sample", "evaluate", "toy", "shapes", "bake", "views"},          # of a tab with many: a folder, a file each
    "tab": {"text", "config", "maths", "model", "train", "sample", "evaluate", "bake", "views"},
    "__init__": set(),
}


def imports(name: str, tree: ast.AST | None = None) -> set[str]:
    """Every module that module `name` imports, absolute: those of ours as far as they are files, others by top name."""
    path = FILES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(tree or TREES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[:len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *filter(None, [node.module])])
            found |= {f"{base}.{alias.name}" if f"{base}.{alias.name}" in FILES else base for alias in node.names}
    return found


def top(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def area(name: str) -> str:
    """core, ui, a family's name, or for a module of the package itself its own name."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


IMPORTS = {name: imports(name) for name in FILES}
OURS = {name: {other for other in found if top({other}) <= {"playground", "app"}} for name, found in IMPORTS.items()}
FAMILIES = {path.parent.name for path in PACKAGE.glob("*/tab.py")}


def test_the_reader_of_imports_sees_them_all():
    tree = ast.parse("""
import a.b
def f():
    from ..core import errors
    from . import maths, nothing
    if True:
        import c as d
    from .model import VAE
""")
    found = imports("playground.vae.sample", tree)
    assert found == {"a.b", "playground.core.errors", "playground.vae.maths", "playground.vae", "c", "playground.vae.model"}


def test_the_families_are_the_folders_with_a_tab():
    assert set(families.FAMILIES) == FAMILIES


@pytest.mark.parametrize("name", FILES)
def test_no_family_imports_another(name):
    if area(name) in FAMILIES:
        assert {area(other) for other in OURS[name]} <= {area(name), "core", "ui"}


@pytest.mark.parametrize("name", FILES)
def test_within_a_family_imports_go_down(name):
    if area(name) in FAMILIES:
        part = name.split(".")[2] if name.count(".") >= 2 else "__init__"
        used = {other.split(".")[2] for other in OURS[name] if area(other) == area(name) and other.count(".") >= 2}
        assert used <= WITHIN[part], f"{name} imports {used - WITHIN[part]}"
        if part not in ("tab", "views"):
            assert "ui" not in {area(other) for other in OURS[name]}


@pytest.mark.parametrize("name", FILES)
def test_only_tabs_page_app_and_ui_import_gradio(name):
    allowed = name in ("app", "playground.page", "playground.overview") or area(name) == "ui" or name.split(".")[2:3] in (["tab"], ["views"]) and area(name) in FAMILIES
    assert allowed or not top(IMPORTS[name]) & {"gradio", "gradio_client"}


@pytest.mark.parametrize("name", [name for name in FILES if area(name) == "core"])
def test_core_knows_no_family_no_ui_and_nothing_above(name):
    assert {area(other) for other in OURS[name]} <= {"core"}


@pytest.mark.parametrize("name", [name for name in FILES if area(name) == "ui"])
def test_ui_stands_on_core_alone(name):
    assert {area(other) for other in OURS[name]} <= {"core", "ui"}


def test_what_is_above_the_families_imports_downwards():
    above = {"app": {"page"}, "playground.page": {"overview", "families", "ui", "core"}, "playground.overview": {"families", "ui", "core"}, "playground.families": set(),
             "playground.worker": {"families", "core"}, "playground.__main__": {"families", "worker", "core"},
             "playground": set()}
    rest = {name for name in FILES if area(name) not in FAMILIES | {"core", "ui"}}
    assert rest == above.keys(), "a new module: say here what it may import, and draw it in DESIGN and README"
    for name, allowed in above.items():
        used = {area(other) for other in OURS[name] if other != "playground"}
        assert used <= allowed, f"{name} imports {used - allowed}"


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".maths")])
def test_maths_holds_no_network_and_touches_no_file(name):
    tree = TREES[name]
    assert not [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
                and any(base.endswith("Module") for base in map(ast.unparse, node.bases))]
    assert not {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)} & {
        "open", "print", "input"}
    assert not top(IMPORTS[name]) & {"os", "io", "pathlib", "json", "shutil", "tempfile", "safetensors", "PIL", "logging"}
    assert not {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & {"Linear", "Conv2d", "Parameter"}


@pytest.mark.parametrize("name", FILES)
def test_nothing_unpickles(name):
    assert not top(IMPORTS[name]) & {"pickle", "cPickle", "_pickle", "dill", "joblib", "cloudpickle", "shelve", "marshal"}
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("torch.load", "eval", "exec", "torch.jit.load", "torch.hub.load"), f"{name}: {called}"
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            assert keywords.get("allow_pickle", "False") == "False", f"{name}: {called}"
            if called in ("np.load", "numpy.load"):
                assert "allow_pickle" in keywords, f"{name}: say allow_pickle=False"


def test_the_page_is_built_without_torch():
    """In a process of its own: the first byte must not wait for torch, which a thread imports meanwhile."""
    code = """
import json, sys
import playground.page
imported = sorted({"torch", "torchvision", "torchmetrics"} & sys.modules.keys())
page = playground.page.build()
built = sorted({"torch", "torchvision", "torchmetrics"} & sys.modules.keys())
print(json.dumps([imported, built, len(page.blocks)]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-3000:]
    imported, built, blocks = json.loads(done.stdout.splitlines()[-1])
    assert imported == built == [] and blocks > 10


def test_the_command_line_lists_without_torch_and_without_gradio():
    code = """
import sys
from playground.__main__ import main
assert main(["list"]) == 0
print(sorted({"torch", "gradio"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "[]"
