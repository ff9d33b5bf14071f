"""The real server, as anyone on the network can reach it: it starts with one line, and nothing sent to it breaks it."""

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path

import gradio
import httpx
import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from PIL import Image

from playground import families, page
from playground.core import errors
from playground.ui import i18n, live

ROOT = Path(__file__).resolve().parents[1]
NAME = "vae-mnist"
FRAME = f"/live/vae.decode?checkpoint={NAME}&z=0.5,-1,2"
DRAWING = "A" * 200 + "_" * 100 + "A" * 223                  # 56x56 bits, some of them ink
HAN = re.compile(r"[\u4e00-\u9fff]")
PLACES = [str(place) for place in (ROOT, sys.prefix, tempfile.gettempdir(), Path.home())]
LEAKS = re.compile("|".join([
    "Traceback", 'File "', r"line \d+, in", "site-packages", r"\.py\b", r"\w+(Error|Exception)\b", "object at 0x", r"torch\.", r"numpy\.",
    "<class", *(re.escape(place) for place in PLACES if len(place) > 1)]))

HOSTILE = {
    "null": None, "true": True, "false": False, "NaN": float("nan"), "infinity": float("inf"), "minus infinity": float("-inf"),
    "huge": 10**30, "tiny": -(2**63), "half": 0.5, "text": "seven", "empty": "", "unknown name": "vae-nowhere",
    "path": "../../../../etc/passwd", "absolute path": "/etc/passwd", "markup": "<script>alert(1)</script>",
    "template": "{0.__class__}{found}", "zero byte": "a\x00b", "surrogates": "\U0001f600" * 100, "long text": "x" * 300_000,
    "empty list": [], "one": [1], "nested": [[[[1]]]],
    "33 numbers": [0.1] * 33, "list of NaN": [float("nan")] * 32, "list of booleans": [True] * 32, "list of texts": ["1"] * 32,
    "object": {"a": 1}, "a file": {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
    "a served file": {"path": "app.py", "url": "http://127.0.0.1/", "meta": {"_type": "gradio.FileData"}},
    "an update": {"__type__": "update", "value": 1},
    "523 letters": "A" * 523, "523 others": "!" * 523,
}


@pytest.fixture(scope="module")
def client(server):
    # The server hangs up on a connection after 5 idle seconds, as httpx does: at the same moment a request would be lost.
    with httpx.Client(base_url=server, timeout=60, headers={"accept-language": "en-US"}, limits=httpx.Limits(keepalive_expiry=1)) as client:
        yield client


@pytest.fixture(autouse=True)
def still_serving(request):
    """After each test the server answers as before."""
    yield
    if "client" in request.fixturenames:
        answer = request.getfixturevalue("client").get(FRAME)
        assert answer.status_code == 200 and np.asarray(Image.open(io.BytesIO(answer.content))).shape == (28, 28)


@pytest.fixture(scope="module")
def endpoints(client):
    """Every function of the server that Gradio lets anyone call: (index, number of inputs, its name or None)."""
    functions = client.get("/config").json()["dependencies"]
    return [(d["id"], len(d["inputs"]), d["api_name"] or None) for d in functions if d["backend_fn"]]


def run_app(*options, **environment):
    return subprocess.run([sys.executable, ROOT / "app.py", *options], capture_output=True, text=True, timeout=180,
                          env={**os.environ, **environment})


# ---- starting --------------------------------------------------------------------------------------------------


def test_it_prints_one_line_with_the_url(app):
    assert app.out.read_text() == f"Generative Playground: {app.url}\n"


@pytest.mark.parametrize("option, said", [
    ("taken", "is taken by another program; choose another with --port"),
    ("--port=70000", "a number from 1 to 65535 was expected"),
    ("--port=-1", "a number from 1 to 65535 was expected"),
    ("--host=nowhere.invalid", "is not known here"),
])
def test_an_address_that_cannot_be_had_is_one_sentence(app, option, said):
    option = f"--port={app.url.rpartition(':')[2]}" if option == "taken" else option
    done = run_app(option)
    assert done.returncode == 2 and done.stdout == ""
    assert re.fullmatch(r"playground: [^\n]+\.\n", done.stderr) and said in done.stderr


def test_its_options_are_obeyed_and_control_c_ends_it(start_app, tmp_path, client):
    shutil.copytree(ROOT / "checkpoints" / NAME, tmp_path / "mine" / "my-run" / "checkpoint")
    own = start_app("--lang", "zh", "--host", "127.0.0.1", "--data-root", str(tmp_path), "--runs-dir", str(tmp_path / "mine"))
    assert 'data-lang="zh"' in httpx.get(f"{own.url}/", timeout=60).text
    mine = httpx.get(own.url + FRAME.replace(NAME, "my-run"), timeout=60)
    assert mine.status_code == 200
    assert client.get(FRAME.replace(NAME, "my-run")).status_code == 422          # another server, other runs
    # A seed, a code, a link: the same picture from another process, to the byte.
    for path in (FRAME, f"/live/vae.prior?checkpoint={NAME}&seed=7"):
        assert httpx.get(own.url + path, timeout=60).content == client.get(path).content
    assert mine.content == client.get(FRAME).content
    own.process.send_signal(signal.SIGINT)
    own.process.wait(30)
    assert "Traceback" not in own.err.read_text()


# ---- what a Space reads ----------------------------------------------------------------------------------------


def front_matter():
    text = (ROOT / "README.md").read_text("utf-8")
    block = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL).group(1)
    return dict(re.findall(r"^(\w+): (.+)$", block, re.MULTILINE))


def test_the_space_runs_the_gradio_that_is_required_and_tested():
    [gradio_line] = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line.startswith("gradio")]
    allowed = Requirement(gradio_line.partition("#")[0].strip()).specifier
    said = front_matter()["sdk_version"].strip('"')
    assert said in allowed and gradio.__version__ in allowed
    assert said.split(".")[:2] == str(next(s.version for s in allowed if s.operator == ">=")).split(".")[:2]


def test_the_front_matter_is_what_a_space_accepts():
    found = front_matter()
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert found["sdk"] == "gradio" and (ROOT / found["app_file"]).is_file() and found["license"] == "mit"
    assert found["title"] == "Generative Playground" and {found["colorFrom"], found["colorTo"]} <= colours
    assert len(found["short_description"].strip('"')) <= 60 and len(found["emoji"]) in (1, 2)
    project = (ROOT / "pyproject.toml").read_text()
    assert all(found[key].startswith('"') for key in ("sdk_version", "python_version")), "YAML reads 3.10 as 3.1"
    assert found["python_version"].strip('"') in SpecifierSet(re.search(r'requires-python = "(.+)"', project).group(1))


# ---- what is served, and what not ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/config", FRAME, "/live/nothing", "/live/vae.decode?checkpoint=x", "/gradio_api/info",
                                  "/nowhere"])
def test_every_answer_tells_the_browser_to_stay_here(client, path):
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy and "object-src 'none'" in policy and "http" not in policy and "*" not in policy
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
    assert headers.get_list("content-security-policy") == [policy]


@pytest.mark.parametrize("path", ["/live/nothing", "/live/", "/live/vae.decode/more", "/live/..%2f..%2fetc%2fpasswd", "/live/%00"])
def test_an_unknown_view_is_404(client, path):
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/monitoring", "/monitoring/summary", "/gradio_api/monitoring", "/gradio_api/monitoring/summary"])
def test_nobody_watches_the_others(client, path):
    assert client.get(path).status_code in (401, 403, 404)


@pytest.mark.parametrize("file", ["/etc/passwd", "app.py", "README.md", f"checkpoints/{NAME}/config.json", f"../{ROOT.name}/app.py",
                                  ".git/config", str(ROOT / "app.py"), "http://127.0.0.1/", "~/.bashrc"], ids=range(9))
@pytest.mark.parametrize("route", ["/gradio_api/file=", "/file=", "/gradio_api/file/"])
def test_no_file_of_the_server_is_served(client, route, file):
    assert client.get(route + file).status_code in (400, 403, 404, 405)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_live_view_only_answers(client, method):
    assert client.request(method, FRAME).status_code == 405


def test_the_page_names_no_other_host(client):
    html = client.get("/").text
    hosts = {match for match in re.findall(r"""(?:src|href)=["'](?:https?:)?//([^/"']+)""", html)}
    assert hosts <= {"127.0.0.1"}, hosts


# ---- live views: hostile queries -------------------------------------------------------------------------------


def clean(text):
    """One short line without anything of the program's inside in it."""
    assert isinstance(text, str) and text.strip() and "\n" not in text.strip() and len(text) < 600
    assert not LEAKS.search(text), text
    return text


def as_query(value):
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


DDPM = "ddpm-mnist"
NOISE = {"checkpoint": DDPM, "seed": "1"}
DRAW = {**NOISE, "y": "3"}
DECIDE = {**DRAW, "sampler": "ddim", "steps": "5", "eta": "0", "guidance": "free", "scale": "1", "trunk": "", "hold": ""}
FIELD = "nerf-lego"
PATH = "35,30,4,40:125,30,4,40"
LOOK = {"checkpoint": FIELD, "camera": "35,30,4,40"}
AE = "ae-mnist-30d"
CODE = {"checkpoint": AE, "x": DRAWING}
GAN = "gan-mnist"
PLAYED = {"checkpoint": GAN, "seed": "3", "psi": "1"}
VIEWS = [*((f"overview.{family}", {"seed": "3"}) for family in families.FAMILIES), ("gan.grid", PLAYED), ("gan.truncation", PLAYED), ("gan.pair", {"checkpoint": GAN, "chosen": "3", "psi": "1"}), ("gan.card", {"checkpoint": GAN}),
         ("gan.map", {"checkpoint": GAN, "place": "0.5,0.5"}), ("gan.blend", {"checkpoint": GAN, "place": "0.5,0.5"}), ("gan.walk", {"checkpoint": GAN, "seed": "3"}),
         *((f"gan.{view}", {"checkpoint": GAN, "chosen": "3", "along": "1,0,0,0,0,0"}) for view in ("directions", "strips")),
         ("gan.quiz", {"checkpoint": GAN, "moment": "3", "deal": "0", "answers": "-" * 20, "shown": "0", "scores": ",,,,,"}),
         ("gan.nearest", {"checkpoint": GAN, "chosen": "3"}), ("gan.game", {"set": "ring", "game": "stable", "layers": "real,fakes", "ink": "", "play": ""}),
         ("gan.four", {"pace": "1:1", "play": ""}),
         ("gan.line", {"mp": "-1", "sp": "0.7", "mq": "1", "sq": "1", "at": "0.3", "loss": "minimax", "play": ""}),
         ("ae.look", CODE), ("ae.examples", {"checkpoint": AE}), ("ae.row", {**CODE, "d": "12"}), ("ae.plane", {"checkpoint": AE, "z": "1,2"}),
         ("ae.plane.vae", {"z": "1,2"}), ("ae.keep", {**CODE, "k": "3"}), ("ae.wall", {"checkpoint": AE, "leaf": "1"}), ("ae.unit", {**CODE, "unit": "1"}),
         ("ae.exciting", {**CODE, "unit": "1"}), ("ae.penalty", {"x": DRAWING, "at": "1"}), ("ae.penalty.all", {"x": DRAWING}),
         ("ae.spectrum", CODE), ("ae.nudge", {**CODE, "seed": "1", "which": "1", "amount": "0.5"}),
         ("ae.repair", {**CODE, "seed": "1", "kind": "mask", "amount": "0.3"}),
         ("ae.field", {"set": "moons", "sigma": "0.2", "steps": "3", "ink": "", "play": ""}), ("ae.use", {"checkpoint": AE, "play": ""}),
         ("ae.use.codes", {"checkpoint": AE}),
         ("vae.decode", {"checkpoint": NAME, "z": "1,2"}), ("vae.prior", {"checkpoint": NAME, "seed": "1"}),
         ("vae.strips", {"checkpoint": NAME, "z": "1,2"}), ("vae.more", {"checkpoint": NAME, "z": "1,2"}),
         ("vae.paths", {"checkpoint": NAME, "seed": "1"}), ("vae.encode", {"checkpoint": NAME, "x": DRAWING}), ("vae.examples", {"checkpoint": NAME}),
         ("vae.sheet", {"checkpoint": NAME}), ("vae.codes", {"checkpoint": NAME}), ("vae.place", {"checkpoint": NAME, "z": "1,2"}),
         ("vae.stepper", {"checkpoint": NAME, "x": DRAWING, "step": "4", "eps": "1"}),
         ("vae.posterior", {"checkpoint": NAME, "x": DRAWING, "move": "0,0.1", "widen": "1,0"}),
         ("vae.arithmetic", {"checkpoint": NAME, "z": "1,2", "trait": "5", "amount": "1"}),
         ("vae.palette", {"checkpoint": NAME, "seed": "1"}), ("vae.blend", {"checkpoint": NAME, "seed": "1", "at": "0.5,0.2"}),
         ("vae.rate", {"x": DRAWING, "at": "1"}), ("vae.rate.all", {"x": DRAWING}), ("vae.rate.prior", {"seed": "1", "at": "-1"}),
         ("diffusion.grid", DRAW), ("diffusion.forward", {**NOISE, "x": DRAWING, "t": "300"}), ("diffusion.chain", {**NOISE, "x": DRAWING, "t": "300"}),
         ("diffusion.jump", {**NOISE, "x": DRAWING, "t": "30"}), ("diffusion.design", {**NOISE, "x": DRAWING, "schedule": "cosine", "T": "100"}),
         ("diffusion.reverse", {**DECIDE, "k": "3"}), ("diffusion.film", DECIDE), ("diffusion.tree", {**DECIDE, "kept": ""}),
         ("diffusion.guided", {**DRAW, "scale": "2", "k": "3"}), ("diffusion.scales", DRAW),
         ("diffusion.samplers", {**DRAW, "steps": "5", "pair": "ddpm,ddim", "wipe": "0.5"}),
         ("diffusion.scribble", {**DRAW, "x": DRAWING, "strength": "0.3"}), ("diffusion.fill", {**DRAW, "x": DRAWING, "hole": DRAWING}),
         ("diffusion.memory", DRAW), ("diffusion.bound", {**DRAW, "x": DRAWING, "t": "100"}), ("diffusion.training-step", {"checkpoint": DDPM, "y": "3", "x": DRAWING, "step": "4,0,0,0"}),
         *((f"nerf.{view}", {**LOOK, **more}) for view, more in (
             ("orbit", {"size": "100"}), ("ray", {"pixel": "0.5,0.5", "samples": "16", "planes": "-1.5,1.5", "draw": "0"}),
             ("bias", {"pixel": "0.5,0.5", "samples": "16", "planes": "-1.5,1.5"}), ("directions", {"pixel": "0.5,0.5", "ignore": "yes"}), ("still", {}),
             ("step", {"pixel": "0.5,0.5", "samples": "16", "planes": "-1.5,1.5", "target": "own", "colour": "#0072b2", "rate": "0.3", "steps": "1"}),
             ("probe-scene", {"point": "0,0,0"}), ("holds", {"left": "colour", "right": "depth", "split": "0.3"}), ("slice", {"axis": "z", "position": "0.1"}), ("keep", {}))),
         ("nerf.encoding", {"L": "3", "play": ""}), ("nerf.encoding.fields", {"camera": "35,30,4,40"}), ("nerf.count", {"at": "3"}), ("nerf.count.all", {"at": "3"}),
         ("nerf.ring", {"checkpoint": FIELD, "shot": "1"}), ("nerf.shot", {"checkpoint": FIELD, "shot": "1"}), ("nerf.keys", {"checkpoint": FIELD, "keys": PATH}),
         ("nerf.path", {"checkpoint": FIELD, "keys": PATH, "tension": "0.3", "frames": "8", "loop": "yes", "rate": "20", "size": "100", "k": "3"}), ("nerf.probe", {"checkpoint": FIELD, "point": "0,0,0", "looked": "0,0"}),
         ("diffusion.plane", {"set": "ring", "pt": "10", "play": ""}), ("diffusion.line", {"beta": "0.2", "ab": "0.9", "xt": "0", "x0": "1"})]
TAKEN = {"1", "٣"}           # hostile values that are true seeds; and of other parameters also:
ALSO_TAKEN = {
    "y": {""}, "x": {""}, "hole": {"", "A" * 523}, "trunk": {""}, "kept": {""}, "hold": {"", "0.5"}, "scale": {"0.5"}, "eta": {"0.5"}, "strength": {"0.5"}, "wipe": {"0.5"},
    "k": {"-1"}, "unit": {"-1"}, "psi": {"0.5", "-1"}, "mp": {"0.5", "-1"}, "mq": {"0.5", "-1"}, "sp": {"0.5"}, "sq": {"0.5"}, "layers": {""}, "ink": {"", "A" * 523}, "sigma": {"0.5"}, "rate": {"0.5"}, "at": {"0.5", "-1"}, "beta": {"0.5"}, "amount": {"0.5", "-1"}, "split": {"0.5"}, "position": {"0.5", "-1"}, "tension": {"0.5"}, "ab": {"0.5"}, "play": {""}, "xt": {"0.5", "-1"}, "x0": {"0.5", "-1"},
}
OPTIONAL = [("gan.walk", {"checkpoint": GAN, "seed": "3"}, "a"), ("gan.walk", {"checkpoint": GAN, "seed": "3"}, "b"), ("vae.prior", {"checkpoint": NAME, "seed": "1"}, "temperature"), ("vae.paths", {"checkpoint": NAME, "seed": "1"}, "a"),
            ("vae.paths", {"checkpoint": NAME, "seed": "1"}, "b"), ("vae.palette", {"checkpoint": NAME, "seed": "1"}, "a"), ("vae.blend", {"checkpoint": NAME, "seed": "1", "at": "0,0"}, "d"), ("vae.paths", {"checkpoint": NAME, "seed": "1"}, "film")]
QUERIES = {name: as_query(value)[:20_000] for name, value in HOSTILE.items() if not isinstance(value, dict)} | {
    "no value": "", "minus one": "-1", "too many": ",".join("1" * 40), "commas": "," * 10_000, "spaces": "  ", "exponent": "1e400",
    "2**31": str(2**31), "hexadecimal": "0x10", "other digits": "٣", "backslashes": "..\\..\\x", "percent": "%2e%2e%2f",
}


def test_every_live_view_is_tested_here():
    page.build()
    assert {name for name, _ in VIEWS} == set(live._handlers)


@pytest.mark.parametrize("view, query", VIEWS, ids=[view for view, _ in VIEWS])
def test_a_hostile_query_is_a_frame_or_one_sentence(client, view, query):
    assert client.get(f"/live/{view}", params=query).status_code == 200
    for key in query:
        for name, value in QUERIES.items():
            answer = client.get(f"/live/{view}", params={**query, key: value, "page": "t", "n": "1"})
            assert answer.status_code in (200, 422), f"{key} = {name}: {answer.status_code} {answer.text[:300]}"
            if answer.status_code == 200:
                assert answer.headers["content-type"] == "image/png" and "NaN" not in answer.headers["x-numbers"]
                assert key == "z" or value in TAKEN | ALSO_TAKEN.get(key, set()), f"{key} = {name} was taken"       # codes are clamped
            else:
                said = answer.json()["error"]
                assert said.keys() == {"en", "zh"} and HAN.search(said["zh"]) and not HAN.search(said["en"])
                assert clean(said["en"]) and clean(said["zh"])
        missing = client.get(f"/live/{view}", params={k: v for k, v in query.items() if k != key})
        if view.startswith(("ae.", "diffusion.", "gan.", "nerf.")) and missing.status_code == 200:          # it has a usual value
            assert missing.headers["content-type"] == "image/png"
        else:
            assert missing.status_code == 422 and clean(missing.json()["error"]["en"])


@pytest.mark.parametrize("view, query, key", OPTIONAL, ids=[f"{view} {key}" for view, _, key in OPTIONAL])
def test_a_hostile_value_of_what_may_be_left_out_is_a_frame_or_one_sentence(client, view, query, key):
    for name, value in QUERIES.items():
        answer = client.get(f"/live/{view}", params={**query, key: value})
        assert answer.status_code in (200, 422), f"{key} = {name}: {answer.status_code} {answer.text[:300]}"
        if answer.status_code == 422:
            said = answer.json()["error"]
            assert clean(said["en"]) and clean(said["zh"]) and HAN.search(said["zh"])


def test_a_query_of_megabytes_is_refused(server, client):
    host, port = server.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as raw:
        try:
            raw.sendall(b"GET /live/vae.decode?z=" + b"1," * 2_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = raw.recv(100)
        except (BrokenPipeError, ConnectionResetError):       # hung up on while still sending
            return
    assert re.match(rb"HTTP/1.1 4\d\d", answer)


# ---- live views: the newest wins -------------------------------------------------------------------------------


def test_an_older_request_after_a_newer_one_of_its_page_is_not_drawn(client):
    who = uuid.uuid4().hex[:10]
    assert client.get(f"{FRAME}&page={who}&n=5").status_code == 200
    assert client.get(f"{FRAME}&page={who}&n=4").status_code == 204
    assert client.get(f"{FRAME}&page={who}x&n=4").status_code == 200
    assert client.get(f"{FRAME}&page={who}&n=5").status_code == client.get(f"{FRAME}&page={who}&n=6").status_code == 200


def test_in_a_storm_of_requests_the_last_of_each_page_is_answered_with_its_own_picture(client):
    pages, each = [uuid.uuid4().hex[:10] for _ in range(4)], 40

    def ask(request):
        n, who = request
        return request, client.get(f"/live/vae.decode?checkpoint={NAME}&z={n / each},{pages.index(who)}&page={who}&n={n}")

    with ThreadPoolExecutor(16) as pool:
        answers = dict(pool.map(ask, [(n, who) for n in range(1, each + 1) for who in pages]))
    assert {answer.status_code for answer in answers.values()} <= {200, 204}
    for (n, who), answer in answers.items():
        if answer.status_code == 200:
            z = json.loads(answer.headers["x-numbers"])["z"]
            assert z[:2] == pytest.approx([n / each, pages.index(who)])
    assert all(answers[each, who].status_code == 200 for who in pages)


# ---- Gradio's own endpoints ------------------------------------------------------------------------------------


def dumps(value):
    """JSON as Python and JavaScript's careless cousins write it: with NaN and Infinity."""
    return json.dumps(value).encode()


def refused(answer):
    """4xx, or Gradio's 500 for a handler's own refusal; with one sentence where it is ours, and never with our inside."""
    assert not re.search("Traceback|site-packages", answer.text)
    if "json" not in answer.headers.get("content-type", ""):
        return 400 <= answer.status_code < 500
    said = answer.json().get("error")
    if said is not None:
        clean(said["en"] if isinstance(said, dict) else said)
    return 400 <= answer.status_code < 500 or answer.status_code == 500 and said is not None


SESSION = uuid.uuid4().hex   # one for all calls: for each new one Gradio lays out the whole page


AT_ONCE = 8                  # calls that wait in Gradio's line together; its line holds 16


BEATS = 20                   # heartbeats without an answer, one every 15 s, after which the answer is lost


def stream(client, path, **query):
    """The lines of a stream, to its very end: Gradio drops the calls of a session whose stream is hung up on, later ones too."""
    silent = 0
    with client.stream("GET", path, params=query) as events:
        for line in events.iter_lines():
            silent = silent + 1 if "heartbeat" in line else silent if not line or line == "data: null" else 0
            assert silent < BEATS, f"{path}: {silent} heartbeats and no answer"
            yield line


def calls(client, index, every):
    """Call a function through the queue, as the page does, with each of the lists of inputs; for each ("error", its text) or
    ("done", what came back), or ("refused", status). Some at once: most of a call's time is waiting for its turn."""
    said = {}
    for start in range(0, len(every), AT_ONCE):
        waiting = {}
        for place, data in enumerate(every[start:start + AT_ONCE], start):
            asked = client.post("/gradio_api/queue/join", headers={"content-type": "application/json"},
                                content=dumps({"data": data, "fn_index": index, "session_hash": SESSION, "event_data": None}))
            if asked.status_code == 200:
                waiting[asked.json()["event_id"]] = place
            else:
                assert refused(asked), asked.text[:300]
                said[place] = "refused", asked.status_code
        if not waiting:
            continue
        for line in stream(client, "/gradio_api/queue/data", session_hash=SESSION):
            if '"process_completed"' in line:
                done = json.loads(line.removeprefix("data:"))
                place = waiting.pop(done["event_id"])
                said[place] = ("done", done["output"]["data"]) if done["success"] else ("error", done["output"].get("error"))
        assert not waiting, "the stream ended without an answer"
    return [said[place] for place in range(len(every))]


def join(client, index, data):
    return calls(client, index, [data])[0]


def test_every_function_answers_hostile_values_with_one_sentence(client, endpoints):
    ours = {errors.registered()["page.ours"][0]}
    for index, count, name in endpoints:
        for value_name, (kind, said) in zip(HOSTILE, calls(client, index, [[value] * count for value in HOSTILE.values()])):
            where = f"function {index} ({name}), all inputs {value_name}: {said}"
            assert kind in ("done", "error", "refused"), where
            if kind == "error":
                assert said and said not in ours, where
                clean(said)
            elif kind == "done":
                assert not LEAKS.search(json.dumps(said)), where


def test_one_hostile_value_among_good_ones_is_answered_with_one_sentence(client, endpoints):
    """A good value everywhere else, so that the handlers' later checks are reached too."""
    ours = {errors.registered()["page.ours"][0]}
    hostile = cycle(HOSTILE.items())
    for index, count, name in endpoints:
        tried = [(position, *next(hostile), good) for position in range(min(count, 4)) for good in (NAME, 0) for _ in range(8)]
        every = [[NAME, *[good] * (count - 1)][:position] + [value] + [0] * (count - position - 1) for position, _, value, good in tried]
        for (position, value_name, *_), (kind, said) in zip(tried, calls(client, index, every)):
            if kind == "error":
                assert said and said not in ours, f"function {index} ({name}), input {position} {value_name}: {said}"
                clean(said)


def test_a_wrong_number_of_inputs_is_refused_in_one_sentence(client, endpoints):
    for index, count, name in endpoints:
        for kind, said in calls(client, index, [[], [0] * (count + 40)]):
            assert kind in ("done", "refused") or clean(said), f"function {index} ({name})"


@pytest.mark.parametrize("data", [None, "text", {"a": 1}, 5])
def test_data_that_is_no_list_is_refused(client, data):
    assert join(client, 0, data) == ("refused", 422)


@pytest.mark.parametrize("index", [-1, 10**6, 10**30, "x", None, 1.5, [0]])
@pytest.mark.parametrize("route", ["/gradio_api/queue/join", "/gradio_api/run/predict", "/gradio_api/api/predict"])
def test_a_function_that_is_not_there_is_refused(client, route, index):
    answer = client.post(route, json={"data": [0], "fn_index": index, "session_hash": uuid.uuid4().hex})
    assert refused(answer)


def test_the_direct_route_says_the_same_sentence(client, endpoints):
    for index, count, name in endpoints:
        answer = client.post("/gradio_api/run/predict", content=dumps({
            "data": ["vae-nowhere", *[-1] * (count - 1)][:count], "fn_index": index, "session_hash": SESSION}))
        assert answer.status_code == 200 or refused(answer), f"function {index} ({name})"


VISITOR = "0123456789abcdef" * 2
NAMED = [                    # (endpoint, good arguments, the argument that is also made hostile beside the first)
    ("gan_sample", [GAN, 3, 4, 1], 1),
    ("gan_blend", [GAN, [0.5, 0.5]], 1),
    ("gan_directions", [GAN, 3, [1, 0, -1]], 2),
    ("gan_line", [-1, 0.7, 1, 1, 0], 1),
    ("gan_train", ["glyphs", "10s", 3, {"width": 4}, VISITOR], 3),
    ("gan_runs", [VISITOR], 0),
    ("gan_steer", ["gan-glyphs-10s-00000000", "stop", VISITOR], 1),
    ("ae_reconstruct", [AE, DRAWING], 1),
    ("ae_plane", [AE, [0.5, -1]], 1),
    ("ae_keep", [AE, DRAWING, 5], 2),
    ("ae_contraction", [AE, DRAWING], 1),
    ("ae_repair", [AE, DRAWING, "mask", 0.3, 1], 3),
    ("ae_train", ["glyphs", "10s", 3, {"latent": 2}, VISITOR], 3),
    ("ae_runs", [VISITOR], 0),
    ("ae_steer", ["ae-glyphs-10s-00000000", "stop", VISITOR], 1),
    ("vae_decode", [NAME, [0.5, -1, 2]], 1),
    ("vae_encode", [NAME, DRAWING], 1),
    ("vae_prior", [NAME, 3, 0], 2),
    ("vae_sheet", [NAME, [0.5, -1]], 1),
    ("vae_beta", [4, DRAWING], 1),
    ("vae_train", ["glyphs", "10s", 3, {"network": "mlp", "latent": 2}, VISITOR], 3),
    ("vae_runs", [VISITOR], 0),
    ("vae_steer", ["vae-glyphs-10s-00000000", "stop", VISITOR], 1),
    ("nerf_render", [FIELD, [35, 30, 4, 40], 100], 1),
    ("nerf_ray", [FIELD, [35, 30, 4, 40], [0.6, 0.4], 16, [-1.5, 1.5], 0], 4),
    ("nerf_train_ray", [FIELD, [35, 30, 4, 40], [0.6, 0.4], 16, [-1.5, 1.5], "#0072b2", 0.3, 1], 6),
    ("nerf_directions", [FIELD, [35, 30, 4, 40], [0.6, 0.4]], 2),
    ("nerf_probe", [FIELD, [0, 0, 0], [35, 30]], 1),
    ("nerf_encoding", [2], 0),
    ("nerf_views", [8], 0),
    ("nerf_slice", [FIELD, "z", 0.1], 2),
    ("nerf_shot", [FIELD, 3], 1),
    ("nerf_path", [[[35, 30, 4, 40], [125, 30, 4, 40]], 8, 0.5, True], 1),
    ("nerf_keep", [FIELD, [35, 30, 4, 40]], 1),
    ("nerf_train", ["solids", "10s", 3, {"size": 16}, VISITOR], 3),
    ("nerf_runs", [VISITOR], 0),
    ("nerf_steer", ["nerf-solids-10s-00000000", "stop", VISITOR], 1),
    ("diffusion_sample", [DDPM, 3, "4", 2], 2),
    ("diffusion_noise", [DDPM, DRAWING, 0, 300], 1),
    ("diffusion_bound", [DDPM, DRAWING, 0, "3", 100], 4),
    ("diffusion_training_step", [DDPM, DRAWING, "3", 0, 0, 1], 5),
    ("diffusion_line", [0.2, 0.9, 0.0, 1.0], 1),
    ("diffusion_train", ["glyphs", "2m", 3, {"schedule": "linear"}, VISITOR], 3),
    ("diffusion_runs", [VISITOR], 0),
    ("diffusion_steer", ["diffusion-glyphs-2m-00000000", "stop", VISITOR], 1),
]


def call(client, name, data, session=SESSION, **headers):
    headers = {"content-type": "application/json", **headers}
    asked = client.post(f"/gradio_api/call/{name}", content=dumps({"data": data, "session_hash": session}), headers=headers)
    if asked.status_code != 200:
        return "refused", asked.status_code
    told = "\n".join(stream(client, f"/gradio_api/call/{name}/{asked.json()['event_id']}"))
    kind, data = re.search(r"event: (?!heartbeat)(\w+)\ndata: (.*)", told).groups()
    return kind, json.loads(data)


@pytest.mark.parametrize("name, data, _", NAMED, ids=[name for name, *_ in NAMED])
def test_the_named_endpoints_answer_programs(client, name, data, _):
    kind, answer = call(client, name, data)
    if name.endswith("_steer"):                               # no such run: refused, in words
        assert kind == "error" and clean(answer["error"])
        return
    [answer] = answer
    assert kind == "complete"
    if "picture" in answer:
        assert answer["picture"].startswith("data:image/png;base64,")


@pytest.mark.parametrize("name, data, position", NAMED, ids=[name for name, *_ in NAMED])
def test_the_named_endpoints_refuse_in_one_sentence(client, name, data, position):
    for value_name, value in HOSTILE.items():
        for place in {0, position}:
            kind, said = call(client, name, [*data[:place], value, *data[place + 1:]])
            assert kind == "complete" or kind == "error" and clean(said["error"]), f"{name}({place} = {value_name}): {said}"


def test_the_endpoints_are_known_to_gradio_s_own_client(server):
    from gradio_client import Client

    program = Client(server, verbose=False)
    assert program.predict(NAME, [0.5, -1], api_name="/vae_decode")["z"][:3] == [0.5, -1, 0]
    with pytest.raises(Exception, match="choose one from the list"):
        program.predict("../x", [0], api_name="/vae_decode")
    named = program.view_api(return_format="dict")["named_endpoints"]
    assert set(named) == {f"/{name}" for name, *_ in NAMED}
    assert all(endpoint.get("description") for endpoint in named.values())


# ---- languages -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers, chinese", [
    ({"accept-language": "en-US,en;q=0.9"}, False), ({"accept-language": "zh-CN,zh;q=0.9,en;q=0.8"}, True),
    ({"accept-language": "zh-TW"}, True), ({"accept-language": "fr"}, False), ({"accept-language": ""}, False),
    ({"accept-language": "zh-CN", "cookie": f"{i18n.COOKIE}=en"}, False),
    ({"accept-language": "en", "cookie": f"{i18n.COOKIE}=zh"}, True),
    ({"accept-language": "en", "cookie": f"{i18n.COOKIE}=../x"}, False),
])
def test_a_refusal_speaks_the_visitor_s_language(client, headers, chinese):
    kind, said = call(client, "vae_decode", ["vae-nowhere", [0]], **headers)
    assert kind == "error" and bool(HAN.search(clean(said["error"]))) == chinese


def test_what_a_visitor_sent_comes_back_as_text_not_as_markup(client):
    kind, said = call(client, "vae_prior", [NAME, "<img src=x onerror=alert(1)>", 0])
    assert kind == "error" and "<img" not in said["error"]


# ---- megabytes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ["/gradio_api/queue/join", "/gradio_api/run/predict", "/gradio_api/call/vae_decode",
                                   "/live/vae.decode", "/gradio_api/reset", "/gradio_api/component_server", "/nowhere"])
@pytest.mark.parametrize("how", ["declared", "in chunks", "a false length"])
def test_a_body_of_30_megabytes_is_refused_before_it_is_read(client, route, how):
    body = b'{"data": ["' + b"x" * 30_000_000 + b'"]}'
    headers = {"content-type": "application/json"} | ({"content-length": "nonsense"} if how == "a false length" else {})
    content = (body[i:i + 65_536] for i in range(0, len(body), 65_536)) if how == "in chunks" else body
    begun = time.monotonic()
    try:
        answer = client.post(route, content=content, headers=headers)
    except (httpx.WriteError, httpx.RemoteProtocolError, httpx.ReadError, httpx.LocalProtocolError):
        return                                                # hung up on while still sending
    assert time.monotonic() - begun < 20
    assert answer.status_code in (400, 404, 405, 413), answer.text[:300]
    if answer.status_code == 413:
        said = answer.json()["error"]
        assert clean(said["en"]) and HAN.search(said["zh"])


def test_bodies_that_are_no_json_are_refused(client):
    deep = b'{"data": ' + b"[" * 5_000 + b"]" * 5_000 + b"}"
    for body in (b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"data": [1e999999]}', deep):
        for route in ("/gradio_api/queue/join", "/gradio_api/call/vae_decode", "/gradio_api/run/predict"):
            answer = client.post(route, content=body, headers={"content-type": "application/json"})
            assert answer.status_code == 200 or refused(answer), (route, body[:20])


# ---- many at once ----------------------------------------------------------------------------------------------


def test_twenty_visitors_at_once_all_get_their_own_answer(client):
    def visit(i):
        return call(client, "vae_decode", [NAME, [i / 10]], session=uuid.uuid4().hex)     # two streams of one session take each other's answers

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(visit, range(20)))
    assert [answer[0]["z"][0] for kind, answer in answers if kind == "complete"] == pytest.approx([i / 10 for i in range(20)])


def test_every_family_has_a_named_endpoint_that_is_tested_here():
    assert {name.partition("_")[0] for name, *_ in NAMED} == set(families.FAMILIES)
