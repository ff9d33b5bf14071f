"""Whatever dies, fills up or breaks, a fresh server says what happened, and the run ends as if it had not: with real processes."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from playground import families, worker
from playground.core import checkpoints, device, files, runs

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="workers are found in /proc")]

ROOT = Path(__file__).resolve().parents[1]
VAE = {"dataset": "glyphs", "network": "mlp", "hidden": 16, "latent": 2, "batch_size": 8, "steps": 1500}
PATIENCE = 300               # seconds: a cold disk and two busy cores included
MOMENTS = 30


class Server:
    """A `tests/served.py` on a runs folder."""

    def __init__(self, root, environment={}, **options):
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "tests" / "served.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/",
            env={**os.environ, "PLAYGROUND_RUNS": str(root), "PLAYGROUND_DEVICE": "cpu", "PYTHONDONTWRITEBYTECODE": "1", **environment}, **options)

    def send(self, *request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def ask(self, *request):
        self.send(*request)
        answer, refused = json.loads(self.process.stdout.readline())
        assert refused is None, refused
        return answer

    def refuse(self, *request):
        """The sentence with which it refuses."""
        self.send(*request)
        answer, refused = json.loads(self.process.stdout.readline())
        assert refused, f"not refused: {answer}"
        return refused

    def state(self, name):
        return self.ask("list")[name][0]

    def step(self, name):
        return self.ask("list")[name][1]

    def until(self, name, *states, step=0, sitting=0):
        """Wait until a run is in one of these states, or beyond an update; returns its state."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            state, at, sat, error = self.ask("list")[name]
            if state in states or step and at > step and sat > sitting:
                return state
            time.sleep(0.01)
        pytest.fail(f"{name} is {state} at {at} ({error}), not {states} nor beyond {step}")

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The runs folder. All that was started on it is killed at the end."""
    folder = tmp_path / "runs"
    folder.mkdir()
    monkeypatch.setenv("PLAYGROUND_RUNS", str(folder))
    yield folder
    kill_all_workers(folder)


@pytest.fixture
def serve():
    """serve(root): a server; killed at the end."""
    started = []

    def serve(root, environment={}, **options):
        started.append(Server(root, environment, **options))
        return started[-1]

    yield serve
    for each in started:
        each.kill()
        each.process.stdin.close()
        each.process.stdout.close()


def kill_all_workers(root):
    """Workers outlive their server: those of this runs folder are found by their environment."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            ours = f"PLAYGROUND_RUNS={root}".encode() in (path / "environ").read_bytes().split(b"\0")
            if ours and {b"served", b"playground.worker"} & set((path / "cmdline").read_bytes().split(b"\0")):
                os.kill(int(path.name), signal.SIGKILL)
        except OSError:
            pass


def eventually(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def kill(process):
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        pass


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """unbroken(seed): the folder of the VAE's training that nothing has disturbed."""
    root, done = tmp_path_factory.mktemp("unbroken"), {}

    def train(seed):
        if seed not in done:
            threads = torch.get_num_threads()
            torch.set_num_threads(device.threads())           # another number of threads, other sums
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("PLAYGROUND_RUNS", str(root))
                patch.setattr(device, "for_", lambda purpose: torch.device("cpu"))
                done[seed] = root / f"seed-{seed}"
                config = families.recipe("vae").TrainConfig(**VAE, seed=seed)
                assert worker.run("vae", config, done[seed]).state == "finished"
            torch.set_num_threads(threads)
        return done[seed]

    return train


def assert_as_unbroken(folder, whole):
    assert (folder / "checkpoint" / checkpoints.WEIGHTS).read_bytes() == (whole / "checkpoint" / checkpoints.WEIGHTS).read_bytes()
    assert {step: (folder / f"previews/{step}.png").read_bytes() for step in runs.frames(folder)} == {
        step: (whole / f"previews/{step}.png").read_bytes() for step in runs.frames(whole)}
    steps = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps)) and steps[-1] == VAE["steps"]
    assert not [path for path in folder.rglob(".*")], "something is left of what was killed"


# ---- kill -9 ---------------------------------------------------------------------------------------------------


def test_kill_9_of_worker_server_and_both_at_random_moments_costs_nothing_that_was_saved(root, serve, unbroken):
    chance = random.Random(3)
    victims = ["worker", "server", "both"] * (MOMENTS // 3)
    chance.shuffle(victims)
    server, name, seed, saved, finished, found = serve(root), None, 0, 0, 0, []

    def next_sitting():
        """Go on with the run, or begin another one; returns the worker's process where it is a new one."""
        nonlocal name, seed, saved, finished
        state = server.state(name) if name else "finished"
        if state == "finished":
            if name:
                assert_as_unbroken(root / name, unbroken(seed))
                seed, finished = seed + 1, finished + 1
            name, saved = server.ask("start", "vae", {**VAE, "seed": seed}), 0
        elif state in ("interrupted", "stopped"):
            server.ask("resume", name)
        else:
            assert state in ("queued", "running"), f"a kill is no failure: {server.ask('list')[name]}"
            return None
        return server.ask("worker")

    process = None
    for victim in victims:
        process = next_sitting() or process
        if chance.random() < 0.7:                             # while it trains and saves; else anywhere from the click on
            server.until(name, "finished", step=saved)
        time.sleep(chance.uniform(0, 0.3))
        before = server.ask("list")[name]
        if victim in ("server", "both"):
            server.kill()
        if victim in ("worker", "both"):
            kill(process)
        if victim != "worker":
            server = serve(root)
        if victim == "server":
            state = server.state(name)
            assert state in ("queued", "running", "finished"), "the worker outlives its server and is found again"
        else:
            state = server.until(name, "interrupted", "finished")
        found.append((victim, state))
        step = server.step(name)
        assert step >= max(saved, before[1]), "a saved update is lost"
        saved = step
    while server.state(name) != "finished":
        next_sitting()
        server.until(name, "finished", "failed")
    assert_as_unbroken(root / name, unbroken(seed))
    interrupted = sum(state == "interrupted" for _, state in found)
    outlived = sum(victim == "server" and state != "finished" for victim, state in found)
    assert len(found) == MOMENTS and interrupted >= MOMENTS // 3 and outlived >= MOMENTS // 10, f"the kills came at moments that prove little: {found}"


def test_a_server_killed_in_the_middle_of_a_click_leaves_a_run_or_none(root, serve, unbroken):
    chance = random.Random(4)
    for _ in range(6):
        server = serve(root)
        server.ask("list")                                    # it is there
        server.send("start", "vae", {**VAE, "steps": 10**6})
        time.sleep(chance.uniform(0, 0.02))
        server.kill()
    server = serve(root)
    for name in server.ask("list"):
        state = server.state(name)
        assert state in ("queued", "running", "interrupted")
        server.ask("delete", name)
    assert server.ask("list") == {} and not [path for path in root.iterdir() if (path / "config.json").exists()]
    name = server.ask("start", "vae", VAE)
    assert server.until(name, "finished", "failed") == "finished"


def test_a_helper_killed_while_it_waits_is_replaced(root, serve):
    server = serve(root)
    server.ask("warm_up")
    kill_all_workers(root)
    name = server.ask("start", "toy", {})
    assert server.until(name, "finished", "failed", "interrupted") == "finished"


# ---- the disk --------------------------------------------------------------------------------------------------


@contextmanager
def small_disk(path, megabytes):
    """A file system of its own at `path`."""
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", path], capture_output=True, text=True) if shutil.which("mount") else None
    if done is None or done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip() if done else 'there is no mount'}")
    try:
        yield
    finally:
        kill_all_workers(path)
        subprocess.run(["umount", "-l", path], check=True)


def fill(path):
    """Take the last byte of a disk."""
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue


def test_a_full_disk_is_one_sentence_and_with_room_again_the_run_goes_on_from_its_last_save(root, serve, unbroken):
    with small_disk(root, 16):
        server = serve(root)
        name = server.ask("start", "vae", VAE)
        server.until(name, step=20)
        fill(root / "filler")
        assert server.until(name, "failed", "finished", "interrupted") == "failed"
        _, step, _, error = server.ask("list")[name]
        assert error.startswith("The run's folder cannot be written: the disk is full") and "/" not in error and step > 20
        assert server.refuse("start", "toy", {}) == error, "nothing can be started, and the server serves"
        assert list(server.ask("list")) == [name]
        (root / "filler").unlink()
        server.ask("resume", name)
        server.until(name, step=step)
        assert server.until(name, "finished", "failed") == "finished"
        assert_as_unbroken(root / name, unbroken(0))
        server.kill()


def test_a_limit_on_files_is_like_a_full_disk(root, serve, unbroken):
    server = serve(root)
    name = server.ask("start", "vae", VAE)
    server.until(name, step=20)
    server.ask("stop", name)
    server.until(name, "stopped", "finished")
    step, saved = server.step(name), (root / name / "state.safetensors").read_bytes()
    narrow = serve(root, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (len(saved) // 2, resource.RLIM_INFINITY)))
    narrow.ask("resume", name)
    assert narrow.until(name, "failed", "finished", "interrupted") == "failed"
    assert "the disk is full or read-only" in narrow.ask("list")[name][3]
    assert (root / name / "state.safetensors").read_bytes() == saved and narrow.step(name) == step
    server.ask("resume", name)
    assert server.until(name, "finished", "failed") == "finished"
    assert_as_unbroken(root / name, unbroken(0))


def test_a_read_only_runs_folder_is_one_sentence_for_everything_that_would_write(serve):
    with tempfile.TemporaryDirectory() as place:              # not below pytest's folder, which only its owner may enter
        Path(place).chmod(0o755)
        root = Path(place) / "runs"
        writer = serve(root)
        name = writer.ask("start", "toy", {"steps": 10**6, "pause": 0.01})
        writer.until(name, step=3)
        writer.ask("stop", name)
        writer.until(name, "stopped")
        writer.kill()
        for path in (root, *root.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        server = serve(root, {"SERVED_BY_ANOTHER": "1"})
        before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
        assert server.state(name) == "stopped"
        sentences = {server.refuse(*request) for request in (("start", "toy", {}), ("resume", name), ("delete", name))}
        assert sentences == {"The run's folder cannot be written: the disk is full or read-only; what was saved before is kept."}
        assert server.state(name) == "stopped", "it serves as before"
        done = subprocess.run([sys.executable, "-c", COMMAND_LINE_OF_ANOTHER, "train", "toy", "--preset", "10s", "--runs-dir", root],
                              cwd=ROOT / "tests", capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT), "PLAYGROUND_DEVICE": "cpu"})
        assert (done.returncode, done.stdout) == (2, "") and done.stderr.splitlines()[-1] == f"playground: {sentences.pop()}"
        assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
        for path in (root, *root.rglob("*")):
            path.chmod(0o755)


COMMAND_LINE_OF_ANOTHER = """
import sys, served, toy
from playground import worker
from playground.__main__ import main
toy.register()
served.become_another()
sys.exit(main())
"""


# ---- what is in the folder -------------------------------------------------------------------------------------


def test_a_corrupted_state_is_one_sentence_and_left_as_it_is(root, serve, unbroken):
    server = serve(root)
    name = server.ask("start", "vae", VAE)
    server.until(name, step=20)
    kill(server.ask("worker"))
    server.until(name, "interrupted", "finished")
    path = root / name / "state.safetensors"
    good = path.read_bytes()
    path.write_bytes(bad := good[:1000] + bytes([good[1000] ^ 1]) + good[1001:])
    server.ask("resume", name)
    server.until(name, "failed")
    assert "damaged" in server.ask("list")[name][3] and path.read_bytes() == bad
    path.write_bytes(good)
    server.ask("resume", name)
    assert server.until(name, "finished", "failed") == "finished"
    assert_as_unbroken(root / name, unbroken(0))


def test_a_loss_that_is_no_number_ends_the_run_with_what_to_try_and_the_last_good_state_kept(root, serve):
    from safetensors import safe_open

    server = serve(root)
    name = server.ask("start", "toy", {"steps": 1000, "pause": 0.005, "bad_metric_at": 100})
    server.until(name, "failed", "finished")
    state, step, _, error = server.ask("list")[name]
    assert state == "failed" and 0 < step < 100
    assert error == "Training stopped at update 100: loss is no longer a finite number; try a smaller learning rate."
    with safe_open(root / name / "state.safetensors", "pt") as file:
        assert all(file.get_tensor(key).isfinite().all() for key in file.keys() if file.get_tensor(key).is_floating_point())
    other = server.ask("start", "toy", {})
    assert server.until(other, "finished", "failed") == "finished", "the next one is not harmed"


# ---- two servers, and the end of one ---------------------------------------------------------------------------


def test_two_servers_on_one_folder_see_the_same_runs_and_train_one_at_a_time_in_the_order_of_the_clicks(root, serve):
    servers = serve(root), serve(root)
    for server in servers:
        server.ask("warm_up")
    names = [servers[i % 2].ask("start", "toy", {"steps": 60 + i, "pause": 0.02}) for i in range(4)]
    begun, ended, most, end = [], [], 0, time.monotonic() + PATIENCE
    while len(ended) < 4 and time.monotonic() < end:
        mine, yours = (server.ask("list") for server in servers)
        assert set(mine) == set(yours) == set(names)
        running = [name for name in names if yours[name][0] == "running"]
        most = max(most, len(running))
        begun += [name for name in running if name not in begun]
        ended += [name for name in names if mine[name][0] == "finished" and name not in ended]
        assert all(state in ("queued", "running", "finished") for state, *_ in mine.values()), mine
        time.sleep(0.01)
    assert begun == ended == names and most == 1


def test_a_run_in_line_begins_when_the_one_before_it_is_killed(root, serve):
    first, second = serve(root), serve(root)
    ahead = first.ask("start", "toy", {"steps": 10**6, "pause": 0.01})
    first.until(ahead, step=1)
    behind = second.ask("start", "toy", {"steps": 50})
    told = second.ask("start", "toy", {"steps": 50})
    time.sleep(0.1)
    assert second.state(behind) == second.state(told) == "queued"
    second.ask("stop", told)
    assert second.until(told, "stopped", "running") == "stopped", "one that waits stops without training"
    assert second.step(told) == 0 and second.state(behind) == "queued"
    kill(first.ask("worker"))
    assert second.until(behind, "finished", "failed") == "finished" and second.state(ahead) == "interrupted"


def test_a_server_that_leaves_lets_its_trainings_save_and_stop(root, serve, unbroken):
    server, other = serve(root), serve(root)
    with files.locked(root / ".device-cpu.lock"):
        name, behind = server.ask("start", "vae", VAE), server.ask("start", "toy", {"steps": 10**6})
        eventually(lambda: all((root / each / "log.txt").exists() for each in (name, behind)))
        time.sleep(3 * runs.POLL)                             # their workers are there, and wait
    server.until(name, step=20)
    server.ask("leave")
    server.kill()
    assert other.until(name, "stopped", "finished") == "stopped"
    assert other.until(behind, "stopped", "interrupted") == "stopped" and other.step(behind) == 0, "one that waits does not begin now"
    last = json.loads((root / name / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    assert other.step(name) == last, "it saved before it stopped"
    other.ask("resume", name)
    assert other.until(name, "finished", "failed") == "finished"
    assert_as_unbroken(root / name, unbroken(0))


# ---- the real server -------------------------------------------------------------------------------------------


def test_the_page_finds_a_run_again_whatever_is_killed_and_control_c_saves_it(start_app, root, monkeypatch):
    import httpx
    from gradio_client import Client

    visitor = "a" * 32

    def open_app():
        app = start_app(PLAYGROUND_RUNS=str(root))
        return app, Client(app.url, verbose=False)

    def listed(app):
        return {run["name"]: run for run in httpx.get(f"{app.url}/runs/vae", headers={"x-visitor": visitor}, timeout=60).json()["runs"]}

    def until(app, name, *states, step=0):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            run = listed(app)[name]
            if run["state"] in states or step and run["step"] > step:
                return run["state"]
            time.sleep(0.02)
        pytest.fail(f"{name} is {run}, not {states}")

    app, client = open_app()
    lock = files.lock(root / ".device-cpu.lock")              # the machine is busy: it waits until both servers are there
    name = client.predict("glyphs", "1m", 0, {"network": "mlp"}, visitor, api_name="/vae_train")
    assert listed(app)[name]["state"] == "queued"
    os.close(lock)
    until(app, name, "finished", step=10)
    worker_of_run = next(int(path.name) for path in Path("/proc").glob("[0-9]*") if log_of(path) == root / name / "log.txt")
    app.process.kill()
    app.process.wait()
    app, client = open_app()
    assert listed(app)[name]["state"] == "running", "the worker outlives the page and is found again"
    kill(worker_of_run)
    assert until(app, name, "interrupted", "finished") == "interrupted"
    step = listed(app)[name]["step"]
    client.predict(name, "resume", visitor, api_name="/vae_steer")
    until(app, name, "finished", step=step)
    app.process.send_signal(signal.SIGINT)
    app.process.wait(PATIENCE)
    eventually(lambda: not runs.find(name).active)
    run = runs.find(name)
    assert run.state == "stopped" and run.status.step > step and (run.folder / "checkpoint").is_dir()


def log_of(process):
    """Where a process prints to."""
    try:
        return Path(os.readlink(process / "fd" / "1"))
    except OSError:
        return None
