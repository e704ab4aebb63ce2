import warnings

import numpy as np
import pytest
import torch
from tests.certify.onnx_nets import mlp, residual, save

from holdfast.core.errors import HoldfastError, ShapeError, Unsupported, UntrustedFile

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

from tests.readers.onnx_cases import CASES, draw, one, whole  # noqa: E402

from holdfast.readers.onnx import read_onnx  # noqa: E402


def session(path):
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    return runtime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])


def agree(path, *, rows=3, scale=1.0, by_row=False):
    """Our module and onnxruntime on one row and on several."""
    net, run = read_onnx(path), session(path)
    x = torch.randn(rows, *net.shape, generator=torch.Generator().manual_seed(1)) * scale
    theirs = np.concatenate([run.run(None, {"x": x[i : i + 1].numpy()})[0] for i in range(rows)])
    assert net.by_row == by_row
    for count in (1, rows):
        with torch.no_grad():
            mine = net(x[:count])
        np.testing.assert_allclose(mine.flatten(1), theirs[:count].reshape(count, -1),
                                   rtol=2e-5, atol=2e-5)  # fmt: skip
    return net


@pytest.mark.parametrize("name", CASES)
def test_each_operator_computes_what_onnxruntime_computes(name, tmp_path):
    nodes, weights, shape, opset = CASES[name]
    agree(save(tmp_path / "one.onnx", nodes, weights, shape, None, opset=opset))


def test_several_layers_with_rows_left_open(tmp_path):
    agree(mlp(tmp_path / "mlp.onnx"))
    agree(residual(tmp_path / "res.onnx"))
    weights = {"w": draw(5, 3)}
    agree(save(tmp_path / "open.onnx", *[one("MatMul", "w")[0], weights], ["rows", 5], None))


def test_rows_that_cannot_go_together_go_one_by_one(tmp_path):
    nodes = [("Reshape", ["x", "s"], ["a"], {}), ("MatMul", ["a", "w"], ["b"], {}),
             ("Reshape", ["b", "t"], ["y"], {})]  # fmt: skip
    weights = {"s": whole(6), "w": draw(6, 3), "t": whole(1, 3)}
    net = agree(save(tmp_path / "flat.onnx", nodes, weights, [1, 2, 3], None), by_row=True)
    assert net(torch.zeros(0, 2, 3)).shape == (0, 3)
    nodes = [("Transpose", ["x"], ["a"], {"perm": [1, 0]}), ("Reshape", ["a", "t"], ["y"], {})]
    agree(save(tmp_path / "t.onnx", nodes, {"t": whole(1, 6)}, [1, 6], None), by_row=True)


def test_an_input_without_an_axis_for_rows_is_one_row(tmp_path):
    path = save(tmp_path / "bare.onnx", *one("Gemm", "w", weights={"w": draw(6, 2)}), [3, 6], None)
    net, run = read_onnx(path), session(path)
    x = draw(2, 3, 6)
    theirs = np.stack([run.run(None, {"x": row})[0].reshape(-1) for row in x])
    assert net.shape == (3, 6)
    np.testing.assert_allclose(net(torch.from_numpy(x)).flatten(1), theirs, atol=1e-5)


def test_weights_keep_their_type_and_gradients_reach_the_input(tmp_path):
    net = read_onnx(residual(tmp_path / "res.onnx"))
    assert {b.dtype for b in net.buffers()} == {torch.float32}
    x = torch.rand(2, *net.shape, requires_grad=True)
    (gradient,) = torch.autograd.grad(net(x).sum(), x)
    assert bool((gradient != 0).any())
    assert torch.allclose(net.double()(x.double()).float(), net.float()(x), atol=1e-5)
    with pytest.raises(ShapeError, match="rows of shape"):
        net(torch.rand(2, 3))


def test_what_is_not_read_is_named_with_the_nearest(tmp_path):
    path = save(tmp_path / "a.onnx", *one("Asinh"), [1, 7], None)
    with pytest.raises(Unsupported, match=r"Asinh \(node 'Asinh 0'\)"):
        read_onnx(path)
    path = save(tmp_path / "b.onnx", *one("LeakyReluu"), [1, 7], None)
    with pytest.raises(Unsupported, match="LeakyRelu"):
        read_onnx(path)
    path = save(tmp_path / "c.onnx", *one("ArgMax", select_last_index=1), [1, 7], None)
    with pytest.raises(Unsupported, match="ArgMax"):
        read_onnx(path)


def test_files_that_are_not_what_they_claim_are_refused(tmp_path):
    path = mlp(tmp_path / "mlp.onnx")
    (tmp_path / "cut.onnx").write_bytes(path.read_bytes()[:-30])
    (tmp_path / "text.onnx").write_text("hello")
    for name in ("cut.onnx", "text.onnx"):
        with pytest.raises(UntrustedFile):
            read_onnx(tmp_path / name)
    with pytest.raises(UntrustedFile, match="more than"):
        read_onnx(path, max_bytes=100)
    bomb = [("ConstantOfShape", ["s"], ["c"], {}), ("Add", ["x", "c"], ["y"], {})]
    path = save(tmp_path / "bomb.onnx", bomb, {"s": whole(2**20, 2**20)}, [1, 1], None)
    with pytest.raises(UntrustedFile, match="would make"):
        read_onnx(path)
    path = save(tmp_path / "loop.onnx", [("Add", ["x", "z"], ["y"], {})], {}, [1, 1], None)
    with pytest.raises(UntrustedFile, match="before it exists"):
        read_onnx(path)


def outside(path, location):
    """A file whose weight stands in another file."""
    model = onnx.load(str(path))
    weight = model.graph.initializer[0]
    raw = weight.raw_data
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("length", str(len(raw)))):
        entry = weight.external_data.add()
        entry.key, entry.value = key, value
    path.write_bytes(model.SerializeToString())
    return raw


def test_weights_in_a_second_file_must_stand_in_the_same_folder(tmp_path):
    path = mlp(tmp_path / "mlp.onnx")
    x = torch.rand(2, 3)
    wanted = read_onnx(path)(x)
    raw = outside(path, "weights.bin")
    with pytest.raises(UntrustedFile, match="missing"):
        read_onnx(path)
    (tmp_path / "weights.bin").write_bytes(raw)
    assert torch.equal(read_onnx(path)(x), wanted)
    (tmp_path / "weights.bin").write_bytes(raw[:-1])
    with pytest.raises(UntrustedFile, match="too short"):
        read_onnx(path)
    for place in ("../weights.bin", "/etc/passwd", "a/../../b"):
        path = mlp(tmp_path / "mlp.onnx")
        outside(path, place)
        with pytest.raises(UntrustedFile, match="outside its folder"):
            read_onnx(path)


def test_torch_exports_read_back(tmp_path):
    pytest.importorskip("onnxscript")
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, 2, 1), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(64, 5)
    ).eval()
    x = torch.rand(1, 1, 8, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (x,), str(tmp_path / "t.onnx"), input_names=["x"])
    assert torch.allclose(read_onnx(tmp_path / "t.onnx")(x), net(x), atol=1e-5)


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    path = mlp(tmp_path / "mlp.onnx")
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(HoldfastError, match="holdfast\\[onnx\\]"):
        read_onnx(path)
