"""The training panel of every family: choose, see what it will take, start; watch, scrub, steer and use what comes out.

    +-- data set, own pictures, time, knobs, seed ------+-- runs, one line each, in the order in which they train -----+
    +-- what it will take on this machine; start -------+-- the chosen run: curves, film, what can be done with it ----+

The right half is drawn by training.js, which asks the routes below a few times a second: all they know is read from the
runs' folders, so every open browser, a reload and a restarted server see the same.
"""

import dataclasses
import html
import io
import json
import re
import secrets
import shlex
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import gradio as gr
from gradio.components.base import Component
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from ..core import checkpoints, inputs, jobs, own, runs
from ..core.errors import PlaygroundError, register
from ..core.recipe import SECONDS
from . import i18n, parts
from .errors import guarded, visible
from .i18n import both, t
from .state import Field

PATH = "/runs"
VISITOR = "x-visitor"        # header: the secret of a browser, which training.js makes and keeps
SECRET = re.compile("[0-9a-f]{32}")
TIMES = {"10s": "10 s", "1m": "1 min", "2m": "2 min", "10m": "10 min", "20m": "20 min", "1h": "1 h"}
LINES_BYTES = 1 << 18        # of metrics.jsonl in one answer; the script asks on from there
RUNS_SHOWN = 24
ACTIONS = ("stop", "resume", "same", "new", "delete")
WORDS = ("queued", "running", "interrupted", "stopped", "finished", "failed", "left", "starts", "soon", "died",
         "stop", "resume", "same", "new", "use", "best", "download", "delete", "sure", "frame")
USUAL = {"try": "train.try", "estimate": "train.estimate", "film": "train.word.film"}          # texts that a family may have its own of: `config.WORDS`


register({
    "train.settings": (
        "The settings are not an object with fields out of these: {choices}.",
        "设置应为一个对象，其字段只能是：{choices}。",
    ),
})


class Board(gr.HTML):
    """The runs of a family and the chosen one, whose name is its value. Events: `.change` when another one is chosen,
    `.act` with {"do", "run", "visitor"} for one of ACTIONS, `.use` with {"name", "visitor"}, `.measure` when first in sight."""

    def __init__(self, family: str, film: str, **kwargs: Any) -> None:
        words = "".join(f'<span data-word="{word}">{both(f"train.word.{word}")}</span>' for word in WORDS)
        super().__init__(
            value="", elem_id=f"{family}-board", apply_default_css=False,
            html_template=(f'<div class="board" data-family="{family}"><div class="words" hidden>{words}</div>'
                           f'<p class="caption lost">{both("train.word.lost")}</p>'
                           f'<ol class="runs"></ol><p class="caption none">{both("train.word.none")}</p>'
                           f'<div class="run" hidden><code class="command"></code><p class="run-error" role="status"></p>'
                           f'<canvas class="curve" role="img" aria-labelledby="{family}-curve"></canvas><p class="legend"></p>'
                           f'<p class="caption" id="{family}-curve">{both("train.word.curve")}</p>'
                           f'<div class="film"><canvas role="img" aria-labelledby="{family}-film"></canvas><div class="reel">'
                           f'<button type="button" class="quiet play" aria-labelledby="{family}-film">▶</button>'
                           f'<input type="range" min="0" max="0" value="0" step="1" aria-labelledby="{family}-film"><output></output></div>'
                           f'<p class="caption" id="{family}-film">{both(film)}</p></div>'
                           '<div class="actions"></div></div></div>'),
            js_on_load="window.playground.training.mount(element, props, trigger, watch) /* 'act' 'use' 'measure' */", **kwargs)

    def preprocess(self, payload: Any) -> Any:
        return payload


class Panel:
    """The panel of one family, laid out where it is made. config: the family's `config` module; train: a function that
    imports its recipe, which brings torch; picker: the tab's list of models, which learns what is trained here."""

    def __init__(self, family: str, config: ModuleType, picker: parts.Dropdown) -> None:
        self.family, self.config, self.picker = family, config, picker
        self.words = {**USUAL, **getattr(config, "WORDS", {})}
        times = self.times()
        usual = "1m" if "1m" in times else times[0]
        first = config.PRESETS[usual]
        with gr.Accordion(t("train.title"), open=False, elem_id=f"{family}-training", elem_classes="section training") as self.fold:
            gr.HTML(f'<p>{both(self.words["try"])}</p>{_limits()}')
            with gr.Row():
                with gr.Column(scale=3, min_width=280):
                    self.data = parts.Dropdown(list(config.DATASETS), value=config.DATASETS[0], label=t("train.data"), filterable=False,
                                               elem_id=f"{family}-data")
                    if config.OWN_SIZE:
                        scene = own.kind(config) == "scene"
                        with gr.Row(elem_classes="controls"):
                            self.zip = gr.UploadButton(t("train.scene" if scene else "train.zip"), file_types=[".zip"], size="sm", elem_id=f"{family}-zip")
                            self.uploads = [self.zip]
                            if not scene:                     # a browser's folder comes without the sub-folders that a scene has
                                self.uploads.append(gr.UploadButton(t("train.folder"), file_count="directory", size="sm", elem_id=f"{family}-folder"))
                    self.time = parts.Radio([(TIMES[time], time) for time in times], value=usual,
                                            label=t("train.time"), elem_id=f"{family}-time")
                    with gr.Accordion(t("train.knobs"), open=False, elem_classes="knobs"):
                        self.knobs = {name: self._knob(name, knob, getattr(first, name)) for name, knob in config.KNOBS.items()}
                        self.seed = parts.seed_box()
                    self.said = gr.HTML(f'<p class="estimate">{both("train.measuring")}</p>', elem_id=f"{family}-estimate")
                    self.start = gr.Button(t("train.start"), variant="primary", elem_id=f"{family}-start")
                with gr.Column(scale=5, min_width=280):
                    self.board = Board(family, self.words["film"])
        self.own = gr.JSON(visible=False)                     # the token of the visitor's pictures
        self.visitor = gr.JSON(visible=False)                 # carries the browser's secret from the script to the handler
        self._wire()

    def _knob(self, name: str, knob: Any, value: Any) -> Component:
        label, elem_id = t(knob.text), f"{self.family}-knob-{name}"
        if knob.choices:
            return parts.Dropdown(list(knob.choices), value=value, label=label, filterable=False, elem_id=elem_id)
        return parts.Number(value, label=label, minimum=knob.low, maximum=knob.high, elem_id=elem_id)

    @property
    def settings(self) -> list[Component]:
        """What a training is made of, in the order in which handlers get it."""
        return [self.data, self.time, self.seed, self.own, *self.knobs.values()]

    @property
    def fields(self) -> list[Field]:
        """The panel in the URL: set, time, seed, knobs, and the chosen run."""
        config = self.config
        return [
            Field("data", [self.data], lambda text: [inputs.choice("data set", text, config.DATASETS)], default=config.DATASETS[0]),
            Field("time", [self.time], lambda text: [inputs.choice("time", text, self.times())], default=self.time.value),
            Field("again", [self.seed], lambda text: [inputs.seed(inputs.parsed(text))], default="0"),
            *(Field(name, [component], lambda text, name=name: [self._checked(name, text if config.KNOBS[name].choices else inputs.parsed(text))],
                    default=_text(component.value)) for name, component in self.knobs.items()),
            Field("run", [self.board], lambda text: [checkpoints.check_name(text)] if text else [""]),
        ]

    @property
    def outputs(self) -> list[Component]:
        """What `opening` has a value for: the panel itself, then the components of the fields in their order."""
        return [self.fold, *(component for field in self.fields for component in field.components)]

    def opening(self, restored: Mapping[str, list[Any]]) -> list[Any]:
        """A value for each of `outputs` when the tab opens: the URL's, else as it is; unfolded if the URL speaks of it."""
        values = [restored[field.name][0] if field.name in restored else gr.skip() for field in self.fields]
        return [gr.update(open=True) if any(field.name in restored for field in self.fields) else gr.skip(), *values]

    def times(self) -> list[str]:
        """The family's presets that are named by their time, as far as this host allows them; the shortest in any case."""
        times = [time for time in TIMES if time in self.config.PRESETS]
        return [time for time in times if _allowed(time)] or times[:1]

    def _wire(self) -> None:
        quick = dict(show_progress="hidden", api_visibility="private")
        estimate = dict(fn=guarded(self.estimate), inputs=self.settings, outputs=self.said, trigger_mode="always_last", **quick)
        turned = [event for knob in self.knobs.values()
                  for event in ((knob.submit, knob.blur) if isinstance(knob, parts.Number) else (knob.input,))]
        gr.on(turned, **estimate)
        self.board.measure(**estimate)
        suit = dict(fn=guarded(self.suit), inputs=self.settings, outputs=list(self.knobs.values()), **quick)
        gr.on([self.data.input, self.time.input], **suit).then(**estimate)
        self.picker.focus(guarded(self.refresh), [self.picker, self.visitor], self.picker, js=WITH_VISITOR, **quick)
        if self.config.OWN_SIZE:
            for button in self.uploads:
                button.upload(guarded(self.take), button, [self.data, self.own, self.said], show_progress="minimal",
                              api_visibility="private").success(**suit).then(**estimate)
        self.start.click(guarded(self.begin), [*self.settings, self.visitor], self.board, js=WITH_VISITOR, **quick)
        self.board.act(guarded(self.act), self.settings, [self.board, self.seed], **quick)
        for name, function in {"train": self.api_train, "runs": self.api_runs, "steer": self.api_steer}.items():
            gr.api(guarded(function), api_name=f"{self.family}_{name}")

    # What the handlers do. Every value comes from a browser.

    def _checked(self, name: str, value: Any) -> Any:
        return self.config.KNOBS[name].checked(name, value, getattr(self.config.TrainConfig(), name))

    def plan(self, data: Any, time: Any, seed: Any, own: Any, *knobs: Any) -> tuple[Any, jobs.Estimate, jobs.Pictures | None]:
        """A TrainConfig whose updates fill the chosen time on this machine, what was measured, and the visitor's pictures."""
        time, suited, pictures = inputs.choice("time", time, self.times()), self._suited(data, time, own), _pictures(own)
        mine = pictures is not None and data == pictures.name
        if len(knobs) != len(self.config.KNOBS):
            raise PlaygroundError("page.call")
        turned = {name: self._checked(name, value) for name, value in zip(self.config.KNOBS, knobs)}
        config = dataclasses.replace(suited, **turned, seed=inputs.seed(seed))
        config, measured = jobs.fitted(self.family, config, SECONDS[time], pictures.path if mine else None)
        return config, measured, pictures if mine else None

    def estimate(self, *settings: Any):
        """What the training would take, in words; a refusal stands there too, before the click."""
        yield f'<p class="estimate">{both("train.measuring")}</p>'
        try:
            config, measured, _ = self.plan(*settings)
        except PlaygroundError as error:
            english, chinese = (html.escape(error.sentence(language)) for language in ("en", "zh"))
            yield f'<p class="estimate refused">{i18n.spans(english, chinese)}</p>'
            return
        pictures = config.steps * getattr(config, "batch_size", 1)
        yield f'<p class="estimate">{both(self.words["estimate"], seconds=f"{measured.seconds(config.steps):.0f}", updates=f"{config.steps:,}", pictures=f"{pictures:,}", ms=f"{measured.update * 1e3:.1f}")}</p>'

    def suit(self, data: Any, time: Any, seed: Any, own: Any, *knobs: Any) -> list[Any]:
        """The knobs as the family suits them to a data set and a time; one that a visitor has turned stays as it is."""
        suited = self._suited(data, time, own)
        usual = [self._suited(data, each, own) for each in self.times()]
        return [getattr(suited, name) if any(value == getattr(config, name) for config in (*usual, *self.config.PRESETS.values()))
                else gr.skip() for name, value in zip(self.config.KNOBS, knobs)]

    def _suited(self, data: Any, time: Any, own: Any) -> Any:
        pictures = _pictures(own)
        if pictures is not None and data == pictures.name:
            return self.config.suited(inputs.choice("time", time, self.times()), data, pictures.channels, pictures.train)
        return self.config.suited(inputs.choice("time", time, self.times()), inputs.choice("data set", data, self.config.DATASETS))

    def take(self, files: Any) -> list[Any]:
        """Look at a visitor's zip or folder; it becomes one more data set of this page."""
        if not files:
            return [gr.skip()] * 3
        pictures = jobs.look(_one_zip(files), self.config.OWN_SIZE, own.kind(self.config))
        found = dataclasses.asdict(pictures)
        said = both("train.taken", images=f"{pictures.images:,}", size=self.config.OWN_SIZE)
        return [gr.update(choices=[*self.config.DATASETS, pictures.name], value=pictures.name), found, f'<p class="estimate">{said}</p>']

    def begin(self, *values: Any) -> str:
        """Start a training; the new run becomes the chosen one."""
        *settings, visitor = values
        return self._start(settings, _secret(visitor))

    def act(self, event: gr.EventData, *settings: Any) -> list[Any]:
        """One of ACTIONS on a run; "same" and "new" start another one with the settings of the panel."""
        data = event._data if isinstance(event._data, dict) else {}
        do, visitor = inputs.choice("action", data.get("do"), ACTIONS), _secret(data.get("visitor"))
        run = jobs.find(data.get("run"), visitor)
        match do:
            case "stop":
                jobs.stop(run.name, visitor)
            case "resume":
                jobs.resume(run.name, visitor)
            case "delete":
                jobs.delete(run.name, visitor)
                return ["", gr.skip()]
            case "same" | "new":
                seed = inputs.seed(run.train.get("seed")) if do == "same" else secrets.randbelow(10**6)
                data, time, _, *rest = settings
                return [self._start([data, time, seed, *rest], visitor), seed]
        return [gr.skip(), gr.skip()]

    # The same for programs.

    def api_train(self, dataset: str, time: str, seed: int, settings: dict, visitor: str) -> str:
        """Start a training: a data set's name, one of the times the page offers ("1m", "10m", ...), a seed, settings that differ from the usual ones.

        visitor: 32 hexadecimal digits of your own choice; on a public host only who knows them sees the run. Returns the run's name.
        """
        if not isinstance(settings, dict) or settings.keys() - self.config.KNOBS.keys():
            raise PlaygroundError("train.settings", choices=", ".join(self.config.KNOBS))
        suited = self._suited(dataset, time, None)
        knobs = [settings.get(name, getattr(suited, name)) for name in self.config.KNOBS]
        return self._start([dataset, time, seed, None, *knobs], _secret(visitor))

    def api_runs(self, visitor: str) -> list[dict]:
        """The runs you may see, the newest first: name, state, updates, seconds, what is left of them."""
        return [_brief(run, runs.all_runs()) for run in jobs.visible(_secret(visitor), self.family)]

    def api_steer(self, name: str, action: str, visitor: str) -> list[dict]:
        """Do something with a run: "stop", "resume" or "delete". Returns the runs you may see afterwards."""
        do = inputs.choice("action", action, ("stop", "resume", "delete"))
        {"stop": jobs.stop, "resume": jobs.resume, "delete": jobs.delete}[do](jobs.find(name, _secret(visitor)).name, _secret(visitor))
        return self.api_runs(visitor)

    def _start(self, settings: Sequence[Any], visitor: str) -> str:
        if jobs.public() and not visitor:                     # a run that nobody could see, stop or delete
            raise PlaygroundError("page.call")
        config, measured, pictures = self.plan(*settings)
        time = settings[1]
        base = self.config.suited(time, config.dataset)
        changed = "".join(f" --set {shlex.quote(f'{name}={_text(getattr(config, name))}')}" for name in self.config.KNOBS
                          if getattr(config, name) != getattr(base, name))
        command = (f"python -m playground train {self.family} --preset {time} --dataset {config.dataset} --steps {config.steps} "
                   f"--seed {config.seed}{changed}")
        return jobs.start(self.family, config, kind=time, command=command, secret=visitor, expected=measured.seconds(config.steps),
                          pictures=pictures)

    def use(self, event: gr.EventData) -> Any:
        """The picker with the model a visitor asked to use; the tab describes it afterwards."""
        data = event._data if isinstance(event._data, dict) else {}
        name, visitor = checkpoints.check_name(data.get("name")), _secret(data.get("visitor"))
        jobs.find(name if runs.read(checkpoints.runs_dir() / name) else name.removesuffix("-best"), visitor)
        return gr.update(choices=self.choices(name, visitor), value=checkpoints.entry(name).name)

    def choices(self, chosen: Any, visitor: Any) -> list[str]:
        """The models in the tab's list: the shipped ones, those this visitor may see, and the chosen one."""
        names = parts.checkpoint_names(self.family, visitor, *(getattr(self.config, name, usual) for name, usual in (("PICKED", {}), ("FIRST", ""), ("ASIDE", ()))))
        return names if chosen in names or not _exists(chosen) else [*names, chosen]

    def refresh(self, chosen: Any, visitor: Any) -> Any:
        """The picker with what has come into being since the page was opened, in this browser or another."""
        return gr.update(choices=self.choices(chosen, _secret(visitor)))


WITH_VISITOR = "(...values) => [...values.slice(0, -1), playground.training.visitor]"


def _limits() -> str:
    """What a public host allows, before the click."""
    allowed = jobs.limits()
    if not jobs.public():
        return ""
    return f'<p class="caption">{both("train.limits", seconds=f"{allowed.seconds:.0f}", kept=allowed.kept, waiting=allowed.waiting, upload=allowed.upload // 10**6)}</p>'


def _allowed(time: str) -> bool:
    limit = jobs.limits().seconds
    return not limit or SECONDS[time] <= limit


def _text(value: Any) -> str:
    """A setting as it stands in a command and in the URL."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _secret(visitor: Any) -> str:
    """A browser's secret, or "" for anything else: then on a public host nothing is this visitor's."""
    return visitor if isinstance(visitor, str) and SECRET.fullmatch(visitor) else ""


def _exists(name: Any) -> bool:
    try:
        return bool(checkpoints.entry(name))
    except PlaygroundError:
        return False


def _pictures(own: Any) -> jobs.Pictures | None:
    """The visitor's pictures that the page remembers, if they are still there."""
    if not isinstance(own, dict) or not isinstance(own.get("token"), str) or not re.fullmatch("[0-9a-f]{16}", own["token"]):
        return None
    return jobs.kept(own["token"])


def _one_zip(files: Any) -> Path:
    """What was uploaded as one zip: a folder's files are packed, for the same checks to be made of them."""
    if not isinstance(files, (list, tuple)):
        return Path(files)
    with tempfile.NamedTemporaryFile(suffix=".zip", prefix="folder-", delete=False) as packed:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
            for i, file in enumerate(files):
                archive.write(file, f"{i:05d}-{Path(file).name}")
                Path(file).unlink(missing_ok=True)
    return Path(packed.name)


# ---- what training.js asks -------------------------------------------------------------------------------------


def routes() -> list[Route]:
    """For `launch(app_kwargs={"routes": ...})`."""
    return [Route(f"{PATH}/{{family}}", _answered(_list)), Route(f"{PATH}/{{family}}/{{name}}/film/{{step:int}}", _answered(_frame)),
            Route(f"{PATH}/{{family}}/{{name}}/download", _answered(_download))]


def _answered(handler: Callable[[Request, str], Response]) -> Callable[[Request], Response]:
    """A route's handler, run on a thread: what it refuses is a sentence in both languages."""
    def answer(request: Request) -> Response:
        try:
            return handler(request, _secret(request.headers.get(VISITOR)))
        except Exception as error:
            sentence = visible(error)
            return _json({"error": sentence.sentences()}, 500 if sentence.key == "page.ours" else 404)

    return answer


def _list(request: Request, visitor: str) -> Response:
    """All runs of a family in brief; of ?run=NAME also the lines of its curves from byte ?from= on, and its film's frames."""
    family, query = request.path_params["family"], request.query_params
    everyone = runs.all_runs()
    mine = [run for run in everyone if run.recipe == family and jobs.mine(run, visitor)]
    answer: dict[str, Any] = {"runs": [_brief(run, everyone) for run in mine[:RUNS_SHOWN]]}
    chosen = next((run for run in mine if run.name == query.get("run")), None)
    if chosen:
        answer["run"] = _detail(chosen, _number(query.get("from")), _number(query.get("sitting")))
    return _json(answer)


def _brief(run: runs.Run, everyone: Sequence[runs.Run]) -> dict[str, Any]:
    return {
        "name": run.name, "state": run.state, "step": run.status.step, "steps": run.status.steps or run.train.get("steps"),
        "seconds": round(run.status.seconds, 1), "remaining": round(run.remaining, 1), "dataset": run.train.get("dataset"),
        "starts": round(jobs.wait(run, list(everyone)), 1) if run.state == "queued" else None,
        "error": run.status.error or None, "usable": _version(run.folder / runs.CHECKPOINT),
        "best": run.status.best if _version(run.folder / runs.BEST_CHECKPOINT) else None,
    }


def _detail(run: runs.Run, start: int, sitting: int) -> dict[str, Any]:
    """From `start` on, or from the beginning where the run was cut back since: another sitting, or a shorter file."""
    path = run.folder / runs.METRICS
    try:
        with open(path, "rb") as file:
            end = file.seek(0, io.SEEK_END)
            start = start if sitting == run.status.sitting and start <= end else 0
            file.seek(start)
            data = file.read(LINES_BYTES)
    except OSError:
        start, data = 0, b""
    data = data[:data.rfind(b"\n") + 1]
    lines = []
    for line in data.splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return {"name": run.name, "command": run.command, "sitting": run.status.sitting, "from": start, "to": start + len(data),
            "lines": lines, "frames": runs.frames(run.folder)}


def _frame(request: Request, visitor: str) -> Response:
    run = jobs.find(request.path_params["name"], visitor)
    path = run.folder / runs.PREVIEWS / f"{request.path_params['step']}.png"
    if not path.is_file():
        return Response(status_code=404)
    return FileResponse(path, media_type="image/png", headers={"Cache-Control": "no-store"})


def _download(request: Request, visitor: str) -> Response:
    """Weights, description and card of a run's model (?best=1: of its best state) as one zip."""
    run = jobs.find(request.path_params["name"], visitor)
    folder = run.folder / (runs.BEST_CHECKPOINT if request.query_params.get("best") else runs.CHECKPOINT)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in checkpoints.files_of(run.name, folder).items():
            archive.writestr(f"{run.name}/{name}", data)
    return Response(buffer.getvalue(), media_type="application/zip",
                    headers={"Content-Disposition": f'attachment; filename="{run.name}.zip"', "Cache-Control": "no-store"})


def _version(folder: Path) -> int:
    """What changes whenever a run's model is replaced; 0 where there is none."""
    try:
        return (folder / checkpoints.CONFIG).stat().st_mtime_ns // 1000
    except OSError:
        return 0


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else 0


def _json(content: Any, status: int = 200) -> Response:
    return Response(json.dumps(content, ensure_ascii=False, allow_nan=False), status, media_type="application/json",
                    headers={"Cache-Control": "no-store"})
