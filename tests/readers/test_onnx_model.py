"""ONNX files as models: told by their contents, gradients, shapes, and what is refused."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
import torch

from holdfast.core.errors import HoldfastError, ShapeError, Unsupported

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")

from tests.certify.onnx_nets import mlp, save  # noqa: E402

from holdfast.cli.front import run  # noqa: E402
from holdfast.readers import read_model, subject  # noqa: E402
from holdfast.readers.onnx_model import fits, is_onnx  # noqa: E402
from holdfast.run.preflight import preflight  # noqa: E402


def test_a_file_is_known_by_its_contents_and_has_gradients(tmp_path):
    plain = mlp(tmp_path / "net.onnx")
    other = tmp_path / "weights.bin"
    other.write_bytes(plain.read_bytes())
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    x = torch.rand(5, 3, requires_grad=True)
    made = [read_model(str(f)) for f in (plain, other, packed)]
    for read in made:
        assert read.about["kind"] == "onnx" and torch.equal(read(x), made[0](x))
        assert read.about["digest"] == made[0].about["digest"]
        assert read.about["parameters"] == 3 * 8 + 8 + 8 * 8 + 8 + 8 * 2 + 2
    (slope,) = torch.autograd.grad(made[0](x).square().sum(), x)
    assert bool((slope != 0).any())
    (tmp_path / "text").write_bytes(b"hello, this is no model")
    assert not is_onnx(tmp_path / "text")


def test_rows_are_reshaped_where_that_is_beyond_doubt(tmp_path):
    rng = np.random.default_rng(0)
    weights = {"w": rng.normal(size=(16, 3)).astype(np.float32)}
    net = read_model(str(save(
        tmp_path / "flat.onnx", [("MatMul", ["x", "w"], ["y"], {})], weights, [1, 16], [1, 3]
    )))  # fmt: skip
    x = torch.rand(4, 1, 4, 4)
    assert torch.equal(net(x), net(x.flatten(1)))
    with pytest.raises(ShapeError, match="16"):
        net(torch.rand(4, 15))
    assert fits((1, 8, 8), (8, 8, 1)) and fits((3, 4, 4), (48,)) and fits((48,), (3, 4, 4))
    assert not fits((3, 4, 4), (4, 4, 3)) and not fits((3, 4), (13,))


def test_what_cannot_be_read_is_named(tmp_path):
    file = save(tmp_path / "odd.onnx", [("Rellu", ["x"], ["y"], {})], {}, [1, 3], [1, 3])
    with pytest.raises(Unsupported) as caught:
        read_model(str(file))
    assert caught.value.code == "E0321" and "Rellu" in caught.value.says
    assert "Relu" in caught.value.fix
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x08broken")
    with pytest.raises(HoldfastError) as refused:
        read_model(str(tmp_path / "broken.onnx"))
    assert refused.value.code == "E0416"


def test_a_reading_that_onnxruntime_does_not_share_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    from holdfast.readers import onnx_operators

    file = mlp(tmp_path / "net.onnx")
    assert "onnxruntime gives the same" in read_model(str(file)).about["reading"]
    wrong = {**onnx_operators.OPERATORS, "Relu": lambda step, values: values[0].abs()}
    monkeypatch.setattr("holdfast.readers.onnx.OPERATORS", wrong)
    with pytest.raises(Unsupported, match="onnxruntime") as caught:
        read_model(str(file))
    assert caught.value.code == "E0322"


def test_an_onnx_file_is_audited_attacked_and_certified(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    net = read_model(str(mlp(tmp_path / "net.onnx")))
    x = torch.rand(60, 3, generator=torch.Generator().manual_seed(0))
    y = net(x).argmax(1)
    np.savez("rows.npz", x=x.numpy(), y=y.numpy())
    said = [f.says for f in preflight(subject(net, "rows.npz"))]
    assert any("3 Gemm" in s and "ONNX" in s for s in said)
    words = ["net.onnx", "--data", "rows.npz", "--limit", "20", "--threat", "linf:0.02", "--json"]
    told = {}
    for command in ("certify", "attack"):
        more = ["--attack", "pgd"] if command == "attack" else []
        assert run([command, *words, *more]) == 0
        told[command] = json.loads(capsys.readouterr().out)
    low, high = told["certify"]["proved"]["value"], told["attack"]["robust"]["value"]
    assert 0 < low <= high <= 1
    (tmp_path / "few.toml").write_text('[[check]]\nuse = "check:clean"\n')
    assert run(["audit", *words[:-1], "--profile", "few.toml", "--json"]) in (0, 1, 3)
    results = json.loads(capsys.readouterr().out)
    assert results["subject"]["model"]["kind"] == "onnx"
    assert any("ONNX" in f["says"] for f in results["preflight"])
