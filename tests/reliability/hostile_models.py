"""Hostile files that call themselves models: name, how it is made, and the codes that refuse it."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import onnx
import torch
from onnx import TensorProto, helper
from tests.readers import hostile

Make = Callable[[Path, Path], Path]
LIMIT = 1 << 20  # what readers may unpack here, so that a bomb can be small


class Case(NamedTuple):
    """A hostile file.

    Args:
        make: writes it into a folder; whatever in it is run writes the marker.
        codes: any of these refuses it; empty where it is read, as what it shows, and does nothing.
    """

    make: Make
    codes: tuple[str, ...] = ()


def _written(name: str, raw: bytes) -> Make:
    def make(folder: Path, marker: Path) -> Path:
        path = folder / name
        path.write_bytes(raw)
        return path

    return make


def system_call(folder: Path, marker: Path) -> Path:
    """The oldest trick: two opcodes and a shell command."""
    path = folder / "w.pt"
    path.write_bytes(b"cos\nsystem\n(S'touch " + str(marker).encode() + b"'\ntR.")
    return path


def hidden_in_state(folder: Path, marker: Path) -> Path:
    """Good weights with one value that is a program."""
    path = folder / "state.pt"
    torch.save({"1.weight": torch.zeros(2, 2), "1.bias": hostile.Evil(marker)}, path)
    return path


def old_tar(folder: Path, marker: Path) -> Path:
    """The archive of torch before 0.1.2, with a member that climbs out of it."""
    path = folder / "old.pth"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as file:
        for name, raw in (("sys_info", hostile.evil(marker)), (f"../../../../{marker}", b"x"),
                          ("storages", hostile.evil(marker)), ("tensors", hostile.evil(marker)),
                          ("pickle", hostile.evil(marker))):  # fmt: skip
            member = tarfile.TarInfo(name)
            member.size = len(raw)
            file.addfile(member, io.BytesIO(raw))
    return path


def zip_of_pickles(folder: Path, marker: Path) -> Path:
    """A pickle under every name that a reader may open."""
    import zipfile

    path = folder / "all.pt"
    with zipfile.ZipFile(path, "w") as file:
        for name in ("data.pkl", "version", "byteorder", "data/0"):
            file.writestr(f"archive/{name}", hostile.evil(marker))
    return path


def torn(folder: Path, marker: Path) -> Path:
    path = folder / "torn.pt"
    torch.save({"1.weight": torch.zeros(64, 64)}, path)
    path.write_bytes(path.read_bytes()[:4000])
    return path


def tensors(header: object, body: bytes = b"", size: int | None = None) -> Make:
    """A safetensors file with any header."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return _written("w.safetensors", struct.pack("<Q", len(raw) if size is None else size) + raw
                    + body)  # fmt: skip


def _kept(**entries: str) -> Make:
    """An ONNX file whose weight stands elsewhere."""

    def make(folder: Path, marker: Path) -> Path:
        inside, weight = folder / "inside", TensorProto(name="w", data_type=1, dims=[2, 2])
        inside.mkdir()
        (folder / "secret").write_bytes(bytes(16))
        (inside / "short").write_bytes(bytes(3))
        (inside / "link").symlink_to(folder / "secret")
        weight.data_location = TensorProto.EXTERNAL
        for key, value in entries.items():
            entry = weight.external_data.add()
            entry.key, entry.value = key, value
        return _onnx(inside, [weight], [helper.make_node("MatMul", ["x", "w"], ["y"])])

    return make


def _onnx(folder: Path, weights: list[TensorProto], nodes: list[onnx.NodeProto]) -> Path:
    path, value = folder / "net.onnx", helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "g", [value("x", 1, [1, 2])], [value("y", 1, [1, 2])], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    path.write_bytes(model.SerializeToString())
    return path


def huge_weight(folder: Path, marker: Path) -> Path:
    weight = TensorProto(name="w", data_type=1, dims=[1 << 30, 1 << 30])
    return _onnx(folder, [weight], [helper.make_node("MatMul", ["x", "w"], ["y"])])


def huge_constant(folder: Path, marker: Path) -> Path:
    """A few bytes that ask for a trillion numbers."""
    shape = helper.make_tensor("s", TensorProto.INT64, [2], [1 << 20, 1 << 20])
    nodes = [helper.make_node("ConstantOfShape", ["s"], ["c"]),
             helper.make_node("Add", ["x", "c"], ["y"])]  # fmt: skip
    return _onnx(folder, [shape], nodes)


def beside(folder: Path, marker: Path) -> Path:
    """Good weights in a folder with Python files that look as if they built the model."""
    program = f"open({str(marker)!r}, 'w').close()\nclass Net: weight = 1\n"
    for name in ("models.py", "conftest.py", "torch.py", "sitecustomize.py"):
        (folder / name).write_text(program)
    path = folder / "good.pt"
    torch.save({"weight": torch.zeros(2, 2)}, path)
    return path


REFUSED = ("E0401", "E0402")
MODELS: dict[str, Case] = {
    **{f"model: {make.__name__}": Case(make, REFUSED) for make in hostile.MODELS},
    "model: system call": Case(system_call, REFUSED),
    "model: program among weights": Case(hidden_in_state, REFUSED),
    "model: tar that climbs out": Case(old_tar, REFUSED),
    "model: zip of pickles": Case(zip_of_pickles, REFUSED),
    "model: torn": Case(torn, ("E0411",)),
    "model: zip bomb": Case(lambda f, m: hostile.bomb(f, "b.pt", 2 * LIMIT), ("E0410",)),
    "model: member twice": Case(lambda f, m: hostile.twice(f, "t.pt"), ("E0412",)),
    "model: pickle named .onnx": Case(
        lambda f, m: _written("n.onnx", pickle.dumps(hostile.Evil(m)))(f, m), REFUSED
    ),
    "safetensors: endless header": Case(tensors(b"{}", size=1 << 62), ("E0302", "E0411")),
    "safetensors: deep header": Case(tensors(b'{"a":' + b"[" * 50_000, b" " * 9), ("E0411",)),
    "safetensors: tensor beyond the end": Case(
        tensors({"w": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}, b"1"),
        ("E0411",),
    ),
    "safetensors: negative offsets": Case(
        tensors({"w": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}, b"1234"),
        ("E0411",),
    ),
    "onnx: weight above its folder": Case(_kept(location="../secret"), ("E0416",)),
    "onnx: weight by absolute path": Case(_kept(location="/etc/passwd"), ("E0416",)),
    "onnx: weight behind a link": Case(_kept(location="link"), ("E0416",)),
    "onnx: weight too short": Case(_kept(location="short"), ("E0416",)),
    "onnx: weight from before its file": Case(_kept(location="short", offset="-9"), ("E0416",)),
    "onnx: weight from nowhere": Case(_kept(location="short", offset="$(id)"), ("E0416",)),
    "onnx: weight larger than the world": Case(huge_weight, ("E0416",)),
    "onnx: constant larger than memory": Case(huge_constant, ("E0416", "E0320", "E0321")),
    "python files beside weights": Case(beside, ("E0117",)),
}
