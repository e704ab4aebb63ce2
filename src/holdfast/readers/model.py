"""Any model: weights with an architecture, a saved program, a Python entry or a callable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from holdfast.core.digest import digest
from holdfast.core.errors import ShapeError
from holdfast.core.goal import logits
from holdfast.core.kinds import Model
from holdfast.core.quiet import modules_of, quiet
from holdfast.readers.affine import normalised
from holdfast.readers.archive import MAX_BYTES
from holdfast.readers.model_forms import Asked, model_of
from holdfast.readers.saved import built
from holdfast.run.admitted import advice


@dataclass(frozen=True, eq=False)
class ReadModel:
    """A model and what identifies it.

    Args:
        model: inputs -> logits first; a module is in evaluation mode.
        about: `name`, `digest`, `parameters` and `kind`, as plain values; where that is worth a
            sentence also `reading`, how it was read.
        make: builds the same architecture with fresh weights from a seed, where that is known.
    """

    model: Model
    about: Mapping[str, Any]
    make: Callable[[int], Model] | None = None

    def __call__(self, x: Any) -> Any:
        return self.model(x)


def _maker(
    arch: str, classes: int | None, wrap: Callable[[Model], Model]
) -> Callable[[int], Model]:
    def make(seed: int) -> Model:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return wrap(built(arch, classes))

    return make


def _quietened(model: Model) -> None:
    """Evaluation mode, where the model knows one; exported programs do not."""
    if isinstance(model, nn.Module):
        try:
            model.eval()
        except NotImplementedError:
            return


def tried(model: Model, shape: tuple[int, ...], classes: int | None, name: str) -> None:
    """Let two rows through a model.

    Raises:
        ShapeError: E0201 if it does not take them, or answers in another form than logits.
    """
    x = torch.full((2, *shape), 0.5)
    with quiet(model), torch.no_grad():
        try:
            found = logits(model(x))
        except Exception as error:
            raise ShapeError(
                f"{name} does not take inputs of shape {tuple(shape)}: {error}",
                fix=advice(model, x),
                code="E0201",
            ) from error
    if found.dim() != 2 or (classes is not None and found.shape[1] < classes):
        raise ShapeError(
            f"{name} gives outputs of shape {tuple(found.shape)} for 2 rows of {classes} classes",
            fix="The model must return logits (rows, classes).",
            code="E0201",
        )


def read_model(
    spec: Any,
    *,
    arch: str | None = None,
    trust: bool = False,
    mean: Any = None,
    std: Any = None,
    shape: tuple[int, ...] | None = None,
    classes: int | None = None,
    max_bytes: int = MAX_BYTES,
    trial: bool = True,
    network: bool = False,
) -> ReadModel:
    """A model from a file, a folder, an address, a Python entry or a callable, in evaluation mode.

    Files are recognised by their contents. Weights and ONNX files run no code; TorchScript,
    `.pt2` and whole pickled models are programs, and without `trust` they are refused unread.
    What a Python entry or `arch` names is run, because the user has named it.

    Args:
        spec: a file, a folder of Hugging Face, the address of an endpoint, `hf:organisation/name`,
            `module:function`, `file.py:function`, a module, an estimator or any callable.
        arch: who builds the architecture of weights, `module:function` or `file.py:function`.
        trust: also load files that run code; a file of the same contents is then trusted by
            the same user from now on.
        mean: of the inputs that the model expects; it is then wrapped and takes [0, 1].
        std: likewise.
        shape: of one input.
        classes: how many the data have; passed to `arch` if that requires it.
        max_bytes: nothing larger is unpacked.
        trial: whether a model whose `shape` is given is tried on two rows of it.
        network: whether a model may be fetched from the hub.

    Raises:
        ConfigError: E0117 without an architecture, E0118 where weights do not fit it.
        UntrustedFile: for files that would run code or are not what they claim to be.
        Unsupported: E0321 for an operator of an ONNX file that nothing here runs.

    Cost: no pass, or one of two rows with `shape`; an ONNX file is tried on 32 rows, an endpoint
    is asked for 8.
    """
    own = mean is not None or std is not None  # then the one that a folder asks for stays out
    if isinstance(spec, ReadModel):
        reading = str(spec.about.get("reading", ""))
        model, kind, name = spec.model, str(spec.about["kind"]), str(spec.about["name"])
    else:
        asked = Asked(arch, trust, classes, shape, max_bytes, network, plain=own)
        model, kind, name, reading = model_of(spec, asked)
    _quietened(model)
    wrap = _wrapper(mean, std, shape)
    model = wrap(model)
    _quietened(model)
    if shape is not None and trial:
        tried(model, shape, classes, name)
    about = {"name": name, "digest": digest(model), "parameters": _size(model, kind), "kind": kind}
    if reading:
        about["reading"] = reading
    make = _maker(arch, classes, wrap) if arch is not None else None
    return ReadModel(model, about, make)


def _size(model: Model, kind: str) -> int:
    """How many numbers a model has learned; those of an ONNX file are constants."""
    return sum(
        p.numel()
        for m in modules_of(model)
        for p in (m.buffers() if kind == "onnx" else m.parameters())
    )


def _wrapper(mean: Any, std: Any, shape: tuple[int, ...] | None) -> Callable[[Model], Model]:
    if mean is None and std is None:
        return lambda model: model
    channels = shape[0] if shape is not None and len(shape) == 3 else None
    return lambda model: normalised(model, mean, std, channels)
