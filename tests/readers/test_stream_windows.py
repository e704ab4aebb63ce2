"""Windows of a stream: the same rows from every format, in order, sampled, never all at once."""

from __future__ import annotations

import gzip
from pathlib import Path

import duckdb
import numpy as np
import pytest

from holdfast.core.errors import ConfigError, HoldfastError, ShapeError, UntrustedFile
from holdfast.measures.data.columns import parsed, words
from holdfast.readers.blocks import blocks
from holdfast.readers.stream import files, whole, windows

TEXT = 'a,"b, c"\n1,red\n,"two\nlines"\n3.5,NA\n4,blue\n5,\n'


def only(path: Path, **more):
    (found,) = windows(str(path), **more)
    return found


@pytest.mark.parametrize("form", ["csv", "tsv", "gz", "parquet", "npz"])
def test_every_format_gives_the_same_rows(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"rows.{form}"
    if form == "gz":
        path.write_bytes(gzip.compress(TEXT.encode()))
    elif form == "parquet":
        (tmp_path / "t.csv").write_text(TEXT)
        table = duckdb.read_csv(str(tmp_path / "t.csv"), na_values=["NA", ""])
        table.write_parquet(str(path))
    elif form == "npz":
        texts = np.array(["red", "two\nlines", "NA", "blue", ""])
        np.savez(path, **{"a": np.array([1, np.nan, 3.5, 4, 5]), "b, c": texts})
    else:
        path.write_text(TEXT if form == "csv" else TEXT.replace("b, c", "b~c").replace(
            ",", "\t").replace("~", ", "))  # fmt: skip
    found = only(path)
    assert found.n == found.whole == 5 and list(found.columns) == ["a", "b, c"]
    numbers, texts = parsed(found.columns["a"])
    np.testing.assert_array_equal(numbers, [1, np.nan, 3.5, 4, 5])
    assert not texts.any()
    assert list(words(found.columns["b, c"])) == ["red", "two\nlines", "blue"]


def test_a_file_is_cut_into_windows(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a\n" + "\n".join(map(str, range(10))) + "\n")
    found = list(windows(str(path), rows=4))
    assert [w.name for w in found] == ["rows.csv:1-4", "rows.csv:5-8", "rows.csv:9-10"]
    assert [list(w.columns["a"]) for w in found] == [list("0123"), list("4567"), list("89")]


def test_windows_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a\n1\n2\n3\n" + "x" * (1 << 23))  # a line that is refused
    stream = windows(str(path), rows=2)
    assert next(stream).n == 2
    with pytest.raises(UntrustedFile, match="line of more"):
        list(stream)


def test_files_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("w10.csv", "w9.csv", ".hidden", "a.csv"):
        (tmp_path / name).write_text("a\n1\n")
    assert [p.name for p in files(str(tmp_path))] == ["a.csv", "w9.csv", "w10.csv"]


def test_a_limit_draws_rows_evenly_and_the_same_each_time(tmp_path: Path) -> None:
    for part in range(2):
        rows = range(1000 * part, 1000 * part + 1000)
        (tmp_path / f"{part}.csv").write_text("a,id\n" + "".join(f"{k},u{k}\n" for k in rows))
    found = whole(str(tmp_path), limit=500, ignore=("id",), seed=3)
    again = whole(str(tmp_path), limit=500, ignore=("id",), seed=3)
    numbers = parsed(found.columns["a"])[0]
    assert list(found.columns) == ["a"] and (found.n, found.whole) == (500, 2000)
    assert list(numbers) == sorted(set(numbers)) == list(parsed(again.columns["a"])[0])
    assert 200 < (numbers < 1000).sum() < 300
    other = parsed(whole(str(tmp_path), limit=500, seed=4).columns["a"])[0]
    assert set(other) != set(numbers)


def test_rows_with_the_wrong_number_of_fields_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,2\n3\n4,5,6\n")
    found = only(path)
    assert found.damaged == 2 and list(found.columns["b"]) == ["2", None, "5"]
    with pytest.raises(ShapeError, match="2 rows do not have"):
        whole(str(path))


def test_empty_files_are_windows_without_rows(tmp_path: Path) -> None:
    for name, text in (("0.csv", ""), ("1.csv", "a,b\n")):
        (tmp_path / name).write_text(text)
    assert [(w.n, len(w.columns)) for w in windows(str(tmp_path))] == [(0, 0), (0, 2)]


def test_pictures_become_columns(tmp_path: Path) -> None:
    x = np.zeros((5, 2, 6, 6), np.float32)
    x[:, 1, :2, 4:] = np.arange(5)[:, None, None] / 4
    np.savez(tmp_path / "x.npz", x=x.transpose(0, 2, 3, 1).repeat(2, 3)[..., :3], y=np.arange(5))
    found = only(tmp_path / "x.npz")
    assert found.x is not None and found.x.shape == (5, 3, 6, 6)
    assert list(found.columns["label"]) == list("01234")
    np.testing.assert_allclose(found.columns["brightness 2"], np.arange(5) / 4 / 9, atol=1e-6)
    np.testing.assert_allclose(found.columns["brightness 0"], 0)
    np.testing.assert_allclose(found.columns["field 1,3"], np.arange(5) / 4 / 3, atol=1e-6)
    np.savez(tmp_path / "t.npz", x=np.ones((4, 2)))
    assert list(only(tmp_path / "t.npz").columns) == ["x0", "x1"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"a,a\n1,2\n"),
        ("a.bin", b"a\0b"),
        ("a.pkl", b"\x80\x04x"),
        ("a.parquet", b"PAR1 nothing"),
        ("a.gz", b"\x1f\x8b broken"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HoldfastError, match="E0") as told:
        list(blocks(tmp_path / name, 10))
    assert told.value.fix


def test_nothing_there(tmp_path: Path) -> None:
    for source in (tmp_path / "no.csv", tmp_path):
        with pytest.raises(ConfigError, match="E0139"):
            files(str(source))
