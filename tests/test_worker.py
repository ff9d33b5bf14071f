"""A run can be stopped, killed, damaged and resumed, and ends as if nothing had happened."""

import errno
import itertools
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import toy
from playground import worker
from playground.core import checkpoints, datasets, device, files, runs, states
from playground.core.errors import PlaygroundError
from playground.core.recipe import Progress

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


# ---- what there is on the way ----------------------------------------------------------------------------------


@pytest.fixture
def saves(monkeypatch):
    """The updates after which a state was saved."""
    found, save = [], states.save
    monkeypatch.setattr(states, "save", lambda path, state, numbers: (save(path, state, numbers), found.append(state.step)))
    return found


def losses(monkeypatch, loss):
    """Let the toy say other losses than its own."""
    train = toy.train
    monkeypatch.setattr(toy, "train", lambda config, state, batches: (
        Progress(p.step, p.steps, {"loss": float(loss(p.step))}) for p in train(config, state, batches)))


@pytest.mark.parametrize("smallest", [13, 20])
def test_the_best_state_is_the_saved_one_whose_mean_loss_since_the_save_before_was_smallest(smallest, saves, tmp_path, monkeypatch):
    losses(monkeypatch, lambda step: abs(step - smallest) + 10 * (step == smallest))         # a spike is no best state
    for stop_at in (5, 11, 16, 24, 33, None):
        run(tmp_path / "run", stop_at)
        if runs.status(tmp_path / "run").best == saves[-1]:
            assert (tmp_path / "run/best.safetensors").samefile(tmp_path / "run/state.safetensors"), "a second name, no second copy"
    loss = {step: abs(step - smallest) + 10 * (step == smallest) for step in range(1, 41)}
    means = {end: sum(loss[step] for step in range(start + 1, end + 1)) / (end - start) for start, end in zip([0, *saves], saves)}
    best = min(means, key=means.get)
    assert runs.status(tmp_path / "run").best == best < 40
    state = toy.init(CONFIG)
    assert states.restore(tmp_path / "run/best.safetensors", state)["best_step"] == state.step == best
    entries = {entry.name: entry.config["made"]["updates"] for entry in checkpoints.entries()}
    assert entries == {"run": 40, "run-best": best}
    assert checkpoints.load("run-best", "toy", toy.build).config["train"]["steps"] == 40


def test_where_the_last_state_is_the_best_there_is_one_model(tmp_path, monkeypatch):
    losses(monkeypatch, lambda step: -step)
    run(tmp_path / "run")
    assert [entry.name for entry in checkpoints.entries()] == ["run"] and runs.status(tmp_path / "run").best == 40


def test_a_best_state_that_a_kill_left_without_its_second_name_gets_it_again(tmp_path, monkeypatch):
    losses(monkeypatch, lambda step: abs(step - 10))
    run(tmp_path / "run", 9)
    older = (tmp_path / "run/best.safetensors").read_bytes()
    monkeypatch.setattr(worker, "SAVE_EVERY", 0.0)
    run(tmp_path / "run", 10)
    files.replace(tmp_path / "run/best.safetensors", older)   # as it was between the state and its link
    assert run(tmp_path / "run").best == 10
    assert checkpoints.entry("run-best").config["made"]["updates"] == 10


def frames(folder):
    return {step: (folder / "previews" / f"{step}.png").read_bytes() for step in runs.frames(folder)}


def test_the_film_has_the_start_the_end_and_most_frames_where_changes_are_quick(unbroken):
    assert runs.frames(unbroken) == sorted({0} | worker.film_steps(40)) and len(set(frames(unbroken).values())) > 10
    for steps in (1, 2, 40, 48, 49, 1000, 10**6):
        film = sorted(worker.film_steps(steps))
        assert film[0] == 1 and film[-1] == steps and len(film) <= worker.FRAMES
        if steps > worker.FRAMES**2:
            assert len(film) == worker.FRAMES and all(a <= b for a, b in itertools.pairwise(map(int.__sub__, film[1:], film)))


def test_frames_of_updates_that_were_lost_are_made_again(unbroken, tmp_path):
    folder = tmp_path / "run"
    run(folder, 20)
    before = frames(folder)
    assert max(before) <= 20
    for step in (21, 33, 40, 99):
        (folder / "previews" / f"{step}.png").write_bytes(b"of a worker that was killed before its save")
    run(folder, 22)
    assert {step: data for step, data in frames(folder).items() if step <= 20} == before and max(frames(folder)) <= 22
    run(folder)
    assert frames(folder) == frames(unbroken)


def test_models_that_can_be_used_while_it_trains_change_nothing_of_what_comes_out(tmp_path, unbroken, monkeypatch):
    result, seen = toy.result, []

    def drawing(config, state):
        torch.rand(10)                                        # without a generator, as a network with dropout does
        return result(config, state)

    monkeypatch.setattr(toy, "result", drawing)
    for name in ("SAVE_EVERY", "PUBLISH_EVERY"):
        monkeypatch.setattr(worker, name, 0.0)
    monkeypatch.setattr(worker, "OVERHEAD", 10**9)

    def look(progress):
        if (tmp_path / "run/checkpoint/config.json").exists():
            loaded = checkpoints.load("run", "toy", toy.build)
            seen.append(loaded.config["made"]["updates"])
            assert seen[-1] <= progress.step and runs.status(tmp_path / "run").state == "running"

    run(tmp_path / "run", report=look)
    assert len(set(seen)) > 10, "it was not published on the way"
    assert weights(tmp_path / "run") == weights(unbroken) and frames(tmp_path / "run") == frames(unbroken)


# ---- told to stop ----------------------------------------------------------------------------------------------


def test_the_stop_file_stops_after_the_update_and_is_forgotten_when_the_run_goes_on(tmp_path, unbroken):
    folder = tmp_path / "run"
    status = run(folder, report=lambda progress: (folder / "stop").touch())
    assert status.state == "stopped" and 0 < status.step < 40
    assert run(folder).state == "finished" and weights(folder) == weights(unbroken)


def queue(folder, config=CONFIG, **job):
    """Put a run in line, as a click does."""
    lock = runs.hold(folder)
    runs.claim(folder, "toy", vars(config), "")
    runs.enqueue(folder, runs.Job(queued=time.time(), **job))
    os.close(lock)


def test_a_run_stops_by_itself_at_its_limit_and_its_model_can_be_used(tmp_path):
    config = replace(CONFIG, steps=10**6, pause=0.01)
    queue(tmp_path / "run", config, limit=0.7, owner="me", pictures="")
    status = run(tmp_path / "run", config=config)
    assert status.state == "stopped" and status.seconds >= 0.7 and 0 < status.step < 10**6
    assert status.error == PlaygroundError("run.limit", limit="1").sentences() == runs.status(tmp_path / "run").error
    assert checkpoints.entry("run").config["made"]["updates"] == status.step
    assert runs.read(tmp_path / "run").job.owner == "me", "whoever resumes it, it stays whose it was"
    again = run(tmp_path / "run", config=config)
    assert (again.state, again.step) == ("stopped", status.step + 1), "the limit counts all sittings"


def test_a_run_that_ends_before_its_limit_does_not_speak_of_it(tmp_path):
    queue(tmp_path / "run", limit=600.0)
    assert run(tmp_path / "run").state == "finished" and not runs.status(tmp_path / "run").error


def test_a_queued_run_told_to_stop_ends_as_stopped_and_resumes(tmp_path, unbroken):
    folder = tmp_path / "run"
    with files.locked(tmp_path / ".device-cpu.lock"):
        seen = []
        status = run(folder, waiting=lambda: (seen.append(runs.read(folder).state), (folder / "stop").touch()))
        assert (status.state, status.step, status.steps) == ("stopped", 0, 40) and seen == ["queued"]
        assert run(folder, stop_at=1).state == "stopped", "a signal or a caller stops it as well"
    assert not (folder / "checkpoint").exists()
    assert run(folder).state == "finished" and weights(folder) == weights(unbroken)


def test_a_run_waits_for_those_that_were_there_before_and_for_no_other(tmp_path):
    others = {"before": 1.0, "after": 10.0**11, "dead": 2.0}
    locks = {}
    for name, queued in others.items():
        queue(tmp_path / name)
        locks[name] = runs.hold(tmp_path / name)
        runs.enqueue(tmp_path / name, runs.Job(queued=queued))
    os.close(locks.pop("dead"))
    told = []

    def waiting():
        told.append([run.name for run in runs.line(runs.all_runs())])
        os.close(locks.pop("before"))                         # its worker dies

    assert run(tmp_path / "mine", waiting=waiting).state == "finished" and told == [["before", "mine", "after"]]
    for lock in locks.values():
        os.close(lock)


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
    assert checkpoints.entry("run").config["made"]["updates"] == 12, "and its model can be used"


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


def test_own_pictures_that_are_gone_are_one_sentence(tmp_path):
    sentence = refusal("run.pictures", tmp_path / "run", config=replace(CONFIG, dataset="my-photos"))
    assert runs.status(tmp_path / "run").state == "failed" and runs.status(tmp_path / "run").error["en"] == sentence


def test_own_pictures_go_when_the_run_has_ended_and_stay_while_it_can_be_resumed(tmp_path, monkeypatch):
    from playground.core import pictures

    config, folder = replace(CONFIG, dataset="my-photos"), tmp_path / "run"
    queue(folder, config)
    pictures.save(folder / "pictures.safetensors", datasets.ImageSet("photos", torch.zeros(3, 1, 8, 8, dtype=torch.uint8), None, ()))
    run(folder, 10, config)
    assert (folder / "pictures.safetensors").exists()
    run(folder, config=config)
    assert runs.status(folder).state == "finished" and not (folder / "pictures.safetensors").exists()


def test_a_data_set_that_disappears_is_one_sentence_and_the_run_resumes_when_it_is_back(tmp_path, monkeypatch):
    """Files of a data set, read anew as another process would; the attempt to download it is real, and goes nowhere."""
    import torchvision

    raw = tmp_path / "data/MNIST/raw"
    raw.mkdir(parents=True)
    for stem, n in (("train", 24), ("t10k", 8)):
        images = np.random.default_rng(n).integers(0, 256, (n, 28, 28), dtype=np.uint8)
        (raw / f"{stem}-images-idx3-ubyte").write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, n, 28, 28) + images.tobytes())
        (raw / f"{stem}-labels-idx1-ubyte").write_bytes(struct.pack(">4B1I", 0, 0, 8, 1, n) + bytes(n))
    monkeypatch.setenv("PLAYGROUND_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", ["http://nowhere.invalid/"])
    monkeypatch.setattr(toy, "batches", lambda config, start: (b.x[..., 10:18, 10:18] for b in datasets.batches("mnist", 4, config.seed, start)))

    def sit(folder, stop_at=None):
        monkeypatch.setattr(datasets, "_loaded", {})          # another process has loaded nothing
        return run(folder, stop_at, replace(CONFIG, dataset="mnist"))

    sit(tmp_path / "unbroken")
    sit(tmp_path / "run", 15)
    raw.rename(tmp_path / "elsewhere")
    saved = (tmp_path / "run/state.safetensors").read_bytes()
    with pytest.raises(PlaygroundError) as refused:
        sit(tmp_path / "run")
    status = runs.status(tmp_path / "run")
    assert refused.value.key == "dataset.absent" and "mnist" in str(refused.value) and str(tmp_path) not in str(refused.value)
    assert (status.state, status.step, status.error) == ("failed", 15, refused.value.sentences())
    assert (tmp_path / "run/state.safetensors").read_bytes() == saved
    shutil.rmtree(raw, ignore_errors=True)
    (tmp_path / "elsewhere").rename(raw)
    status = sit(tmp_path / "run")
    assert status.state == "finished" and not status.error and weights(tmp_path / "run") == weights(tmp_path / "unbroken")


def test_a_runs_folder_that_cannot_be_written_is_one_sentence_wherever_the_run_is(tmp_path, monkeypatch):
    def refuse(path, *arguments, **options):
        if path.name.startswith(".device"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        touch(path, *arguments, **options)

    touch = Path.touch
    monkeypatch.setattr(Path, "touch", refuse)
    sentence = refusal("run.disk", tmp_path / "elsewhere" / "run")
    assert runs.status(tmp_path / "elsewhere" / "run").error["en"] == sentence


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
