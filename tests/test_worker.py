"""A run can be stopped, killed, damaged and resumed, and ends as if nothing had happened."""

import errno
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import toy
from playground import worker
from playground.core import checkpoints, device, files, runs
from playground.core.errors import PlaygroundError

ROOT = Path(__file__).parents[1]
CONFIG = toy.TrainConfig()
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PLAYGROUND_DEVICE": "cpu"}


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    toy.register(monkeypatch.setattr)
    monkeypatch.setattr(checkpoints, "SHIPPED", tmp_path / "checkpoints")
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path))
    monkeypatch.setattr(device, "for_", lambda purpose: torch.device("cpu"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)                                  # the toy is too small for more
    yield
    torch.set_num_threads(threads)


def run(folder, stop_at=None, config=CONFIG, **options):
    """Train; `stop_at` asks to stop once that update is done (`stop` is asked after each)."""
    asked = itertools.count((runs.status(folder).step if runs.status(folder) else 0) + 1)
    return worker.run("toy", config, folder, stop=lambda: next(asked) == stop_at, **options)


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def weights(folder):
    return (folder / "checkpoint" / "weights.safetensors").read_bytes()


def kept(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name not in ("status.json", "job.json")}


@pytest.fixture
def unbroken(tmp_path):
    folder = tmp_path / "unbroken"
    assert run(folder).state == "finished"
    return folder


def refusal(key, *arguments, **options):
    with pytest.raises(PlaygroundError) as refused:
        run(*arguments, **options)
    assert refused.value.key == key
    return str(refused.value)


# ---- a run that ends well --------------------------------------------------------------------------------------


def test_a_finished_run_is_a_checkpoint_in_the_list(unbroken):
    status = runs.status(unbroken)
    assert (status.state, status.step, status.steps) == ("finished", 40, 40) and status.seconds > 0
    [entry] = checkpoints.entries()
    assert entry.name == "unbroken" and entry.config["train"]["steps"] == 40
    loaded = checkpoints.load("unbroken", "toy", toy.build)
    assert loaded.derived["grid"].shape == (10, 2)
    assert lines(unbroken)[-1]["step"] == 40 and lines(unbroken)[-1]["loss"] == status.metrics["loss"]


def test_a_finished_run_does_nothing_more(unbroken):
    before = kept(unbroken)
    assert run(unbroken) == runs.status(unbroken) and kept(unbroken) == before


def test_lines_are_thinned_and_every_report_is_one(tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "REPORT_EVERY", 0.05)
    reported = []
    run(tmp_path / "run", config=replace(CONFIG, steps=30, pause=0.01), report=lambda progress: reported.append(progress.step))
    assert reported == [line["step"] for line in lines(tmp_path / "run")] and 1 < len(reported) < 20 and reported[-1] == 30


# ---- stopped and resumed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_stop_and_resume_gives_the_weights_of_an_unbroken_run(optimizer, tmp_path):
    config = replace(CONFIG, optimizer=optimizer)
    run(tmp_path / "unbroken", config=config)
    folder = tmp_path / "run"
    for stop_at in (7, 8, 31):
        torch.manual_seed(stop_at)                            # another process has another random state
        status = run(folder, stop_at, config)
        assert (status.state, status.step) == ("stopped", stop_at)
        assert checkpoints.entry("run").config["made"]["updates"] == stop_at, "what there is can be used at once"
    assert run(folder, config=config).state == "finished"
    assert weights(folder) == weights(tmp_path / "unbroken")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_stop_and_resume_on_cuda_gives_the_weights_of_an_unbroken_run(tmp_path, monkeypatch):
    monkeypatch.setattr(device, "for_", lambda purpose: torch.device("cuda"))
    run(tmp_path / "unbroken")
    for stop_at in (7, 31):
        torch.manual_seed(stop_at)
        assert run(tmp_path / "run", stop_at).state == "stopped"
    assert run(tmp_path / "run").state == "finished"
    assert weights(tmp_path / "run") == weights(tmp_path / "unbroken")
    assert checkpoints.load("run", "toy", toy.build).model.conv.weight.is_cuda


def test_what_was_reported_after_the_last_save_is_cut_back(tmp_path):
    folder = tmp_path / "run"
    run(folder, 10)
    before = lines(folder)
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('{"step": 11, "seconds": 9, "loss": 123}\n{"step": 12, "seco')
    run(folder, 20)
    assert [line for line in lines(folder) if line["step"] <= 10] == before
    assert not [line for line in lines(folder) if line["loss"] == 123]
    steps, seconds = [[line[key] for line in lines(folder)] for key in ("step", "seconds")]
    assert steps == sorted(set(steps)) and seconds == sorted(seconds) and steps[-1] == 20


def test_a_run_resumes_with_the_number_of_threads_it_began_with(tmp_path):
    run(tmp_path / "run", 5)
    torch.set_num_threads(2)
    seen = []
    run(tmp_path / "run", report=lambda progress: seen.append(torch.get_num_threads()))
    assert set(seen) == {1}


def test_a_stop_at_the_last_update_is_a_finish(tmp_path):
    assert run(tmp_path / "run", 40).state == "finished"


# ---- what is refused -------------------------------------------------------------------------------------------


def test_other_settings_are_refused_and_named(tmp_path):
    run(tmp_path / "run", 5)
    before = kept(tmp_path / "run")
    sentence = refusal("run.config", tmp_path / "run", config=replace(CONFIG, steps=50, lr=0.5))
    assert "steps 40" in sentence and "lr 0.01" in sentence and "seed" not in sentence and kept(tmp_path / "run") == before


def test_a_second_worker_is_refused_while_the_first_lives(tmp_path):
    seen = []

    def second(progress):
        seen.append(refusal("run.busy", tmp_path / "run"))

    assert run(tmp_path / "run", report=second).state == "finished" and seen


@pytest.mark.parametrize("content", [{"notes.txt": "mine"}, {"config.json": '{"format": 1}'}, {"config.json": "{"},
                                     {"config.json": '["recipe", "train", "command"]'}])
def test_a_folder_of_something_else_is_refused_and_left_as_it_was(content, tmp_path):
    (tmp_path / "run").mkdir()
    for name, text in content.items():
        (tmp_path / "run" / name).write_text(text)
    refusal("run.other", tmp_path / "run")
    assert {path.name: path.read_text() for path in (tmp_path / "run").iterdir()} == content


def test_a_file_in_the_folder_s_place_is_refused(tmp_path):
    (tmp_path / "run").write_text("mine")
    refusal("run.other", tmp_path / "run")


DAMAGE = {
    "cut": lambda data: data[:-7],
    "empty": lambda data: b"",
    "a flipped bit in a tensor": lambda data: data[:-50] + bytes([data[-50] ^ 4]) + data[-49:],
    "a flipped digit in the numbers": lambda data: data.replace(rb"\"step\": 10", rb"\"step\": 11"),
    "noise": lambda data: bytes(range(256)) * 8,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_state_is_refused_and_every_file_kept(damage, tmp_path):
    run(tmp_path / "run", 10)
    path = tmp_path / "run" / "state.safetensors"
    good, bad = path.read_bytes(), damage(path.read_bytes())
    assert good != bad
    path.write_bytes(bad)
    before = kept(tmp_path / "run")
    sentence = refusal("state.damaged", tmp_path / "run")
    assert kept(tmp_path / "run") == before
    status = runs.status(tmp_path / "run")
    assert status.state == "failed" and status.error["en"] == sentence and "状态" in status.error["zh"]
    path.write_bytes(good)
    assert run(tmp_path / "run").state == "finished"


# ---- what goes wrong -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["bad_metric_at", "bad_weight_at"])
def test_a_run_that_diverges_stops_with_a_sentence_and_keeps_its_last_good_state(bad, tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "SAVE_EVERY", 0.0)
    sentence = refusal("state.diverged", tmp_path / "run", config=replace(CONFIG, **{bad: 13}))
    assert "13" in sentence and "learning rate" in sentence
    status = runs.status(tmp_path / "run")
    assert (status.state, status.step) == ("failed", 12) and status.error["en"] == sentence
    state = toy.init(CONFIG)
    sitting = worker.Sitting("toy", CONFIG, tmp_path / "run")
    sitting._restore(state)
    assert state.step == 12 and all(p.isfinite().all() for p in state.model.parameters())


def test_a_full_disk_while_saving_is_one_sentence_and_the_save_before_it_resumes(tmp_path, unbroken, monkeypatch):
    monkeypatch.setattr(worker, "SAVE_EVERY", 0.0)
    whole = files.replace
    saves = itertools.count(1)

    def fill_up(path, data):
        if path.name == "state.safetensors" and next(saves) >= 9:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        whole(path, data)

    monkeypatch.setattr(files, "replace", fill_up)
    assert "/" not in refusal("run.disk", tmp_path / "run")
    assert runs.status(tmp_path / "run").step == 8
    monkeypatch.setattr(files, "replace", whole)
    assert run(tmp_path / "run").state == "finished" and weights(tmp_path / "run") == weights(unbroken)


def test_our_own_bug_is_not_hidden(tmp_path, monkeypatch):
    monkeypatch.setattr(toy, "batches", lambda config, start: [].__iter__())
    with pytest.raises(AssertionError, match="ended at update 0 of 40"):
        run(tmp_path / "run")
    assert runs.status(tmp_path / "run").state == "failed"


# ---- real processes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_update_saves_and_stops(number, tmp_path):
    before = signal.getsignal(number)
    sent = itertools.count()
    status = run(tmp_path / "run", config=replace(CONFIG, steps=10**6),
                 report=lambda progress: next(sent) or os.kill(os.getpid(), number))
    assert status.state == "stopped" and 0 < status.step < 10**6 and signal.getsignal(number) is before
    assert lines(tmp_path / "run")[-1]["step"] == status.step


@pytest.mark.slow
def test_kill_9_at_random_moments_loses_nothing_that_was_saved(tmp_path):
    """Workers that save after every update are killed until the run is done: it is the unbroken run, bit for bit."""
    run(tmp_path / "unbroken", config=replace(CONFIG, steps=300))
    command = [sys.executable, ROOT / "tests" / "toy.py", "--kill", tmp_path / "run", "300"]
    out = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    kills, places, code = map(int, out.stdout.split())
    assert kills >= 5 and places == kills and code == 0, "the kills came too early or too late to prove anything"
    assert weights(tmp_path / "run") == weights(tmp_path / "unbroken")
    assert [line["step"] for line in lines(tmp_path / "run")] == list(range(1, 301))
    assert not list((tmp_path / "run").glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_real_command_after_a_save_and_the_same_command_resumes(number, tmp_path):
    command = [sys.executable, ROOT / "tests" / "toy.py", "train", "toy", "--preset", "1m", "--steps", "60",
               "--runs-dir", tmp_path / "runs"]
    folder = tmp_path / "runs" / "toy-noise-1m-s0"
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (folder.exists() and (folder / "metrics.jsonl").exists() and lines(folder)):
        time.sleep(0.02)
    process.send_signal(number)
    out, said = process.communicate()
    assert process.returncode == 130 and out == "" and "Traceback" not in said and "resume it with: python -m playground train toy" in said
    stopped = runs.status(folder)
    assert stopped.state == "stopped" and 0 < stopped.step < 60
    again = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert again.returncode == 0 and "finished in" in again.stderr
    config = replace(toy.PRESETS["1m"], steps=60, pause=0.02)
    run(tmp_path / "unbroken", config=config)
    assert weights(folder) == weights(tmp_path / "unbroken")
    last = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert last.returncode == 0 and "already finished" in last.stderr


def test_a_worker_in_another_thread_leaves_the_signals_alone(tmp_path):
    before, done = signal.getsignal(signal.SIGINT), []
    thread = threading.Thread(target=lambda: done.append(run(tmp_path / "run", 5)))
    thread.start()
    thread.join()
    assert done[0].state == "stopped" and signal.getsignal(signal.SIGINT) is before
    run(tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is before
