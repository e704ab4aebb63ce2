"""Files that leave a marker behind if anything in them is run."""

from __future__ import annotations

import io
import json
import pickle
import warnings
import zipfile
from pathlib import Path

import numpy as np
import torch


class Evil:
    """Unpickling it writes the marker."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return exec, (f"open({str(self.marker)!r}, 'w').close()",)


def evil(marker: Path) -> bytes:
    return pickle.dumps(Evil(marker))


def pickled_pth(folder: Path, marker: Path) -> Path:
    path = folder / "model.pth"
    torch.save({"state_dict": {"weight": torch.zeros(2, 2)}, "extra": Evil(marker)}, path)
    return path


def bare_pickle(folder: Path, marker: Path) -> Path:
    path = folder / "legacy.pt"
    path.write_bytes(evil(marker))
    return path


def old_pickle(folder: Path, marker: Path) -> Path:
    """Protocol 0 has no magic byte."""
    path = folder / "ancient.bin"
    path.write_bytes(pickle.dumps(Evil(marker), protocol=0))
    return path


def _pt2(path: Path, members: dict[str, bytes]) -> Path:
    """The layout of torch.export.save, with some members replaced."""
    buffer = io.BytesIO()
    torch.save({"x": torch.zeros(2)}, buffer)
    weights = {"config": {"weight": {"path_name": "weight_0", "use_pickle": False}}}
    plain = {
        "archive_format": b"pt2",
        "byteorder": b"little",
        ".data/version": b"3",
        "models/model.json": json.dumps({"graph_module": {}, "range_constraints": {}}).encode(),
        "data/weights/model_weights_config.json": json.dumps(weights).encode(),
        "data/weights/weight_0": bytes(16),
        "data/constants/model_constants_config.json": b'{"config": {}}',
        "data/sample_inputs/model.pt": buffer.getvalue(),
    }
    with zipfile.ZipFile(path, "w") as file:
        for name, raw in (plain | members).items():
            file.writestr(f"{path.stem}/{name}", raw)
    return path


def pt2_weight(folder: Path, marker: Path) -> Path:
    config = {"config": {"weight": {"path_name": "weight_0", "use_pickle": True}}}
    members = {
        "data/weights/model_weights_config.json": json.dumps(config).encode(),
        "data/weights/weight_0": evil(marker),
    }
    return _pt2(folder / "weight.pt2", members)


def pt2_sample_inputs(folder: Path, marker: Path) -> Path:
    return _pt2(folder / "inputs.pt2", {"data/sample_inputs/model.pt": evil(marker)})


def pt2_expression(folder: Path, marker: Path) -> Path:
    code = f"open({str(marker)!r}, 'w').close()"
    graph = {"graph_module": {"sym_int_values": {"s0": {"as_expr": {"expr_str": code}}}}}
    return _pt2(folder / "expression.pt2", {"models/model.json": json.dumps(graph).encode()})


def pt2_constant(folder: Path, marker: Path) -> Path:
    config = {"config": {"c": {"path_name": "opaque_0", "use_pickle": False}}}
    members = {
        "data/constants/model_constants_config.json": json.dumps(config).encode(),
        "data/constants/opaque_0": evil(marker),
    }
    return _pt2(folder / "constant.pt2", members)


def torchscript(folder: Path, marker: Path) -> Path:
    path = folder / "script.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), str(path))
    return path


def object_npz(folder: Path, marker: Path) -> Path:
    path = folder / "rows.npz"
    np.savez(path, x=np.zeros((4, 2)), y=np.array([Evil(marker)] * 4, dtype=object))
    return path


def renamed_npz(folder: Path, marker: Path) -> Path:
    """A pickle that calls itself a table."""
    path = folder / "rows.csv"
    path.write_bytes(evil(marker))
    return path


def lying_npz(folder: Path, marker: Path) -> Path:
    path = folder / "liar.npz"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 10)}
    )
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x.npy", header.getvalue())
        file.writestr("y.npy", header.getvalue())
    return path


def twice(folder: Path, name: str, second: str = "data.pkl") -> Path:
    """An archive with a member that is there twice."""
    path = folder / name
    with zipfile.ZipFile(path, "w") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for member in ("data.pkl", second):
            file.writestr(f"archive/{member}", b"\x80\x02}.")
    return path


def bomb(folder: Path, name: str, size: int) -> Path:
    path = folder / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", b"\x80\x02}.")
        file.writestr("archive/data/0", bytes(size))
    return path


MODELS = (
    pickled_pth, bare_pickle, old_pickle, pt2_weight, pt2_sample_inputs, pt2_expression,
    pt2_constant, torchscript,
)  # fmt: skip
DATA = (object_npz, renamed_npz, lying_npz)
