"""The layers that certifiers read, each as it stands in the middle of a small network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Function = Callable[[Tensor], Tensor]
LINE, PICTURE, SERIES, VOLUME = (6,), (2, 6, 6), (4, 6), (1, 4, 4, 4)


@dataclass(frozen=True)
class Probe:
    """A network around one layer.

    Args:
        middle: makes the layer; its weights are drawn afterwards.
        shape: of one row of inputs.
        first: whether a linear layer mixes the inputs first, of lines only.
        shift: added to what goes into the layer, into its domain.
    """

    middle: Callable[[], Function]
    shape: tuple[int, ...] = LINE
    first: bool = True
    shift: float = -0.3


class _Take(nn.Module):
    """A layer that returns several things, of which the first counts."""

    def __init__(self, layer: nn.Module, copies: int = 1) -> None:
        super().__init__()
        self.layer, self.copies = layer, copies

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layer(*[x] * self.copies)[0]
        return found


def _f(function: Function, shift: float = -0.3, shape: tuple[int, ...] = LINE) -> Probe:
    return Probe(lambda: function, shape, shift=shift)


def _m(kind: Callable[[], Function], shape: tuple[int, ...] = LINE) -> Probe:
    return Probe(kind, shape, shift=-0.5)


def _grid() -> Tensor:
    line = torch.linspace(-0.9, 1.1, 5)
    return torch.stack(torch.meshgrid(line * 0.7, line, indexing="xy"), -1)[None]


def _sample(x: Tensor) -> Tensor:
    grid = _grid().to(x).expand(len(x), -1, -1, -1)
    return F.grid_sample(x, grid, align_corners=False)


def _attend(x: Tensor) -> Tensor:
    q, k, v = x[:, None, :, :3], x[:, None, :, 2:5] * 2, x[:, None, :, 3:]
    return F.scaled_dot_product_attention(q, k, v)


def _by_hand(x: Tensor) -> Tensor:
    return torch.softmax(x @ x.mT / 2, -1) @ x


def _causal(x: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(x, x.flip(2), x, is_causal=True)


def _masked(x: Tensor) -> Tensor:
    scores = (x @ x.mT).masked_fill(torch.eye(4, dtype=torch.bool), -torch.inf)
    return scores.softmax(-1) @ x


MASK = torch.tensor([True, False, True, True, False, False])


def _recurrent(kind: Callable[..., nn.Module]) -> Probe:
    return _m(lambda: _Take(kind(6, 3, batch_first=True)), SERIES)


PROBES: dict[str, Probe] = {
    "linear": _f(lambda x: x), "relu": _f(F.relu), "leaky relu": _f(lambda x: F.leaky_relu(x, 0.1)),
    "prelu": _m(lambda: nn.PReLU(6)), "relu6": _f(lambda x: F.relu6(4 * x)),
    "clamp": _f(lambda x: x.clamp(-0.2, 0.3)), "hardtanh": _f(F.hardtanh),
    "hardswish": _f(lambda x: F.hardswish(4 * x)),
    "hardsigmoid": _f(lambda x: F.hardsigmoid(4 * x)),
    "elu": _f(F.elu), "selu": _f(F.selu), "celu": _f(lambda x: F.celu(x, 0.7)),
    "gelu": _f(F.gelu), "gelu tanh": _f(lambda x: F.gelu(2 * x, approximate="tanh")),
    "silu": _f(lambda x: F.silu(3 * x)), "mish": _f(lambda x: F.mish(2 * x)),
    "softplus": _f(F.softplus), "log sigmoid": _f(F.logsigmoid), "softsign": _f(F.softsign),
    "sigmoid": _f(torch.sigmoid), "tanh": _f(torch.tanh), "sin": _f(lambda x: torch.sin(4 * x)),
    "cos": _f(lambda x: torch.cos(4 * x)), "exp": _f(torch.exp), "erf": _f(torch.erf),
    "log": _f(lambda x: torch.log(x.square() + 0.5)), "sqrt": _f(lambda x: x.abs().sqrt(), 4.0),
    "square": _f(torch.square), "cube": _f(lambda x: x**3), "power": _f(lambda x: x**1.7, 6.0),
    "abs": _f(torch.abs), "sign": _f(torch.sign), "floor": _f(lambda x: torch.floor(3 * x)),
    "reciprocal": _f(torch.reciprocal, 6.0), "rsqrt": _f(torch.rsqrt, 6.0),
    "mul": _f(lambda x: x * x.flip(1)), "div": _f(lambda x: x / (2 + x.roll(1, 1).square())),
    "add": _f(lambda x: x + torch.sin(x)), "sub": _f(lambda x: x - x.relu() - 1),
    "maximum": _f(lambda x: torch.maximum(x, x.flip(1))),
    "minimum": _f(lambda x: torch.minimum(x, 0.3 * x.roll(1, 1))),
    "where": _f(lambda x: torch.where(MASK, x.exp(), x)),
    "amax": _f(lambda x: x.view(-1, 2, 3).amax(1)), "max": _f(lambda x: x.view(-1, 2, 3).max(2)[0]),
    "amin": _f(lambda x: x.view(-1, 3, 2).amin(1)),
    "group sort": _f(lambda x: x.view(-1, 3, 2).sort(-1)[0]),
    "sort": _f(lambda x: x.sort(1, descending=True)[0]),
    "softmax": _f(lambda x: F.softmax(3 * x, 1)),
    "log softmax": _f(lambda x: F.log_softmax(3 * x, 1)),
    "logsumexp": _f(lambda x: torch.logsumexp(3 * x.view(-1, 3, 2), 1)),
    "normalize": _f(F.normalize), "std": _f(lambda x: x.view(-1, 2, 3).std(2)),
    "cumsum": _f(lambda x: x.relu().cumsum(1)), "roll": _f(lambda x: x.tanh().roll(2, 1)),
    "flip": _f(lambda x: x.tanh().flip(1)), "repeat": _f(lambda x: x.tanh().repeat(1, 2)),
    "concat": _f(lambda x: torch.cat([x, x.tanh(), torch.ones_like(x)], 1)),
    "stack": _f(lambda x: torch.stack([x, x.relu()], 1)),
    "split": _f(lambda x: torch.mul(*x.split(3, 1))),
    "chunk": _f(lambda x: torch.stack(x.chunk(3, 1)).sum(0)),
    "slice": _f(lambda x: x.relu()[:, 1::2]),
    "select": _f(lambda x: x[:, :1] * x.select(1, 3)[:, None]),
    "index": _f(lambda x: x.tanh()[:, [5, 0, 0]]),
    "expand": _f(lambda x: x * x[:, :1].expand(-1, 6)),
    "transpose": _f(lambda x: x.view(-1, 2, 3).transpose(1, 2).tanh()),
    "sum": _f(lambda x: x.view(-1, 2, 3).exp().sum(1)), "mean": _f(lambda x: x.exp().mean(1, True)),
    "pow of a constant": _f(lambda x: 2**x), "glu": _f(F.glu),
    "einsum": _f(lambda x: torch.einsum("bij,bik->bjk", x.view(-1, 2, 3), x.view(-1, 2, 3))),
    "layer norm": _m(lambda: nn.LayerNorm(6)), "batch norm": _m(lambda: nn.BatchNorm1d(6)),
    "rms norm": _m(lambda: nn.RMSNorm(6)),
    "gelu block": _m(lambda: nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 8), nn.GELU())),
    "conv1d": _m(
        lambda: nn.Sequential(nn.Conv1d(4, 4, 3, padding=2, dilation=2), nn.ReLU()), SERIES),
    "conv2d": _m(
        lambda: nn.Sequential(nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.ReLU()), PICTURE),
    "dilated conv2d": _m(lambda: nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 2, 2, dilation=2), nn.ReLU()),
        PICTURE),
    "grouped conv2d": _m(lambda: nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.Tanh()), PICTURE),
    "conv3d": _m(lambda: nn.Sequential(nn.Conv3d(1, 2, 2, stride=2), nn.ReLU()), VOLUME),
    "transposed conv2d": _m(lambda: nn.Sequential(
        nn.ConvTranspose2d(2, 2, 3, stride=2, output_padding=1, padding=1), nn.ReLU()), PICTURE),
    "transposed conv1d": _m(lambda: nn.Sequential(
        nn.ConvTranspose1d(4, 4, 2, dilation=2, groups=2), nn.ReLU()), SERIES),
    "group norm": _m(lambda: nn.GroupNorm(2, 4), SERIES),
    "instance norm": _m(lambda: nn.InstanceNorm2d(2, affine=True), PICTURE),
    "max pool": _m(lambda: nn.MaxPool2d(2), PICTURE),
    "overlapping max pool": _m(lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True), PICTURE),
    "max pool 1d": _m(lambda: nn.MaxPool1d(2, dilation=2, stride=1), SERIES),
    "avg pool": _m(lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False, ceil_mode=True), PICTURE),
    "adaptive avg pool": _m(lambda: nn.AdaptiveAvgPool2d(4), PICTURE),
    "adaptive max pool": _m(lambda: nn.AdaptiveMaxPool2d(4), PICTURE),
    "pad": _f(lambda x: F.pad(x, (1, 2, 0, 1), value=0.3).tanh(), shape=PICTURE),
    "reflect pad": _f(lambda x: F.pad(x, (1, 2, 2, 1), mode="reflect").tanh(), shape=PICTURE),
    "replicate pad": _f(lambda x: F.pad(x, (1, 2), mode="replicate").tanh(), shape=SERIES),
    "upsample nearest": _f(lambda x: F.interpolate(x, scale_factor=2).relu(), shape=PICTURE),
    "upsample bilinear": _f(
        lambda x: F.interpolate(x, size=9, mode="bilinear").relu(), shape=PICTURE),
    "upsample bicubic": _f(
        lambda x: F.interpolate(x, size=4, mode="bicubic").relu(), shape=PICTURE),
    "pixel shuffle": _f(lambda x: F.pixel_shuffle(x.view(-1, 4, 6, 3), 2).relu(), shape=PICTURE),
    "unfold": _f(lambda x: F.unfold(x, 2).relu(), shape=PICTURE),
    "grid sample": _f(lambda x: _sample(x).relu(), shape=PICTURE),
    "matmul": _f(lambda x: x @ x.mT, shape=SERIES), "attention by hand": _f(_by_hand, shape=SERIES),
    "scaled dot product attention": _f(_attend, shape=SERIES),
    "causal attention": _f(_causal, shape=SERIES),
    "masked attention": _f(_masked, shape=SERIES),
    "multihead attention": _m(
        lambda: _Take(nn.MultiheadAttention(6, 2, batch_first=True), 3), SERIES),
    "transformer layer": _m(
        lambda: nn.TransformerEncoderLayer(6, 2, 8, batch_first=True), SERIES),
    "lstm": _recurrent(nn.LSTM), "gru": _recurrent(nn.GRU), "rnn": _recurrent(nn.RNN),
}  # fmt: skip
