"""Data sets: the idx parser, where files are looked for, what is said when they are missing or corrupt."""

import functools
import gzip
import hashlib
import http.server
import os
import struct
import threading
import time
import traceback
from typing import Any

import numpy as np
import pooch
import pytest
import requests

from qsynapse_jax.datasets import Dataset, DatasetUnavailable, _files, load, read_idx

FILES = (_files.TRAIN_IMAGES, _files.TRAIN_LABELS, _files.TEST_IMAGES, _files.TEST_LABELS)
CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
REAL_DATA = os.environ.get("QSYNAPSE_DATA")


def idx_bytes(array):
    """The idx file of an array, uncompressed; written from the format, not from the reader."""
    kind = array.dtype.str[1:]
    head = bytes([0, 0, CODES[kind], array.ndim]) + b"".join(struct.pack(">I", n) for n in array.shape)
    return head + array.astype(">" + kind).tobytes()


def write_idx(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(idx_bytes(array)))
    return path


def write_set(folder, *, seed=0, n_train=6, n_test=4, shape=(3, 2)):
    """A data set of random bytes in the four files; returns its arrays by file name."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for n, images, labels in ((n_train, *FILES[:2]), (n_test, *FILES[2:])):
        arrays[images] = rng.integers(0, 256, (n, *shape), dtype=np.uint8)
        arrays[labels] = rng.integers(0, 10, n, dtype=np.uint8)
    for file, array in arrays.items():
        write_idx(folder / file, array)
    return arrays


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Every test has its own cache and no `QSYNAPSE_DATA`; a download without a server is refused at once."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(pooch, "os_cache", lambda project: folder)
    monkeypatch.delenv("QSYNAPSE_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name, source in _files.SOURCES.items():
        # Port 9 (discard) of this machine: nothing listens there.
        monkeypatch.setitem(_files.SOURCES, name, source._replace(url="http://127.0.0.1:9/"))
    return folder


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A web server on this machine that publishes a small set as MNIST; gives its folder and arrays."""
    folder = tmp_path / "served"
    arrays = write_set(folder)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *args: None)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        hashes = {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in FILES}
        source = _files.Source(f"http://127.0.0.1:{httpd.server_port}/", hashes)
        monkeypatch.setitem(_files.SOURCES, "mnist", source)
        yield folder, arrays
        httpd.shutdown()
        thread.join()


@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4), (1, 2, 1, 2), (0, 3)])
def test_read_idx_returns_what_was_written(tmp_path, kind, shape):
    array = np.random.default_rng(1).normal(0, 50, shape).astype(kind)
    got = read_idx(write_idx(tmp_path / "a.gz", array))
    np.testing.assert_array_equal(got, array)
    assert (got.dtype, got.shape) == (np.dtype(kind), shape)
    assert got.dtype.isnative
    assert got.flags.writeable


def test_read_idx_byte_order_against_a_file_spelled_out(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(bytes.fromhex("00000b02 00000001 00000002 0102 fffe")))
    np.testing.assert_array_equal(read_idx(path), np.array([[258, -2]], dtype=np.int16))


GOOD = idx_bytes(np.arange(12, dtype=np.uint8).reshape(3, 4))
NOISE = idx_bytes(np.random.default_rng(0).integers(0, 256, 4000, dtype=np.uint8))


@pytest.mark.parametrize(
    ("content", "defect"),
    [
        pytest.param(gzip.compress(GOOD)[:-9], "truncated: the gzip stream ends too early", id="truncated-gzip"),
        pytest.param(GOOD, "not a sound gzip file", id="unpacked"),
        pytest.param(b"<html>404</html>", "not a sound gzip file", id="web-page"),
        pytest.param(
            gzip.compress(NOISE)[:500] + bytes(100) + gzip.compress(NOISE)[600:],
            "not a sound gzip file",
            id="flipped",
        ),
        pytest.param(gzip.compress(GOOD)[:10] + b"\xff" * 9, "not a sound gzip file", id="bad-deflate"),
        pytest.param(gzip.compress(b""), "holds 0 bytes", id="empty"),
        pytest.param(gzip.compress(b"\x00\x01" + GOOD[2:]), "magic number 0x00010802", id="magic-zeros"),
        pytest.param(gzip.compress(b"\x00\x00\x0a\x02" + GOOD[4:]), "magic number 0x00000a02", id="magic-type"),
        pytest.param(gzip.compress(b"\x00\x00\x08\xff" + bytes(2000)), "magic number 0x000008ff", id="255-dimensions"),
        pytest.param(gzip.compress(GOOD[:10]), "ends inside its header of 2 dimensions", id="header"),
        pytest.param(gzip.compress(GOOD[:-1]), r"shape \(3, 4\), 12 bytes, but 11 bytes follow", id="too-few"),
        pytest.param(gzip.compress(GOOD + b"\0"), r"shape \(3, 4\), 12 bytes, but 13 bytes follow", id="too-many"),
        # 2**32 elements per axis would overflow a 64-bit product to a small number.
        pytest.param(gzip.compress(b"\0\0\x08\x04" + b"\xff" * 16), "but 0 bytes follow", id="overflow"),
    ],
)
def test_read_idx_names_the_defect(tmp_path, content, defect):
    path = tmp_path / "broken.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=defect) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)
    assert "Delete it and download it again" in str(caught.value)


def test_read_idx_absent_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.gz"):
        read_idx(tmp_path / "absent.gz")


@pytest.mark.parametrize(
    ("file", "array", "defect"),
    [
        (FILES[0], np.zeros((6, 6), np.uint8), r"must have 3 dimension\(s\), but has 2"),
        (FILES[3], np.zeros((4, 1), np.uint8), r"must have 1 dimension\(s\), but has 2"),
        (FILES[1], np.zeros(6, np.int32), "must be unsigned bytes, but are int32"),
        (FILES[1], np.zeros(5, np.uint8), "it has 5 labels for the 6 images of train-images"),
        (FILES[3], np.array([0, 9, 10, 3], np.uint8), r"labels must lie in 0\.\.9, but one is 10"),
        (
            FILES[2],
            np.zeros((4, 2, 3), np.uint8),
            r"images have shape \(2, 3\), those of train-images.* \(3, 2\)",
        ),
        (FILES[0], np.zeros((0, 3, 2), np.uint8), r"it is empty, of shape \(0, 3, 2\)"),
    ],
)
def test_load_names_the_file_the_defect_and_the_remedy(tmp_path, file, array, defect):
    write_set(tmp_path)
    write_idx(tmp_path / file, array)
    with pytest.raises(ValueError, match=defect) as caught:
        load("mnist", folder=tmp_path)
    message = str(caught.value)
    assert message.startswith(f"File {tmp_path / file} cannot be used")
    assert "Delete it and download it again" in message
    assert _files.SOURCES["mnist"].sha256[file] in message


def test_load_gives_the_official_sha256_of_a_file_that_cannot_be_parsed(tmp_path):
    write_set(tmp_path)
    (tmp_path / FILES[2]).write_bytes(b"no gzip")
    sha256 = _files.SOURCES["fashion_mnist"].sha256[FILES[2]]
    with pytest.raises(ValueError, match=rf"not a sound gzip file.*Delete it.*sha256 {sha256}"):
        load("fashion_mnist", folder=tmp_path)


def assert_is(data: Dataset, arrays):
    for x, y, images, labels in ((*data.train, *FILES[:2]), (*data.test, *FILES[2:])):
        assert (x.dtype, y.dtype) == (np.float32, np.int32)
        np.testing.assert_array_equal(np.rint(x * 255).reshape(arrays[images].shape), arrays[images])
        np.testing.assert_array_equal(y, arrays[labels])
    assert data.image_shape == arrays[FILES[0]].shape[1:]
    assert data.n_classes == 10


def test_places_in_order(tmp_path, monkeypatch, server):
    _, published = server
    own, env = write_set(tmp_path / "own", seed=1, shape=(5, 4)), write_set(tmp_path / "env" / "mnist", seed=2)
    assert_is(load("mnist"), published)
    monkeypatch.setenv("QSYNAPSE_DATA", str(tmp_path / "env"))
    assert_is(load("mnist"), env)
    assert_is(load("mnist", folder=tmp_path / "own"), own)
    assert_is(load("fashion-mnist", folder=tmp_path / "own"), own)
    assert_is(load("fashion", folder=tmp_path / "own"), own)
    # A set short of one file is passed over as a whole, never completed from elsewhere.
    (tmp_path / "env" / "mnist" / FILES[3]).unlink()
    assert_is(load("mnist"), published)


def test_a_given_folder_is_the_only_place_looked_at(tmp_path, server):
    with pytest.raises(DatasetUnavailable, match=r"Argument `folder` must hold .* lacks train-images"):
        load("mnist", folder=tmp_path)
    write_set(tmp_path / "mnist")
    with pytest.raises(DatasetUnavailable, match=r"They are in .*mnist: pass that"):
        load("mnist", folder=tmp_path)


def test_folders_that_do_not_exist(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"Argument `folder` must name an existing folder, but .*nowhere"):
        load("mnist", folder=tmp_path / "nowhere")
    monkeypatch.setenv("QSYNAPSE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match=r"QSYNAPSE_DATA must name an existing folder, but .*nowhere"):
        load("mnist")


def test_download_fills_the_cache_and_the_cache_serves_offline(cache, server, monkeypatch):
    _, arrays = server
    assert_is(load("mnist"), arrays)
    assert sorted(os.listdir(cache / "mnist")) == sorted(FILES)
    source = _files.SOURCES["mnist"]
    monkeypatch.setitem(_files.SOURCES, "mnist", source._replace(url="http://127.0.0.1:9/"))
    assert_is(load("mnist"), arrays)


def test_download_replaces_an_altered_file_of_the_cache(cache, server):
    _, arrays = server
    write_set(cache / "mnist", seed=5)
    assert_is(load("mnist"), arrays)


def test_offline_message_says_what_to_do_and_comes_at_once(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("QSYNAPSE_DATA", str(tmp_path))
    start = time.monotonic()
    with pytest.raises(DatasetUnavailable) as caught:
        load("fashion-mnist")
    assert time.monotonic() - start < 5  # a refusal takes milliseconds; the rest is for busy machines
    message = str(caught.value)
    for file, sha256 in _files.SOURCES["fashion_mnist"].sha256.items():
        assert f"http://127.0.0.1:9/{file}" in message
        assert sha256 in message
    assert f"QSYNAPSE_DATA: {tmp_path / 'fashion_mnist'} lacks {', '.join(FILES)}" in message
    assert f"cache: {cache / 'fashion_mnist'}: lacks {', '.join(FILES)}" in message
    assert "no connection" in message
    assert "$QSYNAPSE_DATA/fashion_mnist/" in message
    assert f"  {cache / 'fashion_mnist'}/" in message
    assert "load('digits') works without a download" in message
    assert "urllib3" not in "".join(traceback.format_exception(caught.value))
    assert isinstance(caught.value, FileNotFoundError)
    assert os.listdir(cache / "fashion_mnist") == []


def test_offline_message_without_the_variable_and_with_an_altered_cache(cache):
    write_set(cache / "mnist")
    with pytest.raises(DatasetUnavailable, match=f"QSYNAPSE_DATA: not set\n.*{FILES[0]} has not the official sha256"):
        load("mnist")


def test_wrong_sha256_leaves_no_file(cache, server):
    folder, _ = server
    write_idx(folder / FILES[0], np.zeros((6, 3, 2), np.uint8))
    with pytest.raises(DatasetUnavailable, match="what arrived has not the official sha256"):
        load("mnist")
    assert os.listdir(cache / "mnist") == []


def test_server_error_is_named_and_leaves_only_whole_files(cache, server):
    folder, _ = server
    (folder / FILES[1]).unlink()
    with pytest.raises(DatasetUnavailable, match=f"{FILES[1]}: the server answered 404"):
        load("mnist")
    assert os.listdir(cache / "mnist") == [FILES[0]]


@pytest.mark.parametrize("error", ["ConnectTimeout", "ReadTimeout"])
def test_connection_lost_midway_leaves_no_file(cache, monkeypatch, error):
    def breaks(self, url, output_file, pooch, check_only=False):
        assert max(self.kwargs["timeout"]) <= 15
        with open(output_file, "wb") as file:
            file.write(b"\x1f\x8b half")
        raise getattr(requests, error)("HTTPConnectionPool(host=...)")

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", breaks)
    with pytest.raises(DatasetUnavailable, match=f"{FILES[0]}: timed out"):
        load("mnist")
    assert os.listdir(cache / "mnist") == []


def test_cache_that_cannot_be_written(cache):
    cache.write_text("a file where the folder should be")
    with pytest.raises(DatasetUnavailable, match=r"download: .*(NotADirectory|FileExists)Error"):
        load("mnist")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("MNIST", "'mnist'"), ("fashion mnist", "'fashion_mnist'"), ("digit", "'digits'"), ("cifar", "")],
)
def test_unknown_name(name, hint):
    with pytest.raises(ValueError, match=f"Argument `name` must be one of .* but got '{name}'") as caught:
        load(name)
    message = str(caught.value)
    assert all(repr(known) in message for known in ("digits", "mnist", "fashion_mnist"))
    assert message.endswith(f"Did you mean {hint}?") if hint else "Did you mean" not in message


@pytest.mark.parametrize("seed", [-1, True])
def test_seed_must_be_a_non_negative_integer(seed):
    with pytest.raises(ValueError, match="Argument `seed` must be a non-negative integer"):
        load("digits", seed=seed)


def test_digits_are_the_bundled_ones_split_in_two():
    from sklearn.datasets import load_digits

    data = load("digits")
    whole: Any = load_digits()
    assert (data.x_train.shape, data.x_test.shape) == ((1297, 64), (500, 64))
    assert (data.x_train.dtype, data.y_train.dtype) == (np.float32, np.int32)
    assert (data.name, data.image_shape, data.n_classes) == ("digits", (8, 8), 10)
    rows = np.column_stack([np.vstack([data.x_train, data.x_test]) * 16, np.append(data.y_train, data.y_test)])
    expected = np.column_stack([whole.data, whole.target])
    np.testing.assert_array_equal(rows[np.lexsort(rows.T)], expected[np.lexsort(expected.T)])


def test_digits_test_set_is_pinned_across_versions():
    """A changed split, stratified and shuffled, would change scores; hash from scikit-learn 1.9.1, NumPy 2.4.6."""
    data = load("digits")
    content = (data.x_test * 16).astype(np.uint8).tobytes() + data.y_test.astype(np.uint8).tobytes()
    expected = "79c09b92f3b6eca6f0a695721fac3f04f9acbace148084db3cc375ac0112bc35"
    assert hashlib.sha256(content).hexdigest() == expected


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_seed_orders_the_training_examples_and_nothing_else(tmp_path, name):
    write_set(tmp_path, n_train=50)
    plain, same, mixed, again = (load(name, folder=tmp_path, seed=seed) for seed in (0, 0, 3, 3))
    for field in ("x_train", "y_train", "x_test", "y_test"):
        np.testing.assert_array_equal(getattr(plain, field), getattr(same, field))
        np.testing.assert_array_equal(getattr(mixed, field), getattr(again, field))
    np.testing.assert_array_equal(plain.x_test, mixed.x_test)
    np.testing.assert_array_equal(plain.y_test, mixed.y_test)
    assert not np.array_equal(plain.x_train, mixed.x_train)
    one, other = (np.column_stack([d.x_train, d.y_train]) for d in (plain, mixed))
    np.testing.assert_array_equal(one[np.lexsort(one.T)], other[np.lexsort(other.T)])


@pytest.mark.skipif(not REAL_DATA, reason="QSYNAPSE_DATA is not set: no real MNIST files to read")
@pytest.mark.parametrize(("name", "mean"), [("mnist", 0.1307), ("fashion_mnist", 0.2860)])
def test_real_files(monkeypatch, name, mean):
    assert REAL_DATA is not None
    folder = os.path.join(REAL_DATA, name)
    if not os.path.isdir(folder):
        pytest.skip(f"QSYNAPSE_DATA has no folder {name}")
    monkeypatch.setenv("QSYNAPSE_DATA", REAL_DATA)
    data = load(name)
    assert (data.x_train.shape, data.x_test.shape) == ((60000, 784), (10000, 784))
    assert data.image_shape == (28, 28)
    # The mean pixel that everybody normalises with, given to four digits.
    assert data.x_train.mean(dtype=np.float64) == pytest.approx(mean, abs=5e-5)
    assert set(data.y_test.tolist()) == set(range(10))
    assert data.y_train[:5].tolist() == ([5, 0, 4, 1, 9] if name == "mnist" else [9, 0, 0, 3, 0])
    for file, sha256 in _files.SOURCES[name].sha256.items():
        with open(os.path.join(folder, file), "rb") as stream:
            assert hashlib.sha256(stream.read()).hexdigest() == sha256
