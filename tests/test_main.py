"""The command line does what it says, and says in one sentence what it will not do."""

import dataclasses
import io
import json
import os
import re
import threading
import time
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

import blender
import toy
from playground import worker
from playground.__main__ import main
from playground.core import checkpoints, datasets, device, files, jobs, runs, scenes
from playground.core.errors import PlaygroundError

RUN = "toy-noise-10s-s0"


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    toy.register(monkeypatch.setattr)
    monkeypatch.setattr(checkpoints, "SHIPPED", tmp_path / "checkpoints")
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PLAYGROUND_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(device, "for_", lambda purpose: torch.device("cpu"))
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)                                  # the toy is too small for more
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def trained(capsys):
    assert main(["train", "toy", "--preset", "10s"]) == 0
    capsys.readouterr()


def refused(capsys, *arguments):
    """The one sentence on stderr."""
    assert main([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and re.fullmatch(r"playground: [^\n]+\n", err) and "Error" not in err and "Traceback" not in err
    return err


def test_train_list_and_ship(trained, tmp_path, capsys):
    assert main(["train", "toy", "--preset", "10s", "--ship", "toy-best"]) == 0
    assert "already finished" in capsys.readouterr().err
    assert main(["list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["family"], row["dataset"], row["shipped"]) for row in rows] == [
        ("toy-best", "toy", "noise", True), (RUN, "toy", "noise", False)]
    assert rows[0]["bytes"] == (tmp_path / "checkpoints/toy-best/weights.safetensors").stat().st_size
    card = (tmp_path / "checkpoints/toy-best/README.md").read_text()
    assert "python -m playground train toy --preset 10s --dataset noise --seed 0\n" in card
    assert main(["list"]) == 0
    assert re.search(rf"{RUN} +toy +noise +[\d,]+ bytes  not measured", capsys.readouterr().out)


def test_the_card_s_command_makes_the_same_weights_again(trained, tmp_path, capsys):
    config = json.loads((tmp_path / "runs" / RUN / "checkpoint/config.json").read_text())
    assert main([*config["command"].split()[3:], "--runs-dir", str(tmp_path / "others")]) == 0
    again = json.loads((tmp_path / "others" / RUN / "checkpoint/config.json").read_text())
    assert again["sha256"] == config["sha256"]


def test_options_go_over_a_file_which_goes_over_the_recipe(tmp_path):
    (tmp_path / "mine.json").write_text('{"steps": 9, "lr": 1, "seed": 5}')
    assert main(["train", "toy", "--config", "mine.json", "--steps", "3", "--dataset", "More Noise/x", "--out", "here"]) == 0
    train = json.loads((tmp_path / "here/config.json").read_text())["train"]
    assert train == {**vars(toy.TrainConfig()), "steps": 3, "lr": 1.0, "seed": 5, "dataset": "More Noise/x"}
    assert main(["train", "toy", "--config", "mine.json", "--dataset", "More Noise/x"]) == 0
    assert (tmp_path / "runs/toy-more-noise-x-mine-s5/checkpoint").is_dir()


def test_sample_writes_the_pictures_of_its_seed(trained, tmp_path, capsys):
    def draw(name, n, seed):
        assert main(["sample", name, "--n", str(n), "--seed", str(seed), "--out", "x.npy"]) == 0
        return np.load(tmp_path / "x.npy", allow_pickle=False)

    one = draw(RUN, 5, 1)
    assert one.dtype == np.uint8 and one.shape == (5, 8, 8)
    assert np.array_equal(one, (toy.images(RUN, 5, 1)[:, 0] * 255).round().byte().numpy())
    assert np.array_equal(one, draw(RUN, 5, 1)) and not np.array_equal(one, draw(RUN, 5, 2))
    checkpoints.ship(tmp_path / "runs" / RUN / "checkpoint", "toy-color")
    color = draw("toy-color", 2, 0)
    assert color.shape == (2, 8, 8, 3)
    assert np.array_equal(color, (toy.images("toy-color", 2, 0) * 255).round().byte().permute(0, 2, 3, 1).numpy())


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64, np.float16, ">f4"])
@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 8, 6, 3)])
def test_reconstruct_gives_back_the_kind_and_shape_it_was_given(trained, tmp_path, kind, shape):
    x = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    x = x if kind is np.uint8 else (x / 255).astype(kind)
    np.save(tmp_path / "in.npy", x)
    assert main(["reconstruct", RUN, "--input", "in.npy", "--out", "out.npy"]) == 0
    out = np.load(tmp_path / "out.npy")
    assert out.dtype == x.dtype and out.shape == x.shape
    assert np.abs(out.astype(float) - x[:, :, ::-1].astype(float)).max() < 1e-7  # the toy turns left and right around


class Bomb:
    def __reduce__(self):
        return open, ("bomb", "w")


def shout_header(path):
    """A file whose header claims a terabyte of pictures."""
    np.save(path, np.zeros((1, 8, 8)))
    path.write_bytes(path.read_bytes().replace(b"(1, 8, 8), }        ", b"(9999999999, 8, 8),}"))


ONES = np.ones((1, 8, 8))
INPUTS = {
    "no file": ("read", lambda path: None),
    "a folder": ("read", lambda path: path.mkdir()),
    "empty": ("read", lambda path: path.write_bytes(b"")),
    "text": ("read", lambda path: path.write_text("pictures")),
    "cut": ("read", lambda path: (np.save(path, ONES), path.write_bytes(path.read_bytes()[:-8]))),
    "a pickle": ("read", lambda path: np.save(path, np.array([Bomb()], dtype=object), allow_pickle=True)),
    "an archive": ("read", lambda path: np.savez(path.open("wb"), ONES)),
    "a false header": ("read", shout_header),
    "two dimensions": ("shape", lambda path: np.save(path, ONES[0])),
    "two channels": ("shape", lambda path: np.save(path, np.ones((1, 8, 8, 2)))),
    "channels first": ("shape", lambda path: np.save(path, np.ones((1, 3, 8, 8)))),
    "five dimensions": ("shape", lambda path: np.save(path, ONES[None, None])),
    "no picture": ("shape", lambda path: np.save(path, np.ones((0, 8, 8)))),
    "no pixel": ("shape", lambda path: np.save(path, np.ones((1, 0, 8)))),
    "int64": ("kind", lambda path: np.save(path, ONES.astype(int))),
    "bool": ("kind", lambda path: np.save(path, ONES > 0)),
    "complex": ("kind", lambda path: np.save(path, ONES + 0j)),
    "text in numpy": ("kind", lambda path: np.save(path, ONES.astype(str))),
    "above 1": ("range", lambda path: np.save(path, ONES * 255)),
    "below 0": ("range", lambda path: np.save(path, -ONES / 100)),
    "NaN": ("range", lambda path: np.save(path, ONES * np.nan)),
    "infinity": ("range", lambda path: np.save(path, ONES * np.inf)),
}


@pytest.mark.parametrize("why, make", INPUTS.values(), ids=INPUTS)
def test_pictures_that_are_none_are_refused(why, make, trained, tmp_path, capsys):
    make(tmp_path / "in.npy")
    words = {"read": "cannot be read", "shape": "has the shape", "kind": "values of the kind", "range": "values from"}
    assert words[why] in refused(capsys, "reconstruct", RUN, "--input", "in.npy", "--out", "out.npy")
    assert not (tmp_path / "out.npy").exists() and not (tmp_path / "bomb").exists()


def test_pictures_of_another_size_are_refused(trained, tmp_path, capsys, monkeypatch):
    path = tmp_path / "runs" / RUN / "checkpoint/config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "model": {"channels": 1, "size": 28}}))
    np.save(tmp_path / "in.npy", ONES)
    assert "(1, 8, 8)" in refused(capsys, "reconstruct", RUN, "--input", "in.npy", "--out", "out.npy")


def test_evaluate_prints_one_json_object_and_writes_it_only_when_asked(trained, tmp_path, capsys):
    card = tmp_path / "runs" / RUN / "checkpoint/README.md"
    before = card.read_text()
    assert main(["evaluate", RUN, "--full"]) == 0
    assert json.loads(capsys.readouterr().out) == {"images": 3, "loss": 0.25, "loss_stderr": 0.01}
    assert card.read_text() == before
    assert main(["evaluate", RUN, "--write"]) == 0
    capsys.readouterr()
    assert "| loss | 0.5 | 0.01 |" in card.read_text()
    assert main(["list", "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)
    assert (row["metric"], row["value"]) == ("loss", 0.5)


def test_what_cannot_be_done_is_one_sentence(trained, tmp_path, capsys, monkeypatch):
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "field.json").write_text('{"nonsense": 1}')
    (tmp_path / "kind.json").write_text('{"steps": "many"}')
    for found, arguments in {
        "required": ["train", "toy"],
        "invalid choice": ["train", "nothing", "--preset", "10s"],
        "preset": ["train", "toy", "--preset", "shipped"],
        "not allowed with": ["train", "toy", "--preset", "10s", "--config", "field.json"],
        "steps is 0": ["train", "toy", "--preset", "10s", "--steps", 0],
        "steps is -1": ["train", "toy", "--preset", "10s", "--steps", -1],
        "seed is -1": ["train", "toy", "--preset", "10s", "--seed", -1],
        "invalid int": ["train", "toy", "--preset", "10s", "--seed", "x" * 100_000],
        "bad.json cannot be read": ["train", "toy", "--config", "bad.json"],
        "list.json cannot be read": ["train", "toy", "--config", "list.json"],
        "none.json cannot be read": ["train", "toy", "--config", "none.json"],
        "nonsense": ["train", "toy", "--config", "field.json"],
        "many": ["train", "toy", "--config", "kind.json"],
        "not a checkpoint's name": ["train", "toy", "--preset", "10s", "--ship", "../x"],
        "other settings (steps 20)": ["train", "toy", "--preset", "10s", "--steps", 21],
        "is not a run": ["train", "toy", "--preset", "10s", "--out", "."],
        "No checkpoint is named": ["sample", "toy-none", "--n", 1, "--out", "x.npy"],
        "name: 1 to 64": ["sample", f"../{RUN}", "--n", 1, "--out", "x.npy"],
        "n is 0": ["sample", RUN, "--n", 0, "--out", "x.npy"],
        "n is 10000000000": ["sample", RUN, "--n", 10**10, "--out", "x.npy"],
        "seed is 99999999999": ["sample", RUN, "--n", 1, "--seed", 99999999999, "--out", "x.npy"],
        "nowhere/x.npy cannot be written": ["sample", RUN, "--n", 1, "--out", "nowhere/x.npy"],
        "No checkpoint is named “toy-none”": ["evaluate", "toy-none"],
    }.items():
        assert found in refused(capsys, *arguments), arguments
    monkeypatch.delattr(toy, "reconstruct")
    np.save(tmp_path / "in.npy", ONES)
    assert "cannot be used with `reconstruct`" in refused(capsys, "reconstruct", RUN, "--input", "in.npy", "--out", "out.npy")


def test_the_folders_may_be_named_before_or_after_the_command(tmp_path, monkeypatch):
    assert main(["--runs-dir", str(tmp_path / "a"), "train", "toy", "--preset", "10s", "--steps", "2"]) == 0
    assert main(["train", "toy", "--preset", "10s", "--steps", "2", "--runs-dir", str(tmp_path / "b")]) == 0
    assert runs.status(tmp_path / "a" / RUN) and runs.status(tmp_path / "b" / RUN)


def test_a_stopped_training_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(worker, "run", lambda *_, **__: runs.Status("stopped", 3, 20, 1.0))
    assert main(["train", "toy", "--preset", "10s", "--out", "my run"]) == 130
    assert "resume it with: python -m playground train toy --preset 10s --out 'my run'\n" in capsys.readouterr().err


# ---- settings and data of one's own ----------------------------------------------------------------------------


def described(name):
    return json.loads((checkpoints.runs_dir() / name / "config.json").read_text())


def test_settings_are_numbers_truths_or_texts_and_stand_in_the_command(tmp_path):
    assert main(["train", "toy", "--preset", "10s", "--set", "lr=0.5", "--set", "optimizer=sgd", "--set", "steps=2", "--set", "pause=0"]) == 0
    found = described(RUN)
    assert found["train"] == {**vars(toy.PRESETS["10s"]), "lr": 0.5, "optimizer": "sgd", "steps": 2}
    assert found["command"].endswith("--seed 0 --set lr=0.5 --set optimizer=sgd --set steps=2 --set pause=0")
    assert main([*found["command"].split()[3:], "--runs-dir", str(tmp_path / "again")]) == 0
    assert json.loads((tmp_path / "again" / RUN / "config.json").read_text())["train"] == found["train"]


@pytest.mark.parametrize("setting, found", [("lr", "NAME=VALUE was expected"), ("=3", "no field “”"), ("nonsense=1", "nonsense"), ("lr=fast", "fast"),
                                            ("steps=2.5", "steps"), ("lr=NaN", "lr"), ("lr=Infinity", "lr"), ("steps=true", "steps"), ("dataset=3", "dataset"),
                                            ("lr=[1]", "lr"), ("lr=", "lr"), ("x" * 10_000 + "=1", "x" * 50)])
def test_a_setting_that_is_none_is_one_sentence(setting, found, capsys):
    assert found in refused(capsys, "train", "toy", "--preset", "10s", "--set", setting)
    assert not runs.all_runs()


def png(grey):
    Image.new("L", (8, 8), grey).save(buffer := io.BytesIO(), "PNG")
    return buffer.getvalue()


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The toy learns from pictures; the same four in a zip and in a folder."""
    monkeypatch.setattr(toy, "OWN_SIZE", 8, raising=False)
    monkeypatch.setattr(toy, "batches", lambda config, start: (batch.x for batch in datasets.batches(config.dataset, 4, config.seed, start)))
    monkeypatch.setattr(datasets, "_own", {})
    (tmp_path / "pets").mkdir()
    with zipfile.ZipFile(tmp_path / "My Pets.zip", "w") as archive:
        for i in range(4):
            archive.writestr(f"{i}.png", png(60 * i))
            (tmp_path / "pets" / f"{i}.png").write_bytes(png(60 * i))


def test_a_zip_and_a_folder_of_pictures_are_data_sets_and_the_run_needs_them_no_more(own, tmp_path, capsys):
    assert main(["train", "toy", "--preset", "10s", "--dataset", "My Pets.zip"]) == 0
    assert main(["train", "toy", "--preset", "10s", "--dataset", "./pets"]) == 0
    zipped, folder = "toy-my-my-pets-10s-s0", "toy-my-pets-10s-s0"
    assert described(zipped)["train"]["dataset"] == "my-my-pets" and described(folder)["train"]["dataset"] == "my-pets"
    assert described(zipped)["command"] == "python -m playground train toy --preset 10s --dataset 'My Pets.zip' --seed 0"
    assert main(["train", "toy", "--preset", "10s", "--dataset", "My Pets.zip"]) == 0 and "already finished" in capsys.readouterr().err
    same = [(checkpoints.runs_dir() / name / "checkpoint/weights.safetensors").read_bytes() for name in (zipped, folder)]
    assert same[0] == same[1], "the same pictures, the same model"
    assert not list(checkpoints.runs_dir().rglob("pictures.safetensors")), "a finished run keeps none"
    assert (tmp_path / "My Pets.zip").exists() and len(list((tmp_path / "pets").iterdir())) == 4, "what is a person's own stays"


def test_a_stopped_run_on_own_pictures_resumes_without_them(own, tmp_path, capsys):
    command = ["train", "toy", "--preset", "10s", "--dataset", "My Pets.zip", "--set", "pause=0.02"]
    name = "toy-my-my-pets-10s-s0"
    stopper = threading.Thread(target=once, args=(name, lambda: jobs.stop(name)))
    stopper.start()
    assert main(command) == 130
    stopper.join()
    (tmp_path / "My Pets.zip").write_bytes(b"changed meanwhile")
    assert main(command) == 0 and runs.find(name).state == "finished"


def test_pictures_that_cannot_be_used_are_one_sentence_and_no_run(own, tmp_path, capsys, monkeypatch):
    (tmp_path / "bad.zip").write_bytes(b"PK")
    (tmp_path / "empty").mkdir()
    for found, dataset in {"not a zip file that can be read": "bad.zip", "holds no pictures": "./empty"}.items():
        assert found in refused(capsys, "train", "toy", "--preset", "10s", "--dataset", dataset)
    monkeypatch.delattr(toy, "OWN_SIZE")
    assert "cannot train on a folder or zip" in refused(capsys, "train", "toy", "--preset", "10s", "--dataset", "My Pets.zip")
    assert not runs.all_runs()


def test_a_scene_s_zip_and_folder_are_data_sets_of_a_recipe_that_learns_from_scenes(tmp_path, monkeypatch, capsys):
    def batches(config, start):
        images = scenes.load(config.dataset, 8).train.images.float().mean(3)[:, None] / 255
        while True:
            yield images

    monkeypatch.setattr(toy, "OWN", "scene", raising=False)
    monkeypatch.setattr(toy, "OWN_SIZE", 8, raising=False)
    monkeypatch.setattr(toy, "batches", batches)
    monkeypatch.setattr(scenes, "_own", {})
    blender.zipped(tmp_path / "Desk 2.zip", blender.scene())
    blender.folder(tmp_path / "desk", blender.scene())
    assert main(["train", "toy", "--preset", "10s", "--dataset", "Desk 2.zip"]) == 0
    assert main(["train", "toy", "--preset", "10s", "--dataset", "./desk"]) == 0
    same = [(checkpoints.runs_dir() / f"toy-my-{name}-10s-s0/checkpoint/weights.safetensors").read_bytes() for name in ("desk-2", "desk")]
    assert same[0] == same[1] and not list(checkpoints.runs_dir().rglob("pictures.safetensors"))
    (tmp_path / "desk/train/r_3.png").unlink()
    capsys.readouterr()
    assert "1 of the 6 pictures" in refused(capsys, "train", "toy", "--preset", "10s", "--dataset", "./desk", "--out", "again")
    assert not (tmp_path / "again").exists()


# ---- runs ------------------------------------------------------------------------------------------------------


def once(name, call, state="running"):
    """Call when a run has come so far."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        run = runs.read(checkpoints.runs_dir() / name)
        if run and run.state == state and (state != "running" or run.status.step):
            return call()
        time.sleep(0.005)


class Thread(jobs.LocalProcess):
    """A place for runs: a thread of the test, of which `workers` is the list."""

    def __init__(self):
        self.workers = []

    def run(self, folder, lock):
        lock = os.dup(lock)

        def train():
            found = runs.read(folder)
            try:
                worker._sit(found.recipe, toy.TrainConfig(**found.train), folder)
            except PlaygroundError:
                pass                                          # its status says so
            finally:
                os.close(lock)

        self.workers.append(threading.Thread(target=train))
        self.workers[-1].start()


@pytest.fixture
def place(monkeypatch):
    monkeypatch.setattr(jobs, "place", place := Thread())
    monkeypatch.setattr(worker, "SAVE_EVERY", 0.02)
    yield place
    for each in place.workers:
        each.join(60)


def started(**changes):
    """The name of a run that was started from the page."""
    return jobs.start("toy", dataclasses.replace(toy.PRESETS["10s"], **changes), kind="10s", command="", expected=30.0)


def rows(capsys):
    assert main(["runs", "--json"]) == 0
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)}


def test_runs_are_listed_as_text_and_as_json(trained, place, capsys):
    with files.locked(checkpoints.runs_dir() / ".device-cpu.lock"):          # another run has the machine
        first, second = started(), started()
        found = rows(capsys)
        assert set(found) == {RUN, first, second}
        done, waits = found[RUN], found[second]
        assert (done["state"], done["step"], done["steps"], done["starts_in"], done["dataset"]) == ("finished", 20, 20, None, "noise")
        assert done["metrics"]["loss"] > 0 and done["error"] is None and done["remaining"] == 0
        assert (waits["state"], waits["step"], waits["steps"]) == ("queued", 0, 20) and waits["starts_in"] == 30.0 and found[first]["starts_in"] == 0
        assert main(["runs"]) == 0
        text = capsys.readouterr().out
        assert re.search(rf"^{RUN} +finished +20 of 20 +[\d.]+ s  loss 0\.\d+", text, re.M)
        assert re.search(rf"^{second} +queued +0 of 20 +0\.0 s +starts in about 30 s$", text, re.M)
    for each in place.workers:
        each.join(60)
    assert {row["state"] for row in rows(capsys).values()} == {"finished"}


def test_no_runs_are_an_empty_list(capsys):
    assert main(["runs", "--json"]) == 0 and json.loads(capsys.readouterr().out) == []
    assert main(["runs", "list"]) == 0 and capsys.readouterr().out == ""


def test_a_run_is_followed_to_its_end(place, capsys):
    name = started(pause=0.02)
    assert main(["runs", "follow", name]) == 0
    out, err = capsys.readouterr()
    assert out == "" and f"playground: {name} is finished at update 20 of 20\n" in err
    assert main(["runs", "follow", name]) == 0, "one that has ended is what it is"


def test_a_run_that_fails_is_followed_to_its_sentence(place, capsys):
    name = started(pause=0.02, bad_metric_at=9)
    assert main(["runs", "follow", name]) == 2
    err = capsys.readouterr().err
    assert f"{name} is failed" in err and "playground: Training stopped at update 9: loss is no longer a finite number" in err


def test_a_run_is_stopped_resumed_and_deleted_by_its_name(place, capsys):
    name = started(pause=0.02)
    once(name, lambda: main(["runs", "stop", name]))
    place.workers[-1].join(60)
    run = runs.find(name)
    assert run.state == "stopped" and 0 < run.status.step < 20 and main(["runs", "follow", name]) == 130
    assert main(["runs", "resume", name]) == 0 and f"{name} is finished at update 20 of 20" in capsys.readouterr().err
    unbroken = started(pause=0.02)
    assert main(["runs", "follow", unbroken]) == 0
    same = [(checkpoints.runs_dir() / each / "checkpoint/weights.safetensors").read_bytes() for each in (name, unbroken)]
    assert same[0] == same[1]
    assert main(["runs", "delete", name]) == 0 and set(rows(capsys)) == {unbroken}


def test_what_cannot_be_done_with_a_run_is_one_sentence(trained, capsys):
    for found, arguments in {
        "needs the name of a run": ["stop"], "no run “toy-none” here": ["follow", "toy-none"], "no run “none” here": ["delete", "none"],
        "nothing to stop": ["stop", RUN], "is finished": ["resume", RUN], "1 to 64 small letters": ["delete", "../" + RUN],
        "invalid choice": ["nonsense"], "small letters": ["follow", "é"],
    }.items():
        assert found in refused(capsys, "runs", *arguments), arguments
    for name in ("", "..", "x" * 100_000, "a/b", "."):
        refused(capsys, "runs", "delete", name)
    assert set(rows(capsys)) == {RUN}


def test_a_run_of_the_command_line_waits_for_the_one_that_has_the_machine_and_says_so(capsys):
    checkpoints.runs_dir().mkdir()
    lock = files.lock(checkpoints.runs_dir() / ".device-cpu.lock")
    release = threading.Thread(target=once, args=(RUN, lambda: (time.sleep(2 * runs.POLL), os.close(lock)), "queued"))
    release.start()
    assert main(["train", "toy", "--preset", "10s"]) == 0
    release.join()
    err = capsys.readouterr().err
    assert err.count("playground: waiting: another run of this machine goes first") == 1 and "finished in" in err


def test_a_page_s_run_and_the_command_line_s_are_one_folder(place, capsys):
    """Started from the page, stopped, gone on with by the command line: the same worker, the same bits, still its owner's."""
    name = jobs.start("toy", dataclasses.replace(toy.PRESETS["10s"], pause=0.02), kind="10s", command="", secret="me")
    once(name, lambda: main(["runs", "stop", name]))
    place.workers[-1].join(60)
    assert main(["train", "toy", "--preset", "10s", "--set", "pause=0.02", "--out", str(checkpoints.runs_dir() / name)]) == 0
    assert runs.find(name).state == "finished" and runs.find(name).job.owner == jobs.owner("me")
