"""Models in files: weights with an architecture, and programs, which only trust can load."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from holdfast.core.errors import ConfigError, Unsupported, UntrustedFile
from holdfast.core.kinds import Model
from holdfast.readers.archive import head, is_zip, opened
from holdfast.readers.entry import called, load_entry
from holdfast.readers.onnx_model import is_onnx, onnx_model
from holdfast.readers.trust import trusted
from holdfast.readers.weights import (
    load_into,
    needs_architecture,
    read_safetensors,
    read_weights,
)

CLASS_ARGUMENTS = ("classes", "num_classes", "n_classes")


def built(arch: str, classes: int | None) -> nn.Module:
    """The architecture that an entry names, with fresh weights."""
    thing = load_entry(arch)
    if not isinstance(thing, nn.Module) and callable(thing):
        wanted = inspect.signature(thing).parameters.values()
        names = [p.name for p in wanted if p.default is p.empty and p.name in CLASS_ARGUMENTS]
        values = {names[0]: classes} if names and classes is not None else {}
        thing = called(thing, arch, **values)
    if not isinstance(thing, nn.Module):
        raise ConfigError(
            f"{arch} gave {type(thing).__name__}, not a torch.nn.Module",
            fix="Return the model, with or without trained weights.",
            code="E0115",
        )
    return thing


def _program(names: tuple[str, ...]) -> str:
    """`torchscript` or `pt2` for archives that hold a program, empty for weights."""
    if any(n.startswith("code/") for n in names) or "constants.pkl" in names:
        return "torchscript"
    if "archive_format" in names or any(
        n.startswith("models/") or n.startswith("serialized_exported_program") for n in names
    ):
        return "pt2"
    return "" if "data.pkl" in names else "zip"


def _load_program(path: Path, kind: str, trust: bool) -> Model:
    """A saved program; refused unless trusted, without ever being loaded."""
    if not trusted(path, trust):
        what = "TorchScript" if kind == "torchscript" else "an exported program (.pt2)"
        raise UntrustedFile(
            f"{path.name} is {what}, and loading a program can run any code",
            fix="Say --trust, once, if you made the file; else ask for weights (.safetensors) "
            "and --arch.",
            code="E0402",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the file is what it is
        if kind == "torchscript":
            loaded: Model = torch.jit.load(str(path), map_location="cpu")
            return loaded
        program: Model = torch.export.load(str(path)).module()  # it cannot be told .eval()
    return program


def model_in_file(
    path: Path, arch: str | None, trust: bool, classes: int | None, max_bytes: int
) -> tuple[Model, str, str]:
    """A model from a file, recognised by its contents; its kind, and a word on its reading."""
    first = head(path, 16)
    if is_zip(path):
        kind = _program(opened(path, max_bytes).names)
        if kind in ("torchscript", "pt2"):
            return _load_program(path, kind, trust), kind, ""
        if "schema.json" in opened(path, max_bytes).names:
            raise UntrustedFile(
                f"{path.name} is a skops file, and what it holds is built by code",
                fix="Load it yourself and name it: file.py:function",
                code="E0402",
            )
        if kind == "zip":
            raise ConfigError(
                f"{path.name} is a zip archive without weights",
                fix="torch.save(model.state_dict(), file)", code="E0116",
            )  # fmt: skip
    size = int.from_bytes(first[:8], "little")
    if first[8:9] == b"{" and 1 < size < path.stat().st_size:
        found: Any = read_safetensors(path, max_bytes)
        kind = "safetensors"
    elif (
        is_zip(path)
        or first.startswith((b"\x80", b"(", b"c", b"}", b"]"))
        or b"ustar" in head(path)
    ):
        found = read_weights(path, trust=trust, max_bytes=max_bytes)
        kind = "state_dict"
    elif is_onnx(path):
        network, reading = onnx_model(path, max_bytes=max_bytes)
        return network, "onnx", reading
    else:
        raise Unsupported(
            f"{path.name} is no model in a known format",
            fix="Give weights (.safetensors, .pt) with --arch, an ONNX file, or a Python entry "
            "file.py:function.",
            code="E0302",
        )
    if isinstance(found, nn.Module):
        return found, "pickle", str(getattr(found, "reading", ""))
    if arch is None:
        raise needs_architecture(path, found)
    model = built(arch, classes)
    load_into(model, found, path, arch)
    return model, kind, ""
