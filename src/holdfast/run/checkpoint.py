"""The state of a training run on disk: one file of tensors and text, never a program."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from holdfast.core.errors import ConfigError, UntrustedFile

_HEAD = "holdfast"


def write_state(file: Path, state: Mapping[str, Any]) -> None:
    """Write nested containers of tensors and plain values, so that a crash leaves the old file.

    Tensors go into a safetensors file and everything else as JSON into its header. It is
    written beside its place, flushed, and renamed: readers see the old state or the new one.

    Args:
        file: where to.
        state: dicts (keys text or whole numbers), lists, tuples, tensors, text, numbers, None.

    Raises:
        ConfigError: for a value that is none of these.
    """
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}
    text = json.dumps(_packed(dict(state), tensors))
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f"{file.name}.{os.getpid()}.part")
    with beside.open("wb") as sink:
        sink.write(save(tensors, {_HEAD: text}))
        sink.flush()
        os.fsync(sink.fileno())
    beside.replace(file)


def packed(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> bytes:
    """A file of safetensors in which equal contents are equal bytes.

    The library writes the texts of the header in an order that changes from call to call.

    Args:
        tensors: by name, each contiguous and with memory of its own.
        about: texts of the header.
    """
    from safetensors.torch import save

    raw: bytes = save(dict(tensors), dict(about))
    end = 8 + int.from_bytes(raw[:8], "little")
    head = json.loads(raw[8:end])
    head["__metadata__"] = dict(sorted(about.items()))
    text = json.dumps(head, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the numbers begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + raw[end:]


def read_state(file: Path) -> dict[str, Any]:
    """Read what `write_state` wrote; tensors come back on the CPU.

    Raises:
        UntrustedFile: if the file was not written by `write_state`.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as source:
            head = (source.metadata() or {})[_HEAD]
            tensors = {name: source.get_tensor(name) for name in source.keys()}
        return _unpacked(json.loads(head), tensors)  # type: ignore[no-any-return]
    except (SafetensorError, KeyError, ValueError) as error:
        raise UntrustedFile(
            f"{file.name} is not a checkpoint of a training run ({type(error).__name__})",
            fix="Remove it and start again.",
        ) from error


def _packed(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        name = f"t{len(tensors)}"
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"map": [[k, _packed(v, tensors)] for k, v in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [_packed(v, tensors) for v in value]}
    if isinstance(value, list):
        return [_packed(v, tensors) for v in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ConfigError(
        f"a run's memory holds a {type(value).__name__}, which cannot be written",
        fix="Keep tensors, numbers, text, lists and dicts in `run.memory(self)`.",
    )


def _unpacked(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_unpacked(v, tensors) for v in value]
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    if "tuple" in value:
        return tuple(_unpacked(v, tensors) for v in value["tuple"])
    return {k: _unpacked(v, tensors) for k, v in value["map"]}


def placed(value: Any, device: torch.device) -> Any:
    """Nested containers with every tensor that has rows moved to a device."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {k: placed(v, device) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(placed(v, device) for v in value)
    return value
