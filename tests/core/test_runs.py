"""What anyone sees of a run is read from its folder alone: its state, its place in line, what is left of it."""

import dataclasses
import errno
import json
import os

import pytest

from playground.core import files, runs
from playground.core.errors import PlaygroundError
from playground.core.runs import Job, Status

TRAIN = {"dataset": "noise", "steps": 100, "seed": 0}


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture
def made(root):
    """made("name", "running", lives=True, queued=3, step=10, ...): a run's folder as a worker would leave it."""
    locks = []

    def make(name, state="queued", *, lives=False, recipe="toy", job={}, **status):
        lock = runs.hold(root / name)
        runs.claim(root / name, recipe, TRAIN, "python -m playground train toy")
        runs.enqueue(root / name, Job(**job))
        runs.tell(root / name, dataclasses.replace(runs.status(root / name), state=state, **status))
        locks.append(lock) if lives else os.close(lock)
        return root / name

    yield make
    for lock in locks:
        os.close(lock)


def refusal(call, *arguments):
    with pytest.raises(PlaygroundError) as refused:
        call(*arguments)
    return refused.value.key


# ---- its state -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said, lives, state, active", [
    ("queued", True, "queued", True), ("running", True, "running", True),
    ("queued", False, "interrupted", False), ("running", False, "interrupted", False),
    ("stopped", False, "stopped", False), ("finished", False, "finished", False), ("failed", False, "failed", False),
    ("stopped", True, "stopped", False), ("finished", True, "finished", False), ("failed", True, "failed", False),
])
def test_a_state_is_what_was_said_unless_its_worker_died_before_the_end(said, lives, state, active, made):
    run = runs.read(made("a", said, lives=lives))
    assert (run.state, run.active, run.lives) == (state, active, lives)


def test_a_run_is_read_as_it_was_written(made):
    folder = made("a", "failed", job={"queued": 5.0, "owner": "me", "expected": 9.0, "limit": 120.0, "pictures": "ab12"}, step=3,
                  seconds=1.5, metrics={"loss": 0.25}, error={"en": "Too hot.", "zh": "太热。"}, best=2, sitting=4)
    run = runs.read(folder)
    assert (run.name, run.folder, run.recipe, run.train) == ("a", folder, "toy", TRAIN)
    assert run.job == Job(5.0, "me", 9.0, 120.0, "ab12")
    assert run.status == Status("failed", 3, 100, 1.5, {"loss": 0.25}, {"en": "Too hot.", "zh": "太热。"}, 2, 4)


def test_what_is_no_run_is_none_and_hides_no_other(made, root):
    made("good", "finished")
    for name, text in {"cut": "{", "list": "[1]", "empty": "", "other": '{"format": 1}', "text": '{"recipe": 1, "train": "x", "command": ""}',
                       "steps": '{"recipe": "toy", "train": {"steps": "many"}, "command": ""}'}.items():
        (root / name).mkdir()
        (root / name / "config.json").write_text(text)
        assert runs.read(root / name) is None
    (root / "file").write_text("")
    (root / "nothing").mkdir()
    (root / ".deleted-x-1").mkdir()
    made("Not-A-Name", "finished")
    assert [run.name for run in runs.all_runs()] == ["good"]


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"state": "finished"}', '{"state": "finished", "unknown": 1}'])
def test_a_damaged_status_is_none_at_all(damage, made):
    folder = made("a", "finished", step=100)
    (folder / "status.json").write_text(damage)
    assert runs.status(folder) is None and runs.read(folder).state == "interrupted" and runs.read(folder).status.steps == 100
    (folder / "job.json").write_text(damage)
    assert runs.read(folder).job == Job()


def test_there_are_no_runs_where_there_is_no_folder(root):
    assert runs.all_runs() == [] and not root.exists()
    runs.sweep()
    assert not root.exists()


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "/etc", "A", "é", "a\x00", "a" * 65, "a" * 10**6, "-a", ".deleted-a-1", 3, None,
                                  ["a"], {"a": 1}, b"a", "run\n", "①"])
def test_what_is_no_name_finds_no_run(name, made):
    made("a", "finished")
    assert refusal(runs.find, name) == "checkpoint.name"


def test_a_run_is_found_by_its_name(made):
    made("a" * 64, "finished")
    assert runs.find("a" * 64).state == "finished" and refusal(runs.find, "b") == "run.unknown"


def test_frames_are_the_numbers_of_the_film_in_order(made):
    folder = made("a")
    (folder / "previews").mkdir()
    for name in ("10.png", "9.png", "0.png", ".7.png.55.part", "x.png", "１.png", "8.jpg"):
        (folder / "previews" / name).write_bytes(b"")
    assert runs.frames(folder) == [0, 9, 10]
    assert runs.frames(folder.with_name("none")) == []


def test_a_size_is_all_bytes_below(tmp_path):
    (tmp_path / "x" / "y").mkdir(parents=True)
    (tmp_path / "x" / "a").write_bytes(b"12345")
    (tmp_path / "x" / "y" / ".b").write_bytes(b"678")
    assert runs.size(tmp_path / "x") == 8 and runs.size(tmp_path / "none") == 0


# ---- whose turn it is ------------------------------------------------------------------------------------------


def test_the_line_is_the_running_one_then_the_others_as_they_came(made):
    made("late", "queued", lives=True, job={"queued": 30.0})
    made("early", "queued", lives=True, job={"queued": 10.0})
    made("twin", "queued", lives=True, job={"queued": 10.0})
    made("trains", "running", lives=True, job={"queued": 20.0})
    made("dead", "queued", job={"queued": 1.0})
    made("gone", "finished", lives=True, job={"queued": 2.0})
    made("over", "stopped", job={"queued": 3.0})
    assert [run.name for run in runs.line(runs.all_runs())] == ["trains", "early", "twin", "late"]
    assert [run.name for run in runs.all_runs()] == ["late", "trains", "early", "twin", "over", "gone", "dead"], "the newest first"


@pytest.mark.parametrize("step, seconds, expected, remaining", [
    (0, 0.0, 60.0, 60.0),            # not begun: what was expected
    (0, 0.0, 0.0, 0.0),              # nothing is known
    (10, 2.0, 60.0, 58.0),           # too young to have a pace
    (10, 6.0, 60.0, 54.0),           # 0.6 seconds an update, 90 to go
    (10, 4.0, 5.0, 36.0),            # the estimate was wrong
    (10, 2.0, 0.0, 18.0),            # no estimate: its pace, however young
    (0, 70.0, 60.0, 0.0),
    (100, 50.0, 60.0, 0.0),
])
def test_what_is_left_comes_from_its_own_pace_or_before_from_what_was_expected(step, seconds, expected, remaining, made):
    run = runs.read(made("a", "running", step=step, seconds=seconds, job={"expected": expected}))
    assert run.remaining == pytest.approx(remaining)


# ---- the status on a full disk ---------------------------------------------------------------------------------


@pytest.fixture
def full(monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    return lambda: monkeypatch.setattr(os, "replace", refuse)


def test_a_status_has_one_length_so_that_a_full_disk_takes_it_too(made, full):
    folder = made("a", "running", step=7)
    before = (folder / "status.json").stat()
    full()
    failed = Status("failed", 7, 100, 1.0, {"loss": 1 / 3}, PlaygroundError("run.disk").sentences())
    runs.tell(folder, failed)
    after = (folder / "status.json").stat()
    assert runs.status(folder) == failed
    assert (before.st_size, before.st_ino) == (after.st_size, after.st_ino) == (runs.STATUS_BYTES, after.st_ino)
    assert not list(folder.glob(".*.part"))


def test_a_status_written_over_a_longer_one_is_still_whole(made, full):
    folder = made("a", "running", step=7, error={"en": "x" * 3 * runs.STATUS_BYTES, "zh": ""})
    full()
    runs.tell(folder, Status("stopped", 7, 100, 1.0))
    assert runs.status(folder) == Status("stopped", 7, 100, 1.0)


def test_a_disk_that_takes_nothing_says_so(tmp_path, full):
    full()
    with pytest.raises(OSError):
        runs.tell(tmp_path, Status("queued", 0, 1, 0.0))


# ---- the folder ------------------------------------------------------------------------------------------------


def test_a_run_has_one_worker_and_the_next_sweeps_what_a_killed_one_left(made, root):
    lock = runs.hold(made("a", "running"))
    assert refusal(runs.hold, root / "a") == "run.busy"
    (root / "a" / "previews").mkdir()
    left = [root / "a" / ".state.safetensors.1.part", root / "a" / "previews" / ".5.png.1.part"]
    for path in left:
        path.write_bytes(b"")
    assert refusal(runs.hold, root / "a") == "run.busy" and all(path.exists() for path in left), "they are the worker's, who lives"
    os.close(lock)
    os.close(runs.hold(root / "a"))
    assert not any(path.exists() for path in left)


def test_a_run_in_line_is_queued_whatever_it_was_and_no_old_stop_stops_it(made, root):
    folder = made("a", "failed", step=7, seconds=2.0, error={"en": "x"}, best=3, sitting=2, job={"queued": 1.0, "owner": "me"})
    (folder / "stop").touch()
    lock = runs.hold(folder)
    runs.enqueue(folder, Job(queued=9.0, owner="me"))
    run = runs.read(folder)
    assert run.state == "queued" and run.job.queued == 9.0 and not (folder / "stop").exists()
    assert run.status == Status("queued", 7, 100, 2.0, best=3, sitting=2)
    os.close(lock)


def test_other_settings_are_refused_and_named_and_the_same_are_not(made, root):
    folder = made("a")
    before = (folder / "config.json").read_bytes()
    runs.claim(folder, "toy", {**TRAIN}, "another command")
    for recipe, train in (("vae", TRAIN), ("toy", {**TRAIN, "seed": 1}), ("toy", {**TRAIN, "lr": 1}), ("toy", {"steps": 100})):
        assert refusal(runs.claim, folder, recipe, train, "") == "run.config"
    assert (folder / "config.json").read_bytes() == before


def test_a_deleted_run_is_gone_at_once_even_where_its_files_cannot_be(made, root, monkeypatch):
    folder = made("a", "finished")
    lock = runs.hold(folder)
    with monkeypatch.context() as patch:
        patch.setattr(runs.shutil, "rmtree", lambda *_, **__: None)            # a kill at this moment
        runs.remove(folder)
    os.close(lock)
    assert runs.all_runs() == [] and len(list(root.glob(".deleted-a-*"))) == 1
    runs.sweep()
    assert not list(root.iterdir())


def test_what_the_disk_refuses_is_one_sentence_without_a_path(root):
    with pytest.raises(PlaygroundError) as refused, runs.writing():
        raise PermissionError(errno.EACCES, "Permission denied", "/secret/place")
    assert refused.value.key == "run.disk" and "secret" not in json.dumps(refused.value.sentences())
    root.write_text("a file where the folder should be")
    assert refusal(runs.hold, root / "a") == "run.disk"


def test_a_look_at_a_run_does_not_make_it_busy(made):
    folder = made("a", "stopped")
    for _ in range(50):
        assert not runs.read(folder).lives
    with files.locked(folder / "lock", patience=0):
        assert runs.read(folder).lives
