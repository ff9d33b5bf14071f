"""A family is a folder that offers what the page, the worker and the command line ask of it. Forget a part, and one of
these says which; the README's tree is held to the repository here too."""

import dataclasses
import importlib.util
import inspect
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch

from playground import __main__ as cli
from playground import families, overview, page, worker
from playground.core import card, checkpoints, datasets, device, jobs, recipe, runs, scenes
from playground.core.errors import PlaygroundError
from playground.ui import i18n

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("config", "model", "maths", "sample", "train", "evaluate", "tab", "text")
OPTIONAL = ("toy", "shapes", "voxels", "bake")         # and views/, a folder
OFFERS = {                   # part -> function -> its parameters
    "config": {"suited": ["preset", "dataset", "channels", "images"]},
    "train": {"init": ["config"], "batches": ["config", "start"], "train": ["config", "state", "batches"],
              "preview": ["config", "state"], "result": ["config", "state"]},
    "sample": {"load": ["name"], "images": ["name", "n", "seed"]},
    "evaluate": {"evaluate": ["name", "full", "report"]},
    "tab": {"build": ["tab"], "warm_up": []},
}
SHIPPED_MAX = 60_000_000     # bytes, all checkpoints together

SHIPPED = [(name, recipe_name, dataset) for recipe_name in families.RECIPES
           for name, dataset in families.recipe(recipe_name).CHECKPOINTS.items()]


def draws(name, family):
    """Whether a checkpoint is one that its family's tab lists: all but what serves another model, and what is missing."""
    path = checkpoints.SHIPPED / name / checkpoints.CONFIG
    model = json.loads(path.read_text("utf-8"))["model"] if path.is_file() else {}
    return not model or getattr(families.load(family, "config"), "PICKED", {}).items() <= model.items()


DRAWING = [row[:2] for row in SHIPPED if row[1] in families.FAMILIES and draws(*row[:2])]

every_family = pytest.mark.parametrize("family", families.FAMILIES)
every_recipe = pytest.mark.parametrize("name", families.RECIPES)
every_checkpoint = pytest.mark.parametrize("name, family, dataset", SHIPPED, ids=[row[0] for row in SHIPPED])


def parameters(function):
    return list(inspect.signature(function).parameters)


# ---- the folder ------------------------------------------------------------------------------------------------


@every_family
@pytest.mark.parametrize("part", PARTS)
def test_a_family_has_each_part_and_each_part_says_what_it_is(family, part):
    module = families.load(family, part)
    assert module.__doc__ and module.__doc__.strip()
    for name, expected in OFFERS.get(part, {}).items():
        assert hasattr(module, name), f"playground/{family}/{part}.py must offer {name}({', '.join(expected)})"
        taken = parameters(getattr(module, name))
        assert taken[:len(expected)] == expected, f"{family}/{part}.py: {name}"
        assert taken[len(expected):] == list(page.BORROWED.get(family, {}) if (part, name) == ("tab", "build") else ()), f"{family}/{part}.py: {name}"


@every_family
def test_a_family_has_no_other_files(family):
    folder = ROOT / "playground" / family
    assert {path.name for path in folder.glob("*.py")} - {f"{part}.py" for part in OPTIONAL} == {f"{part}.py" for part in PARTS} | {"__init__.py"}


@every_family
def test_a_folder_s_first_line_names_the_paper(family):
    module = importlib.import_module(f"playground.{family}")
    assert re.search(r"\d{4}", module.__doc__), "author and year, as in the notes"


@every_family
def test_what_may_be_asked_of_a_model_beside_its_samples_has_the_agreed_parameters(family):
    sample = families.load(family, "sample")
    if hasattr(sample, "reconstruct"):                        # only what encodes can reconstruct
        assert parameters(sample.reconstruct) == ["name", "x"]


@every_family
def test_a_model_is_described_by_a_frozen_dataclass_that_has_defaults_and_refuses_nonsense(family):
    config = families.load(family, "model").ModelConfig
    assert dataclasses.is_dataclass(config) and config.__dataclass_params__.frozen
    config()
    for field in dataclasses.fields(config):
        with pytest.raises((PlaygroundError, TypeError)):
            config(**{field.name: None})


# ---- the recipe ------------------------------------------------------------------------------------------------


@every_recipe
def test_a_recipe_offers_the_contract(name):
    module = families.recipe(name)
    needed = {function: expected for function, expected in OFFERS["train"].items() if function != "preview" or name in families.FAMILIES}
    for member in ("TrainConfig", "State", "PRESETS", "CHECKPOINTS", "BEST", *needed):
        assert hasattr(module, member), f"{module.__name__} must offer {member} (core/recipe.py)"
    for function, expected in needed.items():
        assert parameters(getattr(module, function)) == expected
    assert dataclasses.is_dataclass(module.TrainConfig) and module.TrainConfig.__dataclass_params__.frozen
    fields = {field.name: field.type for field in dataclasses.fields(module.TrainConfig)}
    assert {"dataset": "str", "steps": "int", "seed": "int"}.items() <= {
        key: getattr(kind, "__name__", kind) for key, kind in fields.items()}.items()
    assert "step" in {field.name for field in dataclasses.fields(module.State)}
    assert set(module.PRESETS) <= set(recipe.PRESETS) and all(type(p) is module.TrainConfig for p in module.PRESETS.values())
    assert not module.CHECKPOINTS or "shipped" in module.PRESETS


@every_recipe
@pytest.mark.parametrize("wrong", [{"steps": 0}, {"steps": -1}, {"seed": -1}, {"seed": 2**31}])
def test_a_recipe_refuses_settings_out_of_range_in_one_sentence(name, wrong):
    with pytest.raises(PlaygroundError) as refused:
        families.recipe(name).TrainConfig(**wrong)
    assert next(iter(wrong)) in str(refused.value)


def small(module):
    """The recipe's shortest training on a set that needs no file."""
    config = next((module.PRESETS[kind] for kind in recipe.PRESETS if kind in module.PRESETS), module.TrainConfig())
    changes = {"steps": 3, "seed": 5}
    if config.dataset not in (*datasets.BUILT_IN, *scenes.BUILT_IN):
        changes["dataset"] = "glyphs"
    if hasattr(config, "size"):
        changes["size"] = 24                                  # pixels a side of a scene's pictures
    if hasattr(config, "batch_size"):
        changes["batch_size"] = 8
    return dataclasses.replace(config, **changes)


@every_recipe
def test_a_recipe_yields_after_each_update_and_ends_as_a_model(name):
    module = families.recipe(name)
    config = small(module)
    state = module.init(config)
    progress = list(module.train(config, state, module.batches(config, 0)))
    assert [(p.step, p.steps) for p in progress] == [(1, 3), (2, 3), (3, 3)] and state.step == 3
    assert all(module.BEST in p.metrics for p in progress), f"BEST names a metric of every Progress: {module.BEST}"
    assert all(type(value) is float for p in progress for value in p.metrics.values())

    before = recipe.pack(state)
    if hasattr(module, "preview"):
        film = module.preview(config, state)
        assert film.ndim == 4 and film.device.type == "cpu" and 0 <= film.min() and film.max() <= 1
        assert torch.equal(film, module.preview(config, state)), "the same noise, the same pictures"
    result = module.result(config, state)
    after = recipe.pack(state)
    assert before[1] == after[1] and all(torch.equal(before[0][key], after[0][key]) for key in before[0]), "result changed the state"
    assert json.loads(json.dumps(dict(result.model))) == dict(result.model)
    build = families.load(name, "sample").build if name in families.FAMILIES else module.build
    build(result.model).load_state_dict(result.weights)


@every_recipe
def test_a_recipe_stopped_and_resumed_ends_with_the_weights_of_an_unbroken_run(name):
    module = families.recipe(name)
    config = small(module)

    def fresh():
        torch.manual_seed(config.seed)                        # what the worker does, for layers that draw by themselves
        return module.init(config)

    unbroken = fresh()
    for _ in module.train(config, unbroken, module.batches(config, 0)):
        pass
    first = fresh()
    for _ in itertools.islice(module.train(config, first, module.batches(config, 0)), 1):
        pass
    tensors, meta = recipe.pack(first)
    second = module.init(config)
    recipe.unpack(second, tensors, json.loads(json.dumps(meta)))
    for _ in module.train(config, second, module.batches(config, second.step)):
        pass
    expected, found = (module.result(config, state).weights for state in (unbroken, second))
    assert all(torch.equal(expected[key], found[key]) for key in expected)


@pytest.fixture
def processes(tmp_path, monkeypatch):
    """jobs.place on a runs folder of this test's own; all that was started there has ended with the test."""
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PLAYGROUND_DEVICE", "cpu")
    device.for_.cache_clear()
    monkeypatch.setattr(jobs, "place", place := jobs.LocalProcess())
    threads = torch.get_num_threads()
    torch.set_num_threads(device.threads())                   # another number of threads, other sums
    yield place
    place.leave()
    for worker_process in place._workers:
        worker_process.kill()
        worker_process.wait()
    torch.set_num_threads(threads)
    device.for_.cache_clear()


def until(name, *states, step=None):
    """Wait until a run is in one of these states, or beyond an update."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        run = runs.find(name)
        if run.state in states or step is not None and run.status.step > step:
            return run
        time.sleep(0.01)
    pytest.fail(f"{name} is {run.state} at {run.status.step}: {run.status.error}\n{(run.folder / runs.LOG).read_text()[-2000:]}")


@pytest.mark.slow
@every_family
def test_a_family_trained_stopped_killed_and_resumed_by_real_processes_ends_as_if_unbroken(family, processes, tmp_path):
    """Everything a recipe gets for nothing, as the page asks for it: an estimate, a start, a stop, a kill -9, two resumes."""
    config = small(families.recipe(family))
    config = dataclasses.replace(config, steps=max(30, jobs.estimate(family, config).steps(6)))
    name = jobs.start(family, config, kind="10s", command=f"python -m playground train {family}")
    until(name, "finished", step=0)
    jobs.stop(name)
    stopped = until(name, "stopped", "finished", "failed")
    assert stopped.state == "stopped" and 0 < stopped.status.step < config.steps
    assert checkpoints.entry(name).config["made"]["updates"] == stopped.status.step, "what there is can be used"
    jobs.resume(name)
    until(name, "finished", step=stopped.status.step)
    processes._workers[-1].kill()
    killed = until(name, "interrupted", "finished", "failed")
    assert killed.state == "interrupted" and stopped.status.step < killed.status.step < config.steps
    jobs.resume(name)
    finished = until(name, "finished", "failed")
    assert (finished.state, finished.status.step, finished.status.error) == ("finished", config.steps, {})

    whole = tmp_path / "unbroken"
    assert worker.run(family, config, whole).state == "finished"
    assert (finished.folder / "checkpoint" / checkpoints.WEIGHTS).read_bytes() == (whole / "checkpoint" / checkpoints.WEIGHTS).read_bytes()
    assert runs.frames(finished.folder) == runs.frames(whole) and runs.frames(whole)[-1] == config.steps
    assert all((finished.folder / f"previews/{step}.png").read_bytes() == (whole / f"previews/{step}.png").read_bytes() for step in runs.frames(whole))


# ---- what ships ------------------------------------------------------------------------------------------------


@every_checkpoint
def test_a_shipped_checkpoint_is_whole_and_its_card_holds_the_command(name, family, dataset):
    folder = checkpoints.SHIPPED / name
    assert {path.name for path in folder.iterdir()} == {checkpoints.CONFIG, checkpoints.CARD, checkpoints.WEIGHTS}
    config = checkpoints.entry(name).config
    assert (config["family"], config["dataset"]) == (family, dataset)
    text = (folder / checkpoints.CARD).read_text("utf-8")
    assert f"```\n{config['command']}\n```" in text
    assert text == card.card(name, json.loads((folder / checkpoints.CONFIG).read_text("utf-8"))), "the card is not of this config"
    assert config["metrics"], f"measure it: python -m playground evaluate {name} --write"
    assert all(config["made"].get(key) for key in ("seconds", "hardware", "torch", "date"))


@every_checkpoint
def test_the_card_s_command_asks_for_the_training_that_is_described(name, family, dataset):
    config = checkpoints.entry(name).config
    start = "python -m playground "
    assert config["command"].startswith(start)
    options = cli.parser().parse_args(config["command"].removeprefix(start).split())
    assert options.family == family and options.preset, "a file named on a card is not in the repository: use a preset"
    module = families.recipe(family)
    given = {key: getattr(options, key) for key in ("dataset", "steps", "seed") if getattr(options, key) is not None}
    base = module.suited(options.preset, dataset) if hasattr(module, "suited") else module.PRESETS[options.preset]
    described = recipe.config_from(family, module.TrainConfig, {**dict(map(cli._setting, options.set)), **given}, base)
    assert json.loads(json.dumps(dataclasses.asdict(described))) == json.loads(json.dumps(dict(config["train"])))


def test_nothing_ships_that_is_not_named():
    folders = {path.name for path in checkpoints.SHIPPED.iterdir()}
    assert folders == {name for name, *_ in SHIPPED}, "train.CHECKPOINTS names what ships"
    assert len(folders) == len(SHIPPED), "two families ship the same name"


def test_all_that_ships_is_small_together():
    assert sum(path.stat().st_size for path in checkpoints.SHIPPED.rglob("*") if path.is_file()) < SHIPPED_MAX


@every_checkpoint
def test_shipped_weights_are_safetensors_and_load(name, family, dataset):
    tensors = safetensors.torch.load_file(checkpoints.SHIPPED / name / checkpoints.WEIGHTS)
    assert all(key.startswith(("model.", "derived.", "scale.model.")) for key in tensors)
    if family in families.FAMILIES:
        found = families.load(family, "sample").load(name)
    else:
        found = checkpoints.load(name, family, families.recipe(family).build)
    assert found.name == name and not found.model.training and not any(p.requires_grad for p in found.model.parameters())


@pytest.mark.parametrize("name, family", DRAWING)
def test_a_shipped_model_draws_the_picture_of_its_seed_in_any_batch(name, family):
    sample = families.load(family, "sample")
    x = sample.images(name, 5, 3)
    assert x.ndim == 4 and len(x) == 5 and x.device.type == "cpu" and x.dtype == torch.float32
    assert x.min() >= 0 and x.max() <= 1 and x.std() > 0.01
    assert (sample.images(name, 2, 3) - x[:2]).abs().max() < 1 / 255
    assert (sample.images(name, 5, 4) - x).abs().max() > 0.1
    if hasattr(sample, "reconstruct"):
        assert sample.reconstruct(name, x).shape == x.shape


# ---- the page --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def config():
    """The built page as Gradio describes it to the browser."""
    return page.build().get_config_file()


@every_family
def test_a_family_has_its_tab_and_a_named_endpoint(family, config):
    tabs = [c["props"] for c in config["components"] if c["type"] == "tabitem" and c["props"].get("id") == family]
    assert len(tabs) == 1
    names = [d["api_name"] for d in config["dependencies"] if isinstance(d["api_name"], str)]
    assert any(name.startswith(f"{family}_") for name in names), "name the useful handler with api_name"
    assert f"{family}.tab" in i18n._TEXT


def test_the_tabs_stand_in_the_order_of_the_families_after_the_overview(config):
    assert [c["props"]["id"] for c in config["components"] if c["type"] == "tabitem"] == [overview.ID, *families.FAMILIES]


def test_the_config_of_the_page_is_data_alone(config):
    """It is copied anew for every visitor: a function in it would bring all it knows (as one did, 0.4 s for each)."""
    def kinds(value):
        if isinstance(value, dict):
            return set().union(*map(kinds, value.values()))
        return set().union(*map(kinds, value)) if isinstance(value, (list, tuple)) else {type(value).__name__}

    assert kinds(config) <= {"str", "int", "float", "bool", "NoneType", "I18nData"}


# ---- the README's figures and tree -----------------------------------------------------------------------------------------

def test_the_figures_of_the_readme_are_those_of_the_cards():
    spec = importlib.util.spec_from_file_location("numbers", ROOT / "docs/numbers.py")
    spec.loader.exec_module(numbers := importlib.util.module_from_spec(spec))
    text = (ROOT / "README.md").read_text("utf-8")
    assert all(f"[`{name}`]" in text for name, *_ in SHIPPED)
    assert numbers.updated(text) == text, "run: python docs/numbers.py"


IGNORED = re.compile(r"^(\.git|\.venv|\.pytest_cache|\.hypothesis|__pycache__|runs|data|screenshots|build|.*\.egg-info|.*\.pyi)$")


def tree(text):
    """The paths of the README's tree, folders with a slash at their end."""
    block = re.search(r"## Where things live\n.*?```\n(.*?)```", text, re.DOTALL).group(1)
    paths, above = [], []
    for line in block.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        above[depth:] = [line.split()[0]]
        paths.append("".join(above))
        assert len(line.split()) > 1, f"say what {line} is"
    return paths


UNLISTED = {"__init__.py", ".gitignore"}           # say nothing that their folder's line does not


def children(folder):
    return {f"{path.name}/" if path.is_dir() else path.name for path in folder.iterdir() if not IGNORED.match(path.name)}


def test_the_tree_of_the_readme_is_the_repository():
    paths = tree((ROOT / "README.md").read_text("utf-8"))
    assert len(set(paths)) == len(paths)
    opened = {""} | {path.rpartition("/")[0].rpartition("/")[0] + "/" if path.endswith("/") else path.rpartition("/")[0] + "/"
                     for path in paths} - {"/"}
    for folder in sorted(opened):                             # a folder without lines below it speaks for all it holds
        listed = {path.removeprefix(folder) for path in paths
                  if path.startswith(folder) and path != folder and "/" not in path.removeprefix(folder).rstrip("/")}
        assert listed == children(ROOT / folder) - UNLISTED, f"in {folder or 'the repository'}"



# ---- a sixth family --------------------------------------------------------------------------------------------


def copy_of_the_repository(folder, name):
    """The repository with a copy of the VAE under another name, done as CONTRIBUTING.md says."""
    for path in ROOT.iterdir():
        if not IGNORED.match(path.name):
            copy = shutil.copytree if path.is_dir() else shutil.copy
            copy(path, folder / path.name, **({"ignore": shutil.ignore_patterns("__pycache__")} if path.is_dir() else {}))
    new = folder / "playground" / name
    shutil.copytree(folder / "playground/vae", new)
    for path in new.rglob("*.py"):
        path.write_text(re.sub(r"\bvae(?=[-_.:\"'])", name, path.read_text("utf-8")), "utf-8")
    listed = folder / "playground/families.py"
    listed.write_text(listed.read_text("utf-8").replace("FAMILIES = (", f'FAMILIES = ("{name}", ', 1), "utf-8")
    for old in (folder / "checkpoints").glob("vae-*"):
        new = old.with_name(old.name.replace("vae", name, 1))
        shutil.copytree(old, new)
        config = json.loads((new / "config.json").read_text("utf-8"))
        config.update(family=name, command=config["command"].replace("train vae", f"train {name}"))
        (new / "config.json").write_text(json.dumps(config), "utf-8")
        (new / "README.md").write_text(card.card(new.name, config), "utf-8")
    readme = folder / "README.md"
    text = readme.read_text("utf-8")
    block = re.search(r"  vae/.*?(?=\n(?:  )?\w)", text, re.DOTALL).group(0)
    readme.write_text(text.replace(block, f"{block}\n{block.replace('vae', name, 1)}", 1), "utf-8")
    subprocess.run([sys.executable, "docs/numbers.py"], cwd=folder, check=True)
    return folder


def contract_tests(folder, name):
    """Run them in the copy, the recipes and pictures of the family `name` alone; returns (all passed, what pytest said)."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_families.py", "tests/test_imports.py",
         "tests/test_text.py", "-k", f"not sixth_family and not small_together and ({name} or not (recipe or draws_the_picture))"],
        cwd=folder, capture_output=True, text=True, timeout=900, env={**os.environ, "PYTHONPATH": str(folder), "CI": ""})
    return done.returncode == 0, done.stdout[-12000:]


@pytest.mark.slow
def test_a_sixth_family_is_one_more_folder(tmp_path):
    passed, said = contract_tests(copy_of_the_repository(tmp_path, "sixth"), "sixth")
    assert passed, said


@pytest.mark.slow
def test_what_a_sixth_family_forgets_is_named(tmp_path):
    folder = copy_of_the_repository(tmp_path, "sixth")
    new = folder / "playground/sixth"
    (new / "evaluate.py").unlink()
    sample, text = new / "sample.py", new / "text.py"
    sample.write_text(sample.read_text("utf-8").replace("def images(", "def pictures("), "utf-8")
    text.write_text(text.read_text("utf-8").replace('"sixth.zero": ("Back to zero", "全部归零")', '"sixth.zero": ("Back to zero", "")'), "utf-8")
    maths = new / "maths.py"
    maths.write_text(maths.read_text("utf-8") + "\nfrom ..vae import model\n", "utf-8")
    readme = folder / "README.md"
    readme.write_text(readme.read_text("utf-8").replace("  sixth/", "  seventh/"), "utf-8")
    shutil.rmtree(folder / "checkpoints/sixth-mnist")
    passed, said = contract_tests(folder, "sixth")
    assert not passed
    for forgotten in ("test_a_family_has_each_part_and_each_part_says_what_it_is[evaluate-sixth]",
                      "test_a_family_has_each_part_and_each_part_says_what_it_is[sample-sixth]",
                      "test_a_text_is_a_pair_with_the_same_values_in_both[text sixth.zero]",
                      "test_no_family_imports_another[playground.sixth.maths]",
                      "test_the_tree_of_the_readme_is_the_repository", "test_nothing_ships_that_is_not_named"):
        assert forgotten in said, f"no word on {forgotten} in\n{said}"
