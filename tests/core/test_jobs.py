"""Who may start, see, steer and delete which run, within which limits, wherever runs execute."""

import dataclasses
import errno
import io
import os
import threading
import time
import zipfile

import pytest
import torch
from PIL import Image

import blender
import toy
from playground import worker
from playground.core import checkpoints, datasets, files, jobs, pictures, runs, scenes
from playground.core.errors import PlaygroundError

CONFIG = toy.TrainConfig(steps=100)
MINE, YOURS = "a" * 32, "b" * 32


class Place(jobs.LocalProcess):
    """Where nothing trains: it remembers what it was handed, and holds the locks until it is told to let go."""

    def __init__(self):
        self.handed, self.locks, self.asked, self.broken = [], {}, [], None

    def run(self, folder, lock):
        if self.broken:
            raise self.broken
        assert files.held(folder / "lock") and runs.read(folder).state == "queued", "in line before it is handed over"
        self.handed.append(folder.name)
        self.locks[folder.name] = os.dup(lock)

    def ask(self, request):
        self.asked.append(dict(request))
        if self.broken:
            raise self.broken
        return {"look": worker._look, "measure": lambda **_: {"update": 0.01, "once": 2.0}}[request["do"]](
            **{key: value for key, value in request.items() if key != "do"})

    def tell(self, name, state, **status):
        """The worker of a run says something."""
        folder = checkpoints.runs_dir() / name
        runs.tell(folder, dataclasses.replace(runs.status(folder), state=state, **status))

    def end(self, name, state="stopped"):
        """It says how it ended, and lets go; "" for a death without a word."""
        if state:
            self.tell(name, state)
        os.close(self.locks.pop(name))


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    for name in ("SPACE_ID", "PLAYGROUND_PUBLIC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(jobs, "place", place := Place())
    monkeypatch.setattr(jobs, "_estimates", {})
    yield place
    for lock in place.locks.values():
        os.close(lock)


@pytest.fixture
def public(monkeypatch):
    monkeypatch.setenv("PLAYGROUND_PUBLIC", "1")


def start(secret="", config=CONFIG, **options):
    return jobs.start("toy", config, kind="1m", command="python -m playground train toy", secret=secret, **options)


def refusal(call, *arguments, **options):
    with pytest.raises(PlaygroundError) as refused:
        call(*arguments, **options)
    assert "/" not in str(refused.value)
    return refused.value.key


def folder(name):
    return checkpoints.runs_dir() / name


def state(name):
    return runs.find(name).state


# ---- start, stop, resume, delete -------------------------------------------------------------------------------


def test_a_started_run_is_in_line_from_the_click_and_its_lock_is_the_worker_s(place):
    before = time.time()
    name = start(MINE, expected=61.5)
    run = runs.find(name)
    assert place.handed == [name] and run.state == "queued" and run.train == dataclasses.asdict(CONFIG)
    assert before <= run.job.queued <= time.time() and run.job == runs.Job(run.job.queued, jobs.owner(MINE), 61.5, 0, "")
    assert MINE not in (folder(name) / "job.json").read_text(), "the folder keeps no secret"
    place.end(name, "")
    assert state(name) == "interrupted"


def test_two_runs_of_the_same_settings_have_names_of_their_own():
    names = {start() for _ in range(5)}
    assert len(names) == 5 and all(name.startswith("toy-noise-1m-") for name in names)


@pytest.mark.parametrize("dataset", ["../../etc/passwd", "数据", "x" * 10_000, "", "My Set (2).zip", "a\x00b", "-", "my-" + "x" * 32])
def test_a_data_set_of_any_name_makes_a_run_that_can_be_named_its_best_model_too(dataset, place):
    name = start(config=dataclasses.replace(CONFIG, dataset=dataset))
    assert checkpoints.check_name(f"{name}-best") and folder(name).parent == checkpoints.runs_dir() and folder(name).is_dir()
    assert runs.find(name).train["dataset"] == dataset


def test_a_stop_is_a_request_to_the_worker_and_only_to_a_living_one(place):
    name = start()
    place.tell(name, "running")
    jobs.stop(name)
    assert (folder(name) / "stop").exists() and state(name) == "running"
    place.end(name)
    assert state(name) == "stopped" and refusal(jobs.stop, name) == "job.still"


@pytest.mark.parametrize("ended", ["stopped", "failed", ""])
def test_what_did_not_finish_can_be_resumed_at_the_end_of_the_line(ended, place):
    first, second = start(MINE, expected=50.0), start()
    assert refusal(jobs.resume, first, MINE) == "job.lives"
    jobs.stop(first)
    place.tell(first, "running", step=30, seconds=9.0)
    place.end(first, ended)
    assert [run.name for run in runs.line(runs.all_runs())] == [second]
    jobs.resume(first, MINE)
    assert place.handed == [first, second, first] and [run.name for run in runs.line(runs.all_runs())] == [second, first]
    run = runs.find(first)
    assert (run.state, run.status.step, run.status.seconds) == ("queued", 30, 9.0) and not (folder(first) / "stop").exists()
    assert run.job == dataclasses.replace(run.job, owner=jobs.owner(MINE), expected=50.0)


def test_a_finished_run_is_not_resumed_and_one_that_has_just_stopped_is(place):
    name = start()
    place.end(name, "finished")
    assert refusal(jobs.resume, name) == "job.finished"
    name = start()
    place.tell(name, "stopped")                               # said, and the lock is let go a moment later
    threading.Timer(0.05, place.end, [name]).start()
    jobs.resume(name)
    assert state(name) == "queued"


def test_a_deleted_run_is_gone_with_all_that_is_in_it(place):
    name, other = start(), start()
    place.end(name)
    (folder(name) / "previews").mkdir()
    (folder(name) / "previews" / "0.png").write_bytes(b"x")
    jobs.delete(name)
    assert not folder(name).exists() and [run.name for run in runs.all_runs()] == [other]
    assert refusal(jobs.delete, name) == refusal(jobs.stop, name) == refusal(jobs.resume, name) == "run.unknown"


def test_a_living_run_is_told_to_stop_and_deleted_when_it_has(place):
    name = start()
    place.tell(name, "running")

    def obey():
        while not (folder(name) / "stop").exists():
            time.sleep(0.005)
        place.end(name)

    thread = threading.Thread(target=obey)
    thread.start()
    jobs.delete(name)
    thread.join()
    assert not folder(name).exists()


def test_a_run_whose_worker_does_not_end_is_not_deleted_under_it(place):
    name = start()
    place.tell(name, "running")
    assert refusal(jobs.delete, name, patience=0.1) == "run.busy"
    assert state(name) == "running"


def test_a_run_that_nobody_takes_leaves_nothing_behind(place):
    place.broken = OSError(errno.EAGAIN, "Resource temporarily unavailable")
    with pytest.raises(OSError):
        start()
    assert not list(checkpoints.runs_dir().iterdir())


@pytest.mark.parametrize("call", ["mkdir", "replace"])
def test_a_full_disk_at_the_click_is_one_sentence_and_no_run(call, place, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    name = start()
    monkeypatch.setattr(os, "mkdir", full) if call == "mkdir" else monkeypatch.setattr(files, "replace", full)
    assert refusal(start) == "run.disk"
    assert [run.name for run in runs.all_runs()] == [name] and place.handed == [name]


def test_a_deletion_that_a_kill_cut_short_is_finished_by_the_next_start():
    left = checkpoints.runs_dir() / ".deleted-toy-1-2"
    left.mkdir(parents=True)
    (left / "state.safetensors").write_bytes(b"x")
    start()
    assert not left.exists()


@pytest.mark.parametrize("name", ["../x", "..", "/etc/passwd", "é" * 20, "x" * 10**6, "", None, 7, ["a"], {"a": 1}, "a\x00"])
@pytest.mark.parametrize("call", [jobs.find, jobs.stop, jobs.resume, jobs.delete])
def test_a_hostile_name_is_refused_and_touches_nothing(call, name, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    assert refusal(call, name, MINE) == "checkpoint.name" and sorted(tmp_path.rglob("*")) == before


# ---- the line and what it will take ----------------------------------------------------------------------------


def test_a_run_begins_when_those_ahead_of_it_have_trained(place):
    first, second, third = start(expected=100.0), start(expected=10.0), start(expected=1.0)
    place.tell(first, "running", step=25, seconds=20.0)      # 0.8 seconds an update, 75 to go
    everyone = runs.all_runs()
    found = {run.name: jobs.wait(run, everyone) for run in everyone}
    assert found == {first: 0, second: pytest.approx(60), third: pytest.approx(70)}
    place.end(first, "finished")
    everyone = runs.all_runs()
    assert jobs.wait(runs.find(third), everyone) == 10 and jobs.wait(runs.find(first), everyone) == 0


def test_an_estimate_counts_what_is_done_once_and_what_every_update_costs():
    measured = jobs.Estimate(update=0.01, once=2.0)
    assert measured.seconds(1000) == pytest.approx(2 + 10 * jobs.OVERHEAD)
    for seconds in (4, 10, 60, 600):
        steps = measured.steps(seconds)
        assert measured.seconds(steps) <= seconds < measured.seconds(steps + 1)
    for seconds in (0.5, 1, 3):                               # too short for what is done once: half of it is for updates all the same
        assert measured.steps(seconds) == int(jobs.UPDATES * seconds / (0.01 * jobs.OVERHEAD))
    assert measured.steps(0) == 1, "at least one update, however short the time"


def test_a_measurement_is_made_once_for_what_costs_the_same(place):
    first = jobs.estimate("toy", CONFIG)
    assert first == jobs.Estimate(0.01, 2.0)
    assert jobs.estimate("toy", dataclasses.replace(CONFIG, steps=7, seed=9)) is first and len(place.asked) == 1
    jobs.estimate("toy", dataclasses.replace(CONFIG, pause=0.5))
    assert len(place.asked) == 2 and place.asked[0]["train"]["steps"] > 100


def test_a_measurement_beside_a_run_holds_for_a_moment_only(place, monkeypatch):
    start()
    slowed = jobs.estimate("toy", CONFIG)
    assert jobs.estimate("toy", CONFIG) is slowed and len(place.asked) == 1, "what was said before the click is what is started"
    now = time.monotonic()
    monkeypatch.setattr(jobs.time, "monotonic", lambda: now + jobs.SLOWED_SECONDS + 1)
    jobs.estimate("toy", CONFIG)
    assert len(place.asked) == 2


def test_a_measurement_that_fails_is_not_remembered(place):
    place.broken = PlaygroundError("job.helper")
    assert refusal(jobs.estimate, "toy", CONFIG) == "job.helper"
    place.broken = None
    assert jobs.estimate("toy", CONFIG).update == 0.01


# ---- a public host ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SPACE_ID", "PLAYGROUND_PUBLIC"])
def test_a_host_is_public_where_the_environment_says_so(name, monkeypatch):
    assert not jobs.public() and jobs.limits() is jobs.LOCAL
    monkeypatch.setenv(name, "1")
    assert jobs.public() and jobs.limits() is jobs.PUBLIC
    run = runs.find(start(MINE))
    assert run.job.limit == jobs.PUBLIC.seconds > 0


def test_a_full_line_takes_no_more(public, place):
    names = [start(f"{i:032x}") for i in range(jobs.PUBLIC.waiting)]
    assert refusal(start, MINE) == "job.line"
    place.end(names[0], "finished")
    start(MINE)


def test_a_visitor_keeps_so_many_runs_and_others_theirs(public, place):
    names = [start(MINE) for _ in range(jobs.PUBLIC.kept)]
    assert refusal(start, MINE) == "job.kept"
    start(YOURS)
    place.end(names[0], "finished")
    assert refusal(start, MINE) == "job.kept", "a finished run is kept too"
    jobs.delete(names[0], MINE)
    start(MINE)


def test_a_full_quota_takes_neither_runs_nor_pictures(place, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "LOCAL", dataclasses.replace(jobs.LOCAL, disk=200_000))
    start()
    look(tmp_path)
    for where in (".pictures/left.part", "x/state.safetensors"):
        path = checkpoints.runs_dir() / where
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(200_000))
        assert refusal(start) == refusal(look, tmp_path) == "job.disk"
        path.unlink()
    start()


def test_a_run_belongs_to_the_browser_that_started_it(public, place):
    name = start(MINE)
    before = sorted(path.name for path in folder(name).iterdir())
    for secret in (YOURS, "", MINE.upper(), jobs.owner(MINE), "é"):
        assert jobs.visible(secret) == []
        for call in (jobs.find, jobs.stop, jobs.resume, jobs.delete):
            assert refusal(call, name, secret) == "run.unknown", "not even that it is there"
    assert sorted(path.name for path in folder(name).iterdir()) == before
    assert [run.name for run in jobs.visible(MINE)] == [name] and jobs.find(name, MINE).name == name
    assert jobs.visible(MINE, "vae") == []
    jobs.stop(name, MINE)
    place.end(name)
    jobs.resume(name, MINE)
    place.end(name)
    jobs.delete(name, MINE)
    assert not folder(name).exists()


def test_a_run_of_the_command_line_is_no_visitor_s(public):
    name = start("")
    assert jobs.visible("") == [] == jobs.visible(MINE) and refusal(jobs.find, name, "") == "run.unknown"


def test_on_a_local_host_every_browser_sees_and_steers_every_run(place):
    name = start(MINE)
    assert [run.name for run in jobs.visible(YOURS)] == [name]
    jobs.stop(name, YOURS)
    place.end(name)
    jobs.resume(name, YOURS)
    assert runs.find(name).job.owner == jobs.owner(MINE), "and it stays whose it was"
    place.end(name)
    jobs.delete(name)


def test_a_public_run_goes_after_a_day_without_news_and_a_living_one_stays(public, place, monkeypatch):
    old, young, living = start(MINE), start(MINE), start(MINE)
    for name in (old, living):
        run = runs.find(name)
        files.replace(folder(name) / "job.json", b'{"queued": %d, "owner": "%s"}' % (time.time() - jobs.KEPT_SECONDS - 60, run.job.owner.encode()))
    place.end(old, "finished")
    place.end(young, "finished")
    start(YOURS)
    assert not folder(old).exists() and folder(young).exists() and state(living) == "queued"


def test_a_local_run_is_kept_for_good(place):
    name = start()
    place.end(name, "finished")
    files.replace(folder(name) / "job.json", b'{"queued": 1}')
    start()
    assert folder(name).exists()


# ---- a visitor's own pictures ----------------------------------------------------------------------------------


def picture(grey):
    Image.new("L", (12, 10), grey).save(buffer := io.BytesIO(), "PNG")
    return buffer.getvalue()


def packed(path, name="Holiday photos"):
    """A zip of three pictures, as the server keeps an upload."""
    path = path / f"{name}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(3):
            archive.writestr(f"{i}.png", picture(40 * i))
    return path


def look(path, **options):
    return jobs.look(packed(path, **options), 8)


def uploads():
    return sorted(path.name for path in (checkpoints.runs_dir() / jobs.UPLOADS).glob("*"))


def test_pictures_are_looked_at_kept_under_a_token_and_the_zip_is_deleted(tmp_path):
    zipped = packed(tmp_path)
    found = jobs.look(zipped, 8)
    assert (found.name, found.images, found.train, found.channels) == ("my-holiday-photos", 3, 3, 1) and not zipped.exists()
    assert jobs.kept(found.token) == found and datasets.is_own(found.name)
    assert pictures.restore(found.path).images.shape == (3, 1, 8, 8)
    jobs.forget(found.token)
    assert jobs.kept(found.token) is None and uploads() == []


@pytest.mark.parametrize("name, expected", [("...", "my-pictures"), ("图片", "my-pictures"), ("x" * 200, "my-" + "x" * 32), ("A_b c!", "my-a-b-c")])
def test_pictures_are_called_by_their_zip_s_name_as_far_as_it_can_be_one(name, expected, tmp_path):
    assert look(tmp_path, name=name).name == expected


def test_a_zip_that_is_none_is_refused_deleted_and_leaves_nothing(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"PK not a zip")
    assert refusal(jobs.look, tmp_path / "x.zip", 8) == "images.zip"
    assert not (tmp_path / "x.zip").exists() and uploads() == []


def test_a_zip_beyond_the_limit_is_refused_unopened_and_deleted(place, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "LOCAL", dataclasses.replace(jobs.LOCAL, upload=100))
    zipped = packed(tmp_path)
    assert refusal(jobs.look, zipped, 8) == "images.total" and not zipped.exists() and place.asked == []


@pytest.mark.parametrize("token", ["", ".", "../x", "*", "?" * 16, "a/b", "é!", "x" * 200, "0" * 16])
def test_a_token_that_is_none_keeps_and_forgets_nothing(token, tmp_path):
    found = look(tmp_path)
    jobs.forget(token)
    assert jobs.kept(found.token) == found


def test_a_run_has_a_copy_of_its_pictures_and_needs_no_token_more(place, tmp_path):
    found = look(tmp_path)
    name = start(config=dataclasses.replace(CONFIG, dataset=found.name), pictures=found)
    jobs.forget(found.token)
    assert pictures.restore(folder(name) / "pictures.safetensors").images.shape == (3, 1, 8, 8)
    assert runs.find(name).job.pictures == found.token


def test_on_a_public_host_the_upload_goes_with_its_run(public, place, tmp_path):
    found = look(tmp_path)
    name = start(MINE, config=dataclasses.replace(CONFIG, dataset=found.name), pictures=found)
    place.end(name)
    jobs.delete(name, MINE)
    assert uploads() == [] and not folder(name).exists()


def test_pictures_that_no_run_has_taken_go_after_a_while(public, tmp_path):
    old, young = look(tmp_path), look(tmp_path)
    for path in [*(checkpoints.runs_dir() / jobs.UPLOADS).glob(f"{old.token}.*")]:
        os.utime(path, (1, 1))
    half = checkpoints.runs_dir() / jobs.UPLOADS / ("f" * 16 + ".safetensors")       # a kill came before its other file
    half.write_bytes(b"x")
    os.utime(half, (1, 1))
    start(MINE)
    assert jobs.kept(old.token) is None and jobs.kept(young.token) == young and uploads() == [f"{young.token}.json", f"{young.token}.safetensors"]


def test_a_refusal_of_the_worker_comes_in_its_own_words():
    refused = jobs.Refused({"en": "Too large.", "zh": "太大。"})
    assert str(refused) == "Too large." and refused.sentence("zh") == "太大。"
    assert refused.sentences() == {"en": "Too large.", "zh": "太大。"}


# ---- a visitor's own scene -------------------------------------------------------------------------------------


@pytest.fixture
def own_scene(monkeypatch):
    """The toy learns from scenes; nothing has been offered."""
    monkeypatch.setattr(toy, "OWN", "scene", raising=False)
    monkeypatch.setattr(scenes, "_own", {})


@pytest.mark.parametrize("n, train", [(6, 6), (17, 14)])
def test_a_scene_is_looked_at_kept_and_offered_to_the_run_s_recipe(n, train, own_scene, place, tmp_path):
    zipped = blender.zipped(tmp_path / "My Desk.zip", blender.scene(n))
    exact = scenes.from_zip(zipped, 8)
    found = jobs.look(zipped, 8, "scene")
    assert (found.name, found.images, found.train, found.channels) == ("my-my-desk", n, train, 3) and not zipped.exists()
    assert jobs.kept(found.token) == found
    name = start(config=dataclasses.replace(CONFIG, dataset=found.name), pictures=found)
    jobs.forget(found.token)
    assert refusal(scenes.load, found.name, 8) == "scene.own"
    worker._own(toy, found.name, folder(name) / "pictures.safetensors")
    scene = scenes.load(found.name, 8)
    assert scene.name == found.name and scene.bound == exact.bound and torch.equal(scene.train.images, exact.train.images)
    assert torch.equal(scene.train.poses, exact.train.poses) and len(scene.held_out) == (3 if n > 16 else 6)


def test_what_is_no_scene_is_one_sentence_and_leaves_nothing(own_scene, tmp_path):
    files_ = {"no scene": ({"a.png": picture(0)}, "scene.none"), "no picture": ({"transforms.json": b"{}"}, "scene.json"),
              "a bad matrix": (blender.scene(change=lambda found: found["frames"][2].update(transform_matrix=[[1]])), "scene.matrix"),
              "10,000 frames": (blender.scene(change=lambda found: found.update(frames=[{}] * 10_000)), "scene.frames")}
    for why, (files_in, key) in files_.items():
        assert refusal(jobs.look, blender.zipped(tmp_path / "x.zip", files_in, zipfile.ZIP_STORED), 8, "scene") == key, why
        assert not (tmp_path / "x.zip").exists() and uploads() == []


def test_pictures_are_no_scene_and_a_scene_is_no_pictures(own_scene, tmp_path, monkeypatch):
    """A token goes where a browser sends it: to another family's panel too."""
    photos, desk = look(tmp_path), jobs.look(blender.zipped(tmp_path / "desk.zip", blender.scene()), 8, "scene")
    assert refusal(worker._own, toy, photos.name, photos.path) == "scene.kept"
    monkeypatch.delattr(toy, "OWN")
    assert refusal(worker._own, toy, desk.name, desk.path) == "images.kept"
