from __future__ import annotations

import gzip
import os
import pickle
import socket
from pathlib import Path

import numpy as np
import pytest

from distill_cli.data.torchvision_sets import cifar10, cifar100, fashion_mnist, mnist
from distill_cli.errors import DataError

RNG = np.random.default_rng(0)


def idx(array):
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def write_mnist(root, name="MNIST", compress=False):
    folder = root / name / "raw"
    folder.mkdir(parents=True)
    for part, count in (("train", 30), ("t10k", 10)):
        arrays = {
            "images-idx3": RNG.integers(0, 256, (count, 28, 28), dtype=np.uint8),
            "labels-idx1": (np.arange(count) % 10).astype(np.uint8),
        }
        for kind, array in arrays.items():
            content = gzip.compress(idx(array)) if compress else idx(array)
            (folder / f"{part}-{kind}-ubyte{'.gz' if compress else ''}").write_bytes(content)
    return folder


def write_pickle(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=3))


def cifar_part(label_key, classes, count=20):
    data = RNG.integers(0, 256, (count, 3072), dtype=np.uint8)
    return {b"data": data, label_key: [i % classes for i in range(count)], b"filenames": [b"x.png"] * count}


def write_cifar10(root):
    folder = root / "cifar-10-batches-py"
    for name in (
        "data_batch_1",
        "data_batch_2",
        "data_batch_3",
        "data_batch_4",
        "data_batch_5",
        "test_batch",
    ):
        write_pickle(folder / name, cifar_part(b"labels", 10))
    write_pickle(folder / "batches.meta", {b"label_names": [f"class {i}".encode() for i in range(10)]})
    return folder


def write_cifar100(root):
    folder = root / "cifar-100-python"
    for name in ("train", "test"):
        write_pickle(folder / name, cifar_part(b"fine_labels", 100, count=200))
    write_pickle(folder / "meta", {b"fine_label_names": [f"class {i}".encode() for i in range(100)]})
    return folder


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzipped"])
def test_mnist_is_read_plain_and_gzipped(tmp_path, compress):
    write_mnist(tmp_path, compress=compress)
    sets = mnist(tmp_path)
    assert sets.train.images.shape == (30, 1, 28, 28) and sets.train.images.flags.writeable
    assert sets.test.labels.tolist() == list(range(10))
    assert sets.classes == tuple("0123456789")


def test_fashion_mnist_has_class_names(tmp_path):
    write_mnist(tmp_path, "FashionMNIST")
    assert fashion_mnist(tmp_path).classes[7:] == ("Sneaker", "Bag", "Ankle boot")


def test_cifar10_joins_its_batches(tmp_path):
    write_cifar10(tmp_path)
    sets = cifar10(tmp_path)
    assert sets.train.images.shape == (100, 3, 32, 32) and len(sets.test) == 20
    assert sets.classes[9] == "class 9"


def test_cifar100_has_fine_labels(tmp_path):
    write_cifar100(tmp_path)
    sets = cifar100(tmp_path)
    assert sets.train.labels.max() == 99 and len(sets.classes) == 100


@pytest.mark.parametrize("source", [mnist, fashion_mnist, cifar10, cifar100])
def test_the_pixels_and_labels_are_torchvision_s(real_data, source):
    datasets = pytest.importorskip("torchvision.datasets")
    kind = {mnist: "MNIST", fashion_mnist: "FashionMNIST", cifar10: "CIFAR10", cifar100: "CIFAR100"}[source]
    try:
        theirs = {
            part: getattr(datasets, kind)(real_data, train=part == "train") for part in ("train", "test")
        }
    except RuntimeError:
        pytest.skip(f"{kind} is not there")
    sets = source(real_data)
    if source is not mnist:  # theirs are "0 - zero"
        assert sets.classes == tuple(theirs["train"].classes)
    for part, split in (("train", sets.train), ("test", sets.test)):
        pixels = np.asarray(theirs[part].data)
        pixels = pixels.transpose(0, 3, 1, 2) if pixels.ndim == 4 else pixels[:, None]
        assert np.array_equal(split.images, pixels)
        assert split.labels.tolist() == list(map(int, theirs[part].targets))


class Hostile:
    """Runs a command when it is unpickled, unless that is refused."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize(
    "hostile",
    [Hostile(os.system, "touch HACKED"), Hostile(eval, "open('HACKED', 'w')"), Hostile(getattr, (), "count")],
    ids=["os.system", "eval", "getattr"],
)
def test_a_pickle_that_calls_something_is_refused(tmp_path, monkeypatch, hostile, protocol):
    monkeypatch.chdir(tmp_path)
    folder = write_cifar100(tmp_path)
    (folder / "meta").write_bytes(pickle.dumps({b"fine_label_names": hostile}, protocol=protocol))
    with pytest.raises(DataError, match=r"refused to unpickle .*cifar-100-python/meta: it asks for "):
        cifar100(tmp_path)
    assert not (tmp_path / "HACKED").exists()


@pytest.mark.parametrize(
    "content",
    [
        {},
        [1, 2],
        {b"data": np.zeros((4, 3072), np.float32), b"fine_labels": [0] * 4},
        {b"data": np.zeros((4, 3071), np.uint8), b"fine_labels": [0] * 4},
        {b"data": np.zeros((4, 3072), np.uint8), b"fine_labels": [0] * 5},
        {b"data": np.zeros((4, 3072), np.uint8), b"fine_labels": [0, 1, 2, 100]},
        {b"data": np.zeros((4, 3072), np.uint8), b"fine_labels": [0, 1, 2, -1]},
        {b"data": np.zeros((4, 3072), np.uint8), b"fine_labels": ["a", "b", "c", "d"]},
        {b"data": np.array([None] * 4), b"fine_labels": [0] * 4},
    ],
)
def test_cifar_files_with_something_else_in_them_are_named(tmp_path, content):
    write_pickle(write_cifar100(tmp_path) / "train", content)
    with pytest.raises(DataError, match="cifar-100-python/train"):
        cifar100(tmp_path)


def test_a_cifar_file_cut_off_anywhere_is_named(tmp_path):
    path = write_cifar100(tmp_path) / "test"
    content = path.read_bytes()
    for size in [*range(0, len(content), len(content) // 16), len(content) - 1]:
        path.write_bytes(content[:size])
        with pytest.raises(DataError, match="cifar-100-python/test") as caught:
            cifar100(tmp_path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzipped"])
def test_an_idx_file_cut_off_anywhere_is_named(tmp_path, compress):
    folder = write_mnist(tmp_path, compress=compress)
    path = next(folder.glob("t10k-images*"))
    content = path.read_bytes()
    for size in [*range(20), *range(20, len(content), len(content) // 16), len(content) - 1]:
        path.write_bytes(content[:size])
        with pytest.raises(DataError, match="t10k-images"):
            mnist(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train-labels-idx1-ubyte", idx(np.zeros(29, np.uint8))),
        ("train-labels-idx1-ubyte", idx(np.full(30, 10, np.uint8))),
        ("train-labels-idx1-ubyte", idx(np.zeros((30, 1, 1), np.uint8))),
        ("train-images-idx3-ubyte", idx(np.zeros(30, np.uint8))),
        ("train-images-idx3-ubyte", b"\0\0\x0d\3" + idx(np.zeros((30, 2, 2), np.uint8))[4:]),
        ("train-images-idx3-ubyte", b"\0\0\x08\3" + b"\xff" * 12),
        ("train-images-idx3-ubyte", b"<html>404</html>"),
    ],
)
def test_idx_files_with_something_else_in_them_are_named(tmp_path, name, content):
    (write_mnist(tmp_path) / name).write_bytes(content)
    with pytest.raises(DataError, match="MNIST/raw/train-"):
        mnist(tmp_path)


@pytest.mark.parametrize("source", [mnist, fashion_mnist, cifar10, cifar100])
def test_without_files_and_network_one_line_says_what_to_do(tmp_path, no_network, capfd, source):
    root = tmp_path / "not" / "there"
    with pytest.raises(DataError, match=r"no .* in .*put the files there or set paths\.data=DIR") as caught:
        source(root)
    assert str(root) in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "not").exists()
    assert capfd.readouterr().out == ""


def test_a_failed_download_leaves_what_was_there(tmp_path, no_network):
    folder = write_mnist(tmp_path)
    (folder / "train-images-idx3-ubyte").unlink()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match="no train-images-idx3-ubyte"):
        mnist(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_download_lands_in_its_place_and_keeps_stdout_clean(tmp_path, monkeypatch, capfd):
    torchvision = pytest.importorskip("torchvision")
    patience = []

    def fetch(root, download):
        print("100 %")
        patience.append(socket.getdefaulttimeout())
        write_cifar100(Path(root))

    monkeypatch.setattr(torchvision.datasets, "CIFAR100", fetch)
    assert len(cifar100(tmp_path / "data").train) == 200
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["cifar-100-python"]
    assert capfd.readouterr().out == ""
    assert patience == [20] and socket.getdefaulttimeout() is None


def test_an_interrupted_download_leaves_nothing_that_looks_like_a_data_set(tmp_path, monkeypatch):
    torchvision = pytest.importorskip("torchvision")

    def fetch(root, download):
        write_cifar100(Path(root))
        raise KeyboardInterrupt

    monkeypatch.setattr(torchvision.datasets, "CIFAR100", fetch)
    with pytest.raises(KeyboardInterrupt):
        cifar100(tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_root_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"paths\.data=DIR"):
        mnist(tmp_path / "file" / "below")
