"""Small scenes in Blender's format as {path: bytes}, for tests to spoil and to pack."""

import functools
import io
import json
import zipfile
from pathlib import Path

import torch
from PIL import Image

from playground.core import scenes, solids

SIZE = 16


def png(pixels, mode=None, **options):
    """uint8 (H, W, C), a tensor or an array."""
    file = io.BytesIO()
    Image.fromarray(torch.as_tensor(pixels).numpy(), mode).save(file, "PNG", **options)
    return file.getvalue()


@functools.cache
def pictures(n=6, size=SIZE):
    """The first views of the built-in scene with straight alpha, uint8 (n, size, size, 4)."""
    found = []
    for rgb, alpha in solids.pictures(scenes.around(n), scenes.FIELD_OF_VIEW, size):
        straight = ((rgb - (1 - alpha[..., None])) / alpha.clamp(min=1e-6)[..., None]).clamp(0, 1)
        found.append((torch.cat([straight, alpha[..., None]], dim=-1) * 255).round().byte())
    return torch.stack(found)


def described(n=6, path="./train/r_{}", first=0, **changes):
    """A file of cameras as its JSON object."""
    frames = [{"file_path": path.format(i), "rotation": 0.01, "transform_matrix": pose.tolist()} for i, pose in enumerate(scenes.around(n, first))]
    return {"camera_angle_x": scenes.FIELD_OF_VIEW, "frames": frames, **changes}


def scene(n=6, size=SIZE, prefix="", file="transforms_train.json", change=lambda found: None):
    """{path: bytes} of a scene of n views; `change` may spoil its JSON object."""
    found = described(n)
    change(found)
    files = {f"{prefix}train/r_{i}.png": png(each) for i, each in enumerate(pictures(n, size))}
    return {f"{prefix}{file}": json.dumps(found).encode(), **files}


def zipped(path: Path, files, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def folder(path: Path, files):
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path
