"""Checkpoints: safetensors and JSON in a folder, checked before anything is believed, never a pickle.

    <name>/weights.safetensors    "model.<state_dict key>" and "derived.<key>"; floats may be fp16 on disk, or int8 with a "scale.<key>"
    <name>/config.json            what rebuilds the model, how it was made, what was measured
    <name>/README.md              the model card, written from config.json

Shipped ones live in checkpoints/, trained ones in <runs>/<name>/checkpoint/ (and the best of a run, where it is not the
last, in <runs>/<name>/best/ as <name>-best); all are in one list.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from . import files
from .card import card
from .errors import PlaygroundError, register

if TYPE_CHECKING:
    from torch import Tensor, nn

PROJECT = Path(__file__).resolve().parents[2]
SHIPPED = PROJECT / "checkpoints"
WEIGHTS, CONFIG, CARD = "weights.safetensors", "config.json", "README.md"
RUN_FOLDERS = {"": "checkpoint", "-best": "best"}             # of a run: what is added to its name -> where that model is
FORMAT = 1
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
FIELDS = {"family": str, "dataset": str, "model": dict, "train": dict, "metrics": dict, "command": str, "made": dict,
          "sha256": str}

SCALE = "scale."             # before the key of a weight on disk in 8 bits: what its rows are multiplied by

CACHE_BYTES = 512 * 2**20    # of loaded tensors, all checkpoints together
WEIGHTS_MAX = 2 * 2**30      # bytes on disk
CONFIG_MAX = 2**20

log = logging.getLogger(__name__)

register({
    "checkpoint.name": (
        "This is not a checkpoint's name: 1 to 64 small letters, digits and dashes were expected; choose one from the list.",
        "这不是检查点的名称：应为 1 到 64 个小写字母、数字或连字符；请从列表中选择。",
    ),
    "checkpoint.unknown": (
        "No checkpoint is named “{name}” here; choose one from the list.",
        "这里没有名为“{name}”的检查点；请从列表中选择。",
    ),
    "checkpoint.family": (
        "{name} is a {found} checkpoint and a {expected} one was expected; choose one of that family.",
        "{name} 是 {found} 的检查点，这里需要 {expected} 的；请选择该模型的检查点。",
    ),
    "checkpoint.config": (
        "The description of {name} is missing or damaged; restore its folder, or train it again.",
        "{name} 的说明文件缺失或已损坏；请恢复其文件夹，或重新训练。",
    ),
    "checkpoint.weights": (
        "The weights of {name} are missing, damaged, or not those it was saved with; restore its folder, or train it again.",
        "{name} 的权重缺失、已损坏，或与保存时不同；请恢复其文件夹，或重新训练。",
    ),
    "checkpoint.model": (
        "{name} describes a model that this version cannot build; restore its folder, or train it again.",
        "{name} 描述的模型无法由此版本构建；请恢复其文件夹，或重新训练。",
    ),
    "checkpoint.keys": (
        "{name} lacks {missing} of its model's tensors and holds {unknown} that the model does not know; train it again.",
        "{name} 缺少模型的 {missing} 个张量，并含有 {unknown} 个模型没有的张量；请重新训练。",
    ),
    "checkpoint.shape": (
        "The tensor {tensor} of {name} is {found} and {expected} was expected; train it again.",
        "{name} 的张量 {tensor} 是 {found}，应为 {expected}；请重新训练。",
    ),
    "checkpoint.finite": (
        "{name} holds values that are not finite numbers; train it again, with a smaller learning rate.",
        "{name} 含有非有限的数值；请用更小的学习率重新训练。",
    ),
})


@dataclass(frozen=True)
class Entry:
    """A checkpoint as the list knows it, without its weights."""

    name: str
    family: str
    dataset: str
    bytes: int                                                # of the weights, on disk
    shipped: bool
    config: Mapping[str, Any]                                 # config.json, read-only


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model, shared by all who asked for it and changed by none; it stays whole while it is held."""

    name: str
    family: str
    config: Mapping[str, Any]                                 # config.json, read-only; its lists are tuples
    model: nn.Module                                          # eval mode, no gradients, on the device for "live"
    derived: Mapping[str, Tensor]                             # on the CPU; floats as float32
    bytes: int                                                # of all its tensors, in memory


# ---- finding ---------------------------------------------------------------------------------------------------


def runs_dir() -> Path:
    """Where runs and the checkpoints they make live: PLAYGROUND_RUNS, else runs/ in the project's folder."""
    return Path(os.environ.get("PLAYGROUND_RUNS") or PROJECT / "runs")


def entries() -> list[Entry]:
    """Every checkpoint here, shipped ones first, each sorted by name. Reads JSON only; a broken one is left out and logged."""
    found: dict[str, Entry] = {}
    for name, folder in _folders():
        try:
            if name not in found:                             # a run never hides a shipped checkpoint
                found[name] = _entry(name, folder)
        except PlaygroundError as error:
            log.warning("left out of the list: %s", error)
    return list(found.values())


def entry(name: object) -> Entry:
    """One checkpoint of the list by its name; raises `PlaygroundError` where it is unknown or broken."""
    name = check_name(name)
    return _entry(name, _find(name))


def check_name(name: object) -> str:
    """`name` if it can be a checkpoint's name; a path, another kind or a long text raises `PlaygroundError`."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise PlaygroundError("checkpoint.name")              # what was found may be a path: it is not repeated
    return name


def slug(text: str) -> str:
    """`text` as a checkpoint's name: a data set may be called by anything."""
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")[:64]


def _folders() -> Iterator[tuple[str, Path]]:
    """Every checkpoint's name and folder; a run that has made none yet has no such folder."""
    for root in (SHIPPED, runs_dir()):
        for child in sorted(root.iterdir()) if root.is_dir() else ():
            for suffix, inside in {"": ""}.items() if root == SHIPPED else RUN_FOLDERS.items():
                name = child.name + suffix
                if NAME.fullmatch(name) and _lies_in(root, child / inside):
                    yield name, child / inside


def _find(name: str) -> Path:
    for folder in (SHIPPED / name, *(runs_dir() / name.removesuffix(suffix) / inside
                                     for suffix, inside in RUN_FOLDERS.items() if name.endswith(suffix))):
        if _lies_in(SHIPPED if folder.parent == SHIPPED else runs_dir(), folder):
            return folder
    raise PlaygroundError("checkpoint.unknown", name=name)


def _lies_in(root: Path, folder: Path) -> bool:
    """Whether `folder` is a folder, and truly there: a link out of `root` does not count."""
    return folder.is_dir() and folder.resolve().is_relative_to(root.resolve())


_known: dict[Path, tuple[object, Entry]] = {}                 # folder -> its files' stamp, and what they say


def _entry(name: str, folder: Path) -> Entry:
    stamp = _stamp(folder)
    held, entry = _known.get(folder, (None, None))
    if held == stamp:
        return entry
    config = _config(name, folder)
    try:
        size = _weights(folder, config).stat().st_size
    except OSError:
        raise PlaygroundError("checkpoint.weights", name=name) from None
    entry = Entry(name, config["family"], config["dataset"], size, folder.parent == SHIPPED, _frozen(config))
    if None not in stamp:                                     # a save under way is read again
        _known[folder] = stamp, entry
    return entry


# ---- loading ---------------------------------------------------------------------------------------------------

_cache: OrderedDict[Path, tuple[object, Checkpoint]] = OrderedDict()         # folder -> its files' stamp, and what they held
_loading: dict[Path, threading.Lock] = {}
_lock = threading.Lock()                                      # held for moments; each folder has its own for loading


def load(name: object, family: str, build: Callable[[Mapping[str, Any]], nn.Module]) -> Checkpoint:
    """The checkpoint `name` of `family`, from memory while its files are the same, else checked and read.

    build: makes a model of any weights from config["model"], and raises for fields it does not know.
    Anything that does not fit raises `PlaygroundError`, and then nothing is kept.
    """
    name = check_name(name)
    folder = _find(name)
    with _lock:
        loading = _loading.setdefault(folder, threading.Lock())
    with loading:                                             # many may ask at once: one reads, the others wait for it
        stamp = _stamp(folder)                                # before reading, so that a later save is never missed
        with _lock:
            held, checkpoint = _cache.get(folder, (None, None))
            if held == stamp:
                _cache.move_to_end(folder)
        if held != stamp:
            checkpoint = _load(name, folder, family, build)
            _keep(folder, stamp, checkpoint)
    if checkpoint.family != family:
        raise PlaygroundError("checkpoint.family", name=name, found=checkpoint.family, expected=family)
    return checkpoint


def _keep(folder: Path, stamp: object, checkpoint: Checkpoint) -> None:
    with _lock:
        _cache[folder] = stamp, checkpoint
        _cache.move_to_end(folder)
        while sum(each.bytes for _, each in _cache.values()) > CACHE_BYTES:
            _cache.popitem(last=False)


def _load(name: str, folder: Path, family: str, build: Callable[[Mapping[str, Any]], nn.Module]) -> Checkpoint:
    import torch

    from . import device

    config, data = _pair(name, folder)
    if config["family"] != family:
        raise PlaygroundError("checkpoint.family", name=name, found=config["family"], expected=family)
    config = _frozen(config)
    tensors = _tensors(name, data)
    try:
        with torch.random.fork_rng(devices=[]):               # the weights it draws are thrown away: no one's seed moves
            model = build(config["model"])
    except PlaygroundError:
        raise
    except Exception:                                         # whatever a damaged description does to a constructor
        log.warning("%s: its model cannot be built", name, exc_info=True)
        raise PlaygroundError("checkpoint.model", name=name) from None
    weights, derived = _part(tensors, "model."), _part(tensors, "derived.")
    _fit(name, weights, model.state_dict(), unknown=len(tensors) - len(weights) - len(derived))
    model.load_state_dict(weights)
    model.requires_grad_(False).eval().to(device.for_("live"))
    size = sum(tensor.nbytes for tensor in (*model.state_dict().values(), *derived.values()))
    return Checkpoint(name, family, config, model, MappingProxyType(derived), size)


def _tensors(name: str, data: bytes) -> dict[str, Tensor]:
    """The tensors of a safetensors file, floats and what stands there in 8 bits as float32; raises `PlaygroundError` for anything else."""
    import safetensors.torch
    import torch

    try:
        tensors = safetensors.torch.load(data)
    except Exception:                                         # its own error, or KeyError for a type torch lacks
        log.warning("%s: its weights cannot be read", name, exc_info=True)
        raise PlaygroundError("checkpoint.weights", name=name) from None
    tensors = {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in tensors.items()}
    for key in [key for key in tensors if key.startswith(SCALE)]:
        scale, weight = tensors.pop(key), tensors.get(key.removeprefix(SCALE))
        if weight is None or weight.dtype != torch.int8 or not weight.ndim or scale.shape != weight.shape[:1] or not scale.is_floating_point():
            raise PlaygroundError("checkpoint.weights", name=name)
        tensors[key.removeprefix(SCALE)] = (weight.float().flatten(1) * scale[:, None]).view(weight.shape)
    if not _finite(tensors):
        raise PlaygroundError("checkpoint.finite", name=name)
    return tensors


def _fit(name: str, weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], unknown: int) -> None:
    missing = expected.keys() - weights.keys()
    unknown += len(weights.keys() - expected.keys())
    if missing or unknown:
        raise PlaygroundError("checkpoint.keys", name=name, missing=len(missing), unknown=unknown)
    for key, own in expected.items():
        found = weights[key]
        both_real = found.is_floating_point() and own.is_floating_point()
        if found.shape != own.shape or not (both_real or found.dtype == own.dtype):
            raise PlaygroundError("checkpoint.shape", name=name, tensor=key, found=_kind(found), expected=_kind(own))


def _kind(tensor: Tensor) -> str:
    return f"{'×'.join(map(str, tensor.shape)) or 1} {str(tensor.dtype).removeprefix('torch.')}"


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}


def _finite(tensors: Mapping[str, Tensor]) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in tensors.values() if tensor.is_floating_point())


# ---- a folder's files ------------------------------------------------------------------------------------------


def _pair(name: str, folder: Path) -> tuple[dict[str, Any], bytes]:
    """config.json and the weights it names by their SHA-256, which a save may be replacing while we read."""
    for _ in range(3):
        config = _config(name, folder)
        try:
            data = _read(folder, _weights(folder, config), WEIGHTS_MAX)
        except OSError:
            continue                                          # renamed under our hands, or not there at all
        if hashlib.sha256(data).hexdigest() == config["sha256"]:
            return config, data
    raise PlaygroundError("checkpoint.weights", name=name)


def _weights(folder: Path, config: Mapping[str, Any]) -> Path:
    """The weights that belong to a config: under their staged name if a save was killed before its last rename."""
    staged = _staged(folder, config["sha256"])
    return staged if staged.exists() else folder / WEIGHTS


def _staged(folder: Path, sha256: str) -> Path:
    return folder / f".weights-{sha256}.safetensors"


def _config(name: str, folder: Path) -> dict[str, Any]:
    """config.json as it stands, with the fields of this format; raises `PlaygroundError` for anything else."""
    try:
        config = json.loads(_read(folder, folder / CONFIG, CONFIG_MAX), parse_constant=_refuse)
        fits = config["format"] == FORMAT and all(isinstance(config[key], kind) for key, kind in FIELDS.items())
        if fits and re.fullmatch("[0-9a-f]{64}", config["sha256"]) and _frozen(config):      # nested too deep: RecursionError
            return config
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    raise PlaygroundError("checkpoint.config", name=name)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _read(folder: Path, path: Path, limit: int) -> bytes:
    """The bytes of an ordinary file of `folder` of at most `limit` bytes; OSError for links that leave it and all else."""
    real = Path(os.path.realpath(path))
    if real.parent != folder.resolve():
        raise OSError("a link leaves the folder")
    with open(os.open(real, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:         # a pipe must not keep us waiting
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
            raise OSError("not a file, or too large")
        return file.read(limit + 1)


def _stamp(folder: Path) -> object:
    """What changes whenever the files do."""
    stamps = []
    for name in (CONFIG, WEIGHTS):
        try:
            found = (folder / name).stat()
            stamps.append((found.st_mtime_ns, found.st_size, found.st_ino))
        except OSError:
            stamps.append(None)
    return tuple(stamps)


def _frozen(value: Any) -> Any:
    """JSON that nobody can change: objects become read-only mappings, lists tuples."""
    if isinstance(value, dict):
        return MappingProxyType({key: _frozen(item) for key, item in value.items()})
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


# ---- saving ----------------------------------------------------------------------------------------------------


def save(folder: Path, *, family: str, dataset: str, model: Mapping[str, Any], train: Mapping[str, Any],
         weights: Mapping[str, Tensor], derived: Mapping[str, Tensor], metrics: Mapping[str, Any], command: str,
         made: Mapping[str, Any], half: bool = True) -> None:
    """Write a whole checkpoint into `folder`, over an older one if there is one. Raises OSError where the disk refuses.

    model, train: the fields of the family's ModelConfig and TrainConfig. weights: the network's state_dict.
    half: floats go to disk as fp16 where they fit (|x| <= 65,504). Weights that are not finite raise `PlaygroundError`.
    """
    import safetensors.torch

    tensors = {**{f"model.{key}": tensor for key, tensor in weights.items()},
               **{f"derived.{key}": tensor for key, tensor in derived.items()}}
    if not _finite(tensors):
        raise PlaygroundError("checkpoint.finite", name=_name(folder))
    data = safetensors.torch.save({key: _on_disk(tensor, half) for key, tensor in tensors.items()})
    _commit(folder, data, {
        "format": FORMAT, "family": family, "dataset": dataset, "model": dict(model), "train": dict(train),
        "metrics": dict(metrics), "command": command, "made": dict(made),
    })


def ship(source: Path, name: str, bits: int = 16) -> None:
    """Copy a run's checkpoint folder to the shipped ones under `name`, with its card; bits = 8: matrices and kernels with 8 bits a weight."""
    config, data = _pair(name, source)
    if bits == 8:
        import safetensors.torch

        data = safetensors.torch.save(_eighths(_tensors(name, data)))
        config = {**config, "made": {**config["made"], "bits": bits}, "sha256": hashlib.sha256(data).hexdigest()}
    target = SHIPPED / check_name(name)
    if not config["metrics"] and (target / CONFIG).is_file():
        old = _config(name, target)
        if old.get("sha256") == config.get("sha256"):         # the same weights: what was measured of them still holds
            config = {**config, "metrics": old["metrics"]}
    _commit(target, data, config)


def files_of(name: str, folder: Path) -> dict[str, bytes]:
    """A checkpoint's three files as they belong together, name -> bytes; raises `PlaygroundError` where they do not."""
    config, data = _pair(name, folder)
    return {WEIGHTS: data, CONFIG: _json(config), CARD: card(name, config).encode()}


def update_metrics(name: object, metrics: Mapping[str, Any]) -> None:
    """Replace the metrics of the checkpoint `name` and its card; its weights stay as they are."""
    name = check_name(name)
    folder = _find(name)
    with files.locked(folder):
        config = {**_config(name, folder), "metrics": dict(metrics)}
        files.replace(folder / CONFIG, _json(config))
        files.replace(folder / CARD, card(name, config).encode())


def _commit(folder: Path, data: bytes, config: Mapping[str, Any]) -> None:
    """Weights first, under a name of their own; config.json, which names them, decides; then they get their usual name.

    A kill before config.json is replaced leaves the old pair, one after it the new pair: `_weights` finds either.
    """
    config = {**config, "sha256": hashlib.sha256(data).hexdigest()}
    folder.mkdir(parents=True, exist_ok=True)
    with files.locked(folder):
        _settle(folder)
        staged = _staged(folder, config["sha256"])
        files.replace(staged, data)
        files.replace(folder / CONFIG, _json(config))
        files.rename(staged, folder / WEIGHTS)
        files.replace(folder / CARD, card(_name(folder), config).encode())


def _settle(folder: Path) -> None:
    """Finish what a killed save began: without it a second kill could take the weights that config.json names."""
    try:
        staged = _staged(folder, _config(_name(folder), folder)["sha256"])
        if staged.exists():
            files.rename(staged, folder / WEIGHTS)
    except PlaygroundError:
        pass                                                  # no description, or a broken one, names no weights
    files.sweep(folder)
    for left in folder.glob(".weights-*.safetensors"):
        left.unlink(missing_ok=True)


def _on_disk(tensor: Tensor, half: bool) -> Tensor:
    tensor = tensor.detach().cpu().contiguous().clone()       # safetensors refuses tensors that share memory
    if half and tensor.is_floating_point() and bool(tensor.half().isfinite().all()):
        return tensor.half()
    return tensor


def _eighths(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """As `_on_disk`, but weights of two dimensions and more as int8, each row (output) with a scale of its own; the rest as fp16."""
    import torch

    out = {}
    for key, tensor in tensors.items():
        if key.startswith("model.") and tensor.is_floating_point() and tensor.ndim > 1:
            scale = (tensor.flatten(1).abs().amax(1) / 127).clamp(min=1e-30)
            out[SCALE + key] = scale
            out[key] = (tensor.flatten(1) / scale[:, None]).round().to(torch.int8).view(tensor.shape)
        else:
            out[key] = _on_disk(tensor, half=True)
    return out


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _name(folder: Path) -> str:
    """A checkpoint's name from its folder."""
    return next((folder.parent.name + suffix for suffix, inside in RUN_FOLDERS.items() if folder.name == inside), folder.name)
