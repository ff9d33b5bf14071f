import hashlib
import io
import os
import pickle
import random
import shutil
import socket
import stat
import struct
import threading
import time
import zipfile
import zlib
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from playground.core import datasets, procedural
from playground.core.datasets import ImageSet, Limits, batches, from_folder, from_zip, load
from playground.core.errors import PlaygroundError

IDX = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST"}


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """An empty data root of this test's own."""
    folder = tmp_path / "secret-root"
    folder.mkdir()
    monkeypatch.setenv("PLAYGROUND_DATA", str(folder))
    return folder


@pytest.fixture
def offline(monkeypatch):
    """Every server's name is one that never resolves (RFC 6761); the attempt itself is real."""
    import torchvision

    monkeypatch.setenv("no_proxy", "*")
    for name in IDX.values():
        monkeypatch.setattr(getattr(torchvision.datasets, name), "mirrors", ["http://nowhere.invalid/"])
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", "http://nowhere.invalid/cifar-10-python.tar.gz")


# Sets by name


def _write_idx(path: Path, values: np.ndarray) -> None:
    path.write_bytes(struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes())


def _write_mnist(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Seven training and three test pictures in the original layout; returns what was written."""
    raw, written = folder / "raw", {}
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, stem, n in (("train", "train", 7), ("test", "t10k", 3)):
        images = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        labels = rng.integers(0, 10, n, dtype=np.uint8)
        _write_idx(raw / f"{stem}-images-idx3-ubyte", images)
        _write_idx(raw / f"{stem}-labels-idx1-ubyte", labels)
        written[split] = images, labels
    return written


@pytest.mark.parametrize("name", IDX)
@pytest.mark.parametrize("split", ["train", "test"])
def test_idx_sets_are_read_as_they_were_written(name, split, root):
    images, labels = _write_mnist(root / IDX[name])[split]
    found = load(name, split)
    assert found.name == name and len(found.classes) == 10
    assert found.images.dtype == torch.uint8 and found.labels.dtype == torch.int64
    assert np.array_equal(found.images[:, 0], images) and np.array_equal(found.labels, labels)
    assert load(name, split) is found


def test_the_classes_of_mnist_are_single_digits(root):
    _write_mnist(root / "MNIST")
    assert load("mnist").classes == tuple("0123456789")


def test_another_data_root_is_another_set(root, tmp_path, monkeypatch):
    _write_mnist(root / "MNIST")
    first = load("mnist")
    shutil.copytree(root / "MNIST", tmp_path / "other" / "MNIST")
    _write_idx(tmp_path / "other" / "MNIST" / "raw" / "train-labels-idx1-ubyte", np.full(7, 9, dtype=np.uint8))
    monkeypatch.setenv("PLAYGROUND_DATA", str(tmp_path / "other"))
    assert load("mnist").labels.tolist() == [9] * 7 != first.labels.tolist()


def _write_cifar(folder: Path, monkeypatch) -> dict[str, np.ndarray]:
    """Two pictures a file in CIFAR-10's layout, with the checksums torchvision compares set to these files'."""
    import torchvision

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    sums, images = {}, {}
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        images[name] = rng.integers(0, 256, (2, 3, 32, 32), dtype=np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": images[name].reshape(2, -1), "labels": [3, 8]}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"class{i}" for i in range(10)]}))
    for file in folder.iterdir():
        sums[file.name] = hashlib.md5(file.read_bytes()).hexdigest()
    cifar = torchvision.datasets.CIFAR10
    monkeypatch.setattr(cifar, "train_list", [[f"data_batch_{i}", sums[f"data_batch_{i}"]] for i in range(1, 6)])
    monkeypatch.setattr(cifar, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(cifar, "meta", {**cifar.meta, "md5": sums["batches.meta"]})
    return images


def test_cifar10_is_read_as_it_was_written(root, monkeypatch):
    written = _write_cifar(root / "cifar-10-batches-py", monkeypatch)
    train, test = load("cifar10", "train"), load("cifar10", "test")
    assert np.array_equal(train.images, np.concatenate([written[f"data_batch_{i}"] for i in range(1, 6)]))
    assert np.array_equal(test.images, written["test_batch"])
    assert train.labels.tolist() == [3, 8] * 5 and train.classes[3] == "class3"


class _Touch:
    """Unpickling this makes a file: what a hostile CIFAR-10 file could do, and worse."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_cifar10_file_with_another_checksum_is_never_unpickled(root, offline, tmp_path, monkeypatch):
    _write_cifar(root / "cifar-10-batches-py", monkeypatch)
    proof = tmp_path / "unpickled"
    (root / "cifar-10-batches-py" / "data_batch_2").write_bytes(pickle.dumps(_Touch(str(proof))))
    with pytest.raises(PlaygroundError, match="cifar10"):
        load("cifar10")
    assert not proof.exists()
    pickle.loads(pickle.dumps(_Touch(str(proof)))).close()
    assert proof.exists()                                     # the file would have betrayed itself


@pytest.mark.parametrize("name", [name for name in datasets.NAMES if name not in datasets.BUILT_IN])
def test_offline_a_missing_set_is_refused_at_once_in_a_sentence_that_helps(name, root, offline):
    start = time.monotonic()
    with pytest.raises(PlaygroundError) as refusal:
        load(name)
    assert time.monotonic() - start < 20                      # importing torchvision is part of it
    for sentence in (refusal.value.sentence("en"), refusal.value.sentence("zh")):
        for expected in (name, "--data-root", "PLAYGROUND_DATA", "glyphs", "shapes"):
            assert expected in sentence
        assert "secret-root" not in sentence


def test_a_server_that_says_nothing_does_not_hang_the_download(root, offline, monkeypatch):
    import torchvision

    silent = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr(torchvision.datasets.KMNIST, "mirrors", [f"http://127.0.0.1:{silent.getsockname()[1]}/"])
    monkeypatch.setattr(datasets, "SILENCE", 0.2)
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(_refusal(lambda: load("kmnist"))), daemon=True)
    thread.start()
    thread.join(10)
    silent.close()
    assert outcome == ["dataset.absent"]
    assert socket.getdefaulttimeout() is None


def _refusal(call) -> str:
    with pytest.raises(PlaygroundError) as refusal:
        call()
    return refusal.value.key


def test_a_damaged_file_is_refused_and_its_folder_named(root, offline):
    _write_mnist(root / "KMNIST")
    file = root / "KMNIST" / "raw" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(PlaygroundError, match="delete it first") as refusal:
        load("kmnist")
    assert "“KMNIST”" in str(refusal.value)


def test_a_set_that_fails_once_can_be_loaded_after_it_was_mended(root, offline):
    assert _refusal(lambda: load("kmnist")) == "dataset.absent"
    shutil.rmtree(root / "KMNIST")
    _write_mnist(root / "KMNIST")
    assert len(load("kmnist").images) == 7


def test_a_data_root_that_cannot_be_written_is_named_as_the_reason(tmp_path, offline, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("PLAYGROUND_DATA", str(tmp_path / "file"))
    with pytest.raises(PlaygroundError) as refusal:
        load("kmnist")
    assert refusal.value.key == "dataset.unwritable" and str(tmp_path) not in str(refusal.value)


def test_unknown_names_and_splits_are_refused():
    with pytest.raises(PlaygroundError, match="mnist"):
        load("imagenet")
    with pytest.raises(PlaygroundError, match="train"):
        load("glyphs", "validation")


@pytest.mark.parametrize("name", datasets.BUILT_IN)
def test_built_in_sets_are_fixed_and_share_no_image_with_each_other_or_a_stream(name):
    train, test = load(name, "train"), load(name, "test")
    assert (len(train.images), len(test.images)) == (10_000, 2_000)
    assert train.labels.max() + 1 == len(train.classes)
    again = datasets._built_in(name, "test")
    assert torch.equal(test.images, again.images) and torch.equal(test.labels, again.labels)
    stream = next(batches(name, 2_000, seed=0)).x.mul(255).round().byte()
    everything = torch.cat([train.images, test.images, stream]).flatten(1)
    assert len({row.tobytes() for row in everything.numpy()}) == 14_000


def test_the_data_root_is_the_named_folder_or_lies_in_or_beside_the_project(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_DATA", "~/pictures")
    assert datasets.data_root() == Path.home() / "pictures"
    monkeypatch.delenv("PLAYGROUND_DATA")
    project = tmp_path / "project"
    monkeypatch.setattr(datasets, "__file__", str(project / "playground" / "core" / "datasets.py"))
    assert datasets.data_root() == project / "data"
    (tmp_path / "shared" / "data").mkdir(parents=True)
    assert datasets.data_root() == tmp_path / "shared" / "data"
    (project / "data").mkdir(parents=True)
    assert datasets.data_root() == project / "data"


# Batches


def _numbered(n: int) -> ImageSet:
    """Pictures whose every pixel is their own number; their label is ten times that."""
    images = torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1).expand(n, 1, 8, 8).contiguous()
    return ImageSet("numbered", images, 10 * torch.arange(n), ())


def test_a_batch_holds_the_images_and_labels_its_indices_say():
    batch = next(batches(_numbered(100), 16, seed=1))
    assert batch.x.shape == (16, 1, 8, 8) and batch.x.dtype == torch.float32
    assert torch.equal(batch.x, (batch.indices / 255).view(16, 1, 1, 1).expand(16, 1, 8, 8))
    assert torch.equal(batch.labels, 10 * batch.indices)


def test_every_epoch_visits_each_image_once_but_for_the_dropped_ones_in_a_new_order():
    epochs = []
    stream = batches(_numbered(50), 8, seed=2)                # 6 batches an epoch, 2 images dropped
    for _ in range(5):
        epochs.append(torch.cat([batch.indices for batch in islice(stream, 6)]).tolist())
        assert len(set(epochs[-1])) == 48
    assert len({tuple(epoch) for epoch in epochs}) == 5
    assert len({i for epoch in epochs for i in epoch}) == 50  # not the same two are dropped each time


def test_an_epochs_order_is_uniform_over_all_orders():
    counts = {}
    for epoch in range(6_000):
        order = tuple(datasets._permutation(3, 0, epoch).tolist())
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 6 and sum((n - 1_000) ** 2 / 1_000 for n in counts.values()) < 25


@pytest.mark.parametrize("name", ["glyphs", "shapes", "numbered"])
@pytest.mark.parametrize("start", [1, 6, 7, 20])
def test_starting_at_a_batch_equals_skipping_to_it(name, start):
    data = _numbered(50) if name == "numbered" else name
    skipped = islice(batches(data, 8, seed=3), start, start + 8)
    for a, b in zip(skipped, batches(data, 8, seed=3, start=start)):
        assert torch.equal(a.x, b.x) and torch.equal(a.labels, b.labels) and torch.equal(a.indices, b.indices)


@pytest.mark.parametrize("name", ["glyphs", "numbered"])
def test_a_far_batch_costs_no_replay(name):
    start = time.process_time()
    next(batches(_numbered(50) if name == "numbered" else name, 8, seed=3, start=10**9))
    assert time.process_time() - start < 1


def test_another_seed_gives_other_batches():
    for data in (_numbered(50), "glyphs"):
        assert not torch.equal(next(batches(data, 8, seed=0)).x, next(batches(data, 8, seed=1)).x)


def test_a_built_in_batch_is_drawn_from_its_seed_and_indices():
    batch = next(islice(batches("shapes", 8, seed=4), 3, None))
    assert batch.indices.tolist() == list(range(24, 32))
    assert torch.equal(batch.x.mul(255).round().byte(), procedural.shapes(8, 4, start=24).images)
    assert 0 <= batch.x.min() and batch.x.max() <= 1


def test_batches_by_name_come_from_the_training_split(root):
    images, labels = _write_mnist(root / "MNIST")["train"]
    batch = next(batches("mnist", 7, seed=0))
    assert np.array_equal(batch.x[:, 0], images[batch.indices.numpy()].astype(np.float32) / 255)
    assert np.array_equal(batch.labels, labels[batch.indices.numpy()])


def test_a_batch_larger_than_the_set_is_refused_at_the_call():
    assert _refusal(lambda: batches(_numbered(50), 51, seed=0)) == "dataset.batch"
    assert len(next(batches(_numbered(50), 50, seed=0)).x) == 50
    assert _refusal(lambda: batches("glyphs", 0, seed=0)) == "input.integer"


# A visitor's own pictures: each test runs through a folder and through a zip


def _png(colour=(200, 30, 60), mode="RGB", size=(20, 20), **options) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, colour).save(file, options.pop("format", "PNG"), **options)
    return file.getvalue()


@pytest.fixture(params=["folder", "zip"])
def take(request, tmp_path):
    """take(files, size=16, **limits): the pictures {path: bytes} brought in one way or the other, as the set "mine"."""

    def take(pictures, /, size=16, **limits):
        if request.param == "folder":
            for name, data in pictures.items():
                path = tmp_path / "mine" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            return from_folder(tmp_path / "mine", size, limits=Limits(**limits))
        return from_zip(_zip(tmp_path / "mine.zip", pictures), size, limits=Limits(**limits))

    return take


def _zip(path: Path, files: dict[str, bytes], compression=zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_pictures_come_in_the_order_of_their_names(take):
    found = take({f"{i}.png": _png((i, 0, 0)) for i in (5, 3, 9, 1)})
    assert found.name == "mine" and found.labels is None and found.classes == ()
    assert found.images.dtype == torch.uint8 and found.images.shape == (4, 3, 16, 16)
    assert found.images[:, 0, 8, 8].tolist() == [1, 3, 5, 9]


def test_every_stated_format_is_read(take):
    kinds = {"a.png": "PNG", "b.JPG": "JPEG", "c.webp": "WEBP", "d.gif": "GIF", "e.bmp": "BMP"}
    found = take({name: _png(format=kind) for name, kind in kinds.items()})
    assert (found.images.float() - torch.tensor([200.0, 30, 60]).view(3, 1, 1)).abs().max() < 8


def test_of_an_animation_the_first_frame_is_taken(take):
    file = io.BytesIO()
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    assert take({"a.gif": file.getvalue()}).images[0, :, 8, 8].tolist() == [255, 0, 0]


def test_other_files_hidden_files_and_macos_shadows_are_skipped(take):
    found = take({
        "a.png": _png(), "notes.txt": b"words", "b.svg": b"<svg/>", ".hidden.png": b"x",
        "__MACOSX/a.png": b"x", ".git/c.png": b"x",
    })
    assert len(found.images) == 1


def test_nothing_but_other_files_is_refused(take):
    assert _refusal(lambda: take({"notes.txt": b"words", ".a.png": _png()})) == "images.none"


def test_transparent_pictures_are_laid_on_white_with_straight_alpha(take):
    found = take({"half.png": _png((200, 0, 0, 128), "RGBA"), "none.png": _png((200, 0, 0, 0), "RGBA")})
    alpha = 128 / 255
    expected = [255 + alpha * (200 - 255), 255 - alpha * 255, 255 - alpha * 255]
    assert found.images[0, :, 8, 8].tolist() == pytest.approx(expected, abs=1)
    assert found.images[1].unique().tolist() == [255]


def test_a_transparent_palette_colour_becomes_white(take):
    picture = Image.new("P", (20, 20), 0)
    picture.putpalette([10, 20, 30] + [0] * 765)
    file = io.BytesIO()
    picture.save(file, "PNG", transparency=0)
    assert take({"a.png": file.getvalue()}).images.unique().tolist() == [255]


def test_pictures_are_turned_upright_by_their_exif_tag(take):
    picture = Image.new("RGB", (20, 20), "black")
    picture.paste("white", (0, 0, 20, 10))                    # the top is white
    exif = Image.Exif()
    exif[0x0112] = 6                                          # to be shown turned clockwise by 90 degrees
    file = io.BytesIO()
    picture.save(file, "PNG", exif=exif)
    image = take({"a.png": file.getvalue()}).images[0, 0]
    assert image[:, :6].max() < 30 and image[:, 10:].min() > 225      # the right is white


@pytest.mark.parametrize("width, height", [(40, 20), (20, 40), (800, 400)])
def test_the_centre_square_is_kept_and_resized(take, width, height):
    side = min(width, height)
    picture = Image.new("RGB", (width, height), "red")
    left, top = (width - side) // 2, (height - side) // 2
    picture.paste("blue", (left, top, left + side, top + side))
    file = io.BytesIO()
    picture.save(file, "PNG")
    image = take({"a.png": file.getvalue()}).images[0].int()
    error = (image - torch.tensor([0, 0, 255]).view(3, 1, 1)).abs()
    assert error[:, 1:-1, 1:-1].max() == 0 and error.max() < 30       # the filter blurs only the outermost pixels


def test_shrinking_averages_a_fine_checkerboard_to_grey(take):
    board = (np.indices((320, 320)).sum(axis=0) % 2 * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(board).save(file, "PNG")
    image = take({"a.png": file.getvalue()}).images.int()
    assert (image - 127).abs().max() <= 3


def test_one_channel_is_kept_only_if_every_picture_is_grey(take):
    assert take({"a.png": _png(90, "L"), "b.png": _png((7, 7, 7))}).images[:, :, 0, 0].tolist() == [[90], [7]]
    assert take({"a.png": _png(90, "L"), "c.png": _png()}).images.shape[1] == 3


def test_sixteen_bit_grey_is_scaled_not_clipped(take):
    file = io.BytesIO()
    Image.fromarray(np.full((20, 20), 0x8040, dtype=np.uint16)).save(file, "PNG")
    assert take({"a.png": file.getvalue()}).images.unique().tolist() == [0x80]


@pytest.mark.parametrize("prefix", ["", "my set/", "my set/train/"])
def test_sub_folders_are_classes_below_whatever_folder_holds_them_all(take, prefix):
    found = take({f"{prefix}{name}": _png() for name in ("dog/1.png", "cat/2.png", "dog/3.png", "cat/1.png")})
    assert found.classes == ("cat", "dog") and found.labels.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("names", [
    ("cat/1.png", "cat/2.png"),                               # one class tells nothing
    ("cat/1.png", "dog/2.png", "3.png"),                      # one picture in none
    ("cat/young/1.png", "dog/2.png"),                         # one picture in two
])
def test_other_arrangements_give_no_labels(take, names):
    found = take({name: _png() for name in names})
    assert found.labels is None and found.classes == () and len(found.images) == len(names)


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>'
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"    # PIL would start Ghostscript for it


@pytest.mark.parametrize("data", [SVG, EPS, b"", b"\x89PNG\r\n\x1a\n", _png(size=(90, 90), compress_level=0)[:9_000]],
                         ids=["svg", "eps", "empty", "signature", "truncated"])
def test_what_is_no_whole_picture_is_refused_by_its_base_name(take, data):
    with pytest.raises(PlaygroundError) as refusal:
        take({"deep/good.png": _png(), "deep/down/bad.png": data})
    assert refusal.value.key == "images.broken"
    assert "“bad.png”" in str(refusal.value) and "deep" not in str(refusal.value)


def test_a_sound_picture_of_another_format_is_refused(take):
    assert _refusal(lambda: take({"a.png": _png(format="TIFF")})) == "images.broken"


def test_random_damage_gives_a_picture_or_a_refusal_and_never_another_error(take):
    rng, refused = random.Random(0), 0
    originals = [_png(format=kind, size=(40, 40)) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP")]
    for trial in range(150):
        data = bytearray(originals[trial % 5])
        for _ in range(rng.choice([1, 3, 30])):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            take({"a.png": bytes(data)})
        except PlaygroundError:
            refused += 1
    assert 10 < refused < 150


def _png_header(width: int, height: int) -> bytes:
    """A tiny PNG that claims a size and holds no pixels: whoever decodes it finds it broken, not too large."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    )
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("side", [5_001, 12_000, 60_000])     # beyond ours, beyond PIL's warning, beyond PIL's error
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_too_many_pixels_are_refused_before_any_is_decoded(take, side):
    with pytest.raises(PlaygroundError, match="big.png.*25 million") as refusal:
        take({"big.png": _png_header(side, side)})
    assert refusal.value.key == "images.pixels"
    assert _refusal(lambda: take({"big.png": _png_header(500, 500)})) == "images.broken"


def test_too_many_pixels_in_all_are_refused(take):
    files = {f"{i}.png": _png() for i in range(5)}            # 400 pixels each
    assert len(take(files, pixels_total=2_000).images) == 5
    assert _refusal(lambda: take(files, pixels_total=1_999)) == "images.pixels_total"


def test_too_many_files_are_refused(take):
    files = {f"{i}.png": _png() for i in range(5)}
    assert len(take(files, files=5).images) == 5
    assert _refusal(lambda: take(files, files=4)) == "images.files"


def test_too_many_bytes_in_one_file_are_refused(take):
    data = _png()
    assert len(take({"a.png": data}, bytes_per_file=len(data)).images) == 1
    with pytest.raises(PlaygroundError, match="“a.png”"):
        take({"a.png": data}, bytes_per_file=len(data) - 1)


def test_too_many_bytes_in_all_are_refused_and_so_is_too_large_a_result(take):
    files = {f"{i}.bmp": _png(format="BMP") for i in range(5)}
    total = sum(map(len, files.values()))
    assert len(take(files, size=8, bytes_total=total).images) == 5
    assert _refusal(lambda: take(files, size=8, bytes_total=total - 1)) == "images.total"
    assert _refusal(lambda: take(files, size=256, bytes_total=total)) == "images.total"


@pytest.mark.parametrize("size", [0, 7, 257, 10**9, "32", None])
def test_a_size_out_of_range_is_refused(take, size):
    assert _refusal(lambda: take({"a.png": _png()}, size=size)) == "input.integer"


def test_every_refusal_names_no_path_of_the_server(take, tmp_path):
    with pytest.raises(PlaygroundError) as refusal:
        take({"a.png": b"x"})
    assert str(tmp_path) not in refusal.value.sentence("en") + refusal.value.sentence("zh")


# Zips only


def test_a_zip_bomb_is_refused_by_its_ratio_before_it_is_unpacked(tmp_path, monkeypatch):
    bomb = _zip(tmp_path / "bomb.zip", {"bomb.png": bytes(15_000_000)})
    assert bomb.stat().st_size < 20_000
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("was unpacked"))
    assert _refusal(lambda: from_zip(bomb, 16)) == "images.ratio"
    assert _refusal(lambda: from_zip(bomb, 16, limits=Limits(ratio=10_000, bytes_per_file=1_000_000))) == "images.bytes"


def test_a_bomb_whose_headers_lie_unpacks_no_more_than_they_say(tmp_path):
    bomb = _zip(tmp_path / "bomb.zip", {"bomb.png": bytes(15_000_000)})
    data = bomb.read_bytes().replace(struct.pack("<I", 15_000_000), struct.pack("<I", 60))     # in both headers
    bomb.write_bytes(data)
    with zipfile.ZipFile(bomb) as archive:
        assert archive.getinfo("bomb.png").file_size == 60    # the lie is told
    assert _refusal(lambda: from_zip(bomb, 16)) == "images.broken"


def test_what_was_really_read_counts_too(tmp_path, monkeypatch):
    # Should a reader ever give more than the headers say, the caps still hold.
    files = _zip(tmp_path / "grown.zip", {"a.png": _png(), "b.png": _png()})
    monkeypatch.setattr(datasets, "_read_entry", lambda archive, info, count: bytes(min(count, 10_000)))
    assert _refusal(lambda: from_zip(files, 16, limits=Limits(bytes_per_file=9_999))) == "images.bytes"
    assert _refusal(lambda: from_zip(files, 16, limits=Limits(bytes_total=9_999))) == "images.total"


@pytest.mark.parametrize("name", [
    "../a.png", "b/../../a.png", "/etc/a.png", "..\\a.png", "b\\a.png", "C:/a.png", "c:a.png", "../notes.txt",
])
def test_a_zip_with_a_path_that_climbs_out_is_refused(tmp_path, name):
    path = _zip(tmp_path / "mine.zip", {"good.png": _png(), name: _png()})
    assert _refusal(lambda: from_zip(path, 16)) == "images.path"
    assert len(from_zip(_zip(path, {"good.png": _png(), "..a.png": _png(), "b..c/a.png": _png()}), 16).images) == 2


def test_a_zip_with_a_symbolic_link_is_refused(tmp_path):
    path = tmp_path / "mine.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("good.png", _png())
        link = zipfile.ZipInfo("link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "good.png")
    assert _refusal(lambda: from_zip(path, 16)) == "images.path"


def test_a_locked_zip_and_a_rare_packing_are_refused(tmp_path):
    rare = _zip(tmp_path / "rare.zip", {"a.png": _png()}, zipfile.ZIP_LZMA)
    assert _refusal(lambda: from_zip(rare, 16)) == "images.packed"
    locked = _zip(tmp_path / "locked.zip", {"a.png": _png()})
    data = bytearray(locked.read_bytes())
    data[6] |= 1                                              # the flag in the file's own header
    data[data.index(b"PK\x01\x02") + 8] |= 1                  # and in the directory
    locked.write_bytes(data)
    assert _refusal(lambda: from_zip(locked, 16)) == "images.packed"


def test_a_damaged_entry_is_refused(tmp_path):
    path = _zip(tmp_path / "mine.zip", {"a.png": _png()}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[60] ^= 1                                             # inside the picture: the checksum no longer fits
    path.write_bytes(data)
    assert _refusal(lambda: from_zip(path, 16)) == "images.broken"


@pytest.mark.parametrize("data", [b"", b"no zip at all", b"PK\x03\x04 and then nothing"])
def test_what_is_no_zip_is_refused(tmp_path, data):
    (tmp_path / "mine.zip").write_bytes(data)
    assert _refusal(lambda: from_zip(tmp_path / "mine.zip", 16)) == "images.zip"
    assert _refusal(lambda: from_zip(tmp_path / "missing.zip", 16)) == "images.zip"


def test_nothing_is_written_to_disk(tmp_path):
    path = _zip(tmp_path / "mine.zip", {"a/b.png": _png()})
    from_zip(path, 16)
    assert list(tmp_path.iterdir()) == [path]


def test_the_emoji_load_within_seconds():
    path = datasets.data_root() / "noto_emoji_72px.zip"
    if not path.exists():
        pytest.skip("needs noto_emoji_72px.zip: set PLAYGROUND_DATA")
    start = time.process_time()
    found = from_zip(path, 32)
    assert time.process_time() - start < 8
    assert found.images.shape == (3_583, 3, 32, 32) and found.labels is None
    corners = found.images[:, :, 0, 0].float().mean()
    assert corners > 240                                      # transparent corners are white now


# Folders only


def test_a_folder_link_that_leads_out_is_refused_and_one_inside_is_read(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "a.png").write_bytes(_png())
    (mine / "b.png").symlink_to(mine / "a.png")
    assert len(from_folder(mine, 16).images) == 2
    (tmp_path / "secret.png").write_bytes(_png())
    (mine / "c.png").symlink_to(tmp_path / "secret.png")
    assert _refusal(lambda: from_folder(mine, 16)) == "images.path"
    (mine / "c.png").unlink()
    (tmp_path / "secrets").mkdir()
    (mine / "d").symlink_to(tmp_path / "secrets")
    assert _refusal(lambda: from_folder(mine, 16)) == "images.path"


def test_links_to_themselves_and_to_nothing_are_skipped(tmp_path):
    (tmp_path / "a.png").write_bytes(_png())
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nothing.png")
    (tmp_path / "again").symlink_to(tmp_path)
    assert len(from_folder(tmp_path, 16).images) == 1


def test_a_pipe_with_a_pictures_name_is_not_opened(tmp_path):
    (tmp_path / "a.png").write_bytes(_png())
    os.mkfifo(tmp_path / "pipe.png")                          # opening it would wait for ever
    assert len(from_folder(tmp_path, 16).images) == 1


def test_a_missing_folder_is_refused(tmp_path):
    assert _refusal(lambda: from_folder(tmp_path / "missing", 16)) == "images.folder"
