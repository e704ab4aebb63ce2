"""What is streamed unasked, and what never is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.cli.world import toml
from tests.readers.test_shards import parquet, table

from holdfast.cli import sharded
from holdfast.cli.front import run
from holdfast.cli.sharded import streams

NET = "from torch import nn\n\n\ndef build():\n    return nn.Linear(2, 3)\n"


@pytest.fixture
def shards(tmp_path) -> Path:
    for k in range(3):
        parquet(tmp_path / "shards" / f"{k}.parquet", **table(50, k))
    return tmp_path / "shards"


def chosen(data: Path, **more: object) -> dict[str, object]:
    return {"data": str(data)} | more


def test_several_shards_are_streamed_and_one_line_says_so(shards):
    found, why = streams(chosen(shards), None)
    assert found and "3 shards" in why and "--no-stream" in why and "\n" not in why


def test_what_was_asked_is_done_without_a_word(shards):
    assert streams(chosen(shards), False) == (False, "")
    assert streams(chosen(shards), True) == (True, "")


@pytest.mark.parametrize("more", [{"limit": 10}, {"reference": "other"}, {"target": "absent"}])
def test_samples_and_other_tables_are_read_at_once(shards, more):
    assert streams(chosen(shards, **more), None) == (False, "")


def test_a_folder_with_anything_else_is_no_folder_of_shards(shards):
    (shards / "README.md").write_text("x")
    assert streams(chosen(shards), None) == (False, "")
    assert streams(chosen(shards / "absent"), None) == streams({"data": "digits"}, None)
    assert streams({}, None) == (False, "")


def test_tar_shards_are_streamed(tmp_path):
    for k in range(2):
        (tmp_path / f"{k}.tar").write_bytes(b"")
    assert streams(chosen(tmp_path), None)[0]


def test_one_file_is_streamed_only_where_it_fills_memory(shards, monkeypatch):
    one = shards / "0.parquet"
    assert streams(chosen(one), None) == (False, "")
    size = one.stat().st_size
    monkeypatch.setattr(sharded, "available", lambda: int(size / sharded.SHARE) + 8)
    assert not streams(chosen(one), None)[0]
    monkeypatch.setattr(sharded, "available", lambda: int(size / sharded.SHARE) - 8)
    found, why = streams(chosen(one), None)
    assert found and "25%" in why


def test_this_machine_tells_its_free_memory():
    assert 1 << 20 < sharded.available() < 1 << 62


def test_an_audit_of_shards_streams_by_itself(shards, monkeypatch, capsys):
    home = shards.parent
    torch.save({"weight": torch.ones(3, 2), "bias": torch.zeros(3)}, home / "net.pt")
    (home / "net.py").write_text(NET)
    (home / "suite.toml").write_text(toml("clean"))
    monkeypatch.chdir(home)
    ask = "audit net.pt --arch net.py:build --data shards --exit-zero --profile suite.toml"
    assert run(ask.split()) == 0
    assert "3 shards read a part at a time" in capsys.readouterr().err
    (file,) = home.glob(".holdfast/runs/*/results.json")
    found = json.loads(file.read_text())
    assert found["subject"]["data"]["n"] == 150 and found["command"].endswith("--stream")
