"""The network is used where the command line says so, each time anew, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.cli.world import build, lay
from tests.readers.servers import served

from holdfast.cli.front import run
from holdfast.cli.options import stem
from holdfast.core.errors import Unsupported
from holdfast.readers import ReadModel
from holdfast.run.store import Store

ROWS = ["--data", "rows.npz", "--threat", "linf:0.05"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.toml").write_text('[[check]]\nuse = "check:clean"\n')
    return lay(tmp_path)


@pytest.mark.parametrize("command", ["audit", "attack", "certify", "shift"])
def test_a_name_on_the_hub_is_refused_without_leave(folder, capsys, command):
    assert run([command, "hf:org/name", "--data", "rows.npz"]) == 2
    said = capsys.readouterr().err
    assert "E0166" in said and "--allow-network" in said


def test_leave_is_passed_on_told_and_not_remembered(folder, monkeypatch, capsys):
    asked: list[tuple[str, bool]] = []

    def fetched(spec, allowed):
        asked.append((spec, allowed))
        raise Unsupported("nothing is fetched in a test")

    monkeypatch.setattr("holdfast.readers.model_forms.fetched", fetched)
    for command in ("audit", "attack", "certify", "shift"):
        assert run([command, "hf:org/name", "--data", "rows.npz", "--allow-network"]) == 2
    assert asked == [("hf:org/name", True)] * 4

    def empty(spec, allowed):
        asked.append((spec, allowed))
        return Path("nowhere"), f"Fetched: {spec}."

    def net(*about, **more):
        return build(), "Read."

    monkeypatch.setattr("holdfast.readers.model_forms.fetched", empty)
    monkeypatch.setattr("holdfast.readers.model_forms.read_model_folder", net)
    words = ["--data", "rows.npz", "--profile", "few.toml"]
    assert run(["audit", "hf:org/name@v1", *words, "--allow-network"]) in (0, 1, 3)
    assert "Fetched: hf:org/name@v1." in capsys.readouterr().err
    (row,) = Store(".holdfast").ledger.runs()
    assert "-name-" in row.id
    document = Store(".holdfast").results(row.id)
    assert document["command"].endswith("--allow-network")
    asked.clear()
    assert run(["audit", "hf:org/name@v1"]) in (0, 1, 2, 3)
    assert asked == [("hf:org/name@v1", False)], "an earlier run gives no leave"


def test_an_endpoint_is_audited_under_the_name_of_its_host(folder, capsys):
    with served(lambda rows, handler: {"logits": [[0.0, 1.0, 2.0]] * len(rows)}) as (url, seen):
        assert run(["audit", url, *ROWS, "--profile", "few.toml"]) in (0, 1, 3)
        assert "black box without gradients" in capsys.readouterr().err and len(seen) > 1
        (row,) = Store(".holdfast").ledger.runs()
        assert "127-0-0-1" in row.id or "127.0.0.1" in row.id
        assert run(["harden", url, "--data", "rows.npz", "--recipe", "standard"]) == 2
        assert "E0303" in capsys.readouterr().err


def test_a_folder_of_hugging_face_is_not_trained(folder, capsys, monkeypatch):
    net = torch.nn.Linear(2, 2)
    read = ReadModel(net, {"name": "n", "digest": "", "parameters": 6, "kind": "huggingface"})
    monkeypatch.setattr("holdfast.readers.read_model", lambda *about, **more: read)
    assert run(["harden", "folder", "--data", "rows.npz", "--recipe", "standard"]) == 2
    assert "E0303" in capsys.readouterr().err


def test_short_names():
    assert stem("http://127.0.0.1:8000/v1/predict?key=a") == "127.0.0.1"
    assert stem("https://models.example.org/predict") == "models.example.org"
    assert stem("hf:org/name@main") == stem("hf:name") == "name"
    assert stem("a/net.pt") == stem("net.py:make") == "net"
