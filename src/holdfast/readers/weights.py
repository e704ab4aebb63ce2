"""Weights: the tensors in a `.pt`, `.pth` or `.safetensors` file, and how they enter a model."""

from __future__ import annotations

import pickletools
import shlex
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.core.errors import ConfigError, UntrustedFile
from holdfast.readers.archive import head, is_zip, opened
from holdfast.readers.entry import importable
from holdfast.readers.estimator import from_pickle
from holdfast.readers.suggest import suggestions
from holdfast.readers.trust import trusted

WRAPPINGS = ("state_dict", "model_state_dict", "model", "net", "weights", "ema", "params")
HARMLESS = ("torch", "collections", "builtins.set", "builtins.dict", "builtins.list")


def asked_for(path: Path) -> list[str]:
    """Names that the pickle in a file would import, read off its opcodes without running it."""
    try:
        if is_zip(path):
            archive = opened(path, 1 << 50)
            raw = archive.read("data.pkl") if "data.pkl" in archive.names else b""
        else:
            raw = head(path, 64 << 20)
        texts: list[str] = []
        found: list[str] = []
        for opcode, argument, _ in pickletools.genops(raw):
            if opcode.name in ("GLOBAL", "INST"):
                found.append(str(argument).replace(" ", "."))
            elif opcode.name == "STACK_GLOBAL" and len(texts) > 1:
                found.append(f"{texts[-2]}.{texts[-1]}")
            if isinstance(argument, str) and "UNICODE" in opcode.name:
                texts.append(argument)
    except (ValueError, KeyError, EOFError, IndexError, zipfile.BadZipFile, UntrustedFile):
        return []
    found = [name.replace("__builtin__.", "builtins.") for name in found]  # as Python 2 said it
    foreign = [name for name in found if not {name, name.partition(".")[0]} & set(HARMLESS)]
    return list(dict.fromkeys(foreign or [n for n in found if n.startswith("torch.nn")]))


def refusal(path: Path, why: str = "") -> UntrustedFile:
    """The error for a file that would run code when read."""
    names = asked_for(path)
    listed = f" (it asks for {', '.join(names[:3])})" if names else ""
    return UntrustedFile(
        f"{path.name} holds more than weights{why or listed}: reading it would run code",
        fix="Save the weights alone, torch.save(model.state_dict(), file), and give --arch; "
        "or say --trust, once, if you made the file.",
        code="E0401",
    )


def _tensors(found: Any) -> dict[str, Tensor] | None:
    """The state in what was saved: itself, or under one of the usual names."""
    if not isinstance(found, Mapping):
        return None
    plain = {str(k): v for k, v in found.items() if isinstance(v, Tensor)}
    if plain and len(plain) * 2 > len(found):
        return plain
    for name in WRAPPINGS:
        if name in found and (inner := _tensors(found[name])) is not None:
            return inner
    return None


def _loaded(path: Path, *, weights_only: bool) -> Any:
    """What was saved; a whole model may need the Python files that lie beside it."""
    beside = nullcontext() if weights_only else importable(path.resolve().parent)
    with beside, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=weights_only)


def read_weights(path: Path, *, trust: bool, max_bytes: int) -> dict[str, Tensor] | nn.Module:
    """The tensors of a file by name; with `trust` also a whole pickled model.

    What can be read without running code is read so, whether it is trusted or not.

    Raises:
        UntrustedFile: if reading it would run code, or it is a zip bomb.
        ConfigError: if it holds no tensors.
    """
    if is_zip(path):
        opened(path, max_bytes)
    try:
        found = _loaded(path, weights_only=True)
    except Exception:  # whatever it is that only a full unpickling could read
        if not trusted(path, trust):
            raise refusal(path) from None
        found = _trusted(path)
    if isinstance(found, nn.Module):
        return found
    state = _tensors(found)
    if state is None:
        raise ConfigError(
            f"{path.name} holds {type(found).__name__} without weights",
            fix="torch.save(model.state_dict(), file)",
            code="E0116",
        )
    return state


def _trusted(path: Path) -> Any:
    """What only a full unpickling gives; what torch did not write may be of scikit-learn."""
    try:
        return _loaded(path, weights_only=False)
    except Exception as error:
        if not is_zip(path):
            return from_pickle(path)
        raise ConfigError(
            f"{path.name} cannot be read: {type(error).__name__}: {error}",
            fix="Check with torch.load in the environment that made it.",
            code="E0116",
        ) from error


def read_safetensors(path: Path, max_bytes: int) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if path.stat().st_size > max_bytes:
        raise ConfigError(
            f"{path.name} is larger than {max_bytes:,} bytes",
            fix="Raise --max-bytes.",
            code="E0135",
        )
    try:
        return load_file(path)
    except (SafetensorError, ValueError, OSError) as error:
        raise UntrustedFile(
            f"{path.name} is damaged: {error}", fix="Save it again.", code="E0411"
        ) from None


def needs_architecture(path: Path, state: Mapping[str, Tensor]) -> ConfigError:
    """The error for weights without an architecture, with the best candidate of the folder."""
    folders = [Path.cwd(), path.resolve().parent]
    found = suggestions(folders, list(state))
    command = f"holdfast audit {shlex.quote(path.name)} --arch"
    fix = f"Tell me how to build it:   {command} mypkg.models:resnet18"
    if found:
        best = found[0]
        fix += (
            f"\n       Looked in this folder: {best.entry} has {best.matched} of {best.wanted} "
            f"parameter names  <- try this one:\n       {command} {shlex.quote(best.entry)}"
        )
        others = ", ".join(c.entry for c in found[1:4])
        fix += f"\n       Also possible: {others}" if others else ""
    return ConfigError(
        f"{path.name} holds weights only ({len(state)} tensors); the architecture is missing.",
        fix=fix,
        code="E0117",
    )


def _listed(names: Iterable[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")


def load_into(model: nn.Module, state: Mapping[str, Tensor], path: Path, arch: str) -> None:
    """Put weights into a model, every one of them; a prefix `module.` of all names is dropped.

    Raises:
        ConfigError: if names or shapes differ.
    """
    for prefix in ("module.", "_orig_mod.", "model."):
        own = model.state_dict()
        if all(n.startswith(prefix) for n in state) and not set(state) <= set(own):
            state = {n.removeprefix(prefix): v for n, v in state.items()}
    own = model.state_dict()
    missing, foreign = set(own) - set(state), set(state) - set(own)
    shapes = [
        f"{n} {tuple(state[n].shape)} instead of {tuple(own[n].shape)}"
        for n in sorted(set(own) & set(state))
        if own[n].shape != state[n].shape
    ]
    faults = [f"missing: {_listed(missing)}"] if missing else []
    faults += [f"unknown: {_listed(foreign)}"] if foreign else []
    faults += [f"shapes: {_listed(shapes)}"] if shapes else []
    if faults:
        raise ConfigError(
            f"the weights in {path.name} do not fit {arch}; {'; '.join(faults)}",
            fix="Name the architecture that these weights were trained with: --arch file.py:name",
            code="E0118",
        )
    model.load_state_dict(dict(state))
