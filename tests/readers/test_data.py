"""Every form of data gives the rows that were written."""

import gzip
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, HoldfastError, ShapeError, UntrustedFile
from holdfast.readers import Origin, read_data
from holdfast.readers.arrays import as_inputs, as_labels
from holdfast.readers.origin import origin


def test_digits_are_those_of_sklearn():
    from sklearn.datasets import load_digits

    raw, batches = load_digits(), read_data("digits")
    assert torch.equal((batches.x[:, 0] * 16).long(), torch.tensor(raw.images).long())
    assert torch.equal(batches.y, torch.tensor(raw.target)) and batches.x.max() == 1


def test_npz(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), np.uint8)
    np.savez(tmp_path / "a.bin", images=x, labels=np.array(["b", "a", "c", "a", "b"]))
    batches = read_data(tmp_path / "a.bin.npz")
    assert batches.x.shape == (5, 3, 4, 6) and batches.classes == ("a", "b", "c")
    assert torch.equal(batches.x[2, 1, 3, 5], torch.tensor(float(x[2, 3, 5, 1])) / 255)
    assert batches.y.tolist() == [1, 0, 2, 0, 1]
    (tmp_path / "a.bin.npz").rename(tmp_path / "rows.csv")  # contents count, not the suffix
    assert len(read_data(tmp_path / "rows.csv")) == 5


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ((5, 8, 8), (5, 1, 8, 8)), ((5, 3, 8, 9), (5, 3, 8, 9)), ((5, 8, 9, 3), (5, 3, 8, 9)),
        ((5, 3, 32, 3), (5, 3, 32, 3)), ((5, 7, 8, 9), (5, 7, 8, 9)), ((5, 7), (5, 7)),
    ],
)  # fmt: skip
def test_layout_by_the_rule(given, read):
    assert as_inputs(np.zeros(given, np.float32)).shape == read


def test_only_bytes_are_divided():
    assert as_inputs(np.full((1, 2, 2), 255, np.uint8)).max() == 1
    assert as_inputs(np.full((1, 2, 2), 255.0)).max() == 255


def test_labels():
    assert as_labels(np.array([[1], [0]]))[0].tolist() == [1, 0]
    assert as_labels(np.array([2.0, -100.0]))[0].tolist() == [2, -100]
    for wrong in ([0.5], [-1], [[0, 1]], [10**6]):
        with pytest.raises(ShapeError):
            as_labels(np.array(wrong))


def idx(array):
    return (
        bytes([0, 0, 8, array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.tobytes()
    )


@pytest.mark.parametrize("packed", [False, True])
def test_idx(tmp_path, packed):
    x = np.random.default_rng(0).integers(0, 256, (7, 5, 4), np.uint8)
    y = np.arange(7, dtype=np.uint8)
    write = gzip.compress if packed else bytes
    end = ".gz" if packed else ""
    for part, pixels in (("t10k", x), ("train", x[::-1])):
        (tmp_path / f"{part}-images-idx3-ubyte{end}").write_bytes(write(idx(pixels)))
        (tmp_path / f"{part}-labels-idx1-ubyte{end}").write_bytes(write(idx(y)))
    for spec in (tmp_path, tmp_path / f"t10k-images-idx3-ubyte{end}"):
        batches = read_data(spec)
        assert torch.equal((batches.x[:, 0] * 255).round().byte(), torch.from_numpy(x))
        assert batches.y.tolist() == list(range(7))
    first = read_data(tmp_path / f"train-images-idx3-ubyte{end}").x[0, 0]
    assert torch.equal((first * 255).round().byte(), torch.from_numpy(x[-1]))


def test_idx_with_too_few_bytes(tmp_path):
    (tmp_path / "a-images").write_bytes(idx(np.zeros((3, 2, 2), np.uint8))[:-1])
    (tmp_path / "a-labels").write_bytes(idx(np.zeros(3, np.uint8)))
    with pytest.raises(UntrustedFile):
        read_data(tmp_path / "a-images")


def pictures(root, mode="RGB", size=(4, 3)):
    for label, name in enumerate(("zebra", "ant")):
        (root / name).mkdir(parents=True)
        for k in range(6):
            colour = 40 * label + k
            fill = colour if mode == "L" else (colour, 0, 200)
            Image.new(mode, size, fill).save(root / name / f"{k}.png")


def test_image_folder(tmp_path):
    pictures(tmp_path / "data" / "test")
    (tmp_path / "data" / "train").mkdir()
    batches = read_data(tmp_path / "data")
    assert batches.classes == ("ant", "zebra") and batches.x.shape == (12, 3, 3, 4)
    assert (batches.x[0, :, 0, 0] * 255).round().tolist() == [40, 0, 200]
    assert (batches.x[-1, :, 0, 0] * 255).round().tolist() == [5, 0, 200]
    few = read_data(tmp_path / "data", limit=4)
    assert few.y.tolist() == [0, 0, 1, 1] and origin(few).total == 12
    assert torch.equal(few.x, batches.x[few.index])


def test_grey_folder_has_one_channel_and_sizes_must_agree(tmp_path):
    pictures(tmp_path / "a", "L")
    assert read_data(tmp_path / "a").x.shape == (12, 1, 3, 4)
    Image.new("L", (5, 5)).save(tmp_path / "a" / "ant" / "x.png")
    with pytest.raises(ShapeError, match="5x5"):
        read_data(tmp_path / "a")


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet"])
def test_tables(tmp_path, kind):
    path = tmp_path / f"odd [name]*.{kind}"
    if kind == "parquet":
        import duckdb

        rows = "(values (1, 2.5, true, 'no'), (3, -4.0, false, 'yes'), (5, 0.0, true, 'no'))"
        target = str(tmp_path / "p")
        duckdb.sql(f"copy (select * from {rows} t(a, b, c, answer)) to '{target}' (format parquet)")
        (tmp_path / "p").rename(path)
    else:
        text = "a,b,c,answer\n1,2.5,true,no\n3,-4.0,false,yes\n5,0.0,true,no\n"
        path.write_text(text.replace(",", "\t") if kind == "tsv" else text)
    batches = read_data(path, target="answer")
    assert batches.x.tolist() == [[1, 2.5, 1], [3, -4, 0], [5, 0, 1]]
    assert batches.y.tolist() == [0, 1, 0] and batches.classes == ("no", "yes")
    assert batches.truth.columns == ("a", "b", "c") and batches.truth.form == "table"


@pytest.mark.parametrize(
    ("text", "target", "says"),
    [
        ("a,y\n1,0\n2,1\n", None, "--target y"),
        ("a,y\n1,0\n2,1\n", "Y2", "--target y"),
        ("a,y\nred,0\nblue,1\n", "y", "holds texts"),
        ("a,y\n1,0\n,1\n", "y", "no value in 1 of 2"),
        ("a,y\n1,0.5\n2,1\n", "y", "one class per row"),
        ("a,y\n2020-01-01,0\n2021-01-01,1\n", "y", "holds dates"),
    ],
)
def test_tables_that_cannot_be_read_say_why(tmp_path, text, target, says):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(HoldfastError, match=says) as caught:
        read_data(tmp_path / "t.csv", target=target)
    assert caught.value.fix


def test_python_entries(tmp_path):
    (tmp_path / "sibling.py").write_text("SIDE = 3\n")
    (tmp_path / "mine.py").write_text(
        "import torch\nfrom sibling import SIDE\n"
        "def rows():\n    return torch.rand(6, 1, SIDE, SIDE), torch.arange(6) % 2\n"
        "def wrong():\n    return 3\n"
    )
    batches = read_data(f"{tmp_path}/mine.py:rows")
    assert batches.x.shape == (6, 1, 3, 3) and batches.truth.name == "mine.py:rows"
    for entry, code in (("wrong", "E0115"), ("row", "E0113")):
        with pytest.raises(ConfigError) as caught:
            read_data(f"{tmp_path}/mine.py:{entry}")
        assert caught.value.code == code and caught.value.fix
    with pytest.raises(ConfigError, match="no module"):
        read_data("no_such_module_here:rows")


def test_what_is_given_in_python():
    x, y = torch.rand(4, 3), torch.tensor([0, 1, 0, 1])
    batches = read_data((x, y))
    assert torch.equal(batches.x, x) and isinstance(batches.truth, Origin)
    own = Batches(x=x, y=y)
    assert read_data(own) is own


def test_a_sample_is_stratified_fixed_and_independent_of_order():
    rows = read_data("digits")
    few = read_data(rows, limit=100)
    assert len(few) == 100 and few.y.bincount(minlength=10).min() >= 9
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    again = read_data(rows.take(order), limit=100)
    assert sorted(few.index.tolist()) == sorted(again.index.tolist())
    other = read_data(rows, limit=100, seed=1)
    assert few.index.tolist() != other.index.tolist() and origin(other).total == len(rows)


@pytest.mark.parametrize(
    "spec",
    ["digit", "nothing.csv", "synthetic:cubes", "synthetic:blobs:many", "synthetic:blobs:9:many"],
)
def test_unknown_names_are_explained(spec):
    with pytest.raises(ConfigError) as caught:
        read_data(spec)
    assert caught.value.code == "E0131" and "blobs" in caught.value.fix


def test_settings_of_a_source_stand_behind_its_rows():
    named = read_data("synthetic:slabs:40:size=7:corrupt=1")
    assert named.x.shape == (40, 7) and origin(named).name == "synthetic:slabs:size=7:corrupt=1"
    usual, corrupt = read_data("synthetic:slabs:40"), read_data("synthetic:slabs:corrupt=1")
    assert usual.x.shape == (40, 20) and corrupt.x.shape == (1000, 20)
    assert torch.equal(usual.x[:, 1:], corrupt.x[:40, 1:])  # the same draws
    assert not torch.equal(usual.x[:, 0], corrupt.x[:40, 0])
    for wrong in ("sise=7", "size=none", "corrupt=2"):
        with pytest.raises(ConfigError) as caught:
            read_data(f"synthetic:slabs:40:{wrong}")
        assert caught.value.code == "E0101" and wrong.split("=")[0] in str(caught.value)


def test_empty_and_foreign_files(tmp_path):
    for name, raw in (("empty", b""), ("binary", b"\x01\0\x02" * 99)):
        (tmp_path / name).write_bytes(raw)
        with pytest.raises(ConfigError):
            read_data(tmp_path / name)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(ConfigError, match="one array"):
        read_data(tmp_path / "one.npy")
    with pytest.raises(ConfigError, match="no folders"):
        read_data(tmp_path)
