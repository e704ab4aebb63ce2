"""Shards are read a part at a time, give the rows they hold, and say what is wrong with them."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import duckdb
import numpy as np
import pytest
import torch
from PIL import Image

from holdfast.core.digest import digest
from holdfast.core.errors import ConfigError, UntrustedFile
from holdfast.readers import shards as module
from holdfast.readers.shards import shards


def parquet(file: Path, **columns: np.ndarray) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as base:
        base.register("made", columns)
        base.execute(f"copy (select * from made) to '{file}' (format parquet)")
    return file


def table(rows: int, seed: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    return {"a": draw.random(rows), "b": draw.random(rows), "y": draw.integers(0, 3, rows)}


def tar(file: Path, *members: tuple[str, bytes]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as made:
        for name, raw in members:
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            made.addfile(info, io.BytesIO(raw))
    return file


def picture(value: int, size: int = 4, mode: str = "RGB") -> bytes:
    made = io.BytesIO()
    Image.new(mode, (size, size), (value,) * len(mode) if mode != "L" else value).save(made, "PNG")
    return made.getvalue()


def test_parts_of_parquet_give_every_row_once_with_its_place(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST", 7)
    tables = [table(20, 0), table(3, 1), table(14, 2)]
    for k, made in zip((2, 10, 1), tables, strict=True):  # 1, 2, 10: numbers by their size
        parquet(tmp_path / "s" / f"s{k}.parquet", **made)
    found = shards(str(tmp_path / "s"))
    assert len(found) == 37 and found.rows == (14, 20, 3)
    read = [found.read(part) for part in found.parts()]
    assert max(len(b) for b in read) == 7
    order = [tables[2], tables[0], tables[1]]
    x = np.concatenate([np.stack([t["a"], t["b"]], 1) for t in order]).astype(np.float32)
    assert torch.equal(torch.cat([b.x for b in read]), torch.from_numpy(x))
    y = np.concatenate([t["y"] for t in order])
    assert torch.cat([b.y for b in read]).tolist() == y.tolist()
    assert torch.cat([b.index for b in read]).tolist() == list(range(37))


def test_tar_samples_are_pictures_with_their_labels(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PART", 2 * 4 * 3 * 16)
    tar(
        tmp_path / "s" / "0.tar", ("d/00.png", picture(0)), ("d/00.cls", b"2\n"),
        ("d/01.json", json.dumps({"label": 1}).encode()), ("d/01.png", picture(51)),
        ("d/02.jpg", picture(255)), ("d/02.cls", b"0"), ("d/02.txt", b"more"),
    )  # fmt: skip
    tar(tmp_path / "s" / "1.tar", ("00.png", picture(102)), ("00.cls", b"1"))
    found = shards(str(tmp_path / "s"))
    read = [found.read(part) for part in found.parts()]
    assert [len(b) for b in read] == [2, 1, 1]
    assert torch.cat([b.y for b in read]).tolist() == [2, 1, 0, 1]
    whole = torch.cat([b.x for b in read])
    assert whole.shape == (4, 3, 4, 4)
    assert torch.allclose(whole.mean((1, 2, 3)), torch.tensor([0.0, 0.2, 1.0, 0.4]))


def test_identity_is_contents_and_no_place(tmp_path):
    for place in ("a/s", "b/s", "c/s"):
        parquet(tmp_path / place / "0.parquet", **table(5, place == "c/s"))
    a, b, c = (shards(str(tmp_path / p / "s")) for p in "abc")
    assert digest(a) == digest(b) != digest(c)


@pytest.mark.parametrize(("name", "code"), [
    ("damaged", "E0420"), ("columns", "E0421"), ("gaps", "E0422"), ("texts", "E0422"),
    ("sizes", "E0423"), ("unlabelled", "E0423"), ("cut", "E0420"),
])  # fmt: skip
def test_what_is_wrong_is_named(tmp_path, name, code):
    s = tmp_path / "s"
    if name == "damaged":
        parquet(s / "0.parquet", **table(5, 0)).write_bytes(b"PAR1 and no more")
    elif name == "columns":
        parquet(s / "0.parquet", **table(5, 0))
        parquet(s / "1.parquet", **table(5, 0) | {"c": np.zeros(5)})
    elif name == "gaps":
        parquet(s / "0.parquet", a=np.array([0.1, np.nan]), y=np.array([0, 1]))
    elif name == "texts":
        parquet(s / "0.parquet", a=np.array(["u", "v"]), y=np.array([0, 1]))
    elif name == "sizes":
        more = ("1.png", picture(0, 5)), ("1.cls", b"0")
        tar(s / "0.tar", ("0.png", picture(0)), ("0.cls", b"0"), *more)
    elif name == "unlabelled":
        tar(s / "0.tar", ("0.png", picture(0)), ("0.txt", b"0"))
    else:
        file = tar(s / "0.tar", ("0.png", picture(0)), ("0.cls", b"0"), ("1.png", bytes(4000)))
        file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(UntrustedFile) as caught:
        found = shards(str(s))
        for part in found.parts():
            found.read(part)
    assert caught.value.code == code and caught.value.fix


def test_other_files_and_unknown_columns_are_refused(tmp_path):
    parquet(tmp_path / "s" / "0.parquet", a=np.zeros(2), z=np.zeros(2, dtype=int))
    with pytest.raises(ConfigError, match="no column") as caught:
        shards(str(tmp_path / "s"))
    assert caught.value.fix.endswith("--target z")
    assert len(shards(str(tmp_path / "s"), "z")) == 2
    (tmp_path / "s" / "1.csv").write_text("a,z\n0,0\n")
    with pytest.raises(ConfigError, match="alone"):
        shards(str(tmp_path / "s"), "z")


def test_no_name_in_an_archive_leads_anywhere(tmp_path):
    file = tmp_path / "s" / "0.tar"
    file.parent.mkdir()
    with tarfile.open(file, "w") as made:
        link = tarfile.TarInfo("0.cls")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        made.addfile(link)
        info = tarfile.TarInfo("../../0.png")
        info.size = len(picture(0))
        made.addfile(info, io.BytesIO(picture(0)))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UntrustedFile, match="label"):
        shards(str(tmp_path / "s")).read(next(shards(str(tmp_path / "s")).parts()))
    assert sorted(tmp_path.rglob("*")) == before
