"""ONNX files as models: rows as the data have them, gradients, and a look at onnxruntime."""

from __future__ import annotations

import zlib
from math import prod
from pathlib import Path

import torch
from torch import Tensor, nn

from holdfast.core.errors import ShapeError, Unsupported
from holdfast.readers.archive import GZIP, head
from holdfast.readers.onnx import OnnxNetwork, read_onnx
from holdfast.readers.onnx_box import black_box
from holdfast.readers.onnx_file import MAX_BYTES
from holdfast.readers.onnx_rows import fits
from holdfast.readers.replay import Replay

TRIED, AGREE = 32, 1e-3  # rows that both carry out, and how far apart, of the largest output
_VERSION, _NEWEST = 0x08, 64  # the first field of a file is the version of its format


def is_onnx(path: Path) -> bool:
    """Whether a file begins as an ONNX file does, packed by gzip or not, or is called one."""
    first = head(path, 4096)
    if first.startswith(GZIP):
        try:
            first = zlib.decompressobj(wbits=31).decompress(first, 16)
        except zlib.error:
            first = b""
    started = len(first) > 2 and first[0] == _VERSION and 0 < first[1] < _NEWEST
    # What follows is another field of the model: number 2 to 20, a number or a text.
    field, kind = (first[2] >> 3, first[2] & 7) if started else (0, 0)
    known = started and 1 < field <= 20 and kind in (0, 2)
    return known or path.name.endswith((".onnx", ".onnx.gz"))


class OnnxModel(nn.Module):
    """The network of an ONNX file on rows as the data have them.

    Rows go in as they are where their shape fits. Axes of length 1 may be missing or added, and
    a network that takes flat rows gets pictures flattened channel by channel, row by row, as
    `torch.flatten` does. Outputs lose axes of length 1 behind the classes.

    Args:
        net: as read.
    """

    def __init__(self, net: OnnxNetwork) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Outputs `(B, K)` of rows `(B, ...)`.

        Raises:
            ShapeError: if rows of that shape do not fit.
        """
        own, given = self.net.shape, tuple(x.shape[1:])
        if given != own:
            if not fits(given, own):
                raise ShapeError(
                    f"the ONNX network takes rows of shape {own}, got {given}",
                    fix=f"Give data of shape (n, {', '.join(map(str, own))}), or flat ones.",
                    code="E0201",
                )
            x = x.reshape(len(x), *own)
        if x.dtype != self.net.dtype:
            x = x.to(self.net.dtype)
        z: Tensor = self.net(x)
        behind = z.dim() > 2 and prod(z.shape[2:]) == 1
        return z.flatten(1) if behind else z


def onnx_model(path: Path, *, max_bytes: int = MAX_BYTES) -> tuple[nn.Module, str]:
    """The network of an ONNX file, and a sentence about how it was read.

    Where onnxruntime is installed it carries out the file itself. If an operator cannot be read,
    or the reading gives other outputs, the file is a black box that onnxruntime runs: without
    gradients, and the sentence says so and why.

    Raises:
        MissingExtra: without the package onnx.
        UntrustedFile: if it is no ONNX file, or keeps weights outside its own folder.
        Unsupported: naming an operator that is not read, where onnxruntime does not run it either.

    Cost: seven forwards of one row, and 32 of the file.
    """
    most = min(max_bytes, MAX_BYTES)
    try:
        net = read_onnx(path, max_bytes=most)
        compared = _compared(path, net)
    except Unsupported as error:
        box = black_box(path, most)
        if box is None:
            raise
        return box, (
            f"The ONNX file is run by onnxruntime as a black box without gradients, because it "
            f"could not be read into torch: {error.says.rstrip('.')}."
        )
    kinds: dict[str, int] = {}
    for step in net.steps:
        kinds[step.operator] = kinds.get(step.operator, 0) + 1
    listed = ", ".join(f"{n} {k}" if n > 1 else k for k, n in kinds.items())
    slow = " Its rows go through one by one, which is slow." if net.by_row else ""
    return OnnxModel(net), f"The ONNX file was read into torch ({listed}). {compared}{slow}"


def _compared(path: Path, net: OnnxNetwork) -> str:
    """What onnxruntime makes of the same rows.

    Raises:
        Unsupported: if that is something else.
    """
    replay, draws = Replay(path, net), torch.Generator().manual_seed(0)
    x = torch.rand(TRIED, *net.shape, generator=draws).to(net.dtype)
    theirs = torch.tensor([list(replay(x[i : i + 1])) for i in range(TRIED)], dtype=torch.float64)
    if replay.by == "torch":
        return "onnxruntime is not installed or does not run it: the reading was not compared."
    with torch.no_grad():
        ours = net(x).double().reshape(TRIED, -1)
    scale = 1 + float(theirs.nan_to_num(0, 0, 0).abs().max()) if theirs.numel() else 1.0
    if ours.shape != theirs.shape or not torch.allclose(
        ours, theirs, rtol=0, atol=AGREE * scale, equal_nan=True
    ):
        raise Unsupported(
            "the reading gives other outputs than onnxruntime for the same rows",
            fix="Please report it with the file; until then give the model as torch code.",
            code="E0322",
        )
    off = (ours - theirs).nan_to_num(0, 0, 0).abs().max() if theirs.numel() else 0.0
    return f"On {TRIED} random rows onnxruntime gives the same outputs up to {float(off):.1e}."
