"""A checkpoint is whole or refused in one sentence, and what was loaded stays as it was."""

import json
import math
import os
import pickle
import re
import shutil
import subprocess
import sys
import threading
from hashlib import sha256
from pathlib import Path

import pytest
import safetensors.torch
import torch

import toy
from playground.core import checkpoints, device
from playground.core.card import headline
from playground.core.errors import PlaygroundError

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """An empty checkpoints/ and runs/ of the test's own, nothing in the cache, models on the CPU."""
    monkeypatch.setattr(checkpoints, "SHIPPED", tmp_path / "checkpoints")
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(device, "for_", lambda purpose: torch.device("cpu"))
    monkeypatch.setattr(checkpoints, "_cache", type(checkpoints._cache)())
    return tmp_path


def save(folder, seed=0, width=4, derived=None, **changes):
    """A toy checkpoint whose weights all come from `seed`."""
    torch.manual_seed(seed)
    model = toy.Model(width)
    checkpoints.save(folder, **{**dict(
        family="toy", dataset="mnist", model={"width": width}, train={"seed": seed, "lr": 1e-3}, weights=model.state_dict(),
        derived=derived or {"codes": torch.randn(10, 2), "labels": torch.arange(10)}, metrics={},
        command="python -m playground train toy --preset 10s",
        made={"seconds": 1234.5, "hardware": "an abacus", "torch": "2.0", "date": "2026-01-01"}), **changes})
    return model


def load(name="toy-a"):
    return checkpoints.load(name, "toy", toy.build)


@pytest.fixture
def folder(places):
    save(places / "checkpoints" / "toy-a")
    return places / "checkpoints" / "toy-a"


# ---- what is saved is what is loaded ---------------------------------------------------------------------------


def test_full_precision_comes_back_to_the_bit_and_half_as_float32_within_its_rounding(places):
    own = save(places / "checkpoints" / "full", half=False).state_dict()
    save(places / "checkpoints" / "half", half=True)
    full, half = load("full").model.state_dict(), load("half").model.state_dict()
    for key, tensor in own.items():
        assert torch.equal(full[key], tensor) and full[key].dtype == half[key].dtype == tensor.dtype
        if tensor.is_floating_point():
            assert torch.equal(half[key], tensor.half().float())
    sizes = {entry.name: entry.bytes for entry in checkpoints.entries()}
    assert sizes["half"] < sizes["full"]


def test_shipped_with_8_bits_each_row_comes_back_within_half_a_step_of_its_largest_weight(places):
    wide = places / "runs" / "wide" / "checkpoint"
    own = save(wide, width=64, half=False).state_dict()
    checkpoints.ship(wide, "small", bits=8)
    checkpoints.ship(wide, "same")
    small, derived = load("small").model.state_dict(), load("small").derived
    matrices = [key for key, tensor in own.items() if tensor.ndim > 1]
    assert matrices
    for key, tensor in own.items():
        if key in matrices:
            step = tensor.flatten(1).abs().amax(1, keepdim=True) / 127
            assert bool(((small[key] - tensor).flatten(1).abs() <= step * 0.5001).all()) and not torch.equal(small[key], tensor)
        else:
            assert torch.equal(small[key], tensor.half().float() if tensor.is_floating_point() else tensor)
    assert torch.equal(derived["labels"], load("same").derived["labels"])
    sizes = {entry.name: entry.bytes for entry in checkpoints.entries()}
    assert sizes["small"] < sizes["same"]
    assert "8 bits a weight" in (places / "checkpoints" / "small" / "README.md").read_text("utf-8")


@pytest.mark.parametrize("scale", [torch.ones(3), torch.ones(1), torch.ones(4, 2), torch.ones(4, dtype=torch.int32), torch.full((4,), math.inf)])
def test_a_scale_that_fits_no_weight_is_refused(places, folder, scale):
    weights = {"model.weight": torch.ones(4, 5, dtype=torch.int8), "scale.model.weight": scale}
    with pytest.raises(PlaygroundError):
        checkpoints._tensors("toy-a", safetensors.torch.save(weights))
    with pytest.raises(PlaygroundError):
        checkpoints._tensors("toy-a", safetensors.torch.save({"scale.model.weight": torch.ones(4)}))
    with pytest.raises(PlaygroundError):
        checkpoints._tensors("toy-a", safetensors.torch.save({"model.weight": torch.ones(4, 5), "scale.model.weight": torch.ones(4)}))


def test_what_half_precision_cannot_hold_stays_in_full(places):
    far = torch.tensor([1e6, 1.0])
    save(places / "checkpoints" / "toy-a", derived={"far": far, "labels": torch.tensor([2**40])})
    derived = load().derived
    assert torch.equal(derived["far"], far) and derived["labels"].tolist() == [2**40]


def test_tensors_that_share_memory_or_skip_in_it_are_saved(places):
    base = torch.arange(12.0).view(3, 4)
    save(places / "checkpoints" / "toy-a", derived={"a": base, "b": base.t(), "c": base[0]})
    assert torch.equal(load().derived["b"], base.t())


def test_a_loaded_model_is_shared_in_eval_mode_without_gradients_and_its_config_is_read_only(folder):
    one = load()
    assert load() is one and not one.model.training and not any(p.requires_grad for p in one.model.parameters())
    for change in (lambda: one.config.update({"family": "x"}), lambda: one.config["model"].update(width=9),
                   lambda: one.derived.update(x=1), lambda: setattr(one, "model", None)):
        with pytest.raises((AttributeError, TypeError)):
            change()


def test_drawing_from_a_loaded_model_leaves_its_weights(folder):
    one = load()
    before = {key: tensor.clone() for key, tensor in one.model.state_dict().items()}
    one.model(torch.rand(8, 1, 8, 8))
    assert all(torch.equal(tensor, before[key]) for key, tensor in one.model.state_dict().items())


def test_loading_moves_no_random_state(folder):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load()
    assert torch.equal(torch.rand(3), expected)


# ---- the list --------------------------------------------------------------------------------------------------


def test_shipped_and_trained_are_in_one_list_and_a_run_never_hides_a_shipped_one(places, folder):
    save(places / "runs" / "toy-run" / "checkpoint", seed=1)
    save(places / "runs" / "toy-a" / "checkpoint", seed=2)
    (places / "runs" / "unfinished").mkdir()
    assert [(e.name, e.shipped, e.config["train"]["seed"]) for e in checkpoints.entries()] == [
        ("toy-a", True, 0), ("toy-run", False, 1)]
    assert load("toy-a").config["train"]["seed"] == 0 and load("toy-run").config["train"]["seed"] == 1


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 900 + "]" * 900, '{"format": 2}', "\udcff"])
def test_a_broken_description_is_left_out_of_the_list_and_logged(text, places, folder, caplog):
    save(places / "checkpoints" / "toy-b")
    (folder / "config.json").write_text(text, errors="surrogateescape")
    assert [entry.name for entry in checkpoints.entries()] == ["toy-b"]
    assert "toy-a" in caplog.text


def test_listing_imports_neither_torch_nor_gradio(folder, places):
    code = ("import sys; from pathlib import Path; from playground.core import checkpoints as c; import playground.worker, "
            "playground.__main__; c.SHIPPED = Path(sys.argv[1]); print(*[e.name for e in c.entries()], "
            "*({'torch', 'numpy', 'safetensors', 'gradio'} & sys.modules.keys()))")
    out = subprocess.run([sys.executable, "-c", code, places / "checkpoints"], cwd=ROOT, capture_output=True, text=True)
    assert out.stdout.split() == ["toy-a"], out.stderr


# ---- what does not fit is refused ------------------------------------------------------------------------------


def refusal(key, name="toy-a", family="toy", build=toy.build):
    """The one sentence a load is refused with, in both languages; nothing was kept."""
    with pytest.raises(PlaygroundError) as refused:
        checkpoints.load(name, family, build)
    error = refused.value
    assert error.key == key
    for sentence in (error.sentence("en"), error.sentence("zh")):
        assert not re.search(r"[/\\]|Error|Exception|Traceback|\.json|\n", sentence), sentence
    assert not checkpoints._cache
    return str(error)


NOT_NAMES = ["", ".", "..", "../toy-a", "toy-a/", "/etc/passwd", "toy-a/../toy-a", "toy-a\0", "TOY-A", "toy_a", "-toy", "toy-a\n",
             "a" * 300, "toy\\a", "toy.a", None, 3, True, 1.5, ["toy-a"], b"toy-a", Path("toy-a")]


@pytest.mark.parametrize("name", NOT_NAMES, ids=repr)
def test_what_is_not_a_name_is_refused(name, folder):
    refusal("checkpoint.name", name)
    with pytest.raises(PlaygroundError):
        checkpoints.update_metrics(name, {})


def test_an_unknown_name_and_another_family_are_refused(folder):
    assert "toy-zzz" in refusal("checkpoint.unknown", "toy-zzz")
    assert "vae" in refusal("checkpoint.family", family="vae")
    load()
    with pytest.raises(PlaygroundError, match="vae"):         # also when it is in memory already
        checkpoints.load("toy-a", "vae", toy.build)


def change_config(folder, change):
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


BROKEN_CONFIGS = {
    "missing": lambda folder: (folder / "config.json").unlink(),
    "a folder": lambda folder: ((folder / "config.json").unlink(), (folder / "config.json").mkdir()),
    "a pipe": lambda folder: ((folder / "config.json").unlink(), os.mkfifo(folder / "config.json")),
    "not JSON": lambda folder: (folder / "config.json").write_text("{'format': 1}"),
    "not an object": lambda folder: (folder / "config.json").write_text("[1, 2]"),
    "NaN": lambda folder: change_config(folder, lambda c: c["metrics"].update(x=math.nan)),
    "huge": lambda folder: change_config(folder, lambda c: c.update(filler="x" * 2**21)),
    "nested": lambda folder: (folder / "config.json").write_text('{"a":' * 5000 + "1" + "}" * 5000),
    "another format": lambda folder: change_config(folder, lambda c: c.update(format=2)),
    "no family": lambda folder: change_config(folder, lambda c: c.pop("family")),
    "a model of another kind": lambda folder: change_config(folder, lambda c: c.update(model=[4])),
    "a path for a hash": lambda folder: change_config(folder, lambda c: c.update(sha256="../" * 21 + "a")),
    "a cut file": lambda folder: (folder / "config.json").write_bytes((folder / "config.json").read_bytes()[:-20]),
}


@pytest.mark.parametrize("break_it", BROKEN_CONFIGS.values(), ids=BROKEN_CONFIGS)
def test_a_broken_description_is_refused(break_it, folder):
    break_it(folder)
    refusal("checkpoint.config")
    assert checkpoints.entries() == []


@pytest.mark.parametrize("model", [{"width": 4, "nonsense": 1}, {"wdth": 4}, {"width": "4"}, {"width": -1}, {"width": 1e9},
                                   {"width": 10**15}])
def test_a_model_that_cannot_be_built_is_refused(model, folder):
    change_config(folder, lambda config: config.update(model=model))
    refusal("checkpoint.model")


def change_weights(folder, change):
    """Write other weights, and their hash into the description, so that only what they hold can be at fault."""
    path = folder / "weights.safetensors"
    tensors = safetensors.torch.load_file(path)
    write_weights(folder, safetensors.torch.save(change(tensors) or tensors))


def write_weights(folder, data):
    (folder / "weights.safetensors").write_bytes(data)
    change_config(folder, lambda config: config.update(sha256=sha256(data).hexdigest()))


WRONG_WEIGHTS = {
    "a missing tensor": ("checkpoint.keys", lambda t: {key: t[key] for key in t if key != "model.conv.bias"}),
    "an unknown tensor": ("checkpoint.keys", lambda t: t.update({"model.extra": torch.zeros(1)})),
    "a stray tensor": ("checkpoint.keys", lambda t: t.update({"optimizer.step": torch.zeros(1)})),
    "no tensor": ("checkpoint.keys", lambda t: {"derived.codes": torch.zeros(1)}),
    "a wrong shape": ("checkpoint.shape", lambda t: t.update({"model.conv.weight": torch.zeros(4, 1, 3, 5)})),
    "a shape that broadcasts": ("checkpoint.shape", lambda t: t.update({"model.conv.weight": torch.zeros(1, 1, 1, 1)})),
    "integers for reals": ("checkpoint.shape", lambda t: t.update({"model.conv.bias": torch.zeros(4, dtype=torch.int64)})),
    "NaN": ("checkpoint.finite", lambda t: t["model.conv.bias"].fill_(math.nan) is None),
    "infinity": ("checkpoint.finite", lambda t: t["model.conv.bias"].fill_(-math.inf) is None),
    "NaN among the derived": ("checkpoint.finite", lambda t: t["derived.codes"].fill_(math.nan) is None),
}


@pytest.mark.parametrize("key, change", WRONG_WEIGHTS.values(), ids=WRONG_WEIGHTS)
def test_wrong_weights_are_refused_and_the_right_ones_load_afterwards(key, change, folder):
    good = {path: path.read_bytes() for path in folder.iterdir()}
    change_weights(folder, change)
    refusal(key)
    for path, data in good.items():
        path.write_bytes(data)
    assert load().name == "toy-a"


class Bomb:
    """Unpickling this leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


BROKEN_FILES = {
    "empty": lambda data, bomb: b"",
    "cut in the header": lambda data, bomb: data[:40],
    "cut in the tensors": lambda data, bomb: data[:-1],
    "too long": lambda data, bomb: data + b"\0",
    "a pickle": lambda data, bomb: pickle.dumps(Bomb(bomb)),
    "a header of 2^62 bytes": lambda data, bomb: (2**62).to_bytes(8, "little") + data[8:],
    "text": lambda data, bomb: b"weights " * 100,
}


@pytest.mark.parametrize("damage", BROKEN_FILES.values(), ids=BROKEN_FILES)
@pytest.mark.parametrize("hashed", [False, True])
def test_what_is_no_safetensors_file_is_refused_and_never_unpickled(damage, hashed, folder, places):
    data = damage((folder / "weights.safetensors").read_bytes(), places / "bomb")
    write_weights(folder, data) if hashed else (folder / "weights.safetensors").write_bytes(data)
    refusal("checkpoint.weights")
    assert not (places / "bomb").exists()


def test_a_torch_file_of_the_right_tensors_is_refused(folder):
    torch.save(safetensors.torch.load_file(folder / "weights.safetensors"), folder / "other")
    write_weights(folder, (folder / "other").read_bytes())
    refusal("checkpoint.weights")


def test_weights_of_another_checkpoint_and_a_flipped_bit_are_refused(folder, places):
    save(places / "checkpoints" / "toy-b", seed=1)
    own = (folder / "weights.safetensors").read_bytes()
    shutil.copy(places / "checkpoints" / "toy-b" / "weights.safetensors", folder / "weights.safetensors")
    refusal("checkpoint.weights")
    (folder / "weights.safetensors").write_bytes(own[:-9] + bytes([own[-9] ^ 1]) + own[-8:])
    refusal("checkpoint.weights")
    (folder / "weights.safetensors").unlink()
    refusal("checkpoint.weights")


@pytest.mark.parametrize("name", ["weights.safetensors", "config.json"])
def test_a_link_that_leaves_the_folder_is_refused(name, folder, places):
    shutil.move(folder / name, places / "elsewhere")
    (folder / name).symlink_to(places / "elsewhere")
    refusal("checkpoint.weights" if name.startswith("weights") else "checkpoint.config")


def test_a_folder_that_is_a_link_out_of_its_place_is_unknown(folder, places):
    shutil.move(folder, places / "elsewhere")
    folder.symlink_to(places / "elsewhere")
    refusal("checkpoint.unknown")
    assert checkpoints.entries() == []


def test_saving_what_could_not_be_loaded_is_refused_and_keeps_the_old_one(folder):
    with pytest.raises(PlaygroundError) as refused:
        save(folder, seed=1, derived={"codes": torch.tensor([math.nan])})
    assert refused.value.key == "checkpoint.finite"
    assert load().config["train"]["seed"] == 0


# ---- memory ----------------------------------------------------------------------------------------------------


def test_many_who_ask_at_once_load_once_and_get_the_same(folder):
    built, start = [], threading.Barrier(16)

    def build(config):
        built.append(threading.get_ident())
        return toy.build(config)

    def ask(results):
        start.wait()
        results.append(checkpoints.load("toy-a", "toy", build))

    results = []
    threads = [threading.Thread(target=ask, args=(results,)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1 and len(results) == 16 and all(each is results[0] for each in results)


def test_a_retrained_run_is_seen_and_the_old_one_stays_whole_for_who_holds_it(places):
    where = places / "runs" / "toy-run" / "checkpoint"
    old = save(where, seed=1, half=False).state_dict()
    held = load("toy-run")
    new = save(where, seed=2, half=False).state_dict()
    assert load("toy-run").config["train"]["seed"] == 2
    assert torch.equal(load("toy-run").model.conv.weight, new["conv.weight"])
    assert held.config["train"]["seed"] == 1 and torch.equal(held.model.conv.weight, old["conv.weight"])


def test_the_least_recently_used_leaves_when_the_bytes_are_full(places, monkeypatch):
    for name in ("a", "b", "c"):
        save(places / "checkpoints" / name)
    a, b = load("a"), load("b")
    assert a.bytes == sum(t.nbytes for t in [*a.model.state_dict().values(), *a.derived.values()])
    monkeypatch.setattr(checkpoints, "CACHE_BYTES", 2 * a.bytes)
    assert load("a") is a                                     # so that b is the older one
    load("c")
    assert load("a") is a and load("b") is not b
    monkeypatch.setattr(checkpoints, "CACHE_BYTES", a.bytes - 1)
    load("c")
    assert load("a") is not load("a"), "more than the whole memory is not kept"


# ---- saving under fire -----------------------------------------------------------------------------------------

KILLED_SAVES = """
import os, sys
from pathlib import Path
import torch
from playground.core import checkpoints
torch.set_num_threads(1)
checkpoints.SHIPPED = Path(sys.argv[1])
here = checkpoints.SHIPPED / "toy-a"

def save(seed):
    checkpoints.save(here, family="toy", dataset="mnist", model={}, train={"seed": seed}, weights={"w": torch.full((50,), float(seed))},
                     derived={}, metrics={}, command="python -m playground train toy", made={})

def count(limit):
    "Die, as by SIGKILL, just before the file operation number `limit`."
    made = 0
    def counted(function):
        def call(*arguments, **named):
            nonlocal made
            made += 1
            if made == limit:
                os._exit(9)
            return function(*arguments, **named)
        return call
    for name in ("fsync", "replace", "unlink"):
        setattr(os, name, counted(getattr(os, name)))

def build(config):
    model = torch.nn.Module()
    model.w = torch.nn.Parameter(torch.zeros(50))
    return model

save(0)
seed, died = 0, []
for first in range(1, 40):
    for second in range(1, 24) if sys.argv[2] == "all" else [first]:             # over what the first one left
        codes = []
        for limit in (first, second):
            seed += 1
            pid = os.fork()
            if pid == 0:
                count(limit)
                save(seed)
                os._exit(0)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            checkpoint = checkpoints.load("toy-a", "toy", build)
            found, told = set(checkpoint.model.w.tolist()), checkpoint.config["train"]["seed"]
            assert found == {float(told)}, (limit, found, told)
            if codes[-1] == 0:
                assert told == seed, (limit, told, seed)
        died.append(codes)
    if codes[0] == 0:
        break
save(-1)
left = sorted(path.name for path in here.iterdir())
print(sum(code == 9 for codes in died for code in codes), sum(codes == [9, 9] for codes in died), first, *left)
"""


@pytest.mark.parametrize("second", ["same", pytest.param("all", marks=pytest.mark.slow)])
def test_a_kill_before_any_file_operation_of_a_save_leaves_the_old_pair_or_the_new_one(second, places):
    """Two saves in a row die: at the same operation, or at every pair of operations."""
    command = [sys.executable, "-c", KILLED_SAVES, places / "checkpoints", second]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    kills, twice, points, *left = out.stdout.split()
    assert 8 < int(points) < 23 and int(twice) >= int(points) - 2 and int(kills) >= 2 * int(twice)     # each was reached
    assert left == ["README.md", "config.json", "weights.safetensors"]           # and nothing is left lying about


# ---- the card --------------------------------------------------------------------------------------------------


def test_the_card_tells_how_it_was_made_and_new_metrics_are_written_to_both(folder):
    card = (folder / "README.md").read_text()
    for part in ("python -m playground train toy --preset 10s", "python -m playground evaluate toy-a", "1,234 s", "an abacus",
                 "CC BY-SA", "seed 0", "Not measured yet", "检查点"):
        assert part in card
    weights = (folder / "weights.safetensors").read_bytes()
    checkpoints.update_metrics("toy-a", {"images": 10, "nll": 84.25, "nll_stderr": 0.125, "samples": {"fid": 3.5}})
    card = (folder / "README.md").read_text()
    assert "| nll | 84.25 | 0.125 |" in card and "| samples.fid | 3.5 | – |" in card and "nll_stderr" not in card
    assert load().config["metrics"]["samples"]["fid"] == 3.5 and (folder / "weights.safetensors").read_bytes() == weights
    assert headline(load().config["metrics"]) == ("nll", 84.25)


def test_a_shipped_copy_is_the_run_s_model_under_its_own_name(places):
    save(places / "runs" / "toy-run" / "checkpoint", seed=3)
    checkpoints.ship(places / "runs" / "toy-run" / "checkpoint", "toy-best")
    one, other = load("toy-run"), load("toy-best")
    assert torch.equal(one.model.conv.weight, other.model.conv.weight) and other.config == one.config
    assert "evaluate toy-best" in (places / "checkpoints" / "toy-best" / "README.md").read_text()
    with pytest.raises(PlaygroundError):
        checkpoints.ship(places / "runs" / "toy-run" / "checkpoint", "../toy")
