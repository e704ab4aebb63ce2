"""One small classifier and one set of rows, written in every form in which they may be given."""

from __future__ import annotations

import csv
import io
import json
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from tests.readers.servers import served

ROWS, SIDE, CLASSES = 30, 4, 3
BYTES = np.random.default_rng(0).integers(0, 256, (ROWS, SIDE, SIDE), np.uint8)
LABELS = np.arange(ROWS) % CLASSES
NAMES = [f"p{k}" for k in range(SIDE * SIDE)]
NET = f"""
import torch

def net():
    torch.manual_seed(0)
    layers = torch.nn.Flatten(), torch.nn.Linear({SIDE * SIDE}, 5), torch.nn.ReLU()
    return torch.nn.Sequential(*layers, torch.nn.Linear(5, {CLASSES})).eval()
"""
CLF = f"""
import numpy as np
from sklearn.linear_model import LogisticRegression
g = np.random.default_rng(0)
clf = LogisticRegression().fit(g.random((60, {SIDE * SIDE})), np.arange(60) % {CLASSES})
"""
Given = tuple[str, dict[str, Any]]  # what stands on the command line, and its options


def network() -> torch.nn.Module:
    """The classifier of `net.py`."""
    space: dict[str, Any] = {}
    exec(NET, space)
    made: torch.nn.Module = space["net"]()
    return made


# ---- data: each writes the rows into a folder and says how they are named


def npz(root: Path) -> Given:
    np.savez(root / "rows.npz", x=BYTES, y=LABELS)
    return "rows.npz", {}


def idx(root: Path) -> Given:
    head = struct.pack(">4B3I", 0, 0, 8, 3, ROWS, SIDE, SIDE)
    (root / "t10k-images-idx3-ubyte").write_bytes(head + BYTES.tobytes())
    head = struct.pack(">4BI", 0, 0, 8, 1, ROWS)
    (root / "t10k-labels-idx1-ubyte").write_bytes(head + LABELS.astype(np.uint8).tobytes())
    return "t10k-images-idx3-ubyte", {}


def images(root: Path) -> Given:
    for k, (picture, label) in enumerate(zip(BYTES, LABELS, strict=True)):
        (root / "pictures" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(root / "pictures" / str(label) / f"{k:03}.png")
    return "pictures", {}


def tensors(root: Path) -> Given:
    x, y = torch.from_numpy(BYTES)[:, None], torch.from_numpy(LABELS)
    save_file({"x": x, "y": y}, root / "rows.safetensors")
    return "rows.safetensors", {}


def _table() -> list[list[float]]:
    flat = (BYTES.reshape(ROWS, -1) / np.float32(255)).tolist()
    return [[*row, int(label)] for row, label in zip(flat, LABELS, strict=True)]


def table(root: Path) -> Given:
    with (root / "rows.csv").open("w", newline="") as file:
        csv.writer(file).writerows([[*NAMES, "label"], *_table()])
    return "rows.csv", {"target": "label"}


def parquet(root: Path) -> Given:
    table(root)
    duckdb.sql(f"copy (from '{root / 'rows.csv'}') to '{root / 'rows.parquet'}' (format parquet)")
    return "rows.parquet", {"target": "label"}


def json_lines(root: Path) -> Given:
    rows = (dict(zip([*NAMES, "label"], row, strict=True)) for row in _table())
    (root / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return "rows.jsonl", {"target": "label"}


def dataset(root: Path) -> Given:
    """A folder of the library `datasets` with pictures in a column."""
    rows = []
    for picture, label in zip(BYTES, LABELS, strict=True):
        raw = io.BytesIO()
        Image.fromarray(picture).save(raw, "PNG")
        text = "".join(f"\\x{b:02X}" for b in raw.getvalue())
        rows.append(f"({{'bytes': '{text}'::blob, 'path': null}}, {label})")
    (root / "set" / "data").mkdir(parents=True)
    told = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": list("012")}}
    (root / "set" / "dataset_info.json").write_text(json.dumps({"features": told}))
    query = f"select * from (values {', '.join(rows)}) as t(image, label)"
    file = root / "set" / "data" / "test-00000-of-00001.parquet"
    duckdb.sql(f"copy ({query}) to '{file}' (format parquet)")
    return "set", {}


DATA: tuple[Callable[[Path], Given], ...] = (
    images, npz, idx, tensors, table, parquet, json_lines, dataset,
)  # fmt: skip
TABLES = (table, parquet, json_lines)


# ---- models: each writes the classifier for rows of a shape, and says how it is named


@contextmanager
def state_dict(root: Path, shape: tuple[int, ...]) -> Iterator[Given]:
    torch.save(network().state_dict(), root / "net.pt")
    yield "net.pt", {"arch": "net.py:net"}


@contextmanager
def safetensors(root: Path, shape: tuple[int, ...]) -> Iterator[Given]:
    save_file(network().state_dict(), root / "net.safetensors")
    yield "net.safetensors", {"arch": "net.py:net"}


@contextmanager
def entry(root: Path, shape: tuple[int, ...]) -> Iterator[Given]:
    yield "net.py:net", {}


@contextmanager
def torchscript(root: Path, shape: tuple[int, ...]) -> Iterator[Given]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(network(), torch.zeros(2, *shape)), str(root / "ts.pt"))
    yield "ts.pt", {"trust": True}


@contextmanager
def exported(root: Path, shape: tuple[int, ...]) -> Iterator[Given]:
    free = {"input": {0: torch.export.Dim("rows")}}
    program = torch.export.export(network(), (torch.zeros(3, *shape),), dynamic_shapes=free)
    torch.export.save(program, root / "net.pt2")
    yield "net.pt2", {"trust": True}


@contextmanager
def onnx(root: Path, shape: tuple[int, ...]) -> Iterator[Given]:
    from tests.certify.onnx_nets import save

    state = {n: v.detach().numpy() for n, v in network().state_dict().items()}
    weights = {"w1": state["1.weight"], "b1": state["1.bias"],
               "w2": state["3.weight"], "b2": state["3.bias"]}  # fmt: skip
    steps = [
        ("Flatten", ["x"], ["f"], {"axis": 1}),
        ("Gemm", ["f", "w1", "b1"], ["h"], {"transB": 1}),
        ("Relu", ["h"], ["r"], {}),
        ("Gemm", ["r", "w2", "b2"], ["y"], {"transB": 1}),
    ]
    save(root / "net.onnx", steps, weights, [1, *shape], [1, CLASSES])
    yield "net.onnx", {}


@contextmanager
def estimator(root: Path, shape: tuple[int, ...]) -> Iterator[Given]:
    (root / "clf.py").write_text(CLF)
    yield "clf.py:clf", {}


@contextmanager
def endpoint(root: Path, shape: tuple[int, ...]) -> Iterator[Given]:
    model = network()

    def answer(rows: Any, handler: Any) -> Any:
        with torch.no_grad():
            return {"logits": model(torch.tensor(rows)).tolist()}

    with served(answer) as (url, _):
        yield url, {}


@contextmanager
def folder(root: Path, shape: tuple[int, ...]) -> Iterator[Given]:
    from transformers import ViTConfig, ViTForImageClassification

    told = {"num_channels": 1, "image_size": SIDE, "patch_size": 2, "hidden_size": 8}
    small = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    torch.manual_seed(0)
    config = ViTConfig(**told, **small, num_labels=CLASSES)
    ViTForImageClassification(config).save_pretrained(root / "vit")
    yield "vit", {}


MODELS = (
    state_dict, safetensors, entry, torchscript, exported, onnx, estimator, endpoint, folder,
)  # fmt: skip
NEEDS = {onnx: "onnx", folder: "transformers"}


def absent(form: Any) -> str:
    """The package that a form needs and that is not installed; empty if all is there."""
    package = NEEDS.get(form, "")
    return package if package and find_spec(package) is None else ""
