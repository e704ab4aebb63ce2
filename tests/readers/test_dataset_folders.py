"""Folders as the library `datasets` saves them: what their columns become, and what is refused."""

from __future__ import annotations

import io
import json
from importlib.util import find_spec

import duckdb
import numpy as np
import pytest
import torch
from PIL import Image

from holdfast.core.errors import HoldfastError
from holdfast.readers import read_data

LABEL = {"names": ["no", "yes"], "_type": "ClassLabel"}
arrow = pytest.mark.skipif(find_spec("pyarrow") is None, reason="pyarrow (extra hf) is absent")


def save(folder, file, query, **features):
    """A Parquet file, described as `datasets` does."""
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    duckdb.sql(f"copy ({query}) to '{folder / file}' (format parquet)")
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
    return folder


def code_of(spec, **more) -> str:
    with pytest.raises(HoldfastError) as caught:
        read_data(spec, **more)
    assert caught.value.says and caught.value.fix
    return caught.value.code


def picture(value: int, mode: str = "L", side: int = 4) -> bytes:
    raw = io.BytesIO()
    Image.new(mode, (side, side), value if mode == "L" else (value, 0, 0)).save(raw, "PNG")
    return raw.getvalue()


def pictures(folder, *raws: bytes, path: str = "null"):
    rows = ", ".join(
        f"({{'bytes': '{''.join(f'{chr(92)}x{b:02X}' for b in raw)}'::blob, 'path': {path}}}, {k})"
        for k, raw in enumerate(raws)
    )
    query = f"select * from (values {rows}) as t(image, label)"
    return save(folder, "data/test-00000-of-00001.parquet", query, image={"_type": "Image"})


def test_texts_with_named_classes_and_unlabelled_rows(tmp_path):
    query = (
        "select * from (values ('one', 7, 0), ('two', 8, 1), ('three', 9, -1)) t(text, n, label)"
    )
    found = read_data(save(tmp_path / "d", "name-test.parquet", query, label=LABEL))
    assert found.x == ["one", "two", "three"] and found.y.tolist() == [0, 1, -100]
    assert found.classes == ("no", "yes") and found.truth.name == "d"


def test_tables_and_shards_in_their_order(tmp_path):
    for k in range(3):
        query = f"select {k}::double as a, 2 as b, {k % 2} as label"
        save(tmp_path, f"data/train-0000{k}-of-00003.parquet", query, label=LABEL)
    found = read_data(tmp_path)
    assert found.x.tolist() == [[0, 2], [1, 2], [2, 2]] and found.truth.columns == ("a", "b")
    assert read_data(tmp_path, target="b").y.tolist() == [2, 2, 2]


def test_the_test_split_is_read_where_there_are_several(tmp_path):
    for split, value in (("train", 1), ("test", 2), ("validation", 3)):
        save(tmp_path / "a", f"name-{split}.parquet", f"select {value} as v, 0 as label")
        save(tmp_path / "b" / split, "data.parquet", f"select {value} as v, 0 as label")
    (tmp_path / "b" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert read_data(tmp_path / "a").x.tolist() == read_data(tmp_path / "b").x.tolist() == [[2]]


def test_arrays_and_bytes_of_pictures(tmp_path):
    query = "select [[0.5::float, 1], [2, 3]] as values_, 1 as label"
    found = read_data(save(tmp_path / "a", "x.parquet", query, label=LABEL))
    assert found.x.tolist() == [[[[0.5, 1], [2, 3]]]] and found.classes == ("no", "yes")
    query = "select [[255::utinyint, 0::utinyint]] as x, 1 as label"
    assert read_data(save(tmp_path / "b", "x.parquet", query)).x.max() == 1
    query = "select [[255, 0], [0, 0]] as x, 1 as label"
    told = {"_type": "Array2D", "shape": [2, 2], "dtype": "uint8"}
    assert read_data(save(tmp_path / "c", "x.parquet", query, x=told)).x.max() == 1


def test_pictures_inside_a_column(tmp_path):
    found = read_data(pictures(tmp_path / "grey", picture(51), picture(255)))
    assert found.x.shape == (2, 1, 4, 4) and found.x[:, 0, 0, 0].tolist() == pytest.approx([0.2, 1])
    assert found.y.tolist() == [0, 1]
    found = read_data(pictures(tmp_path / "mixed", picture(51), picture(255, "RGB")))
    assert found.x.shape == (2, 3, 4, 4) and found.x[1, :, 0, 0].tolist() == [1, 0, 0]


def test_paths_in_a_column_are_not_followed(tmp_path):
    (tmp_path / "secret.png").write_bytes(picture(9))
    query = (
        f"select {{'bytes': null::blob, 'path': '{tmp_path / 'secret.png'}'}} as image, 0 as label"
    )
    assert code_of(save(tmp_path / "d", "test.parquet", query)) == "E0162"
    folder = tmp_path / "linked"
    save(folder, "test.parquet", "select 1 as a, 0 as label")
    (folder / "test.parquet").rename(tmp_path / "elsewhere.parquet")
    (folder / "test.parquet").symlink_to(tmp_path / "elsewhere.parquet")
    assert code_of(folder) == "E0162"


def test_pictures_that_are_none_are_refused(tmp_path):
    assert code_of(pictures(tmp_path / "a", b"no picture")) == "E0413"
    assert code_of(pictures(tmp_path / "b", picture(1), picture(1, side=5))) == "E0205"
    assert code_of(pictures(tmp_path / "c", picture(1)[:-20])) == "E0413"
    assert code_of(pictures(tmp_path / "d", picture(1, side=2000)), max_bytes=1 << 20) == "E0410"


def test_folders_that_are_unclear_or_damaged_are_refused(tmp_path):
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "dataset_info.json").write_text("{}")
    assert code_of(folder) == "E0162"
    save(folder, "x.parquet", "select 'a' as one, 'b' as two, 0 as label")
    assert code_of(folder) == "E0161" and code_of(folder, target="z") == "E0132"
    save(folder, "x.parquet", "select 'a' as text, 5 as label", label=LABEL)
    assert code_of(folder) == "E0204"
    save(folder, "x.parquet", "select null::double as a, 0 as label")
    assert code_of(folder) == "E0207"
    save(folder, "x.parquet", "select 1 as label")
    assert code_of(folder) == "E0206"
    save(folder, "x.parquet", "select unnest([[1], [1, 2]]) as x, 1 as label")
    assert code_of(folder) == "E0203"
    (folder / "x.parquet").write_bytes((folder / "x.parquet").read_bytes()[:-30])
    assert code_of(folder) == "E0414"
    for text in ("[]", '{"features": [1]}', "[" * 99_999, '{"features": '):
        (folder / "dataset_info.json").write_text(text)
        assert code_of(folder) in ("E0162", "E0414")


def test_well_packed_files_are_not_unpacked_beyond_the_limit(tmp_path):
    query = "select repeat('a', 1000) as text, 0 as label from range(20000)"
    folder = save(tmp_path, "test.parquet", query)
    assert (folder / "test.parquet").stat().st_size < 1 << 17
    assert code_of(folder, max_bytes=1 << 22) == "E0410"


def test_arrow_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "state.json").write_text("{}")
    (tmp_path / "dataset_info.json").write_text("{}")
    (tmp_path / "data-00000-of-00001.arrow").write_bytes(b"\xff\xff\xff\xff" + bytes(60))
    with pytest.raises(HoldfastError, match="pyarrow") as caught:
        read_data(tmp_path)
    assert caught.value.code == "E0603" and "pip install 'holdfast[hf]'" in caught.value.fix


@arrow
@pytest.mark.parametrize("kind", ["stream", "file"])
def test_arrow_rows_are_those_of_parquet(tmp_path, kind):
    import pyarrow as pa

    made = pa.table({"text": ["a", "b"], "label": [1, 0]})
    opened = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
    with opened(str(tmp_path / "data-00000-of-00001.arrow"), made.schema) as sink:
        sink.write_table(made)
    (tmp_path / "dataset_info.json").write_text(json.dumps({"features": {"label": LABEL}}))
    found = read_data(tmp_path)
    assert found.x == ["a", "b"] and found.y.tolist() == [1, 0] and found.classes == ("no", "yes")
    alone = read_data(tmp_path / "data-00000-of-00001.arrow")
    assert alone.x == found.x and torch.equal(alone.y, found.y)


@arrow
def test_damaged_arrow_is_refused(tmp_path):
    import pyarrow as pa

    file = tmp_path / "rows.arrow"
    made = pa.table({"x": [[float(k)] * 8 for k in range(50)], "label": [0] * 50})
    with pa.ipc.new_stream(str(file), made.schema) as sink:
        sink.write_table(made)
    assert read_data(file).x.shape == (50, 8)
    whole, g = file.read_bytes(), np.random.default_rng(0)
    assert code_of(file, max_bytes=1000) == "E0410"
    file.write_bytes(whole[: len(whole) // 2])
    assert code_of(file) == "E0414"
    for _ in range(40):
        raw = bytearray(whole)
        for place in g.integers(4, len(raw), 4):
            raw[place] = g.integers(256)
        file.write_bytes(bytes(raw))
        try:
            read_data(file)
        except HoldfastError:
            continue
