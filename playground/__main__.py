"""The command line, `python -m playground`: list, train, runs, sample, reconstruct, render, evaluate. `--help` after any of them."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from . import families
from .core import checkpoints, device, inputs, jobs, own, recipe, runs
from .core.card import headline
from .core.errors import PlaygroundError, register

if TYPE_CHECKING:
    import numpy as np

STEPS_MAX = 10_000_000
SAMPLES_MAX = 100_000
FILE_MAX = 2**30             # bytes of a configuration or of pictures

register({
    "cli.config": (
        "The configuration {found} cannot be read; a file with one JSON object of training settings was expected.",
        "无法读取配置文件 {found}；应为包含一个 JSON 训练配置对象的文件。",
    ),
    "cli.cannot": (
        "{name} is a {family} checkpoint, which cannot be used with `{command}`; `list` shows the others.",
        "{name} 是 {family} 的检查点，不能用于 `{command}`；`list` 会列出其他检查点。",
    ),
    "cli.input": (
        "{found} cannot be read as a NumPy .npy file of numbers; save pictures with numpy.save.",
        "无法将 {found} 读取为 NumPy 的 .npy 数值文件；请用 numpy.save 保存图片。",
    ),
    "cli.shape": (
        "The input has the shape {found}; (N, H, W) or (N, H, W, 3) with at least one picture was expected.",
        "输入的形状是 {found}；应为 (N, H, W) 或 (N, H, W, 3)，且至少有一张图片。",
    ),
    "cli.size": (
        "The pictures are {found} (channels, height, width); {name} was trained on {expected}.",
        "图片大小是 {found}（通道、高、宽）；{name} 的训练图片是 {expected}。",
    ),
    "cli.kind": (
        "The input holds values of the kind {found}; uint8, or real numbers in [0, 1], were expected.",
        "输入的数值类型是 {found}；应为 uint8 或 [0, 1] 内的实数。",
    ),
    "cli.range": (
        "The input holds values from {low} to {high}; finite real numbers in [0, 1] were expected.",
        "输入的数值范围是 {low} 到 {high}；应为 [0, 1] 内的有限实数。",
    ),
    "cli.output": (
        "The output {found} cannot be written; choose a folder that exists and can be written to.",
        "无法写入 {found}；请选择一个存在且可写的文件夹。",
    ),
    "cli.own": (
        "This recipe cannot train on a folder or zip of pictures; name one of the data sets instead.",
        "该训练配置不能使用图片文件夹或 zip 训练；请改用数据集名称。",
    ),
    "cli.arguments": ("{found}; see --help.", "参数有误：{found}；请参阅 --help。"),
})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 2 refused with one sentence on stderr, 130 interrupted (a training has saved)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        options = parser().parse_args(arguments)
        options.again = f"python -m playground {shlex.join(arguments)}"
        for name, option in (("PLAYGROUND_DATA", "data_root"), ("PLAYGROUND_RUNS", "runs_dir")):
            if path := getattr(options, option, None):        # absent unless given: see `everywhere`
                os.environ[name] = str(path)
        return options.command(options) or 0
    except PlaygroundError as error:
        return _say(error, 2)
    except KeyboardInterrupt:
        return _say("interrupted", 130)


def parser() -> argparse.ArgumentParser:
    everywhere = argparse.ArgumentParser(add_help=False)      # options before or after the command's name
    for option, what in (("--data-root", "where data sets live"), ("--runs-dir", "where runs live")):
        everywhere.add_argument(option, type=Path, default=argparse.SUPPRESS, metavar="DIR", help=what)
    main = Parser(prog="python -m playground", description=__doc__, parents=[everywhere])
    commands = main.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)

    def add(name: str, command: Callable[[argparse.Namespace], int | None]) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=command.__doc__, description=command.__doc__, parents=[everywhere])
        one.set_defaults(command=command)
        return one

    one = add("list", list_checkpoints)
    one.add_argument("--json", action="store_true", help="one JSON array")

    one = add("train", train)
    one.add_argument("family", choices=families.RECIPES)
    how = one.add_mutually_exclusive_group(required=True)
    how.add_argument("--preset", choices=recipe.PRESETS, help="a duration, or the recipe of the shipped weights")
    how.add_argument("--config", type=Path, metavar="FILE.json", help="training settings over the recipe's own")
    one.add_argument("--dataset", help="a set by name, or a folder or zip of your own: pictures, or a scene in Blender's format")
    one.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another training setting, any number of times")
    one.add_argument("--steps", type=int, help="optimiser updates")
    one.add_argument("--seed", type=int)
    one.add_argument("--out", type=Path, metavar="DIR", help="the run's folder; the same one resumes")
    one.add_argument("--ship", metavar="NAME", help="copy the finished model to checkpoints/NAME")
    one.add_argument("--bits", type=int, choices=(8, 16), default=16, help="of each weight in that copy")

    one = add("runs", list_runs)
    one.add_argument("action", nargs="?", choices=("list", "follow", "stop", "resume", "delete"), default="list")
    one.add_argument("run", nargs="?", help="its name, as listed")
    one.add_argument("--json", action="store_true", help="one JSON array")

    one = add("sample", sample)
    one.add_argument("name")
    one.add_argument("--n", type=int, required=True, help="pictures")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--out", type=Path, required=True, metavar="FILE.npy")

    one = add("reconstruct", reconstruct)
    one.add_argument("name")
    one.add_argument("--input", type=Path, required=True, metavar="FILE.npy")
    one.add_argument("--out", type=Path, required=True, metavar="FILE.npy")

    one = add("render", render)
    one.add_argument("name")
    one.add_argument("--cameras", type=Path, required=True, metavar="FILE.json", help="a transforms.json as Blender's NeRF add-ons write it")
    one.add_argument("--size", type=int, default=200, help="pixels a side")
    one.add_argument("--out", type=Path, required=True, metavar="DIR")

    one = add("evaluate", evaluate)
    one.add_argument("name")
    one.add_argument("--full", action="store_true", help="the slow, exact figures")
    one.add_argument("--write", action="store_true", help="put them on the model card")
    return main


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one sentence."""

    def error(self, message: str) -> NoReturn:
        raise PlaygroundError("cli.arguments", found=message)


# ---- the commands ----------------------------------------------------------------------------------------------


def list_checkpoints(options: argparse.Namespace) -> None:
    """List the checkpoints: name, family, data set, size, headline metric."""
    rows = []
    for each in checkpoints.entries():
        metric, value = headline(each.config["metrics"])
        rows.append({"name": each.name, "family": each.family, "dataset": each.dataset, "bytes": each.bytes,
                     "shipped": each.shipped, "metric": metric, "value": value})
    if options.json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    for row in rows:
        measured = f"{row['metric']} {row['value']}" if row["metric"] else "not measured"
        print(f"{row['name']:<28} {row['family']:<11} {row['dataset']:<14} {row['bytes']:>11,} bytes  {measured}")


def train(options: argparse.Namespace) -> int | None:
    """Train a model; Ctrl-C saves and stops, the same command again resumes."""
    import torch

    from . import worker

    torch.set_num_threads(device.threads())
    if options.ship is not None:
        checkpoints.check_name(options.ship)
    module = families.recipe(options.family)
    mine = _own_data(options.dataset)
    options.dataset = f"my-{checkpoints.slug(mine.stem)[:32]}" if mine else options.dataset
    given = {name: getattr(options, name) for name in ("dataset", "steps", "seed") if getattr(options, name) is not None}
    if "steps" in given:
        inputs.integer("steps", given["steps"], 1, STEPS_MAX)
    if "seed" in given:
        inputs.seed(given["seed"])
    base = None
    if options.preset:
        base = module.PRESETS[inputs.choice("preset", options.preset, module.PRESETS)]
        if hasattr(module, "suited"):
            base = module.suited(options.preset, given.get("dataset", base.dataset), channels=3 if mine else None)
    settings = _read_settings(options.config) if options.config else {}
    settings |= dict(_setting(text) for text in options.set)
    config = recipe.config_from(options.family, module.TrainConfig, {**settings, **given}, base)

    kind = options.preset or options.config.stem
    folder = options.out or checkpoints.runs_dir() / checkpoints.slug(f"{options.family}-{config.dataset}-{kind}-s{config.seed}")
    how = f"--preset {kind}" if options.preset else f"--config {shlex.quote(options.config.name)}"
    steps = f" --steps {config.steps}" if options.steps is not None else ""
    changed = "".join(f" --set {shlex.quote(text)}" for text in options.set)
    dataset = shlex.quote(mine.name if mine else config.dataset)
    command = f"python -m playground train {options.family} {how} --dataset {dataset}{steps} --seed {config.seed}{changed}"

    already = runs.status(folder)
    ended = already is not None and already.state == "finished"              # then it has deleted its copy
    if mine and not ended and not (folder / runs.PICTURES).exists():
        _keep(mine, module, folder)
    with _Bar("update") as bar:
        now = worker.run(options.family, config, folder, command=command,
                         waiting=lambda: _say("waiting: another run of this machine goes first (python -m playground runs)"),
                         report=lambda progress: bar(progress.step, progress.steps, progress.metrics))
    if now.state == "stopped":
        return _say(f"stopped and saved at update {now.step:,} of {now.steps:,}; resume it with: {options.again}", 130)
    _say("already finished" if already == now else f"finished in {now.seconds:,.0f} s")
    if options.ship is not None:
        with _written(f"checkpoint {options.ship}"):
            checkpoints.ship(folder / "checkpoint", options.ship, options.bits)
        _say(f"shipped as {options.ship}")


def list_runs(options: argparse.Namespace) -> int | None:
    """List the runs, or follow, stop, resume or delete one; the page shows the same ones."""
    if options.action != "list" and options.run is None:
        raise PlaygroundError("cli.arguments", found=f"runs {options.action} needs the name of a run")
    match options.action:
        case "stop":
            jobs.stop(options.run)
        case "resume":
            jobs.resume(options.run)
            return _follow(options.run)
        case "follow":
            return _follow(options.run)
        case "delete":
            jobs.delete(options.run)
        case _:
            everyone = runs.all_runs()
            rows = [{"name": run.name, "recipe": run.recipe, "dataset": run.train.get("dataset"), "state": run.state, "step": run.status.step,
                     "steps": run.status.steps, "seconds": round(run.status.seconds, 1), "remaining": round(run.remaining, 1),
                     "starts_in": round(jobs.wait(run, everyone), 1) if run.state == "queued" else None,
                     "metrics": run.status.metrics, "error": run.status.error.get("en")} for run in everyone]
            if options.json:
                print(json.dumps(rows, indent=1, ensure_ascii=False))
                return None
            for row in rows:
                metrics = "  ".join(f"{key} {value:.4g}" for key, value in row["metrics"].items())
                soon = f"  starts in about {row['starts_in']:.0f} s" if row["starts_in"] is not None else ""
                print(f"{row['name']:<36} {row['state']:<11} {row['step']:>8,} of {row['steps']:<8,} {row['seconds']:>8,.1f} s  {metrics}{soon}")
    return None


def _follow(name: str) -> int:
    """Show a run's progress until it ends, wherever it trains; Ctrl-C leaves it alone."""
    run, told = runs.find(name), None
    with _Bar("update") as bar:
        while run.active:
            if run.status.step != told and run.state == "running":
                bar(run.status.step, run.status.steps, run.status.metrics)
                told = run.status.step
            time.sleep(runs.POLL)
            run = runs.find(name)
    _say(f"{name} is {run.state} at update {run.status.step:,} of {run.status.steps:,}")
    if run.status.error:
        _say(run.status.error["en"])
    return 0 if run.state == "finished" else 2 if run.state == "failed" else 130


def sample(options: argparse.Namespace) -> None:
    """Draw pictures from a model: uint8, (N, H, W) or (N, H, W, 3)."""
    n, seed = inputs.integer("n", options.n, 1, SAMPLES_MAX), inputs.seed(options.seed)
    images = _offer(options.name, "sample", "images")
    x = images(options.name, n, seed)                         # (N, C, H, W) in [0, 1]
    _save_pictures(options.out, (x.clamp(0, 1) * 255).round().byte().numpy())


def reconstruct(options: argparse.Namespace) -> None:
    """Encode and decode pictures: what goes in, uint8 or real numbers in [0, 1], comes out in the same shape and kind."""
    import numpy as np
    import torch

    function = _offer(options.name, "sample", "reconstruct")
    pictures = _read_pictures(options.input)                  # (N, C, H, W)
    model = checkpoints.entry(options.name).config["model"]
    expected = tuple(model.get(key) for key in ("channels", "size", "size"))
    if None not in expected and pictures.shape[1:] != expected:
        raise PlaygroundError("cli.size", name=options.name, found=pictures.shape[1:], expected=expected)
    x = torch.from_numpy(pictures.astype(np.float32))
    if pictures.dtype == np.uint8:
        out = (function(options.name, x / 255).clamp(0, 1) * 255).round().byte().numpy()
    else:
        out = function(options.name, x).clamp(0, 1).numpy().astype(pictures.dtype)
    _save_pictures(options.out, out)


def render(options: argparse.Namespace) -> None:
    """Draw a radiance field from each camera of a file: one PNG a frame, named as there; says how many a second were drawn."""
    from PIL import Image

    views = _offer(options.name, "sample", "views")(options.name, options.cameras, inputs.integer("size", options.size, 4, 800))
    with _written(options.out):
        options.out.mkdir(parents=True, exist_ok=True)
    seconds, frames = 0.0, 0
    with _Bar("frame") as bar:
        while True:
            begun = time.perf_counter()
            seen = next(views, None)
            if seen is None:
                break
            seconds, frames = seconds + time.perf_counter() - begun, frames + 1
            name, total, picture = seen
            with _written(options.out / f"{name}.png"):
                Image.fromarray(picture.numpy()).save(options.out / f"{name}.png")
            bar(frames, total)
    print(f"{frames} frames of {options.size} x {options.size} pixels in {seconds:.2f} s, without writing them: {frames / seconds:.2f} frames per second")


def evaluate(options: argparse.Namespace) -> None:
    """Measure a model card's metrics again, as one JSON object."""
    function = _offer(options.name, "evaluate", "evaluate")
    with _Bar("picture") as bar, redirect_stdout(sys.stderr):     # a download that chats must not spoil the JSON
        metrics = function(options.name, options.full, bar)
    print(json.dumps(metrics, indent=1, ensure_ascii=False))
    if options.write:
        with _written(f"card of {options.name}"):
            checkpoints.update_metrics(options.name, metrics)


# ---- parts -----------------------------------------------------------------------------------------------------


def _offer(name: str, part: str, function: str) -> Callable[..., Any]:
    """What the family of checkpoint `name` offers under `function`; `PlaygroundError` where it offers no such thing."""
    family = checkpoints.entry(name).family
    module = None
    if family in families.FAMILIES:
        module = families.load(family, part)
    elif family in families.RECIPES and part == "evaluate":   # the classifier measures itself
        module = families.recipe(family)
    if not hasattr(module, function):
        raise PlaygroundError("cli.cannot", name=name, family=family, command=function.replace("images", "sample"))
    return getattr(module, function)


def _own_data(dataset: str | None) -> Path | None:
    """The folder or zip that --dataset names, if it names one."""
    path = Path(dataset) if dataset else None
    return path if path and (path.suffix.lower() == ".zip" and path.is_file() or os.sep in dataset and path.is_dir()) else None


def _keep(source: Path, module: Any, folder: Path) -> None:
    """Read a visitor's own pictures or scene into the run's folder: the run needs its source no more."""
    size, kind = getattr(module, "OWN_SIZE", None), own.kind(module)
    if size is None:
        raise PlaygroundError("cli.own")
    found = own.read(kind, source, size)
    os.close(runs.hold(folder))                               # refuses a folder that is none of a run's
    with runs.writing():
        own.keep(kind, found, folder / runs.PICTURES)


def _setting(text: str) -> tuple[str, Any]:
    """A NAME=VALUE of --set: numbers, true and false as JSON writes them, anything else as text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise PlaygroundError("cli.arguments", found=f"--set {text}: NAME=VALUE was expected")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size <= FILE_MAX and isinstance(settings := json.loads(path.read_bytes()), dict):
            return settings
    except (OSError, ValueError, RecursionError):
        pass
    raise PlaygroundError("cli.config", found=path)


def _read_pictures(path: Path) -> np.ndarray:
    """(N, C, H, W) uint8, or real numbers in [0, 1], from a .npy file of (N, H, W) or (N, H, W, 3)."""
    import numpy as np

    try:
        if path.stat().st_size > FILE_MAX:
            raise ValueError("too large")
        x = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped: a header cannot claim more than the file holds
    except (OSError, ValueError, EOFError, SyntaxError, OverflowError):
        raise PlaygroundError("cli.input", found=path) from None
    if not isinstance(x, np.ndarray):                         # an .npz archive
        raise PlaygroundError("cli.input", found=path)
    if x.dtype != np.uint8 and x.dtype.kind != "f":
        raise PlaygroundError("cli.kind", found=x.dtype)
    if not (x.ndim == 3 or x.ndim == 4 and x.shape[3] == 3) or x.size == 0:
        raise PlaygroundError("cli.shape", found=x.shape)
    x = np.array(x)
    if x.dtype.kind == "f" and not (x.min() >= 0 and x.max() <= 1):          # NaN compares false
        raise PlaygroundError("cli.range", low=f"{x.min():g}", high=f"{x.max():g}")
    return x[:, None] if x.ndim == 3 else np.moveaxis(x, 3, 1)


def _save_pictures(path: Path, x: np.ndarray) -> None:
    """Write (N, C, H, W) as (N, H, W) or (N, H, W, 3)."""
    import numpy as np

    with _written(path), open(path, "wb") as file:            # a file object: numpy.save would add a suffix to a name
        np.save(file, x[:, 0] if x.shape[1] == 1 else np.ascontiguousarray(np.moveaxis(x, 1, 3)))


@contextmanager
def _written(what: object) -> Iterator[None]:
    """What the disk refuses, as one sentence."""
    try:
        yield
    except OSError as error:
        raise PlaygroundError("cli.output", found=what) from error


class _Bar:
    """A progress bar on stderr that appears with its first report (done, total), such as an evaluation gives."""

    def __init__(self, unit: str) -> None:
        self.unit, self.bar = unit, None

    def __call__(self, done: int, total: int, metrics: Mapping[str, float] = {}) -> None:
        from tqdm import tqdm

        if self.bar is None:
            self.bar = tqdm(total=total, initial=done, unit=self.unit, file=sys.stderr, dynamic_ncols=True)
        self.bar.set_postfix({key: f"{value:.4g}" for key, value in metrics.items()}, refresh=False)
        self.bar.update(done - self.bar.n)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()


def _say(text: object, code: int = 0) -> int:
    print(f"playground: {text}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
