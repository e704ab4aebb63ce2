"""The forms in which a model may be given, and who reads each of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from holdfast.core.errors import ConfigError
from holdfast.core.kinds import Model
from holdfast.readers.address import address_of, is_address
from holdfast.readers.archive import MAX_BYTES
from holdfast.readers.entry import called, is_entry, load_entry
from holdfast.readers.estimator import Estimator, is_estimator
from holdfast.readers.hub import fetched, is_hub
from holdfast.readers.hugging_face import is_model_folder, read_model_folder
from holdfast.readers.saved import model_in_file

Form = tuple[Model, str, str, str]  # the model, its kind, its name, a sentence on its reading


@dataclass(frozen=True)
class Asked:
    """How a model is to be read.

    Args:
        arch: who builds the architecture of weights.
        trust: also load files that run code.
        classes: how many the data have.
        shape: of one row; None for texts.
        max_bytes: nothing larger is unpacked.
        network: whether the hub may be asked.
        plain: leave out the normalisation that a folder asks for.
    """

    arch: str | None = None
    trust: bool = False
    classes: int | None = None
    shape: tuple[int, ...] | None = None
    max_bytes: int = MAX_BYTES
    network: bool = False
    plain: bool = False


def model_of(spec: Any, asked: Asked) -> Form:
    """The model that is meant, its kind, its name, and a sentence on how it was read.

    Raises:
        ConfigError: E0110 if nothing has that form.
    """
    if is_estimator(spec):
        return _estimator(spec, type(spec).__name__)
    if callable(spec):
        return spec, "python", type(spec).__name__, ""
    text = str(spec)
    path = Path(text)
    found: Form
    if is_address(text):
        from holdfast.readers.endpoint import Endpoint

        end = Endpoint(text, asked.shape)
        found = end, "endpoint", address_of(text).name, end.reading
    elif is_hub(text):
        folder, says = fetched(text, asked.network)
        model, reading = read_model_folder(folder, plain=asked.plain, max_bytes=asked.max_bytes)
        found = model, "huggingface", text.removeprefix("hf:"), f"{says} {reading}"
    elif path.is_file() and path.suffix != ".py":
        made, kind, reading = model_in_file(
            path, asked.arch, asked.trust, asked.classes, asked.max_bytes
        )
        found = made, kind, path.name, reading
    elif path.is_dir() and is_model_folder(path):
        model, reading = read_model_folder(path, plain=asked.plain, max_bytes=asked.max_bytes)
        found = model, "huggingface", path.resolve().name, reading
    elif is_entry(text):
        found = _entry(text)
    else:
        raise _unknown(text, path)
    return found


def _entry(spec: str) -> Form:
    place, _, own = spec.rpartition(":")
    name = f"{Path(place).name}:{own}"
    thing = load_entry(spec)
    ready = isinstance(thing, nn.Module) or is_estimator(thing)
    made = thing if ready else called(thing, spec)
    if is_estimator(made):
        return _estimator(made, name)
    if not callable(made):
        raise ConfigError(
            f"{spec} gave {type(made).__name__}, which cannot be called",
            fix="Return the model.", code="E0115",
        )  # fmt: skip
    return made, "python", name, ""


def _estimator(thing: Any, name: str) -> Form:
    made = Estimator(thing, name)
    return made, "estimator", name, made.reading


def _unknown(text: str, path: Path) -> ConfigError:
    fix = "Give weights with --arch, a model folder, an address, or file.py:function."
    if text.endswith(".py"):
        fix = f"For a Python file name the function too: {text}:make"
    what = "a folder without config.json" if path.is_dir() else "no file, no Python entry"
    return ConfigError(f"there is no model {text!r}: {what}", fix=fix, code="E0110")
