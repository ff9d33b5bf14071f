import hashlib
import pickle
import shutil
import socket
import struct
import threading
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from playground.core import datasets, procedural
from playground.core.datasets import ImageSet, batches, load
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


def test_what_can_be_had_without_a_download_is_present(monkeypatch, tmp_path):
    monkeypatch.setenv("PLAYGROUND_DATA", str(tmp_path))
    assert [name for name in datasets.NAMES if datasets.present(name)] == list(datasets.BUILT_IN)
    assert not datasets.present("my-pictures") and not datasets.present("nowhere")
    (tmp_path / "noto_emoji_72px.zip").write_bytes(b"")
    assert datasets.present("noto-emoji")
    assert list(tmp_path.iterdir()) == [tmp_path / "noto_emoji_72px.zip"], "nothing was fetched"


@pytest.mark.data
def test_a_set_in_the_data_folder_is_present(mnist):
    assert datasets.present("mnist")
