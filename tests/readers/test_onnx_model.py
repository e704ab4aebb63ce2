"""ONNX files as models: told by their contents, gradients, shapes, and what is refused."""

from __future__ import annotations

import gzip
import json
import re
from importlib.util import find_spec

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

runtime = pytest.mark.skipif(find_spec("onnxruntime") is None, reason="onnxruntime is absent")


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


@runtime
def test_a_reading_that_onnxruntime_does_not_share_is_not_used(tmp_path, monkeypatch):
    from holdfast.readers import onnx_operators

    file = mlp(tmp_path / "net.onnx")
    read, x = read_model(str(file)), torch.rand(5, 3)
    want = read(x)
    said = re.search(r"On 32 random rows onnxruntime .* up to (\S+)\.", read.about["reading"])
    assert said and 0 <= float(said.group(1)) < 1e-5
    wrong = {**onnx_operators.OPERATORS, "Relu": lambda step, values: values[0].abs()}
    monkeypatch.setattr("holdfast.readers.onnx.OPERATORS", wrong)
    box = read_model(str(file))
    assert "black box" in box.about["reading"] and "other outputs" in box.about["reading"]
    assert torch.allclose(box(x), want, atol=1e-5)


def odd(path, op="Det", rows=1):
    """A network with an operator that is not read, which onnxruntime knows."""
    weights = {"w": np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32),
               "s": np.array([-1, 2, 2]), "f": np.array([-1, 1])}  # fmt: skip
    nodes = [
        ("Reshape", ["x", "s"], ["m"], {}), (op, ["m"], ["d"], {}),
        ("Reshape", ["d", "f"], ["c"], {}), ("MatMul", ["x", "w"], ["z"], {}),
        ("Add", ["z", "c"], ["y"], {}),
    ]  # fmt: skip
    return save(path, nodes, weights, [rows, 4], [rows, 3])


@runtime
@pytest.mark.parametrize("rows", [1, None], ids=["one by one", "together"])
def test_an_operator_that_is_not_read_makes_a_black_box(tmp_path, rows):
    read = read_model(str(odd(tmp_path / "net.onnx", rows=rows)), shape=(4,), classes=3)
    assert "black box" in read.about["reading"] and "Det" in read.about["reading"]
    x = torch.rand(5, 4, requires_grad=True)
    w = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32))
    want = x @ w + torch.linalg.det(x.reshape(-1, 2, 2))[:, None]
    assert torch.allclose(read(x), want, atol=1e-5) and not read(x).requires_grad
    assert read(x[:0]).shape == (0, 3) and torch.equal(read(x.reshape(5, 1, 2, 2)), read(x))
    with pytest.raises(ShapeError):
        read(torch.rand(5, 5))
    same = read_model(str(odd(tmp_path / "again.onnx", rows=rows)))
    assert same.about["digest"] == read.about["digest"] != read_model(
        str(mlp(tmp_path / "other.onnx"))
    ).about["digest"]  # fmt: skip


@runtime
def test_a_black_box_is_said_before_the_audit_and_in_its_report(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    odd(tmp_path / "net.onnx")
    g = np.random.default_rng(0)
    np.savez("rows.npz", x=g.random((40, 4)), y=g.integers(0, 3, 40))
    (tmp_path / "few.toml").write_text('[[check]]\nuse = "check:clean"\n')
    asked = ["audit", "net.onnx", "--data", "rows.npz", "--profile", "few.toml"]
    assert run(asked) in (0, 1, 3)
    assert "black box without gradients" in capsys.readouterr().err
    (page,) = tmp_path.glob(".holdfast/runs/*/report.html")
    assert "black box without gradients" in page.read_text("utf-8")


@runtime
def test_files_with_weights_elsewhere_are_no_black_boxes(tmp_path):
    from onnx import TensorProto

    file = odd(tmp_path / "net.onnx")
    model = onnx.load(str(file))
    tensor = model.graph.node[0].attribute.add(name="hidden", type=4).t
    tensor.CopyFrom(onnx.numpy_helper.from_array(np.zeros(3, np.float32), "hidden"))
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    file.write_bytes(model.SerializeToString())
    with pytest.raises(HoldfastError) as caught:
        read_model(str(file))
    assert caught.value.code in ("E0321", "E0416")


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
